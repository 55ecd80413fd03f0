"""Follow a training job to its end."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import TrainingEvent, TrainingJobStateChange
from tunedrop.domain import names
from tunedrop.domain.decide import Effect
from tunedrop.steps.track import DescribeTraining

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Look at the training job of a run; another stack's job is nobody's business here."""
    seen = parse(event=event, model=TrainingEvent).root
    if isinstance(seen, TrainingJobStateChange):
        run_id = names.run_of_training_job(application.settings.stack, seen.detail.training_job_name)
    else:
        run_id = seen.detail.run_id
    if run_id:
        describe = DescribeTraining(application.jobs, application.training_log)
        application.advance(run_id, {Effect.DESCRIBE_TRAINING: describe, Effect.SETTLE: describe})
