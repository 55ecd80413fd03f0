"""A drop as the validator reads it: the pinned versions of its files, and its pictures."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

from tunedrop.domain.drop_files import images_of, names_in, pin_images
from tunedrop.domain.plan import FileRole, ImageSet, PinnedFile, PinnedObject
from tunedrop.errors import SourceChangedError
from tunedrop.ports import Drops
from tunedrop.validation.sources import DataFile, Image


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

    def blocks(self, file: DataFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the stored bytes from `start` up to `end`; raises SourceChangedError when the version is gone."""
        return self._drops.blocks(self._files[file.name], start, end)

    def images(self, file: DataFile) -> Sequence[Image]:
        """List the pictures of a `metadata.jsonl`; raises SourceChangedError when one was changed since the plan."""
        return [Image(name=name, bytes=each.size) for name, each in self.pictures(file.name).items()]

    def image(self, file: DataFile, image: Image) -> bytes:
        """Read a picture whole."""
        listed = self.pictures(file.name)[image.name]
        return self._drops.read(listed.key, listed.version_id, image.bytes)

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


def data_files(files: Sequence[PinnedFile]) -> list[DataFile]:
    """Return the files that hold rows."""
    return [
        DataFile(name=each.name, role=each.role, bytes=each.size)
        for each in files
        if each.role is not FileRole.TEMPLATE
    ]
