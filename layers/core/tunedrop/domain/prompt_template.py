"""How a row becomes a prompt and a completion: JumpStart's `template.json`, by a substitution that runs no code."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

from tunedrop.domain.model import Record
from tunedrop.domain.problem import Problem
from tunedrop.domain.strict_json import JsonError, kind_of, parse_object, quoted

DEMARCATION = "\n\n### Response:\n"
"""What JumpStart puts between prompt and completion when `add_input_output_demarcation_key` is `True`."""

TEMPLATE_FILE = "template.json"
SIZE_LIMIT_BYTES = 65_536

_FIELD = re.compile(r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}")
_BRACES = re.compile(r"\{[^{}]*\}|[{}]")

_FIELD_FIX = "Write a field as {name}: ASCII letters, digits and underscores; braces serve for nothing else."


class TemplateError(ValueError):
    """Say why a `template.json` cannot be used."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        """Keep every problem that was found."""
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class PromptTemplate(Record):
    """Render rows as JumpStart's training script does, for `{identifier}` fields only.

    A formatter such as `str.format` would also read attributes, indexes, conversions and widths (`{x.__class__}`,
    `{x[0]}`, `{x!r}`, `{:>999999999}`), and make one brace of two; `parse` refuses every brace of another use.
    """

    prompt_text: str
    completion_text: str

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read `template.json`; raises `TemplateError` with every problem."""
        if len(data) > SIZE_LIMIT_BYTES:
            raise TemplateError(
                (_problem("template.too-large", f"is larger than {SIZE_LIMIT_BYTES:,} bytes", "Shorten the template."),)
            )
        if data.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise TemplateError((_problem("template.not-utf8", "is UTF-16", "Save it as UTF-8."),))
        try:
            document = parse_object(data.removeprefix(b"\xef\xbb\xbf"))
        except JsonError as error:
            raise TemplateError(
                (_problem(f"template.{error.code}", error.message, 'Write {"prompt": "...", "completion": "..."}.'),)
            ) from None
        problems = [
            _problem("template.unknown-key", f"holds the key {quoted(key)}, which has no meaning", "Remove it.")
            for key in document
            if key not in {"prompt", "completion"}
        ]
        texts: dict[str, str] = {}
        for key in ("prompt", "completion"):
            text = document.get(key)
            if isinstance(text, str):
                texts[key] = text
                problems.extend(_text_problems(key, text))
            elif key in document:
                problems.append(
                    _problem("template.not-text", f"holds {kind_of(text)} as {key!r}", f"Give {key!r} as text.")
                )
            else:
                problems.append(_problem("template.key-missing", f"lacks {key!r}", f"Add {key!r} as text."))
        if problems:
            raise TemplateError(tuple(problems))
        return cls(prompt_text=texts["prompt"], completion_text=texts["completion"])

    @property
    def prompt_fields(self) -> tuple[str, ...]:
        """Name the fields of the prompt, each once, in order."""
        return tuple(dict.fromkeys(_fields(self.prompt_text)))

    @property
    def completion_fields(self) -> tuple[str, ...]:
        """Name the fields of the completion, each once, in order."""
        return tuple(dict.fromkeys(_fields(self.completion_text)))

    @property
    def fields(self) -> tuple[str, ...]:
        """Name the fields that every row must have, each once, in order."""
        return tuple(dict.fromkeys((*_fields(self.prompt_text), *_fields(self.completion_text))))

    def prompt(self, row: Mapping[str, str]) -> str:
        """Render the prompt of `row`, without demarcation; raises KeyError when the row lacks a field."""
        return _render(self.prompt_text, row)

    def completion(self, row: Mapping[str, str]) -> str:
        """Render the completion of `row`; raises KeyError when the row lacks a field."""
        return _render(self.completion_text, row)


# https://docs.aws.amazon.com/sagemaker/latest/dg/jumpstart-foundation-models-fine-tuning-instruction-based.html
JUMPSTART_DEFAULT = PromptTemplate(
    prompt_text=(
        "Below is an instruction that describes a task, paired with an input that provides further context. "
        "Write a response that appropriately completes the request.\n\n"
        "### Instruction:\n{instruction}\n\n### Input:\n{context}"
    ),
    completion_text="{response}",
)
"""The template that JumpStart uses when the training folder has no `template.json`."""

PROMPT_AND_COMPLETION = PromptTemplate(prompt_text="{prompt}", completion_text="{completion}")
"""The template of SageMaker's serverless customisation, whose rows have just these two.

https://docs.aws.amazon.com/sagemaker/latest/dg/customizing-models-sft.html
"""


def _fields(text: str) -> Iterator[str]:
    return (match["name"] for match in _FIELD.finditer(text))


def _render(text: str, row: Mapping[str, str]) -> str:
    # One pass over the template: braces inside a row's values stay as they are.
    return _FIELD.sub(lambda match: row[match["name"]], text)


def _text_problems(key: str, text: str) -> Iterator[Problem]:
    for match in _BRACES.finditer(text):
        token = match[0]
        if _FIELD.fullmatch(token):
            continue
        place = f"in {key!r}, character {match.start() + 1}"
        if len(token) == 1:
            yield _problem("template.unbalanced-brace", f"has an unbalanced {token!r} {place}", _FIELD_FIX)
        else:
            yield _problem("template.bad-field", f"has {quoted(token)} {place}, which names no field", _FIELD_FIX)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        yield _problem(
            "template.lone-surrogate",
            f"has half of a surrogate pair in {key!r}, character {error.start + 1}",
            "Write the whole character.",
        )
    if "\0" in text:
        yield _problem("template.nul", f"has a NUL character in {key!r}", "Remove it.")
    if not any(_fields(text)):
        consequence = (
            "the model would never see the row" if key == "prompt" else "the model would learn one fixed answer"
        )
        yield _problem(
            "template.without-field",
            f"has no field in {key!r}: {consequence}",
            f"Name a field of your rows in {key!r}, such as {'{instruction}' if key == 'prompt' else '{response}'}.",
        )


def _problem(code: str, predicate: str, fix: str) -> Problem:
    return Problem(code=code, message=f"The template {predicate}.", where=TEMPLATE_FILE, fix=fix)


_ANSWERS = frozenset(
    {"answer", "answers", "chosen", "completion", "label", "output", "reply", "response", "summary", "target"}
)
"""What people call the text to learn, in lower case."""


def suggested(fields: Sequence[str]) -> str | None:
    """Write a `template.json` for rows of these text fields: an answer by its name, else the last of them.

    None where there is nothing to choose from, or a name that no template takes.
    """
    if len(fields) < len(("prompt", "completion")) or not all(_FIELD.fullmatch(f"{{{each}}}") for each in fields):
        return None
    answer = next((each for each in fields if each.lower() in _ANSWERS), fields[-1])
    prompt = "\n\n".join(f"{{{each}}}" for each in fields if each != answer)
    return json.dumps({"prompt": prompt, "completion": f"{{{answer}}}"})
