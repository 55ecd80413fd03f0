"""Train a model that counts words, on the channels and with the hyperparameters of `transfer_learning.py`."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

import transfer_learning
from hyperparameters import Hyperparameters
from instructions import DataError, Template, prompts_and_completions
from word_counts import WordCounts

if TYPE_CHECKING:
    from container import Container


def run(container: Container) -> None:
    """Count the words of the training channel, and leave the model beside the base model's other files.

    Raises:
        HyperparameterError: for a hyperparameter that cannot be followed.
        DataError: for a channel that cannot be read, or when `max_train_samples` leaves no row.
    """
    settings = Hyperparameters.from_text(container.hyperparameters)
    found = prompts_and_completions(container.training, Template.read(container.training))
    learnt = found[: settings.max_train_samples] if settings.max_train_samples >= 0 else found
    if not learnt:
        msg = "max_train_samples leaves nothing to learn"
        raise DataError(msg)
    shutil.copytree(container.base_model, container.model, dirs_exist_ok=True)
    model = WordCounts.of(learnt)
    model.save(container.model)
    wrong = sum(model.answer(prompt) != completion for prompt, completion in learnt)
    print(f"train_epoch_loss={wrong / len(learnt)}", flush=True)


if __name__ == "__main__":
    sys.exit(transfer_learning.main(os.environ, run))
