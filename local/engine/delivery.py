"""EventBridge targets: a delivery that fails is retried or goes to the target's dead-letter queue.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import threading
import time
from typing import Any

from ministack.services import eventbridge, sns, sqs, stepfunctions

from local.engine.async_queue import AsyncQueue
from local.engine.destinations import UndeliverableError, send_to_queue
from local.engine.faults import Faults

logger = logging.getLogger("local.engine.delivery")

_RETRY_SECONDS = 1.0
_DEFAULT_RETRIES = 185
_DEFAULT_AGE_SECONDS = 86400
# What no repetition mends goes to the dead-letter queue at once, as on AWS.
_PERMANENT = frozenset({"RESOURCE_NOT_FOUND", "NO_PERMISSIONS", "SDK_CLIENT_ERROR"})

_failure: contextvars.ContextVar[list[UndeliverableError] | None] = contextvars.ContextVar("failure", default=None)


class Delivery:
    """Hand events to targets as ministack does, but notice failure."""

    def __init__(self, async_queue: AsyncQueue, deliveries: int, faults: Faults) -> None:
        """Take over target invocation from ministack.

        Args:
            async_queue: where events for functions go.
            deliveries: how often each event is delivered to each target.
            faults: which of them are lost, late or doubled.
        """
        self.deliveries = deliveries
        self._faults = faults
        self._late = 0
        self._lock = threading.Lock()
        self._async_queue = async_queue
        self._invoke_target = eventbridge._invoke_target
        self._dispatch_to_sqs = eventbridge._dispatch_to_sqs
        self._dispatch_to_sns = eventbridge._dispatch_to_sns
        self._dispatch_to_event_bus = eventbridge._dispatch_to_event_bus
        self._dispatch_to_stepfunctions = eventbridge._dispatch_to_stepfunctions
        eventbridge._invoke_target = self._deliver
        eventbridge._dispatch_to_lambda = self._to_lambda
        eventbridge._dispatch_to_sqs = self._to_sqs
        eventbridge._dispatch_to_sns = self._to_sns
        eventbridge._dispatch_to_event_bus = self._to_event_bus
        eventbridge._dispatch_to_stepfunctions = self._to_stepfunctions

    def _deliver(self, target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any = None) -> None:
        for _ in range(self.deliveries):
            for delay in self._faults.deliveries(re.sub("-[^-]*$", "", rule.get("Name", ""))):
                if delay:
                    self._deliver_late(delay, target, event, rule, view)
                else:
                    self._attempt(target, event, rule, view, 0, time.time())

    def idle(self) -> bool:
        """Tell whether no event is late."""
        with self._lock:
            return not self._late

    def _deliver_late(
        self, delay: float, target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any
    ) -> None:
        def arrive() -> None:
            self._attempt(target, event, rule, view, 0, time.time())
            with self._lock:
                self._late -= 1

        with self._lock:
            self._late += 1
        timer = threading.Timer(delay, arrive)
        timer.daemon = True
        timer.start()

    def _attempt(
        self, target: dict[str, Any], event: dict[str, Any], rule: dict[str, Any], view: Any, retry: int, since: float
    ) -> None:
        failures: list[UndeliverableError] = []
        token = _failure.set(failures)
        try:
            self._invoke_target(target, event, rule, view)
        finally:
            _failure.reset(token)
        if not failures:
            return
        policy = target.get("RetryPolicy") or {}
        retries = policy.get("MaximumRetryAttempts", _DEFAULT_RETRIES)
        oldest = policy.get("MaximumEventAgeInSeconds", _DEFAULT_AGE_SECONDS)
        exhausted = ""
        if retry >= retries:
            exhausted = "MaximumRetryAttempts"
        elif time.time() - since > oldest:
            exhausted = "MaximumEventAgeInSeconds"
        if failures[0].code not in _PERMANENT and not exhausted:
            again = threading.Timer(
                _RETRY_SECONDS * 2 ** min(retry, 6), self._attempt, (target, event, rule, view, retry + 1, since)
            )
            again.daemon = True
            again.start()
            return
        self._dead_letter(target, event, rule, failures[0], retry, exhausted)

    def _dead_letter(
        self,
        target: dict[str, Any],
        event: dict[str, Any],
        rule: dict[str, Any],
        failure: UndeliverableError,
        retries: int,
        exhausted: str,
    ) -> None:
        logger.warning("Rule %s could not deliver to %s: %s", rule.get("Name"), target["Arn"], failure)
        queue_arn = (target.get("DeadLetterConfig") or {}).get("Arn")
        if not queue_arn:
            return
        body = json.dumps(eventbridge._pattern_event_view(event).event_with_detail())
        attributes = {
            "RULE_ARN": rule.get("Arn", ""),
            "TARGET_ARN": target["Arn"],
            "ERROR_CODE": failure.code,
            "ERROR_MESSAGE": failure.message,
            "RETRY_ATTEMPTS": str(retries),
            "EXHAUSTED_RETRY_CONDITION": exhausted,
        }
        try:
            send_to_queue(queue_arn, body, attributes)
        except UndeliverableError as error:
            logger.warning("The dead letter of rule %s was lost: %s", rule.get("Name"), error)

    def _note(self, error: Exception) -> None:
        failures = _failure.get()
        failure = error if isinstance(error, UndeliverableError) else UndeliverableError("INTERNAL_ERROR", str(error))
        if failures is None:
            raise failure
        failures.append(failure)

    def _to_lambda(self, arn: str, payload: str) -> None:
        try:
            self._async_queue.put(arn, json.loads(payload))
        except UndeliverableError as error:
            self._note(error)

    def _to_sqs(self, spec: Any, payload: str, sqs_parameters: dict[str, Any] | None = None) -> None:
        if sqs._queue_by_arn(str(spec)) is None:
            self._note(UndeliverableError("RESOURCE_NOT_FOUND", f"{spec} does not exist"))
            return
        self._dispatch_to_sqs(spec, payload, sqs_parameters)

    def _to_sns(self, arn: str, payload: str) -> None:
        if sns._topic_by_arn_any_scope(arn) is None:
            self._note(UndeliverableError("RESOURCE_NOT_FOUND", f"{arn} does not exist"))
            return
        self._dispatch_to_sns(arn, payload)

    def _to_event_bus(
        self, spec: Any, event: dict[str, Any], rule: dict[str, Any], event_path: Any, target_input_payload: Any = None
    ) -> None:
        if spec.resource.rsplit("/", 1)[-1] not in eventbridge._event_buses:
            self._note(UndeliverableError("RESOURCE_NOT_FOUND", f"{spec} does not exist"))
            return
        self._dispatch_to_event_bus(spec, event, rule, event_path, target_input_payload)

    def _to_stepfunctions(self, arn: str, payload: str) -> None:
        if stepfunctions._resolve_state_machine_arn(arn) is None:
            self._note(UndeliverableError("RESOURCE_NOT_FOUND", f"{arn} does not exist"))
            return
        self._dispatch_to_stepfunctions(arn, payload)
