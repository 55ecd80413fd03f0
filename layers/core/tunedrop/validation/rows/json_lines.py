"""What all JSON lines have in common: a proof that no key stands twice, and the exact reading of one line."""

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tunedrop.domain.problem import excerpt
from tunedrop.domain.strict_json import JsonError, JsonValue, parse_object, quoted
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows import Rewritten

DEPTH_LIMIT = 64
"""Levels of objects and lists in a row; Python's own limit would depend on who calls."""

_PATH_CHARACTERS = 200
"""Of a path that is shown."""

_SHOWN_CHARACTERS = 200
"""Of a value, before it is escaped."""

NAME_CHARACTERS = 200
"""Of the name of a segment or a document, at most."""

MEASURING_FIELDS = frozenset({"segment", "document", "answers"})
"""Fields that any row may have, which the evaluation reads and training does not; see `measured_by`."""

_NAMES_SHOWN = 10
"""Names of fields that one message lists."""

_FLAWS_SHOWN = 8
"""Flaws of one row that are told."""

_SMALL = 1 << 12
"""Bytes up to which looking through a block several times costs less than calling NumPy."""

_QUOTE, _BACKSLASH, _UNICODE, _ZERO, _OPENING, _CLOSING = b'"\\u0{}'

_BACKSLASHES_AND_QUOTE = re.compile(rb'\\{2,}"')


def has_only(strings: int, block: bytes) -> bool:
    r"""Prove that decoded JSON lines have no more than so many strings, keys included, no NUL in them, no CR between.

    The fast decoder keeps the last of two equal keys, but refuses unknown ones and asks for every key of the schema: a
    key that stood twice, however it is spelled, would show in the number of strings. A CR between two tokens is white
    space to JSON, and the end of a line to some of its readers.
    """
    if len(block) < _SMALL:
        return b"\r" not in block and b"\\u0000" not in block and strings_in(block) == strings
    if b"\r" in block:
        return False
    octets = np.frombuffer(block, np.uint8)
    quotes, backslashes = octets == _QUOTE, octets == _BACKSLASH
    ends = np.count_nonzero(quotes)
    if backslashes.any():
        escaped = backslashes[:-1] & quotes[1:]
        ends -= np.count_nonzero(escaped)
        # Behind an even number of backslashes a quote ends the string.
        behind_two = backslashes[:-2] & escaped[1:]
        if behind_two.any():
            ends += sum(_run(block, last) % 2 == 0 for last in (np.flatnonzero(behind_two) + 1).tolist())
        # Looking at each \u is quicker than searching the block for the longer text.
        escapes = np.flatnonzero(backslashes[:-4] & (octets[1:-3] == _UNICODE))
        if ((octets[escapes + 2] == _ZERO) & (octets[escapes + 4] == _ZERO)).any() and b"\\u0000" in block:
            return False
    return bool(ends == 2 * strings)


def strings_in(line: bytes) -> int:
    r"""Count the strings of a line that was decoded. Inside a string a quote has a backslash before it."""
    quotes = line.count(b'"')
    if b"\\" in line:
        quotes -= line.count(b'\\"')
        if b'\\\\"' in line:
            # Behind an even number of backslashes a quote ends the string.
            quotes += sum(len(each[0]) % 2 for each in _BACKSLASHES_AND_QUOTE.finditer(line))
    return quotes // 2


def one_a_line(block: bytes, ends: NDArray[np.int64]) -> bool:
    """Prove that no document of a block spans lines, and none shares one, given that it holds as many as lines.

    `ends` are the places of the newlines. The fast decoder takes any white space between documents, line ends among it.
    A line end between two braces stands in no document: behind an object comes a comma there, or a bracket.
    """
    octets = np.frombuffer(block, np.uint8)
    begins_and_ends = octets[0] == _OPENING and (octets[ends[:-1] + 1] == _OPENING).all()
    return bool(begins_and_ends and (octets[ends - 1] == _CLOSING).all())


def _run(block: bytes, last: int) -> int:
    """Count the backslashes up to the one at `last`."""
    first = last
    while block[first - 1] == _BACKSLASH:
        first -= 1
    return last - first + 1


def sure_fault(line: bytes, error: Exception, codes: Mapping[str, str]) -> str | None:
    """Return the code of what the fast decoder refuses, where `judge` is sure to refuse it too.

    `codes` map the beginnings of the decoder's messages on rows of the wrong shape to codes; what is no JSON to this
    decoder is none to the strict reader.
    """
    if isinstance(error, msgspec.ValidationError):
        message = str(error)
        for start, code in codes.items():
            if message.startswith(start):
                return code
        return None
    if isinstance(error, UnicodeDecodeError):
        return "data.not-utf8"
    if b"\\u" in line and "surrogate" in str(error):
        return "data.lone-surrogate"
    # It calls half a pair truncated, too, where the line ends soon after.
    return None if b"\\u" in line and "truncated" in str(error) else "data.not-json"


