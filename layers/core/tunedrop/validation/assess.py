"""What only the whole dataset shows, put into the report: equal and similar rows, lengths, labels, shortages."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from tunedrop.domain.plan import FileRole, Technique
from tunedrop.domain.problem import excerpt
from tunedrop.validation import duplicates, near_duplicates, tokens
from tunedrop.validation.blocks import inflate
from tunedrop.validation.duplicates import Indices
from tunedrop.validation.findings import MEANINGS, Finding, Flaw, Severity, finding
from tunedrop.validation.limits import Limits
from tunedrop.validation.near_duplicates import BANDS
from tunedrop.validation.partial import SHARDS, Columns, Partial, Summary
from tunedrop.validation.report import (
    Duplicates,
    FileStatistics,
    LabelCount,
    Tokens,
    ValidationReport,
)
from tunedrop.validation.settings import ScanSettings
from tunedrop.validation.sources import DataFile, Image, Source

ROLES = (FileRole.TRAINING, FileRole.VALIDATION, FileRole.HELD_OUT)
"""The roles of files that hold rows, in the order in which they are told of."""

_HELD_OUT_FIXES = {
    # A carriage return alone ends no line, as an old Mac's did.
    Technique.DOMAIN_ADAPTATION: "Add text, in lines that end with a line feed; or upload held-out.txt, .csv or .json.",
    Technique.VISUAL_QA: "Add rows, raise evaluate.held_out_ratio in tune.yaml, or upload held-out/metadata.jsonl.",
}
"""What mends that nothing is held out, where a file to measure with is not called held-out.jsonl."""

_MORE_PICTURES = MEANINGS["data.few-held-out-rows"].fix.replace("held-out.jsonl", "held-out/metadata.jsonl")

_LOCATED_RANGES = 8
"""Ranges whose lines can be found at once: rows are looked up in ascending order, and beside each an earlier one."""

_LOCATED_TOGETHER = 1 << 8
"""Lines of a range of which only the first one's place is kept; the others' are added up."""

_STEP = 1 << 16
"""Rows that are looked at together: temporary arrays stay small beside the columns."""

_READS_AT_ONCE = 8
"""Ranges whose digests are fetched together, where they lie far away."""

_NEAR_BYTES = 1 << 18
"""Bytes that are read and passed over rather than asking for a later place anew."""


class ScannedFile(NamedTuple):
    """Hold one file and what its ranges came to, in order."""

    file: DataFile
    partials: Sequence[Partial]

    def read(self) -> "ScannedFile":
        """Leave out the ranges behind one that could not be read to its end: a single pass stops there."""
        ended = next((number for number, each in enumerate(self.partials, 1) if each.summary.ended_by), None)
        return ScannedFile(self.file, self.partials[:ended])


class _Range(NamedTuple):
    """Hold the columns of one range, and where its records stand in the dataset."""

    file: DataFile
    first_record: int
    first_line: int
    first_byte: int
    records: int
    columns: Columns


class _Row(NamedTuple):
    """Locate one record."""

    file: DataFile
    line: int
    offset: int
    size: int


def assess(scanned: Sequence[ScannedFile], settings: ScanSettings, source: Source) -> ValidationReport:
    """Make the report; `scanned` holds every file of the dataset, training files first, each with all its ranges.

    `source` is asked for the text of rows that may be nearly equal, and for the names of pictures. The report is the
    same however the files were cut into ranges.
    """
    return _Assessment([each.read() for each in scanned], settings, source).report()


class _Assessment:
    def __init__(self, scanned: Sequence[ScannedFile], settings: ScanSettings, source: Source) -> None:
        self._settings = settings
        self._limits = settings.limits
        self._source = source
        self._scanned = scanned
        self._files = [(each.file, _joined(each, settings.limits)) for each in scanned]
        self._rows = _Rows(scanned, settings)
        self._errors: list[Finding] = []
        self._warnings: dict[str, list[Finding]] = {}
        self._counts: Counter[str] = Counter()
        self._not_checked: list[str] = []

    def report(self) -> ValidationReport:
        """Sum up."""
        self._tell_files()
        self._tell_split()
        compared, exact, leaked = self._copies()
        near, near_leaked = self._near_copies()
        for file, _ in self._files:
            self._tell_images(file)
        self._forget_optional_fields()
        labels = self._labels()
        rows = self._side_counts()
        self._tell_shortages(rows)
        target = self._settings.target
        return ValidationReport(
            technique=target.technique,
            technique_from=target.technique_from,
            model_id=target.model_id,
            files=tuple(_statistics(file, summary) for file, summary in self._files),
            bytes=sum(summary.read for _, summary in self._files),
            training_rows=rows[FileRole.TRAINING],
            validation_rows=rows[FileRole.VALIDATION],
            held_out_rows=rows[FileRole.HELD_OUT],
            held_out_source="split" if self._settings.split else "file",
            faulty_rows=sum(summary.faulty_rows for _, summary in self._files),
            findings=self._kept(),
            counts={code: self._counts[code] for code in MEANINGS if self._counts[code]},
            tokens=self._tokens(rows[FileRole.TRAINING]),
            lengths=tokens.token_bins(self._histogram, self._settings.calibration.tokens_of),
            labels=labels,
            duplicates=Duplicates(
                compared=compared,
                exact=exact if compared else None,
                near=near,
                leaked=leaked if compared else None,
                near_leaked=near_leaked,
            ),
            expected_steps=tokens.expected_steps(self._learnt(rows), target.epochs, target.batch_size),
            not_checked=tuple(self._not_checked),
            limits=self._limits,
        )

    # ------------------------------------------------------------------ files, rows

    def _tell_files(self) -> None:
        """Take over what the scans found, the first thousand faulty rows in full."""
        left = self._limits.findings
        for file, summary in self._files:
            kept, left = summary.faulty[:left], left - len(summary.faulty[:left])
            self._counts.update(summary.fault_counts)
            self._counts.subtract(row.code for row in kept)
            for row in kept:
                for place in row.places:
                    self._tell(place.flaw, file, place.line, place.offset)
            for code, number in summary.remark_counts.items():
                for place in summary.remarks[code]:
                    self._tell(place.flaw, file, place.line, place.offset, counted=False)
                self._counts[code] += number
            if summary.ended_by:
                self._tell(summary.ended_by, file, summary.ended_on, summary.ended_at)
            elif not summary.faulty_rows and not any(summary.rows.values()):
                self._tell(Flaw("data.empty-file", "The file holds no row."), file)

    def _tell(
        self,
        flaw: Flaw,
        file: DataFile | None = None,
        line: int | None = None,
        offset: int | None = None,
        *,
        counted: bool = True,
    ) -> None:
        """Note a finding; `line` counts from 0."""
        found = finding(flaw, file.name if file else "", None if line is None else line + 1, offset)
        if found.severity is Severity.ERROR:
            self._errors.append(found)
        else:
            self._warnings.setdefault(flaw.code, []).append(found)
        if counted:
            self._counts[flaw.code] += 1

    def _kept(self) -> tuple[Finding, ...]:
        """Return the findings that the report keeps, errors first."""
        each = self._limits.findings_per_warning
        warnings = (kept for code in MEANINGS for kept in self._warnings.get(code, ())[:each])
        return (*self._errors, *warnings)[: self._limits.findings]

    def _tell_split(self) -> None:
        """Say that fewer rows are set apart than were asked for."""
        split = self._settings.split
        if split and split.asked:
            self._not_checked.append(
                f"Rows to measure with beyond {split.ratio:.3%} of the training rows: the {split.asked:.1%} asked for "
                "are more than an evaluation reads."
            )

    def _side_counts(self) -> dict[FileRole, int]:
        return {role: sum(summary.rows.get(role, 0) for _, summary in self._files) for role in ROLES}

    def _learnt(self, rows: Mapping[FileRole, int]) -> int:
        """Count the rows that are trained on: without a file to validate with, the script takes some away."""
        ratio = self._settings.target.validation_split_ratio
        if ratio is None or any(file.role is FileRole.VALIDATION for file, _ in self._files):
            return rows[FileRole.TRAINING]
        return rows[FileRole.TRAINING] - math.ceil(rows[FileRole.TRAINING] * ratio)

    def _tell_shortages(self, rows: Mapping[FileRole, int]) -> None:
        training, held_out = rows[FileRole.TRAINING], rows[FileRole.HELD_OUT]
        technique = self._settings.target.technique
        text = technique is Technique.DOMAIN_ADAPTATION
        least = 1 if text else self._limits.training_rows
        # Of a file that could not be read nobody knows how many rows it has: what ended the reading says enough.
        unread = any(summary.ended_by for file, summary in self._files if file.role is FileRole.TRAINING)
        if training < least and (training or not unread):
            apart = f", beside {held_out:,} set apart to measure with" if held_out and self._settings.split else ""
            needed = f"at least {least} {'is' if least == 1 else 'are'} needed"
            message = f"{_count(training, 'good row')} to train on{apart}; {needed}."
            self._tell(Flaw("data.too-few-rows", message))
        elif least <= training < self._limits.few_rows and not text:
            self._tell(Flaw("data.few-rows", f"{_count(training, 'row')} to train on."))
        if not held_out and training and self._settings.split:
            message = f"No row could be set apart to measure the model with, of {_count(training, 'row')} to train on."
            self._tell(Flaw("data.nothing-held-out", message, fix=_HELD_OUT_FIXES.get(technique, "")))
        elif 0 < held_out < self._limits.few_held_out_rows and not text:
            fix = _MORE_PICTURES if technique is Technique.VISUAL_QA else ""
            self._tell(Flaw("data.few-held-out-rows", f"{_count(held_out, 'row')} to measure with.", fix=fix))

    def _forget_optional_fields(self) -> None:
        """Take no offence at what very many rows leave empty: it is meant."""
        rows = sum(sum(summary.rows.values()) for _, summary in self._files)
        if self._counts["data.empty-field"] > self._limits.empty_fields * rows:
            self._warnings.pop("data.empty-field", None)
            self._counts.pop("data.empty-field")

    def _tell_images(self, file: DataFile) -> None:
        """Tell of pictures that no row mentions."""
        if self._settings.target.technique is not Technique.VISUAL_QA:
            return
        mentioned = {digest for scanned, summary in self._files if scanned == file for digest in summary.images}
        spare = sorted(each.name for each in self._source.images(file) if image_digest(each) not in mentioned)
        for name in spare[: self._limits.findings_per_warning]:
            flaw = Flaw("data.image-unreferenced", "No row mentions the picture.", excerpt=excerpt(name))
            self._tell(flaw, file, counted=False)
        self._counts["data.image-unreferenced"] += len(spare)

    # ------------------------------------------------------------------ lengths, labels

    @cached_property
    def _histogram(self) -> NDArray[np.int64]:
        total: NDArray[np.int64] = np.array([summary.lengths for _, summary in self._files], np.int64).sum(axis=0)
        return total

    def _tokens(self, rows: int) -> Tokens | None:
        if not rows:
            return None
        calibration, summaries = self._settings.calibration, [summary for _, summary in self._files]
        text_bytes = sum(summary.training_bytes for summary in summaries) - rows * calibration.skeleton_bytes
        total = rows * calibration.constant_tokens + max(0, text_bytes) / calibration.bytes_per_token
        longest = max(summary.longest for summary in summaries)
        # A quantile is interpolated within a bin, which may reach beyond the longest row.
        median, p95 = (min(longest, tokens.quantile(self._histogram, share)) for share in (0.5, 0.95))
        return Tokens(
            basis=calibration.basis,
            tokenizer=calibration.tokenizer,
            bytes_per_token=calibration.bytes_per_token,
            total=round(total),
            mean=total / rows,
            median=round(calibration.tokens_of(median)),
            p95=round(calibration.tokens_of(p95)),
            longest=round(calibration.tokens_of(longest)),
            max_input_length=self._settings.target.max_input_length,
            truncated_rows=sum(summary.truncated_rows for summary in summaries),
            tokens_lost=sum(summary.tokens_lost for summary in summaries),
        )

    def _labels(self) -> tuple[LabelCount, ...] | None:
        """Return the answers by number when they are labels, and tell of what is lopsided."""
        labels: Counter[str] = Counter()
        for _, summary in self._files:
            if summary.role is FileRole.TRAINING:
                if summary.labels is None:
                    return None
                labels.update(summary.labels)
        if not labels or len(labels) > self._limits.labels or labels.total() < self._limits.label_repeats * len(labels):
            return None
        # One letter is a good label.
        self._warnings.pop("data.near-empty-answer", None)
        self._counts.pop("data.near-empty-answer", None)
        counted = sorted(labels.items(), key=lambda label: (-label[1], label[0]))
        most, least = counted[0][1], counted[-1][1]
        if len(labels) == 1:
            self._tell(Flaw("data.one-label", f"All {most:,} rows have the same answer."))
        elif most >= self._limits.imbalance * least:
            message = f"The most frequent answer stands {most:,} times, the rarest {least:,}."
            self._tell(Flaw("data.imbalance", message))
        return tuple(LabelCount(label=label, rows=number) for label, number in counted)

    # ------------------------------------------------------------------ equal and similar rows

    def _copies(self) -> tuple[int, int, int]:
        """Tell of equal rows; returns how many were compared, stand twice on one side, and stand on both."""
        compared = exact = leaked = measured = 0
        copied: list[tuple[int, int]] = []
        shared: list[tuple[int, int]] = []
        kept = self._limits.findings_per_warning
        for index, digests, apart in self._rows.shards():
            compared += int(np.count_nonzero(digests))
            evaluated = np.flatnonzero(apart)
            asked = digests[evaluated]
            measured += int(np.count_nonzero(asked))
            digests[evaluated] = 0
            for rows, firsts in (_at(None, *duplicates.copies(digests)), _at(evaluated, *duplicates.copies(asked))):
                exact += len(rows)
                copied += _first(kept, index, rows, firsts)
                self._rows.forget(index, rows)
            rows, firsts = duplicates.shared(asked, digests)
            leaked += len(rows)
            shared += _first(kept, index, evaluated[rows], firsts)
            self._rows.forget(index, evaluated[rows])
        self._tell_pairs("data.duplicate", "The row equals {}.", copied, exact)
        self._tell_pairs("data.leakage", "The row equals {}, which is trained on.", shared, leaked)
        # One row is left on each side, and it is the same: a copy of a row that is trained on may be a copy among those
        # to measure with, too.
        if compared > 1 and exact == compared - (2 if measured else 1) and leaked == measured:
            self._tell(Flaw("data.all-equal", f"All {compared:,} rows that were compared are the same row."))
        good = sum(sum(summary.rows.values()) for _, summary in self._files)
        if compared < good:
            self._not_checked.append(
                f"Whether {_count(good - compared, 'line')} of {good:,} stand twice: lines of fewer than "
                f"{self._limits.compared_line_bytes} bytes, such as headings, repeat by nature."
            )
        return compared, exact, leaked

    def _near_copies(self) -> tuple[int | None, int | None]:
        """Tell of similar rows; None twice when they were not looked for."""
        if not self._settings.near_duplicates:
            self._not_checked.append("Rows that are nearly the same: the search was switched off.")
            return None, None
        if self._rows.total > self._limits.near_duplicate_rows:
            limit = self._limits.near_duplicate_rows
            self._not_checked.append(f"Rows that are nearly the same: they are looked for among up to {limit:,} rows.")
            return None, None
        bands, apart = self._rows.bands()
        limit = self._limits.near_duplicate_pairs
        found = near_duplicates.candidates(bands, apart, limit=limit)
        near, leaks = ([*zip(rows.tolist(), twins.tolist(), strict=True)] for rows, twins in found)
        if max(len(near), len(leaks)) >= limit:
            self._not_checked.append(f"Some rows that are nearly the same: {limit:,} pairs at most are compared.")
        alike = self._verified([*leaks, *near])
        copied, shared = (_one_each(pair for pair in pairs if pair in alike) for pairs in (near, leaks))
        self._tell_pairs("data.near-duplicate", "The row is nearly the same as {}.", copied, len(copied))
        self._tell_pairs(
            "data.near-leakage", "The row is nearly the same as {}, which is trained on.", shared, len(shared)
        )
        return len(copied), len(shared)

    def _verified(self, pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
        """Read the candidates again, and keep the pairs whose text is alike."""
        located = self._rows.locate({row for pair in pairs for row in pair})
        held = self._holdable(pairs, located)
        texts = self._rows.texts({row: located[row] for pair in held for row in pair}, self._source)
        least = self._limits.near_duplicate_similarity
        # One row after the other, so that its strings are found once.
        return {pair for pair in sorted(held) if near_duplicates.similarity(texts[pair[0]], texts[pair[1]]) >= least}

    def _holdable(self, pairs: Sequence[tuple[int, int]], located: Mapping[int, _Row]) -> Sequence[tuple[int, int]]:
        """Return the first pairs, as many as may be held in memory together."""
        sizes = {row: found.size for row, found in located.items()}
        left = limit = self._limits.near_duplicate_bytes
        for number, pair in enumerate(pairs):
            left -= sum(sizes.pop(row, 0) for row in pair)
            if left < 0:
                self._not_checked.append(
                    f"Some rows that are nearly the same: {limit:,} bytes of similar rows are compared at most."
                )
                return pairs[:number]
        return pairs

    def _tell_pairs(self, code: str, message: str, pairs: Sequence[tuple[int, int]], number: int) -> None:
        told = sorted(pairs)[: self._limits.findings_per_warning]
        located = self._rows.locate({row for pair in told for row in pair})
        for row, twin in told:
            at, first = located[row], located[twin]
            flaw = Flaw(code, message.format(f"line {first.line + 1:,} of {first.file.name}"))
            self._tell(flaw, at.file, at.line, at.offset, counted=False)
        self._counts[code] += number


class _Rows:
    """Number the records of all files through, and find them again."""

    def __init__(self, scanned: Sequence[ScannedFile], settings: ScanSettings) -> None:
        self._settings = settings
        self._ranges: list[_Range] = []
        record = 0
        for file, partials in scanned:
            line = 0
            for first_byte, summary, columns in partials:
                records = summary.lines if columns.places() is None else len(columns.sizes())
                self._ranges.append(_Range(file, record, line, first_byte, records, columns))
                record += records
                line += summary.lines
        self.total = record
        self._starts = [each.first_record for each in self._ranges]
        self._copies: list[NDArray[np.int64]] = []
        self._located = lru_cache(_LOCATED_RANGES)(self._placed)
        self._at_once = min((each.columns.rows_at_once for each in self._ranges), default=1)

    def shards(self) -> Iterator[tuple[NDArray[np.int64] | None, NDArray[np.uint64], NDArray[np.bool_]]]:
        """Yield the digests of all rows in parts, equal ones in the same part, and which of them are measured with.

        The first array numbers the rows; None where the part is all of them.
        """
        if self.total <= self._at_once:
            columns = [each.columns.digests() for each in self._ranges]
            yield None, *self._joined(self._ranges, columns)
            return
        shards = min(SHARDS, 1 << (-(-self.total // self._at_once) - 1).bit_length())
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            for shard in range(shards):
                parts = list(pool.map(partial(_numbered, shard=shard, shards=shards), self._ranges))
                index = np.concatenate([records for records, _ in parts])
                yield index, *self._joined(self._ranges, [digests for _, digests in parts])

    def _joined(
        self, ranges: Sequence[_Range], columns: Sequence[NDArray[np.uint64]]
    ) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
        apart = [self._apart(each, digests) for each, digests in zip(ranges, columns, strict=True)]
        return (
            np.concatenate((*columns, np.zeros(0, np.uint64))),
            np.concatenate((*apart, np.zeros(0, np.bool_))),
        )

    def forget(self, index: NDArray[np.int64] | None, rows: NDArray[np.int64]) -> None:
        """Leave rows of a part out of the search for similar ones: they were found to be equal to others."""
        self._copies.append(rows if index is None else index[rows])

    def bands(self) -> tuple[NDArray[np.uint32], NDArray[np.bool_]]:
        """Return the sketches of all rows but the forgotten ones, and which rows are measured with."""
        columns = [each.columns.bands() for each in self._ranges]
        # They are the largest that is kept of rows, and nobody asks for them again.
        bands = columns[0] if len(columns) == 1 else np.concatenate((*columns, np.zeros((0, BANDS), np.uint32)))
        for rows in self._copies:
            bands[rows] = 0
        apart = [self._apart(each, each.columns.digests()) for each in self._ranges]
        return bands, np.concatenate((*apart, np.zeros(0, np.bool_)))

    def locate(self, rows: Collection[int]) -> dict[int, _Row]:
        """Find rows in their files; they come back in ascending order."""
        wanted = np.array(sorted(rows), np.int64)
        found: dict[int, _Row] = {}
        numbers = np.searchsorted(self._starts, wanted, side="right") - 1
        for number in np.unique(numbers).tolist():
            each, mine = self._ranges[number], wanted[numbers == number]
            placed = self._places(number, mine - each.first_record)
            found.update(
                (row, _Row(each.file, line, offset, size))
                for row, line, offset, size in zip(mine.tolist(), *(column.tolist() for column in placed), strict=True)
            )
        return found

    def _places(self, number: int, at: Indices) -> tuple[Indices, Indices, NDArray[np.uint32]]:
        """Return lines, offsets and sizes of records of a range, which are given in ascending order."""
        each = self._ranges[number]
        places = each.columns.places()
        if places:
            return places[0][at].astype(np.int64), places[1][at].astype(np.int64), each.columns.sizes()[at]
        sizes, begins = self._located(number)
        offsets = begins[at // _LOCATED_TOGETHER]
        for start in range(0, len(sizes), _STEP):
            here = slice(*np.searchsorted(at, (start, start + _STEP)))
            if here.start < here.stop:
                offsets[here] += _before(sizes[start : start + _STEP], at[here] - start)
        return each.first_line + at, each.first_byte + offsets.astype(np.int64), sizes[at]

    def texts(self, rows: Mapping[int, _Row], source: Source) -> dict[int, bytes]:
        """Read rows again."""
        wanted: dict[DataFile, list[int]] = {}
        for row in sorted(rows):
            wanted.setdefault(rows[row].file, []).append(row)
        texts: dict[int, bytes] = {}
        for file, numbers in wanted.items():
            stream = _Stream(source, file, self._settings.limits)
            for row in numbers:
                texts[row] = stream.read(rows[row].offset, rows[row].size)
        return texts

    def _apart(self, each: _Range, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Tell which rows of a range are measured with, or validated with, rather than trained on."""
        split = self._settings.split
        if each.file.role is not FileRole.TRAINING:
            return np.ones(len(digests), np.bool_)
        is_text = self._settings.target.technique is Technique.DOMAIN_ADAPTATION
        by_place = is_text and not each.columns.places() and not each.file.compressed
        if split is None or by_place:
            return np.zeros(len(digests), np.bool_)
        parts = (split.holds_out(digests[start : start + _STEP]) for start in range(0, len(digests), _STEP))
        return np.concatenate((*parts, np.zeros(0, np.bool_)))

    def _placed(self, number: int) -> tuple[NDArray[np.uint32], NDArray[np.uint64]]:
        """Return the sizes of a range's lines, and where one line in so many begins."""
        sizes = self._ranges[number].columns.sizes()
        parts = (sizes[start : start + _STEP] for start in range(0, len(sizes), _STEP))
        together = np.concatenate([*map(_sums, parts), np.zeros(0, np.uint64)])
        return sizes, np.cumsum(together) - together


