"""Serverless model customisation: which of SageMaker's recipes trains a model that JumpStart has no script for.

What is written here follows AWS's pages, botocore's service model and the trainers of the SageMaker Python SDK 3. It
was never run against AWS: docs/serverless.md says what is known, and what nobody has checked.
https://docs.aws.amazon.com/sagemaker/latest/dg/customize-model.html
"""

import re
from collections.abc import Callable, Mapping
from typing import Literal

from tunedrop.domain.cost_estimate import CostEstimate, TokenCount
from tunedrop.domain.estimate import NOTES
from tunedrop.domain.jumpstart import CustomizationRecipe, JumpStartModel
from tunedrop.domain.plan import DataTarget, Technique
from tunedrop.domain.problem import Problem, excerpt

MERGED_WEIGHTS = "checkpoints/hf_merged/"
"""Where the weights lie under the job's artifact, adapter merged: what Bedrock imports.

https://github.com/aws/sagemaker-python-sdk/blob/master/sagemaker-serve/src/sagemaker/serve/bedrock_model_builder.py
"""

CUSTOMISATION: Mapping[Technique, Literal["SFT", "DPO"]] = {
    Technique.INSTRUCTION: "SFT",
    Technique.CHAT: "SFT",
    Technique.DPO: "DPO",
}
"""What the API calls a technique; the others have no recipe."""

_BASE_MODEL = re.compile(
    r"arn:[a-z0-9.-]{1,63}:sagemaker:\w+(?:-\w+)+:(?:\d{12}|aws):hub-content/"
    r"[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,62}/Model/[a-zA-Z0-9](?:-*[a-zA-Z0-9]){0,63}(?:/\d{1,4}.\d{1,4}.\d{1,4})?"
)
"""What CreateTrainingJob takes as BaseModelArn.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ServerlessJobConfig.html
"""

_TEXT = re.compile(r"[a-zA-Z0-9/_.:,\-\s'\"\[\]]{1,2500}")
"""Values that AWS's own trainers let through."""


def techniques(model: JumpStartModel, region: str) -> tuple[Technique, ...]:
    """Tell for which techniques SageMaker has a recipe of the model in the region."""
    offered = {each.technique for each in model.recipes if region in each.usage_types}
    return tuple(technique for technique, customisation in CUSTOMISATION.items() if customisation in offered)


def regions(model: JumpStartModel) -> tuple[str, ...]:
    """Name the regions in which SageMaker customises the model at all."""
    return tuple(sorted({region for each in model.recipes for region in each.usage_types}))


def recipe_for(model: JumpStartModel, technique: Technique, region: str) -> CustomizationRecipe | None:
    """Choose the recipe: one with LoRA before one that trains all weights, then the first that the spec names."""
    fitting = [
        each for each in model.recipes if each.technique == CUSTOMISATION.get(technique) and region in each.usage_types
    ]
    return min(fitting, key=lambda each: not each.lora, default=None)


def defaults(recipe: CustomizationRecipe) -> dict[str, str]:
    """Return the recipe's own values; one without a default is left to SageMaker."""
    return {each.name: each.default for each in recipe.hyperparameters or () if each.default}


def unlisted(asked: Mapping[str, str], where: Callable[[str], str]) -> tuple[dict[str, str], tuple[Problem, ...]]:
    """Hand on what is asked of a recipe whose own list could not be read: SageMaker judges the names."""
    problems = tuple(
        Problem(
            code="hyperparameter.value",
            message=f"{name} cannot be {excerpt(text)}.",
            where=where(name),
            fix="Use letters, digits and / _ . : , - only.",
        )
        for name, text in asked.items()
        if not _TEXT.fullmatch(text)
    )
    return dict(asked), problems


def customisation_target(
    model: JumpStartModel,
    recipe: CustomizationRecipe,
    technique: Technique,
    hyperparameters: Mapping[str, str],
    technique_from: Literal["tune.yaml", "files"],
) -> DataTarget:
    """Say what the data must suit.

    Conversations are rows of `messages`, pairs of answers rows of `chosen` and `rejected`, all else rows of `prompt`
    and `completion`.
    https://docs.aws.amazon.com/sagemaker/latest/dg/customizing-models-sft.html
    https://docs.aws.amazon.com/sagemaker/latest/dg/customizing-models-dpo.html
    """
    return DataTarget(
        technique=technique,
        technique_from=technique_from,
        model_id=model.model_id,
        message_key="messages",
        demarcation=False,
        template_applied=technique is Technique.INSTRUCTION,
        # A pair is two sequences: the length of its row says of neither whether it is cut off.
        max_input_length=None if technique is Technique.DPO else _tokens(recipe.sequence_length),
        epochs=epochs(hyperparameters),
        batch_size=_whole(hyperparameters.get("global_batch_size")),
    )


