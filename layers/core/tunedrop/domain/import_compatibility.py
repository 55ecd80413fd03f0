"""Will Bedrock Custom Model Import take the tuned model: asked before GPUs are paid, and again of the artifact.

https://docs.aws.amazon.com/bedrock/latest/userguide/custom-model-import-prereq.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/import-pre-trained-model-architectures.html
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tunedrop.domain.model import Record
from tunedrop.domain.model_size import model_size
from tunedrop.domain.problem import Problem, excerpt
from tunedrop.domain.strict_json import JsonError, parse_object

REGIONS = ("us-east-1", "us-east-2", "us-west-2", "eu-central-1")

GPT_OSS_REGIONS = ("us-east-1",)

TEXT_GB, MULTIMODAL_GB = 200, 100
"""Weights must be below."""

LONGEST_CONTEXT = 131_072
"""Tokens: 128K. The page says below, yet AWS's own samples import Llama 3.1, whose configuration says just that.

https://github.com/aws-samples/amazon-bedrock-samples/tree/main/custom-models/import_models
"""

ARCHITECTURES = {
    "MistralForCausalLM": True,
    "MixtralForCausalLM": True,
    "T5ForConditionalGeneration": None,
    "LlamaForCausalLM": True,
    "MllamaForConditionalGeneration": None,
    "GPTBigCodeForCausalLM": None,
    "Qwen2ForCausalLM": False,
    "Qwen2VLForConditionalGeneration": False,
    "Qwen2_5_VLForConditionalGeneration": False,
    "Qwen3ForCausalLM": False,
    "Qwen3MoeForCausalLM": False,
    "GptOssForCausalLM": False,
}
"""What can be imported, by the name in `config.json`, and whether Converse can call it; None: nobody has said.

