"""Write the page that tells a run's whole story, and the model's card, once the run has ended."""

import json
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from tunedrop.domain import names
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.model import Record
from tunedrop.domain.observations import Observation, ReportWritten
from tunedrop.domain.plan_document import PlanDocument
from tunedrop.domain.run import Run
from tunedrop.domain.training_curve import TrainingCurves, training_curves
from tunedrop.ports import Clock, RunFiles, TrainingLog
from tunedrop.reporting.model_card import markdown, model_card
from tunedrop.reporting.page import render
from tunedrop.reporting.run_report import RunReport
from tunedrop.validation.report import ValidationReport

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class WriteReport:
    """Gather what lies beside a run and in its training job's log, and write the page, and the model's card."""

    files: RunFiles
    log: TrainingLog
    clock: Clock

    def __call__(self, run: Run) -> Observation:
        """Write them; writing them twice does no harm."""
        report = RunReport(
            run=run,
            made_at=self.clock.now(),
            evaluation=self._read(EvaluationReport, names.evaluation_report_key(run.run_id)),
            validation=self._read(ValidationReport, names.report_key(run.run_id)),
            plan=self._read(PlanDocument, names.plan_key(run.run_id)),
            curves=self._curves(run),
        )
        if card := model_card(report):
            text = markdown(card, f"Model card: {run.dataset}")
            self.files.write(names.model_card_key(run.run_id, "json"), json.dumps(card, indent=1).encode())
            self.files.write(names.model_card_key(run.run_id, "md"), text.encode())
        key = names.run_page_key(run.run_id)
        self.files.write(key, render(report).encode())
        return ReportWritten(uri=self.files.uri(key))

    def _read(self, kind: type[R], key: str) -> R | None:
        """Read a file of the run; None where it did not come to that, or another version of Tunedrop wrote it."""
        content = self.files.read(key)
        try:
            return kind.model_validate_json(content) if content else None
        except ValidationError:
            return None

    def _curves(self, run: Run) -> TrainingCurves:
        if run.training is None or run.plan is None:
            return TrainingCurves()
        return training_curves(self.log.lines(run.training.job_name), run.plan.training.metrics)
