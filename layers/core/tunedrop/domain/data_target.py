"""What the data must suit, read from the model and the job's hyperparameters."""

import re
from collections.abc import Mapping
from typing import Literal

from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.plan import DataTarget, InstanceChoice, Technique

DEFAULT_INPUT_LENGTH = 1024
"""What a `max_input_length` of -1 means to the Llama scripts; a tokenizer that reads less says so only there."""

DEFAULT_VALIDATION_SPLIT = 0.2
"""The `validation_split_ratio` of the scripts that tune text."""

_TRAINER_SETTINGS = frozenset({"peft_type", "max_steps"})
"""What the scripts on Hugging Face's SFTTrainer can be told, and the Llama scripts cannot."""

_LLAMA_SETTINGS = frozenset({"int8_quantization", "enable_fsdp"})

_WITHOUT_SYSTEM = re.compile(r"-gemma-(2b|7b|2-)|-mistral-7b-instruct(-v2)?$")
"""Models whose chat templates raise "System role not supported" (Gemma 1 and 2), or never mention it."""

_DEVICES: Mapping[str, Mapping[str, int]] = {
    "g4dn": {"12xlarge": 4, "metal": 8},
    **{family: {"12xlarge": 4, "24xlarge": 4, "48xlarge": 8} for family in ("g5", "g6", "g6e")},
    "p3": {"2xlarge": 1, "8xlarge": 4, "16xlarge": 8},
    "p5": {"4xlarge": 1, "48xlarge": 8},
    **{family: {"24xlarge": 8} for family in ("p3dn", "p4d", "p4de")},
    **{family: {"48xlarge": 8} for family in ("p5e", "p5en")},
}
"""GPUs by family and size; every other size of a G family has one.

https://aws.amazon.com/ec2/instance-types/#Accelerated_Computing
"""


def data_target(
    model: JumpStartModel,
    technique: Technique,
    choice: InstanceChoice,
    technique_from: Literal["tune.yaml", "files"],
) -> DataTarget:
    """Say what the data must suit when the job runs on the chosen instance type."""
    weights, hyperparameters = choice.model_uri, choice.hyperparameters
    return DataTarget(
        technique=technique,
        technique_from=technique_from,
        model_id=model.model_id,
        # The older scripts read no other key than `dialog`; the SFTTrainer ones read it too, but document `messages`.
        message_key="dialog" if _TRAINER_SETTINGS.isdisjoint(hyperparameters) else "messages",
        system_messages=not _WITHOUT_SYSTEM.search(model.model_id),
        demarcation=hyperparameters.get("add_input_output_demarcation_key") != "False",
        max_input_length=_max_input_length(hyperparameters),
        # Gated weights lie in a bucket that the training job alone may read.
        tokenizer_uri=f"{weights}tokenizer.json" if weights and weights.endswith("/") and not model.gated else None,
        epochs=_number(hyperparameters, "epoch", "epochs"),
        batch_size=choice.batch_size,
        validation_split_ratio=_number(hyperparameters, "validation_split_ratio"),
    )


def devices(instance_type: str) -> int | None:
    """Return the number of GPUs of an instance type; None when it is not known."""
    family, _, size = instance_type.removeprefix("ml.").partition(".")
    return _DEVICES.get(family, {}).get(size, 1 if family.startswith("g") and family in _DEVICES else None)


def _max_input_length(hyperparameters: Mapping[str, str]) -> int | None:
    length = _number(hyperparameters, "max_input_length")
    if length is not None and length > 0:
        return int(length)
    llama = _TRAINER_SETTINGS.isdisjoint(hyperparameters) and not _LLAMA_SETTINGS.isdisjoint(hyperparameters)
    return DEFAULT_INPUT_LENGTH if length is not None and llama else None


def batch_size(hyperparameters: Mapping[str, str], instance_type: str) -> int | None:
    """Count the rows of one optimiser step over all devices; None for a script that does not say."""
    rows = _number(hyperparameters, "per_device_train_batch_size")
    if rows is None:
        return None
    accumulated = _number(hyperparameters, "gradient_accumulation_steps") or 1
    return int(rows * accumulated) * (devices(instance_type) or 1)


def _number(hyperparameters: Mapping[str, str], *names: str) -> float | None:
    """Read the first of the hyperparameters that is there; None when it is no number."""
    text = next((hyperparameters[name] for name in names if name in hyperparameters), "")
    try:
        return float(text)
    except ValueError:
        return None
