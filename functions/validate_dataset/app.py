"""Validate every row of a planned drop, and write the channels that training reads."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.domain.decide import Effect
from tunedrop.steps.validate import ValidateDataset

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Validate the dataset of the run that the event names."""
    run_id = parse(event=event, model=RunStatusChanged).detail.run_id
    application.advance(run_id, {Effect.VALIDATE: ValidateDataset(application.drops, application.files)})
