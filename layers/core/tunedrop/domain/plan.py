"""The frozen plan of a run: all that validating, launching, deploying and evaluating need, decided once."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from tunedrop.domain.cost_estimate import CostEstimate
from tunedrop.domain.jumpstart import MetricDefinition
from tunedrop.domain.model import Record
from tunedrop.domain.pricing import Price

MetricName = Literal["exact_match", "normalised_match", "token_f1", "rouge_l", "anls", "label_accuracy"]
"""How an answer is compared with the right one; docs/evaluation.md has the definitions."""

JudgeMetric = Literal[
    "Correctness",
    "Completeness",
    "Faithfulness",
    "Helpfulness",
    "Coherence",
    "Relevance",
    "FollowingInstructions",
    "ProfessionalStyleAndTone",
    "Harmfulness",
    "Stereotyping",
    "Refusal",
]
"""What a judge on Bedrock grades answers for, as Bedrock names it, after `Builtin.`.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-metrics.html
"""


class Technique(StrEnum):
    """How the model is customised; the value is what `tune.yaml` says."""

    INSTRUCTION = "instruction"
    CHAT = "chat"
    DPO = "dpo"
    """Direct preference optimisation, named as SageMaker's API, its SDK and the field's trainers name it."""
    DOMAIN_ADAPTATION = "domain-adaptation"
    VISUAL_QA = "visual-qa"


class ServeTarget(StrEnum):
    """Where the tuned model answers."""

    BEDROCK = "bedrock"
    """By Custom Model Import."""
    ENDPOINT = "endpoint"
    """By an inference component on a SageMaker endpoint."""


class FileRole(StrEnum):
    """What a file of the drop is for."""

    TRAINING = "training"
    VALIDATION = "validation"
    HELD_OUT = "held-out"
    TEMPLATE = "template"


class PinnedObject(Record):
    """Name one object of a drop and the version of it that was there at plan time."""

    key: str
    version_id: str
    etag: str
    size: int
    """Bytes."""


class PinnedFile(PinnedObject):
    """Say what a pinned object is for."""

    role: FileRole
    name: str
    """The path under the drop's folder."""


class ImageSet(Record):
    """Pin the images of one `metadata.jsonl` together: one by one they would not fit into the run's record."""

    metadata: str
    """The path of the `metadata.jsonl` under the drop's folder; the images lie beside it, or deeper."""
    count: int
    bytes: int
    digest: str
    """Hex digest of every image's name, size, ETag and version: another one says that an image was changed since."""


class EulaAcceptance(Record):
    """Record who accepted which licence agreement, and when: the principal that uploaded `tune.yaml`."""

    eula_uri: str | None
    accepted_by: str
    accepted_at: datetime


class VpcConfig(Record):
    """Put the training job in a VPC."""

    subnets: tuple[str, ...]
    security_group_ids: tuple[str, ...]


def vpc_config(subnets: tuple[str, ...], security_group_ids: tuple[str, ...]) -> VpcConfig | None:
    """Return where jobs are put when either is named; None for SageMaker's own network."""
    named = subnets or security_group_ids
    return VpcConfig(subnets=subnets, security_group_ids=security_group_ids) if named else None


class TrainingPlan(Record):
    """Hold every field of CreateTrainingJob that the run's name does not decide, for JumpStart's training script."""

    trainer: Literal["script"] = "script"
    image_uri: str
    script_uri: str
    model_uri: str | None
    hub_content_arn: str | None = None
    """The entry of the private hub that gives the weights out; None for JumpStart's own catalogue."""
    environment: dict[str, str]
    hyperparameters: dict[str, str]
    """JumpStart's names, defaults filled in, container settings included; plain strings, not JSON-encoded."""
    instance_type: str
    instance_count: int = 1
    volume_size_gb: int
    max_runtime_seconds: int
    max_wait_seconds: int | None = None
    """Set for managed spot training only."""
    kms_key_arn: str | None = None
    """The stack's own key, for the output and, where the instance takes one, the volume."""
    vpc: VpcConfig | None = None
    metrics: tuple[MetricDefinition, ...]
    compress_output: bool
    encrypt_inter_container_traffic: bool
    network_isolation: bool

    @property
    def place(self) -> str:
        """Say on what is trained, in words for a person."""
        return f"{self.instance_count} x {self.instance_type}{', managed spot' if self.max_wait_seconds else ''}"


