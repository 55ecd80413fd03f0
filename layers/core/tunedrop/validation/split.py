"""Set rows apart to measure with, by their digests alone: neither order, nor files, nor cuts matter."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tunedrop.domain.model import Record
from tunedrop.domain.plan import FileRole, Technique
from tunedrop.validation.sources import DataFile

HELD_OUT_BYTES = 64 << 20
"""Training rows that are set apart to measure with, at most: an evaluation reads all of them at once."""

INFLATION = 20
"""How many times its own size a gzip file of rows may have: text reaches that, and seldom more."""

_INCREMENT = 0x9E3779B97F4A7C15
_MULTIPLIER = np.uint64(0xBF58476D1CE4E5B9)


class HeldOutSplit(Record):
    """Hold out a share of the training rows; equal rows have equal digests, so a row is never on both sides."""

    ratio: float
    """The share that is set apart, in 0..1."""
    seed: int
    asked: float | None = None
    """The share that was asked for, when that would be more rows than an evaluation can read."""

    def holds_out(self, digests: NDArray[np.uint64]) -> NDArray[np.bool_]:
        """Tell which rows are set apart."""
        # One round of SplitMix64: another seed draws other rows from the same digests.
        mixed = digests + np.uint64((self.seed + 1) * _INCREMENT % 2**64)
        mixed ^= mixed >> np.uint64(30)
        mixed *= _MULTIPLIER
        mixed ^= mixed >> np.uint64(27)
        return mixed < np.uint64(int(self.ratio * 2**64))


def split_of(files: Sequence[DataFile], technique: Technique, ratio: float, seed: int) -> HeldOutSplit | None:
    """Say which share of a dataset's training rows is set apart; None when it has a held-out file."""
    if any(file.role is FileRole.HELD_OUT for file in files):
        return None
    size = sum(file.bytes * (INFLATION if file.compressed else 1) for file in files if file.role is FileRole.TRAINING)
    most = HELD_OUT_BYTES / max(1, size)
    # Rows of pictures are few and short; what is large beside them is not read by whoever reads the rows.
    if most >= ratio or technique is Technique.VISUAL_QA:
        return HeldOutSplit(ratio=ratio, seed=seed)
    return HeldOutSplit(ratio=most, seed=seed, asked=ratio)
