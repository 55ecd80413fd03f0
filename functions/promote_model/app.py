"""Make another run's model the champion of its dataset: because a person asks for it, or an alarm does."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import AlarmStateChange, ChampionEvent, EndpointWanted, PromotionRequested
from tunedrop.domain.decide import Effect
from tunedrop.domain.endpoint_requests import run_of_error_alarm
from tunedrop.domain.observations import Observation
from tunedrop.observability import logger
from tunedrop.steps.advance import LOOKED
from tunedrop.steps.champions import PublishAlias, RollBack, failing, request, wanted
from tunedrop.steps.endpoint import ServedModels

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Grant or refuse what the event asks for; write the alias of a run that was promoted, if that is left to do."""
    seen = parse(event=event, model=ChampionEvent).root
    first: Observation = LOOKED
    stack, served = application.settings.stack, ServedModels(application.imports, application.endpoints)
    if isinstance(seen, AlarmStateChange):
        alarm = seen.detail
        run_id = run_of_error_alarm(stack, alarm.alarm_name)
        if run_id is None:
            return
        logger.warning("A champion fails", extra={"alarm": alarm.alarm_name, "because": alarm.state.reason})
        first = failing(application.runs, application.runs.get(run_id), alarm.state.reason)
    else:
        run_id = seen.detail.run_id
    if isinstance(seen, PromotionRequested):
        asked = seen.detail
        run = application.runs.get(asked.run_id)
        logger.info("Promotion requested", extra=asked.model_dump())
        if run is None or run.dataset != asked.dataset:
            logger.warning("The dataset has no such run", extra={"run_id": asked.run_id, "dataset": asked.dataset})
            return
        first = request(
            served,
            run,
            asked.request_id,
            asked.requested_by,
            asked.instead_of or None,
        )
    elif isinstance(seen, EndpointWanted):
        logger.info("Endpoint wanted", extra=seen.detail.model_dump())
        first = wanted(served, application.runs.get(run_id), seen.detail.requested_by)
    publish = PublishAlias(application.runs, application.aliases, stack)
    back = RollBack(application.runs, served, publish, application.clock)
    application.advance(run_id, {Effect.PUBLISH_ALIAS: publish, Effect.ROLL_BACK: back}, first)
