"""A run: one drop on its way to a model. The record in the table is this, and nothing else is remembered."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Field

from tunedrop.domain.budget import Charge
from tunedrop.domain.model import Record
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.plan import JudgeMetric, MetricName, Plan, ServeTarget
from tunedrop.domain.problem import Problem


class RunStatus(StrEnum):
    """Name where a run stands."""

    PLANNING = "PLANNING"
    VALIDATING = "VALIDATING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    LAUNCHING = "LAUNCHING"
    TRAINING = "TRAINING"
    DEPLOYING = "DEPLOYING"
    EVALUATING = "EVALUATING"
    PROMOTED = "PROMOTED"
    NOT_PROMOTED = "NOT_PROMOTED"
    REJECTED = "REJECTED"
    FAILED = "FAILED"
    STOPPED = "STOPPED"

    @property
    def terminal(self) -> bool:
        """Tell whether the status is an end: no run leaves it."""
        return self in TERMINAL


TERMINAL = frozenset(
    {RunStatus.PROMOTED, RunStatus.NOT_PROMOTED, RunStatus.REJECTED, RunStatus.FAILED, RunStatus.STOPPED}
)

EDGES: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.PLANNING: frozenset({RunStatus.VALIDATING, RunStatus.REJECTED, RunStatus.FAILED}),
    RunStatus.VALIDATING: frozenset(
        {RunStatus.AWAITING_APPROVAL, RunStatus.LAUNCHING, RunStatus.REJECTED, RunStatus.FAILED}
    ),
    RunStatus.AWAITING_APPROVAL: frozenset({RunStatus.LAUNCHING, RunStatus.REJECTED}),
    RunStatus.LAUNCHING: frozenset({RunStatus.TRAINING, RunStatus.FAILED}),
    RunStatus.TRAINING: frozenset({RunStatus.LAUNCHING, RunStatus.DEPLOYING, RunStatus.FAILED, RunStatus.STOPPED}),
    RunStatus.DEPLOYING: frozenset({RunStatus.EVALUATING, RunStatus.FAILED}),
    RunStatus.EVALUATING: frozenset({RunStatus.PROMOTED, RunStatus.NOT_PROMOTED, RunStatus.FAILED}),
    **{status: frozenset[RunStatus]() for status in TERMINAL},
}
"""The only ways from status to status."""


class Tracked(StrEnum):
    """What a run is looked at for by a schedule, as AWS announces nothing of it."""

    SLOT = "import-slot"
    """Another model is imported: it waits until Bedrock takes one more."""
    IMPORT = "import"
    ENDPOINT = "endpoint"
    """The tuned model's, or the base model's that is compared with it."""


class Change(StrEnum):
    """Say why the record was last written; the stream announces the first two."""

    ENTERED = "entered"
    """The status is new."""
    DUE = "due"
    """The status is the same, and it is time to look again."""
    PROGRESS = "progress"
    """Bookkeeping within a status; announced to nobody."""


class Drop(Record):
    """Point at the `tune.yaml` that started the run, at the version that was uploaded."""

    bucket: str
    key: str
    version_id: str
    etag: str
    uploaded_by: str
    """The principal of the upload, as the S3 event tells it (an account id or an AWS-internal id)."""


class DatasetSummary(Record):
    """Count what the validator read; the report beside the run says the same and more, row by row."""

    training_rows: int
    validation_rows: int
    held_out_rows: int
    held_out_source: Literal["file", "split"]
    bytes: int
    """Bytes read, inflated."""
    tokens: int | None
    """Of the rows to train on, once over; None, as the next two, when no row is good."""
    tokens_basis: Literal["tokenizer", "estimate"] | None
    bytes_per_token: float | None
    truncated_rows: int
    """Rows that training cuts off."""
    tokens_lost: int
    labels: int | None
    """Distinct answers, when answers are labels."""
    duplicates: int | None
    """Rows that equal another one on the same side."""
    leaked_rows: int | None
    """Rows to validate or to measure with that are trained on too."""
    expected_steps: int | None
    """Optimiser steps of the whole training; None when the batch size is not known."""
    warnings: tuple[str, ...]
    """What informs, a kind each: `Duplicate rows: 3`."""
    report_uri: str
    """S3 URI of the full report, for machines."""
    page_uri: str
    """S3 URI of the same report as a page."""


class ApprovalAnswer(Record):
    """Record what a person said."""

    approved: bool
    by: str
    """The principal's ARN, as the command told it."""
    at: datetime
    reason: str = ""


