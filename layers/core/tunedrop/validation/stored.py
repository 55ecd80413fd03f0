"""What one range came to, as files that another process reads: little-endian columns, each read when it is wanted."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunedrop.validation.near_duplicates import BANDS
from tunedrop.validation.partial import SHARDS, Partial, Summary, shard_of

_OFFSET_BYTES = 8
"""What stands before the summary: the first byte of the range's first line."""

_SHARD_RECORD = 12
"""Bytes of a record in a part: its number in the range, and its digest."""

Read = Callable[[str], bytes]
"""Return the content of one of the files that `stored` names."""


SHARD_ROWS = 1 << 26
"""Rows whose digests are read and compared at once; for more, the digests are stored in parts as well."""


def stored(partial: Partial, *, in_shards: bool) -> dict[str, bytes]:
    """Write a range of lines as files by their names; equal ranges make equal bytes.

    `in_shards` adds the digests once more in parts, which the merge of very many rows asks for.
    """
    columns = partial.columns
    shards = range(SHARDS) if in_shards else ()
    return {
        **{f"shard-{number:02}": _shard(columns.digests(), number) for number in shards},
        "summary": partial.first_byte.to_bytes(_OFFSET_BYTES, "little") + partial.summary.to_bytes(),
        "digests": columns.digests().astype("<u8", copy=False).tobytes(),
        "sizes": columns.sizes().astype("<u4", copy=False).tobytes(),
        "bands": columns.bands().astype("<u4", copy=False).tobytes(),
    }


def _shard(digests: NDArray[np.uint64], number: int) -> bytes:
    """Write which records fall into a part, and their digests: a merge of very many reads one part of each range."""
    chosen, mine = shard_of(digests, number, SHARDS)
    return chosen.astype("<u4").tobytes() + mine.astype("<u8", copy=False).tobytes()


def restored(read: Read) -> Partial:
    """Read a range's summary; its columns follow when they are asked for, each time anew."""
    summary = read("summary")
    first_byte = int.from_bytes(summary[:_OFFSET_BYTES], "little")
    return Partial(first_byte, Summary.from_bytes(summary[_OFFSET_BYTES:]), _StoredColumns(read))


class _StoredColumns:
    """Read the columns of a range of lines from where its scan left them; nothing is kept."""

    rows_at_once = SHARD_ROWS

    def __init__(self, read: Read) -> None:
        self._read = read

    def digests(self) -> NDArray[np.uint64]:
        """Return the digests."""
        return self._column("digests", "<u8").astype(np.uint64, copy=False)

    def shard(self, number: int, shards: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        """Return the good records of a part, and their digests."""
        size = SHARDS // shards
        files = [self._read(f"shard-{each:02}") for each in range(number * size, (number + 1) * size)]
        chosen = [np.frombuffer(content, "<u4", len(content) // _SHARD_RECORD) for content in files]
        digests = [np.frombuffer(content, "<u8", -1, len(content) // _SHARD_RECORD * 4) for content in files]
        return np.concatenate(chosen).astype(np.int64), np.concatenate(digests).astype(np.uint64)

    def sizes(self) -> NDArray[np.uint32]:
        """Return the records' bytes."""
        return self._column("sizes", "<u4").astype(np.uint32, copy=False)

    def bands(self) -> NDArray[np.uint32]:
        """Return the sketches."""
        return self._column("bands", "<u4").astype(np.uint32, copy=False).reshape(-1, BANDS)

    def places(self) -> None:
        """Return nothing: records are lines."""

    def _column(self, name: str, kind: str) -> NDArray[Any]:
        # A view of bytes cannot be written to, and the assessment blanks digests out.
        return np.frombuffer(self._read(name), kind).copy()