def _sums(sizes: NDArray[np.uint32]) -> NDArray[np.uint64]:
    return np.add.reduceat(sizes, np.arange(0, len(sizes), _LOCATED_TOGETHER), dtype=np.uint64)


def _before(sizes: NDArray[np.uint32], at: Indices) -> NDArray[np.uint64]:
    """Add up, for each of these lines, those before it of the ones that are located together."""
    first = at // _LOCATED_TOGETHER * _LOCATED_TOGETHER
    before: NDArray[np.uint64] = np.add.reduceat(sizes, np.column_stack((first, at)).ravel(), dtype=np.uint64)[::2]
    before[at == first] = 0  # where one is the first, the sum of none is asked for
    return before


class _Stream:
    """Read pieces of a file in ascending order: near ones in one request, far ones each by its own."""

    def __init__(self, source: Source, file: DataFile, limits: Limits) -> None:
        self._source = source
        self._file = file
        self._chunks = inflate(source.blocks(file), limits) if file.compressed else None
        self._position = 0
        self._held = b""

    def read(self, offset: int, size: int) -> bytes:
        """Return a piece; offsets never go back."""
        far = not self._file.compressed and offset > self._position + len(self._held) + _NEAR_BYTES
        if self._chunks is None or far:
            self._chunks, self._position, self._held = self._source.blocks(self._file, offset), offset, b""
        while self._position + len(self._held) < offset + size:
            passed = min(len(self._held), offset - self._position)
            self._position, self._held = self._position + passed, self._held[passed:]
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        begin = offset - self._position
        return self._held[begin : begin + size]


