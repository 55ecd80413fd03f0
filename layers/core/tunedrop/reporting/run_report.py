"""All that a run's page is made of."""

from dataclasses import dataclass, field
from datetime import datetime

from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.plan_document import PlanDocument
from tunedrop.domain.run import Run
from tunedrop.domain.training_curve import TrainingCurves
from tunedrop.validation.report import ValidationReport

SIDES = {"candidate": "tuned", "base": "base", "champion": "champion"}
"""What people call the models that are compared."""


@dataclass(frozen=True)
class RunReport:
    """Hold a run that has ended, and the files beside it, as far as it came to them."""

    run: Run
    made_at: datetime
    evaluation: EvaluationReport | None = None
    validation: ValidationReport | None = None
    plan: PlanDocument | None = None
    curves: TrainingCurves = field(default_factory=TrainingCurves)
