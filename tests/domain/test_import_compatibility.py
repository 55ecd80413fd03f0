"""What Bedrock would refuse after hours of GPUs is refused before; what nobody knows is a warning."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.import_compatibility import (
    ARCHITECTURES,
    Findings,
    ModelFacts,
    architecture_of,
    artifact_compatibility,
    compatibility,
)

FILES = {
    "config.json": 700,
    "model-00001-of-00002.safetensors": 5 * 10**9,
    "model-00002-of-00002.safetensors": 11 * 10**9,
    "tokenizer.json": 9_000_000,
    "tokenizer_config.json": 50_000,
}
CONFIG = {"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 131_072, "torch_dtype": "bfloat16"}
TOKENIZER = {"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "{{ messages }}"}


def codes(findings: Findings) -> tuple[list[str], list[str]]:
    return [each.code for each in findings.problems], [each.code for each in findings.warnings]


def before(model_id: str, region: str = "us-east-1", *, vision: bool = False) -> tuple[list[str], list[str]]:
    return codes(compatibility(ModelFacts(model_id=model_id, vision=vision), region))


def after(
    config: dict[str, Any] | None = None,
    tokenizer: dict[str, Any] | None = None,
    files: dict[str, int] | None = None,
    region: str = "us-east-1",
) -> tuple[list[str], list[str]]:
    encoded = json.dumps(CONFIG | (config or {})).encode()
    return codes(artifact_compatibility(files or FILES, encoded, json.dumps(tokenizer or TOKENIZER).encode(), region))


@pytest.mark.parametrize(
    "model_id",
    [
        "meta-textgeneration-llama-2-13b-f",
        "meta-textgeneration-llama-3-1-8b-instruct",
        "meta-textgeneration-llama-3-1-70b",
        "meta-textgeneration-llama-3-2-1b",
        "meta-textgeneration-llama-codellama-7b",
        "deepseek-llm-r1-distill-llama-8b",
        "huggingface-llm-mistral-7b-instruct",
        "huggingface-llm-mixtral-8x7b-instruct",
        "huggingface-textgeneration-smollm2-135m-instruct",
        "huggingface-textgeneration-tiny-random-llama",
        "tunedrop-textgeneration-tiny-random-llama-gated",
    ],
)
def test_the_safe_set_has_nothing_to_say(model_id: str) -> None:
    assert before(model_id) == ([], [])


@pytest.mark.parametrize(
    ("model_id", "architecture"),
    [
        ("meta-vlm-llama-3-2-11b-vision-instruct", "MllamaForConditionalGeneration"),
        ("huggingface-vlm-tiny-random-mllama", "MllamaForConditionalGeneration"),
        ("huggingface-llm-qwen2-5-7b-instruct", "Qwen2ForCausalLM"),
        ("huggingface-vlm-qwen2-5-vl-7b-instruct", "Qwen2_5_VLForConditionalGeneration"),
        ("huggingface-vlm-qwen2-vl-7b-instruct", "Qwen2VLForConditionalGeneration"),
        ("deepseek-llm-r1-distill-qwen-1-5b", "Qwen2ForCausalLM"),
        ("huggingface-reasoning-qwen3-32b", "Qwen3ForCausalLM"),
        ("huggingface-reasoning-qwen3-30b-a3b", "Qwen3MoeForCausalLM"),
        ("huggingface-text2text-flan-t5-xl", "T5ForConditionalGeneration"),
        ("huggingface-llm-starcoder", "GPTBigCodeForCausalLM"),
    ],
)
def test_pain_33_what_converse_may_not_call_is_told_before(model_id: str, architecture: str) -> None:
    assert architecture_of(model_id) == architecture
    assert before(model_id) == ([], ["import.converse"])


@pytest.mark.parametrize(
    "model_id",
    [
        "huggingface-llm-gemma-2b-instruct",
        "huggingface-llm-falcon-7b-bf16",
        "huggingface-llm-phi-2",
        "huggingface-textgeneration1-gpt-j-6b",
        "meta-vlm-llama-4-scout-17b-16e-instruct",
        "huggingface-vlm-qwen3-5-9b",
        "huggingface-tc-bert-base-cased",
    ],
)
def test_pain_35_an_architecture_that_is_not_on_the_list_is_refused_before_training(model_id: str) -> None:
    assert before(model_id)[0] == ["import.architecture"]


@pytest.mark.parametrize("model_id", ["example-text-8b", "huggingface-llm-mistral-nemo-instruct"])
def test_a_family_that_nobody_knows_is_a_warning(model_id: str) -> None:
    assert before(model_id) == ([], ["import.architecture-unknown"])


@pytest.mark.parametrize(
    ("model_id", "warned"),
    [
        ("meta-textgeneration-llama-3-1-405b-instruct-fp8", ["import.quantised"]),
        ("huggingface-llm-mixtral-8x22b-instruct", []),
        ("meta-vlm-llama-3-2-90b-vision-instruct", ["import.converse"]),
    ],
)
def test_weights_beyond_the_limit_are_refused(model_id: str, warned: list[str]) -> None:
    assert before(model_id) == (["import.weights"], warned)


@pytest.mark.parametrize(
    ("model_id", "region", "refused"),
    [
        ("meta-textgeneration-llama-3-1-8b", "eu-central-1", False),
        ("meta-textgeneration-llama-3-1-8b", "eu-west-1", True),
        ("openai-reasoning-gpt-oss-20b", "us-west-2", True),
        ("openai-reasoning-gpt-oss-20b", "us-east-1", False),
    ],
)
def test_a_region_without_imports_is_refused(model_id: str, region: str, *, refused: bool) -> None:
    assert before(model_id, region)[0] == (["import.region"] if refused else [])


def test_a_whole_artifact_has_nothing_to_say() -> None:
    assert after() == ([], [])


def test_pain_30_weights_in_a_precision_that_bedrock_may_not_load_are_told() -> None:
    assert after({"torch_dtype": "float8_e4m3fn"}) == ([], ["import.quantised"])
    assert after({"quantization_config": {"quant_method": "fbgemm_fp8"}}) == ([], ["import.quantised"])
    assert after({"torch_dtype": "float32"}) == ([], ["import.float32"])


def test_pain_31_an_adapter_is_not_a_model() -> None:
    files = {"adapter_config.json": 1, "adapter_model.safetensors": 1}
    findings = artifact_compatibility(files, b"{}", None, "us-east-1")
    assert findings.problems[0].code == "import.adapter"
    assert "merge" in findings.problems[0].fix.lower()


def test_pain_34_a_missing_chat_template_is_told() -> None:
    bare = {"tokenizer_class": "LlamaTokenizer"}
    assert after(tokenizer=bare) == ([], ["import.chat-template"])
    assert after(tokenizer=bare, files=FILES | {"chat_template.jinja": 10}) == ([], [])


@pytest.mark.parametrize(
    ("config", "code"),
    [
        ({"architectures": ["GemmaForCausalLM"]}, "import.architecture"),
        ({"architectures": []}, "import.architecture"),
        ({"architectures": None}, "import.architecture"),
        ({"max_position_embeddings": 262_144}, "import.context"),
        ({"text_config": {"max_position_embeddings": 262_144}}, "import.context"),
    ],
)
def test_a_configuration_that_bedrock_refuses_is_refused(config: dict[str, Any], code: str) -> None:
    assert after(config)[0] == [code]


def test_files_tokenizer_and_size_of_the_artifact_are_checked() -> None:
    assert after(files={"config.json": 1})[0] == ["import.files"]
    assert after(tokenizer=TOKENIZER | {"tokenizer_class": "GemmaTokenizer"})[0] == ["import.tokenizer-class"]
    large = FILES | {"model-00003.safetensors": 200 * 10**9}
    assert after(files=large)[0] == ["import.weights"]
    vision = {"architectures": ["MllamaForConditionalGeneration"]}
    assert after(vision, files=FILES | {"model-00003.safetensors": 90 * 10**9})[0] == ["import.weights"]
    assert after({"architectures": ["GptOssForCausalLM"]}, region="us-west-2")[0] == ["import.region"]
    assert after(region="ap-south-1")[0] == ["import.region"]


@given(config=st.binary(), tokenizer=st.none() | st.binary(), files=st.dictionaries(st.text(), st.integers(0, 10**12)))
def test_judging_an_artifact_is_total(config: bytes, tokenizer: bytes | None, files: dict[str, int]) -> None:
    findings = artifact_compatibility(files, config, tokenizer, "us-east-1")
    assert findings.problems or config


def test_every_architecture_says_whether_converse_calls_it() -> None:
    assert set(ARCHITECTURES.values()) == {True, False, None}
