"""What a row must be, one module a technique; all of them answer the questions of `Rows`."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from tunedrop.validation.findings import Flaw

R = TypeVar("R")

SHORT_ANSWER = 9
"""Characters up to which an answer may stand for a missing one, and is looked at."""


class Judged(NamedTuple):
    """Hold the exact verdict on one line."""

    row: object | None
    """The typed row; None when it is refused."""
    line: bytes
    """What training shall read instead of the line, ended by a newline; empty when the row is refused."""
    flaws: tuple[Flaw, ...]
    """What refuses the row; or, when it is good, what is worth knowing of it."""


class Rewritten(NamedTuple):
    """Hold a row that is surely good, with what training reads of it."""

    row: object
    line: bytes
    remark: str
    """The code of the one thing that `judge` has to say of it; empty when that is nothing."""


class Skimmed(NamedTuple):
    """Say what is known of a block of which no rows were made."""

    doubtful: Sequence[int]
    """The numbers, ascending, of lines that have to be looked at; the others are surely good, as they are."""
    blanks: Mapping[str, NDArray[np.int64]]
    """By field, the numbers of those others in which it is blank."""


class Rows(Protocol[R]):
    """Accept rows fast, or judge them exactly.

    `skim`, `accept`, `rewrite` and `glance` may only accept what `judge` accepts, and `first_faults` and `glance` may
    only refuse what `judge` refuses: a test compares them on mutated rows. What none of them knows, `judge` decides.
    """

    def skim(self, block: bytes, ends: NDArray[np.int64]) -> Skimmed | None:
        """Tell which lines of a block are surely good, and answer at some length, without making rows of them.

        `ends` are the places of the newlines, the last byte among them. None when all lines have to be looked at.
        """

    def accept(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[R] | None:
        """Return the typed rows of a block of lines when every one is surely good as it is, else None."""

    def first_faults(self, block: bytes, ends: NDArray[np.int64]) -> Mapping[int, str]:
        """Return, by number of the line, the code of the first fault of lines that `judge` is sure to refuse.

        What is told of a line does not depend on the others.
        """

    def rewrite(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Rewritten] | None:
        """Return the rows of a block of lines, of which some have more fields than training reads; else as `accept`.

        Rows and lines are those of `judge`; but a row that has no more fields stays as it stands there.
        """

    def glance(self, line: bytes) -> R | str | None:
        """Return the typed row of a line that is surely good as it is, the code of a sure fault, or None."""

    def judge(self, line: bytes) -> Judged:
        """Judge one line exactly; total: whatever the bytes, the answer is a verdict."""

    def written(self, text: bytes) -> bytes:
        """Return accepted lines as the training script reads them."""

    def answers(self, rows: Sequence[R]) -> list[str]:
        """Return what the model shall answer, row by row."""

    def blanks(self, rows: Sequence[R], *, surely_led: bool) -> Mapping[str, NDArray[np.int64]]:
        """Return, by field, the numbers of the good rows in which it is blank; `accept` took them if `surely_led`."""

    def texts(self, row: R) -> list[str]:
        """Return what the model reads and writes in training, in pieces."""

    def held_out(self, row: R) -> Mapping[str, object] | None:
        """Return the row as the evaluation asks it: what is asked, and the `completion` that is right.

        None for a row that nothing can be asked of.
        """
