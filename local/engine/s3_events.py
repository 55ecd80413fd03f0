"""Object events as S3 sends them: with the version's id, and none lost between an upload and a crash."""

from __future__ import annotations

import contextvars
import json
from typing import Any

from ministack.services import eventbridge, s3

_version_id: contextvars.ContextVar[str | None] = contextvars.ContextVar("version_id", default=None)


def install() -> None:
    """Take over the sending of object events from ministack."""
    dispatch = eventbridge._dispatch_event

    def dispatch_with_version(event: dict[str, Any], view: Any = None) -> None:
        version_id = _version_id.get()
        if event["Source"] == "aws.s3" and version_id:
            # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html: ministack leaves it out.
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version_id
            event, view = {**event, "Detail": json.dumps(detail)}, None
        dispatch(event, view)

    eventbridge._dispatch_event = dispatch_with_version
    s3._fire_s3_event_async = _fire


def _fire(
    bucket_name: str,
    key: str,
    event_name: str,
    *arguments: Any,
    version_id: str | None = None,
    **options: Any,
) -> None:
    """Send the event before the upload is answered, so that what was accepted has its event on disk."""
    token = _version_id.set(version_id)
    try:
        sequencer = s3._next_event_sequencer(event_name)
        s3._fire_s3_event(
            bucket_name, key, event_name, *arguments, version_id=version_id, sequencer=sequencer, **options
        )
    finally:
        _version_id.reset(token)