class ServerlessTrainingPlan(Record):
    """Hold the fields of CreateTrainingJob for a model that SageMaker customises serverless, by a recipe of its own."""

    trainer: Literal["serverless"] = "serverless"
    recipe: str
    """The name of the recipe in JumpStart's catalogue; SageMaker itself chooses by what the request says."""
    customization_technique: Literal["SFT", "DPO"]
    lora: bool
    sequence_length: str | None
    accept_eula: bool
    hyperparameters: dict[str, str]
    """The recipe's names, defaults filled in; plain strings."""
    max_runtime_seconds: int
    kms_key_arn: str | None = None
    vpc: VpcConfig | None = None
    usage_type: str
    """What the bill calls it."""
    hub_content_arn: str | None = None
    """The entry of the private hub that the model is from; None for SageMaker's public hub."""
    metrics: tuple[MetricDefinition, ...] = ()
    """None: SageMaker itself defines what it measures."""

    @property
    def instance_type(self) -> str:
        """Stand in for an instance type where attempts and prices are told: SageMaker chooses it, and tells nobody."""
        return "serverless"

    @property
    def place(self) -> str:
        """Say on what is trained, in words for a person."""
        return "SageMaker's serverless customisation"


class InstanceChoice(Record):
    """Hold what a job on this instance type is given in place of `TrainingPlan`'s own.

    JumpStart's image, weights and defaults depend on the type, and so do the price and the time that a budget buys.
    """

    instance_type: str
    image_uri: str
    script_uri: str
    model_uri: str | None
    environment: dict[str, str]
    hyperparameters: dict[str, str]
    max_runtime_seconds: int
    max_wait_seconds: int | None
    usd_per_hour: float | None
    price_source: str | None = None
    estimate: CostEstimate | None
    batch_size: int | None = None
    """Rows of one optimiser step, over all devices of the type."""


class ApprovalRule(Record):
    """Say what is launched without asking, and how long a dearer run waits for a person."""

    auto_approve_usd: float
    hours: float


class DataTarget(Record):
    """Say what the data must suit: the model's training script, and what serves the model later."""

    technique: Technique
    technique_from: Literal["tune.yaml", "files"]
    model_id: str | None = None
    """None for a folder that names no model."""
    message_key: Literal["dialog", "messages", "conversations"] = "messages"
    """The key under which the script reads a conversation; the others are accepted and rewritten."""
    system_messages: bool = True
    """Whether the model's chat template knows the role `system`."""
    demarcation: bool = True
    """Whether the script puts its `### Response:` between prompt and answer."""
    template_applied: bool = False
    """Whether rows are handed on as `prompt` and `completion`, the template filled in; a script fills it in itself."""
    max_input_length: int | None = None
    """Tokens that the script reads of a row; None when it cuts nothing, or nobody knows."""
    tokenizer_uri: str | None = None
    """S3 URI of the model's `tokenizer.json`, where it can be read."""
    epochs: float | None = None
    batch_size: int | None = None
    """Rows of one optimiser step, over all devices."""
    validation_split_ratio: float | None = None
    """Share of the rows that the script takes away to validate with when there is no file for it."""

    def reads_like(self, other: "DataTarget") -> bool:
        """Tell whether rows that suit the one suit the other: steps may hold more rows, and weights lie elsewhere."""
        apart = {"batch_size", "tokenizer_uri"}
        return self.model_dump(exclude=apart) == other.model_dump(exclude=apart)


class HostingPlan(Record):
    """Hold what the endpoint of a tuned model is made of."""

    image_uri: str
    environment: dict[str, str]
    instance_type: str
    accelerators: int
    """GPUs that a copy takes: all of an instance; 0 where it has none."""
    memory_mb: int
    """Memory of the host that a copy takes at least."""
    max_instances: int
    scale_to_zero: bool
    ttl_hours: float | None
    """Hours without a call after which the endpoint is taken down; None for never."""
    network_isolation: bool
    kms_key_arn: str | None = None
    vpc: VpcConfig | None = None
    usd_per_hour: float | None
    """Of one instance; None when no price is known."""
    price_source: str | None = None


class BaseEndpointPlan(Record):
    """Hold what the temporary endpoint of a base model is made of."""

    hosting: HostingPlan
    weights_uri: str
    """S3 URI of JumpStart's own weights: a folder, ending with a slash, or an archive."""
    accept_eula: bool
    """Whether SageMaker gives them to those alone who accept the licence agreement, which `tune.yaml` does."""
    required: bool
    """Whether `tune.yaml` asks for it, so that nothing is promoted without it."""
    most_hours: float
    """After which it is taken down, whatever has been asked."""

    @property
    def most_usd(self) -> float | None:
        """What it costs at most, in US dollars; None when no price is known."""
        return self.hosting.usd_per_hour and self.hosting.usd_per_hour * self.most_hours