class Approval(Record):
    """Ask a person whether a run may be launched that may cost more than is launched without asking."""

    most_cents: int | None
    """What it may cost, on the dearest instance type that it may turn to; None when nobody can tell."""
    limit_cents: int
    """Up to what the stack would not have asked."""
    lapses_at: datetime
    answer: ApprovalAnswer | None = None


class Metric(Record):
    """Hold one number that the training log named."""

    name: str
    value: float


class Training(Record):
    """Describe the training job as DescribeTrainingJob last told it."""

    job_name: str
    job_arn: str
    attempt: int
    status: str
    secondary_status: str = ""
    metrics: tuple[Metric, ...] = ()
    billable_seconds: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    artifact_uri: str | None = None


class FailedAttempt(Record):
    """Keep what became of an attempt at training that another one followed; no job was made when AWS took none."""

    attempt: int
    instance_type: str
    code: str
    """Why, as a problem's code: `training.capacity`."""
    ended_at: datetime
    billable_seconds: int = 0
    usd_per_hour: float | None = None


class Deployment(Record):
    """Describe what serves the run's model: its import into Bedrock, or its endpoint on SageMaker."""

    target: ServeTarget = ServeTarget.BEDROCK
    import_job_name: str = ""
    """Empty for an endpoint, as the next."""
    import_job_arn: str = ""
    model_name: str
    """Of the imported model; or of the endpoint, its component, configuration and model."""
    model_arn: str | None = None
    """None until the model can be asked; of an endpoint it is the component's (`names.endpoint_of`)."""
    retirement: str = ""
    """Why it is deleted, or about to be; empty while it is kept. Once said, only an endpoint that is woken forgets it.
    """
    deleted: bool = False
    denials: int = 0
    """How often the model's deletion was denied, or came to nothing."""
    left: str = ""
    """Why the model stays for good, though nobody wants it; empty while its deletion is still tried."""
    waking: bool = False
    """Whether an endpoint that was taken down is on its way back."""
    waking_since: datetime | None = None
    """When it was last asked back: how long it is kept counts from then."""

    @property
    def kind(self) -> str:
        """Say what `model_arn` names."""
        return "inference component" if self.target is ServeTarget.ENDPOINT else "imported model"


ASKING = timedelta(hours=2)
"""How long a base model on an endpoint is asked, at most: thousands of rows take minutes."""


class BaseEndpoint(Record):
    """Describe what serves the base model while the run is evaluated."""

    name: str
    """Of the endpoint, its component, configuration and model."""
    since: datetime
    """When it was named: nothing of it was made before."""
    up_at: datetime | None = None
    model_arn: str | None = None
    """The component's; None until the model can be asked."""
    missing: str = ""
    """Why the run is evaluated without it; empty while it is not given up."""
    deleted: bool = False
    denials: int = 0
    """How often its deletion was denied, or came to nothing."""
    left: str = ""
    """Why it stays for good, though nobody wants it; empty while its deletion is still tried."""

    def over(self, now: datetime) -> bool:
        """Tell whether it is not asked any more, or never will be."""
        return self.missing != "" or (self.up_at is not None and now - self.up_at >= ASKING)


class AnswerPrice(Record):
    """Estimate what a thousand answers of a tuned model cost, in US dollars: copies are billed by time, not tokens."""

    busy: float
    """When one copy answers without a pause, as during the evaluation."""
    alone: float
    """When each call comes by itself and pays for all the time until the copy is given back."""


