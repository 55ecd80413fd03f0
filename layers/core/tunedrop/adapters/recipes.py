"""The recipes by which SageMaker customises a model serverless, read from the model's JumpStart spec.

What is read here is what the trainers of the SageMaker Python SDK 3 read
(`sagemaker.train.common_utils.finetune_utils`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tunedrop.adapters.document_fields import field
from tunedrop.domain.jumpstart import CustomizationRecipe, HyperparameterSpec

_TECHNIQUES: Mapping[str, Literal["SFT", "DPO"]] = {"SFT": "SFT", "DPO": "DPO"}

_TYPES: Mapping[str, Literal["int", "float", "text", "bool"]] = {
    "integer": "int",
    "int": "int",
    "float": "float",
    "number": "float",
    "boolean": "bool",
    "bool": "bool",
}
"""What the lists of hyperparameters call their types; all else is text."""

_SET_BY_CHANNELS = frozenset(
    {
        "data_path",
        "data_s3_path",
        "output_path",
        "output_s3_path",
        "training_data_name",
        "validation_data_name",
        "validation_data_path",
    }
)
"""What the request's channels and output say: AWS's own trainers leave these out too."""


def recipes(document: Mapping[str, Any]) -> tuple[CustomizationRecipe, ...]:
    """Return what SageMaker can run serverless, in the document's order.

    A recipe without a `serverless_sku` needs instances of one's own; one of a subscription needs a contract.
    """
    return tuple(_recipes(document))


def listed_hyperparameters(listed: object) -> tuple[HyperparameterSpec, ...] | None:
    """Read the list that a recipe's `hyperparameters_key` leads to; None when it has another shape."""
    if not isinstance(listed, dict):
        return None
    return tuple(
        _hyperparameter(name, each)
        for name, each in listed.items()
        if isinstance(each, dict) and name not in _SET_BY_CHANNELS
    )


def _recipes(document: Mapping[str, Any]) -> Iterator[CustomizationRecipe]:
    for entry in field(document, "recipe_collection") or ():
        technique = _TECHNIQUES.get(field(entry, "customization_technique"))
        usage_types = _usage_types(entry)
        if field(entry, "type") != "FineTuning" or technique is None or not usage_types:
            continue
        if field(entry, "is_subscription_model"):
            continue
        yield CustomizationRecipe(
            name=str(field(entry, "name", default="")),
            technique=technique,
            lora=field(entry, "peft") == "LORA",
            sequence_length=field(entry, "sequence_length"),
            metering=str(field(entry, "serverless_metering_type", default="")),
            usage_types=usage_types,
            hyperparameters_key=field(entry, "smtj_override_params_s3_key"),
        )


def _usage_types(entry: Mapping[str, Any]) -> dict[str, str]:
    regions = field(field(entry, "regional_parameters") or {}, "prod") or {}
    named = {region: field(each, "serverless_sku") for region, each in regions.items()}
    return {region: str(usage_type) for region, usage_type in named.items() if usage_type}


def _hyperparameter(name: str, spec: Mapping[str, Any]) -> HyperparameterSpec:
    default, options = spec.get("default"), spec.get("enum") or ()
    return HyperparameterSpec(
        name=name,
        # One of a few numbers is one of a few spellings.
        type="text" if options else _TYPES.get(str(spec.get("type")), "text"),
        default="" if default is None else str(default),
        options=tuple(map(str, options)),
        minimum=spec.get("min"),
        maximum=spec.get("max"),
    )
