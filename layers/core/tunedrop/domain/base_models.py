"""Which of Bedrock's own models has the weights that a JumpStart model starts from."""

from collections.abc import Mapping
from types import MappingProxyType

from tunedrop.domain.stack_parameters import parse_parameter

PARAMETER = "BaseModels"
"""The stack parameter that adds to the table: JSON, JumpStart model id → Bedrock model id."""

EXAMPLE = '{"meta-textgeneration-llama-3-8b-instruct": "meta.llama3-8b-instruct-v1:0"}'

_BASE_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "meta-textgeneration-llama-3-8b-instruct": "meta.llama3-8b-instruct-v1:0",
        "meta-textgeneration-llama-3-70b-instruct": "meta.llama3-70b-instruct-v1:0",
        "meta-textgeneration-llama-3-1-8b-instruct": "meta.llama3-1-8b-instruct-v1:0",
        "meta-textgeneration-llama-3-1-70b-instruct": "meta.llama3-1-70b-instruct-v1:0",
        "meta-textgeneration-llama-3-2-1b-instruct": "meta.llama3-2-1b-instruct-v1:0",
        "meta-textgeneration-llama-3-2-3b-instruct": "meta.llama3-2-3b-instruct-v1:0",
        "meta-textgeneration-llama-3-3-70b-instruct": "meta.llama3-3-70b-instruct-v1:0",
        "huggingface-llm-mistral-7b-instruct": "mistral.mistral-7b-instruct-v0:2",
    }
)
"""JumpStart model id → Bedrock model id, as of 2026-11, not tried on AWS."""

_ONLY_BY_PROFILE = ("meta.llama3-1", "meta.llama3-2", "meta.llama3-3")
"""Models that Bedrock offers through an inference profile of a group of Regions, whose name begins with `us.` or `eu.`.

https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
"""


def base_models(region: str) -> dict[str, str]:
    """Return JumpStart model id → id of a model or inference profile that can be called from the Region.

    The stack's parameter BaseModels adds to it and overrides it.
    """
    group = region.partition("-")[0]
    return {
        jumpstart: f"{group}.{bedrock}" if bedrock.startswith(_ONLY_BY_PROFILE) else bedrock
        for jumpstart, bedrock in _BASE_MODELS.items()
    }


def parse_base_models(text: str) -> dict[str, str]:
    """Read the stack parameter; raises StackParameterError with all that is wrong, and nothing else."""
    return dict(parse_parameter(PARAMETER, text, dict[str, str], EXAMPLE))