def estimate(
    recipe: CustomizationRecipe, region: str, hyperparameters: Mapping[str, str], tokens: TokenCount
) -> CostEstimate:
    """Count what is billed; its price per token is in no source that Tunedrop reads."""
    times = epochs(hyperparameters)
    basis = [tokens.basis]
    if times is None:
        basis.append("The recipe's own number of epochs")
    basis.append(
        f"No estimate: billed as {recipe.usage_types[region]} ({recipe.metering or 'by use'}), at a price that is "
        "not known here: https://aws.amazon.com/sagemaker/ai/pricing/"
    )
    return CostEstimate(
        tokens=tokens,
        epochs=times or 0,
        hours=None,
        usd=None,
        usd_per_hour=None,
        basis=tuple(basis),
        notes=NOTES,
    )


def warnings(recipe: CustomizationRecipe, model_version: str | None) -> tuple[str, ...]:
    """Say what is uncertain of such a job, in sentences."""
    said = [f"SageMaker customises this model serverless, by its recipe {recipe.name}: no script, no instance type."]
    if model_version:
        said.append(
            f"SageMaker takes the newest version of the model, whatever is named: {model_version} need not be it."
        )
    if recipe.hyperparameters is None:
        said.append(
            "The recipe's list of hyperparameters could not be read: SageMaker's defaults hold, and what tune.yaml "
            "sets is handed on unchecked."
        )
    return tuple(said)


def epochs(hyperparameters: Mapping[str, str]) -> float | None:
    """Read how often the rows are read; None when the job does not say."""
    return _whole(hyperparameters.get("max_epochs"))


def refusals(
    set_keys: Mapping[str, object],
    where: Callable[[str], str],
    hub_content_arn: str | None,
    *,
    allowed: bool,
    isolated: bool,
) -> tuple[Problem, ...]:
    """Refuse what makes no sense without instances of one's own; `set_keys` are those of `tune.yaml` with a value.

    `allowed` says whether the stack lets SageMaker train so at all; `isolated` that its jobs must have no network,
    which nobody can ask of this kind. `hub_content_arn` is the model's entry in the stack's private hub, if it has one.
    """
    found = [
        Problem(
            code="serverless.setting",
            message=f"{key} has no meaning for this model: {reason}.",
            where=where(key),
            fix=f"Remove {key}.",
        )
        for key, reason in _MEANINGLESS.items()
        if key in set_keys
    ]
    if not allowed:
        found.append(
            Problem(
                code="policy.serverless",
                message="This stack does not allow SageMaker's serverless customisation, by which alone this model is "
                "trained: it is billed by tokens, and no limit of AWS's stops it at a sum.",
                where=where("model"),
                fix="Choose a model with a training script, or ask those who deployed the stack to change its "
                "parameter ServerlessCustomisation.",
            )
        )
    if hub_content_arn and not _BASE_MODEL.fullmatch(hub_content_arn):
        found.append(
            Problem(
                code="serverless.hub",
                message="SageMaker customises no reference of a private hub serverless: its API takes the ARN of a "
                f"hub's own model alone, and this is {hub_content_arn}.",
                where=where("model"),
                fix="Choose a model of the hub with a training script; or have the stack deployed without PrivateHub, "
                "and its parameter Policy name what may be tuned.",
            )
        )
    if isolated:
        found.append(
            Problem(
                code="serverless.isolation",
                message="This stack isolates its training jobs (parameter IsolateTraining), and SageMaker customises "
                "this model serverless: such a job takes no network isolation.",
                where=where("model"),
                fix="Choose a model with a training script, or have the stack deployed without IsolateTraining.",
            )
        )
    return tuple(found)


_MEANINGLESS = {
    "instance_type": "SageMaker customises it serverless and chooses the instances itself",
    "spot": "SageMaker customises it serverless, and bills what is trained, not instances",
    "max_wait_hours": "SageMaker customises it serverless, and nothing is waited for",
}


def _tokens(sequence_length: str | None) -> int | None:
    """Read `4K` as 4,096."""
    match = re.fullmatch(r"(\d{1,4})K", sequence_length or "")
    return int(match[1]) * 1024 if match else None


def _whole(text: str | None) -> int | None:
    return int(text) if text and re.fullmatch(r"[1-9][0-9]{0,8}", text) else None
