"""Run the validator in this process, on one file: `python -m bench.validator.ours base|full TECHNIQUE FOLDER TIMES`.

`base` judges rows, counts and measures them, and finds equal ones; `full` looks for near duplicates, secrets and
personal data, too, as the functions and `tunedrop validate` do.
"""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.validator.faults import LONGEST_INPUT, TRAIN
from tunedrop.domain.plan import DataTarget, FileRole, Technique
from tunedrop.domain.prompt_template import JUMPSTART_DEFAULT
from tunedrop.validation.dataset import validate
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.settings import Rules
from tunedrop.validation.sources import BLOCK_BYTES, DataFile, Image
from tunedrop.validation.split import HeldOutSplit


@dataclass(frozen=True)
class Folder:
    """Read files as the functions read objects: blocks of one size, no more than asked for."""

    path: Path

    def blocks(self, file: DataFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `end`."""
        left = (file.bytes if end is None else min(end, file.bytes)) - start
        with (self.path / file.name).open("rb", buffering=0) as opened:
            opened.seek(start)
            while left > 0 and (block := opened.read(min(BLOCK_BYTES, left))):
                left -= len(block)
                yield block

    def images(self, file: DataFile) -> Sequence[Image]:  # noqa: ARG002 - rows of text have none
        """List no pictures."""
        return ()

    def image(self, file: DataFile, image: Image) -> bytes:
        """Refuse: there is none."""
        raise LookupError(file, image)


def judge(variant: str, technique: Technique, path: Path) -> ValidationReport:
    """Validate `train.jsonl`."""
    file = DataFile(name=TRAIN, role=FileRole.TRAINING, bytes=(path / TRAIN).stat().st_size)
    target = DataTarget(technique=technique, technique_from="files", max_input_length=LONGEST_INPUT)
    rules = Rules(
        target=target,
        template=JUMPSTART_DEFAULT,
        split=HeldOutSplit(ratio=0.1, seed=0),
        near_duplicates=variant == "full",
        secrets=variant == "full",
    )
    return validate(Folder(path), [file], rules)


def main() -> None:
    """Print the least seconds of a reading, and what was found."""
    variant, technique, folder, times = sys.argv[1:]
    seconds = []
    for _ in range(int(times)):
        started = time.process_time()
        report = judge(variant, Technique(technique), Path(folder))
        seconds.append(time.process_time() - started)
    print(json.dumps({"seconds": min(seconds), "rows": report.training_rows, "counts": report.counts}))


if __name__ == "__main__":
    main()
