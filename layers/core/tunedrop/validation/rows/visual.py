"""Rows of visual question answering: a picture, a prompt about it, and the answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from pydantic_core import ErrorDetails

from tunedrop.domain.strict_json import JsonValue, kind_of, quoted
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows import Judged
from tunedrop.validation.rows.json_lines import (
    dotted,
    faults,
    has_only,
    measured_by,
    named,
    one_a_line,
    parse,
    shown,
    sure_fault,
    unread,
)

_FIELDS = ("file_name", "prompt", "completion")

_EXAMPLE = '{"file_name": "images/0001.png", "prompt": "...", "completion": "..."}'

_SURE_FAULTS = {
    "Expected `str`, got": "data.not-text",
    "Object missing required field": "data.missing-field",
}

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    file_name: _NonEmpty
    prompt: _NonEmpty
    completion: _NonEmpty


class _MeasuredRow(_Row, frozen=True, gc=False):
    measured_by: dict[str, object]


_DECODER = msgspec.json.Decoder(_Row)
_said = attrgetter("prompt", "completion")


class _RowContract(BaseModel):
    model_config = ConfigDict(strict=True)

    file_name: str
    prompt: str
    completion: str


class VisualRows:
    """Judge rows of a `metadata.jsonl`, and with each row its picture."""

    def __init__(self, image_flaws: Callable[[str], Sequence[Flaw]]) -> None:
        """Look at pictures with `image_flaws`: a row's `file_name` → what is wrong with the picture."""
        self._image_flaws = image_flaws

    def accept(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Any] | None:
        """Return the typed rows when every line, and its picture, is surely good as it is."""
        try:
            rows = _DECODER.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if len(rows) != len(ends) or not one_a_line(block, ends):
            return None
        if not has_only(2 * len(_FIELDS) * len(ends), block):
            return None
        if any(prompt.isspace() or completion.isspace() for prompt, completion in map(_said, rows)):
            return None
        return None if any(self._image_flaws(row.file_name) for row in rows) else rows

    def glance(self, line: bytes) -> Any | str | None:
        """Return the typed row, the code of a sure fault, or None."""
        try:
            row = _DECODER.decode(line)
        except RecursionError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return sure_fault(error, _SURE_FAULTS)
        good = not any(map(str.isspace, _said(row))) and has_only(2 * len(_FIELDS), line)
        return row if good and not self._image_flaws(row.file_name) else None

    def judge(self, line: bytes) -> Judged:
        """Judge one line, and its picture, exactly."""
        document = parse(line)
        if isinstance(document, Flaw):
            return Judged(None, b"", (document,))
        if flaws := faults(document, _RowContract, _worded):
            return Judged(None, b"", flaws)
        row = {field: str(document[field]) for field in _FIELDS}
        if not row["completion"].strip():
            return Judged(None, b"", (Flaw("data.empty-completion", "The row has an empty answer.", "completion"),))
        if not row["prompt"].strip():
            return Judged(None, b"", (Flaw("data.empty-prompt", "The row has an empty prompt.", "prompt"),))
        if wrong := self._image_flaws(row["file_name"]):
            return Judged(None, b"", tuple(wrong))
        measured = measured_by(document)
        typed = _MeasuredRow(**row, measured_by=measured) if measured else _Row(**row)
        return Judged(typed, json.dumps(row, ensure_ascii=False).encode() + b"\n", unread(document, _FIELDS))

    def written(self, text: bytes) -> bytes:
        """Return accepted lines as they are."""
        return text

    def answers(self, rows: Sequence[Any]) -> list[str]:
        """Return the completions."""
        return [row.completion for row in rows]

    def blanks(self, rows: Sequence[Any], *, surely_led: bool) -> Mapping[str, NDArray[np.int64]]:
        """Return nothing: of a good row nothing is blank."""
        del rows, surely_led
        return {}

    def texts(self, row: Any) -> list[str]:
        """Return prompt and completion; the picture's own tokens are the model's secret."""
        return [row.prompt, row.completion]

    def held_out(self, row: Any) -> Mapping[str, object]:
        """Return the picture's name, the prompt, the completion, and what groups the row."""
        asked = {"file_name": row.file_name, "prompt": row.prompt, "completion": row.completion}
        return asked | getattr(row, "measured_by", {})


def _worded(error: ErrorDetails, document: dict[str, JsonValue]) -> Flaw:
    field = str(error["loc"][0])
    if error["type"] == "missing":
        message = f"The row lacks {quoted(field)}; it has {named(document)}. It should be {_EXAMPLE}."
        return Flaw("data.missing-field", message, field)
    value = document[field]
    message = f"The row holds {kind_of(value)} in {quoted(field)}."
    return Flaw("data.not-text", message, dotted(error["loc"]), excerpt=shown(value))