AWS's pages disagree on Qwen; what decides is `instructSupported` of the imported model.
https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
"""

NO_CHAT_TEMPLATE = "import.chat-template"

_MULTIMODAL = frozenset(
    {"MllamaForConditionalGeneration", "Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"}
)

_PRECISIONS = frozenset({"float32", "float16", "bfloat16"})

_TOKENIZERS = frozenset({"T5", "Llama", "CodeLlama", "GPT2", "GPTNeoX", "PreTrained", "Qwen2"})

_FAMILIES: tuple[tuple[str, str | None], ...] = (
    (r"llama-?4", None),
    (r"llama-guard", None),
    (r"mllama|vlm-llama-3-2|llama-3-2-(?:11|90)b", "MllamaForConditionalGeneration"),
    (r"distill-qwen|qwen-?2(?!.*vl)|qwen-?1", "Qwen2ForCausalLM"),
    (r"qwen-?2-5-vl", "Qwen2_5_VLForConditionalGeneration"),
    (r"qwen-?2-vl", "Qwen2VLForConditionalGeneration"),
    (r"vlm-qwen-?3|qwen-?3-5|qwen-?3-vl", None),
    (r"qwen-?3-[0-9]+b-a[0-9]+b", "Qwen3MoeForCausalLM"),
    (r"qwen-?3", "Qwen3ForCausalLM"),
    (r"llama|smollm2", "LlamaForCausalLM"),
    (r"mixtral", "MixtralForCausalLM"),
    (r"mistral-(?:small|nemo|large)|pixtral|ministral", ""),
    (r"mistral|zephyr", "MistralForCausalLM"),
    (r"flan-?t5", "T5ForConditionalGeneration"),
    (r"starcoder2", None),
    (r"starcoder|santacoder", "GPTBigCodeForCausalLM"),
    (r"gpt-oss", "GptOssForCausalLM"),
    (r"gemma|phi-?[0-9]|falcon|gpt-?j|gpt-?neo|gpt2|bloom|dolly|mpt|bert|mobilenet|resnet", None),
)
"""Words of a JumpStart id → architecture; None: none that can be imported, "": not known. The first counts."""


class ModelFacts(Record):
    """Say what is known of a model before it is tuned."""

    model_id: str
    vision: bool = False


class Findings(Record):
    """Tell what is certain from what may be."""

    problems: tuple[Problem, ...] = ()
    """Bedrock will refuse the import."""
    warnings: tuple[Problem, ...] = ()
    """Bedrock may refuse it, or Converse may not call it: no source says."""


@dataclass
class _Collected:
    problems: list[Problem]
    warnings: list[Problem]

    def findings(self) -> Findings:
        return Findings(problems=tuple(self.problems), warnings=tuple(self.warnings))


def architecture_of(model_id: str) -> str | None:
    """Return the architecture that a JumpStart id tells: None for one that cannot be imported, "" for no idea."""
    name = model_id.lower()
    return next((found for words, found in _FAMILIES if re.search(words, name)), "")


def compatibility(model: ModelFacts, region: str) -> Findings:
    """Judge a model by its name and size, before it is trained."""
    collected = _Collected([], [])
    _check_region(model.model_id, region, collected)
    architecture = architecture_of(model.model_id)
    if architecture is None:
        collected.problems.append(
            _problem(
                "import.architecture",
                f"Bedrock Custom Model Import does not list the architecture of {excerpt(model.model_id)}.",
                "Choose a Llama 2 to 3.3, Mistral, Mixtral, Qwen 2 to 3 or Flan-T5 model.",
            )
        )
    elif not architecture:
        collected.warnings.append(
            _problem(
                "import.architecture-unknown",
                f"Whether Bedrock imports {excerpt(model.model_id)} is not known.",
                f"Compare its config.json with what Bedrock imports: {', '.join(sorted(ARCHITECTURES))}.",
            )
        )
    else:
        _check_converse(architecture, collected)
    _check_weights(model, architecture, collected)
    return collected.findings()


def artifact_compatibility(
    files: Mapping[str, int], config: bytes, tokenizer_config: bytes | None, region: str
) -> Findings:
    """Judge what the training job wrote: file name → bytes under the artifact's prefix, and two of the files."""
    collected = _Collected([], [])
    if region not in REGIONS:
        _check_region("", region, collected)
    _check_files(files, collected)
    try:
        settings = parse_object(config)
    except JsonError as error:
        collected.problems.append(_problem("import.config", f"config.json {error.message}.", _SAME_FILES))
        return collected.findings()
    names = settings.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else ""
    if architecture not in ARCHITECTURES:
        collected.problems.append(
            _problem(
                "import.architecture",
                f"Bedrock does not import the architecture {excerpt(architecture) or 'that config.json leaves out'}.",
                f"It imports {', '.join(sorted(ARCHITECTURES))}.",
            )
        )
    else:
        _check_converse(architecture, collected)
        if architecture == "GptOssForCausalLM":
            _check_region("gpt-oss", region, collected)
    text = settings.get("text_config")
    inner = text if isinstance(text, dict) else settings
    _check_context(inner.get("max_position_embeddings"), collected)
    _check_precision(settings, inner, collected)
    limit = MULTIMODAL_GB if architecture in _MULTIMODAL else TEXT_GB
    weights = sum(size for name, size in files.items() if name.endswith(".safetensors"))
    if weights >= limit * 10**9:
        collected.problems.append(_too_large(weights / 10**9, limit))
    _check_tokenizer(files, tokenizer_config, collected)
    return collected.findings()


_SAME_FILES = "The artifact stays in S3; write the files of a merged Hugging Face model, and import it by hand."


def _problem(code: str, message: str, fix: str) -> Problem:
    return Problem(code=code, message=message, where="serve", fix=fix)


def _check_region(model_id: str, region: str, collected: _Collected) -> None:
    regions = GPT_OSS_REGIONS if "gpt-oss" in model_id.lower() else REGIONS
    if region not in regions:
        what = "GPT-OSS models" if regions is GPT_OSS_REGIONS else "models"
        collected.problems.append(
            _problem(
                "import.region",
                f"Bedrock does not import {what} in {region}.",
                f"Deploy the stack in {' or '.join(regions)}.",
            )
        )


def _check_converse(architecture: str, collected: _Collected) -> None:
    if ARCHITECTURES[architecture]:
        return
    certain = "cannot" if ARCHITECTURES[architecture] is False else "may not"
    collected.warnings.append(
        _problem(
            "import.converse",
            f"Converse {certain} call an imported {architecture}; where instructSupported of the imported model is "
            "false, Tunedrop calls it by InvokeModel, with messages in OpenAI's chat form.",
            "The run goes on either way; have your own programs do the same.",
        )
    )


