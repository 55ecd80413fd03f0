"""Tune a language model in a SageMaker training container: on instructions, conversations, running text or pictures.

JumpStart's own program of this name starts LoRA tuning of Llama models; this one takes the same channels and
hyperparameters, prints the same metrics and leaves the same files, on a CPU.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from container import Container
from conversations import chat_template, read_conversations
from corpus import read_corpus
from hyperparameters import HyperparameterError, Hyperparameters
from instructions import DataError, Example, L, Template, read_examples, split
from pictures import Pictures, read_pictures
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    PreTrainedTokenizerBase,
)
from transformers.utils.logging import disable_progress_bar
from tuning import DivergedError, NextToken, Objective, tune

_DEFAULT_INPUT_LENGTH = 1024
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json")
_CHAT_TEMPLATES = ("chat_template.jinja", "chat_template.json")
_IMAGE_PROCESSOR = "preprocessor_config.json"


def main(environment: Mapping[str, str], program: Callable[[Container], None] | None = None) -> int:
    """Run the job that the environment describes and return its exit code; 1 leaves the reason in `output/failure`.

    Args:
        environment: the container's variables.
        program: what trains; `run` when left out.
    """
    container = Container.from_environment(environment)
    try:
        (program or run)(container)
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
    tokenizer = tokenizer_of(container)
    vision = _is_vision(container)
    read = _picture_reader(settings, tokenizer) if vision else _text_reader(container, settings, tokenizer)
    objective = NextToken(Pictures(container.base_model) if vision else None)
    train(container, settings, read, container.model, objective)
    if settings.chat_dataset and not tokenizer.chat_template:
        # Serving must render what was trained on.
        (container.model / _CHAT_TEMPLATES[0]).write_text(chat_template(tokenizer), encoding="utf-8")


def tokenizer_of(container: Container) -> PreTrainedTokenizerBase:
    """Return the base model's tokenizer."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(container.base_model)
    return tokenizer


def train(
    container: Container,
    settings: Hyperparameters,
    read: Callable[[Path], list[L]],
    target: Path,
    objective: Objective,
) -> None:
    """Tune on what `read` makes of the channels, and leave the merged model in the folder `target`."""
    for sentence in settings.without_effect():
        _log(sentence)
    disable_progress_bar()  # a log keeps every redraw of it as a line
    torch.set_num_threads(container.cpus)
    training, validation = _examples(container, settings, read)
    _log(f"{len(training)} rows to train on, {len(validation)} to validate on")
    _log(f"Computing in float32 on {container.cpus} threads")
    family = AutoModelForImageTextToText if _is_vision(container) else AutoModelForCausalLM
    model = family.from_pretrained(container.base_model, dtype=torch.float32)
    tuned = tune(model, training, validation, settings, _log, objective)
    tuned.save_pretrained(target)
    # The tokenizer is the base model's to the byte: saving it anew would write this library version's dialect.
    for name in (*_TOKENIZER_FILES, *_CHAT_TEMPLATES, _IMAGE_PROCESSOR):
        if (container.base_model / name).is_file():
            shutil.copyfile(container.base_model / name, target / name)
    _log(f"Saved the merged model: {', '.join(sorted(path.name for path in target.iterdir()))}")


def _is_vision(container: Container) -> bool:
    return hasattr(AutoConfig.from_pretrained(container.base_model), "vision_config")


def _examples(
    container: Container, settings: Hyperparameters, read: Callable[[Path], list[L]]
) -> tuple[list[L], list[L]]:
    """Return the examples to train and to validate on: a validation channel wins over the split."""
    training = _learnable(read(container.training))
    if container.validation is None:
        training, validation = split(training, settings.validation_split_ratio, settings.train_data_split_seed)
    else:
        validation = _learnable(read(container.validation))
    return (
        _sample(training, settings.max_train_samples, settings.seed),
        _sample(validation, settings.max_val_samples, settings.seed),
    )


def input_length(settings: Hyperparameters, tokenizer: PreTrainedTokenizerBase) -> int:
    """Return how many tokens of an example are read."""
    asked = settings.max_input_length if settings.max_input_length > 0 else _DEFAULT_INPUT_LENGTH
    return min(asked, int(tokenizer.model_max_length))


def _picture_reader(settings: Hyperparameters, tokenizer: PreTrainedTokenizerBase) -> Callable[[Path], list[Example]]:
    """Return what reads a channel of a vision model: it has one technique."""
    if settings.instruction_tuned or settings.chat_dataset:
        msg = "a vision model learns questions about pictures: instruction_tuned and chat_dataset must be False"
        raise HyperparameterError(msg)
    return partial(read_pictures, tokenizer=tokenizer, max_length=input_length(settings, tokenizer))


def _text_reader(
    container: Container, settings: Hyperparameters, tokenizer: PreTrainedTokenizerBase
) -> Callable[[Path], list[Example]]:
    """Return what reads a channel of the technique that the switches name."""
    length = input_length(settings, tokenizer)
    match settings.instruction_tuned, settings.chat_dataset:
        case True, True:
            msg = "instruction_tuned and chat_dataset are both True: at most one of them may be"
            raise HyperparameterError(msg)
        case True, False:
            return partial(
                read_examples,
                template=Template.read(container.training),
                tokenizer=tokenizer,
                demarcation=settings.add_input_output_demarcation_key,
                max_length=length,
            )
        case False, True:
            return partial(read_conversations, tokenizer=tokenizer, max_length=length)
        case _:
            return partial(read_corpus, tokenizer=tokenizer, max_length=length)


def _learnable(examples: list[L]) -> list[L]:
    """Leave out examples that were cut before anything to be learnt.

    Raises:
        DataError: when none is left.
    """
    kept = [example for example in examples if example.targets]
    if not kept:
        msg = "max_input_length leaves nothing to learn: every row is cut before its answer"
        raise DataError(msg)
    if len(kept) < len(examples):
        _log(f"{len(examples) - len(kept)} rows are left out: max_input_length cuts them before their answers")
    return kept


def _sample(examples: list[L], size: int, seed: int) -> list[L]:
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
