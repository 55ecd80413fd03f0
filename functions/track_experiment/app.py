"""Tell the stack's MLflow tracking server of a run that has ended."""

from typing import Any

from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from tunedrop.bootstrap import Application, observed
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.observability import follow
from tunedrop.steps.track_experiment import TrackExperiment

application = Application.from_environment()


@observed
def handler(event: dict[str, Any], _context: LambdaContext) -> None:
    """Track the run that the event names; an event that comes again finds it tracked."""
    run_id = parse(event=event, model=RunStatusChanged).detail.run_id
    follow(run_id)
    track = TrackExperiment(
        application.files, application.training_log, application.experiments, application.settings.stack
    )
    if run := application.runs.get(run_id):
        track(run)
