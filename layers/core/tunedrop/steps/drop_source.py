"""A drop as the validator reads it: the pinned versions of its files, and its pictures."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property

from tunedrop.domain.drop_files import images_of, names_in, pin_images
from tunedrop.domain.plan import FileRole, ImageSet, PinnedFile, PinnedObject
from tunedrop.errors import SourceChangedError
from tunedrop.ports import Drops
from tunedrop.validation.sources import DataFile, Image

READS_AT_ONCE = 16
"""Pictures that are read at a time."""

READ_AHEAD_BYTES = 8 << 20
"""Larger ones are read when they are asked for: sixteen of these fit into memory easily."""


class DropSource:
    """Read one drop; the pictures are pinned together, so that they are listed again and compared."""

    def __init__(
        self, drops: Drops, dataset: str, files: Sequence[PinnedFile], images: Sequence[ImageSet] = ()
    ) -> None:
        """Read the pinned files of a dataset."""
        self._drops = drops
        self._dataset = dataset
        self._files = {file.name: file for file in files}
        self._pinned = images
        self._ahead: dict[str, _ReadAhead] = {}

    def blocks(self, file: DataFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the stored bytes from `start` up to `end`; raises SourceChangedError when the version is gone."""
        return self._drops.blocks(self._files[file.name], start, end)

    def images(self, file: DataFile) -> Sequence[Image]:
        """List the pictures of a `metadata.jsonl`; raises SourceChangedError when one was changed since the plan."""
        return [Image(name=name, bytes=each.size) for name, each in self.pictures(file.name).items()]

    def image(self, file: DataFile, image: Image) -> bytes:
        """Read a picture whole."""
        if file.name not in self._ahead:
            self._ahead[file.name] = _ReadAhead(self._drops, self.pictures(file.name))
        return self._ahead[file.name].read(image.name)

    def pictures(self, metadata: str) -> Mapping[str, PinnedObject]:
        """Return the pictures of a `metadata.jsonl` as they lie in the bucket, by their path from its folder."""
        return self._pictures[metadata]

    @cached_property
    def _pictures(self) -> Mapping[str, Mapping[str, PinnedObject]]:
        found = names_in(f"datasets/{self._dataset}/", self._drops.files(self._dataset))
        listed = images_of([each.metadata for each in self._pinned], found)
        for pinned in self._pinned:
            if pin_images(pinned.metadata, listed[pinned.metadata]) != pinned:
                raise SourceChangedError(f"The pictures of {pinned.metadata}")
        return listed


class _ReadAhead:
    """Read pictures, and the next ones meanwhile as long as they are asked for in the order of their names.

    One after the other, as many pictures as a drop may have would take most of the time that a function may run.
    """

    def __init__(self, drops: Drops, pictures: Mapping[str, PinnedObject]) -> None:
        self._drops = drops
        self._pictures = list(pictures.values())
        self._places = {name: place for place, name in enumerate(pictures)}
        self._last = -1
        self._reading: dict[int, Future[bytes]] = {}
        self._pool = ThreadPoolExecutor(READS_AT_ONCE)

    def read(self, name: str) -> bytes:
        """Return a picture's bytes."""
        place = self._places[name]
        if place == self._last + 1:
            for following in range(place, min(place + READS_AT_ONCE, len(self._pictures))):
                if following not in self._reading and self._pictures[following].size <= READ_AHEAD_BYTES:
                    self._reading[following] = self._pool.submit(self._read, following)
        self._last = place
        reading = self._reading.pop(place, None)
        for passed in [each for each in self._reading if each < place]:
            del self._reading[passed]
        return reading.result() if reading else self._read(place)

    def _read(self, place: int) -> bytes:
        picture = self._pictures[place]
        return self._drops.read(picture.key, picture.version_id, picture.size)


def data_files(files: Sequence[PinnedFile]) -> list[DataFile]:
    """Return the files that hold rows."""
    return [
        DataFile(name=each.name, role=each.role, bytes=each.size)
        for each in files
        if each.role is not FileRole.TEMPLATE
    ]
