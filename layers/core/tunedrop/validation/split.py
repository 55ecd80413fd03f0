"""Set rows apart to measure with, by their digests alone: neither order, nor files, nor cuts matter."""

import numpy as np
from numpy.typing import NDArray

from tunedrop.domain.model import Record

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
