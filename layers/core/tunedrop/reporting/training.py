"""How the training went: its losses."""

from collections.abc import Iterator

from tunedrop.domain.training_curve import STEP_LOSS, Curve, short_name
from tunedrop.domain.words import Fact
from tunedrop.markup.charts import Line, legend, line_chart
from tunedrop.markup.elements import (
    NOTHING,
    Html,
    column,
    data_table,
    element,
    fact_list,
    folded,
    number_cell,
    number_column,
    paragraph,
    row_head,
    section,
    text,
)
from tunedrop.reporting.run_report import RunReport

_NAMES = {STEP_LOSS: "training, by step", "train-loss": "training", "loss": "training", "eval-loss": "validation"}

_KINDS = {STEP_LOSS: "faint", "eval-loss": "second"}

READINGS_LIMIT = 20
"""Numbers of one curve that are listed."""


def losses(report: RunReport) -> Html:
    """Draw the losses, from the job's log; without it the last values are told."""
    training, curves = report.run.training, report.curves
    if training is None:
        return NOTHING
    shown = [each for each in curves.curves if "loss" in each.name]
    last = [Fact(short_name(each.name), f"{each.value:g}") for each in training.metrics]
    if not shown:
        said = "The log of the training job names no loss" if last else "The training job told no loss"
        known = fact_list(last) if last else NOTHING
        return section("training", "Training", paragraph(f"{said}."), known)
    lines = [Line(_NAMES.get(each.name, each.name), _KINDS.get(each.name, "first"), each.points) for each in shown]
    across = "epochs" if curves.by_epoch else "readings, in the order of the log"
    described = ". ".join(f"{line.name}: from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in lines)
    figure = element(
        "figure",
        element("figcaption", text("Loss: the lower, the better. Every number is from the training job's log.")),
        legend(lines),
        line_chart("losses", "Losses", f"{described}.", lines, across),
    )
    return section("training", "Training", figure, folded("The same in numbers", _readings(curves.curves)))


def _readings(curves: tuple[Curve, ...]) -> Html:
    head = element("tr", column("What"), number_column("At"), number_column("Value"))
    return data_table("readings", "What the log of the training job says.", head, _rows(curves))


def _rows(curves: tuple[Curve, ...]) -> Iterator[Html]:
    for curve in curves:
        every = -(-len(curve.points) // READINGS_LIMIT)
        # Counted from the end, so that the last value is always there.
        for at, value in curve.points[::-1][::every][::-1]:
            yield element("tr", row_head(curve.name), number_cell(f"{at:.4g}"), number_cell(f"{value:.4g}"))
