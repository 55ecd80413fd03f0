"""Follow the import jobs, on a schedule: Bedrock announces nothing of them."""

from itertools import islice
from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import Tick
from tunedrop.domain.decide import Effect
from tunedrop.domain.measures import of_imports
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import TransientError
from tunedrop.observability import logger, measure
from tunedrop.steps.reconcile import Nudge
from tunedrop.steps.track import DescribeImport

WOKEN_AT_ONCE = 3
"""One of those that wait gets the slot, the oldest unless it cannot; to wake hundreds would be hundreds of refusals."""

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Look at every running import, then wake the runs that wait for the slot; the next tick tries what failed."""
    parse(event=event, model=Tick)
    deploying = list(application.runs.live(RunStatus.DEPLOYING))
    measure(of_imports(deploying))
    importing = [run for run in deploying if run.deployment and _still_imports(run)]
    if importing:
        return
    nudge = Nudge(application.runs, application.clock)
    woken = (run for run in deploying if not run.deployment and nudge(run))
    logger.info("Woken", extra={"runs": [run.run_id for run in islice(woken, WOKEN_AT_ONCE)]})


def _still_imports(run: Run) -> bool:
    try:
        looked = application.advance(run.run_id, {Effect.DESCRIBE_IMPORT: DescribeImport(application.imports)})
    except TransientError:
        logger.exception("The import could not be looked at")
        return True
    return looked is not None and looked.status is RunStatus.DEPLOYING
