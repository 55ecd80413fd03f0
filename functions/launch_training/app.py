"""Launch the training job of a run whose data is accepted."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.domain.decide import Effect
from tunedrop.steps.launch import LaunchTraining, ReserveRoom
from tunedrop.steps.track import DescribeTraining

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Launch the training of the run that the event names."""
    run_id = parse(event=event, model=RunStatusChanged).detail.run_id
    settings = application.settings
    launch = LaunchTraining(application.jobs, settings.stack, settings.training_role_arn, settings.run_bucket)
    application.advance(
        run_id,
        {
            Effect.SETTLE: DescribeTraining(application.jobs),
            Effect.RESERVE: ReserveRoom(settings.stack),
            Effect.LAUNCH: launch,
        },
    )
