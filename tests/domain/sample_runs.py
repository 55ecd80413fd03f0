"""Runs as they stand at every status, for tests of what people are told."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tunedrop.domain.approval import question_words
from tunedrop.domain.evaluation_report import (
    Confusion,
    EvaluationReport,
    LabelCounts,
    LabelResult,
    SegmentResult,
    SideBySide,
)
from tunedrop.domain.jumpstart import MetricDefinition
from tunedrop.domain.plan import (
    ApprovalRule,
    DataTarget,
    EvaluationPlan,
    FileRole,
    PinnedFile,
    Plan,
    ServeTarget,
    Technique,
    TrainingPlan,
)
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import (
    AnswerPrice,
    Approval,
    Comparison,
    DatasetSummary,
    Deployment,
    Drop,
    Evaluation,
    Metric,
    Run,
    RunStatus,
    Score,
    Training,
)

RUN_ID = "mfrggzdfmztwq2lknnwg23tpoa"
STARTED = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
NOW = STARTED + timedelta(minutes=12, seconds=30)
MODEL_ARN = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abc123def456"

METRICS = (
    MetricDefinition(name="huggingface-textgeneration:eval-loss", regex=r"eval_epoch_loss=tensor\(([0-9\.]+)"),
    MetricDefinition(name="huggingface-textgeneration:train-loss", regex=r"train_epoch_loss=([0-9\.]+)"),
)

TRAINING_PLAN = TrainingPlan(
    image_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/training:1",
    script_uri="s3://cache/sourcedir.tar.gz",
    model_uri="s3://cache/model/",
    environment={},
    hyperparameters={"epoch": "2", "lora_r": "8"},
    instance_type="ml.g5.2xlarge",
    volume_size_gb=256,
    max_runtime_seconds=3600,
    metrics=METRICS,
    compress_output=False,
    encrypt_inter_container_traffic=True,
    network_isolation=True,
)

PLAN = Plan(
    data=DataTarget(technique=Technique.INSTRUCTION, technique_from="tune.yaml"),
    serve=ServeTarget.BEDROCK,
    model_id="meta-textgeneration-llama-3-2-1b-instruct",
    model_version="1.2.3",
    region="us-east-1",
    eula=None,
    files=(
        PinnedFile(
            role=FileRole.TRAINING,
            name="train.jsonl",
            key="datasets/banking77/train.jsonl",
            version_id="v1",
            etag="e1",
            size=80097,
        ),
    ),
    fingerprint="0" * 32,
    training=TRAINING_PLAN,
    evaluation=EvaluationPlan(
        metric="exact_match",
        against=("base", "champion"),
        min_gain=0.05,
        held_out_ratio=0.1,
        seed=10,
        base_model_id="base.model",
    ),
    usd_per_hour=7.2,
    budget_usd=None,
)

DATA = DatasetSummary(
    training_rows=400,
    validation_rows=0,
    held_out_rows=80,
    held_out_source="file",
    bytes=96306,
    tokens=21_345,
    tokens_basis="tokenizer",
    bytes_per_token=4.2,
    truncated_rows=2,
    tokens_lost=310,
    labels=None,
    duplicates=0,
    leaked_rows=0,
    expected_steps=100,
    warnings=("Duplicate rows: 3", "Likely secrets: 1"),
    report_uri="s3://runs/runs/x/validation-report.json",
    page_uri="s3://runs/runs/x/validation-report.html",
)

TRAINING = Training(
    job_name=f"tunedrop-{RUN_ID}-a1",
    job_arn="arn:aws:sagemaker:us-east-1:123456789012:training-job/x",
    attempt=1,
    status="InProgress",
    secondary_status="Training",
    started_at=STARTED + timedelta(minutes=2, seconds=30),
)

TRAINED = TRAINING.model_copy(
    update={
        "status": "Completed",
        "secondary_status": "Completed",
        "metrics": (Metric(name=METRICS[0].name, value=0.2144), Metric(name=METRICS[1].name, value=0.101)),
        "billable_seconds": 210,
        "artifact_uri": "s3://runs/artifact/",
    }
)

DEPLOYMENT = Deployment(
    import_job_name=f"tunedrop-{RUN_ID}",
    import_job_arn="arn:aws:bedrock:us-east-1:123456789012:model-import-job/abc",
    model_name=f"tunedrop-{RUN_ID}",
    model_arn=MODEL_ARN,
)


def score(correct: int) -> Score:
    return Score(
        model_id="m",
        value=correct / 80,
        correct=correct,
        rows=80,
        mean_latency_ms=41.7,
        input_tokens=1,
        output_tokens=1,
    )


EVALUATION = Evaluation(
    metric="exact_match",
    rows=80,
    candidate=score(77),
    base=score(2),
    champion=None,
    min_gain=0.05,
    passed=True,
    verdict="The tuned model scored 0.963, 0.938 better than the base model (0.025).",
    answers_uri="s3://runs/answers.jsonl",
)

PROBLEMS = (
    *(
        Problem(
            code="data.missing-field",
            message='The row lacks "response"; it has "instruction", "context".',
            where=f"train.jsonl:{line}",
            fix='Add "response", or name the fields you have in template.json.',
        )
        for line in (3, 9, 12, 15)
    ),
    Problem(
        code="data.not-json",
        message="The row is not JSON (Expecting value, column 1).",
        where="train.jsonl:40",
        fix="Write one JSON object a line, in UTF-8.",
    ),
)


def run(status: RunStatus, **changes: Any) -> Run:
    """Make a run as it stands when `status` is entered."""
    facts: dict[str, Any] = {
        "run_id": RUN_ID,
        "dataset": "banking77",
        "status": status,
        "created_at": STARTED,
        "updated_at": NOW,
        "entered_at": NOW,
        "drop": Drop(
            bucket="drops", key="datasets/banking77/tune.yaml", version_id="v9", etag="e9", uploaded_by="123456789012"
        ),
    }
    ended = {"deployment": DEPLOYMENT, "evaluation": EVALUATION, "reason": EVALUATION.verdict}
    trained = {"plan": PLAN, "data": DATA, "training": TRAINED}
    match status:
        case RunStatus.AWAITING_APPROVAL:
            asked = Approval(most_cents=7_44, limit_cents=5_00, lapses_at=NOW + timedelta(hours=72))
            dear = PLAN.model_copy(update={"approval": ApprovalRule(auto_approve_usd=5, hours=72)})
            facts |= {"plan": dear, "data": DATA, "approval": asked, "reason": question_words(asked)}
            facts |= {"previous_status": RunStatus.VALIDATING}
        case RunStatus.TRAINING:
            facts |= {**trained, "training": TRAINING, "previous_status": RunStatus.LAUNCHING}
        case RunStatus.PROMOTED:
            facts |= {**trained, **ended, "previous_status": RunStatus.EVALUATING}
        case RunStatus.NOT_PROMOTED:
            evaluation = EVALUATION.model_copy(update={"candidate": score(2), "base": score(4), "champion": score(70)})
            facts |= {**trained, **ended, "evaluation": evaluation, "previous_status": RunStatus.EVALUATING}
        case RunStatus.REJECTED:
            facts |= {"plan": PLAN, "problems": PROBLEMS, "reason": PROBLEMS[0].message}
            facts |= {"previous_status": RunStatus.VALIDATING}
        case RunStatus.FAILED | RunStatus.STOPPED:
            problem = Problem(
                code="training.failed",
                message="The training job failed: AlgorithmError: CUDA out of memory",
                where=TRAINING.job_name,
                fix="Choose a larger instance_type.",
            )
            facts |= {**trained, "problems": (problem,), "reason": problem.message}
            facts |= {"previous_status": RunStatus.TRAINING}
    return Run(**{**facts, **changes})


def evaluation_report() -> EvaluationReport:
    """Make the report of an evaluation of ten rows, with a model that answers what it likes."""

    def side(value: float, price: AnswerPrice | None) -> Score:
        return Score(
            model_id="m",
            value=value,
            metrics={"exact_match": value, "anls": value},
            correct=round(value * 10),
            rows=10,
            mean_latency_ms=41.7,
            input_tokens=120,
            output_tokens=30,
            price=price,
        )

    compared = Comparison(gain=0.4, low=0.2, high=0.6, p_value=0.0078, better=8, worse=0, rows=10, documents=10)
    counts = {"candidate": LabelCounts(right=4, answered=4), "base": LabelCounts(right=1, answered=0)}
    return EvaluationReport(
        metric="exact_match",
        min_gain=0.05,
        passed=True,
        verdict="It is better.",
        sides={"candidate": side(0.9, AnswerPrice(busy=0.01, alone=785)), "base": side(0.5, None)},
        comparisons={"base": {"exact_match": compared, "anls": compared}},
        guess=0.3,
        guess_comparison=compared,
        labels=(LabelResult(label="Meals", rows=5, sides=counts),),
        confusions=(Confusion(side="candidate", expected="Meals", answered=None, rows=1),),
        segments=(
            SegmentResult(segment="bakery", rows=6, values={"candidate": 1.0, "base": 0.5}),
            SegmentResult(segment="garage", rows=4, values={"candidate": 0.75, "base": 0.5}),
        ),
        differing=9,
        side_by_side=(
            SideBySide(
                row=3,
                prompt="Name the account.\n\nLUNCH",
                expected=("Meals", "meals"),
                answers={"candidate": "Meals", "base": "\x1b[2J" + "x" * 2_000},
                scores={"candidate": 1.0, "base": 0.0},
            ),
        ),
    )
