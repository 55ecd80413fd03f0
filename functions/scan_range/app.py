"""Scan one range of a large dataset, as the validation workflow asks."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.observability import follow
from tunedrop.steps.scan_ranges import RangeToScan, ScanRange

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> int:
    """Scan the range, and return its number."""
    part = parse(event=event, model=RangeToScan)
    follow(part.run_id)
    return ScanRange(application.drops, application.files, application.models)(part)