def _check_weights(model: ModelFacts, architecture: str | None, collected: _Collected) -> None:
    size = model_size(model.model_id)
    if size is None:
        return
    limit = MULTIMODAL_GB if model.vision or architecture in _MULTIMODAL else TEXT_GB
    weights = 2 * size.total / 10**9  # bytes a parameter in BF16 or FP16, as merged weights are saved
    if architecture == "GptOssForCausalLM":
        collected.warnings.append(
            _problem(
                "import.gpt-oss-weights",
                "GPT-OSS is published in MXFP4; in which precision tuned weights may be imported is not known.",
                "Import them with the generation_config.json that the model's page asks for.",
            )
        )
    elif weights >= limit:
        collected.problems.append(_too_large(weights, limit))
    if "405b" in model.model_id.lower() or "fp8" in model.model_id.lower():
        collected.warnings.append(_quantised("FP8"))


def _too_large(weights_gb: float, limit: int) -> Problem:
    return _problem(
        "import.weights",
        f"The weights take about {weights_gb:.0f} GB; Bedrock imports less than {limit} GB of such a model.",
        "Choose a smaller model.",
    )


def _quantised(kind: str) -> Problem:
    return _problem(
        "import.quantised",
        f"The weights are saved in {excerpt(kind)}; AWS names no such precision among those that Bedrock loads.",
        "Choose a model whose tuned weights are saved in BF16.",
    )


def _check_context(length: object, collected: _Collected) -> None:
    if isinstance(length, int) and not isinstance(length, bool) and length > LONGEST_CONTEXT:
        collected.problems.append(
            _problem(
                "import.context",
                f"The model's context of {length:,} tokens is longer than Bedrock's {LONGEST_CONTEXT:,}.",
                "Choose a model with a shorter context.",
            )
        )


def _check_precision(settings: Mapping[str, object], inner: Mapping[str, object], collected: _Collected) -> None:
    quantised = settings.get("quantization_config")
    if isinstance(quantised, dict):
        collected.warnings.append(_quantised(str(quantised.get("quant_method", "unknown"))))
        return
    precision = settings.get("torch_dtype") or settings.get("dtype") or inner.get("torch_dtype") or inner.get("dtype")
    if precision is not None and precision not in _PRECISIONS:
        collected.warnings.append(_quantised(str(precision)))
    elif precision == "float32":
        collected.warnings.append(
            _problem(
                "import.float32",
                "The weights are saved in FP32, which takes twice the units of FP16; Bedrock may refuse to load them.",
                "Train on g5, g6 or p4d, which know BF16.",
            )
        )


def _check_files(files: Mapping[str, int], collected: _Collected) -> None:
    if "adapter_config.json" in files and "config.json" not in files:
        collected.problems.append(
            _problem(
                "import.adapter",
                "The artifact is an adapter; Bedrock imports merged weights only.",
                "Merge it into the base model's weights (merge_and_unload of PEFT) before importing.",
            )
        )
        return
    wanted = {
        "config.json": "config.json" in files,
        "*.safetensors": any(name.endswith(".safetensors") for name in files),
        "tokenizer_config.json": "tokenizer_config.json" in files,
        "tokenizer.json or tokenizer.model": not {"tokenizer.json", "tokenizer.model"}.isdisjoint(files),
    }
    if missing := [name for name, there in wanted.items() if not there]:
        collected.problems.append(_problem("import.files", f"The artifact lacks {', '.join(missing)}.", _SAME_FILES))


def _check_tokenizer(files: Mapping[str, int], tokenizer_config: bytes | None, collected: _Collected) -> None:
    settings: Mapping[str, object] = {}
    if tokenizer_config is not None:
        try:
            settings = parse_object(tokenizer_config)
        except JsonError as error:
            collected.problems.append(
                _problem("import.tokenizer", f"tokenizer_config.json {error.message}.", _SAME_FILES)
            )
            return
    kind = settings.get("tokenizer_class")
    if isinstance(kind, str) and kind.removesuffix("Fast").removesuffix("Tokenizer") not in _TOKENIZERS:
        collected.problems.append(
            _problem(
                "import.tokenizer-class",
                f"Bedrock does not take the tokenizer {excerpt(kind)}.",
                f"It takes those of {', '.join(sorted(_TOKENIZERS))}.",
            )
        )
    separate = {"chat_template.jinja", "chat_template.json"}
    if separate.isdisjoint(files) and not settings.get("chat_template"):
        collected.warnings.append(
            _problem(
                NO_CHAT_TEMPLATE,
                "The model has no chat template, and Bedrock applies none: it takes no messages, by Converse or else.",
                "Tune an instruct model, which brings one; or put the chat_template.jinja of the training beside the "
                "weights, which stay in S3, and import them by hand.",
            )
        )
