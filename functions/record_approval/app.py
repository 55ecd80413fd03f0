"""Launch or reject a run that waits for approval, as a person says."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import ApprovalEvent, ApprovalGiven
from tunedrop.domain.observations import ApprovalRefused, Approved, Observation

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Record the answer in the run that the event names; one that waits for none is left as it is."""
    seen = parse(event=event, model=ApprovalEvent).root
    answer: Observation
    if isinstance(seen, ApprovalGiven):
        answer = Approved(by=seen.detail.requested_by)
    else:
        answer = ApprovalRefused(by=seen.detail.requested_by, reason=seen.detail.reason)
    application.advance(seen.detail.run_id, {}, answer)
