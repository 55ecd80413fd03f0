"""A whole dataset: calibrated once, read file by file or range by range, assessed together."""

import io
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np

from tunedrop.domain.plan import FileRole, Technique
from tunedrop.domain.problem import excerpt
from tunedrop.validation import images, near_duplicates
from tunedrop.validation.assess import ROLES, ScannedFile, assess, image_digest
from tunedrop.validation.blocks import Block, FileFault, cut, inflate
from tunedrop.validation.findings import Flaw
from tunedrop.validation.limits import Limits
from tunedrop.validation.partial import Partial
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.rows import Rows
from tunedrop.validation.rows.chat import ChatRows
from tunedrop.validation.rows.instruction import InstructionRows
from tunedrop.validation.rows.preference import ConversationPairs, TextPairs, has_conversations
from tunedrop.validation.rows.text import TextRows
from tunedrop.validation.rows.visual import VisualRows
from tunedrop.validation.scan import Sink, scan, splittable
from tunedrop.validation.settings import Calibration, Rules, ScanSettings
from tunedrop.validation.sources import DataFile, FileRange, Image, Source
from tunedrop.validation.tokens import CharacterEstimate, TokenCounter

_CALIBRATION_LINES = 4_000
"""Lines at most that are judged for it: there may be as many as bytes."""

_COUNTED_AT_ONCE = 64
"""Lines whose tokens are counted together: an estimate takes many times their memory."""

_USUAL_BYTES_PER_TOKEN = 4.3
"""Of English prose: what a file whose first rows are all bad is reckoned with."""

RANGE_BYTES = 512 << 20
"""What one range of a large file has: ten seconds' work for one function."""


def validate(
    source: Source,
    files: Sequence[DataFile],
    rules: Rules,
    *,
    counter: TokenCounter | None = None,
    sink: Sink | None = None,
    progress: Callable[[int], None] | None = None,
) -> ValidationReport:
    """Read every record of every file, in this process, and report.

    `counter` is the model's own tokenizer, if it is at hand; `sink` takes the good rows; `progress` is told the bytes
    that were read. Raises only what the source raises.
    """
    settings = calibrated(source, files, rules, counter)
    scanned = [
        ScannedFile(file, [scan_range(source, FileRange(file, 0, None), settings, sink, counter, progress)])
        for file in in_order(files)
    ]
    return assess(scanned, settings, source)


def in_order(files: Sequence[DataFile]) -> list[DataFile]:
    """Sort files as they are read: those to train on first, then by name."""
    return sorted(files, key=lambda file: (ROLES.index(file.role), file.name))


def calibrated(
    source: Source, files: Sequence[DataFile], rules: Rules, counter: TokenCounter | None = None
) -> ScanSettings:
    """Measure, on the head of the first training file, how long tokens are and which words stand in most rows."""
    constant = 0
    judge = counter or CharacterEstimate()
    first = list(islice(_head_lines(source, files, rules.limits), _CALIBRATION_LINES))
    conversations = rules.target.technique is Technique.DPO and has_conversations(first)
    skeleton = _skeleton_bytes(rules, conversations=conversations)
    if rules.target.technique is Technique.INSTRUCTION:
        empty = dict.fromkeys(rules.template.fields, "")
        constant = sum(judge.count([rules.template.prompt(empty), rules.template.completion(empty)]))
    rows = _rows(rules, None, conversations=conversations)
    # Lengths are those of the lines as they lie there, escapes and all: a scan knows no others.
    good = [(line, *judged) for line in first if (judged := _judged(rows, line))[0] is not None]
    lines = [written for _, _, written in good]
    counted = -constant * len(good)
    for start in range(0, len(good), _COUNTED_AT_ONCE):
        counted += sum(judge.count([text for _, row, _ in good[start:][:_COUNTED_AT_ONCE] for text in rows.texts(row)]))
    line_bytes = sum(len(line) for line, _, _ in good) - skeleton * len(lines)
    common: Sequence[int] = ()
    if rules.near_duplicates:
        sizes = np.fromiter(map(len, lines), np.int64)
        common = near_duplicates.common_shingles(b"".join(lines), sizes).tolist()
    calibration = Calibration(
        basis=judge.basis,
        tokenizer=judge.name,
        bytes_per_token=line_bytes / counted if counted > 0 and line_bytes > 0 else _USUAL_BYTES_PER_TOKEN,
        skeleton_bytes=skeleton,
        constant_tokens=constant,
        conversations=conversations,
        common_shingles=tuple(common),
    )
    return ScanSettings(**dict(rules), calibration=calibration)


def _judged(rows: Rows[Any], line: bytes) -> tuple[Any, bytes]:
    """Return the typed row of a line, and what training reads of it; None where there is none."""
    seen = rows.glance(line)
    if seen is not None:
        return (None, b"") if isinstance(seen, str) else (seen, line)
    verdict = rows.judge(line)
    return verdict.row, verdict.line


_EMPTY_CONVERSATION = [{"role": role, "content": ""} for role in ("user", "assistant")]


def _skeleton_bytes(rules: Rules, *, conversations: bool) -> int:
    """Return how long the shortest row is, before there is any text in it."""
    match rules.target.technique:
        case Technique.INSTRUCTION:
            empty: object = dict.fromkeys(rules.template.fields, "")
        case Technique.CHAT:
            empty = {rules.target.message_key: _EMPTY_CONVERSATION}
        case Technique.DPO if conversations:
            empty = dict.fromkeys(("chosen", "rejected"), _EMPTY_CONVERSATION)
        case Technique.DPO:
            empty = dict.fromkeys(("prompt", "chosen", "rejected"), "")
        case Technique.VISUAL_QA:
            empty = dict.fromkeys(("file_name", "prompt", "completion"), "")
        case Technique.DOMAIN_ADAPTATION:
            return 0
    return len(json.dumps(empty)) + 1


