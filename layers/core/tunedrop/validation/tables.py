"""Tables of text for domain adaptation: CSV, JSON lines, or one JSON array of objects, read as JumpStart reads them.

The text is what stands in the column (or under the key) `text`, else in the first one. A record is at most
`Limits.line_bytes` long, and no more than a few records are in memory at once, whatever the bytes are.

CSV lines end with CR, LF or both, as for the readers that training uses; JSON lines end with LF alone. A file that
cannot be read on (an array that is broken, a quote that is never closed) yields what stood before, then one refused
record: where the next would begin cannot be known.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import NamedTuple

import msgspec

from tunedrop.domain.problem import excerpt
from tunedrop.domain.strict_json import JsonError, JsonValue, kind_of, parse_object, quoted
from tunedrop.domain.technique import CONVERSATION_KEYS
from tunedrop.validation.blocks import BYTE_ORDER_MARK
from tunedrop.validation.findings import Flaw
from tunedrop.validation.limits import Limits

COLUMN = "text"
"""The column that JumpStart trains on: https://docs.aws.amazon.com/sagemaker/latest/dg/jumpstart-foundation-models.html."""

DEPTH_LIMIT = 64
"""Levels of objects and lists in a record; Python's own limit would depend on who calls."""

_INTEGERS = range(-(1 << 63), 1 << 64)
"""What training's reader has a type for."""

_READ_BYTES = 64 << 10
"""What is read of an array at least before an item that is not whole yet is tried again."""

_WORDS_OF_A_NAME = 6
_CHARACTERS_OF_A_NAME = 60
"""What a column's name has at most; the first row of a table without a header is seldom so short."""

_SPACE = re.compile(r"[ \t\n\r]+")
_JSON_SPACE = b" \t\r\n"

# A number, and a sign or a rule of signs alone, are nothing that a spreadsheet executes; a tab or CR is skipped by it:
# https://owasp.org/www-community/attacks/CSV_Injection.
_FORMULA = re.compile(r"[\t\r]*[=@+-](?![=@+-]*\Z)(?!(?<=[+-])[\d.,]+%?\Z)")
_FORMULA_STARTS = frozenset("=@+-\t\r")


# Behind a semicolon of prose there is a space.
_SEPARATOR = re.compile(r"\t|[;|](?=\S)")
_QUOTED_SEPARATOR = re.compile(r'"[^"]*"[\t;|]')
_HINT = re.compile(r"sep=", re.IGNORECASE)
"""How Excel is told the separator of a file, by a line before the header."""


class Record(NamedTuple):
    """Hold one record of a table, or what is wrong with it.

    What is no record of text is told by one without: a header, a byte order mark or a blank line, if there is anything
    to say of them, has warnings alone.
    """

    text: str | None
    """None when the record is refused, or is none."""
    line: int
    """The physical line that it begins on, from 1."""
    offset: int
    """Bytes from the start of the file to the record; `Flaw.column` counts from here."""
    size: int
    """Bytes up to the next record, its line end included; of an array's item, those of the item alone.

    0 for what ends an array that cannot be read on.
    """
    flaws: tuple[Flaw, ...] = ()
    warnings: tuple[Flaw, ...] = ()

    def at(self, index: int) -> "Record":
        """Name the record by its place in an array, from 0: a whole array may stand on one line."""
        if not self.flaws and not self.warnings:
            return self
        named = (
            tuple(each._replace(path=f"[{index}].{each.path}".rstrip(".")) for each in flaws)
            for flaws in (self.flaws, self.warnings)
        )
        return Record(self.text, self.line, self.offset, self.size, *named)