class Score(Record):
    """Hold one model's result on the held-out rows; `value` is in 0..1."""

    model_id: str
    value: float
    """The mean over the rows, by the metric that decides."""
    metrics: dict[MetricName, float] = Field(default_factory=dict)
    """The same by every metric."""
    correct: int
    """Rows with the full score by the metric that decides."""
    rows: int
    mean_latency_ms: float
    input_tokens: int
    output_tokens: int
    price: AnswerPrice | None = None
    """None where Bedrock bills by tokens, or where nobody knows."""

    @property
    def billed_by_tokens(self) -> bool:
        """Tell whether it is one of Bedrock's own models; tuned ones, and those on endpoints, are billed by time."""
        return not any(kind in self.model_id for kind in (":imported-model/", ":inference-component/"))


class Comparison(Record):
    """Compare the candidate with another model, row by row, by one metric."""

    gain: float
    """Mean of the candidate's score less the other's."""
    low: float
    """Lower end of the gain's 95 % interval; the upper one is `high`."""
    high: float
    p_value: float
    """How often luck alone would differ as much: of McNemar's exact test, or the paired permutation test."""
    better: int
    """Rows that the candidate answered better."""
    worse: int
    rows: int
    documents: int
    """What rows are drawn by: as many as rows where no two share a document."""


class Evaluation(Record):
    """Compare the candidate with what there was before, on the same rows and prompts."""

    metric: str
    rows: int
    candidate: Score
    base: Score | None
    champion: Score | None
    comparisons: dict[str, Comparison] = Field(default_factory=dict)
    """With `base` and `champion`, by the metric that decides."""
    min_gain: float
    passed: bool
    verdict: str
    """One sentence for people: why it is promoted, or not."""
    answers_uri: str
    """S3 URI of every answer, a JSON line each."""
    report_uri: str = ""
    """S3 URI of what the answers came to by label, segment and metric; empty for a run of before such reports."""
    call: ModelCall = ModelCall.CONVERSE
    """How the tuned model was called, and is to be called."""
    champion_run: str | None = None
    """The run whose model was the dataset's champion when the answers were compared; None when there was none."""


class JudgeJob(Record):
    """Name one evaluation job on Bedrock, which grades one model's answers."""

    side: str
    """`candidate`, `base` or `champion`."""
    name: str
    arn: str


class JudgeScore(Record):
    """Hold what the judge made of the answers by one metric, on the rows that it graded; grades are in 0..1."""

    candidate: float
    rival: float | None
    rows: int
    comparison: Comparison | None
    """None where there is no rival."""


class Judgement(Record):
    """Hold what another model, on Bedrock, says of the answers. It informs: nothing is decided by it."""

    evaluator_model: str
    attempt: int = 1
    """Counts the times that jobs were asked for: their names."""
    since: datetime
    """When the answers were there to be graded."""
    over: bool = False
    """Whether the run waits for the judge no more."""
    rival: str = ""
    """Whose answers were graded beside the candidate's: `base` or `champion`; empty for nobody's."""
    rows: int = 0
    """Of each model, so many answers were handed to the judge."""
    of_rows: int = 0
    """Held-out rows that they were drawn from."""
    jobs: tuple[JudgeJob, ...] = ()
    scores: dict[JudgeMetric, JudgeScore] = Field(default_factory=dict)
    failure: str = ""
    """Why there is no judgement."""


class Promotion(Record):
    """Make the run's model the champion of its dataset."""

    request: str
    """Names the wish, so that one delivered twice is granted once: the run's own id for the evaluation's."""
    by: str
    """`evaluation`, or the principal who asked for it."""
    at: datetime
    instead_of: str | None
    """The run whose place it takes; None when there was no champion."""
    published: bool = False
    """Whether the alias, which users read, has been written since."""


class Rollback(Record):
    """Put the former champion back, since this one failed soon after its promotion."""

    request: str
    """Names the promotion of the former champion, so that it is granted once."""
    of: str
    """The request of the promotion that is taken back."""
    because: str
    """CloudWatch's reason."""
    at: datetime
    to: str | None
    """The run whose model takes the place; None where there is none."""
    outcome: str = ""
    """What came of it, for people; empty until that is known."""


class PromotionRefused(Record):
    """Say why a person's wish was not granted."""

    request: str
    reason: str
    at: datetime


class Stage(Record):
    """Keep when a status was entered."""

    status: RunStatus
    entered_at: datetime


