"""One range of one file, read once: every record judged, counted, digested, and handed on."""

import csv
import gc
import io
import json
import string
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np
import xxhash
from numpy.typing import NDArray

from tunedrop.domain.plan import FileRole, Technique
from tunedrop.domain.problem import excerpt
from tunedrop.domain.strict_json import quoted
from tunedrop.validation import near_duplicates, tables, tokens
from tunedrop.validation.blocks import (
    BYTE_ORDER_MARK,
    MAGIC_BYTES,
    Block,
    FileFault,
    LongLine,
    cut,
    foreign_format,
    inflate,
)
from tunedrop.validation.documents import no_json, one_a_line
from tunedrop.validation.findings import Flaw
from tunedrop.validation.near_duplicates import BANDS
from tunedrop.validation.partial import ColumnsInMemory, FaultyRow, Partial, Place, Summary
from tunedrop.validation.rows import SHORT_ANSWER, Rewritten, Rows, Skimmed
from tunedrop.validation.secrets import SecretFinder, mask
from tunedrop.validation.settings import ScanSettings
from tunedrop.validation.sources import DataFile, FileRange, Source
from tunedrop.validation.tokens import TokenCounter, TokenizerError

TABLES = {".csv": tables.read_csv, ".json": tables.read_json}
"""Files of domain adaptation whose records are no lines, by their extension."""

_JSON = frozenset({".jsonl", ".json"})

_RECORDS_AT_ONCE = 1_000

_LINES_AT_ONCE = 32
"""Lines of a block with a fault that are looked at together."""

_BLOCKS_AT_ONCE = 64
"""Blocks whose lengths are counted together."""

_UNDECIDED = 0.15
"""How far from the limit, as a share of it, an estimated length is counted with the model's tokenizer."""

_PLACEHOLDERS = frozenset({"none", "null", "nil", "nan", "n/a", "#n/a", "undefined", "todo", "tbd", "--", "...", "???"})
"""What tables and programs write where there is no text: SHORT_ANSWER characters at most."""

_UNSEEN = string.whitespace + "\u00a0\u00ad\u200b\u200c\u200d\u2060\u2800\u3000\ufeff"
"""White space, and characters that have no width."""

_FRAME_TOKENS = 8
"""Tokens that training puts around a row: beginning, end, and `### Response:` between."""


class Sink(Protocol):
    """Take the good rows of a scan, in the order of the file."""

    def rows(self, role: FileRole, lines: bytes) -> None:
        """Take lines that are trained on, or validated with."""

    def held_out(self, row: Mapping[str, object]) -> None:
        """Take a row that is measured with."""


def scan(
    source: Source,
    part: FileRange,
    rows: Rows[Any],
    settings: ScanSettings,
    *,
    sink: Sink | None = None,
    counter: TokenCounter | None = None,
    progress: Callable[[int], None] | None = None,
) -> Partial:
    """Read the records of a range.

    `counter` counts exactly where the estimate leaves in doubt whether a row is cut off; `progress` is told the bytes
    that were read. Raises only what the source raises: whatever the bytes are, they end as rows or as findings.
    """
    file = part.file
    scanner = _Scanner(file, rows, settings, sink, counter)
    # One byte before the range tells whether a line begins with it.
    chunks = _told(source.blocks(file, max(part.start - 1, 0)), progress)
    if file.compressed:
        chunks = inflate(chunks, settings.limits)
    if part.start == 0:
        is_json = file.extension in _JSON
        chunks = (
            one_a_line(chunks, file.name, arrays=file.extension in TABLES) if is_json else no_json(chunks, file.name)
        )
    table = TABLES.get(file.extension)
    with _uncollected():
        if table:
            scanner.read_table(table(_of_text(chunks, file), settings.limits), file.extension)
        else:
            scanner.read_lines(chunks, part.start, part.end)
    return scanner.partial()


