"""CloudWatch's alarms, as AWS has them where ministack has less: of one metric's own dimensions, and announced.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from typing import Any

from ministack.services import cloudwatch

from local.engine.destinations import put_event

_EVENT = "CloudWatch Alarm State Change"


def install() -> None:
    """Judge alarms by their own dimensions, and put an event on the default bus whenever the state of one changes."""
    act = cloudwatch._dispatch_alarm_actions

    def act_and_announce(alarm: dict[str, Any], old_state: str, new_state: str, reason: str) -> None:
        act(alarm, old_state, new_state, reason)
        put_event("default", "aws.cloudwatch", _EVENT, json.dumps(_detail(alarm, old_state)), from_aws=True)

    cloudwatch._dispatch_alarm_actions = act_and_announce
    cloudwatch._evaluate_alarm = _evaluate


def measured(namespace: str, metric: str) -> None:
    """Judge the alarms on a metric that a service has just recorded."""
    for alarm in list(cloudwatch._alarms.values()):
        if (alarm.get("Namespace"), alarm.get("MetricName")) == (namespace, metric):
            _evaluate(alarm)


def _evaluate(alarm: dict[str, Any]) -> None:
    """Hold the points of the last periods against the threshold; without any, the state stays."""
    dimensions = {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or ()}
    key = alarm.get("Namespace"), alarm.get("MetricName"), cloudwatch._dims_key(dimensions)
    since = time.time() - alarm.get("Period", 60) * alarm.get("EvaluationPeriods", 1)
    points = [each for each in cloudwatch._metrics.get(key, ()) if each["Timestamp"] >= since]
    value = (
        cloudwatch._stat_value(cloudwatch._calc_stats(points), alarm.get("Statistic", "Average")) if points else None
    )
    if value is None:
        return
    operator, threshold = alarm["ComparisonOperator"], alarm["Threshold"]
    rings = {
        "GreaterThanOrEqualToThreshold": value >= threshold,
        "GreaterThanThreshold": value > threshold,
        "LessThanThreshold": value < threshold,
        "LessThanOrEqualToThreshold": value <= threshold,
    }[operator]
    reason = f"Threshold Crossed: 1 datapoint [{value}] was held against {operator} ({threshold})."
    state = "ALARM" if rings else "OK"
    if state != alarm["StateValue"]:
        old, alarm["StateValue"], alarm["StateReason"] = alarm["StateValue"], state, reason
        alarm["StateUpdatedTimestamp"] = int(time.time())
        cloudwatch._record_history(alarm["AlarmName"], old, state, reason)
        cloudwatch._dispatch_alarm_actions(alarm, old, state, reason)


def _detail(alarm: dict[str, Any], old_state: str) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f+0000")
    metric = {
        "namespace": alarm.get("Namespace", ""),
        "name": alarm.get("MetricName", ""),
        "dimensions": {each["Name"]: each["Value"] for each in alarm.get("Dimensions") or ()},
    }
    return {
        "alarmName": alarm["AlarmName"],
        "state": {"value": alarm["StateValue"], "reason": alarm.get("StateReason", ""), "timestamp": now},
        "previousState": {"value": old_state},
        "configuration": {"metrics": [{"metricStat": {"metric": metric, "period": alarm.get("Period", 60)}}]},
    }
