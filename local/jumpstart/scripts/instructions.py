"""Instruction rows as token ids, the way JumpStart prepares them; and the examples that every technique makes.

Layout and template: https://docs.aws.amazon.com/sagemaker/latest/dg/jumpstart-foundation-models-fine-tuning-instruction-based.html
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

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


class Learnable(Protocol):
    """What one step of the training learns from: an example, or a pair of them."""

    @property
    def picture(self) -> Path | None:
        """What a vision model sees."""
        ...

    @property
    def length(self) -> int:
        """The number of tokens."""
        ...

    @property
    def targets(self) -> int:
        """The number of tokens to be learnt."""
        ...


L = TypeVar("L", bound=Learnable)


@dataclass(frozen=True, slots=True)
class Example:
    """Hold one example as token ids.

    Attributes:
        tokens: all of them, in order.
        learnt: for each token, whether the model is to learn to say it; the others are only read.
        picture: what a vision model sees at its image token.
    """

    tokens: tuple[int, ...]
    learnt: tuple[bool, ...]
    picture: Path | None = None

    @classmethod
    def joined(
        cls, parts: Iterable[tuple[Sequence[int], bool]], max_length: int, picture: Path | None = None
    ) -> Example:
        """Join token ids, each part learnt or only read, and cut what is too long at its end."""
        marked = [(token, learnt) for tokens, learnt in parts for token in tokens][:max_length]
        return cls(tuple(token for token, _ in marked), tuple(learnt for _, learnt in marked), picture)

    @property
    def prompt(self) -> tuple[int, ...]:
        """The tokens before the first one to be learnt."""
        return self.tokens[: self.learnt.index(True)] if True in self.learnt else self.tokens

    @property
    def length(self) -> int:
        """The number of tokens."""
        return len(self.tokens)

    @property
    def targets(self) -> int:
        """The number of tokens to be learnt; the first one has nothing before it to be told from."""
        return sum(self.learnt[1:])


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


def read_examples(
    folder: Path, template: Template, tokenizer: PreTrainedTokenizerBase, *, demarcation: bool, max_length: int
) -> list[Example]:
    """Read every `.jsonl` file of a folder; the completion and the end-of-sequence token are learnt.

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
    suffix = DEMARCATION if demarcation else ""
    prompts, completions = zip(*prompts_and_completions(folder, template), strict=True)
    prompt_ids = tokenizer([prompt + suffix for prompt in prompts])["input_ids"]
    completion_ids = tokenizer(list(completions), add_special_tokens=False)["input_ids"]
    end = tokenizer.eos_token_id
    return [
        Example.joined([(prompt, False), ([*completion, end], True)], max_length)
        for prompt, completion in zip(prompt_ids, completion_ids, strict=True)
    ]


def prompts_and_completions(folder: Path, template: Template) -> list[tuple[str, str]]:
    """Read every `.jsonl` file of a folder as the two texts that the template makes of each row.

    Raises:
        DataError: when there is no row, or a row is not an object with a text for each field of the template.
    """
    found = rows(folder, "instruction tuning")
    return [(_fill(template.prompt, row, where), _fill(template.completion, row, where)) for row, where in found]


def rows(folder: Path, technique: str) -> list[tuple[dict[str, Any], str]]:
    """Read every `.jsonl` file of a folder in the order of their names, each row with its place for messages.

    Raises:
        DataError: when there is no row, or one is not a JSON object.
    """
    found = [each for file in sorted(folder.glob("*.jsonl")) for each in json_lines(file)]
    if not found:
        msg = f"the channel {folder.name} holds no row: {technique} reads files that end in .jsonl"
        raise DataError(msg)
    return found


def json_lines(file: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Read a file with one JSON object a line, each with its place for messages.

    Raises:
        DataError: when a line is not a JSON object.
    """
    with file.open(encoding="utf-8", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            where = f"{file.name}, line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:
                msg = f"{where} is not JSON: {error}"
                raise DataError(msg) from error
            if not isinstance(row, dict):
                msg = f"{where} is not a JSON object"
                raise DataError(msg)
            yield row, where


def split(examples: Sequence[L], ratio: float, seed: int) -> tuple[list[L], list[L]]:
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


def batches(examples: Sequence[L], size: int, order: random.Random) -> list[list[L]]:
    """Return batches in random order.

    Those of texts hold examples of similar length: little padding, so little wasted work. Questions about pictures are
    about equally long, and their answers few; sorted by length, a batch would hold the same answer many times over.
    """
    shuffled = order.sample(examples, len(examples))
    if all(example.picture is None for example in examples):
        shuffled.sort(key=lambda example: example.length)
    cut = [shuffled[start : start + size] for start in range(0, len(shuffled), size)]
    order.shuffle(cut)
    return cut


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
