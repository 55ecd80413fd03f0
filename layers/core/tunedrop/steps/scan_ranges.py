"""A dataset too large for one function: ordered here, scanned range by range, and put together again.

`validate_dataset` writes the order and starts a workflow; its Distributed Map runs `ScanRange` for every range, then
`MergeScans` once. Each writes the same bytes to the same keys when it is done again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import ConfigDict, TypeAdapter

from tunedrop.domain import names
from tunedrop.domain.model import Record
from tunedrop.domain.plan import PinnedFile, Technique
from tunedrop.errors import TransientError
from tunedrop.ports import Drops, ModelFiles, RunFiles
from tunedrop.steps.channels import Channels, write_template
from tunedrop.steps.drop_source import DropSource, data_files
from tunedrop.steps.judging import tokenizer_of, write_report
from tunedrop.validation.assess import ScannedFile, assess
from tunedrop.validation.dataset import in_order, ranges, scan_range
from tunedrop.validation.partial import Partial
from tunedrop.validation.settings import ScanSettings
from tunedrop.validation.sources import FileRange
from tunedrop.validation.stored import SHARD_ROWS, restored, stored

_LEAST_ROW_BYTES = 48
"""No row with its keys and quotes is shorter."""


class ScanOrder(Record):
    """Hold what every range of one dataset is judged by, and the versions that are read."""

    dataset: str
    files: tuple[PinnedFile, ...]
    settings: ScanSettings
    range_bytes: int
    """What the files are cut by, in all executions of the run."""


class RangeToScan(Record):
    """Name one range of a run's dataset, as the workflow hands it to a function."""

    run_id: str
    number: int
    """Counts through all files, as they are read."""
    file: str
    start: int
    end: int | None


class ScansToMerge(Record):
    """Name the run whose ranges are all scanned; the workflow's own input holds more."""

    model_config = ConfigDict(extra="ignore")

    run_id: str


_RANGES = TypeAdapter(list[RangeToScan])


def ranges_of(run_id: str, files: Sequence[PinnedFile], range_bytes: int) -> list[RangeToScan]:
    """Cut a dataset into ranges."""
    parts = (part for file in in_order(data_files(files)) for part in ranges(file, range_bytes))
    return [
        RangeToScan(run_id=run_id, number=number, file=part.file.name, start=part.start, end=part.end)
        for number, part in enumerate(parts)
    ]


def write_order(files: RunFiles, run_id: str, order: ScanOrder) -> None:
    """Leave for the workflow what it needs; the first order of a run stands.

    Ranges that an execution has scanned are then those of the next one, too, whatever was deployed in between: other
    ranges would leave rows in the channels twice. And two who start at once judge by the same.
    """
    kept = ScanOrder.model_validate_json(
        files.write_once(names.scan_order_key(run_id), order.model_dump_json().encode())
    )
    parts = ranges_of(run_id, kept.files, kept.range_bytes)
    files.write(names.ranges_key(run_id), _RANGES.dump_json(parts))


@dataclass(frozen=True)
class ScanRange:
    """Scan one range, and leave what it came to for the merge."""

    drops: Drops
    files: RunFiles
    models: ModelFiles

    def __call__(self, part: RangeToScan) -> int:
        """Return the range's number; raises TransientError when the tokenizer of the other ranges is out of reach."""
        order = _order(self.files, part.run_id)
        counter = None
        if order.settings.calibration.basis == "tokenizer":
            counter = tokenizer_of(order.settings.target.tokenizer_uri, self.models)
            if counter is None:
                raise TransientError(f"{order.settings.target.tokenizer_uri} could be read before, and cannot now")
        data = {each.name: each for each in data_files(order.files)}
        source = DropSource(self.drops, order.dataset, order.files)
        with Channels.part(self.files, part.run_id, part.number) as sink:
            partial = scan_range(
                source, FileRange(data[part.file], part.start, part.end), order.settings, sink, counter
            )
        prefix = names.range_prefix(part.run_id, part.number)
        for name, content in stored(partial, in_shards=_may_need_shards(order.files)).items():
            self.files.write(prefix + name, content)
        return part.number


@dataclass(frozen=True)
class MergeScans:
    """Put the ranges of a dataset together: the report, and the rows to measure with."""

    drops: Drops
    files: RunFiles

    def __call__(self, run_id: str) -> None:
        """Assess the whole; the columns of the ranges are read one after the other, as often as they are needed."""
        order = _order(self.files, run_id)
        parts = _RANGES.validate_json(self._read(names.ranges_key(run_id)))
        left = order.settings.limits.findings
        scanned = []
        for file in in_order(data_files(order.files)):
            partials = []
            for part in parts:
                if part.file == file.name:
                    partials.append(partial := self._partial(part))
                    # The report tells the first faulty rows only; thousands of ranges may have found as many each.
                    del partial.summary.faulty[left:]
                    left -= len(partial.summary.faulty)
                    if partial.summary.ended_by:
                        break  # a single pass stops here, too
            scanned.append(ScannedFile(file, partials))
        report = assess(scanned, order.settings, DropSource(self.drops, order.dataset, order.files))
        if report.accepted:
            self._join_held_out(run_id, parts)
            target = order.settings.target
            if target.technique is Technique.INSTRUCTION and not target.template_applied:
                write_template(self.files, run_id, order.settings.template)
        write_report(self.files, run_id, order.dataset, report)

    def _partial(self, part: RangeToScan) -> Partial:
        prefix = names.range_prefix(part.run_id, part.number)
        return restored(lambda name: self._read(prefix + name))

    def _join_held_out(self, run_id: str, parts: Sequence[RangeToScan]) -> None:
        with self.files.writer(names.held_out_key(run_id)) as write:
            for part in parts:
                # A range of which no row is set apart has no such file.
                write(self.files.read(f"{names.range_prefix(run_id, part.number)}held-out.jsonl") or b"")

    def _read(self, key: str) -> bytes:
        content = self.files.read(key)
        if content is None:
            raise AssertionError(f"a range left no {key}")
        return content


def _may_need_shards(files: Sequence[PinnedFile]) -> bool:
    """Tell whether a dataset may have more rows than are compared at once: a row has some 50 bytes at least."""
    data = data_files(files)
    return any(file.compressed for file in data) or sum(file.bytes for file in data) > SHARD_ROWS * _LEAST_ROW_BYTES


def _order(files: RunFiles, run_id: str) -> ScanOrder:
    content = files.read(names.scan_order_key(run_id))
    if content is None:
        raise AssertionError(f"nobody ordered to scan the dataset of run {run_id}")
    return ScanOrder.model_validate_json(content)
