"""What the evaluation came to: scores with intervals, labels, segments, rows side by side."""

from collections.abc import Iterator, Sequence

from tunedrop.domain.evaluation_report import Confusion, EvaluationReport, LabelResult, SideBySide
from tunedrop.domain.plan import MetricName
from tunedrop.domain.run import Score
from tunedrop.domain.scoring import interval_words
from tunedrop.domain.words import number, share_words, shortened
from tunedrop.markup.charts import Interval, interval_chart
from tunedrop.markup.elements import (
    NOTHING,
    Html,
    block,
    column,
    data,
    data_table,
    element,
    folded,
    number_cell,
    number_column,
    paragraph,
    row_head,
    section,
    text,
)
from tunedrop.reporting.run_report import SIDES

LABELS_OPEN = 12
"""Labels of the matrix, and of the table that is seen without unfolding the rest."""

LISTED = 200
"""Labels and segments that the page lists at all; `evaluation.json` has more."""

MISTAKES = 10
"""Pairs of labels that are listed as mistaken most often."""

LABEL_CHARACTERS = 60

TEXT_CHARACTERS = 2_000
"""Characters of a prompt or an answer."""

_DEPTHS = 5
"""Tints of the matrix."""


def scores(report: EvaluationReport) -> Html:
    """Show every metric of every side, and how sure the gain is."""
    rows = report.sides["candidate"].rows
    decides = f"{report.metric} decides, on {number(rows, 'held-out row')}."
    guess = (
        f"One and the same answer to every row, the most frequent right one, scores {report.guess:.3f}; the tuned "
        f"model gains {report.guess_comparison.gain:+.3f} over that ({interval_words(report.guess_comparison)}, "
        f"p {_probability(report.guess_comparison.p_value)})."
    )
    return section(
        "scores", "Scores", paragraph(decides), _gains(report), *_metrics(report), paragraph(guess), _answers(report)
    )


def _gains(report: EvaluationReport) -> Html:
    intervals = [
        Interval(
            f"over {SIDES[side]}",
            compared.low,
            compared.gain,
            compared.high,
            f"over {SIDES[side]}: {compared.gain:+.3f}",
        )
        for side, by_metric in report.comparisons.items()
        if (compared := by_metric.get(report.metric))
    ]
    if not intervals:
        return NOTHING
    told = "; ".join(f"{each.words}, {each.low:+.3f} to {each.high:+.3f}" for each in intervals)
    # Zero's own mark would lie under that of a gain of next to nothing.
    marks = [("no gain", 0.0)] + [("asked for", report.min_gain)] * (report.min_gain > 0)
    return element(
        "figure",
        element("figcaption", text("The tuned model's gain, with its 95 % interval.")),
        interval_chart("gains", "Gain", f"{told}. Asked for: {report.min_gain:+.3f}.", intervals, marks),
    )


def _metrics(report: EvaluationReport) -> Iterator[Html]:
    """Show the metric that decides, then the others for who asks."""
    for side in report.comparisons:
        others = [metric for metric in report.sides["candidate"].metrics if metric != report.metric]
        yield _metric_table(report, side, [report.metric], f"Against the {SIDES[side]} model, by what decides.")
        if others:
            caption = f"Against the {SIDES[side]} model, by the other metrics."
            yield folded("The same by the other metrics", _metric_table(report, side, others, caption))


def _metric_table(report: EvaluationReport, side: str, metrics: Sequence[MetricName], caption: str) -> Html:
    names = ("tuned", SIDES[side], "gain", "95 % interval", "p", "better", "worse")
    head = element("tr", column("Metric"), *map(number_column, names))
    return data_table("metrics", caption, head, (_metric_row(report, side, metric) for metric in metrics))


