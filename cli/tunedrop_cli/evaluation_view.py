"""What the terminal shows of an evaluation: metrics, labels, segments, and rows side by side."""

from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tunedrop.domain.evaluation_report import EvaluationReport, SideBySide
from tunedrop.domain.run import Score
from tunedrop.domain.scoring import interval_words

LABELS_SHOWN = 20
CONFUSIONS_SHOWN = 5
SEGMENTS_SHOWN = 20
TEXT_SHOWN = 300
"""Characters of a prompt or an answer."""

_NAMES = {"candidate": "tuned"}


def evaluation_view(report: EvaluationReport) -> Iterator[RenderableType]:
    """Show what the answers came to, part by part."""
    yield _metrics(report)
    yield Text("\n".join(["A thousand answers, estimated:", *_prices(report.sides)]))
    if report.segments:
        yield _segments(report)
    if report.labels:
        yield _labels(report)
    if mistaken := [each for each in report.confusions if each.side == "candidate"][:CONFUSIONS_SHOWN]:
        rows = [f"  {each.rows} x {each.expected} as {each.answered or 'no known label'}" for each in mistaken]
        yield Text("\n".join(["What the tuned model takes for what:", *rows]))
    if report.side_by_side:
        yield Text(
            f"{report.differing} rows are answered differently by base and tuned model; {len(report.side_by_side)} of "
            "them:"
        )
        yield from map(_row, report.side_by_side)


def _name(side: str) -> str:
    return _NAMES.get(side, side)


def _metrics(report: EvaluationReport) -> Table:
    rivals = list(report.comparisons)
    headers = [heading for side in rivals for heading in (side, f"gain over {side}")]
    table = Table("Metric", "tuned", *headers, box=None, pad_edge=False)
    for metric, value in report.sides["candidate"].metrics.items():
        cells = []
        for side in rivals:
            compared = report.comparisons[side][metric]
            told = f"{compared.gain:+.3f} ({interval_words(compared)}, p {compared.p_value:.3f})"
            cells += [f"{report.sides[side].metrics[metric]:.3f}", told]
        decides = " *" if metric == report.metric else ""
        table.add_row(f"{metric}{decides}", f"{value:.3f}", *cells, style="bold" if decides else None)
    return table


def _prices(sides: Mapping[str, Score]) -> Iterator[str]:
    for side, score in sides.items():
        told = "Bedrock bills its own models by tokens" if score.billed_by_tokens else "no price is known"
        if price := score.price:
            told = f"{price.busy:.4f} USD from a copy kept busy, {price.alone:,.2f} USD when each call comes alone"
        tokens = f"{score.input_tokens / score.rows:.0f} tokens in and {score.output_tokens / score.rows:.0f} out"
        yield f"  {_name(side)}: {told}; {tokens} an answer"


def _segments(report: EvaluationReport) -> Table:
    table = Table("Segment", "rows", *(_name(side) for side in report.sides), box=None, pad_edge=False)
    for each in report.segments[:SEGMENTS_SHOWN]:
        values = (f"{each.values[side]:.3f}" for side in report.sides)
        table.add_row(_cut(each.segment or "(none)"), f"{each.rows:,}", *values)
    return _with_rest(table, len(report.segments) - SEGMENTS_SHOWN)


def _labels(report: EvaluationReport) -> Table:
    headers = [f"{_name(side)} {what}" for side in report.sides for what in ("recall", "precision")]
    table = Table("Label", "rows", *headers, box=None, pad_edge=False)
    for each in report.labels[:LABELS_SHOWN]:
        cells = []
        for side in report.sides:
            counts = each.sides[side]
            precision = f"{counts.right / counts.answered:.2f}" if counts.answered else "-"
            cells += [f"{counts.right / each.rows:.2f}", precision]
        table.add_row(_cut(each.label), f"{each.rows:,}", *cells)
    return _with_rest(table, len(report.labels) - LABELS_SHOWN)


def _with_rest(table: Table, rest: int) -> Table:
    if rest > 0:
        table.add_row(f"and {rest:,} more")
    return table


def _row(row: SideBySide) -> Text:
    lines = [f"Row {row.row + 1}: {_cut(row.prompt)}", f"  right  {_cut(' | '.join(row.expected))}"]
    lines += [f"  {_name(side):<8} {row.scores[side]:.2f}  {_cut(text)}" for side, text in row.answers.items()]
    return Text("\n".join(lines))


def _cut(text: str) -> str:
    """Write a text on one line, without what would steer a terminal: models answer anything."""
    plain = "".join(each if each.isprintable() else " " for each in text.strip())
    plain = " ".join(plain.split())
    return plain if len(plain) <= TEXT_SHOWN else f"{plain[: TEXT_SHOWN - 3]}..."
