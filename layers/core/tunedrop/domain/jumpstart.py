"""A JumpStart model as the plan sees it: what the catalogue says that one may ask for."""

from typing import Literal

from pydantic import Field

from tunedrop.domain.model import Record


class HyperparameterSpec(Record):
    """Describe one hyperparameter of a model's spec; values are strings, as in the API.

    Bounds hold for numbers, and for the length of a text.
    """

    name: str
    type: Literal["int", "float", "text", "bool"]
    default: str
    options: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | None = None
    exclusive_maximum: float | None = None
    container: bool = False
    """True for the container's own settings (`sagemaker_program` and the like), which are not the user's to set."""


class MetricDefinition(Record):
    """Name a number in the training log; `regex` has one group, as CreateTrainingJob takes it."""

    name: str
    regex: str


class CustomizationRecipe(Record):
    """Describe one way in which SageMaker customises a model serverless: no script, no instance to choose.

    https://docs.aws.amazon.com/sagemaker/latest/dg/customize-model.html
    """

    name: str
    technique: Literal["SFT", "DPO"]
    """Supervised fine-tuning, or direct preference optimisation; what rewards a model by code is not offered here."""
    lora: bool
    """Whether an adapter is trained and then merged; otherwise all weights are."""
    sequence_length: str | None = None
    """As the API spells it: `4K` is 4,096 tokens of one row."""
    metering: str = ""
    """What is billed, as the spec says: `Token-based` or `Hourly`."""
    usage_types: dict[str, str]
    """Region → what the bill calls it; SageMaker offers the recipe in these regions only."""
    hyperparameters_key: str | None = None
    """Where JumpStart lists its hyperparameters."""
    hyperparameters: tuple[HyperparameterSpec, ...] | None = None
    """None when that list was not read, or could not be."""


class JumpStartModel(Record):
    """Describe one version of a model in the JumpStart catalogue of one region."""

    model_id: str
    version: str
    training_supported: bool
    """Whether JumpStart has a training script for it."""
    recipes: tuple[CustomizationRecipe, ...] = ()
    """How SageMaker customises it serverless, in the spec's order; empty for a model with a script."""
    gated: bool
    vision: bool = False
    """Whether the model reads pictures beside text."""
    provider: str | None = None
    """Who published it, in JumpStart's own word, such as `meta`; None where JumpStart does not tell."""
    licence: str | None = None
    """The licence's name in JumpStart's own words, such as `Apache 2.0`; None where JumpStart does not tell."""
    eula_uri: str | None = None
    hyperparameters: tuple[HyperparameterSpec, ...]
    instance_defaults: dict[str, dict[str, str]] = Field(default_factory=dict)
    """Instance type, or family of them → the defaults that are other ones there."""
    instance_types: tuple[str, ...]
    default_instance_type: str | None
    """None for a model that JumpStart has no training script for."""
    metrics: tuple[MetricDefinition, ...] = ()
    volume_size_gb: int
    max_runtime_seconds: int
    """The spec's own value; 360,000 s (100 h) for the Llama family."""
    compress_output: bool = False
    encrypt_inter_container_traffic: bool = True
    network_isolation: bool = True
    deprecated: bool = False
    vulnerabilities: tuple[str, ...] = ()
    """Known security problems of the packages in the training script."""
    hosting_instance_types: tuple[str, ...] = ()
    """On which JumpStart serves it; empty where it does not."""
    default_hosting_instance_type: str | None = None
    hosting_network_isolation: bool = True
    hub_content_arn: str | None = None
    """The entry of the private hub that the model was found in, which the job must name; None for JumpStart itself."""

    @property
    def defaults(self) -> dict[str, str]:
        """Every hyperparameter's default, the container's own settings included."""
        return {each.name: each.default for each in self.hyperparameters}

    def on(self, instance_type: str) -> "JumpStartModel":
        """Return the model with the defaults that hold on the instance type."""
        own = {
            **self.instance_defaults.get(instance_type.removeprefix("ml.").partition(".")[0], {}),
            **self.instance_defaults.get(instance_type, {}),
        }
        if not own:
            return self
        specs = tuple(
            HyperparameterSpec.model_validate({**dict(each), "default": own.get(each.name, each.default)})
            for each in self.hyperparameters
        )
        return JumpStartModel.model_validate({**dict(self), "hyperparameters": specs})


class TrainingArtifacts(Record):
    """Locate what a training job of one model on one instance type runs: image, script, weights."""

    image_uri: str
    script_uri: str
    """S3 URI of `sourcedir.tar.gz`."""
    model_uri: str | None
    """S3 URI of the `model` channel; None for a gated model, whose weights `environment` names."""
    environment: dict[str, str]
    hyperparameters: dict[str, str]
    """The defaults on this instance type."""


class HostingArtifacts(Record):
    """Say with what JumpStart serves one model, or one tuned from it, on one instance type."""

    image_uri: str
    environment: dict[str, str]
    memory_mb: int | None = None
    """Memory of the host that a copy takes at least; None where JumpStart does not say."""
    weights_uri: str | None = None
    """S3 URI of the model's own weights: a folder, ending with a slash, or an archive.

    None where JumpStart names none that its container serves without a script.
    """
    gated_weights: bool = False
    """Whether SageMaker gives them to those alone who accept the licence agreement."""
