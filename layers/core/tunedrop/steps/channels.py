"""The good rows of a dataset, written where training and evaluation read them: the run's own prefix."""

import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Self

from tunedrop.domain import names
from tunedrop.domain.drop_files import METADATA_FILE
from tunedrop.domain.plan import FileRole, PinnedObject, Technique
from tunedrop.domain.prompt_template import TEMPLATE_FILE, PromptTemplate
from tunedrop.ports import RunFiles
from tunedrop.validation.sources import DataFile

COPIES_AT_ONCE = 16
"""Pictures that S3 copies at a time: 20,000 of them take a minute instead of a quarter of an hour."""

_CHANNELS = {FileRole.TRAINING: "training", FileRole.VALIDATION: "validation"}
_STEMS = {FileRole.TRAINING: "train", FileRole.VALIDATION: "validation"}


class Channels:
    """Take the rows of a scan; the objects appear when the block ends well, each whole."""

    def __init__(self, files: RunFiles, rows: Mapping[FileRole, str], held_out: str) -> None:
        """Write rows to the keys of their roles, and rows to measure with to `held_out`, all in the run's prefix."""
        self._files = files
        self._rows = rows
        self._held_out = held_out
        self._open = ExitStack()
        self._writers: dict[str, Callable[[bytes], None]] = {}

    @classmethod
    def whole(cls, files: RunFiles, run_id: str, technique: Technique, data: Sequence[DataFile]) -> Self:
        """Write one file a channel, as every technique's script reads it."""
        rows: dict[FileRole, str] = {}
        for each in data:
            if each.role is not FileRole.HELD_OUT:
                stem = "metadata" if technique is Technique.VISUAL_QA else _STEMS[each.role]
                extension = each.extension if technique is Technique.DOMAIN_ADAPTATION else ".jsonl"
                rows[each.role] = f"{names.channel_prefix(run_id, _CHANNELS[each.role])}{stem}{extension}"
        channels = cls(files, rows, names.held_out_key(run_id))
        channels._write(names.held_out_key(run_id), b"")  # the evaluation reads it, be it empty
        return channels

    @classmethod
    def part(cls, files: RunFiles, run_id: str, number: int) -> Self:
        """Write what one range of a large dataset adds, and nothing where it adds nothing.

        Files of a channel are read in the order of their names.
        """
        rows = {
            role: f"{names.channel_prefix(run_id, channel)}part-{number:05}.jsonl"
            for role, channel in _CHANNELS.items()
        }
        return cls(files, rows, f"{names.range_prefix(run_id, number)}held-out.jsonl")

    def __enter__(self) -> Self:
        """Begin to write."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Finish every object, or none when the scan failed."""
        self._open.__exit__(*raised)  # type: ignore[arg-type]  # the three that Python hands over

    def rows(self, role: FileRole, lines: bytes) -> None:
        """Take lines that are trained on, or validated with."""
        self._write(self._rows[role], lines)

    def held_out(self, row: Mapping[str, object]) -> None:
        """Take a row that is measured with."""
        self._write(self._held_out, json.dumps(row, ensure_ascii=False).encode() + b"\n")

    def _write(self, key: str, data: bytes) -> None:
        if key not in self._writers:
            self._writers[key] = self._open.enter_context(self._files.writer(key))
        self._writers[key](data)


class Pictures:
    """Take the rows of visual question answering, and note which pictures each side needs."""

    def __init__(self, channels: Channels, run_id: str) -> None:
        """Hand the rows on to the channels."""
        self._channels = channels
        self._run_id = run_id
        self._trained: dict[FileRole, set[str]] = {role: set() for role in _CHANNELS}
        self._measured: set[str] = set()

    def rows(self, role: FileRole, lines: bytes) -> None:
        """Take lines that are trained on, or validated with."""
        self._trained[role].update(json.loads(line)["file_name"] for line in io.BytesIO(lines))
        self._channels.rows(role, lines)

    def held_out(self, row: Mapping[str, object]) -> None:
        """Take a row that is measured with; `image` says where its picture will lie."""
        name = str(row["file_name"])
        self._measured.add(name)
        self._channels.held_out({**row, "image": names.held_out_images_prefix(self._run_id) + name})

    def copies(self, pictures: Mapping[FileRole, Mapping[str, PinnedObject]]) -> Iterator[tuple[PinnedObject, str]]:
        """Yield what is to be copied, and to which key; `pictures` are those of each role's `metadata.jsonl`."""
        for role, channel in _CHANNELS.items():
            prefix = names.channel_prefix(self._run_id, channel)
            yield from ((pictures[role][name], prefix + name) for name in sorted(self._trained[role]))
        # A drop without rows of its own to measure with has some of the training's set apart.
        listed = pictures.get(FileRole.HELD_OUT) or pictures[FileRole.TRAINING]
        prefix = names.held_out_images_prefix(self._run_id)
        yield from ((listed[name], prefix + name) for name in sorted(self._measured))


def copy_pictures(files: RunFiles, bucket: str, copies: Iterator[tuple[PinnedObject, str]]) -> None:
    """Let S3 copy pictures from a bucket; a copy that fails is raised."""
    with ThreadPoolExecutor(COPIES_AT_ONCE) as pool:
        for _ in pool.map(lambda each: files.copy(bucket, each[0], each[1]), copies):
            pass


def write_template(files: RunFiles, run_id: str, template: PromptTemplate) -> None:
    """Write the template that training renders rows with."""
    text = json.dumps({"prompt": template.prompt_text, "completion": template.completion_text})
    files.write(names.channel_prefix(run_id, "training") + TEMPLATE_FILE, text.encode())


def metadata_of(data: Sequence[DataFile]) -> dict[FileRole, str]:
    """Return the `metadata.jsonl` of each role."""
    return {each.role: each.name for each in data if each.name.endswith(METADATA_FILE)}