def _rows(rules: Rules, gallery: "_Gallery | None", *, conversations: bool) -> Rows[Any]:
    """Choose the rules for rows; without a gallery no picture is looked at."""
    match rules.target.technique:
        case Technique.INSTRUCTION:
            return InstructionRows(rules.template, applied=rules.target.template_applied)
        case Technique.CHAT:
            return ChatRows(rules.target.message_key, system_messages=rules.target.system_messages)
        case Technique.DPO:
            return ConversationPairs() if conversations else TextPairs()
        case Technique.VISUAL_QA:
            return VisualRows(gallery.flaws, gallery.mention) if gallery else VisualRows(_no_flaws, _no_mention)
        case Technique.DOMAIN_ADAPTATION:
            return TextRows()


def ranges(file: DataFile, size: int = RANGE_BYTES) -> list[FileRange]:
    """Cut a file into ranges of `size` bytes; one that cannot be cut is one range."""
    if not splittable(file) or file.bytes <= size:
        return [FileRange(file, 0, None)]
    starts = range(0, file.bytes, size)
    return [FileRange(file, start, start + size if start + size < file.bytes else None) for start in starts]


def scan_range(
    source: Source,
    part: FileRange,
    settings: ScanSettings,
    sink: Sink | None = None,
    counter: TokenCounter | None = None,
    progress: Callable[[int], None] | None = None,
) -> Partial:
    """Scan one range; what several of them come to is put together by `assess`."""
    gallery = _Gallery(source, part.file, settings.limits)
    rows = _rows(settings, gallery, conversations=settings.calibration.conversations)
    partial = scan(
        source,
        part,
        rows,
        settings,
        sink=sink,
        counter=counter,
        progress=progress,
    )
    partial.summary.images = sorted(gallery.mentioned)
    return partial


def validate_in_parallel(
    source: Source,
    files: Sequence[DataFile],
    settings: ScanSettings,
    workers: int,
    *,
    range_bytes: int,
    progress: Callable[[int], None] | None = None,
) -> ValidationReport:
    """Read a dataset's ranges in several processes; `source` is copied into each of them."""
    parts = [part for file in in_order(files) for part in ranges(file, range_bytes)]
    partials: dict[DataFile, list[Partial]] = {}
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, _end_with_parent, (os.getpid(),)) as pool:
        with _without_interrupts():
            # Not `map`, which cancels what is left when it is interrupted: the pool of a dead worker trips over that.
            scanned = [pool.submit(_scan, source, part, settings) for part in parts]
        for part, future in zip(parts, scanned, strict=True):
            partial = future.result()
            partials.setdefault(part.file, []).append(partial)
            if progress:
                progress(partial.summary.read)
    return assess([ScannedFile(file, partials[file]) for file in in_order(files)], settings, source)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Put Ctrl-C off, here to the end of the block: in workers that begin in it, until they have been imported."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent(parent: int) -> None:
    """Let a worker end without a word at Ctrl-C, or when its parent was killed: it would wait for work for ever."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _scan(source: Source, part: FileRange, settings: ScanSettings) -> Partial:
    return scan_range(source, part, settings)


class _Gallery:
    """Look at the pictures that rows mention, each once."""

    def __init__(self, source: Source, file: DataFile, limits: Limits) -> None:
        self._source = source
        self._file = file
        self._limits = limits
        self._seen: dict[str, Sequence[Flaw]] = {}
        self.mentioned: set[int] = set()

    @cached_property
    def _images(self) -> Mapping[str, Image]:
        return {each.name: each for each in self._source.images(self._file)}

    def mention(self, name: str) -> None:
        """Note that a row mentions a picture."""
        if image := self._images.get(name):
            self.mentioned.add(image_digest(image))

    def flaws(self, name: str) -> Sequence[Flaw]:
        """Return what is wrong with a picture."""
        if name in self._seen:
            return self._seen[name]
        if flaw := images.image_path_flaw(name):
            return [flaw]
        image = self._images.get(name)
        if image is None:
            # Not kept: there may be as many of these names as rows.
            return [Flaw("data.image-missing", "There is no such picture.", "file_name", excerpt=excerpt(name))]
        self._seen[name] = self._look(name, image, len(self._images))
        return self._seen[name]

    def _look(self, name: str, image: Image, number: int) -> Sequence[Flaw]:
        """Judge one of so many pictures."""
        digest = image_digest(image)
        self.mentioned.add(digest)
        if image.bytes > self._limits.image_bytes:
            message = f"The image has {image.bytes:,} bytes; {self._limits.image_bytes:,} are allowed."
            return [Flaw("data.image-too-large", message, "file_name", excerpt=excerpt(name))]
        # The same pictures are decoded however the rows are cut into ranges.
        decoded = digest < 2**64 * self._limits.decoded_images // number
        return images.inspect(name, self._source.image(self._file, image), self._limits, decode=decoded)


def _no_flaws(_name: str) -> Sequence[Flaw]:
    return ()


def _no_mention(_name: str) -> None:
    return


def _head_lines(source: Source, files: Sequence[DataFile], limits: Limits) -> Iterator[bytes]:
    """Yield the lines at the beginning of the first training file."""
    file = next((each for each in in_order(files) if each.role is FileRole.TRAINING), None)
    if file is None:
        return
    left = limits.calibration_bytes
    chunks = source.blocks(file, 0, None if file.compressed else left + limits.line_bytes)
    try:
        for block in cut(inflate(chunks, limits) if file.compressed else chunks, 0, left, limits.line_bytes):
            if isinstance(block, Block):
                yield from io.BytesIO(block.data)
    except FileFault:
        return
