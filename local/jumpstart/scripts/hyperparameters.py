"""The hyperparameters of JumpStart's Llama scripts, under their own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

LORA = "lora"
_PEFT_TYPES = (LORA, "None")
_GPU_ONLY = ("int8_quantization", "enable_fsdp")


class HyperparameterError(ValueError):
    """Report a hyperparameter that this script does not know, cannot read, or cannot follow."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hold what one job was asked to do; the defaults are JumpStart's for Llama 3.1.

    Attributes:
        peft_type: `lora`, or `None` for all weights; only models whose spec has it can be asked for the latter.
        target_modules: names of the linear layers that get an adapter, separated by commas.
        max_train_samples: rows to train on, -1 for all.
        max_val_samples: rows to validate on, -1 for all.
        max_input_length: tokens of one example; -1 means 1,024, and the tokenizer's maximum caps either.
        validation_split_ratio: the share of training rows to validate on when there is no validation channel.
        preprocessing_num_workers: accepted, and without effect: one process reads the rows.
        int8_quantization: accepted, and without effect on a CPU.
        enable_fsdp: accepted, and without effect on a CPU.
        chat_template: accepted, and without effect: conversations are rendered by the model's own template, to which
            JumpStart's vision scripts say `True`.
    """

    epoch: int = 5
    learning_rate: float = 0.0001
    peft_type: str = LORA
    lora_r: int = 8
    lora_alpha: int = 32
    lora_dropout: float = 0.05
    target_modules: str = "q_proj,v_proj"
    instruction_tuned: bool = False
    chat_dataset: bool = False
    add_input_output_demarcation_key: bool = True
    per_device_train_batch_size: int = 1
    per_device_eval_batch_size: int = 1
    max_train_samples: int = -1
    max_val_samples: int = -1
    seed: int = 10
    max_input_length: int = -1
    validation_split_ratio: float = 0.2
    train_data_split_seed: int = 0
    preprocessing_num_workers: str = "None"
    int8_quantization: bool = False
    enable_fsdp: bool = False
    chat_template: str = "None"

    @classmethod
    def from_text(cls, values: Mapping[str, str]) -> Hyperparameters:
        """Read values as the API sends them; names that start with `sagemaker_` are the container's and are skipped.

        Raises:
            HyperparameterError: for an unknown name, or a value that is not of its hyperparameter's type.
        """
        defaults = {field.name: field.default for field in fields(cls)}
        own = {name: value for name, value in values.items() if not name.startswith("sagemaker_")}
        unknown = sorted(own.keys() - defaults.keys())
        if unknown:
            msg = f"unknown hyperparameter {unknown[0]!r}; known are {', '.join(sorted(defaults))}"
            raise HyperparameterError(msg)
        parsed: dict[str, Any] = {name: _parse(name, value, type(defaults[name])) for name, value in own.items()}
        settings = cls(**parsed)
        if settings.peft_type not in _PEFT_TYPES:
            msg = f"peft_type={settings.peft_type!r} is neither {' nor '.join(map(repr, _PEFT_TYPES))}"
            raise HyperparameterError(msg)
        return settings

    def without_effect(self) -> list[str]:
        """Say which settings that were asked for change nothing here, one sentence each."""
        asked = [name for name in _GPU_ONLY if getattr(self, name)]
        said = [f"{name}=True has no effect: this container computes on a CPU" for name in asked]
        if self.chat_template not in {"None", "True"}:
            said.append(f"chat_template={self.chat_template} has no effect: the model's own template is used")
        if self.preprocessing_num_workers != "None":
            said.append("preprocessing_num_workers has no effect: one process reads the rows")
        return said


def _parse(name: str, value: str, kind: type) -> Any:
    if kind is bool:
        # JumpStart's own spelling; "true" and "1" are refused there too.
        if value not in {"True", "False"}:
            msg = f"{name}={value!r} is neither 'True' nor 'False'"
            raise HyperparameterError(msg)
        return value == "True"
    try:
        return kind(value)
    except ValueError as error:
        msg = f"{name}={value!r} is not a number of type {kind.__name__}"
        raise HyperparameterError(msg) from error
