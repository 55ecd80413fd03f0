"""What a stack offers of one model of the catalogue: how it can be tuned, for how much, and who may."""

from typing import Literal

from tunedrop.domain import serverless
from tunedrop.domain.hyperparameters import techniques_of
from tunedrop.domain.import_compatibility import ARCHITECTURES, ModelFacts, architecture_of, compatibility
from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.model import Record
from tunedrop.domain.model_size import model_size
from tunedrop.domain.plan import Technique
from tunedrop.domain.policy import Policy
from tunedrop.domain.policy import problems as policy_problems
from tunedrop.domain.pricing import Price
from tunedrop.domain.problem import Problem
from tunedrop.domain.sensible_defaults import training_instance_type

Answer = Literal["yes", "no", "unknown"]

_KINDS = ("ForCausalLM", "ForConditionalGeneration")


class Offer(Record):
    """Describe one model to who chooses among them."""

    model_id: str
    version: str
    family: str | None
    """By the architecture that the id tells, such as `Llama`; None where it tells none."""
    parameters: int | None
    provider: str | None
    licence: str | None
    gated: bool
    eula_uri: str | None
    techniques: tuple[Technique, ...]
    """Empty for a model that cannot be tuned here; `untunable` says why."""
    trainer: Literal["script", "serverless"] | None
    """JumpStart's own script on an instance, or SageMaker's serverless customisation."""
    untunable: str | None
    default_instance_type: str | None
    usd_per_hour: float | None
    price_source: str | None
    bedrock_imports: Answer
    converse: Answer
    import_notes: tuple[str, ...]
    refused: tuple[Problem, ...]
    """What the stack's policy has against it, on its default instance type."""
    deprecated: bool


def offer(model: JumpStartModel, region: str, policy: Policy, price: Price | None) -> Offer:
    """Describe a model; `price` is of its default instance type, see `training_instance_type`."""
    techniques = techniques_of(model) if model.training_supported else serverless.techniques(model, region)
    instance_type = training_instance_type(model)
    architecture = architecture_of(model.model_id)
    size = model_size(model.model_id)
    findings = compatibility(ModelFacts(model_id=model.model_id, vision=model.vision), region)
    return Offer(
        model_id=model.model_id,
        version=model.version,
        family=_family(architecture),
        parameters=size.total if size else None,
        provider=model.provider,
        licence=model.licence,
        gated=model.gated,
        eula_uri=model.eula_uri,
        techniques=techniques,
        trainer="serverless" if techniques and not model.training_supported else "script" if techniques else None,
        untunable=None if techniques else _untunable(model),
        default_instance_type=instance_type,
        usd_per_hour=price.usd_per_hour if price else None,
        price_source=price.source if price else None,
        bedrock_imports="no" if findings.problems else "unknown" if architecture == "" else "yes",
        converse=_converse(architecture),
        import_notes=tuple(each.message for each in (*findings.problems, *findings.warnings)),
        refused=policy_problems(policy, model, instance_type, str),
        deprecated=model.deprecated,
    )


def _family(architecture: str | None) -> str | None:
    if not architecture:
        return None
    return next(architecture.removesuffix(kind) for kind in _KINDS if architecture.endswith(kind))


def _converse(architecture: str | None) -> Answer:
    if architecture is None:
        return "no"
    answer = ARCHITECTURES.get(architecture)
    return "unknown" if answer is None else "yes" if answer else "no"


def _untunable(model: JumpStartModel) -> str:
    if not model.training_supported:
        return "JumpStart has no training script for it, and SageMaker no recipe in this Region"
    return "its training script offers no technique that Tunedrop knows"
