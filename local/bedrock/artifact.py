"""Decide whether Bedrock's Custom Model Import would take a model's files.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-customization-import-model.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

ARCHITECTURES = frozenset(
    {
        "LlamaForCausalLM",
        "MistralForCausalLM",
        "MixtralForCausalLM",
        "GPTBigCodeForCausalLM",
        "Qwen2ForCausalLM",
        "Qwen3ForCausalLM",
        "Qwen3MoeForCausalLM",
        "GptOssForCausalLM",
        "MllamaForConditionalGeneration",
    }
)
# https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html, and of Qwen3 the page above.
_NOT_BY_CONVERSE = frozenset({"Qwen2ForCausalLM", "Qwen3ForCausalLM", "Qwen3MoeForCausalLM", "GptOssForCausalLM"})
# Bedrock also imports these; the local one generates with decoders of text and with Llama's vision models only.
_NOT_LOCAL = frozenset(
    {
        "T5ForConditionalGeneration",
        "Qwen2VLForConditionalGeneration",
        "Qwen2_5_VLForConditionalGeneration",
    }
)
_TOKENIZERS = ("T5", "Llama", "CodeLlama", "GPT2", "GPTNeoX", "PreTrained", "Qwen2")
_MAX_BYTES = 200 * 10**9
_MAX_MULTIMODAL_BYTES = 100 * 10**9
_IMAGE_PROCESSOR = "preprocessor_config.json"
_MAX_CONTEXT = 128 * 1024


class UnsupportedModelError(Exception):
    """Report why a model cannot be imported; the text becomes the job's failureMessage."""


def check_listing(names: Iterable[tuple[str, int]]) -> None:
    """Check which files there are, before any is read.

    Args:
        names: path below the prefix and size in bytes.

    Raises:
        UnsupportedModelError: when a needed file is missing or the weights are too large.
    """
    sizes = dict(names)
    weights = [size for name, size in sizes.items() if name.endswith(".safetensors") and "/" not in name]
    if not sizes:
        msg = "No files were found at the S3 location, or the role may not list it."
        raise UnsupportedModelError(msg)
    if not weights:
        msg = "Model weights in safetensors format were not found: *.safetensors files are required."
        raise UnsupportedModelError(msg)
    if "config.json" not in sizes:
        msg = "The required file config.json was not found."
        raise UnsupportedModelError(msg)
    if "tokenizer_config.json" not in sizes or not {"tokenizer.json", "tokenizer.model"} & set(sizes):
        msg = (
            "The required tokenizer files were not found: tokenizer_config.json and tokenizer.json or tokenizer.model."
        )
        raise UnsupportedModelError(msg)
    if sum(weights) >= _MAX_BYTES:
        msg = "The model weights exceed the maximum of 200 GB."
        raise UnsupportedModelError(msg)


def check_files(folder: Path) -> str:
    """Check what a copied model is, and return its architecture.

    Raises:
        UnsupportedModelError: when Bedrock would not serve it, or this machine cannot.
    """
    config, tokenizer = _read(folder / "config.json"), _read(folder / "tokenizer_config.json")
    architecture = str(next(iter(config.get("architectures") or ["none"])))
    if architecture in _NOT_LOCAL:
        msg = f"The local Bedrock does not serve the architecture {architecture}, which Bedrock on AWS imports."
        raise UnsupportedModelError(msg)
    if architecture not in ARCHITECTURES:
        msg = f"The model architecture {architecture} is not supported."
        raise UnsupportedModelError(msg)
    if "vision_config" in config:
        _check_vision(folder)
    context = config.get("text_config", config).get("max_position_embeddings", 0)
    if context >= _MAX_CONTEXT:
        msg = f"The context length {context} is not supported: max_position_embeddings must be less than 128K."
        raise UnsupportedModelError(msg)
    name = str(tokenizer.get("tokenizer_class", ""))
    if name.removesuffix("Fast").removesuffix("Tokenizer") not in _TOKENIZERS:
        msg = f"The tokenizer class {name or 'none'} is not supported."
        raise UnsupportedModelError(msg)
    for file in weight_files(folder):
        try:
            # Not "pt": that would load torch into the engine's process.
            with safe_open(file, framework="numpy") as tensors:
                tensors.keys()
        except SafetensorError as error:
            msg = f"{file.name} is not a valid safetensors file: {error}"
            raise UnsupportedModelError(msg) from error
    return architecture


def known_to_converse(architecture: str) -> bool:
    """Tell whether Converse can call imported models of the architecture, if they have a chat template."""
    return architecture not in _NOT_BY_CONVERSE


def reads_images(folder: Path) -> bool:
    """Tell whether a model reads pictures beside text."""
    return "vision_config" in _read(folder / "config.json")


def _check_vision(folder: Path) -> None:
    if sum(file.stat().st_size for file in weight_files(folder)) >= _MAX_MULTIMODAL_BYTES:
        msg = "The model weights exceed the maximum of 100 GB for multimodal models."
        raise UnsupportedModelError(msg)
    if not (folder / _IMAGE_PROCESSOR).is_file():
        msg = f"The required file {_IMAGE_PROCESSOR} was not found."
        raise UnsupportedModelError(msg)


def weight_files(folder: Path) -> list[Path]:
    """Return the model's safetensors files in order of name."""
    return sorted(folder.glob("*.safetensors"))


def weights_sha256(folder: Path) -> str:
    """Return the hexadecimal SHA-256 of the weights: of the one file, or of all files in order of name."""
    digest = hashlib.sha256()
    for file in weight_files(folder):
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        msg = f"{path.name} is not valid JSON."
        raise UnsupportedModelError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path.name} is not a JSON object."
        raise UnsupportedModelError(msg)
    return content
