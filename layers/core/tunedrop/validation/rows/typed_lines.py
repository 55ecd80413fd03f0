"""Rows of one schema, one JSON object a line: decoded in bulk, refused by the decoder's own words."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tunedrop.validation.rows import Rewritten, Skimmed
from tunedrop.validation.rows.json_lines import one_a_line, sure_fault


class TypedLines(ABC):
    """Accept and glance at rows of one type; see `Rows`, whose other questions a technique's own class answers."""

    _decoder: msgspec.json.Decoder[Any]
    _sure_faults: Mapping[str, str] = {
        "Expected `str`, got": "data.not-text",
        "Object missing required field": "data.missing-field",
    }
    """What the decoder says of a row that `judge` refuses, too; see `sure_fault`."""

    @abstractmethod
    def _are_good(self, rows: Sequence[Any], block: bytes) -> bool:
        """Prove what types cannot say of rows, and that nothing else stands in the block that they were decoded of."""

    def skim(self, block: bytes, ends: NDArray[np.int64]) -> Skimmed | None:
        """Leave all lines to the decoder."""
        del block, ends
        return None

    def accept(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Any] | None:
        """Return the typed rows when every line is surely good as it is."""
        try:
            rows = self._decoder.decode_lines(block)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if len(rows) != len(ends) or not one_a_line(block, ends):
            return None
        return rows if self._are_good(rows, block) else None

    def first_faults(self, block: bytes, ends: NDArray[np.int64]) -> Mapping[int, str]:
        """Leave faults to `glance`, and to the exact judge."""
        del block, ends
        return {}

    def rewrite(self, block: bytes, ends: NDArray[np.int64]) -> Sequence[Rewritten] | None:
        """Leave rows with more fields to the exact judge."""
        del block, ends
        return None

    def glance(self, line: bytes) -> Any | str | None:
        """Return the typed row, the code of a sure fault, or None."""
        try:
            row = self._decoder.decode(line)
        except RecursionError:
            return None
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return self._sure_fault(line, error)
        return row if self._are_good([row], line) else None

    def _sure_fault(self, line: bytes, error: Exception) -> str | None:
        return sure_fault(line, error, self._sure_faults)

    def written(self, text: bytes) -> bytes:
        """Return accepted lines as they are."""
        return text

    def blanks(self, rows: Sequence[Any], *, surely_led: bool) -> Mapping[str, NDArray[np.int64]]:
        """Return nothing: of a good row nothing is blank."""
        del rows, surely_led
        return {}