def _metric_row(report: EvaluationReport, side: str, metric: MetricName) -> Html:
    compared = report.comparisons[side][metric]
    cells = (
        f"{report.sides['candidate'].metrics[metric]:.3f}",
        f"{report.sides[side].metrics[metric]:.3f}",
        f"{compared.gain:+.3f}",
        interval_words(compared),
        _probability(compared.p_value).removeprefix("= "),
        f"{compared.better:,}",
        f"{compared.worse:,}",
    )
    return element("tr", row_head(metric, code=True), *map(number_cell, cells))


def _probability(value: float) -> str:
    return f"= {value:.3f}" if value >= 0.001 else "< 0.001"  # noqa: PLR2004 - what three decimals can say


def _answers(report: EvaluationReport) -> Html:
    head = element(
        "tr",
        column("Model"),
        number_column("Right"),
        number_column("ms an answer"),
        number_column("Tokens in"),
        number_column("out"),
        number_column("USD for 1,000: busy"),
        number_column("alone"),
    )
    body = (_answer_row(side, score) for side, score in report.sides.items())
    caption = "What answering took: busy is a copy that answers without a pause, alone a call that comes by itself."
    return data_table("answers", caption, head, body)


def _answer_row(side: str, score: Score) -> Html:
    price = score.price
    unpriced = "by tokens" if score.billed_by_tokens else "not known"
    return element(
        "tr",
        row_head(SIDES[side]),
        number_cell(f"{score.correct:,} of {score.rows:,}"),
        number_cell(f"{score.mean_latency_ms:,.0f}"),
        number_cell(f"{score.input_tokens:,}"),
        number_cell(f"{score.output_tokens:,}"),
        number_cell(f"{price.busy:.4f}" if price else unpriced),
        number_cell(f"{price.alone:,.2f}" if price else unpriced),
    )


# --------------------------------------------------------------------------------------------- labels and segments


def labels(report: EvaluationReport) -> Html:
    """Show how each side did on each label, and what it takes for what."""
    if not report.labels:
        return NOTHING
    parts = [_label_table(report.labels[:LABELS_OPEN], list(report.sides))]
    if rest := report.labels[LABELS_OPEN:LISTED]:
        parts.append(folded(f"{number(len(rest), 'label')} more", _label_table(rest, list(report.sides))))
    for side in report.sides:
        matrix = _matrix(report, side)
        parts.append(matrix if side == "candidate" else folded(f"The same of the {SIDES[side]} model", matrix))
    if mistaken := [each for each in report.confusions if each.side == "candidate"][:MISTAKES]:
        parts.append(_mistakes(mistaken))
    return section("labels", "Labels", *parts)


def _label_table(results: Sequence[LabelResult], sides: Sequence[str]) -> Html:
    headers = [number_column(f"{SIDES[side]}: {what}") for side in sides for what in ("recall", "precision")]
    head = element("tr", column("Label"), number_column("Rows"), *headers)
    body = (
        element(
            "tr",
            row_head(shortened(each.label, LABEL_CHARACTERS)),
            number_cell(f"{each.rows:,}"),
            *(number_cell(words) for side in sides for words in _recall_and_precision(each, side)),
        )
        for each in results
    )
    return data_table("results", "By label, the most frequent first.", head, body)


def _recall_and_precision(result: LabelResult, side: str) -> tuple[str, str]:
    counts = result.sides[side]
    return f"{counts.right / result.rows:.2f}", f"{counts.right / counts.answered:.2f}" if counts.answered else "-"


def _matrix(report: EvaluationReport, side: str) -> Html:
    """Count the answers of the most frequent labels' rows; what is none of them stands in the last column."""
    shown = report.labels[:LABELS_OPEN]
    counted = {(each.expected, each.answered): each.rows for each in report.confusions if each.side == side}
    head = element(
        "tr",
        column("Right answer"),
        *(number_column(str(place)) for place in range(1, len(shown) + 1)),
        number_column("other"),
    )
    body = []
    for place, right in enumerate(shown, start=1):
        counts = [
            right.sides[side].right if given is right else counted.get((right.label, given.label), 0) for given in shown
        ]
        cells = [_cell(count, right.rows, right=given is right) for count, given in zip(counts, shown, strict=True)] + [
            _cell(right.rows - sum(counts), right.rows, right=False)
        ]
        body.append(element("tr", row_head(f"{place}  {shortened(right.label, LABEL_CHARACTERS)}"), *cells))
    caption = f"What the {SIDES[side]} model answers, by the right answer: the numbers above are those of the rows."
    return data_table("matrix", caption, head, body)