def read_csv(blocks: Iterable[bytes], limits: Limits) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header: comma, double quotes, UTF-8; raises nothing, whatever the bytes.

    A header that cannot be used ends the reading.
    """
    # The limit on a cell is one for the whole process. It is only ever raised: two readers that restored it would lower
    # it under each other. What bounds memory is the limit on a record.
    csv.field_size_limit(max(csv.field_size_limit(), limits.line_bytes))
    lines = _CsvLines(blocks, limits.line_bytes)
    rows = csv.reader(lines, strict=True)
    header: _Header | None = None
    while not lines.broken:
        lines.begin()
        cells: list[str] = []
        try:
            cells = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            lines.refuse("data.not-csv", f"The row is not CSV ({error}).")
        if not lines.flaw and not cells:
            yield lines.record(None, warnings=(Flaw("data.blank-line", "The line is blank."),))
        elif header:
            yield _row(cells, header, lines)
        else:
            header, record = _begin(cells, lines)
            if record:
                yield record
            if not header:
                return


def read_json(blocks: Iterable[bytes], limits: Limits) -> Iterator[Record]:
    """Yield the objects of a file of JSON lines, or of one that begins with `[`; raises nothing, whatever the bytes.

    The first object that can be read decides on the key.
    """
    rest = iter(blocks)
    head = b""
    start = 0
    # An array may begin with any number of blank lines.
    while not head.removeprefix(BYTE_ORDER_MARK).strip(_JSON_SPACE) or len(head) <= len(BYTE_ORDER_MARK):
        block = next(rest, None)
        if block is None:
            break
        head += block
        if len(head) > limits.line_bytes:
            break
    if head.startswith(BYTE_ORDER_MARK):
        yield Record(None, 1, 0, len(BYTE_ORDER_MARK), warnings=(_MARKED,))
        start = len(BYTE_ORDER_MARK)
    chunks = chain((head[start:],), rest)
    keys = _Keys()
    if head[start:].lstrip(_JSON_SPACE).startswith(b"["):
        yield from _Array(chunks, start, limits.line_bytes).records(keys)
    else:
        yield from _json_lines(chunks, start, limits.line_bytes, keys)


_MARKED = Flaw("data.byte-order-mark", "The file begins with a byte order mark.")


def _lines(
    chunks: Iterable[bytes], limit: int, split: Callable[[bytes], list[bytes]]
) -> Iterator[tuple[bytes | None, int]]:
    """Yield each line with its end, and its bytes; None for one of more than `limit` bytes, which is not held."""
    tail = b""
    dropped = 0  # bytes of a line that is too long
    for chunk in chunks:
        lines = split(tail + chunk)
        # A CR at the end may be half of a line end.
        tail = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            size = dropped + len(line)
            yield (None if dropped or len(line.rstrip(b"\r\n")) > limit else line), size
            dropped = 0
        if len(tail) > limit + 1:
            dropped += len(tail) - 1
            tail = tail[-1:]
    if tail:
        yield (None if dropped or len(tail.rstrip(b"\r\n")) > limit else tail), dropped + len(tail)


# ---------------------------------------------------------------- CSV


class _Header(NamedTuple):
    names: list[str]
    column: int
    """The column with the text, from 0."""


class _CsvLines:
    """Hand lines to `csv.reader`, and remember what the record that it makes of them consists of."""

    def __init__(self, blocks: Iterable[bytes], limit: int) -> None:
        self._lines = _lines(blocks, limit, _split_csv)
        self._limit = limit
        self._line = 0
        self._end = 0
        self.flaw: Flaw | None = None
        self.broken = False
        """Whether the file cannot be read on."""
        self.text = ""
        """The last line."""
        self.marked = False
        """Whether the file begins with a byte order mark."""

    def begin(self) -> None:
        """Begin a record with the next line."""
        self._first = self._line + 1
        self._start = self._end
        self.flaw = None

    def refuse(self, code: str, message: str, column: int = 0, fix: str = "") -> None:
        """Refuse the record; its first flaw stands."""
        self.flaw = self.flaw or Flaw(code, message, column=column, fix=fix)

    def record(self, text: str | None, warnings: tuple[Flaw, ...] = ()) -> Record:
        """Place the record, with the flaw that it was refused for."""
        flaws = (self.flaw,) if self.flaw else ()
        return Record(text, self._first, self._start, self._end - self._start, flaws, warnings)

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line, size = next(self._lines)
        column = self._end - self._start
        self._line += 1
        self._end += size
        if line is None or column + len(line) > self._limit + 2:
            self.refuse("data.line-too-long", f"The row has more than {self._limit:,} bytes.")
            if column:
                # Inside a quote: the reader is told that the file ends here.
                self.broken = True
                raise StopIteration
            return "\n"
        if self._line == 1 and line.startswith(BYTE_ORDER_MARK):
            self.marked = True
            line = line.removeprefix(BYTE_ORDER_MARK)
        if b"\0" in line:
            self.refuse("data.nul", "The row holds a NUL character.", column + line.index(b"\0"))
        try:
            self.text = line.decode()
        except UnicodeDecodeError as error:
            self.refuse("data.not-utf8", "The row is not UTF-8.", column + error.start)
            self.text = line.decode(errors="replace")
        return self.text


def _split_csv(data: bytes) -> list[bytes]:
    # Of bytes, unlike text, CR and LF alone end a line.
    return data.splitlines(keepends=True)


def _begin(cells: list[str], lines: _CsvLines) -> tuple[_Header | None, Record | None]:
    """Read the header: None for one that cannot be used; the record says what there is to say of it."""
    if not lines.flaw and cells.count(COLUMN) > 1:
        lines.refuse("data.duplicate-key", f"The header names the column {COLUMN} {cells.count(COLUMN)} times.")
    if lines.flaw and lines.flaw.code == "data.not-csv" and _QUOTED_SEPARATOR.match(lines.text):
        lines.flaw = _SEPARATED
    if not lines.flaw and _HINT.match(cells[0]):
        fix = "Remove the first line, sep=..., and have commas between the columns."
        lines.refuse("data.separator", "The first line names the separator, where the header should be.", fix=fix)
    if not lines.flaw and COLUMN not in cells and not cells[0].strip():
        lines.refuse("data.no-text-column", f"The header names no column {COLUMN}, and its first column has no name.")
    if lines.flaw:
        return None, lines.record(None)
    warnings: tuple[Flaw, ...] = (_MARKED,) if lines.marked else ()
    if COLUMN not in cells:
        # The message must not tell the name: of a table without a header it is a user's text.
        if any(map(_is_no_name, cells)):
            code = "data.no-header"
            message = "The first row looks like data, and is read as the header: it is not trained on."
        else:
            code = "data.first-column"
            message = f"The header names no column {COLUMN}: the first column is read."
        warnings = (*warnings, Flaw(code, message, "column 1", excerpt=excerpt(cells[0])))
        if flaw := _no_running_text(cells):
            lines.refuse(flaw.code, flaw.message, fix=flaw.fix)
            return None, lines.record(None)
    header = _Header(cells, cells.index(COLUMN) if COLUMN in cells else 0)
    return header, lines.record(None, warnings=warnings) if warnings else None


def _is_no_name(cell: str) -> bool:
    """Tell a cell of data from a column's name: a number or a date, or as long or as ended as a sentence."""
    text = cell.strip()
    if not text:
        return False
    if not any(map(str.isalpha, text)):
        return True
    return len(text.split()) > _WORDS_OF_A_NAME or len(text) > _CHARACTERS_OF_A_NAME or text[-1] in '.!?"\u3002'


