"""Compare the tuned model with the base, and promote it when it is better."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import ExecutionStatusChange, WorkflowEvent
from tunedrop.domain import names
from tunedrop.domain.decide import Effect
from tunedrop.domain.observations import Looked, Observation, WaitOver
from tunedrop.steps.advance import Performer
from tunedrop.steps.ask_rows import AskRows
from tunedrop.steps.champions import Promote, PublishAlias
from tunedrop.steps.endpoint import ServedModels
from tunedrop.steps.evaluate import ScoreModels
from tunedrop.steps.judge import CallJudge, HearJudge

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Evaluate the model of the run that the event names; an execution that a person started is nobody's."""
    seen = parse(event=event, model=WorkflowEvent).root
    first: Observation = Looked()
    if isinstance(seen, ExecutionStatusChange):
        run_id, first = names.run_of_execution(seen.detail.name), WaitOver()
    else:
        run_id = seen.detail.run_id
    settings = application.settings
    ask = AskRows(
        application.conversation,
        application.files,
        seconds_left=lambda: context.get_remaining_time_in_millis() / 1000,
    )
    score = ScoreModels(
        ServedModels(application.imports, application.endpoints),
        application.runs,
        application.files,
        application.evaluations,
        ask,
        at_once_rows=settings.evaluate_at_once_rows,
        range_rows=settings.evaluation_range_rows,
        clock=application.clock,
    )
    promote = Promote(application.runs)
    publish = PublishAlias(application.runs, application.aliases, settings.stack)
    performers: dict[Effect, Performer] = {
        Effect.SCORE: score,
        Effect.CALL_JUDGE: CallJudge(application.judges, application.files, settings.stack),
        Effect.HEAR_JUDGE: HearJudge(application.judges, application.files),
        Effect.PROMOTE: promote,
        Effect.PUBLISH_ALIAS: publish,
    }
    if run_id:
        application.advance(run_id, performers, first)
