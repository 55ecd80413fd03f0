"""Results by label and by segment, and the rows to show side by side."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from tunedrop.domain.evaluation_report import Confusion, LabelCounts, LabelResult, SegmentResult, SideBySide
from tunedrop.evaluation.metrics import label_of
from tunedrop.evaluation.rows import BASE, CANDIDATE

LABELS_LIMIT = 1_000
"""Labels of a table: the validator takes no more for labels."""

CONFUSIONS_LIMIT = 1_000
"""Pairs of labels of one side."""

SEGMENTS_LIMIT = 1_000

SHOWN_BETTER = 4
SHOWN_WORSE = 3
"""Rows that are shown of those the candidate answered better, and of those it answered worse: both are the truth."""

Labels = Mapping[str, Sequence[str]]
"""Side → the labels that it answered, row by row."""


def label_table(
    right: Sequence[Sequence[str]], answers: Labels
) -> tuple[tuple[LabelResult, ...], tuple[Confusion, ...]]:
    """Count right answers by label, and which labels each side takes for which.

    Labels are told apart as `label_of` reads them, and shown as the first text spells them. Of a row with several
    right answers the first is its label; who gives another of them has named that label.
    """
    labels = [label_of(each[0]) for each in right]
    spelled: dict[str, str] = {}
    for label, texts in zip(labels, right, strict=True):
        spelled.setdefault(label, texts[0].strip())
    named = [dict.fromkeys(map(label_of, texts), label) for label, texts in zip(labels, right, strict=True)]
    answers = {
        side: [names.get(each, each) for names, each in zip(named, given, strict=True)]
        for side, given in answers.items()
    }
    rows = Counter(labels)
    pairs = {side: Counter(zip(labels, given, strict=True)) for side, given in answers.items()}
    answered = {side: Counter(given) for side, given in answers.items()}
    results = tuple(
        LabelResult(
            label=spelled[label],
            rows=number,
            sides={
                side: LabelCounts(right=pairs[side][label, label], answered=answered[side][label]) for side in answers
            },
        )
        for label, number in sorted(rows.items(), key=lambda each: (-each[1], each[0]))[:LABELS_LIMIT]
    )
    confusions = tuple(each for side in answers for each in _confusions(side, pairs[side], spelled))
    return results, confusions


def _confusions(side: str, pairs: Mapping[tuple[str, str], int], spelled: Mapping[str, str]) -> list[Confusion]:
    # What is none of the labels may be any text: it is counted together, and stands in the answers alone.
    mistaken: Counter[tuple[str, str | None]] = Counter()
    for (right, given), number in pairs.items():
        if right != given:
            mistaken[spelled[right], spelled.get(given)] += number
    ordered = sorted(mistaken.items(), key=lambda each: (-each[1], each[0][0], each[0][1] or ""))
    return [
        Confusion(side=side, expected=right, answered=given, rows=number)
        for (right, given), number in ordered[:CONFUSIONS_LIMIT]
    ]


def segment_table(segments: Sequence[str | None], scores: Mapping[str, Sequence[float]]) -> tuple[SegmentResult, ...]:
    """Return the mean scores of each segment's rows, the largest first; nothing when no row names a segment."""
    if not any(segments):
        return ()
    members: defaultdict[str | None, list[int]] = defaultdict(list)
    for row, segment in enumerate(segments):
        members[segment].append(row)
    largest = sorted(members.items(), key=lambda each: (-len(each[1]), each[0] or ""))[:SEGMENTS_LIMIT]
    return tuple(
        SegmentResult(
            segment=segment,
            rows=len(rows),
            values={side: sum(given[row] for row in rows) / len(rows) for side, given in scores.items()},
        )
        for segment, rows in largest
    )


def differing(one: Sequence[str], other: Sequence[str]) -> list[int]:
    """Return the rows that two models answered differently, white space aside."""
    pairs = enumerate(zip(one, other, strict=True))
    return [row for row, (first, second) in pairs if first.split() != second.split()]


def worth_showing(rows: Iterable[SideBySide]) -> tuple[SideBySide, ...]:
    """Leave, of rows that candidate and base answered differently, as many of each kind as are ever shown."""
    return tuple(each for kind in _kinds(rows) for each in kind[: SHOWN_BETTER + SHOWN_WORSE])


def side_by_side(rows: Iterable[SideBySide]) -> tuple[SideBySide, ...]:
    """Choose a handful of rows that candidate and base answered differently: gains first, then losses, then neither."""
    better, worse, neither = _kinds(rows)
    total = SHOWN_BETTER + SHOWN_WORSE
    lost = worse[: max(SHOWN_WORSE, total - len(better))]
    chosen = [*better[: total - len(lost)], *lost]
    return (*chosen, *neither[: total - len(chosen)])


def _kinds(rows: Iterable[SideBySide]) -> tuple[list[SideBySide], list[SideBySide], list[SideBySide]]:
    """Tell apart what the candidate answered better, worse, or neither, the most telling rows first."""
    gains = [(each.scores[CANDIDATE] - each.scores[BASE], each) for each in rows]
    better = sorted((each for each in gains if each[0] > 0), key=lambda each: (-each[0], each[1].row))
    worse = sorted((each for each in gains if each[0] < 0), key=lambda each: (each[0], each[1].row))
    neither = sorted((each for each in gains if each[0] == 0), key=lambda each: each[1].row)
    return [each for _, each in better], [each for _, each in worse], [each for _, each in neither]