def image_digest(image: Image) -> int:
    """Digest a picture's name, as a scan notes which pictures rows mention."""
    return xxhash.xxh3_64_intdigest(image.name.encode(errors="surrogatepass"))


def _numbered(each: _Range, shard: int, shards: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return the records of a range that fall into a part, numbered through, and their digests."""
    records, digests = each.columns.shard(shard, shards)
    return records + each.first_record, digests


def _joined(scanned: ScannedFile, limits: Limits) -> Summary:
    """Add up a file's ranges."""
    first, *rest = (partial.summary for partial in scanned.partials)
    joined = msgspec.convert(msgspec.to_builtins(first), Summary) if rest else first
    for each in rest:
        joined.append(each, limits)
    return joined


def _statistics(file: DataFile, summary: Summary) -> FileStatistics:
    return FileStatistics(
        name=file.name,
        role=file.role,
        bytes=file.bytes,
        rows=sum(summary.rows.values()),
        faulty_rows=summary.faulty_rows,
        blank_lines=summary.blank_lines,
    )


def _at(
    index: NDArray[np.int64] | None, rows: NDArray[np.int64], firsts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number rows of a part by their place in the whole."""
    return (rows, firsts) if index is None else (index[rows], index[firsts])


def _first(
    number: int, index: NDArray[np.int64] | None, rows: NDArray[np.int64], twins: NDArray[np.int64]
) -> Iterator[tuple[int, int]]:
    """Return the first pairs."""
    rows, twins = _at(index, rows[:number], twins[:number])
    return zip(rows.tolist(), twins.tolist(), strict=True)


def _one_each(pairs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep one twin of each row: the earliest."""
    twins: dict[int, int] = {}
    for row, twin in pairs:
        twins[row] = min(twin, twins.get(row, twin))
    return sorted(twins.items())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
