"""What some of the held-out rows came to, in a form that is joined with what the others came to.

Everything that the whole is judged by is kept row by row, in columns, so that the ranges of a large set come to what
one pass over it comes to, to the last digit. Texts of rows are kept of the few alone that may be shown.
"""

from collections.abc import Iterable, Mapping, Sequence

from tunedrop.domain.evaluation_report import SideBySide
from tunedrop.domain.model import Record
from tunedrop.domain.plan import MetricName
from tunedrop.evaluation.metrics import label_of, score
from tunedrop.evaluation.rows import BASE, CANDIDATE, METRIC_NAMES, REFUSED, HeldOutRow, StoredAnswer
from tunedrop.evaluation.tables import differing, worth_showing


class Columns(Record):
    """Hold one model's results, row by row."""

    model_id: str
    scores: dict[MetricName, tuple[float, ...]]
    latencies_ms: tuple[float, ...]
    labels: tuple[str, ...]
    """The labels that were answered; empty where nobody asks for a table of them."""
    input_tokens: int
    output_tokens: int
    refusals: int
    """Rows whose prompt the model did not take."""
    refusal: str
    """Bedrock's first reason for that."""


class PartialResult(Record):
    """Hold what rows that follow each other came to."""

    rows: int
    sides: dict[str, Columns]
    silent: dict[str, str]
    """Of each model that could not be asked, why."""
    differing: int
    """Rows that candidate and base answered differently."""
    shown: tuple[SideBySide, ...]
    """As many of those, of each kind, as are ever shown."""


def scored(rows: Sequence[HeldOutRow], answers: Sequence[StoredAnswer]) -> list[StoredAnswer]:
    """Score one side's answers by every metric."""
    return [
        StoredAnswer(
            side=each.side,
            model_id=each.model_id,
            row=each.row,
            expected=each.expected,
            answer=each.answer,
            scores={
                name: 0.0 if each.answer.stop_reason == REFUSED else score(name, row.right, each.answer.text)
                for name in METRIC_NAMES
            },
        )
        for row, each in zip(rows, answers, strict=True)
    ]


def partial_result(
    metric: MetricName,
    first: int,
    rows: Sequence[HeldOutRow],
    answers: Mapping[str, Sequence[StoredAnswer]],
    silent: Mapping[str, str],
    *,
    labels: bool,
) -> PartialResult:
    """Sum up the scored answers to rows of which the first is number `first`; `metric` is the one that decides."""
    texts = {side: [each.answer.text for each in given] for side, given in answers.items()}
    differ = differing(texts[CANDIDATE], texts[BASE]) if {CANDIDATE, BASE} <= texts.keys() else []
    pool = (
        SideBySide(
            row=first + place,
            prompt=rows[place].asked,
            expected=rows[place].right,
            answers={side: given[place] for side, given in texts.items()},
            scores={side: given[place].scores[metric] for side, given in answers.items()},
        )
        for place in differ
    )
    return PartialResult(
        rows=len(rows),
        sides={side: _columns(given, labels=labels) for side, given in answers.items()},
        silent=dict(silent),
        differing=len(differ),
        shown=worth_showing(pool),
    )


def joined(parts: Sequence[PartialResult]) -> PartialResult:
    """Put ranges together, in the order of their rows; a model that some range could not ask, or none, is silent."""
    rows = sum(part.rows for part in parts)
    silent: dict[str, str] = {}
    for part in parts:
        silent = {**part.silent, **silent}
    sides: dict[str, Columns] = {}
    for side in parts[0].sides:
        if side not in silent:
            columns = _joined_columns([part.sides[side] for part in parts])
            if columns.refusals == rows:
                silent[side] = columns.refusal
            else:
                sides[side] = columns
    both = {CANDIDATE, BASE} <= sides.keys()
    shown = worth_showing(_only(sides, each) for part in parts for each in part.shown) if both else ()
    return PartialResult(
        rows=rows,
        sides=sides,
        silent=silent,
        differing=sum(part.differing for part in parts) if both else 0,
        shown=shown,
    )


def _columns(answers: Sequence[StoredAnswer], *, labels: bool) -> Columns:
    refusals = [each.answer.text for each in answers if each.answer.stop_reason == REFUSED]
    return Columns(
        model_id=answers[0].model_id,
        scores={name: tuple(each.scores[name] for each in answers) for name in METRIC_NAMES},
        latencies_ms=tuple(each.answer.latency_ms for each in answers),
        labels=tuple(label_of(each.answer.text) for each in answers) if labels else (),
        input_tokens=sum(each.answer.input_tokens for each in answers),
        output_tokens=sum(each.answer.output_tokens for each in answers),
        refusals=len(refusals),
        refusal=refusals[0] if refusals else "",
    )


def _joined_columns(parts: Sequence[Columns]) -> Columns:
    return Columns(
        model_id=parts[0].model_id,
        scores={name: tuple(each for part in parts for each in part.scores[name]) for name in METRIC_NAMES},
        latencies_ms=tuple(each for part in parts for each in part.latencies_ms),
        labels=tuple(each for part in parts for each in part.labels),
        input_tokens=sum(part.input_tokens for part in parts),
        output_tokens=sum(part.output_tokens for part in parts),
        refusals=sum(part.refusals for part in parts),
        refusal=next((part.refusal for part in parts if part.refusal), ""),
    )


def _only(sides: Iterable[str], row: SideBySide) -> SideBySide:
    """Leave out the answers of models that turned out to be silent."""
    return row.model_copy(
        update={
            "answers": {side: row.answers[side] for side in sides},
            "scores": {side: row.scores[side] for side in sides},
        }
    )
