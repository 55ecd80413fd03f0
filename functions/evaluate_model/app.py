"""Compare the tuned model with the base, and promote it when it is better."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.domain.decide import Effect
from tunedrop.steps.champions import Promote, PublishAlias
from tunedrop.steps.evaluate import ScoreModels

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Evaluate the model of the run that the event names."""
    run_id = parse(event=event, model=RunStatusChanged).detail.run_id
    publish = PublishAlias(application.runs, application.aliases, application.settings.stack)
    score = ScoreModels(
        application.imports,
        application.conversation,
        application.runs,
        application.files,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    promote = Promote(application.runs)
    application.advance(run_id, {Effect.SCORE: score, Effect.PROMOTE: promote, Effect.PUBLISH_ALIAS: publish})
