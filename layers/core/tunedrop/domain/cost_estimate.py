"""What an estimate of a training job says; `estimate` makes it."""

from tunedrop.domain.model import Record


class Range(Record):
    """Say between what and what a number lies."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        """Multiply all three."""
        return Range(low=self.low * factor, likely=self.likely * factor, high=self.high * factor)


class TokenCount(Record):
    """Count the tokens that training reads in one epoch; `basis` says who counted."""

    low: int
    likely: int
    high: int
    basis: str


class CostEstimate(Record):
    """Estimate one training job; `hours` and `usd` are None where the `basis` says why."""

    tokens: TokenCount
    epochs: float
    hours: Range | None
    """Billed: from starting the instance to the upload of the weights."""
    usd: Range | None
    usd_per_hour: float | None
    """Of all instances together."""
    basis: tuple[str, ...]
    notes: tuple[str, ...]
    """What comes on top."""


def estimate_words(estimate: CostEstimate) -> str:
    """Tell the estimate on one line; empty when there is none."""
    if estimate.hours is None:
        return ""
    dollars = f"{estimate.usd.low:.2f} to {estimate.usd.high:.2f} US dollars, " if estimate.usd else ""
    return f"{dollars}{estimate.hours.low:.1f} to {estimate.hours.high:.1f} hours ({estimate.tokens.basis})"
