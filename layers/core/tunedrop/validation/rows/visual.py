"""Rows of visual question answering: a picture, a prompt about it, and the answer."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any

import msgspec
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
    parse,
    shown,
    unread,
)
from tunedrop.validation.rows.typed_lines import TypedLines

_FIELDS = ("file_name", "prompt", "completion")

_EXAMPLE = '{"file_name": "images/0001.png", "prompt": "...", "completion": "..."}'

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    file_name: _NonEmpty
    prompt: _NonEmpty
    completion: _NonEmpty


class _MeasuredRow(_Row, frozen=True, gc=False):
    measured_by: dict[str, object]


class _Pictured(msgspec.Struct, frozen=True, gc=False):
    """Read of a faulty row which picture it is about."""

    file_name: str


_pictured = msgspec.json.Decoder(_Pictured).decode
_said = attrgetter("prompt", "completion")


class _RowContract(BaseModel):
    model_config = ConfigDict(strict=True)

    file_name: str
    prompt: str
    completion: str


class VisualRows(TypedLines):
    """Judge rows of a `metadata.jsonl`, and with each row its picture."""

    _decoder = msgspec.json.Decoder(_Row)

    def __init__(self, image_flaws: Callable[[str], Sequence[Flaw]], mention: Callable[[str], None]) -> None:
        """Look at pictures with `image_flaws`: a row's `file_name` → what is wrong with the picture.

        `mention` is told the picture of a faulty row, which may not have been looked at.
        """
        self._image_flaws = image_flaws
        self._mention = mention

    def _are_good(self, rows: Sequence[Any], block: bytes) -> bool:
        if any(map(str.isspace, chain.from_iterable(map(_said, rows)))):
            return False
        if not has_only(2 * len(_FIELDS) * len(rows), block):
            return False
        return not any(self._image_flaws(row.file_name) for row in rows)

    def glance(self, line: bytes) -> Any | str | None:
        """Return the typed row, the code of a sure fault, or None."""
        seen = super().glance(line)
        if isinstance(seen, str):
            self._mention_of(line)
        return seen

    def _mention_of(self, line: bytes) -> None:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            self._mention(_pictured(line).file_name)

    def judge(self, line: bytes) -> Judged:
        """Judge one line, and its picture, exactly."""
        judged = self._judge(line)
        if judged.row is None:
            self._mention_of(line)
        return judged

    def _judge(self, line: bytes) -> Judged:
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

    def answers(self, rows: Sequence[Any]) -> list[str]:
        """Return the completions."""
        return [row.completion for row in rows]

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