def _cell(count: int, rows: int, *, right: bool) -> Html:
    depth = min(_DEPTHS, -(-count * _DEPTHS // rows)) if count > 0 else 0
    kind = f"n {'hit' if right else 'miss'}-{depth}" if depth else "n none"
    return element("td", text(f"{count:,}" if count else "·"), class_=kind)


def _mistakes(mistaken: Sequence[Confusion]) -> Html:
    head = element("tr", column("Right answer"), column("Answered"), number_column("Rows"))
    body = (
        element(
            "tr",
            row_head(shortened(each.expected, LABEL_CHARACTERS)),
            element(
                "td",
                text("none of the labels")
                if each.answered is None
                else data(shortened(each.answered, LABEL_CHARACTERS)),
            ),
            number_cell(f"{each.rows:,}"),
        )
        for each in mistaken
    )
    return data_table("mistakes", "What the tuned model mistakes most often.", head, body)


def segments(report: EvaluationReport) -> Html:
    """Show the mean score of each segment's rows."""
    if not report.segments:
        return NOTHING
    head = element(
        "tr", column("Segment"), number_column("Rows"), *(number_column(SIDES[side]) for side in report.sides)
    )
    body = (
        element(
            "tr",
            element("th", text("rows without one"), scope="row")
            if each.segment is None
            else row_head(shortened(each.segment, LABEL_CHARACTERS)),
            number_cell(f"{each.rows:,}"),
            *(number_cell(f"{each.values[side]:.3f}") for side in report.sides),
        )
        for each in report.segments[:LISTED]
    )
    caption = f"Mean {report.metric} by segment, the largest first."
    more = len(report.segments) - LISTED
    rest = paragraph(f"{number(more, 'segment')} more in evaluation.json.", "soft") if more > 0 else NOTHING
    return section("segments", "Segments", data_table("results", caption, head, body), rest)


# ------------------------------------------------------------------------------------------------ rows side by side


def side_by_side(report: EvaluationReport) -> Html:
    """Show the rows that were answered differently, as the evaluation chose them."""
    if not report.side_by_side:
        return NOTHING
    rows = report.sides["candidate"].rows
    differing = f"{report.differing:,} of {number(rows, 'row')} ({share_words(report.differing, rows)})"
    chosen = f"{differing} are answered differently by base and tuned model. Some of them, better ones first:"
    return section("side-by-side", "Side by side", paragraph(chosen), *map(_row, report.side_by_side))


def _row(row: SideBySide) -> Html:
    answers = (
        element(
            "div",
            element(
                "h4",
                element("span", text(SIDES[side])),
                element("span", text(f"{row.scores[side]:.2f}"), class_=f"count {_tone(row.scores[side])}"),
            ),
            block(shortened(answer, TEXT_CHARACTERS)),
            class_="answer",
        )
        for side, answer in row.answers.items()
    )
    expected = element(
        "div",
        element("h4", text("right answer" if len(row.expected) == 1 else "right answers")),
        *(block(shortened(each, TEXT_CHARACTERS)) for each in row.expected),
        class_="answer",
    )
    return element(
        "div",
        element(
            "div",
            element("h3", text(f"Row {row.row + 1:,}")),
            block(shortened(row.prompt, TEXT_CHARACTERS)),
            class_="head",
        ),
        element("div", expected, *answers, class_="replies"),
        class_="group compared",
    )


def _tone(score: float) -> str:
    return "right" if score >= 1 else "wrong" if score <= 0 else "partly"
