"""Put the ranges of a large dataset together, at the end of the validation workflow."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.observability import follow
from tunedrop.steps.scan_ranges import MergeScans, ScansToMerge

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Write the report of the run's dataset."""
    run_id = parse(event=event, model=ScansToMerge).run_id
    follow(run_id)
    MergeScans(application.drops, application.files)(run_id)
