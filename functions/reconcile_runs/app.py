"""Make the records and AWS agree, on a schedule."""

from datetime import timedelta
from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.adapters.clock import FixedClock
from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import Tick
from tunedrop.domain.measures import of_models
from tunedrop.observability import logger, measure
from tunedrop.steps.reconcile import Reconcile

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Look at all that lives."""
    tick = parse(event=event, model=Tick)
    reconcile = Reconcile(
        application.runs,
        application.drops,
        application.jobs,
        application.imports,
        application.judges,
        application.endpoints,
        application.aliases,
        FixedClock(tick.time),
        application.settings.stack,
        timedelta(days=application.settings.keep_champion_days),
    )
    logger.info("Reconciled", extra=reconcile())
    measure(of_models(name for name, _ in reconcile.imported.models(f"{application.settings.stack}-")))
