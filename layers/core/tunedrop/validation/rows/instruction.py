"""Instruction rows: one JSON object a line, with a text for each field that the template names."""

import io
import json
import re
from collections.abc import Mapping, Sequence
from itertools import chain
from operator import attrgetter, not_
from typing import Annotated, Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic_core import ErrorDetails

from tunedrop.domain.prompt_template import PROMPT_AND_COMPLETION, PromptTemplate, suggested
from tunedrop.domain.strict_json import JsonValue, kind_of, quoted
from tunedrop.domain.technique import CONVERSATION_KEYS, is_conversation
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows import Judged, Rewritten, Skimmed
from tunedrop.validation.rows.json_lines import (
    MEASURING_FIELDS,
    dotted,
    faults,
    has_only,
    measured_by,
    named,
    one_a_line,
    parse,
    rewritten,
    shown,
    unread,
)
from tunedrop.validation.rows.line_grammar import STYLES, LineGrammar, grammar
from tunedrop.validation.rows.more_fields import MoreFields, Unsure, strings_of
from tunedrop.validation.rows.typed_lines import TypedLines

_KEY = re.compile(rb'"([A-Za-z0-9_]+)":')

_MOST_FIELDS = 8
"""Of rows that are told by an expression: for so many it was measured."""

_encode = msgspec.json.Encoder().encode
"""Writes text as the exact judge does."""

_NonEmpty = Annotated[str, msgspec.Meta(min_length=1)]


