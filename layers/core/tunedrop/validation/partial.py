"""What one range of one file came to: counts that add, first findings, and columns of a few bytes a row."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunedrop.domain.plan import FileRole
from tunedrop.validation.findings import Flaw
from tunedrop.validation.limits import Limits

SHARDS = 16
"""The most parts that digests are compared in, one after the other."""

_SHARD_SHIFT = np.uint64(60)

_STEP = 1 << 16
"""Digests that are looked at together: temporary arrays stay small beside the columns."""


def shard_of(digests: NDArray[np.uint64], number: int, shards: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Return which digests fall into one of `shards` equal parts, and those; 0 falls into none."""
    found = [np.zeros(0, np.int64)]
    for start in range(0, len(digests), _STEP):
        part = digests[start : start + _STEP]
        mine = (part >> _SHARD_SHIFT) // np.uint64(SHARDS // shards) == number
        found.append(np.flatnonzero(mine & (part != 0)) + start)
    numbers = np.concatenate(found)
    return numbers, digests[numbers]


class Columns(Protocol):
    """Read the columns of one range, from memory or from where another process left them."""

    @property
    def rows_at_once(self) -> int:
        """Return of how many rows digests are compared at once; of more, a part after the other, told apart by them."""

    def digests(self) -> NDArray[np.uint64]:
        """Return a digest for each record of the range; 0 where the record is not good."""

    def shard(self, number: int, shards: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the good records whose digests fall into one of `shards` equal parts, and those digests.

        `shards` is a power of two, SHARDS at most.
        """

    def sizes(self) -> NDArray[np.uint32]:
        """Return the bytes of each record; those of a file of lines lie one behind the other."""

    def bands(self) -> NDArray[np.uint32]:
        """Return the sketch of each record, records x BANDS; zeros where there is none, empty if none was made."""

    def places(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
        """Return line (from 0) and offset of each record; None where records are lines."""


@dataclass(frozen=True)
class ColumnsInMemory:
    """Hold the columns of one range."""

    rows_at_once: ClassVar[int] = 1 << 16
    """Parts cost little here, and leave little to sort beside the columns."""

    digest_column: NDArray[np.uint64]
    size_column: NDArray[np.uint32]
    band_column: NDArray[np.uint32]
    place_columns: tuple[NDArray[np.uint64], NDArray[np.uint64]] | None = None

    def digests(self) -> NDArray[np.uint64]:
        """Return the digests."""
        return self.digest_column

    def shard(self, number: int, shards: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the good records of a part, and their digests."""
        return shard_of(self.digest_column, number, shards)

    def sizes(self) -> NDArray[np.uint32]:
        """Return the records' bytes."""
        return self.size_column

    def bands(self) -> NDArray[np.uint32]:
        """Return the sketches."""
        return self.band_column

    def places(self) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
        """Return lines and offsets, of records that are no lines."""
        return self.place_columns


class Place(msgspec.Struct, frozen=True):
    """Say where a flaw is."""

    line: int
    """From 0, counted from the range's first line; joined ranges count on."""
    offset: int
    """Bytes from the start of the file to the start of the line."""
    flaw: Flaw


class FaultyRow(msgspec.Struct, frozen=True):
    """Hold all that is wrong with one row."""

    code: str
    """The one under which the row counts where only rows are counted."""
    places: tuple[Place, ...]


class Summary(msgspec.Struct):
    """Add up one range, or several that follow each other in one file."""

    name: str
    role: FileRole
    read: int = 0
    """Bytes, inflated."""
    lines: int = 0
    blank_lines: int = 0
    rows: dict[FileRole, int] = {}
    """Good rows, by the side that they are on: training rows may be held out."""
    faulty_rows: int = 0
    faulty: list[FaultyRow] = []
    """The first faulty rows, in the order of lines."""
    fault_counts: dict[str, int] = {}
    """All faulty rows, by their one code."""
    remark_counts: dict[str, int] = {}
    """All warnings, by code."""
    remarks: dict[str, list[Place]] = {}
    """The first warnings of each code."""
    ended_by: Flaw | None = None
    """What ended the reading before the file's end."""
    ended_at: int = 0
    ended_on: int | None = None
    """The line, from 0, that is at fault; None where no line is."""
    training_bytes: int = 0
    """Bytes of the good rows to train on."""
    longest: int = 0
    """Bytes of the longest of them."""
    lengths: list[int] = []
    """Their histogram, in the bins of `tokens.bin_edges`."""
    labels: dict[str, int] | None = {}
    """Answers of the rows to train on, by number; None once they cannot be labels."""
    truncated_rows: int = 0
    tokens_lost: int = 0
    images: list[int] = []
    """Digests of the names of the pictures that rows mention, sorted."""

    def append(self, other: "Summary", limits: Limits) -> None:
        """Add the range that follows in the file."""
        shifted = (FaultyRow(row.code, tuple(_shifted(row.places, self.lines))) for row in other.faulty)
        self.faulty = [*self.faulty, *shifted][: limits.findings]
        for code, places in other.remarks.items():
            kept = [*self.remarks.get(code, ()), *_shifted(places, self.lines)]
            self.remarks[code] = kept[: limits.findings_per_warning]
        self.rows = _added(self.rows, other.rows)
        self.fault_counts = _added(self.fault_counts, other.fault_counts)
        self.remark_counts = _added(self.remark_counts, other.remark_counts)
        self.labels = _labels(self.labels, other.labels, limits)
        self.lengths = [a + b for a, b in zip(self.lengths, other.lengths, strict=True)]
        self.longest = max(self.longest, other.longest)
        self.images = sorted({*self.images, *other.images})
        self.ended_by, self.ended_at = other.ended_by, other.ended_at
        self.ended_on = None if other.ended_on is None else other.ended_on + self.lines
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def to_bytes(self) -> bytes:
        """Write the summary for another process."""
        return msgspec.msgpack.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read a summary that `to_bytes` wrote."""
        return msgspec.msgpack.decode(data, type=cls)


_SUMS = (
    "read",
    "lines",
    "blank_lines",
    "faulty_rows",
    "training_bytes",
    "truncated_rows",
    "tokens_lost",
)


def _shifted(places: Sequence[Place], lines: int) -> list[Place]:
    return [Place(place.line + lines, place.offset, place.flaw) for place in places]


def _added(a: dict[Any, int], b: dict[Any, int]) -> dict[Any, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in (*a, *(key for key in b if key not in a))}


def _labels(a: dict[str, int] | None, b: dict[str, int] | None, limits: Limits) -> dict[str, int] | None:
    if a is None or b is None:
        return None
    labels = _added(a, b)
    return labels if len(labels) <= limits.labels else None


class Partial(NamedTuple):
    """Hold what one range of one file came to."""

    first_byte: int
    """Of the range's first line, in the file; 0 for a range without a line."""
    summary: Summary
    columns: Columns
