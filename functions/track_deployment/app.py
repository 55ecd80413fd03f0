"""Follow imports and endpoints, on a schedule: Bedrock announces nothing, and SageMaker nothing of components."""

from itertools import islice
from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import DeploymentEvent, EndpointStateChange
from tunedrop.domain import names
from tunedrop.domain.decide import Effect
from tunedrop.domain.measures import of_imports
from tunedrop.domain.run import Run, Tracked
from tunedrop.errors import TransientError
from tunedrop.observability import logger, measure
from tunedrop.steps.reconcile import Nudge
from tunedrop.steps.track import DescribeImport

WOKEN_AT_ONCE = 3
"""One of those that wait gets the slot, the oldest unless it cannot; to wake hundreds would be hundreds of refusals."""

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Look at every running import, then wake the runs that wait for more; the next tick tries what failed."""
    seen = parse(event=event, model=DeploymentEvent).root
    nudge = Nudge(application.runs, application.clock)
    if isinstance(seen, EndpointStateChange):
        stack, name = application.settings.stack, seen.detail.endpoint_name
        run_id = names.run_of_endpoint(stack, name) or names.run_of_base_endpoint(stack, name)
        run = application.runs.get(run_id) if run_id else None
        if run:
            nudge(run)
        return
    runs, tracked = application.runs, application.runs.tracked()
    measure(of_imports(len(tracked[Tracked.IMPORT]), len(tracked[Tracked.SLOT])))
    for run in runs.read(tracked[Tracked.ENDPOINT]):
        nudge(run)
    importing = [run for run in runs.read(tracked[Tracked.IMPORT]) if _still_imports(run)]
    if importing:
        return
    next_ones = (run for run in runs.read(tracked[Tracked.SLOT]) if run.tracked is Tracked.SLOT and nudge(run))
    logger.info("Woken", extra={"runs": [run.run_id for run in islice(next_ones, WOKEN_AT_ONCE)]})


def _still_imports(run: Run) -> bool:
    try:
        looked = application.advance(run.run_id, {Effect.DESCRIBE_IMPORT: DescribeImport(application.imports)})
    except TransientError:
        logger.exception("The import could not be looked at")
        return True
    return looked is not None and looked.tracked is Tracked.IMPORT
