"""Prefer one answer to another as SageMaker's serverless DPO recipes do, on a CPU: direct preference optimisation.

A row is a `prompt` with the texts `chosen` and `rejected`, maybe a `system` message; or two conversations under these
names that differ in their last answer. The reference is the base model itself: the trained one with its adapter off.

Loss: Rafailov et al. 2023, https://arxiv.org/abs/2305.18290, equation 7.
Rows: https://docs.aws.amazon.com/sagemaker/latest/dg/customizing-models-dpo.html
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import transfer_learning
from conversations import encode, messages_of
from customization import customize
from hyperparameters import HyperparameterError
from instructions import DataError, Example, rows
from peft import PeftModel
from torch.nn.functional import logsigmoid
from tuning import log_probabilities

if TYPE_CHECKING:
    from container import Container
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

_BETA = "0.01"
"""AWS's own, in its public recipes: recipes_collection/recipes/fine-tuning of aws/sagemaker-hyperpod-recipes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold two answers to the same question.

    Attributes:
        chosen: the question with the answer to prefer.
        rejected: the question with the answer to avoid.
        picture: None, for questions are texts.
    """

    chosen: Example
    rejected: Example
    picture: None = None

    @property
    def length(self) -> int:
        """The number of tokens of the longer one."""
        return max(self.chosen.length, self.rejected.length)

    @property
    def targets(self) -> int:
        """The number of tokens that one answer has at least; none when an answer was cut off."""
        return min(self.chosen.targets, self.rejected.targets)


@dataclass(frozen=True)
class Preference:
    """Make the chosen answer more probable beside the rejected one than the base model has it.

    Attributes:
        beta: how soon a preference is strong enough; a small one lets the model go further from its base.
    """

    likelihood: ClassVar[bool] = False

    beta: float

    def loss(self, model: PeftModel | PreTrainedModel, batch: Sequence[Pair]) -> tuple[torch.Tensor, int]:
        """Return the mean loss over the pairs, and their number.

        Raises:
            HyperparameterError: for a model without an adapter to switch off.
        """
        if not isinstance(model, PeftModel):
            msg = "peft_type must be lora: the reference is the model without its adapter"
            raise HyperparameterError(msg)
        with torch.no_grad(), model.disable_adapter():
            reference = margins(model, batch)
        return -logsigmoid(self.beta * (margins(model, batch) - reference)).mean(), len(batch)


def margins(model: PeftModel | PreTrainedModel, batch: Sequence[Pair]) -> torch.Tensor:
    """Return by how much the logarithm of the chosen answer's probability exceeds that of the rejected one."""
    both = [*(pair.chosen for pair in batch), *(pair.rejected for pair in batch)]
    chosen, rejected = log_probabilities(model, both).split(len(batch))
    return chosen - rejected


def run(container: Container) -> None:
    """Tune on pairs of answers; see `customization.customize`.

    Raises:
        HyperparameterError: for a `beta` that is not above 0.
    """
    hyperparameters = dict(container.hyperparameters)
    text = hyperparameters.pop("beta", _BETA)
    try:
        beta = float(text)
    except ValueError:
        beta = 0.0
    if not 0 < beta < float("inf"):
        msg = f"beta={text!r} is not a number above 0"
        raise HyperparameterError(msg)
    customize(container, hyperparameters, read_pairs, Preference(beta))


def read_pairs(folder: Path, tokenizer: PreTrainedTokenizerBase, *, max_length: int) -> list[Pair]:
    """Read every `.jsonl` file of a folder.

    Raises:
        DataError: when there is no row, or one of neither form.
    """
    pairs = []
    for row, where in rows(folder, "preference tuning"):
        chosen, rejected = (
            encode(_conversation(row, answer, where), tokenizer, max_length=max_length, where=where)
            for answer in ("chosen", "rejected")
        )
        pairs.append(Pair(chosen, rejected))
    return pairs


def _conversation(row: dict[str, Any], answer: str, where: str) -> list[dict[str, str]]:
    match row:
        case {"prompt": str(prompt), "chosen": str(), "rejected": str()}:
            system = [{"role": "system", "content": row["system"]}] if row.get("system") else []
            return [*system, {"role": "user", "content": prompt}, {"role": "assistant", "content": row[answer]}]
        case {"chosen": list(), "rejected": list()}:
            return messages_of({"messages": row[answer]}, where)
    msg = f"{where} has neither the texts 'prompt', 'chosen' and 'rejected' nor two lists of messages"
    raise DataError(msg)


if __name__ == "__main__":
    sys.exit(transfer_learning.main(os.environ, run))
