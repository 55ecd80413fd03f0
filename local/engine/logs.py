"""CloudWatch log streams, written from inside the engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ministack.core import iam_actions
from ministack.services import cloudwatch_logs

from local.engine import embedded_metrics, settings

_PAGE = 10_000
"""Events of a page, at most."""
_OF_STREAMS = frozenset({"GetLogEvents", "PutLogEvents", "DeleteLogStream"})


def authorize_as_aws_does() -> None:
    """Name the resources of CloudWatch as policies must: a log's stream where there is one, else `<group>:*`; an alarm.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/iam-access-control-overview-cwl.html and, for alarms,
    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html
    """
    named = iam_actions.extract_resource_arn

    def resource_arn(
        service: str, method: str, path: str, headers: Mapping[str, str], body: bytes, *others: Any, **named_others: Any
    ) -> str:
        arn: str = named(service, method, path, headers, body, *others, **named_others)
        if service == "monitoring" and headers.get("x-amz-target", "").endswith(".DeleteAlarms"):
            alarms = json.loads(body).get("AlarmNames") or []
            place = f"{settings.REGION}:{settings.ACCOUNT_ID}"
            return f"arn:aws:cloudwatch:{place}:alarm:{alarms[0]}" if len(alarms) == 1 else arn
        if service != "logs" or ":log-group:" not in arn or arn.count(":") != 6:  # noqa: PLR2004 - a group's own ARN
            return arn
        stream = json.loads(body).get("logStreamName")
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        return f"{arn}:log-stream:{stream}" if stream and action in _OF_STREAMS else f"{arn}:*"

    iam_actions.extract_resource_arn = resource_arn


def filter_as_aws_does() -> None:
    """Let FilterLogEvents keep to streams that begin with `logStreamNamePrefix`, and go on after a page.

    ministack reads over the prefix, and ends after the first page. A token names the moment where the next page begins,
    and how many of its events were handed out.

    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
    """
    found = cloudwatch_logs._filter_log_events

    def filter_log_events(request: Mapping[str, Any]) -> Any:
        prefix = request.get("logStreamNamePrefix")
        group = cloudwatch_logs._resolve_log_group_name(request)
        if group not in cloudwatch_logs._log_groups:
            return found(request)
        asked = dict(request)
        if prefix:
            streams = [name for name in cloudwatch_logs._log_groups[group]["streams"] if name.startswith(prefix)]
            # Without a name all streams are taken: a stream has no empty name.
            asked["logStreamNames"] = streams or [""]
        token, given = request.get("nextToken"), 0
        if token:
            asked["startTime"], given = map(int, token.split("-"))
        limit = asked["limit"] = min(request.get("limit", _PAGE) + given, _PAGE)
        status, headers, body = found(asked)
        page = json.loads(body)
        events = page["events"]
        if len(events) == limit:
            last = events[-1]["timestamp"]
            page["nextToken"] = f"{last}-{sum(event['timestamp'] == last for event in events)}"
        return status, headers, json.dumps({**page, "events": events[given:]}, ensure_ascii=False).encode()

    cloudwatch_logs._filter_log_events = filter_log_events


def put(group: str, stream: str, lines: Iterable[tuple[int, str]]) -> None:
    """Append lines (epoch milliseconds, text) to a stream, made when missing, and record the metrics among them."""
    if group not in cloudwatch_logs._log_groups:
        cloudwatch_logs._create_log_group({"logGroupName": group})
    if stream not in cloudwatch_logs._log_groups[group]["streams"]:
        cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    events = [{"timestamp": at, "message": text} for at, text in lines if text]
    for event in events:
        embedded_metrics.extract(str(event["message"]))
    if events:
        cloudwatch_logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": events})
