"""Validate every row of a planned drop, and write the channels that training reads."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import ExecutionStatusChange, WorkflowEvent
from tunedrop.domain import names
from tunedrop.domain.decide import Effect
from tunedrop.domain.observations import Looked, Observation, WaitOver
from tunedrop.steps.validate import ValidateDataset

MEGABYTE = 1 << 20

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Validate the dataset of the run that the event names; an execution that a person started is nobody's."""
    seen = parse(event=event, model=WorkflowEvent).root
    first: Observation = Looked()
    if isinstance(seen, ExecutionStatusChange):
        run_id, first = names.run_of_execution(seen.detail.name), WaitOver()
    else:
        run_id = seen.detail.run_id
    settings = application.settings
    validate = ValidateDataset(
        application.drops,
        application.files,
        application.models,
        application.workflows,
        at_once_bytes=int(settings.validate_at_once_megabytes * MEGABYTE),
        range_bytes=int(settings.validation_range_megabytes * MEGABYTE),
    )
    if run_id:
        application.advance(run_id, {Effect.VALIDATE: validate}, first)
