"""What a scan must know beforehand, so that every range of a dataset is judged alike."""

from typing import Literal

from tunedrop.domain.model import Record
from tunedrop.domain.plan import DataTarget
from tunedrop.domain.prompt_template import PromptTemplate
from tunedrop.validation.limits import Limits
from tunedrop.validation.split import HeldOutSplit


class Calibration(Record):
    """Turn bytes of a line into tokens: `constant_tokens` + (bytes - `skeleton_bytes`) / `bytes_per_token`.

    Measured once, on the head of the first training file, and then the same for every range.
    """

    basis: Literal["tokenizer", "estimate"]
    tokenizer: str
    bytes_per_token: float
    skeleton_bytes: int
    """What every line holds besides text: braces, keys, quotes."""
    constant_tokens: int
    """What the template adds to every row."""
    conversations: bool = False
    """Whether pairs of answers are lists of messages; else texts."""
    common_shingles: tuple[int, ...] = ()
    """Hashes of words that stand in very many rows, such as an instruction's: they make no two rows similar."""

    def bytes_of(self, tokens: float) -> float:
        """Return the length of a line of so many tokens."""
        return self.skeleton_bytes + max(0.0, tokens - self.constant_tokens) * self.bytes_per_token

    def tokens_of(self, line_bytes: float) -> float:
        """Return the tokens of a line of so many bytes."""
        return self.constant_tokens + max(0.0, line_bytes - self.skeleton_bytes) / self.bytes_per_token


class Rules(Record):
    """Hold what the rows of one dataset are judged by."""

    target: DataTarget
    template: PromptTemplate
    split: HeldOutSplit | None
    """Sets training rows apart when there is no held-out file."""
    limits: Limits = Limits()
    near_duplicates: bool = True
    secrets: bool = True


class ScanSettings(Rules):
    """Add what was measured before the scan, so that each range of the dataset can be read by itself."""

    calibration: Calibration