_SEPARATED = Flaw("data.separator", "The columns are separated by semicolons, tabs or bars.")

_OF_PICTURES = "Save the rows as metadata.jsonl, one JSON object a line, in its place."


def _no_running_text(columns: Sequence[str]) -> Flaw | None:
    """Tell rows of questions and answers from running text: of them the first column alone would be learnt."""
    told = [name for name in columns if name.strip().lower() in ANSWERS]
    if len(columns) > 1 and told:
        message = f"The records have questions and answers: a column {quoted(told[0])}."
        return Flaw("data.not-running-text", message, fix=_OF_PICTURES if "file_name" in columns else "")
    if len(columns) == 1 and (_SEPARATOR.search(columns[0]) or COLUMN in re.split(r" *[;|] *", columns[0].lower())):
        return _SEPARATED
    return None


def _row(cells: list[str], header: _Header, lines: _CsvLines) -> Record:
    if not lines.flaw and len(cells) != len(header.names):
        message = f"The row has {_count(len(cells), 'cell')}; the header has {len(header.names):,}."
        lines.refuse("data.ragged-row", message)
    if lines.flaw:
        return lines.record(None)
    text = cells[header.column]
    warnings: tuple[Flaw, ...] = () if text and not text.isspace() else (_EMPTY,)
    if cells == header.names:
        warnings = (*warnings, Flaw("data.repeated-header", "The row is the header again, and is trained on."))
    for number, cell in enumerate(cells, start=1):
        if cell[:1] in _FORMULA_STARTS and _FORMULA.match(cell):
            message = "A spreadsheet would execute the cell."
            warnings = (*warnings, Flaw("data.formula", message, f"column {number}", excerpt=excerpt(cell)))
            break
    return lines.record(text, warnings=warnings)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


ANSWERS = frozenset({"answer", "answers", "completion", "conversations", "dialog", "messages", "output", "response"})
"""Columns that running text does not have."""

_EMPTY = Flaw("data.empty-text", "The text is empty.")


# ---------------------------------------------------------------- JSON


