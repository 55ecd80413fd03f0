r"""Bytes cut into blocks of whole lines, at `\n` only, with flat memory whatever the bytes are.

A range of a file owns the lines whose *first byte* lies in it. Ranges that follow each other therefore own each line
once, wherever they were cut.
"""

import re
import shlex
import zlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tunedrop.domain.drop_files import parquet_command
from tunedrop.validation.findings import Flaw
from tunedrop.validation.limits import Limits

CUT_BYTES = 520 << 10
"""A block's size: so large that what Python costs for each is nothing. Two of them take what is read at once."""

_INFLATED_BYTES = 256 << 10
"""What is inflated at once."""

_BOMB_BYTES = 16 << 20
"""What a file may inflate to, whatever its own size is."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Foreign(NamedTuple):
    """Describe a format that is not read."""

    name: str
    fix: str
    """What to do with `{file}`."""
    filter: str = ""
    """The command that makes text of it, if one does: it reads a file that it is told, else what is piped into it."""
    table_fix: str = ""
    """What to do where a table is read, if it is something else."""

    def mended(self, name: str, *, table: bool) -> str:
        """Say what mends the file of this name."""
        told = (table and self.table_fix) or self.fix
        return f"{told}: {in_place(self.filter, name)}" if self.filter else told.format(file=shlex.quote(name))


def in_place(command: str, name: str) -> str:
    """Write the command that puts what a filter makes of a file in that file's place, where it keeps its role."""
    file, new = shlex.quote(name), shlex.quote(f"{name}.new")
    made = f"gunzip -c {file} | {command} | gzip" if name.endswith(".gz") else f"{command} {file}"
    return f"{made} > {new} && mv {new} {file}"


def _utf(bits: str) -> Foreign:
    return Foreign(
        f"UTF-{bits.removesuffix('LE').removesuffix('BE')}", "Save it as UTF-8", f"iconv -f UTF-{bits} -t UTF-8"
    )


_TEXT_OF_IT = "Write its text into a file of its own, and use that in its place."
_OFFICE = Foreign("a document of Word or Excel", _TEXT_OF_IT, table_fix="Save the sheet as CSV, in UTF-8.")
_ZIPPED_OFFICE = re.compile(rb"PK\x03\x04.{26}(\[Content_Types\]|docProps/|_rels/|word/|xl/)", re.DOTALL)
"""A document of Word or Excel since 2007, by the name of the first file in it."""

_FOREIGN_FORMATS = {
    b"\x1f\x8b": Foreign(
        "gzip-compressed; such a file is named .gz",
        "Give it its name: mv {file} {file}.gz; that is read as it is.",
    ),
    b"PK\x03\x04": Foreign(
        "a zip archive", "Take the file out of it: unzip -p {file} > {file}.new && mv {file}.new {file}"
    ),
    b"BZh": Foreign("bzip2-compressed", "Write the text itself", "bzcat"),
    b"\xfd7zXZ": Foreign("xz-compressed", "Write the text itself", "xzcat"),
    b"\x28\xb5\x2f\xfd": Foreign("zstd-compressed", "Write the text itself", "zstdcat"),
    b"PAR1": Foreign(
        "Parquet",
        "Write one JSON object a line, with pandas and pyarrow: "
        + parquet_command("{file}", "{file}.new")
        + " && mv {file}.new {file}",
        table_fix="Write a CSV file, with pandas and pyarrow: "
        + parquet_command("{file}", "rows.csv")
        + ", and use rows.csv in its place.",
    ),
    b"version https://git-lfs": Foreign("a pointer of Git LFS", "Fetch what it points to: git lfs pull"),
    b"%PDF-": Foreign("a PDF document", _TEXT_OF_IT),
    b"{\\rtf": Foreign("an RTF document", _TEXT_OF_IT),
    b"\xd0\xcf\x11\xe0": _OFFICE,
    # Before UTF-16, whose mark it begins with.
    b"\xff\xfe\0\0": _utf("32"),
    b"\0\0\xfe\xff": _utf("32"),
    b"\xff\xfe": _utf("16"),
    b"\xfe\xff": _utf("16"),
}

_WITHOUT_MARK = re.compile(rb"(?P<little>[^\0]\0[^\0]\0)|(?P<big>\0[^\0]\0[^\0])")
"""UTF-16 without a byte order mark: each of the first two characters has a byte that is zero."""


MAGIC_BYTES = 64
"""What a format is told by, at most."""


