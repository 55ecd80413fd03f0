"""Lambda's own queue for asynchronous invocations: retries, age limit, destinations, nothing lost in a crash.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import heapq
import json
import logging
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Any

from ministack.services import lambda_svc

from local.engine.database import Database
from local.engine.destinations import UndeliverableError, publish, put_event, send_to_queue, service_of
from local.engine.iam import Iam
from local.engine.lambdas import Lambdas
from local.engine.settings import Settings

logger = logging.getLogger("local.engine.async_queue")

_THROTTLED_SECONDS = 0.2
_DEFAULT_RETRIES = 2
_DEFAULT_AGE_SECONDS = 21600
_SEND_ACTIONS = {
    "sqs": "sqs:SendMessage",
    "sns": "sns:Publish",
    "events": "events:PutEvents",
    "lambda": "lambda:InvokeFunction",
}


@dataclass(order=True, slots=True)
class _Waiting:
    not_before: float
    id: int
    request_id: str = field(compare=False)
    function_arn: str = field(compare=False)
    payload: bytes = field(compare=False)
    received_at: float = field(compare=False)
    attempts: int = field(compare=False)


class AsyncQueue:
    """Run queued invocations, and keep each on disk until a snapshot holds what it caused."""

    def __init__(self, database: Database, settings: Settings, lambdas: Lambdas, iam: Iam) -> None:
        """Take over asynchronous invocation from ministack; nothing runs before ``start``."""
        self._database = database
        self._settings = settings
        self._lambdas = lambdas
        self._iam = iam
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._finished: set[int] = set()
        self._running = False
        self._workers = ThreadPoolExecutor(settings.async_concurrency, "lambda-async")
        self._free = settings.async_concurrency
        lambda_svc.invoke_async_with_retry = self._put_record

    def put(self, function_arn: str, event: Any) -> None:
        """Queue an invocation.

        Raises:
            UndeliverableError: the function does not exist.
        """
        if lambda_svc._get_func_record_for_ref(function_arn)[0] is None:
            raise UndeliverableError("RESOURCE_NOT_FOUND", f"{function_arn} does not exist")
        request_id, payload, now = str(uuid.uuid4()), json.dumps(event).encode(), time.time()
        with self._database.transaction() as connection:
            row = connection.execute(
                "INSERT INTO invocation (request_id, function_arn, payload, received_at, attempts) "
                "VALUES (?, ?, ?, ?, 0)",
                (request_id, function_arn, payload, now),
            ).lastrowid
        self._push(_Waiting(now, row or 0, request_id, function_arn, payload, now, 0))

    def start(self) -> None:
        """Run what is queued, beginning with what an earlier engine left."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT id, request_id, function_arn, payload, received_at, attempts FROM invocation ORDER BY id"
            ).fetchall()
        queued = {item.id for item in self._waiting}
        for row in rows:
            if row[0] not in queued:
                self._push(_Waiting(time.time(), *row))
        self._running = True
        threading.Thread(target=self._dispatch, daemon=True, name="lambda-async").start()

    def stop(self) -> None:
        """Start nothing more; what runs is cut short and will run again."""
        with self._changed:
            self._running = False
            self._changed.notify()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def idle(self) -> bool:
        """Tell whether nothing is queued or running."""
        with self._changed:
            return not self._waiting and self._free == self._settings.async_concurrency

    def finished(self) -> list[int]:
        """Name the invocations that are over; call it before taking the snapshot that shows what they did."""
        with self._changed:
            return sorted(self._finished)

    def forget(self, connection: Connection, finished: list[int]) -> None:
        """Delete invocations in the transaction that stores the snapshot."""
        connection.executemany("DELETE FROM invocation WHERE id = ?", [(number,) for number in finished])
        with self._changed:
            self._finished.difference_update(finished)

    def _put_record(self, func: dict[str, Any], event: Any) -> None:
        config = func.get("config") or func
        self.put(config["FunctionArn"], event)

    def _push(self, item: _Waiting) -> None:
        with self._changed:
            heapq.heappush(self._waiting, item)
            self._changed.notify()

    def _dispatch(self) -> None:
        while True:
            with self._changed:
                while self._running and (
                    not self._free or not self._waiting or self._waiting[0].not_before > time.time()
                ):
                    soonest = self._waiting[0].not_before - time.time() if self._waiting and self._free else None
                    self._changed.wait(soonest)
                if not self._running:
                    return
                item = heapq.heappop(self._waiting)
                self._free -= 1
            self._workers.submit(self._run, item)

    def _run(self, item: _Waiting) -> None:
        try:
            again = self._attempt(item)
        except Exception:
            logger.exception(
                "Invocation %s of %s was lost to a defect of the engine", item.request_id, item.function_arn
            )
            again = False
        with self._changed:
            self._free += 1
            if not self._running:
                return
            if again:
                heapq.heappush(self._waiting, item)
            else:
                self._finished.add(item.id)
            self._changed.notify()

    def _attempt(self, item: _Waiting) -> bool:
        """Invoke once; return whether the item waits for another attempt, at its new ``not_before``."""
        func, config, _ = lambda_svc._get_func_record_for_ref(item.function_arn)
        if func is None or config is None:
            logger.warning("%s was deleted; its event is dropped", item.function_arn)
            return False
        # SAM configures the qualifier $LATEST, which is what an unqualified invocation runs.
        limits = lambda_svc._event_invoke_config(func, "$LATEST") or lambda_svc._event_invoke_config(func, None) or {}
        result: dict[str, Any] = {"body": None}
        condition = self._expired(item, limits, 0)
        if not condition:
            result = self._invoke(lambda_svc._execution_record_for_config(func, config), config, item)
            if result.get("throttle"):
                item.not_before = time.time() + _THROTTLED_SECONDS
                return True
            if not result.get("error") or not self._running:
                return False
            item.attempts += 1
            delay = self._settings.retry_backoff_seconds * 2 ** (item.attempts - 1)
            if item.attempts > limits.get("MaximumRetryAttempts", _DEFAULT_RETRIES):
                condition = "RetriesExhausted"
            else:
                condition = self._expired(item, limits, delay)
        if condition:
            self._give_up(item, config, limits, result, condition)
            return False
        with self._database.transaction() as connection:
            connection.execute("UPDATE invocation SET attempts = ? WHERE id = ?", (item.attempts, item.id))
        item.not_before = time.time() + delay
        return True

    def _expired(self, item: _Waiting, limits: dict[str, Any], delay: float) -> str:
        oldest = limits.get("MaximumEventAgeInSeconds", _DEFAULT_AGE_SECONDS)
        return "EventAgeExceeded" if time.time() + delay - item.received_at > oldest else ""

    def _invoke(self, record: dict[str, Any], config: dict[str, Any], item: _Waiting) -> dict[str, Any]:
        started = time.monotonic()
        result = self._lambdas.execute(record, json.loads(item.payload), item.request_id)
        throttled = bool(result.get("throttle"))
        lambda_svc._emit_lambda_metrics(
            config["FunctionName"],
            duration_ms=(time.monotonic() - started) * 1000,
            error=bool(result.get("error")) and not throttled,
            throttle=throttled,
        )
        return result

    def _give_up(
        self, item: _Waiting, config: dict[str, Any], limits: dict[str, Any], result: dict[str, Any], condition: str
    ) -> None:
        """Send the event where the function's configuration says, in the name of the function's role."""
        event = json.loads(item.payload)
        destination = (limits.get("DestinationConfig") or {}).get("OnFailure", {}).get("Destination")
        if destination:
            self._deliver(config, destination, self._destination_record(item, config, event, result, condition))
        dead_letters = (config.get("DeadLetterConfig") or {}).get("TargetArn")
        if dead_letters:
            error = result["body"] if isinstance(result["body"], dict) else {}
            attributes = {
                "RequestID": item.request_id,
                "ErrorCode": "200",
                "ErrorMessage": str(error.get("errorMessage", condition))[:1024],
            }
            self._deliver(config, dead_letters, event, attributes)
        if not destination and not dead_letters:
            logger.warning("%s failed for good, and nothing is told of it", item.function_arn)

    def _destination_record(
        self, item: _Waiting, config: dict[str, Any], event: Any, result: dict[str, Any], condition: str
    ) -> dict[str, Any]:
        # https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        return {
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {
                "requestId": item.request_id,
                "functionArn": f"{config['FunctionArn']}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": item.attempts,
            },
            "requestPayload": event,
            "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
            "responsePayload": result["body"],
        }

    def _deliver(
        self, config: dict[str, Any], arn: str, content: Any, attributes: dict[str, str] | None = None
    ) -> None:
        service = service_of(arn)
        if not self._iam.role_may(config["Role"], _SEND_ACTIONS[service], arn):
            logger.error("%s may not %s on %s; the failure is not told", config["Role"], _SEND_ACTIONS[service], arn)
            return
        try:
            if service == "sqs":
                send_to_queue(arn, json.dumps(content), attributes)
            elif service == "sns":
                publish(arn, json.dumps(content), "")
            elif service == "events":
                put_event(arn, "lambda", "Lambda Function Invocation Result - Failure", json.dumps(content))
            else:
                self.put(arn, content)
        except UndeliverableError:
            logger.exception("The failure of %s could not be told", config["FunctionName"])
