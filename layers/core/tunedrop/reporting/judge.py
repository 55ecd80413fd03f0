"""What another model said of the answers, apart from what decided."""

from tunedrop.domain.judge import graded_rows, metric_words
from tunedrop.domain.plan import JudgeMetric
from tunedrop.domain.run import Judgement, JudgeScore
from tunedrop.domain.scoring import interval_words
from tunedrop.markup.elements import (
    Html,
    column,
    data_table,
    element,
    number_cell,
    number_column,
    paragraph,
    row_head,
    section,
)
from tunedrop.reporting.run_report import SIDES


def judgement(judgement: Judgement) -> Html:
    """Show the judge's grades, or why there are none."""
    return section("judge", "Another model's judgement", *_told(judgement))


def _told(judgement: Judgement) -> tuple[Html, ...]:
    if not judgement.scores:
        why = judgement.failure or "The run ended before it."
        return (paragraph(f"There is none: {why} The metrics' verdict holds all the same."),)
    said = f"{judgement.evaluator_model} on Amazon Bedrock graded {graded_rows(judgement)}. Its grades decide nothing."
    names = ("tuned", *((SIDES[judgement.rival], "difference", "95 % interval") if judgement.rival else ()), "rows")
    head = element("tr", column("Metric"), *map(number_column, names))
    rows = (_row(metric, score) for metric, score in judgement.scores.items())
    return paragraph(said), data_table("grades", "Mean grades, from 0 to 1.", head, rows)


def _row(metric: JudgeMetric, score: JudgeScore) -> Html:
    cells = [f"{score.candidate:.3f}"]
    if score.rival is not None and score.comparison:
        cells += [f"{score.rival:.3f}", f"{score.comparison.gain:+.3f}", interval_words(score.comparison)]
    return element("tr", row_head(metric_words(metric)), *map(number_cell, (*cells, f"{score.rows:,}")))
