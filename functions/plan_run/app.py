"""Plan the run of a drop: create it, and freeze what it will do."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.adapters.jumpstart import JumpStartCatalogue
from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import ObjectCreated, PlanEvent
from tunedrop.domain.decide import Effect
from tunedrop.domain.planning import PlanRules
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Change, Drop
from tunedrop.domain.stack_parameters import StackParameterError
from tunedrop.ports import Catalogue
from tunedrop.steps.advance import Performer
from tunedrop.steps.champions import FormerChampions
from tunedrop.steps.plan import Account, BedrockRoom, PlanRun, refuse_all
from tunedrop.steps.plan_rules import rules_of
from tunedrop.steps.reconcile import new_run

application = Application.from_environment()
settings = application.settings
catalogue: Catalogue = (
    application.hub(settings.private_hub) if settings.private_hub else JumpStartCatalogue(settings.region)
)
try:
    rules: PlanRules | tuple[Problem, ...] = rules_of(settings)
except StackParameterError as error:
    # A run that cannot be planned is to end with the reason, not in the dead-letter queue.
    rules = error.problems


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Create the run of an uploaded `tune.yaml`, and plan it."""
    seen = parse(event=event, model=PlanEvent).root
    run_id = _run_of_drop(seen) if isinstance(seen, ObjectCreated) else seen.detail.run_id
    application.advance(run_id, {Effect.PLAN: _planner()})


def _planner() -> Performer:
    if not isinstance(rules, PlanRules):
        return refuse_all(rules)
    former = FormerChampions(application.runs, application.imports, application.clock, settings.stack)
    return PlanRun(
        application.drops,
        application.files,
        catalogue,
        application.clock,
        rules,
        application.network,
        application.keys,
        Account(application.quotas, BedrockRoom(application.imports, application.quotas, former)),
        application.prices,
    )


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