def parse(line: bytes) -> dict[str, JsonValue] | Flaw:
    """Read one line as strict JSON whose text any tokeniser can read; returns the flaw where it is none."""
    try:
        # The line's end is no part of it: in a text that is not closed it would be told as a control character.
        document = parse_object(line.rstrip(b"\r\n"))
    except JsonError as error:
        message = f"The row {error.message}."
        if error.code == "not-json" and b"\r" in line.rstrip():
            message += " Lines must not end in a carriage return alone."
        around = line[max(0, error.position - 20) : error.position + 40].decode(errors="backslashreplace")
        # The last line's end may be ours.
        column = min(error.position, len(line.rstrip(b"\r\n")))
        return Flaw(f"data.{error.code}", message, column=column, excerpt=excerpt(around.strip()))
    # Only an escape spells NUL or half a surrogate pair, and each level of nesting takes a bracket.
    if b"\\u" in line or line.count(b"{") + line.count(b"[") > DEPTH_LIMIT:
        return _unreadable(document) or document
    return document


def faults(
    document: dict[str, JsonValue],
    contract: type[BaseModel],
    worded: Callable[[ErrorDetails, dict[str, JsonValue]], Flaw],
) -> tuple[Flaw, ...]:
    """Hold a row against its contract; `worded` says the contract's errors in our words."""
    try:
        contract.model_validate(document)
    except ValidationError as error:
        details = error.errors(include_url=False)[:_FLAWS_SHOWN]
        return tuple(dict.fromkeys(worded(each, document) for each in details))
    return ()


def measured_by(document: Mapping[str, JsonValue]) -> dict[str, object]:
    """Return the fields that the evaluation reads beside prompt and answer, as far as they are what it reads.

    `segment` and `document` group rows, `answers` are further right ones. Any row may have them, for any may be set
    apart to measure with; training never sees them, unless its template names them.
    """
    fields: dict[str, object] = {}
    for name in ("segment", "document"):
        value = document.get(name)
        if isinstance(value, str) and value.strip() and len(value) <= NAME_CHARACTERS:
            fields[name] = value
    answers = document.get("answers")
    if isinstance(answers, list) and answers and all(isinstance(each, str) and each.strip() for each in answers):
        fields["answers"] = answers
    return fields


def unread(document: Mapping[str, JsonValue], read: Collection[str]) -> tuple[Flaw, ...]:
    """Tell of the fields of a good row that nobody reads; nothing when all are read."""
    measured = measured_by(document)
    extra = [name for name in document if name not in read and name not in measured]
    if not extra:
        return ()
    message = f"Training does not read {named(extra)}."
    if any(name in ("segment", "document") for name in extra):
        message += f" The evaluation reads segment and document as text of at most {NAME_CHARACTERS} characters."
    if "answers" in extra:
        message += " The evaluation reads answers as a list of texts."
    return (Flaw("data.extra-field", message),)


def rewritten(
    row: Any, line: bytes, others: Mapping[str, Any], with_measure: Callable[[Any, dict[str, object]], object]
) -> Rewritten:
    """Return a row without the fields that training does not read; see `measured_by` and `unread`."""
    if MEASURING_FIELDS.isdisjoint(others):
        return Rewritten(row, line, "data.extra-field" if others else "")
    measured = measured_by(others)
    remark = "data.extra-field" if len(measured) < len(others) else ""
    return Rewritten(with_measure(row, measured) if measured else row, line, remark)


def named(names: Iterable[str]) -> str:
    """List names of fields for a message, the first ones by name."""
    known = list(names)
    told = ", ".join(quoted(name) for name in known[:_NAMES_SHOWN]) or "no field"
    return f"{told} and {len(known) - _NAMES_SHOWN} more" if len(known) > _NAMES_SHOWN else told


def dotted(location: tuple[int | str, ...]) -> str:
    """Write a path in a record: `messages[2].role`."""
    parts = "".join(f"[{each}]" if isinstance(each, int) else f".{excerpt(each)}" for each in location)
    path = parts.removeprefix(".")
    return path if len(path) <= _PATH_CHARACTERS else f"{path[: _PATH_CHARACTERS - 3]}..."


def shown(value: object) -> str:
    """Return what may be shown of a value in a report, as it would be written in JSON."""
    return excerpt(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)[:_SHOWN_CHARACTERS])


def _unreadable(document: dict[str, JsonValue]) -> Flaw | None:
    """Find text that no tokeniser reads, at any depth."""
    stack: list[tuple[tuple[int | str, ...], JsonValue]] = [((), document)]
    while stack:
        place, value = stack.pop()
        if len(place) > DEPTH_LIMIT:
            return Flaw("data.nested-too-deep", f"The row is nested more than {DEPTH_LIMIT} levels deep.")
        if isinstance(value, dict):
            for key, item in value.items():
                stack.append(((*place, key), item))
                stack.append(((*place, key), key))
        elif isinstance(value, list):
            stack.extend(((*place, index), item) for index, item in enumerate(value))
        elif isinstance(value, str):
            if "\0" in value:
                return Flaw("data.nul", "The row has a NUL character.", dotted(place), excerpt=shown(value))
            try:
                value.encode()
            except UnicodeEncodeError:
                message = "The row has half of a surrogate pair."
                return Flaw("data.lone-surrogate", message, dotted(place), excerpt=shown(value))
    return None
