"""What a job cannot be told at once is refused before an instance is paid; what is seldom meant is warned of."""

import pytest

from tunedrop.domain.contradictions import contradictions, warnings

LLAMA = "meta-textgeneration-llama-3-1-8b"
LARGE = "meta-textgeneration-llama-3-1-70b"


def codes(settings: dict[str, str], model_id: str = LLAMA, instance_type: str = "ml.g5.48xlarge") -> list[str]:
    found = contradictions(model_id, settings, instance_type, lambda name: f"tune.yaml: {name}")
    assert all(each.fix and each.where for each in found)
    return [each.code.removeprefix("hyperparameter.") for each in found]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        pytest.param({"instruction_tuned": "True", "chat_dataset": "True"}, "contradiction", id="switches"),
        pytest.param({"fp16": "True", "bf16": "True"}, "precision", id="precisions"),
        pytest.param({"peft_type": "None", "bits": "4"}, "quantised-full", id="quantised"),
        pytest.param({"load_best_model_at_end": "True", "evaluation_strategy": "no"}, "no-evaluation", id="best"),
    ],
)
def test_what_cannot_go_together_is_refused(settings: dict[str, str], code: str) -> None:
    assert codes(settings) == [code]


def test_pain_16_fsdp_holds_no_model_of_70b() -> None:
    assert codes({"enable_fsdp": "True", "int8_quantization": "False"}, LARGE) == ["fsdp-size"]
    assert codes({"enable_fsdp": "False", "int8_quantization": "True"}, LARGE) == []
    assert codes({"enable_fsdp": "True", "int8_quantization": "False"}) == []


def test_old_gpus_know_no_bf16() -> None:
    assert codes({"bf16": "True"}, instance_type="ml.p3.16xlarge") == ["precision"]
    assert codes({"bf16": "True"}) == []


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"instruction_tuned": "True", "chat_dataset": "False"},
        {"peft_type": "lora", "bits": "4", "fp16": "True", "bf16": "False", "load_best_model_at_end": "True"},
        {"peft_type": "None", "bits": "16", "bf16": "True", "evaluation_strategy": "no"},
    ],
)
def test_jumpstarts_own_defaults_go_together(settings: dict[str, str]) -> None:
    assert codes(settings) == []


@pytest.mark.parametrize(("peft_type", "warned"), [("None", True), ("none", True), ("lora", False)])
def test_full_fine_tuning_is_said(peft_type: str, *, warned: bool) -> None:
    assert any("full fine-tuning" in each for each in warnings({"peft_type": peft_type})) is warned
    assert warnings({}) == ()
