"""The events that functions receive; fields that nobody reads are left out and ignored."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel

from tunedrop.domain.run import Change, RunStatus

REASON_LIMIT = 300
"""Characters of a reason that a person gives."""


class Event(BaseModel):
    """Read an EventBridge event; AWS adds fields over time, so unknown ones are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, defer_build=True)


class S3Bucket(Event):
    """Name the bucket of an S3 event."""

    name: str


class S3Object(Event):
    """Name the object version of an S3 event; keys are not URL-encoded, unlike S3's direct notifications."""

    key: str
    etag: str
    version_id: str = Field(alias="version-id")


class ObjectCreatedDetail(Event):
    """Hold the detail of `Object Created`."""

    bucket: S3Bucket
    object: S3Object
    requester: str = "unknown"


class ObjectCreated(Event):
    """Announce an upload: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html."""

    detail_type: Literal["Object Created"] = Field(alias="detail-type")
    detail: ObjectCreatedDetail


class TrainingJobDetail(Event):
    """Hold the detail of `SageMaker Training Job State Change`; Describe tells the rest."""

    training_job_name: str = Field(alias="TrainingJobName")


class TrainingJobStateChange(Event):
    """Announce a training job's change; AWS sends several per change, by design.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """

    detail_type: Literal["SageMaker Training Job State Change"] = Field(alias="detail-type")
    detail: TrainingJobDetail


class ExecutionDetail(Event):
    """Hold the detail of `Step Functions Execution Status Change`; Describe tells the rest."""

    name: str


class ExecutionStatusChange(Event):
    """Announce that an execution of a state machine began or ended.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """

    detail_type: Literal["Step Functions Execution Status Change"] = Field(alias="detail-type")
    detail: ExecutionDetail


class RunStatusChangedDetail(Event):
    """Hold the detail of our own announcement; every value is text."""

    run_id: str
    dataset: str
    status: RunStatus
    previous_status: RunStatus
    change: Change
    version: int


class RunStatusChanged(Event):
    """Announce that a run has a new status, or is due for a look."""

    detail_type: Literal["Run Status Changed"] = Field(alias="detail-type")
    detail: RunStatusChangedDetail


class PromotionRequestedDetail(Event):
    """Hold a person's wish, in alphabets that cannot break what it is written into."""

    request_id: str = Field(pattern=r"^[A-Za-z0-9-]{8,64}$")
    dataset: str
    run_id: str = Field(pattern=r"^[a-z2-7]{26}$")
    instead_of: str = Field(pattern=r"^([a-z2-7]{26})?$")
    """The run that is the champion, as the person saw it; empty for none."""
    requested_by: str = Field(pattern=r"^[A-Za-z0-9_+=,.@:/-]+$", max_length=512)
    """The principal's ARN, as the command tells it: EventBridge adds none. CloudTrail has the proof."""


class PromotionRequested(Event):
    """Ask to make a run's model the champion of its dataset; sent by `tunedrop promote` and `tunedrop rollback`."""

    detail_type: Literal["Promotion Requested"] = Field(alias="detail-type")
    detail: PromotionRequestedDetail


class ModelPromotedDetail(Event):
    """Hold the detail of our announcement of a new champion; a dataset's first one has no previous one."""

    dataset: str
    run_id: str
    model_arn: str
    previous_run_id: str
    previous_model_arn: str
    promoted_by: str
    version: int


class ModelPromoted(Event):
    """Announce that a dataset has a new champion; for users' rules, no function of ours listens."""

    detail_type: Literal["Model Promoted"] = Field(alias="detail-type")
    detail: ModelPromotedDetail


class WishDetail(Event):
    """Hold what a person wishes for a run, in alphabets that cannot break what shows it."""

    run_id: str = Field(pattern=r"^[a-z2-7]{26}$")
    requested_by: str = Field(pattern=r"^[A-Za-z0-9_+=,.@:/-]{1,512}$")
    """The principal's ARN, as the command tells it: EventBridge adds none."""


class EndpointWanted(Event):
    """Ask to bring an endpoint back that was taken down; sent by `tunedrop wake`."""

    detail_type: Literal["Endpoint Wanted"] = Field(alias="detail-type")
    detail: WishDetail


class ApprovalGiven(Event):
    """Let a run be launched; sent by `tunedrop approve`."""

    detail_type: Literal["Approval Given"] = Field(alias="detail-type")
    detail: WishDetail


class ApprovalRefusedDetail(WishDetail):
    """Say why, for who dropped the dataset."""

    reason: str = Field(
        default="", max_length=REASON_LIMIT, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]*$"
    )


class ApprovalRefused(Event):
    """Do not let a run be launched; sent by `tunedrop reject`."""

    detail_type: Literal["Approval Refused"] = Field(alias="detail-type")
    detail: ApprovalRefusedDetail


class EndpointStateChangeDetail(Event):
    """Hold what is used of SageMaker's announcement; it spells statuses otherwise than its API, so they are not read.

    https://docs.aws.amazon.com/sagemaker/latest/dg/automating-sagemaker-with-eventbridge.html
    """

    endpoint_name: str = Field(alias="EndpointName")


class EndpointStateChange(Event):
    """Announce that an endpoint came into service, failed or is going."""

    detail_type: Literal["SageMaker Endpoint State Change"] = Field(alias="detail-type")
    detail: EndpointStateChangeDetail


class AlarmState(Event):
    """Say which state an alarm has come to, and CloudWatch's reason."""

    value: str
    reason: str = ""


class AlarmStateChangeDetail(Event):
    """Hold what is used of CloudWatch's announcement."""

    alarm_name: str = Field(alias="alarmName")
    state: AlarmState


class AlarmStateChange(Event):
    """Announce that an alarm rings, or is over.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge.html
    """

    detail_type: Literal["CloudWatch Alarm State Change"] = Field(alias="detail-type")
    detail: AlarmStateChangeDetail


class Tick(Event):
    """Announce that a schedule's time has come."""

    detail_type: Literal["Scheduled Event"] = Field(alias="detail-type")
    time: datetime


class PlanEvent(RootModel[ObjectCreated | RunStatusChanged]):
    """Hold what plan_run reacts to, told apart by its detail type."""

    root: ObjectCreated | RunStatusChanged = Field(discriminator="detail_type")


class WorkflowEvent(RootModel[ExecutionStatusChange | RunStatusChanged]):
    """Hold what starters of workflows react to, told apart by its detail type."""

    root: ExecutionStatusChange | RunStatusChanged = Field(discriminator="detail_type")


class ChampionEvent(RootModel[PromotionRequested | EndpointWanted | AlarmStateChange | RunStatusChanged]):
    """Hold what promote_model reacts to, told apart by its detail type."""

    root: PromotionRequested | EndpointWanted | AlarmStateChange | RunStatusChanged = Field(discriminator="detail_type")


class DeploymentEvent(RootModel[EndpointStateChange | Tick]):
    """Hold what track_deployment reacts to, told apart by its detail type."""

    root: EndpointStateChange | Tick = Field(discriminator="detail_type")


class ApprovalEvent(RootModel[ApprovalGiven | ApprovalRefused]):
    """Hold what record_approval reacts to, told apart by its detail type."""

    root: ApprovalGiven | ApprovalRefused = Field(discriminator="detail_type")


class TrainingEvent(RootModel[TrainingJobStateChange | RunStatusChanged]):
    """Hold what track_training reacts to, told apart by its detail type."""

    root: TrainingJobStateChange | RunStatusChanged = Field(discriminator="detail_type")