def splittable(file: DataFile) -> bool:
    """Tell whether ranges of a file can be read apart: gzip has no beginning within, nor have quoted line ends."""
    return not file.compressed and file.extension not in TABLES


@contextmanager
def _uncollected() -> Iterator[None]:
    """Switch Python's cycle collector off: a scan makes millions of objects and no cycle."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _of_text(chunks: Iterable[bytes], file: DataFile) -> Iterator[bytes]:
    """Pass the bytes of a table on, unless the first ones betray another format."""
    rest = iter(chunks)
    head = b""
    while len(head) < MAGIC_BYTES and (piece := next(rest, None)) is not None:
        head += piece
    _refuse_foreign(head, file)
    yield head
    yield from rest


def _refuse_foreign(head: bytes, file: DataFile) -> None:
    if foreign := foreign_format(head):
        fix = foreign.mended(file.name, table=file.extension in TABLES)
        raise FileFault(Flaw("data.foreign-format", f"The file is {foreign.name}.", fix=fix), 0)


def _told(chunks: Iterable[bytes], progress: Callable[[int], None] | None) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        if progress:
            progress(len(chunk))


class _Batch(NamedTuple):
    """Say where the records of a block stand."""

    lines: NDArray[np.uint64]
    """From 0, in the range."""
    offsets: NDArray[np.uint64]
    sizes: NDArray[np.int64]

    def place(self, number: int, flaw: Flaw) -> Place:
        """Place a flaw of one record."""
        return Place(int(self.lines[number]), int(self.offsets[number]), flaw)

    def take(self, index: NDArray[np.int64]) -> "_Batch":
        """Return some of the records."""
        return _Batch(self.lines[index], self.offsets[index], self.sizes[index])


class _Good(NamedTuple):
    """Hold the good records of a block."""

    rows: Sequence[Any]
    lines: Sequence[bytes]
    """One for each."""
    text: bytes
    """The lines in one piece."""
    chosen: NDArray[np.int64] | None
    """Which of the block's records they are; None for all."""
    looked_at: NDArray[np.int64] | None = None
    """Which of these records may be remarkable; None for all."""
    blanks: Mapping[str, NDArray[np.int64]] = MappingProxyType({})
    """By field, which of the block's other records have it blank."""


class _Unread(Sequence[Any]):
    """Stand for the rows of good lines: most of them nobody asks for."""

    def __init__(self, rows: Rows[Any], lines: Sequence[bytes], read: Mapping[int, Any]) -> None:
        self._rows = rows
        self._lines = lines
        self._read = read

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: Any) -> Any:
        if number in self._read:
            return self._read[number]
        seen = self._rows.glance(self._lines[number])
        return self._rows.judge(self._lines[number]).row if seen is None else seen


