"""Tell MLflow of a run that has ended."""

from dataclasses import dataclass

from pydantic import ValidationError

from tunedrop.domain import names
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.run import Run
from tunedrop.domain.tracking import tracked_run
from tunedrop.domain.training_curve import TrainingCurves, training_curves
from tunedrop.ports import Experiments, RunFiles, TrainingLog


@dataclass(frozen=True)
class TrackExperiment:
    """Gather what the run came to, and track it; a run that is tracked already stays as it is."""

    files: RunFiles
    log: TrainingLog
    experiments: Experiments
    stack: str

    def __call__(self, run: Run) -> None:
        """Track the run; raises TransientError."""
        self.experiments.track(tracked_run(self.stack, run, self._evaluation(run), self._curves(run)))

    def _evaluation(self, run: Run) -> EvaluationReport | None:
        content = self.files.read(names.evaluation_report_key(run.run_id))
        try:
            return EvaluationReport.model_validate_json(content) if content else None
        except ValidationError:  # another version of Tunedrop wrote it
            return None

    def _curves(self, run: Run) -> TrainingCurves:
        if run.training is None or run.plan is None:
            return TrainingCurves()
        return training_curves(self.log.lines(run.training.job_name), run.plan.training.metrics)
