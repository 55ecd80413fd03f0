"""Plan the run of a drop: create it, and freeze what it will do."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.adapters.jumpstart import JumpStartCatalogue
from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import ObjectCreated, PlanEvent
from tunedrop.domain.decide import Effect
from tunedrop.domain.run import Change, Drop
from tunedrop.ports import Catalogue
from tunedrop.steps.plan import PlanRun
from tunedrop.steps.plan_rules import rules_of
from tunedrop.steps.reconcile import new_run

application = Application.from_environment()
settings = application.settings
catalogue: Catalogue = (
    application.hub(settings.private_hub) if settings.private_hub else JumpStartCatalogue(settings.region)
)
rules = rules_of(settings)


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Create the run of an uploaded `tune.yaml`, and plan it."""
    seen = parse(event=event, model=PlanEvent).root
    run_id = _run_of_drop(seen) if isinstance(seen, ObjectCreated) else seen.detail.run_id
    plan = PlanRun(
        application.drops,
        application.files,
        catalogue,
        application.clock,
        rules,
        application.network,
        application.keys,
    )
    application.advance(run_id, {Effect.PLAN: plan})


def _run_of_drop(event: ObjectCreated) -> str:
    drop = Drop(
        bucket=event.detail.bucket.name,
        key=event.detail.object.key,
        version_id=event.detail.object.version_id,
        etag=event.detail.object.etag,
        uploaded_by=event.detail.requester,
    )
    run = new_run(drop, application.clock, Change.ENTERED)
    application.runs.create(run)
    return run.run_id
