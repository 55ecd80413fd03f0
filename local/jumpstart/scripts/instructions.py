"""Instruction rows as token ids, the way JumpStart prepares them.

Layout and template: https://docs.aws.amazon.com/sagemaker/latest/dg/jumpstart-foundation-models-fine-tuning-instruction-based.html
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

DEMARCATION = "\n\n### Response:\n"
"""What stands between prompt and completion; inference must end its prompt with it too."""

_DEFAULT_PROMPT = (
    "Below is an instruction that describes a task, paired with an input that provides further context. "
    "Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{instruction}\n\n### Input:\n{context}"
)
_DEFAULT_COMPLETION = "{response}"
# A doubled brace is a literal one, as in `str.format`, with which JumpStart fills its templates.
_TOKEN = re.compile(r"\{\{|\}\}|\{([^\W\d]\w*)\}")


class DataError(ValueError):
    """Report training data that cannot be read, by file and line."""


@dataclass(frozen=True, slots=True)
class Template:
    """Hold the two texts that turn a row into a prompt and a completion; `{field}` stands for the row's value."""

    prompt: str = _DEFAULT_PROMPT
    completion: str = _DEFAULT_COMPLETION

    @classmethod
    def read(cls, folder: Path) -> Template:
        """Read `template.json` of the training folder; the default template when there is none.

        Raises:
            DataError: when the file is not an object with the texts `prompt` and `completion`.
        """
        path = folder / "template.json"
        if not path.is_file():
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            msg = f"template.json is not JSON: {error}"
            raise DataError(msg) from error
        match content:
            case {"prompt": str(prompt), "completion": str(completion)}:
                return cls(prompt, completion)
            case _:
                msg = "template.json is not an object with the texts 'prompt' and 'completion'"
                raise DataError(msg)


@dataclass(frozen=True, slots=True)
class Example:
    """Hold one row as token ids; the completion ends with the end-of-sequence token unless it was cut."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    @property
    def length(self) -> int:
        """The number of tokens."""
        return len(self.prompt) + len(self.completion)


def read_examples(
    folder: Path, template: Template, tokenizer: PreTrainedTokenizerBase, *, demarcation: bool, max_length: int
) -> list[Example]:
    """Read every `.jsonl` file of a folder, in the order of their names.

    Prompt and completion are tokenised apart and joined, so that at inference, where the prompt stands alone, its
    token ids are the very ones of training.

    Args:
        folder: a channel.
        template: what turns a row into text.
        tokenizer: the base model's.
        demarcation: whether DEMARCATION follows the prompt.
        max_length: tokens; a longer example is cut at its end.

    Raises:
        DataError: when there is no row, or a row is not an object with a text for each field of the template.
    """
    files = sorted(folder.glob("*.jsonl"))
    rows = [(row, f"{file.name}, line {number}") for file in files for number, row in _rows(file)]
    if not rows:
        msg = f"the channel {folder.name} holds no row: instruction tuning reads files that end in .jsonl"
        raise DataError(msg)
    suffix = DEMARCATION if demarcation else ""
    prompts = [_fill(template.prompt, row, where) + suffix for row, where in rows]
    completions = [_fill(template.completion, row, where) for row, where in rows]
    prompt_ids = tokenizer(prompts)["input_ids"]
    completion_ids = tokenizer(completions, add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [
        Example(tuple(prompt[:max_length]), tuple([*completion, end][: max(0, max_length - len(prompt))]))
        for prompt, completion in zip(prompt_ids, completion_ids, strict=True)
    ]


def split(examples: Sequence[Example], ratio: float, seed: int) -> tuple[list[Example], list[Example]]:
    """Return examples to train and to validate on, drawn by the seed; the share to validate on is rounded up.

    Raises:
        DataError: when nothing would be left to train on.
    """
    shuffled = random.Random(seed).sample(examples, len(examples))  # noqa: S311 - repeatable, not secret
    size = math.ceil(ratio * len(examples))
    if size >= len(examples):
        msg = f"validation_split_ratio={ratio} leaves none of {len(examples)} rows to train on"
        raise DataError(msg)
    return shuffled[size:], shuffled[:size]


def batches(examples: Sequence[Example], size: int, order: random.Random) -> list[list[Example]]:
    """Return batches of examples of similar length, in random order: little padding, so little wasted work."""
    shuffled = order.sample(examples, len(examples))
    by_length = sorted(shuffled, key=lambda example: example.length)
    cut = [by_length[start : start + size] for start in range(0, len(by_length), size)]
    order.shuffle(cut)
    return cut


def _rows(file: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with file.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                msg = f"{file.name}, line {number} is not JSON: {error}"
                raise DataError(msg) from error
            if not isinstance(row, dict):
                msg = f"{file.name}, line {number} is not a JSON object"
                raise DataError(msg)
            yield number, row


def _fill(text: str, row: dict[str, Any], where: str) -> str:
    """Replace each `{field}` once; braces inside a value stay as they are."""

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name is None:
            return match.group()[0]
        if not isinstance(row.get(name), str):
            msg = f"{where} has no text {name!r}, which the template names"
            raise DataError(msg)
        return str(row[name])

    return _TOKEN.sub(value, text)