class _Keys:
    """Judge the objects of one file, and remember which key holds the text."""

    def __init__(self) -> None:
        self._key: str | None = None

    def record(self, data: bytes, line: int, offset: int, size: int) -> Record:
        warnings: tuple[Flaw, ...] = ()
        flaw: Flaw | None = None
        value: Mapping[str, JsonValue] | None = _accepted(data)
        if value is None:
            try:
                parsed = parse_object(data)
            except JsonError as error:
                return Record(None, line, offset, size, (Flaw(f"data.{error.code}", f"The record {error.message}."),))
            flaw = _too_much(parsed)
            value = parsed
        if value and self._key is None:
            self._key = COLUMN if COLUMN in value else next(iter(value))
            if self._key != COLUMN:
                message = f"The first record has no key {COLUMN}: its first key, {quoted(self._key)}, is read."
                warnings = (Flaw("data.first-column", message),)
                flaw = flaw or _no_running_text([str(key) for key in value])
        text = ""
        if not flaw and self._key is not None:
            text, flaw = _text(value, self._key)
            if flaw and flaw.code == "data.no-text-column":
                self._key = COLUMN  # the first record was at fault, and is no measure of those that follow
        elif not flaw:
            flaw = Flaw("data.missing-field", "The record is an empty object.")
        if flaw:
            return Record(None, line, offset, size, (flaw,), warnings)
        if not text or text.isspace():
            warnings = (*warnings, _EMPTY)
        return Record(text, line, offset, size, (), warnings)


_OF_CONVERSATIONS = "It is a conversation: end the file's name in .jsonl instead of .json."

_FLAT = msgspec.json.Decoder(dict[str, str | int | float | bool | None])


def _accepted(data: bytes) -> Mapping[str, JsonValue] | None:
    """Read an object of plain values faster than `parse_object`, which alone refuses; None leaves it to that.

    msgspec takes the last of repeated keys, so all quotes must be accounted for by the keys and texts that it returns.
    Where no backslash follows another, a quote after a backslash is part of a text.
    """
    try:
        value = _FLAT.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    texts = len(value)
    for each in value.values():
        if type(each) is str:
            texts += 1
        elif type(each) is int and each not in _INTEGERS:
            return None
    if b"\\\\" in data or data.count(b'"') - data.count(b'\\"') != 2 * texts:
        return None
    return value


def _text(value: Mapping[str, JsonValue], key: str) -> tuple[str, Flaw | None]:
    if key != COLUMN and COLUMN in value:
        return "", Flaw("data.no-text-column", f"The record has a key {COLUMN}, which the first one has not.")
    if key not in value:
        return "", Flaw("data.missing-field", f"The record has no key {quoted(key)}.")
    text = value[key]
    if not isinstance(text, str):
        fix = _OF_CONVERSATIONS if key in CONVERSATION_KEYS and isinstance(text, list) else ""
        return "", Flaw("data.not-text", f"The value is {kind_of(text)}, not text.", excerpt(key), fix=fix)
    if "\0" in text:
        return "", Flaw("data.nul", "The text holds a NUL character.", excerpt(key))
    try:
        text.encode()
    except UnicodeEncodeError:
        return "", Flaw("data.lone-surrogate", "The text holds half of a surrogate pair.", excerpt(key))
    return text, None


def _too_much(value: dict[str, JsonValue]) -> Flaw | None:
    """Find what Python reads and training's reader does not: deep nesting, integers of more than 64 bits."""
    level: list[dict[str, JsonValue] | list[JsonValue]] = [value]
    for _ in range(DEPTH_LIMIT):
        items = [item for each in level for item in (each.values() if isinstance(each, dict) else each)]
        if any(type(item) is int and item not in _INTEGERS for item in items):
            return Flaw("data.number-too-large", "The record holds an integer of more than 64 bits.")
        level = [item for item in items if isinstance(item, dict | list)]
        if not level:
            return None
    return Flaw("data.nested-too-deep", f"The record is nested more than {DEPTH_LIMIT} levels deep.")


def _json_lines(chunks: Iterable[bytes], start: int, limit: int, keys: _Keys) -> Iterator[Record]:
    offset = start
    for number, (line, size) in enumerate(_lines(chunks, limit, _split_json), start=1):
        if line is None:
            yield Record(None, number, offset, size, (_too_long(limit),))
        elif not line.strip(_JSON_SPACE):
            yield Record(None, number, offset, size, warnings=(Flaw("data.blank-line", "The line is blank."),))
        else:
            yield keys.record(line, number, offset, size)
        offset += size


def _split_json(data: bytes) -> list[bytes]:
    return io.BytesIO(data).readlines()


