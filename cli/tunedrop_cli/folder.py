"""A dataset's folder on this machine: what lies in it, what it is for, and its bytes for the validator."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import FileIO
from os import fstat
from pathlib import Path

from tunedrop.domain.drop_files import DropFiles, assign_roles, images_of
from tunedrop.domain.plan import PinnedObject, Technique
from tunedrop.domain.problem import excerpt
from tunedrop.domain.technique import HEAD_BYTES, seen_technique
from tunedrop.errors import SourceChangedError
from tunedrop.validation.sources import BLOCK_BYTES, DataFile, Image
from tunedrop_cli.errors import CommandError
from tunedrop_cli.upload import TUNE_FILE, data_files, refuse_lost_links


@dataclass(frozen=True)
class Folder:
    """List what a drop of a folder would upload."""

    root: Path
    objects: Mapping[str, PinnedObject]
    """By the path under the folder."""

    @classmethod
    def open(cls, root: Path) -> "Folder":
        """Look at every file once; raises CommandError for one that lies elsewhere, or that no drop could hold."""
        home = root.resolve()
        objects = {}
        files = data_files(root)
        refuse_lost_links(root)
        for name, path in ({TUNE_FILE: root / TUNE_FILE} | files).items():
            if not path.resolve().is_relative_to(home):
                raise CommandError(
                    f"{excerpt(name)} is a link to a file outside of the folder.",
                    "Put the file itself there: nothing but the folder is read.",
                )
            try:
                name.encode()
            except UnicodeEncodeError:
                raise CommandError(
                    f"The name {excerpt(name)} is not UTF-8.", "Rename the file: no object on S3 can be called so."
                ) from None
            if name in files:
                objects[name] = PinnedObject(key=name, version_id="", etag="", size=path.stat().st_size)
        return cls(home, objects)

    def technique(self, asked: Technique | None) -> Technique | None:
        """Tell what the files look like, as a drop's plan does; None when nothing tells."""
        return seen_technique(asked, self.objects, lambda name: self.head(name, HEAD_BYTES))

    def files(self, technique: Technique) -> DropFiles:
        """Give every file its role, as a drop's plan does."""
        return assign_roles("", tuple(self.objects.values()), technique)

    def head(self, name: str, limit: int) -> bytes:
        """Read the beginning of a file."""
        with (self.root / name).open("rb") as file:
            return file.read(limit)


@dataclass(frozen=True)
class FolderSource:
    """Read a folder's files for the validator, in this process or in another."""

    root: Path
    pictures: Mapping[str, tuple[Image, ...]] = field(default_factory=dict)
    """By the `metadata.jsonl` that they belong to."""

    @classmethod
    def of(cls, folder: Folder, files: Sequence[DataFile], technique: Technique) -> "FolderSource":
        """Find the pictures of every file."""
        if technique is not Technique.VISUAL_QA:
            return cls(folder.root)
        found = images_of([each.name for each in files], folder.objects)
        return cls(
            folder.root,
            {
                metadata: tuple(Image(name=name, bytes=each.size) for name, each in pictures.items())
                for metadata, pictures in found.items()
            },
        )

    def blocks(self, file: DataFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `end`; raises SourceChangedError when the file ends before."""
        stop = file.bytes if end is None else min(end, file.bytes)
        with self._opened(self.root / file.name, file.bytes) as opened:
            opened.seek(start)
            while start < stop:
                block = opened.read(min(BLOCK_BYTES, stop - start))
                if not block:
                    raise SourceChangedError(f"{file.name} became shorter while it was read.")
                start += len(block)
                yield block

    def images(self, file: DataFile) -> Sequence[Image]:
        """List the pictures of a `metadata.jsonl`."""
        return self.pictures.get(file.name, ())

    def image(self, file: DataFile, image: Image) -> bytes:
        """Read one of them whole."""
        with self._opened((self.root / file.name).parent / image.name, image.bytes) as opened:
            return opened.readall()

    def _opened(self, path: Path, size: int) -> FileIO:
        try:
            # Unbuffered: blocks are larger than any buffer, and a copy less is a copy less.
            opened = path.open("rb", buffering=0)
        except OSError as error:
            raise SourceChangedError(f"{path.name} cannot be read any more: {error.strerror}.") from error
        if fstat(opened.fileno()).st_size == size:
            return opened
        opened.close()
        raise SourceChangedError(f"{path.name} is not what it was when it was first looked at.")
