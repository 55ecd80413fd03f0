"""Files that are JSON, but not one object a line or not by their name: told once, from the head, not line by line."""

import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import msgspec

from tunedrop.validation.blocks import BYTE_ORDER_MARK, FileFault, in_place
from tunedrop.validation.findings import Flaw
from tunedrop.validation.tables import ANSWERS, COLUMN

HEAD_BYTES = 64 << 10
"""What the form of a file is told from: some hundred lines."""

_SPACE = b" \t\r\n"

_ARRAY = Flaw("data.json-array", "The file is one JSON array instead of one object a line.")
_SPREAD = Flaw("data.json-over-lines", "The file holds JSON objects that go over several lines.")


_WRAPPED = re.compile(
    r'\{(?:\s*"\w+"\s*:\s*(?:"[^"\\]*"|[\w.+-]+)\s*,)*'
    r'\s*"(?P<key>data|dataset|rows|records|examples|samples|items|train|conversations|dialogs)"\s*:\s*\[\s*(?=\{)'
)
_MESSAGE = frozenset({"role", "content", "from", "value"})
_OF_A_ROW = (ANSWERS - {"conversations"}) | {"prompt", "instruction", "chosen", "rejected"}
"""Fields that tell an object with a list in it for a row from one that all rows are in."""
_GOES_ON = re.compile(r'\Z|\]\s*\Z|\{\s*("|\}|\Z)')
"""What follows a record of JSON: nothing, the end of its array, or the next one."""

_FILTERS = {_ARRAY: "jq -c '.[]'", _SPREAD: "jq -c ."}


def one_a_line(chunks: Iterable[bytes], name: str, *, arrays: bool = False) -> Iterator[bytes]:
    """Pass the bytes of a file on, from its beginning; raises FileFault when its head is no JSON lines by its form.

    `name` is the file's, for the command that mends it; `arrays` are let through.
    """

    def flaw(head: bytes, *, whole: bool) -> Flaw | None:
        if key := _wrapping_key(head):
            fix = "Write one JSON object a line: " + in_place(f"jq -c '.{key}[]'", name)
            return Flaw("data.json-array", f'The file is one JSON object, with the rows in "{key}".', fix=fix)
        found = _flaw(head, whole=whole)
        if found is None or (arrays and found is _ARRAY):
            return None
        return found._replace(fix=f"Write one JSON object a line: {in_place(_FILTERS[found], name)}")

    return _unless(flaw, chunks)


def no_json(chunks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Pass the bytes of running text or of a CSV file on; raises FileFault when they are records of JSON.

    Training would learn the braces, or take the first record for the header.
    """

    def flaw(head: bytes, *, whole: bool) -> Flaw | None:
        del whole
        if not (extension := _json_extension(head)):
            return None
        zipped = ".gz" if name.endswith(".gz") else ""
        other = f"{name.removesuffix('.gz').rpartition('.')[0]}{extension}{zipped}"
        fix = f"Give the file the name of its format: mv {shlex.quote(name)} {shlex.quote(other)}"
        return Flaw("data.foreign-format", "The file is JSON.", fix=fix)

    return _unless(flaw, chunks)


def _unless(flaw_of: Callable[..., Flaw | None], chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass bytes on unless there is a flaw in the first HEAD_BYTES of them, however the chunks are cut."""
    rest = iter(chunks)
    pieces: list[bytes] = []
    left = HEAD_BYTES
    fault: FileFault | None = None
    try:
        while left > 0 and (piece := next(rest, None)) is not None:
            pieces.append(piece)
            left -= len(piece)
    except FileFault as error:  # what stands before a fault is read as ever
        fault = error
    head = b"".join(pieces)
    if flaw := flaw_of(head[:HEAD_BYTES], whole=len(head) < HEAD_BYTES):
        raise FileFault(flaw, 0, line=0)
    del head
    yield from pieces
    pieces.clear()
    if fault:
        raise fault
    yield from rest


def _flaw(head: bytes, *, whole: bool) -> Flaw | None:
    """Judge the form of a file by its head; `whole` says that there is no more of it."""
    text = head.removeprefix(BYTE_ORDER_MARK).strip(_SPACE)
    if text[:1] not in (b"[", b"{"):
        return None
    is_array = text.startswith(b"[")
    first, *others = text.split(b"\n")
    if not others and is_array and (not whole or _is_json(first)):
        return _ARRAY
    if _is_json(first):
        return None  # at worst a line at fault among others
    # Of a file that goes on, the last line may have been cut.
    lines = [line for line in (others if whole else others[:-1]) if line.strip(_SPACE)]
    if not lines:
        return None
    if is_array and whole and _is_json(text):
        return _ARRAY
    if 2 * sum(map(_is_object, lines)) >= len(lines):
        return None
    if is_array:
        return _ARRAY
    return _SPREAD if first.strip(_SPACE) == b"{" or _goes_over_lines(text, first) else None


def _json_extension(head: bytes) -> str | None:
    """Return how the name of a file ends whose head is records of JSON; None where it is not, or may be prose."""
    text = head.removeprefix(BYTE_ORDER_MARK).decode(errors="replace").lstrip().removeprefix("[").lstrip()
    try:
        record, stop = json.JSONDecoder(parse_int=len).raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not _GOES_ON.match(text[stop:].lstrip(" \t\r\n,")):
        return None
    if COLUMN in record:
        return ".json"
    return ".jsonl" if any(key.lower() in ANSWERS for key in record) else None


def _wrapping_key(head: bytes) -> str | None:
    """Return the key under which a file that is one object has all its rows; None for rows, and for a conversation."""
    text = head.removeprefix(BYTE_ORDER_MARK).decode(errors="replace").lstrip()
    wrapped = _WRAPPED.match(text)
    if not wrapped:
        return None
    decoder = json.JSONDecoder(parse_int=len)
    try:
        row, _ = decoder.raw_decode(text, wrapped.end())
    except (ValueError, RecursionError):
        return None
    if not _MESSAGE.isdisjoint(row):
        return None
    with suppress(ValueError, RecursionError):  # of a long file there is no more than its head
        whole, stop = decoder.raw_decode(text)
        return None if text[stop:].strip() or not _OF_A_ROW.isdisjoint(whole) else wrapped["key"]
    return None if _OF_A_ROW.isdisjoint(row) else wrapped["key"]


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return True


def _is_object(line: bytes) -> bool:
    return line.startswith(b"{") and _is_json(line)


def _goes_over_lines(text: bytes, first: bytes) -> bool:
    """Tell whether the first object ends beyond the first line."""
    try:
        _, stop = json.JSONDecoder(parse_int=len).raw_decode(text.decode(errors="replace"))
    except (ValueError, RecursionError):
        return False
    return stop > len(first.decode(errors="replace"))
