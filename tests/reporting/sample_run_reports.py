"""Reports of runs that ended in every way, with a bit of everything, and variations of them."""

from datetime import timedelta
from typing import Any

from tests.domain import sample_runs
from tests.domain.sample_runs import NOW, STARTED, run
from tests.validation import sample_reports
from tunedrop.domain.cost_estimate import CostEstimate, Range, TokenCount
from tunedrop.domain.evaluation_report import (
    Confusion,
    EvaluationReport,
    LabelCounts,
    LabelResult,
    SegmentResult,
    SideBySide,
)
from tunedrop.domain.jumpstart import MetricDefinition
from tunedrop.domain.run import (
    AnswerPrice,
    Comparison,
    FailedAttempt,
    Judgement,
    JudgeScore,
    Run,
    RunStatus,
    Score,
    Stage,
)
from tunedrop.domain.training_curve import TrainingCurves, training_curves
from tunedrop.reporting.run_report import RunReport

LABELS = ("Office Supplies", "Crew Meals", "Fuel", "Rent", "Software", "Travel", "Bank Fees", "Insurance")

METRICS = (
    MetricDefinition(name="huggingface-textgeneration:eval-loss", regex=r"eval_epoch_loss=tensor\(([0-9\.]+)"),
    MetricDefinition(name="huggingface-textgeneration:train-loss", regex=r"train_epoch_loss=([0-9\.]+)"),
)

LOG = [
    line
    for epoch, validation in ((1, 0.61), (2, 0.34), (3, 0.22))
    for line in (
        *(
            f"Training Epoch: {epoch}/3, step {step}/72 completed (loss: {2.8 / ((epoch - 1) * 72 + step) ** 0.45:.6f})"
            for step in range(1, 73)
        ),
        f"Epoch {epoch}: train_perplexity=1.5, train_epoch_loss={validation * 0.8:.6f}, epoch time 31s",
        f"eval_ppl=tensor(1.3592) eval_epoch_loss=tensor({validation})",
    )
]


def curves() -> TrainingCurves:
    return training_curves(LOG, METRICS)


def _score(model_id: str, correct: int, price: AnswerPrice | None) -> Score:
    value = correct / 80
    return Score(
        model_id=model_id,
        value=value,
        metrics={"exact_match": value, "label_accuracy": value, "anls": min(1, value + 0.1), "rouge_l": value},
        correct=correct,
        rows=80,
        mean_latency_ms=412.7,
        input_tokens=9_120,
        output_tokens=331,
        price=price,
    )


def _compared(gain: float) -> Comparison:
    return Comparison(
        gain=gain,
        low=gain - 0.11,
        high=gain + 0.1,
        p_value=0.0001 if gain > 0.2 else 0.034,
        better=21,
        worse=3,
        rows=80,
        documents=80,
    )


def evaluation(**changes: Any) -> EvaluationReport:
    sides = {
        "candidate": _score(sample_runs.MODEL_ARN, 61, AnswerPrice(busy=0.1643, alone=785)),
        "base": _score("meta.llama3-8b-instruct-v1:0", 12, None),
        "champion": _score("arn:aws:bedrock:us-east-1:123456789012:imported-model/zzz999", 49, None),
    }
    values: dict[str, Any] = {
        "metric": "exact_match",
        "min_gain": 0.05,
        "passed": True,
        "verdict": "The tuned model scored 0.762, 0.612 better than the base model (0.150).",
        "sides": sides,
        "comparisons": {
            "base": dict.fromkeys(sides["candidate"].metrics, _compared(0.612)),
            "champion": dict.fromkeys(sides["candidate"].metrics, _compared(0.15)),
        },
        "guess": 0.2,
        "guess_comparison": _compared(0.56),
        "labels": tuple(
            LabelResult(
                label=label,
                rows=16 - 2 * place,
                sides={
                    "candidate": LabelCounts(right=max(0, 14 - 3 * place), answered=16 - 2 * place),
                    "base": LabelCounts(right=2 if place < 3 else 0, answered=5 if place < 3 else 0),
                    "champion": LabelCounts(right=max(0, 12 - 3 * place), answered=13),
                },
            )
            for place, label in enumerate(LABELS)
        ),
        "confusions": (
            Confusion(side="candidate", expected="Rent", answered="Software", rows=4),
            Confusion(side="candidate", expected="Crew Meals", answered="Travel", rows=2),
            Confusion(side="candidate", expected="Fuel", answered=None, rows=1),
            Confusion(side="base", expected="Rent", answered=None, rows=8),
        ),
        "segments": (
            SegmentResult(segment="bakery", rows=40, values={"candidate": 0.9, "base": 0.2, "champion": 0.7}),
            SegmentResult(segment="garage", rows=30, values={"candidate": 0.55, "base": 0.1, "champion": 0.5}),
            SegmentResult(segment=None, rows=10, values={"candidate": 0.8, "base": 0.1, "champion": 0.6}),
        ),
        "differing": 66,
        "side_by_side": (
            SideBySide(
                row=3,
                prompt="Name the account.\n\nDEBIT CASA LUMEN | $222.80 | Sat 03 Oct",
                expected=("Crew Meals",),
                answers={
                    "candidate": "Crew Meals",
                    "base": "The account is likely a restaurant or a café.\n\nLet me explain: " + "because " * 40,
                    "champion": "Travel",
                },
                scores={"candidate": 1.0, "base": 0.0, "champion": 0.0},
            ),
            SideBySide(
                row=41,
                prompt="Name the account.\n\nACH METRO OFFICE DEPOT | $18.02 | Mon 12 Oct",
                expected=("Office Supplies", "Supplies"),
                answers={"candidate": "Software", "base": "Office Supplies", "champion": "Office"},
                scores={"candidate": 0.0, "base": 1.0, "champion": 0.4},
            ),
        ),
    }
    return EvaluationReport(**(values | changes))


