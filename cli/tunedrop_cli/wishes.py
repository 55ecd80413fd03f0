"""What a person asks the application for: an event on its own bus, and the answer in the run's record."""

import json
import time
import uuid

from tunedrop.domain.run import Run
from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError
from tunedrop_cli.records import RunRecords

SOURCE = "tunedrop.user"

PATIENCE_SECONDS = 120.0
"""How long an answer is waited for; EventBridge and a cold function take seconds."""

POLL_SECONDS = 0.5


def send(stack: Stack, detail_type: str, detail: dict[str, str]) -> str:
    """Put a wish on the stack's bus, in the caller's name; returns the request's id."""
    request_id = str(uuid.uuid4())
    caller = stack.client("sts").get_caller_identity()["Arn"]
    entry = {
        "EventBusName": stack.bus,
        "Source": SOURCE,
        "DetailType": detail_type,
        "Detail": json.dumps({"request_id": request_id, "requested_by": caller, **detail}),
    }
    (answer,) = stack.client("events").put_events(Entries=[entry])["Entries"]
    if "ErrorCode" in answer:
        raise CommandError(f"EventBridge did not take the request: {answer['ErrorCode']} {answer['ErrorMessage']}")
    return request_id


def promote(stack: Stack, records: RunRecords, run: Run, instead_of: str) -> None:
    """Ask to make a run's model the champion, and wait until the alias says so; raises CommandError if refused."""
    detail = {"dataset": run.dataset, "run_id": run.run_id, "instead_of": instead_of}
    request_id = send(stack, "Promotion Requested", detail)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        seen = records.get(run.run_id)
        if seen and seen.promotion and seen.promotion.request == request_id and seen.promotion.published:
            return
        if seen and seen.promotion_refused and seen.promotion_refused.request == request_id:
            raise CommandError(f"Not promoted: {seen.promotion_refused.reason}", f"See: tunedrop aliases {run.dataset}")
        time.sleep(POLL_SECONDS)
    raise CommandError(
        f"The request {request_id} was sent, and not answered within {PATIENCE_SECONDS / 60:.0f} minutes.",
        f"It may still be granted: tunedrop aliases {run.dataset}. What fails for good: tunedrop redrive",
    )
