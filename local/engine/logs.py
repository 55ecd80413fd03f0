"""CloudWatch log streams, written from inside the engine."""

from __future__ import annotations

from collections.abc import Iterable

from ministack.services import cloudwatch_logs


def put(group: str, stream: str, lines: Iterable[tuple[int, str]]) -> None:
    """Append lines (epoch milliseconds, text) to a stream; group and stream are made when missing."""
    if group not in cloudwatch_logs._log_groups:
        cloudwatch_logs._create_log_group({"logGroupName": group})
    if stream not in cloudwatch_logs._log_groups[group]["streams"]:
        cloudwatch_logs._create_log_stream({"logGroupName": group, "logStreamName": stream})
    events = [{"timestamp": at, "message": text} for at, text in lines if text]
    if events:
        cloudwatch_logs._put_log_events({"logGroupName": group, "logStreamName": stream, "logEvents": events})
