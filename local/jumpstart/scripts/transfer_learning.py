"""Tune a language model on instruction rows, in a SageMaker training container.

JumpStart's own program of this name starts LoRA tuning of Llama models; this one takes the same channels and
hyperparameters, prints the same metrics and leaves the same files, on a CPU.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import traceback
from collections.abc import Mapping

import torch
from container import Container
from hyperparameters import HyperparameterError, Hyperparameters
from instructions import DataError, Example, Template, read_examples, split
from lora import DivergedError, compute_type, tune
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

_DEFAULT_INPUT_LENGTH = 1024
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json")
_CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")


def main(environment: Mapping[str, str]) -> int:
    """Run the job that the environment describes and return its exit code; 1 leaves the reason in `output/failure`."""
    container = Container.from_environment(environment)
    try:
        run(container)
    except (HyperparameterError, DataError, DivergedError) as error:
        return _fail(container, str(error))
    except Exception as error:  # noqa: BLE001 - whatever went wrong is the job's FailureReason
        # The traceback is for the log: it would fill the reason's 1,024 characters before the message comes.
        _log(traceback.format_exc())
        return _fail(container, f"{type(error).__name__}: {error}")
    return 0


def run(container: Container) -> None:
    """Read the channels, tune, and leave the merged model in the container's model folder.

    Raises:
        HyperparameterError: for a hyperparameter that cannot be followed.
        DataError: for a channel that cannot be read.
        DivergedError: when the loss is no longer a number.
    """
    settings = Hyperparameters.from_text(container.hyperparameters)
    if settings.chat_dataset or not settings.instruction_tuned:
        msg = "this script tunes on instruction rows only: set instruction_tuned=True and chat_dataset=False"
        raise HyperparameterError(msg)
    for sentence in settings.without_effect():
        _log(sentence)
    disable_progress_bar()  # a log keeps every redraw of it as a line
    torch.set_num_threads(container.cpus)
    tokenizer = AutoTokenizer.from_pretrained(container.base_model)
    training, validation = _examples(container, settings, tokenizer)
    _log(f"{len(training)} rows to train on, {len(validation)} to validate on")
    _log(f"Computing in {compute_type()} on {container.cpus} threads")
    model = AutoModelForCausalLM.from_pretrained(container.base_model, dtype=compute_type())
    tuned = tune(model, training, validation, settings, _log)
    tuned.save_pretrained(container.model)
    # The tokenizer is the base model's to the byte: saving it anew would write this library version's dialect.
    for name in (*_TOKENIZER_FILES, *_CHAT_TEMPLATES):
        if (container.base_model / name).is_file():
            shutil.copyfile(container.base_model / name, container.model / name)
    _log(f"Saved the merged model: {', '.join(sorted(path.name for path in container.model.iterdir()))}")


def _examples(
    container: Container, settings: Hyperparameters, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[Example], list[Example]]:
    """Return the rows to train and to validate on: a validation channel wins over the split."""
    template = Template.read(container.training)
    asked = settings.max_input_length if settings.max_input_length > 0 else _DEFAULT_INPUT_LENGTH
    length = min(asked, tokenizer.model_max_length)
    demarcation = settings.add_input_output_demarcation_key
    training = read_examples(container.training, template, tokenizer, demarcation=demarcation, max_length=length)
    if container.validation is None:
        training, validation = split(training, settings.validation_split_ratio, settings.train_data_split_seed)
    else:
        validation = read_examples(
            container.validation, template, tokenizer, demarcation=demarcation, max_length=length
        )
    return (
        _sample(training, settings.max_train_samples, settings.seed),
        _sample(validation, settings.max_val_samples, settings.seed),
    )


def _sample(examples: list[Example], size: int, seed: int) -> list[Example]:
    if size < 0 or size >= len(examples):
        return examples
    return random.Random(seed).sample(examples, size)  # noqa: S311 - repeatable, not secret


def _fail(container: Container, reason: str) -> int:
    _log(reason)
    container.failure.parent.mkdir(parents=True, exist_ok=True)
    container.failure.write_text(reason, encoding="utf-8")
    return 1


def _log(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(os.environ))
