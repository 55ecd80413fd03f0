"""Where the bytes of a dataset come from: a folder here, S3 in the functions; the validator does not care."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol

from tunedrop.domain.model import Record
from tunedrop.domain.plan import FileRole

BLOCK_BYTES = 1 << 20
"""Bytes of one read."""


class DataFile(Record):
    """Name one data file of a dataset."""

    name: str
    """The path under the dataset's folder."""
    role: FileRole
    bytes: int

    @property
    def extension(self) -> str:
        """Return the extension of the content, such as `.jsonl`; that of gzip is left out."""
        return PurePosixPath(self.name.removesuffix(".gz")).suffix

    @property
    def compressed(self) -> bool:
        """Tell whether the file is gzip; its content is inflated while it is read."""
        return self.name.endswith(".gz")


class FileRange(NamedTuple):
    """Name the records of a file whose first byte lies from `start` up to `end`; None for the file's end.

    Files that cannot be cut have one range: 0 up to None.
    """

    file: DataFile
    start: int
    end: int | None


class Image(Record):
    """Name one picture of a dataset."""

    name: str
    """The path under the folder of the `metadata.jsonl` that may mention it, such as `images/0001.png`."""
    bytes: int


class Source(Protocol):
    """Read the files of one dataset, each time the same bytes; raises SourceChangedError when it cannot."""

    def blocks(self, file: DataFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the stored bytes from `start` up to `end` (exclusive; None for the file's end)."""

    def images(self, file: DataFile) -> Sequence[Image]:
        """List the pictures that lie beside (and below the folder of) a `metadata.jsonl`."""

    def image(self, file: DataFile, image: Image) -> bytes:
        """Read one of them whole."""
