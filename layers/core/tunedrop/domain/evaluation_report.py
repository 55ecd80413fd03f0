"""What the answers of an evaluation came to, in full: a file beside the run, for it quotes rows and their labels."""

from tunedrop.domain.model import Record
from tunedrop.domain.plan import MetricName
from tunedrop.domain.run import Comparison, Score


class LabelCounts(Record):
    """Count how one model did on one label."""

    right: int
    """Rows of the label that were answered with it: by `rows` of the label, its recall."""
    answered: int
    """Rows of any label that were answered with it: `right` by this is its precision."""


class LabelResult(Record):
    """Hold one label's results."""

    label: str
    rows: int
    sides: dict[str, LabelCounts]


class Confusion(Record):
    """Count the rows of one label that a model answered with another."""

    side: str
    expected: str
    answered: str | None
    """None for an answer that is none of the labels."""
    rows: int


class SegmentResult(Record):
    """Hold one segment's results, by the metric that decides."""

    segment: str | None
    """None for the rows without one."""
    rows: int
    values: dict[str, float]
    """Mean score, by side."""


class SideBySide(Record):
    """Show one row that two models answered differently."""

    row: int
    """From 0, in the held-out rows."""
    prompt: str
    """What was asked; of a conversation, the last message."""
    expected: tuple[str, ...]
    answers: dict[str, str]
    scores: dict[str, float]


class EvaluationReport(Record):
    """Hold all that an evaluation came to; sides are `candidate`, `base` and `champion`, as far as there were any."""

    metric: MetricName
    """The one that decides."""
    min_gain: float
    passed: bool
    verdict: str
    sides: dict[str, Score]
    comparisons: dict[str, dict[MetricName, Comparison]]
    """Rival → metric → how the candidate compares."""
    guess: float
    """Score of the most frequent right answer, were it given to every row, by the metric that decides."""
    guess_comparison: Comparison
    """How the candidate compares with that."""
    labels: tuple[LabelResult, ...]
    """The most frequent first; empty where answers are no labels."""
    confusions: tuple[Confusion, ...]
    """The most frequent first, of each side."""
    segments: tuple[SegmentResult, ...]
    """Empty where no row names one."""
    differing: int
    """Rows whose answers by candidate and base differ."""
    side_by_side: tuple[SideBySide, ...]
    """A handful of them: where the candidate did better, and where it did worse."""