def _too_long(limit: int) -> Flaw:
    return Flaw("data.line-too-long", f"The record has more than {limit:,} bytes.")


# Finds where an item ends, and judges nothing: control characters may stand in text, and of a number the length does as
# well as its value, which Python may refuse to read.
_ENDS = json.JSONDecoder(strict=False, parse_int=len)

_CHARACTER_BYTES = 4
_LONGEST_LITERAL = len("-Infinity")


class _Array:
    """Cut one array into its items, each of which is then judged like a line.

    ijson streams too, but tells neither where an item stands in the file nor what was written in it: repeated keys and
    halves of surrogate pairs are gone by then. Bytes that are not UTF-8 pass through as lone surrogates, and back.
    """

    def __init__(self, chunks: Iterable[bytes], offset: int, limit: int) -> None:
        """Begin before the bracket, at `offset`."""
        self._chunks = iter(chunks)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._limit = limit
        self._text = ""
        self._at = 0
        self._ended = False
        self._offset = offset
        self._line = 1

    def records(self, keys: _Keys) -> Iterator[Record]:
        """Yield the items; the last record refuses the rest of a document that cannot be read to its end."""
        mark = self._next()
        self._take(self._at + 1)
        if self._next() == "]":
            mark = "]"
            self._take(self._at + 1)
        for index in count():
            if mark == "]":
                break
            record = self._item(keys).at(index)
            yield record
            # Beyond some depth Python does not find an item's end; the same is to follow from any that is too deep.
            if not record.size or any(flaw.code == "data.nested-too-deep" for flaw in record.flaws):
                return
            mark = self._next()
            if not mark or mark not in ",]":
                yield self._refused("data.not-json", _CUT_OFF if not mark else "The array lacks a comma.")
                return
            self._take(self._at + 1)
        if self._next():
            yield self._refused("data.not-json", "The file goes on after the array.")

    def _item(self, keys: _Keys) -> Record:
        if not self._next():
            return self._refused("data.not-json", _CUT_OFF)
        while True:
            flaw: Flaw | None = None
            stop = len(self._text)
            whole = self._ended
            try:
                _, stop = _ENDS.raw_decode(self._text, self._at)
                whole = whole or stop < len(self._text)  # a number may go on
            except json.JSONDecodeError as error:
                near_end = error.pos >= len(self._text) - _LONGEST_LITERAL
                if not near_end and not error.msg.startswith("Unterminated string"):
                    whole = True
                    stop = error.pos
                flaw = Flaw("data.not-json", f"The array is not JSON ({error.msg}).")
            except RecursionError:
                whole = True
                stop = self._at
                flaw = Flaw("data.nested-too-deep", "The record is nested too deep to read.")
            if stop - self._at > self._limit or (whole and self._too_long(stop)):
                return self._refused(*_too_long(self._limit)[:2])
            if not whole:
                self._read()
            elif flaw:
                return self._refused(flaw.code, flaw.message)
            else:
                line, offset = self._line, self._offset
                data = self._take(stop)
                return keys.record(data, line, offset, len(data))

    def _refused(self, code: str, message: str) -> Record:
        return Record(None, self._line, self._offset, 0, (Flaw(code, message),))

    def _next(self) -> str:
        """Skip white space and return the character after it; nothing at the end of the file."""
        while True:
            space = _SPACE.match(self._text, self._at)
            if space:
                self._take(space.end())
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._read()

    def _take(self, stop: int) -> bytes:
        """Move on to the character at `stop`, and return the bytes that were passed."""
        passed = self._text[self._at : stop]
        data = passed.encode(errors="surrogateescape")
        self._line += data.count(b"\n")
        self._offset += len(data)
        self._at = stop
        return data

    def _too_long(self, stop: int) -> bool:
        # A character is at most four bytes: most items need not be encoded for this.
        if _CHARACTER_BYTES * (stop - self._at) <= self._limit:
            return False
        return len(self._text[self._at : stop].encode(errors="surrogateescape")) > self._limit

    def _read(self) -> None:
        """Read on, at least as much again as is left, so that a long item is not tried too often."""
        pieces = [self._text[self._at :]]
        missing = max(len(pieces[0]), _READ_BYTES)
        for chunk in self._chunks:
            pieces.append(self._decoder.decode(chunk))
            missing -= len(pieces[-1])
            if missing <= 0:
                break
        else:
            self._ended = True
            pieces.append(self._decoder.decode(b"", final=True))
        self._text = "".join(pieces)
        self._at = 0


_CUT_OFF = "The file ends inside the array."
