"""What to try next: told from what was measured, each with the number that it rests on."""

from collections.abc import Iterator

from tunedrop.domain.evaluation_report import EvaluationReport, LabelResult
from tunedrop.domain.notice import next_step
from tunedrop.domain.scoring import LUCK
from tunedrop.domain.training_curve import Curve
from tunedrop.domain.words import number, share_words
from tunedrop.reporting.run_report import RunReport
from tunedrop.validation.report import ValidationReport

ROSE = 1.05
"""A last validation loss this many times the lowest one says that the model learnt the rows by heart."""

FELL = 0.97
"""A last validation loss below this share of the one before says that training ended early."""

CUT = 0.02
"""The share of rows cut off that is worth another `max_input_length`."""

WEAK_RECALL = 0.5
"""The recall below which a label is told."""

FEW_ROWS = 5
"""The rows that a label or a segment has at least to be told."""

LABELS_TOLD = 3

BEHIND = 0.15
"""How far a segment's score lies below the whole's to be told."""

_MISTAKES = 3


def advice(report: RunReport) -> Iterator[str]:
    """Yield what to do next, the first thing first, each in a sentence or two."""
    sentence, command = next_step(report.run)
    yield f"{sentence}: {command}"
    yield from _of_training(report)
    if report.evaluation:
        yield from _of_answers(report.evaluation)
    if report.validation:
        yield from _of_data(report.validation)


def _of_training(report: RunReport) -> Iterator[str]:
    curve = report.curves.named("eval-loss")
    if curve is None or len(curve.points) < 2:  # noqa: PLR2004 - one point has no direction
        return
    yield from _of_validation_loss(curve)


def _of_validation_loss(curve: Curve) -> Iterator[str]:
    lowest = min(value for _, value in curve.points)
    before, last = curve.points[-2][1], curve.last
    if last > lowest * ROSE:
        yield (
            f"The validation loss rose from {lowest:.3g} to {last:.3g} towards the end: train fewer epochs, or with a "
            "lower learning_rate."
        )
    elif last < before * FELL:
        yield (
            f"The validation loss was still falling, from {before:.3g} to {last:.3g} in the last epoch: more epochs "
            "may help."
        )


def _of_answers(report: EvaluationReport) -> Iterator[str]:
    compared = [each[report.metric] for each in report.comparisons.values() if report.metric in each]
    if any(each.gain > 0 and (each.low < report.min_gain or each.p_value > LUCK) for each in compared):
        rows = report.sides["candidate"].rows
        yield f"{number(rows, 'row')} were held out: more of them tell a gain from luck."
    weak = [each for each in report.labels if each.rows >= FEW_ROWS and _recall(each) < WEAK_RECALL][:LABELS_TOLD]
    for label in weak:
        yield (
            f"Of {number(label.rows, 'row')} labelled “{label.label}” the tuned model knew "
            f"{label.sides['candidate'].right}: add rows of that label, or see whether they are labelled right."
        )
    mistaken = (each for each in report.confusions if each.side == "candidate" and each.answered is not None)
    if (worst := next(mistaken, None)) and worst.rows >= _MISTAKES:
        yield (
            f"{number(worst.rows, 'row')} labelled “{worst.expected}” were answered “{worst.answered}”: add rows that "
            "tell the two apart."
        )
    whole = report.sides["candidate"].value
    behind = [
        each
        for each in report.segments
        if each.segment is not None and each.rows >= FEW_ROWS and each.values["candidate"] < whole - BEHIND
    ]
    for segment in sorted(behind, key=lambda each: each.values["candidate"])[:LABELS_TOLD]:
        yield (
            f"The segment “{segment.segment}” scores {segment.values['candidate']:.3f}, below the whole's {whole:.3f}: "
            "add rows of it."
        )


def _recall(label: LabelResult) -> float:
    return label.sides["candidate"].right / label.rows


def _of_data(report: ValidationReport) -> Iterator[str]:
    rows = report.training_rows + report.validation_rows + report.held_out_rows
    tokens = report.tokens
    if tokens and tokens.max_input_length and rows and tokens.truncated_rows > rows * CUT:
        yield (
            f"{share_words(tokens.truncated_rows, rows)} of the rows are cut off at {tokens.max_input_length:,} "
            f"tokens; the longest has {tokens.longest:,}: raise max_input_length, or shorten them."
        )
    if leaked := report.duplicates.leaked:
        yield f"{number(leaked, 'row')} to measure with are trained on too, and flatter the score: remove them."