JUDGEMENT = Judgement(
    evaluator_model="amazon.nova-pro-v1:0",
    since=sample_runs.STARTED,
    over=True,
    rival="base",
    rows=1000,
    of_rows=5000,
    scores={
        "Correctness": JudgeScore(candidate=0.8125, rival=0.25, rows=998, comparison=_compared(0.5625)),
        "Harmfulness": JudgeScore(candidate=0.001, rival=0.002, rows=1000, comparison=_compared(-0.001)),
    },
)

HISTORY = tuple(
    Stage(status=status, entered_at=STARTED + timedelta(seconds=seconds))
    for status, seconds in (
        (RunStatus.VALIDATING, 4),
        (RunStatus.LAUNCHING, 9),
        (RunStatus.TRAINING, 14),
        (RunStatus.DEPLOYING, 471),
        (RunStatus.EVALUATING, 640),
        (RunStatus.PROMOTED, 750),
    )
)

ESTIMATE = CostEstimate(
    tokens=TokenCount(low=20_000, likely=21_000, high=23_000, basis="the model's tokenizer"),
    epochs=3,
    hours=Range(low=0.05, likely=0.1, high=0.2),
    usd=Range(low=0.36, likely=0.72, high=1.44),
    usd_per_hour=7.2,
    basis=("Made up.",),
    notes=(),
)

PLAN = sample_runs.PLAN.model_copy(
    update={
        "estimate": ESTIMATE,
        "budget_usd": 40.0,
        "warnings": ("max_input_length is JumpStart's default.",),
        "training": sample_runs.TRAINING_PLAN.model_copy(update={"metrics": METRICS}),
    }
)


def ended(status: RunStatus, **changes: Any) -> Run:
    """Make a run that ended so."""
    facts: dict[str, Any] = {"history": HISTORY, "request_hash": "5f3c" * 16}
    if status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED):
        report = evaluation()
        facts |= {
            "plan": PLAN,
            "failed_attempts": (
                FailedAttempt(
                    attempt=1,
                    instance_type="ml.g5.2xlarge",
                    code="training.capacity",
                    ended_at=STARTED + timedelta(seconds=60),
                ),
            ),
            "evaluation": sample_runs.EVALUATION.model_copy(
                update={
                    "candidate": report.sides["candidate"],
                    "base": report.sides["base"],
                    "champion": report.sides["champion"],
                    "comparisons": {side: each["exact_match"] for side, each in report.comparisons.items()},
                }
            ),
        }
    return run(status, **(facts | changes))


def run_report(status: RunStatus = RunStatus.PROMOTED, **changes: Any) -> RunReport:
    """Make the report of a run that ended so, with the files that such a run has."""
    values: dict[str, Any] = {"run": ended(status), "made_at": NOW}
    if status is not RunStatus.REJECTED:
        values |= {"validation": sample_reports.clean(model_id="m"), "curves": curves()}
    if status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED):
        values |= {"evaluation": evaluation()}
    return RunReport(**(values | changes))
