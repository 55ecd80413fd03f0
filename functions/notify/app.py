"""Tell people over SNS where a run stands."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.domain.decide import Effect
from tunedrop.steps.tell import ClaimNotice, SendNotice

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Send the notice of the run that the event names; Lambda's retries keep the request id, and so the claim."""
    run_id = parse(event=event, model=RunStatusChanged).detail.run_id
    token = context.aws_request_id
    region = application.settings.region
    send = SendNotice(application.notifier, application.files, application.clock, region, token)
    application.advance(run_id, {Effect.CLAIM_NOTICE: ClaimNotice(token), Effect.SEND_NOTICE: send})