class Notice(Record):
    """Track the one notification of a status, so that an event delivered three times is told once."""

    claimed_by: str
    claimed_at: datetime
    message_id: str | None = None


class Run(Record):
    """Hold all that is known of a run.

    `version` counts the writes and guards each of them (compare-and-swap). `claims` names what only one run may hold,
    and `charges` what its training jobs may cost and have cost.
    """

    run_id: str
    dataset: str
    status: RunStatus = RunStatus.PLANNING
    previous_status: RunStatus = RunStatus.PLANNING
    change: Change = Change.ENTERED
    version: int = 0
    created_at: datetime
    updated_at: datetime
    entered_at: datetime
    """When the status was entered."""
    history: tuple[Stage, ...] = ()
    """Every status entered after the first, in order; empty for a run of before it was kept."""
    reason: str = ""
    """Why the run stands where it stands, for people."""
    next_try_at: datetime | None = None
    """Set while the run waits: for capacity, quota, or the one import slot."""
    drop: Drop
    plan: Plan | None = None
    data: DatasetSummary | None = None
    approval: Approval | None = None
    """None when nobody had to be asked."""
    attempt: int = 1
    """Counts the training jobs: their names, and the plan's choice of an instance type."""
    failed_attempts: tuple[FailedAttempt, ...] = ()
    request_hash: str = ""
    """Of the request that made the last training job: what its tag says."""
    training: Training | None = None
    deployment: Deployment | None = None
    base: BaseEndpoint | None = None
    """None where the base model is not asked on an endpoint, or not yet."""
    evaluation: Evaluation | None = None
    judgement: Judgement | None = None
    """None when the plan asks for no judge, and until the answers are there."""
    room_from: str | None = None
    """The former champion, by its run, whose model is to make room at Bedrock for this one's."""
    promotion: Promotion | None = None
    """The last one; who was champion when, the alias's own record tells (`domain/alias.py`)."""
    promotion_refused: PromotionRefused | None = None
    """The last one, for who asked."""
    rollback: Rollback | None = None
    """The last one that an alarm asked for."""
    evaluated_rows: int = 0
    """Rows whose answers are stored, while the evaluation goes on over several invocations."""
    problems: tuple[Problem, ...] = ()
    """The first of them; a dataset's report holds more."""
    problem_counts: dict[str, int] = Field(default_factory=dict)
    """All problems, by code."""
    claims: frozenset[str] = frozenset()
    charges: tuple[Charge, ...] = ()
    """One for each training job, in order; none for a job whose price nobody knows."""
    notices: dict[RunStatus, Notice] = Field(default_factory=dict)
    report_uri: str = ""
    """S3 URI of the run's report as a page; empty until it is written, after the end."""

    @property
    def on_endpoint(self) -> bool:
        """Tell whether an endpoint is to serve the run's model."""
        return self.plan is not None and self.plan.serve is ServeTarget.ENDPOINT

    @property
    def tracked(self) -> Tracked | None:
        """Tell what track_deployment looks at it for."""
        served = self.deployment
        if self.status is RunStatus.DEPLOYING:
            if self.on_endpoint or (served and served.model_arn):
                return Tracked.ENDPOINT
            return Tracked.IMPORT if served else Tracked.SLOT
        # One that is woken belongs to a run that has ended.
        return Tracked.ENDPOINT if self.status.terminal and served and served.waking else None

    @property
    def taken_down(self) -> bool:
        """Tell whether the run was promoted to an endpoint that is gone, or about to go."""
        if self.deployment is None or self.promotion is None:
            return False
        return self.deployment.target is ServeTarget.ENDPOINT and self.deployment.retirement != ""

    @property
    def failed_champion(self) -> Rollback | None:
        """The rollback of the run's present promotion, once it is known what came of it."""
        rollback, promotion = self.rollback, self.promotion
        if rollback is None or promotion is None or rollback.of != promotion.request:
            return None
        return rollback if rollback.outcome else None

    @property
    def charge(self) -> Charge | None:
        """The charge that is still open."""
        return next((each for each in self.charges if each.cents is None), None)