class InstructionRows(TypedLines):
    """Judge instruction rows against a template.

    Rows are handed on with the template's fields only: JumpStart's reader infers one type for each column of a file,
    so that a column which no template names could still fail the job. For the same reason a value must be text: the
    reader renders the number 1 as `1` or `1.0` by what other rows hold.
    """

    def __init__(self, template: PromptTemplate, *, applied: bool = False) -> None:
        """Judge against `template`; hand rows on with it `applied`, or as they are, for who applies it later."""
        self._template = template
        self._applied = applied and template != PROMPT_AND_COMPLETION
        fields = template.fields
        # One field at least on either side must say something. The fast path asks it of the first one.
        asked, answered = template.prompt_fields[0], template.completion_fields[0]
        # The types have attribute names of their own: a field may be called `class`.
        self._row = _row_type(fields, filled=set())
        self._measured_row = msgspec.defstruct(
            "MeasuredRow", [("measured_by", dict[str, object])], bases=(self._row,), frozen=True, gc=False
        )
        filled = {asked, answered}
        self._decoder = msgspec.json.Decoder(_row_type(fields, filled))
        self._more_fields = MoreFields(
            {f"f{index}": (field, _NonEmpty if field in filled else str) for index, field in enumerate(fields)}
        )
        self._decode_accepted = msgspec.json.Decoder(self._row).decode_lines
        self._said = attrgetter(*(f"f{fields.index(each)}" for each in dict.fromkeys((asked, answered))))
        self._says_two_things = asked != answered
        self._texts_of = {field: attrgetter(f"f{index}") for index, field in enumerate(fields)}
        self._led = {field: texts for field, texts in self._texts_of.items() if field not in (asked, answered)}
        self._fields = fields
        self._written_names = [(_encode(field) + b": ", f"f{index}") for index, field in enumerate(fields)]
        self._answered = answered
        self._contract = _contract(fields)
        self._plain_answer = f"f{fields.index(answered)}" if template.completion_text == f"{{{answered}}}" else None

    def skim(self, block: bytes, ends: NDArray[np.int64]) -> Skimmed | None:
        """Tell the good lines by an expression, where their order of fields is the first line's, the answer last."""
        known = self._grammar(block[: ends[0]]) if self._plain_answer else None
        return known.skim(block, ends) if known else None

    def _grammar(self, line: bytes) -> LineGrammar | None:
        # Within a text there is a backslash before each quote: nothing but a key matches.
        order = tuple(key.decode() for key in _KEY.findall(line))
        if len(order) > _MOST_FIELDS or sorted(order) != sorted(self._fields) or order[-1] != self._answered:
            return None
        style = next((style for style in STYLES if line.startswith(style.field(order[0], b'"'), 1)), None)
        if style is None:
            return None
        fields = (style.filled_or_empty(key) if key in self._led else style.filled(key) for key in order)
        return grammar(style, style.object(*fields), b"}", tuple(self._led))

    def rewrite(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Rewritten] | None:
        """Return the rows without the fields that training does not read, when every one is surely good."""
        try:
            rows, others = self._more_fields.decode(block)
            more_strings = sum(map(strings_of, others))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, Unsure):
            return None
        if len(rows) != len(ends) or not one_a_line(block, ends) or not self._are_good(rows, block, more_strings):
            return None
        return [
            rewritten(row, self._clean(row) if more else raw, more, self._with_measure)
            for row, more, raw in zip(rows, others, io.BytesIO(block), strict=True)
        ]

    def _clean(self, row: Any) -> bytes:
        return b"{%b}\n" % b", ".join([name + _encode(getattr(row, text)) for name, text in self._written_names])

    def _with_measure(self, row: Any, measured: dict[str, object]) -> Any:
        return self._measured_row(*self._texts(row).values(), measured)

    def _are_good(self, rows: Sequence[Any], block: bytes, more_strings: int = 0) -> bool:
        said = map(self._said, rows)
        if any(map(str.isspace, chain.from_iterable(said) if self._says_two_things else said)):
            return False
        return has_only(2 * len(self._fields) * len(rows) + more_strings, block)

    def judge(self, line: bytes) -> Judged:
        """Judge one line exactly."""
        document = parse(line)
        if isinstance(document, Flaw):
            return Judged(None, b"", (document,))
        if flaws := faults(document, self._contract, self._worded):
            return Judged(None, b"", flaws)
        texts = {field: document[field] for field in self._fields}
        if not any(str(texts[field]).strip() for field in self._template.completion_fields):
            path = ", ".join(self._template.completion_fields)
            return Judged(None, b"", (Flaw("data.empty-completion", "The row has an empty answer.", path),))
        if not any(str(texts[field]).strip() for field in self._template.prompt_fields):
            path = ", ".join(self._template.prompt_fields)
            return Judged(None, b"", (Flaw("data.empty-prompt", "The row has an empty prompt.", path),))
        clean = json.dumps(texts, ensure_ascii=False).encode() + b"\n"
        measured = measured_by({name: document[name] for name in document if name not in self._fields})
        row = self._measured_row(*texts.values(), measured) if measured else self._row(*texts.values())
        return Judged(row, clean, unread(document, self._fields))

    def written(self, text: bytes) -> bytes:
        """Return accepted lines as they are, or as the prompts and completions that the template makes of them."""
        if not self._applied:
            return text
        rows = (self._asked(row) for row in self._decode_accepted(text))
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)

    def answers(self, rows: Sequence[Any]) -> list[str]:
        """Return the rendered completions."""
        if self._plain_answer:
            return list(map(attrgetter(self._plain_answer), rows))
        return [self._template.completion(self._texts(row)) for row in rows]

    def blanks(self, rows: Sequence[Any], *, surely_led: bool) -> Mapping[str, NDArray[np.int64]]:
        """Return what is blank; what the fast path took is not blank in front."""
        fields = self._led if surely_led else self._texts_of
        blank = {
            field: np.fromiter(map(not_, map(str.strip, map(texts, rows))), np.bool_, len(rows))
            for field, texts in fields.items()
        }
        return {field: np.flatnonzero(found) for field, found in blank.items() if found.any()}

    def texts(self, row: Any) -> list[str]:
        """Return the rendered prompt and completion."""
        texts = self._texts(row)
        return [self._template.prompt(texts), self._template.completion(texts)]

    def held_out(self, row: Any) -> Mapping[str, object]:
        """Return the rendered prompt, without demarcation, the completion, and what groups the row."""
        return self._asked(row) | measured_by(self._texts(row)) | getattr(row, "measured_by", {})

    def _asked(self, row: Any) -> dict[str, object]:
        prompt, completion = self.texts(row)
        return {"prompt": prompt, "completion": completion}

    def _texts(self, row: Any) -> dict[str, str]:
        return {field: getattr(row, f"f{index}") for index, field in enumerate(self._fields)}

    def _worded(self, error: ErrorDetails, document: dict[str, JsonValue]) -> Flaw:
        place = error["loc"]
        field = str(place[0]) if place else ""
        if error["type"] == "missing":
            missing = [each for each in self._fields if each not in document]
            message = f"The row lacks {named(missing)}; it has {named(document)}."
            return Flaw("data.missing-field", message, named(missing), fix=self._remedy(document))
        value = document.get(field)
        message = f"The row holds {kind_of(value)} in {quoted(field)}."
        return Flaw("data.not-text", message, dotted(place), excerpt=shown(value))

    def _remedy(self, document: Mapping[str, JsonValue]) -> str:
        """Say what mends a row that lacks fields, where its own tell: another template, or another technique."""
        if talk := next((name for name, value in document.items() if is_conversation(value)), None):
            if talk in CONVERSATION_KEYS:
                return "It is a conversation: keep those in a dataset of their own, without template.json."
            return f"It looks like a conversation: call the key {quoted(talk)} messages, and leave template.json out."
        texts = [name for name, value in document.items() if isinstance(value, str) and name not in MEASURING_FIELDS]
        known = document.keys() & set(self._fields)
        # Of a row that has most of the fields, a name is mistyped; or one is left out, as no other text stands there.
        if 2 * len(known) >= len(self._fields):
            left_out = known.issuperset(texts) and known.issuperset(self._template.completion_fields)
            template = suggested(texts) if left_out else None
            return (
                f"Add the field; or, if all rows are so, write this into template.json: {template}" if template else ""
            )
        if texts == ["text"]:
            return "If all rows are so, they are running text: end the file's name in .json instead of .jsonl."
        template = suggested(texts)
        return f"If all rows are so, write this into template.json, beside them: {template}" if template else ""


def _row_type(fields: tuple[str, ...], filled: set[str]) -> type[msgspec.Struct]:
    names = [f"f{index}" for index in range(len(fields))]
    return msgspec.defstruct(
        "InstructionRow",
        [(name, _NonEmpty if field in filled else str) for name, field in zip(names, fields, strict=True)],
        rename=dict(zip(names, fields, strict=True)),
        forbid_unknown_fields=True,
        frozen=True,
        gc=False,
    )


def _contract(fields: tuple[str, ...]) -> type[BaseModel]:
    # The names are aliases: a template may call a field `model_config`, or `class`.
    texts: dict[str, Any] = {f"f{index}": (str, Field(alias=field)) for index, field in enumerate(fields)}
    return create_model("InstructionRow", __config__=ConfigDict(strict=True, frozen=True), **texts)