class JudgePlan(Record):
    """Say which model grades the answers on Bedrock, and for what; it decides nothing."""

    evaluator_model: str
    """Bedrock's id of a foundation model, or of an inference profile."""
    metrics: tuple[JudgeMetric, ...]


class EvaluationPlan(Record):
    """Say how the candidate is judged."""

    metric: MetricName
    against: tuple[str, ...]
    min_gain: float
    held_out_ratio: float
    """Share of the training rows set apart when the drop has no held-out file."""
    seed: int
    base_model_id: str | None
    """Bedrock's own on-demand model that corresponds to the JumpStart model; None when there is none, or none is asked.
    """
    base_endpoint: BaseEndpointPlan | None = None
    """Where the base model answers instead; None where Bedrock's own does, or nobody asks for the base."""
    judge: JudgePlan | None = None
    """None where nobody grades the answers but the metrics."""

    @property
    def base_required(self) -> bool:
        """Tell whether nothing is promoted unless the base was asked: not where nobody asked for its endpoint."""
        return self.base_endpoint is None or self.base_endpoint.required


class Plan(Record):
    """Freeze what a run will do."""

    serve: ServeTarget
    model_id: str
    model_version: str
    region: str
    eula: EulaAcceptance | None
    data: DataTarget
    files: tuple[PinnedFile, ...]
    images: tuple[ImageSet, ...] = ()
    fingerprint: str
    """Hex digest of the dataset's name and the ETag of every file and image: equal for a drop uploaded twice."""
    training: TrainingPlan | ServerlessTrainingPlan
    hosting: HostingPlan | None = None
    """The endpoint; None where Bedrock serves the model."""
    evaluation: EvaluationPlan
    usd_per_hour: float | None
    """Price of the instances; None when no price is known."""
    price_source: str | None = None
    """Where the price is from: the stack's own, AWS's Price List, our table. None for a plan of before it was told."""
    budget_usd: float | None
    estimate: CostEstimate | None = None
    """None for a plan of before estimates, and where compressed files hide how much there is to read."""
    approval: ApprovalRule | None = None
    """None where everything is launched without asking."""
    choices: tuple[InstanceChoice, ...] = ()
    """In the order in which they are tried, that of `training` first; empty for a plan of before there were several."""
    warnings: tuple[str, ...] = ()

    @property
    def training_budget_usd(self) -> float | None:
        """What the budget leaves for the training, in US dollars; None where there is no budget."""
        base = self.evaluation.base_endpoint
        return self.budget_usd and self.budget_usd - ((base and base.most_usd) or 0)

    @property
    def price(self) -> Price | None:
        """Return the price of the instances with its source; None where either is not known."""
        if self.usd_per_hour is None or self.price_source is None:
            return None
        return Price(usd_per_hour=self.usd_per_hour, source=self.price_source)

    def limited_to(self, choices: tuple[InstanceChoice, ...], warning: str | None) -> "Plan":
        """Return the plan with these choices only, the first of them in `training`."""
        warnings = (*self.warnings, warning) if warning else self.warnings
        return self.model_copy(update={"choices": choices, "warnings": warnings}).for_attempt(1)

    def stopped_after(self, seconds: int) -> "Plan":
        """Return the plan with a time limit that is no longer; waiting for spot capacity takes no more than before."""
        training = self.training
        if not isinstance(training, TrainingPlan) or training.max_runtime_seconds <= seconds:
            return self
        shorter: dict[str, int] = {"max_runtime_seconds": seconds}
        if training.max_wait_seconds:
            shorter["max_wait_seconds"] = training.max_wait_seconds - training.max_runtime_seconds + seconds
        return self.model_copy(update={"training": training.model_copy(update=shorter)})

    def for_attempt(self, attempt: int) -> "Plan":
        """Return the plan as the attempt, counted from 1, carries it out: each choice in turn, then the first again."""
        if not self.choices:
            return self
        choice = self.choices[(attempt - 1) % len(self.choices)]
        changed = choice.model_dump(exclude={"usd_per_hour", "price_source", "estimate", "batch_size"})
        return self.model_copy(
            update={
                "training": self.training.model_copy(update=changed),
                "data": self.data.model_copy(update={"batch_size": choice.batch_size}),
                "usd_per_hour": choice.usd_per_hour,
                "price_source": choice.price_source,
                "estimate": choice.estimate,
            }
        )
