"""Facts of one run that goes well, and what ends it otherwise: made-up values that the tests share."""

from datetime import UTC, datetime, timedelta

from tunedrop.domain import names
from tunedrop.domain.decide import decide
from tunedrop.domain.observations import (
    AliasPublished,
    ApprovalRefused,
    Approved,
    DatasetAccepted,
    DatasetRefused,
    ImportSeen,
    ImportSlotWanted,
    ImportStarted,
    JobAccepted,
    JobSeen,
    JudgeBusy,
    JudgeCalled,
    Judged,
    JudgeSilent,
    Observation,
    PlanMade,
    PlanRefused,
    PromotionRequested,
    PromotionWanted,
    Refused,
    RoomWanted,
    Scored,
)
from tunedrop.domain.plan import (
    ApprovalRule,
    BaseEndpointPlan,
    DataTarget,
    EvaluationPlan,
    FileRole,
    HostingPlan,
    JudgePlan,
    PinnedFile,
    Plan,
    ServeTarget,
    Technique,
    TrainingPlan,
)
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import DatasetSummary, Drop, Evaluation, JudgeJob, JudgeScore, Run, RunStatus, Score, Training

ACCOUNT = "123456789012"
REGION = "us-east-1"
STACK = "tunedrop"
DROP_BUCKET = "tunedrop-drops"
RUN_BUCKET = "tunedrop-runs"
DATASET = "receipts"
WORKFLOW_ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-validation"
EVALUATION_ARN = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{STACK}-evaluation"
NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)

DROP = Drop(
    bucket=DROP_BUCKET,
    key=f"datasets/{DATASET}/tune.yaml",
    version_id="3HL4kqtJvjVBH40Nrjfkd",
    etag="d41d8cd98f00b204e9800998ecf8427e",
    uploaded_by=ACCOUNT,
)
RUN_ID = names.run_id(DROP.bucket, DROP.key, DROP.version_id)
JOB_NAME = names.training_job(STACK, RUN_ID, 1)
JOB_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{JOB_NAME}"
MODEL_NAME = names.imported_model(STACK, RUN_ID)
IMPORT_JOB_ARN = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-import-job/{MODEL_NAME}"
MODEL_ARN = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:imported-model/a1b2c3d4e5f6"
ARTIFACT_URI = f"s3://{RUN_BUCKET}/{names.training_output_prefix(RUN_ID)}{JOB_NAME}/output/model/"
PROBLEM = Problem(code="sample", message="It is wrong.", where="train.jsonl:1", fix="Mend it.")

PLAN = Plan(
    data=DataTarget(technique=Technique.INSTRUCTION, technique_from="tune.yaml"),
    serve=ServeTarget.BEDROCK,
    model_id="meta-textgeneration-llama-3-2-1b-instruct",
    model_version="1.0.0",
    region=REGION,
    eula=None,
    files=(
        PinnedFile(
            key=f"datasets/{DATASET}/train.jsonl",
            version_id="v1",
            etag="e1",
            size=1000,
            role=FileRole.TRAINING,
            name="train.jsonl",
        ),
    ),
    fingerprint="0123456789abcdef0123456789abcdef",
    training=TrainingPlan(
        image_uri="763104351884.dkr.ecr.us-east-1.amazonaws.com/training:1",
        script_uri="s3://jumpstart/script.tar.gz",
        model_uri="s3://jumpstart/model/",
        environment={},
        hyperparameters={"epoch": "1"},
        instance_type="ml.g5.2xlarge",
        volume_size_gb=30,
        max_runtime_seconds=3600,
        metrics=(),
        compress_output=False,
        encrypt_inter_container_traffic=True,
        network_isolation=True,
    ),
    evaluation=EvaluationPlan(
        metric="exact_match", against=("base",), min_gain=0.05, held_out_ratio=0.1, seed=0, base_model_id="base"
    ),
    usd_per_hour=1.515,
    budget_usd=None,
)
DATA = DatasetSummary(
    training_rows=90,
    validation_rows=0,
    held_out_rows=10,
    held_out_source="split",
    bytes=10_000,
    tokens=2_400,
    tokens_basis="tokenizer",
    bytes_per_token=4.2,
    truncated_rows=0,
    tokens_lost=0,
    labels=None,
    duplicates=0,
    leaked_rows=0,
    expected_steps=None,
    warnings=(),
    report_uri=f"s3://{RUN_BUCKET}/{names.report_key(RUN_ID)}",
    page_uri=f"s3://{RUN_BUCKET}/{names.report_page_key(RUN_ID)}",
)

