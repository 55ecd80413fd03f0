"""Plain text for domain adaptation: every line is read, and any text is good."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tunedrop.domain.problem import excerpt
from tunedrop.validation.findings import Flaw
from tunedrop.validation.rows import Judged, Rewritten, Skimmed

_FEWEST_WORDS = 8
"""A text of fewer words says too little of how it goes on."""

_MOST_WORDS = 64
"""Words of a continuation that is asked for."""


class TextRows:
    """Judge the lines of a text file: they must be text."""

    def skim(self, block: bytes, ends: NDArray[np.int64]) -> Skimmed | None:
        """Leave all lines to `accept`, which makes nothing but texts of them."""
        del block, ends
        return None

    def accept(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[str] | None:
        """Return the lines of a block when all of it is text."""
        if b"\0" in block:
            return None
        try:
            rows = block[:-1].decode().split("\n")
        except UnicodeDecodeError:
            return None
        return rows if len(rows) == len(ends) else None

    def first_faults(self, block: bytes, ends: NDArray[np.int64]) -> Mapping[int, str]:
        """Leave faults to `glance`, and to the exact judge."""
        del block, ends
        return {}

    def rewrite(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Rewritten] | None:
        """Leave what is no text to the exact judge: a line has no fields."""
        del block, ends
        return None

    def glance(self, line: bytes) -> str | None:
        """Leave every doubtful line to `judge`: codes and rows are both texts, and there are few."""
        del line
        return None

    def judge(self, line: bytes) -> Judged:
        """Judge one line exactly."""
        if b"\0" in line:
            flaw = Flaw("data.nul", "The line has a NUL character.", column=line.index(b"\0"))
            return Judged(None, b"", (flaw,))
        try:
            text = line.removesuffix(b"\n").decode()
        except UnicodeDecodeError as error:
            around = line[max(0, error.start - 20) : error.start + 20]
            flaw = Flaw(
                "data.not-utf8",
                f"The line is not UTF-8 (byte {error.start + 1}).",
                column=error.start,
                excerpt=excerpt(around.decode(errors="backslashreplace").strip()),
            )
            return Judged(None, b"", (flaw,))
        return Judged(text, line, ())

    def written(self, text: bytes) -> bytes:
        """Return accepted lines as they are."""
        return text

    def answers(self, rows: Sequence[str]) -> list[str]:
        """Return nothing: text has no answers."""
        del rows
        return []

    def blanks(self, rows: Sequence[str], *, surely_led: bool) -> Mapping[str, NDArray[np.int64]]:
        """Return nothing: lines may be blank."""
        del rows, surely_led
        return {}

    def texts(self, row: str) -> list[str]:
        """Return the line."""
        return [row]

    def held_out(self, row: str) -> Mapping[str, object] | None:
        """Return the beginning of the text, and how it goes on; None for a text too short to be cut."""
        words = row.split()
        if len(words) < _FEWEST_WORDS:
            return None
        asked = words[: max(len(words) // 2, len(words) - _MOST_WORDS)]
        return {"prompt": " ".join(asked), "completion": " ".join(words[len(asked) :])}
