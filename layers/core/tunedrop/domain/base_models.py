"""Which of Bedrock's own models has the weights that a JumpStart model starts from."""

from collections.abc import Mapping
from types import MappingProxyType

BASE_MODELS: Mapping[str, str] = MappingProxyType(
    {
        "meta-textgeneration-llama-3-8b-instruct": "meta.llama3-8b-instruct-v1:0",
        "meta-textgeneration-llama-3-70b-instruct": "meta.llama3-70b-instruct-v1:0",
        "meta-textgeneration-llama-3-1-8b-instruct": "us.meta.llama3-1-8b-instruct-v1:0",
        "meta-textgeneration-llama-3-1-70b-instruct": "us.meta.llama3-1-70b-instruct-v1:0",
        "meta-textgeneration-llama-3-2-1b-instruct": "us.meta.llama3-2-1b-instruct-v1:0",
        "meta-textgeneration-llama-3-2-3b-instruct": "us.meta.llama3-2-3b-instruct-v1:0",
        "meta-textgeneration-llama-3-3-70b-instruct": "us.meta.llama3-3-70b-instruct-v1:0",
        "huggingface-llm-mistral-7b-instruct": "mistral.mistral-7b-instruct-v0:2",
    }
)
"""JumpStart model id → id of a model or of a cross-Region inference profile (`us.`), as of 2026-11, not tried on AWS.

The stack's parameter BaseModels adds to the table and overrides it: elsewhere the profiles begin with `eu.` and so on.
https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
"""
