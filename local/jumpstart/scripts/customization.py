"""Customise a model as SageMaker's serverless SFT recipes do, on a CPU: the trainer of `transfer_learning.py`.

The rows are conversations (`messages`), or a `prompt` and a `completion`, which is a conversation of two turns; either
is rendered by the model's own chat template. Of the hyperparameters of AWS's recipes those are taken whose names are
known. The adapter by itself, which AWS leaves beside the merged weights, is not written.
https://docs.aws.amazon.com/sagemaker/latest/dg/customizing-models-sft.html
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import transfer_learning
from conversations import encode, messages_of
from hyperparameters import Hyperparameters
from instructions import DataError, Example, L, rows
from tuning import NextToken, Objective

if TYPE_CHECKING:
    from container import Container
    from transformers import PreTrainedTokenizerBase

MERGED_WEIGHTS = "checkpoints/hf_merged"
_OURS = {
    "max_epochs": "epoch",
    "learning_rate": "learning_rate",
    "global_batch_size": "per_device_train_batch_size",
    "dataset_max_len": "max_input_length",
}
_ALL_LINEAR = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"


def run(container: Container) -> None:
    """Tune on prompts and completions, or on conversations; see `customize`."""
    customize(container, container.hyperparameters, read_customisation, NextToken())


def customize(
    container: Container, hyperparameters: Mapping[str, str], read_rows: Callable[..., list[L]], objective: Objective
) -> None:
    """Read the channels, tune, and leave the merged model where SageMaker's customisation leaves it.

    `read_rows` reads a channel's folder, with a tokenizer and a `max_length`.

    Raises:
        HyperparameterError: for a hyperparameter that cannot be followed.
        DataError: for a channel that cannot be read.
        DivergedError: when the loss is no longer a number.
    """
    asked = {_OURS.get(name, name): value for name, value in hyperparameters.items()}
    settings = Hyperparameters.from_text({"target_modules": _ALL_LINEAR, "lora_r": "16", **asked})
    target = container.model / MERGED_WEIGHTS
    target.mkdir(parents=True)
    tokenizer = transfer_learning.tokenizer_of(container)
    length = transfer_learning.input_length(settings, tokenizer)
    read = partial(read_rows, tokenizer=tokenizer, max_length=length)
    transfer_learning.train(container, settings, read, target, objective)


def read_customisation(folder: Path, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> list[Example]:
    """Read every `.jsonl` file of a folder; the assistant's turns are learnt.

    Raises:
        DataError: when there is no row, or one of neither form.
    """
    return [
        encode(_conversation(row, where), tokenizer, max_length=max_length, where=where)
        for row, where in rows(folder, "supervised fine-tuning")
    ]


def _conversation(row: dict[str, Any], where: str) -> list[dict[str, str]]:
    match row:
        case {"prompt": str(prompt), "completion": str(completion)}:
            return [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
        case {"messages": _}:
            return messages_of(row, where)
    msg = f"{where} has neither 'messages' nor the texts 'prompt' and 'completion'"
    raise DataError(msg)


if __name__ == "__main__":
    sys.exit(transfer_learning.main(os.environ, run))