PLAN_MADE = PlanMade(plan=PLAN)
HOSTING = HostingPlan(
    image_uri=f"763104351884.dkr.ecr.{REGION}.amazonaws.com/djl-inference:0.29.0-lmi11.0.0-cu124",
    environment={"HF_MODEL_ID": "/opt/ml/model", "MESSAGES_API_ENABLED": "true"},
    instance_type="ml.g5.2xlarge",
    accelerators=1,
    memory_mb=1024,
    max_instances=1,
    scale_to_zero=True,
    ttl_hours=72,
    network_isolation=True,
    usd_per_hour=1.515,
    price_source="a dated table",
)
HOSTED_PLAN = PLAN.model_copy(update={"serve": ServeTarget.ENDPOINT, "hosting": HOSTING})
BASE_ENDPOINT = BaseEndpointPlan(
    hosting=HOSTING.model_copy(update={"scale_to_zero": False, "ttl_hours": None}),
    weights_uri="s3://jumpstart/base/",
    accept_eula=False,
    required=False,
    most_hours=3,
)
BASE_NAME = names.base_endpoint(STACK, RUN_ID)
ENDPOINT_NAME = names.endpoint(STACK, RUN_ID)
ENDPOINT_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:inference-component/{ENDPOINT_NAME}"
DEAR_PLAN = PLAN.model_copy(update={"approval": ApprovalRule(auto_approve_usd=1.56, hours=12)})
"""A plan that costs a cent more, at most, than is launched without asking."""
DEAR_PLAN_MADE = PlanMade(plan=DEAR_PLAN)
UNPRICED_PLAN_MADE = PlanMade(plan=PLAN.model_copy(update={"usd_per_hour": None}))
PLAN_REFUSED = PlanRefused(problems=(PROBLEM,))
DATASET_ACCEPTED = DatasetAccepted(summary=DATA)
DATASET_REFUSED = DatasetRefused(problems=(PROBLEM,), counts={PROBLEM.code: 3}, summary=DATA)
PERSON = f"arn:aws:sts::{ACCOUNT}:assumed-role/platform/jo"
APPROVED = Approved(by=PERSON)
APPROVAL_REFUSED = ApprovalRefused(by=PERSON, reason="Try the small model first.")
ROOM_WANTED = RoomWanted(job_name=JOB_NAME, attempt=1)
JOB_ACCEPTED = JobAccepted(job_name=JOB_NAME, job_arn=JOB_ARN, attempt=1)
IMPORT_STARTED = ImportStarted(job_name=MODEL_NAME, job_arn=IMPORT_JOB_ARN, model_name=MODEL_NAME)
IMPORT_COMPLETED = ImportSeen(status="Completed", model_arn=MODEL_ARN)
JUDGE = JudgePlan(evaluator_model="amazon.nova-pro-v1:0", metrics=("Correctness",))
JUDGED_PLAN = PLAN.model_copy(update={"evaluation": PLAN.evaluation.model_copy(update={"judge": JUDGE})})
JUDGE_JOBS = tuple(
    JudgeJob(side=side, name=name, arn=f"arn:aws:bedrock:{REGION}:{ACCOUNT}:evaluation-job/{side:0<12}")
    for side, name in ((each, names.judge_job(STACK, RUN_ID, each, 1)) for each in ("candidate", "base"))
)
JUDGE_CALLED = JudgeCalled(jobs=JUDGE_JOBS, rival="base", rows=10, of_rows=10)
JUDGE_BUSY = JudgeBusy(reason="amazon.nova-pro-v1:0 is grading.", retry_after=timedelta(minutes=5))
JUDGED = Judged(scores={"Correctness": JudgeScore(candidate=0.9, rival=0.2, rows=10, comparison=None)})
JUDGE_SILENT = JudgeSilent(reason="The evaluation job failed.")
PROMOTION_WANTED = PromotionWanted(instead_of=None)
PROMOTION_REQUESTED = PromotionRequested(request="request-1", by="arn:aws:iam::123456789012:user/ann", instead_of=None)
ALIAS_PUBLISHED = AliasPublished()
REFUSED = Refused(problem=PROBLEM)