class Block(NamedTuple):
    """Hold whole lines, each ended by a newline; the last line of a file is given one."""

    data: bytes
    offset: int
    """Bytes from the start of the file (inflated, for a gzip file)."""


class LongLine(NamedTuple):
    """Stand for a line that was too long to be held, and was skipped."""

    offset: int
    size: int
    """Bytes, its newline included."""


class FileFault(Exception):  # noqa: N818 - a fault of the user's file, not of the program
    """End the reading of a file that cannot be read on."""

    def __init__(self, flaw: Flaw, offset: int, line: int | None = None) -> None:
        """Name the flaw, and the place up to which the file was good; `line` counts from 0, where one is at fault."""
        super().__init__(flaw.message)
        self.flaw = flaw
        self.offset = offset
        self.line = line


def foreign_format(head: bytes) -> Foreign | None:
    """Tell the format that a file's first bytes betray; None for text."""
    if without_mark := _WITHOUT_MARK.match(head):
        return _utf("16LE" if without_mark["little"] else "16BE")
    if _ZIPPED_OFFICE.match(head):
        return _OFFICE
    return next((kind for magic, kind in _FOREIGN_FORMATS.items() if head.startswith(magic)), None)


def inflate(chunks: Iterable[bytes], limits: Limits) -> Iterator[bytes]:
    """Yield the content of a gzip stream of any number of members; raises FileFault for a broken one, and a bomb."""
    member = zlib.decompressobj(wbits=31)
    read = written = 0
    for chunk in chunks:
        read += len(chunk)
        data = chunk
        while data:
            if member.eof:
                data = data.lstrip(b"\0")  # padding, as tar and tapes leave it
                if not data:
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                piece = member.decompress(data, _INFLATED_BYTES)
            except zlib.error:
                raise FileFault(Flaw("data.broken-gzip", "The gzip stream is damaged."), written) from None
            written += len(piece)
            if written > limits.inflated_bytes or (written > limits.inflation * read and written > _BOMB_BYTES):
                flaw = Flaw("data.gzip-bomb", f"The file inflates to more than {written // read} times its size.")
                raise FileFault(flaw, written)
            if piece:
                yield piece
            data = member.unused_data if member.eof else member.unconsumed_tail
    if not member.eof:
        raise FileFault(Flaw("data.broken-gzip", "The gzip stream ends too early."), written)


def cut(  # noqa: C901 - the states of one loop, which are harder to follow apart
    chunks: Iterable[bytes], start: int, end: int | None, limit: int
) -> Iterator[Block | LongLine]:
    """Cut into blocks what begins at `start`, up to the last line that begins before `end`.

    `chunks` begin one byte before `start` (at 0 for 0), so that a newline there is seen, and may go on beyond `end`.
    A line of more than `limit` bytes is skipped.
    """
    position, tail = max(start - 1, 0), b""
    passing = start > 0
    """Whether the bytes up to the next newline belong to a line that is not, or no longer, wanted."""
    long_line: int | None = None
    for chunk in chunks:
        data = chunk
        if passing:
            after = data.find(b"\n") + 1
            position += after or len(data)
            if not after:
                if long_line is None and end is not None and position >= end:
                    return
                continue
            if long_line is not None:
                yield LongLine(long_line, position - long_line)
            passing, long_line, data = False, None, data[after:]
        if end is not None and position >= end:
            return
        owned = 0 if end is None else data.find(b"\n", max(end - 1 - position - len(tail), 0)) + 1
        stop = 0
        for begin, stop in _whole_lines(data, owned or len(data), len(tail)):
            lines, tail = tail + data[begin:stop], b""
            yield Block(lines, position) if len(lines) <= max(limit, CUT_BYTES) else LongLine(position, len(lines))
            position += len(lines)
        if owned:
            return
        tail += data[stop:]
        if len(tail) > limit:
            passing, long_line, position, tail = True, position, position + len(tail), b""
    if long_line is not None:
        yield LongLine(long_line, position - long_line)
    elif tail and not passing and (end is None or position < end):
        yield Block(tail + b"\n", position)


def _whole_lines(data: bytes, end: int, before: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of blocks of whole lines, up to the last newline; a line longer than a block stands alone.

    So many bytes of the first line stand `before` the data.
    """
    begin = 0
    while True:
        most = max(begin + CUT_BYTES - before, begin)
        stop = data.rfind(b"\n", begin, min(most, end)) + 1
        if stop <= begin:
            stop = data.find(b"\n", most, end) + 1
            if not stop:
                return
        yield begin, stop
        begin, before = stop, 0