class _Scanner:
    """Hold what one range has come to so far."""

    def __init__(
        self,
        file: DataFile,
        rows: Rows[Any],
        settings: ScanSettings,
        sink: Sink | None,
        counter: TokenCounter | None,
    ) -> None:
        self._file = file
        self._rows = rows
        self._sink = sink
        self._counter = counter
        self._settings = settings
        self._limits = settings.limits
        self._split = settings.split if file.role is FileRole.TRAINING else None
        is_text = settings.target.technique is Technique.DOMAIN_ADAPTATION  # of any length: training packs it
        self._running_text = is_text and file.extension not in TABLES
        self._has_blank_lines = is_text
        self._common_shingles = np.array(settings.calibration.common_shingles, np.uint32)
        self._tidy = True
        """Whether the last block was all good: after faults there are likely more of them, and no use in haste."""
        self._rewrites = False
        """Whether the last rows that were looked at had more fields than training reads."""
        self._secrets = SecretFinder() if settings.secrets else None
        self._summary = Summary(name=file.name, role=file.role)
        self._histogram = tokens.histogram(np.zeros(0, np.int64))
        self._trained: list[NDArray[np.int64]] = []
        self._first_byte: int | None = None
        # They grow in place: thousands of small arrays, and their copy in one piece, would take twice the memory.
        self._digests, self._sizes, self._bands = bytearray(), bytearray(), bytearray()
        self._places: list[tuple[NDArray[np.uint64], NDArray[np.uint64]]] = []
        longest = settings.target.max_input_length
        self._cut_bytes = settings.calibration.bytes_of(longest) if longest and not is_text else float("inf")
        self._short_bytes = 0.0
        if not is_text:
            # Prompt and answer together: what a template adds to each row is no text of the row's.
            least = settings.calibration.constant_tokens + self._limits.short_row_tokens
            self._short_bytes = settings.calibration.bytes_of(least)

    def partial(self) -> Partial:
        """Return what the range came to."""
        self._add_lengths()
        columns = ColumnsInMemory(
            digest_column=np.frombuffer(self._digests, np.uint64),
            size_column=np.frombuffer(self._sizes, np.uint32),
            band_column=np.frombuffer(self._bands, np.uint32).reshape(-1, BANDS),
            place_columns=self._place_columns(),
        )
        self._summary.lengths = self._histogram.tolist()
        return Partial(self._first_byte or 0, self._summary, columns)

    def _place_columns(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
        if not self._places:
            return None
        lines, offsets = zip(*self._places, strict=True)
        return np.concatenate(lines), np.concatenate(offsets)

    # ------------------------------------------------------------------ reading

    def read_lines(self, chunks: Iterable[bytes], start: int, end: int | None) -> None:
        """Read a range of lines block by block."""
        position = start
        try:
            for block in cut(chunks, start, end, self._limits.line_bytes):
                position = block.offset
                if self._first_byte is None:
                    self._first_byte = position
                if isinstance(block, LongLine):
                    self._long_line(block)
                elif position == 0:
                    self._head(block)
                else:
                    self._block(block.data, position)
        except FileFault as fault:
            self._end(fault)

    def read_table(self, records: Iterator[tables.Record], extension: str) -> None:
        """Read a file whose records are no lines, batch by batch."""
        self._first_byte = 0
        write = _csv_row if extension == ".csv" else _json_row
        if extension == ".csv" and self._sink and self._file.role is not FileRole.HELD_OUT:
            self._sink.rows(self._file.role, _csv_row("text"))
        try:
            while found := list(islice(records, _RECORDS_AT_ONCE)):
                self._table(found, write)
        except FileFault as fault:
            self._end(fault)

    def _end(self, fault: FileFault) -> None:
        self._summary.ended_by, self._summary.ended_at, self._summary.ended_on = fault.flaw, fault.offset, fault.line

    def _head(self, block: Block) -> None:
        """Read the first block of a file, where its format shows."""
        _refuse_foreign(block.data, self._file)
        # Of a line that is too long nothing else is told, whether or not it came as a block.
        readable = block.data.find(b"\n") < self._limits.line_bytes
        skipped = len(BYTE_ORDER_MARK) if readable and block.data.startswith(BYTE_ORDER_MARK) else 0
        if skipped:
            self._remark(Place(0, 0, Flaw("data.byte-order-mark", "The file begins with a byte order mark.")))
        self._block(block.data[skipped:], 0, skipped)

    def _long_line(self, line: LongLine) -> None:
        self._faulty([Place(self._summary.lines, line.offset, self._too_long())])
        size = np.array([min(line.size, 2**32 - 1)], np.uint32)
        self._keep(np.zeros(1, np.uint64), size, self._no_bands(1))
        self._summary.lines += 1
        self._summary.read += line.size

    def _block(self, data: bytes, offset: int, skipped: int = 0) -> None:
        """Judge a block of lines; the first of them has `skipped` bytes more, which do not count."""
        text, lines = data, _lines(data)
        sizes = _sizes(lines)
        line_ends = ends = np.cumsum(sizes)
        sizes[0] += skipped
        first = self._summary.lines
        numbers = np.arange(first, first + len(sizes), dtype=np.uint64)
        offsets = (ends - sizes + (offset + skipped)).astype(np.uint64)
        offsets[0] = offset + skipped
        batch = _Batch(numbers, offsets, sizes)
        if b"\r" in data:
            text = data.replace(b"\r\n", b"\n")
            lines = _lines(text)
            line_ends = np.cumsum(_sizes(lines))
        self._take(self._judged(lines, text, line_ends - 1, batch), batch)
        self._find_secrets(data, ends, batch)
        self._summary.lines += len(sizes)
        self._summary.read += len(data) + skipped

    def _judged(self, lines: Sequence[bytes], text: bytes, ends: NDArray[np.int64], batch: _Batch) -> _Good:
        """Return the good records of a block whose lines, in one piece too, have their newlines at `ends`."""
        if int(batch.sizes.max()) <= self._limits.line_bytes:
            # As long as answers may be labels, each of them is counted.
            counted = self._file.role is FileRole.TRAINING and self._summary.labels is not None
            if not counted and not self._rewrites and (skimmed := self._rows.skim(text, ends)):
                return self._skimmed(skimmed, lines, text, batch)
            if self._tidy and (rows := self._rows.accept(text, ends)) is not None:
                return _Good(rows, lines, text, None)
        return self._doubtful(lines, text, ends, batch)

    def _skimmed(self, skimmed: Skimmed, lines: Sequence[bytes], text: bytes, batch: _Batch) -> _Good:
        """Judge the doubtful lines of a block one by one."""
        faults = None
        if self._summary.faulty_rows:
            few = [lines[number] for number in skimmed.doubtful]
            told = self._rows.first_faults(b"".join(few), np.cumsum(_sizes(few)) - 1)
            faults = {skimmed.doubtful[number]: code for number, code in told.items()}
        judged = {number: self._line(lines[number], number, batch, faults) for number in skimmed.doubtful}
        faulty = [number for number, (row, _) in judged.items() if row is None]
        self._tidy = not faulty
        chosen = np.delete(np.arange(len(lines)), faulty) if faulty else None
        if any(line is not lines[number] for number, (_, line) in judged.items()):
            written = [*lines]
            for number, (_, line) in judged.items():
                written[number] = line
            lines = [line for line in written if line]
            text = b"".join(lines)
        looked_at = np.array([number for number, (row, _) in judged.items() if row is not None], np.int64)
        rows = [judged[number][0] for number in looked_at.tolist()]
        if chosen is not None:
            looked_at = np.searchsorted(chosen, looked_at)
        read = dict(zip(looked_at.tolist(), rows, strict=True))
        return _Good(_Unread(self._rows, lines, read), lines, text, chosen, looked_at, skimmed.blanks)

    def _doubtful(self, lines: Sequence[bytes], text: bytes, ends: NDArray[np.int64], batch: _Batch) -> _Good:
        """Judge a block that is not all good: a few lines at once, and those of a faulty few one by one."""
        rows: list[Any] = []
        good: list[bytes] = []
        chosen: list[int] = []
        some_good = True
        faults = self._surely_faulty(text, ends, batch)
        counted = faults if faults and self._explained() else {}
        left = [number for number in range(len(lines)) if number not in counted]
        for first in range(0, len(left), _LINES_AT_ONCE):
            numbers = left[first : first + _LINES_AT_ONCE]
            if some_good and (read := self._few([lines[number] for number in numbers], numbers, batch)):
                rows += read[0]
                good += read[1]
                chosen += numbers
                continue
            some_good = False
            for number in numbers:
                row, line = self._line(lines[number], number, batch, faults)
                if row is not None:
                    some_good = True
                    rows.append(row)
                    good.append(line)
                    chosen.append(number)
        self._tidy = len(rows) == len(lines)
        return _Good(rows, good, b"".join(good), np.array(chosen, np.int64))

    def _surely_faulty(self, text: bytes, ends: NDArray[np.int64], batch: _Batch) -> Mapping[int, str] | None:
        """Return the lines whose fault is told at a look; they are counted where no more are explained.

        None where a line is too long, of which nothing else is told.
        """
        if int(batch.sizes.max()) > self._limits.line_bytes:
            return None
        faults = self._rows.first_faults(text, ends)
        if self._explained():
            for code, number in Counter(faults.values()).items():
                self._count_faults(code, number)
        return faults

    def _explained(self) -> bool:
        """Tell whether enough faulty rows are explained: of all others the codes are counted."""
        return len(self._summary.faulty) >= self._limits.findings

    def _few(
        self, few: Sequence[bytes], numbers: Sequence[int], batch: _Batch
    ) -> tuple[Sequence[Any], Sequence[bytes]] | None:
        """Return the rows of a few lines, and what training reads of them, when all are surely good."""
        if max(map(len, few)) > self._limits.line_bytes:
            return None
        block, ends = b"".join(few), np.cumsum(_sizes(few)) - 1
        if not self._rewrites:
            accepted = self._rows.accept(block, ends)
            return None if accepted is None else (accepted, few)
        rewritten = self._rows.rewrite(block, ends)
        if rewritten is None:
            return None
        self._rewrites = any(each.line != line for each, line in zip(rewritten, few, strict=True))
        for number, each, line in zip(numbers, rewritten, few, strict=True):
            self._tell_rewritten(each, line, number, batch)
        return [each.row for each in rewritten], [each.line for each in rewritten]

    def _tell_rewritten(self, rewritten: Rewritten, line: bytes, number: int, batch: _Batch) -> None:
        if rewritten.remark and not self._counted(rewritten.remark):
            for flaw in self._rows.judge(line).flaws:
                self._remark(batch.place(number, flaw))

    def _line(
        self, line: bytes, number: int, batch: _Batch, faults: Mapping[int, str] | None = None
    ) -> tuple[Any, bytes]:
        """Return the typed row of a line, and what training reads of it; None when there is none.

        `faults` are those of the batch that are told at a look, if it was asked for them.
        """
        if len(line) > self._limits.line_bytes:
            self._faulty([batch.place(number, self._too_long())])
            return None, b""
        if line.isspace() and not self._has_blank_lines and not line.strip(b" \t\r\n"):
            self._summary.blank_lines += 1
            # There may be as many as a file has bytes.
            if not self._counted("data.blank-line"):
                self._remark(batch.place(number, Flaw("data.blank-line", "The line is blank.")))
            return None, b""
        seen = (faults or {}).get(number) or self._rows.glance(line)
        if seen is not None and not isinstance(seen, str):
            return seen, line
        if seen is None and (rewritten := self._rows.rewrite(line, np.array([len(line) - 1]))):
            self._rewrites = True
            self._tell_rewritten(rewritten[0], line, number, batch)
            return rewritten[0].row, rewritten[0].line
        if faults is None:
            # Whatever it stands with, a line counts under the same code.
            seen = self._rows.first_faults(line, np.array([len(line) - 1])).get(0, seen)
        if seen and self._explained():
            self._count_faults(seen)
            return None, b""
        judged = self._rows.judge(line)
        places = [batch.place(number, flaw) for flaw in judged.flaws]
        if judged.row is None:
            self._faulty(places, seen)
            return None, b""
        for place in places:
            self._remark(place)
        return judged.row, judged.line

    def _table(self, records: Sequence[tables.Record], write: Callable[[str], bytes]) -> None:
        """Judge a batch of records; `write` says what training reads of a text."""
        batch = _Batch(
            np.array([each.line - 1 for each in records], np.uint64),
            np.array([each.offset for each in records], np.uint64),
            np.array([each.size for each in records], np.int64),
        )
        texts, index = [], []
        for number, record in enumerate(records):
            for flaw in record.warnings:
                self._remark(batch.place(number, flaw))
            if record.flaws:
                self._faulty([batch.place(number, flaw) for flaw in record.flaws])
            elif record.text is not None:
                texts.append(record.text)
                index.append(number)
        lines, chosen = [*map(_json_row, texts)], np.array(index, np.int64)
        good = _Good(texts, lines, b"".join(lines), chosen)
        self._take(good, batch, write)
        self._find_secrets(good.text, np.cumsum(_sizes(lines)), batch.take(chosen), written_anew=True)
        self._places.append((batch.lines, batch.offsets))
        self._summary.lines = int(batch.lines[-1]) + 1
        self._summary.read += int(batch.sizes.sum())

    # ------------------------------------------------------------------ what is good

    def _take(self, good: _Good, batch: _Batch, write: Callable[[str], bytes] | None = None) -> None:
        """Count, digest and hand on the good records of a block."""
        at = batch if good.chosen is None else batch.take(good.chosen)
        digests = np.fromiter(map(xxhash.xxh3_64_intdigest, good.lines), np.uint64, len(good.lines))
        held_out = self._held_out(digests, at)
        if self._running_text:
            digests[at.sizes < self._limits.compared_line_bytes] = 0
        bands = self._no_bands(len(digests))
        if len(bands):
            bands = near_duplicates.bands(good.text, _sizes(good.lines), self._common_shingles)
        if good.chosen is not None:
            all_digests, all_bands = np.zeros(len(batch.sizes), np.uint64), self._no_bands(len(batch.sizes))
            all_digests[good.chosen] = digests
            if len(bands):
                all_bands[good.chosen] = bands
            digests, bands = all_digests, all_bands
        self._keep(digests, batch.sizes.astype(np.uint32), bands)
        if good.rows:
            self._measure(good.rows, held_out, at)
            self._look_at(good, held_out, batch)
            self._hand_on(good, held_out, write)

    def _look_at(self, good: _Good, held_out: NDArray[np.bool_], batch: _Batch) -> None:
        """Tell of answers that say next to nothing, and of blank fields."""
        rows, numbers = good.rows, good.chosen
        blanks: Mapping[str, NDArray[np.int64]] = {}
        if good.looked_at is not None:
            rows = [rows[number] for number in good.looked_at.tolist()]
            numbers = good.looked_at if numbers is None else numbers[good.looked_at]
            held_out = held_out[good.looked_at]
        if rows:
            at = batch if numbers is None else batch.take(numbers)
            if answers := self._rows.answers(rows):
                self._count_answers(answers, held_out, at)
            blanks = self._rows.blanks(rows, surely_led=numbers is None)
        if numbers is not None:
            blanks = {field: numbers[found] for field, found in blanks.items()}
        if blanks or good.blanks:
            self._find_blanks((blanks, good.blanks), batch)

    def _keep(self, digests: NDArray[np.uint64], sizes: NDArray[np.uint32], bands: NDArray[np.uint32]) -> None:
        """Keep what remains of each record."""
        self._digests += digests.tobytes()
        self._sizes += sizes.tobytes()
        self._bands += bands.tobytes()

    def _find_blanks(self, blanks: Sequence[Mapping[str, NDArray[np.int64]]], batch: _Batch) -> None:
        """Tell of blank fields, row by row; many rows may have one, and few of them are kept."""
        code = "data.empty-field"
        room = self._limits.findings_per_warning - len(self._summary.remarks.get(code, ()))
        first = [
            (number, order, field)
            for found in blanks
            for order, (field, numbers) in enumerate(found.items())
            for number in numbers[: max(room, 0)].tolist()
        ]
        kept = sorted(first)[: max(room, 0)]
        for number, _, field in kept:
            self._remark(batch.place(number, Flaw(code, f"The field {quoted(field)} is empty.", excerpt(field))))
        more = sum(len(numbers) for found in blanks for numbers in found.values()) - len(kept)
        if more:
            self._summary.remark_counts[code] = self._summary.remark_counts.get(code, 0) + more

    def _no_bands(self, records: int) -> NDArray[np.uint32]:
        return np.zeros((records if self._settings.near_duplicates else 0, BANDS), np.uint32)

    def _held_out(self, digests: NDArray[np.uint64], at: _Batch) -> NDArray[np.bool_]:
        """Tell which rows are set apart: by digest; of running text the end, for its lines belong together."""
        if self._split is None:
            return np.full(len(digests), self._file.role is FileRole.HELD_OUT)
        if self._running_text and not self._file.compressed:
            return at.offsets >= (1 - self._split.ratio) * self._file.bytes
        return self._split.holds_out(digests)

    def _measure(self, rows: Sequence[Any], held_out: NDArray[np.bool_], at: _Batch) -> None:
        """Count the rows of either side, and tell of those that are too long, too short, or say next to nothing."""
        sizes = at.sizes
        self._count_rows(rows, held_out)
        if self._file.role is FileRole.TRAINING:
            self._trained.append(sizes[~held_out] if held_out.any() else sizes)
            if len(self._trained) >= _BLOCKS_AT_ONCE:
                self._add_lengths()
        if sizes.max() > (1 - _UNDECIDED) * self._cut_bytes:
            self._find_truncated(rows, at)
        if sizes.min() < self._short_bytes:
            for number in np.flatnonzero(sizes < self._short_bytes).tolist():
                self._remark(at.place(number, Flaw("data.short-row", "The row has next to no text.")))

    def _add_lengths(self) -> None:
        """Count the lengths of rows to train on, those of many blocks at once."""
        sizes = np.concatenate((*self._trained, np.zeros(0, np.int64)))
        self._trained.clear()
        self._summary.training_bytes += int(sizes.sum())
        self._summary.longest = max(self._summary.longest, int(sizes.max(initial=0)))
        self._histogram += tokens.histogram(sizes)

    def _count_rows(self, rows: Sequence[Any], held_out: NDArray[np.bool_]) -> None:
        number, apart = len(rows), int(np.count_nonzero(held_out))
        if self._running_text:
            filled = np.fromiter((bool(row) and not row.isspace() for row in rows), np.bool_, number)
            number, apart = int(np.count_nonzero(filled)), int(np.count_nonzero(filled & held_out))
        counts = self._summary.rows
        counts[FileRole.HELD_OUT] = counts.get(FileRole.HELD_OUT, 0) + apart
        if self._file.role is not FileRole.HELD_OUT:
            counts[self._file.role] = counts.get(self._file.role, 0) + number - apart

    def _find_truncated(self, rows: Sequence[Any], at: _Batch) -> None:
        calibration, limit = self._settings.calibration, self._settings.target.max_input_length
        if limit is None:
            raise AssertionError("rows are cut off at no length")
        for number in np.flatnonzero(at.sizes > (1 - _UNDECIDED) * self._cut_bytes).tolist():
            length = calibration.tokens_of(float(at.sizes[number]))
            about = "about "
            if self._counter and length < (1 + _UNDECIDED) * limit:
                with suppress(TokenizerError):  # on a text that stops it, the estimate stands
                    length = sum(self._counter.count(self._rows.texts(rows[number]))) + _FRAME_TOKENS
                    about = ""
            if length > limit:
                lost = int(length - limit)
                self._summary.truncated_rows += 1
                self._summary.tokens_lost += lost
                message = f"The row has {about}{int(length):,} tokens; training reads {limit:,} of them."
                self._remark(at.place(number, Flaw("data.truncated", message)))

    def _count_answers(self, answers: Sequence[str], held_out: NDArray[np.bool_], at: _Batch) -> None:
        if min(map(len, answers)) <= SHORT_ANSWER:
            for number, answer in enumerate(answers):
                if len(answer) <= SHORT_ANSWER and (message := self._missing(answer)):
                    self._remark(at.place(number, Flaw("data.near-empty-answer", message)))
        labels = self._summary.labels
        if labels is None or self._file.role is not FileRole.TRAINING:
            return
        if max(map(len, answers)) > self._limits.label_characters:
            self._summary.labels = None
            return
        for answer, apart in zip(answers, held_out.tolist(), strict=True):
            if not apart:
                labels[answer] = labels.get(answer, 0) + 1
        if len(labels) > self._limits.labels:
            self._summary.labels = None

    def _missing(self, answer: str) -> str:
        """Say why a short answer is next to none; empty when it is one."""
        if len(answer.strip(_UNSEEN)) < self._limits.short_answer_characters:
            return "The answer has next to no text."
        return "The answer is what stands for a missing one." if answer.strip().lower() in _PLACEHOLDERS else ""

    def _hand_on(self, good: _Good, held_out: NDArray[np.bool_], write: Callable[[str], bytes] | None) -> None:
        if self._sink is None:
            return
        for number in np.flatnonzero(held_out).tolist():
            row = self._rows.held_out(good.rows[number])
            if row is not None:
                self._sink.held_out(row)
        if held_out.all():
            return
        text = good.text
        if write:
            text = b"".join(write(row) for row, apart in zip(good.rows, held_out.tolist(), strict=True) if not apart)
        elif held_out.any():
            text = b"".join(line for line, apart in zip(good.lines, held_out.tolist(), strict=True) if not apart)
        self._sink.rows(self._file.role, self._rows.written(text))

    # ------------------------------------------------------------------ what is found

    def _find_secrets(self, data: bytes, ends: NDArray[np.int64], batch: _Batch, *, written_anew: bool = False) -> None:
        """Look for secrets in lines that end at `ends`; those written anew stand elsewhere in the file."""
        for hit in self._secrets.find(data) if self._secrets else ():
            number = int(np.searchsorted(ends, hit.start, side="right"))
            if batch.sizes[number] > self._limits.line_bytes + 1:
                continue
            column = 0 if written_anew else hit.start - int(ends[number - 1] if number else 0)
            message = f"Looks like {hit.kind}."
            flaw = Flaw(hit.code, message, column=column, excerpt=mask(data[hit.start : hit.end]))
            self._remark(batch.place(number, flaw))

    def _too_long(self) -> Flaw:
        return Flaw("data.line-too-long", f"The row is longer than {self._limits.line_bytes:,} bytes.")

    def _faulty(self, places: Sequence[Place], code: str | None = None) -> None:
        code = code or places[0].flaw.code
        self._count_faults(code)
        if len(self._summary.faulty) < self._limits.findings:
            self._summary.faulty.append(FaultyRow(code, tuple(places)))

    def _count_faults(self, code: str, number: int = 1) -> None:
        self._summary.faulty_rows += number
        self._summary.fault_counts[code] = self._summary.fault_counts.get(code, 0) + number

    def _counted(self, code: str) -> bool:
        """Count a warning of which enough are kept; tells whether it was one."""
        enough = len(self._summary.remarks.get(code, ())) >= self._limits.findings_per_warning
        if enough:
            self._summary.remark_counts[code] += 1
        return enough

    def _remark(self, place: Place) -> None:
        code = place.flaw.code
        self._summary.remark_counts[code] = self._summary.remark_counts.get(code, 0) + 1
        kept = self._summary.remarks.setdefault(code, [])
        if len(kept) < self._limits.findings_per_warning:
            kept.append(place)


def _lines(text: bytes) -> list[bytes]:
    # Not `splitlines`: a line ends at a line feed only.
    return io.BytesIO(text).readlines()


def _sizes(lines: Sequence[bytes]) -> NDArray[np.int64]:
    return np.fromiter(map(len, lines), np.int64, len(lines))


def _json_row(text: str) -> bytes:
    return json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n"


def _csv_row(text: str) -> bytes:
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow([text])
    return row.getvalue().encode()