def new_run(run_id: str = RUN_ID) -> Run:
    return Run(run_id=run_id, dataset=DATASET, created_at=NOW, updated_at=NOW, entered_at=NOW, drop=DROP)


def job_seen(status: str, secondary_status: str = "") -> JobSeen:
    artifact = ARTIFACT_URI if status == "Completed" else None
    return JobSeen(
        training=Training(
            job_name=JOB_NAME,
            job_arn=JOB_ARN,
            attempt=1,
            status=status,
            secondary_status=secondary_status or status,
            artifact_uri=artifact,
        ),
        failure_reason="AlgorithmError: out of memory" if status == "Failed" else "",
    )


def score(value: float, model_id: str = MODEL_ARN) -> Score:
    return Score(
        model_id=model_id,
        value=value,
        correct=round(value * 10),
        rows=10,
        mean_latency_ms=10.0,
        input_tokens=100,
        output_tokens=10,
    )


def scored(*, passed: bool) -> Scored:
    return Scored(
        evaluation=Evaluation(
            metric="exact_match",
            rows=10,
            candidate=score(0.9 if passed else 0.1),
            base=score(0.1, "base"),
            champion=None,
            min_gain=0.05,
            passed=passed,
            verdict="It is better." if passed else "It is no better.",
            answers_uri=f"s3://{RUN_BUCKET}/{names.answers_key(RUN_ID)}",
        )
    )


WAY: dict[RunStatus, tuple[Observation, ...]] = {
    RunStatus.PLANNING: (),
    RunStatus.VALIDATING: (PLAN_MADE,),
    RunStatus.AWAITING_APPROVAL: (DEAR_PLAN_MADE, DATASET_ACCEPTED),
    RunStatus.LAUNCHING: (PLAN_MADE, DATASET_ACCEPTED),
    RunStatus.TRAINING: (PLAN_MADE, DATASET_ACCEPTED, ROOM_WANTED, JOB_ACCEPTED),
    RunStatus.DEPLOYING: (PLAN_MADE, DATASET_ACCEPTED, ROOM_WANTED, JOB_ACCEPTED, job_seen("Completed")),
    RunStatus.EVALUATING: (
        *(PLAN_MADE, DATASET_ACCEPTED, ROOM_WANTED, JOB_ACCEPTED, job_seen("Completed")),
        *(ImportSlotWanted(), IMPORT_STARTED, IMPORT_COMPLETED),
    ),
    RunStatus.REJECTED: (PLAN_REFUSED,),
    RunStatus.FAILED: (PLAN_MADE, DATASET_ACCEPTED, REFUSED),
    RunStatus.STOPPED: (PLAN_MADE, DATASET_ACCEPTED, ROOM_WANTED, JOB_ACCEPTED, job_seen("Stopped")),
}
WAY[RunStatus.PROMOTED] = (*WAY[RunStatus.EVALUATING], scored(passed=True), PROMOTION_WANTED, ALIAS_PUBLISHED)
WAY[RunStatus.NOT_PROMOTED] = (*WAY[RunStatus.EVALUATING], scored(passed=False))
"""What is seen on the way to each status."""


def observed(run: Run, *observations: Observation, after: timedelta = timedelta(0)) -> Run:
    """Return what becomes of a run that sees these, `after` its last write."""
    for observation in observations:
        run = decide(run, observation, run.updated_at + after).run
    return run


def run_in(status: RunStatus) -> Run:
    """Return a run that came to the status by the shortest way."""
    return observed(new_run(), *WAY[status])


def judged_run() -> Run:
    """Return a run whose answers are about to be scored, and then graded by a judge."""
    return run_in(RunStatus.EVALUATING).model_copy(update={"plan": JUDGED_PLAN})


def hosted_run() -> Run:
    """Return a run whose trained model is about to be put on an endpoint."""
    return run_in(RunStatus.DEPLOYING).model_copy(update={"plan": HOSTED_PLAN})


def based_run(judge: JudgePlan | None = None) -> Run:
    """Return a run whose model is being imported, and whose base model will answer on an endpoint."""
    asked = {"base_model_id": None, "base_endpoint": BASE_ENDPOINT, "judge": judge}
    evaluation = PLAN.evaluation.model_copy(update=asked)
    run = run_in(RunStatus.DEPLOYING)
    run = run.model_copy(update={"plan": PLAN.model_copy(update={"evaluation": evaluation})})
    return observed(run, ImportSlotWanted(), IMPORT_STARTED)
