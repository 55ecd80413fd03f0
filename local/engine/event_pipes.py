"""EventBridge Pipes from a DynamoDB stream to an event bus, which ministack's own pipes cannot do.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-pipes-dynamodb.html
"""

from __future__ import annotations

import json
import logging
import re
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from ministack.services import dynamodb, eventbridge, pipes
from ministack.services.cloudformation import provisioners

from local.engine.destinations import UndeliverableError, put_event, send_to_queue
from local.engine.iam import Iam

logger = logging.getLogger("local.engine.event_pipes")

_KEPT = ("SourceParameters", "TargetParameters")
_READ_ACTIONS = (
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
)
_RETRY_SECONDS = 1.0
_FOREVER = -1
_DENIED_SECONDS = 5.0
_PLACEHOLDER = re.compile(r"<(\$(?:\.[\w\-/]+|\[\d+\])*|aws\.pipes\.[\w.\-]+)>")
_STEP = re.compile(r"\.([\w\-/]+)|\[(\d+)\]")


class Pipes:
    """Move stream records to buses in the name of each pipe's role, keeping each pipe's position in the snapshot."""

    def __init__(self, iam: Iam, poll_seconds: float, changed: Callable[[], None]) -> None:
        """Take over pipes from ministack: how CloudFormation makes them, and how they run.

        Args:
            iam: decides about the pipe's role.
            poll_seconds: delay between two looks at the streams.
            changed: told when a position moved.
        """
        self._iam = iam
        self._poll_seconds = poll_seconds
        self._changed = changed
        self._retries: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._running = False
        self._create = provisioners._pipes_pipe_create
        self._update = provisioners._pipes_pipe_update
        pipes._ensure_poller = _do_nothing
        handler = provisioners._RESOURCE_HANDLERS["AWS::Pipes::Pipe"]
        handler["create"] = self._provision
        handler["update"] = self._reprovision

    def start(self) -> None:
        """Begin to poll."""
        self._running = True
        threading.Thread(target=self._poll, daemon=True, name="pipes").start()

    def stop(self) -> None:
        """Move nothing more."""
        self._running = False

    def _provision(self, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        name, attributes = self._create(logical_id, props, stack_name)
        pipes._pipes[name].update({key: props.get(key, {}) for key in _KEPT})
        return name, attributes

    def _reprovision(
        self,
        physical_id: str,
        old_props: dict[str, Any],
        new_props: dict[str, Any],
        stack_name: str,
        logical_id: str | None = None,
    ) -> Any:
        name, attributes = self._update(physical_id, old_props, new_props, stack_name, logical_id)
        pipes._pipes[name].update({key: new_props.get(key, {}) for key in _KEPT})
        return name, attributes

    def _poll(self) -> None:
        while self._running:
            for _, _, pipe in pipes._iter_all_pipes():
                try:
                    self._poll_pipe(pipe)
                except Exception:
                    logger.exception("Pipe %s failed; it tries again", pipe["Name"])
                    self._not_before[pipe["Arn"]] = time.monotonic() + _DENIED_SECONDS
            time.sleep(self._poll_seconds)

    def _poll_pipe(self, pipe: dict[str, Any]) -> None:
        arn = pipe["Arn"]
        if pipe["CurrentState"] != "RUNNING" or time.monotonic() < self._not_before.get(arn, 0):
            return
        table = pipes._table_name_from_stream_arn(pipe["Source"])
        position = max(int(pipes._positions.get(arn, 0)), dynamodb.stream_start_position(table))
        records = dynamodb.stream_records_since(table, position, 100)
        if not records:
            return
        denied = [action for action in _READ_ACTIONS if not self._iam.role_may(pipe["RoleArn"], action, pipe["Source"])]
        if denied:
            logger.error("Pipe %s: its role lacks %s on %s", pipe["Name"], denied, pipe["Source"])
            self._not_before[arn] = time.monotonic() + _DENIED_SECONDS
            return
        for record in records:
            if not self._running or not self._move(pipe, record):
                return
            position += 1
            pipes._positions[arn] = position
            self._changed()

    def _move(self, pipe: dict[str, Any], record: dict[str, Any]) -> bool:
        """Deliver one record, or send it to the dead-letter queue; return whether the pipe may pass it."""
        record = {**record, "eventSourceARN": pipe["Source"]}
        if not _matches(pipe, record):
            return True
        arn = pipe["Arn"]
        try:
            self._put(pipe, record)
        except UndeliverableError as error:
            source = pipe["SourceParameters"].get("DynamoDBStreamParameters", {})
            limit = source.get("MaximumRetryAttempts", _FOREVER)
            retries = self._retries.get(arn, 0)
            logger.warning("Pipe %s, attempt %d: %s", pipe["Name"], retries + 1, error)
            if limit == _FOREVER or retries < limit:
                self._retries[arn] = retries + 1
                self._not_before[arn] = time.monotonic() + _RETRY_SECONDS * 2 ** min(retries, 6)
                return False
            self._dead_letter(pipe, record, (source.get("DeadLetterConfig") or {}).get("Arn"))
        self._retries.pop(arn, None)
        return True

    def _put(self, pipe: dict[str, Any], record: dict[str, Any]) -> None:
        if not self._iam.role_may(pipe["RoleArn"], "events:PutEvents", pipe["Target"]):
            raise UndeliverableError("NO_PERMISSIONS", f"{pipe['RoleArn']} may not events:PutEvents")
        target = pipe["TargetParameters"]
        bus = target.get("EventBridgeEventBusParameters", {})
        template = target.get("InputTemplate")
        put_event(
            pipe["Target"],
            source=_value(bus.get("Source", f"Pipe {pipe['Name']}"), record),
            detail_type=_value(bus.get("DetailType", "Event from aws:dynamodb"), record),
            detail=render(template, record, _reserved(pipe, record)) if template else json.dumps(record),
            resources=[_value(resource, record) for resource in bus.get("Resources", [])],
        )

    def _dead_letter(self, pipe: dict[str, Any], record: dict[str, Any], queue_arn: str | None) -> None:
        if queue_arn is None:
            logger.error("Pipe %s dropped a record: it has no dead-letter queue", pipe["Name"])
            return
        number = record["dynamodb"]["SequenceNumber"]
        arrival = datetime.fromtimestamp(record["dynamodb"]["ApproximateCreationDateTime"], UTC).isoformat()
        letter = {
            "context": {"partnerResourceArn": pipe["Arn"], "condition": "RetryAttemptsExhausted"},
            "version": "1.0",
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "DDBStreamBatchInfo": {
                "shardId": "shardId-00000000000000000000-00000000",
                "startSequenceNumber": number,
                "endSequenceNumber": number,
                "approximateArrivalOfFirstRecord": arrival,
                "approximateArrivalOfLastRecord": arrival,
                "batchSize": 1,
                "streamArn": pipe["Source"],
            },
        }
        if not self._iam.role_may(pipe["RoleArn"], "sqs:SendMessage", queue_arn):
            logger.error("Pipe %s: its role may not send to %s; the record is lost", pipe["Name"], queue_arn)
            return
        send_to_queue(queue_arn, json.dumps(letter))


def render(template: str, record: dict[str, Any], reserved: dict[str, str]) -> str:
    """Fill an InputTemplate.

    A placeholder within quotes is spliced in as text; elsewhere it becomes JSON, so that a string gets its quotes. What
    the record lacks becomes an empty string.

    Args:
        template: with placeholders such as ``<$.dynamodb.NewImage.id.S>``.
        record: what the paths start from.
        reserved: values of the ``aws.pipes.…`` placeholders.
    """
    pieces, end, quoted = [], 0, False
    for match in _PLACEHOLDER.finditer(template):
        before = template[end : match.start()]
        # A quote that is escaped does not end the string it is in.
        quoted ^= len(re.findall(r'(?<!\\)"', before)) % 2 == 1
        path = match[1]
        value = _lookup(path, record) if path.startswith("$") else reserved.get(path)
        value = "" if value is None else value
        text = json.dumps(value)
        if quoted:
            text = json.dumps(value if isinstance(value, str) else text)[1:-1]
        pieces += [before, text]
        end = match.end()
    return "".join([*pieces, template[end:]])


def _value(setting: str, record: dict[str, Any]) -> str:
    """Resolve a parameter that may be a path into the record."""
    return str(_lookup(setting, record) or "") if setting.startswith("$") else setting


def _lookup(path: str, record: Any) -> Any:
    for key, index in _STEP.findall(path):
        if key and isinstance(record, dict):
            record = record.get(key)
        elif index and isinstance(record, list) and int(index) < len(record):
            record = record[int(index)]
        else:
            return None
    return record


def _reserved(pipe: dict[str, Any], record: dict[str, Any]) -> dict[str, str]:
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {
        "aws.pipes.pipe-arn": pipe["Arn"],
        "aws.pipes.pipe-name": pipe["Name"],
        "aws.pipes.source-arn": pipe["Source"],
        "aws.pipes.target-arn": pipe["Target"],
        "aws.pipes.event.ingestion-time": now,
        "aws.pipes.event": json.dumps(record),
    }


def _matches(pipe: dict[str, Any], record: dict[str, Any]) -> bool:
    filters = pipe["SourceParameters"].get("FilterCriteria", {}).get("Filters", [])
    return not filters or any(
        eventbridge._matches_detail(record, alternative)
        for chosen in filters
        for alternative in eventbridge._compiled_pattern(chosen["Pattern"]) or ()
    )


def _do_nothing() -> None:
    """Stand in for ministack's own poller, which would deliver to other targets only."""
