"""Follow the import jobs, on a schedule: Bedrock announces nothing of them."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import Tick
from tunedrop.domain.decide import Effect
from tunedrop.domain.measures import of_imports
from tunedrop.domain.run import RunStatus
from tunedrop.errors import TransientError
from tunedrop.observability import logger, measure
from tunedrop.steps.reconcile import Nudge
from tunedrop.steps.track import DescribeImport

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Look at every running import, then wake the runs that wait for the slot; the next tick tries what failed."""
    parse(event=event, model=Tick)
    deploying = list(application.runs.live(RunStatus.DEPLOYING))
    measure(of_imports(deploying))
    for run in deploying:
        if run.deployment:
            try:
                application.advance(run.run_id, {Effect.DESCRIBE_IMPORT: DescribeImport(application.imports)})
            except TransientError:
                logger.exception("The import could not be looked at")
    nudge = Nudge(application.runs, application.clock)
    for run in deploying:
        if not run.deployment:
            nudge(run)
