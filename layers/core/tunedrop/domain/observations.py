"""What an effect saw: the only input of `decide` besides the run and the clock."""

from datetime import timedelta

from tunedrop.domain.model import Record
from tunedrop.domain.plan import JudgeMetric, Plan
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import DatasetSummary, Evaluation, JudgeJob, JudgeScore, RunStatus, Training


class Observation(Record):
    """Be something that was seen."""


class Looked(Observation):
    """An event said "look at the run"; nothing else is known."""


class Nudged(Observation):
    """The reconciler asks whether the run should be looked at again."""


class WaitOver(Observation):
    """What the run waits for is said to have happened."""


class ClaimRefused(Observation):
    """Another run holds the claim that this one needs."""

    claim: str
    holder: str


class Unavailable(Observation):
    """AWS cannot do it now (throttling, quota, capacity): the run waits."""

    reason: str
    retry_after: timedelta


class Refused(Observation):
    """AWS will never do it so: the run fails, with the cause."""

    problem: Problem


class PlanMade(Observation):
    """The drop is a run that can be made."""

    plan: Plan


class PlanRefused(Observation):
    """The drop cannot be run as it is."""

    problems: tuple[Problem, ...]


class DatasetAccepted(Observation):
    """Every row is good, and the channels are written."""

    summary: DatasetSummary


class DatasetRefused(Observation):
    """Some rows are not good; `problems` are the first, `counts` are all, by code."""

    problems: tuple[Problem, ...]
    counts: dict[str, int]
    summary: DatasetSummary | None
    """None when no row was read."""


class Approved(Observation):
    """A person lets the run be launched; `by` is the principal's ARN."""

    by: str


class ApprovalRefused(Observation):
    """A person does not let the run be launched; `by` is the principal's ARN."""

    by: str
    reason: str = ""


class RoomWanted(Observation):
    """The run asks for room in the month's account for the most that its next training job may cost."""

    job_name: str
    attempt: int


class CapReached(Observation):
    """The month has no room for the job under the stack's cap."""

    committed_cents: int
    cap_cents: int


class JobAccepted(Observation):
    """The training job exists, made now or before, and is this run's."""

    job_name: str
    job_arn: str
    attempt: int
    request_hash: str = ""


class JobRefused(Observation):
    """SageMaker took no job for now: throttling or the account's quota; `reason` is its own."""

    attempt: int
    reason: str


class JobSeen(Observation):
    """DescribeTrainingJob answered."""

    training: Training
    failure_reason: str = ""
    log_tail: tuple[str, ...] = ()
    """The end of the log of a job that failed, for its diagnosis alone: users' rows may stand there, it is not kept."""


class JobMissing(Observation):
    """DescribeTrainingJob knows no such job."""


class ImportSlotWanted(Observation):
    """The run asks for the one import slot."""


class ImportStarted(Observation):
    """The import job exists, made now or before."""

    job_name: str
    job_arn: str
    model_name: str


class ModelLimitReached(Observation):
    """Bedrock holds as many imported models as the account may have; `former` names the run whose model can go."""

    former: str | None
    reason: str
    retry_after: timedelta


class RoomMade(Observation):
    """The former champion that was asked to go is on its way, or is needed after all."""


class ImportSeen(Observation):
    """GetModelImportJob answered; `status` is Bedrock's: InProgress, Completed or Failed."""

    status: str
    failure_message: str = ""
    model_arn: str | None = None


class EndpointNamed(Observation):
    """The run's endpoint is about to be made under this name; from now on it is the run's to take down."""

    name: str


class EndpointSeen(Observation):
    """What there is of the run's endpoint was looked at, and what was missing next was made."""

    in_service: bool
    reason: str = ""
    """What it is waiting for."""
    model_arn: str | None = None


class AlarmRaised(Observation):
    """The endpoint of the dataset's champion fails."""

    reason: str
    """CloudWatch's own."""
    former: str | None
    """The run whose model was the champion before; None where there is none that may take the place."""


class RolledBack(Observation):
    """The former champion was put back, or cannot be; `outcome` says which, for people."""

    request: str
    outcome: str


class BaseNamed(Observation):
    """The endpoint of the base model is about to be made under this name."""

    name: str


class BaseSeen(Observation):
    """What there is of the base model's endpoint was looked at, and what was missing next was made."""

    in_service: bool
    reason: str = ""
    """What it is waiting for."""
    retry_after: timedelta = timedelta(0)
    model_arn: str | None = None


class BaseMissing(Observation):
    """The base model cannot be had on an endpoint: the run is evaluated without it."""

    reason: str


class BaseGone(Observation):
    """Nothing that served the base model is left."""


class BaseDeletionDenied(Observation):
    """A policy of the account forbids to delete the base model's endpoint."""

    reason: str


class WakeRequested(Observation):
    """A person wants an endpoint back that was taken down."""

    by: str
    gone: bool = False
    """Whether SageMaker has it no more: somebody may have deleted it by hand."""


class ModelDeleted(Observation):
    """Nothing that served this run's model is left."""


class DeletionDenied(Observation):
    """A policy of the account forbids to delete the imported model."""

    reason: str


class ScoringPaused(Observation):
    """The invocation's time is up; the answers so far are kept."""

    answered: int


class Scored(Observation):
    """All held-out rows are answered and judged."""

    evaluation: Evaluation


class JudgeCalled(Observation):
    """The evaluation jobs exist, made now or before; they grade `rows` answers of each model."""

    jobs: tuple[JudgeJob, ...]
    rival: str
    rows: int
    of_rows: int


class JudgeBusy(Observation):
    """The judge has not graded all answers yet, or cannot be asked now."""

    reason: str
    retry_after: timedelta


class Judged(Observation):
    """The judge graded the answers."""

    scores: dict[JudgeMetric, JudgeScore]


class JudgeSilent(Observation):
    """There will be no judgement."""

    reason: str


class PromotionWanted(Observation):
    """The evaluation asks to make this run's model the champion, in the place of another run's."""

    instead_of: str | None


class PromotionRequested(Observation):
    """A person asks for it."""

    request: str
    by: str
    instead_of: str | None
    missing: str = ""
    """Why Bedrock does not have the model; empty when it has."""


class ChampionChanged(Observation):
    """The champion is another one than the promotion speaks of."""

    request: str
    champion: str | None


class AliasPublished(Observation):
    """The alias, which users read, names the champion."""


class RetirementWanted(Observation):
    """The imported model, or the endpoint, is to be deleted, since nobody needs it."""

    because: str
    told: bool = False
    """Whether people are told: of an endpoint that its dataset's alias may still name."""


class ReportWritten(Observation):
    """The page of the run lies beside it."""

    uri: str


class NoticeClaimed(Observation):
    """This invocation will tell of the status."""

    token: str


class NoticeSent(Observation):
    """SNS took the notice."""

    status: RunStatus
    message_id: str
