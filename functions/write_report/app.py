"""Write the report of a run that has ended."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.domain.decide import Effect
from tunedrop.steps.report import WriteReport

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Write the page of the run that the event names."""
    run_id = parse(event=event, model=RunStatusChanged).detail.run_id
    write = WriteReport(application.files, application.training_log, application.clock)
    application.advance(run_id, {Effect.WRITE_REPORT: write})
