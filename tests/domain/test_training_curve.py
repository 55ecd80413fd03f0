"""What a log tells becomes curves, whatever else stands in it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reporting.sample_run_reports import LOG, METRICS
from tunedrop.domain.jumpstart import MetricDefinition
from tunedrop.domain.training_curve import POINTS_LIMIT, STEP_LOSS, step_in, training_curves

TRANSFORMERS = (
    MetricDefinition(name="huggingface-textgeneration:eval-loss", regex=r"'eval_loss': ([0-9]+\.[0-9]+)"),
    MetricDefinition(name="huggingface-textgeneration:train-loss", regex=r"'loss': ([0-9]+\.[0-9]+)"),
)


def test_steps_and_metrics_of_llama_recipes_stand_where_in_the_epochs_they_were_read() -> None:
    curves = training_curves(LOG, METRICS)

    assert curves.by_epoch
    steps, validation = curves.named(STEP_LOSS), curves.named("eval-loss")
    assert steps
    assert validation
    assert len(steps.points) == 216
    assert steps.points[0] == (pytest.approx(1 / 72), 2.8)
    assert validation.points == ((1.0, 0.61), (2.0, 0.34), (3.0, 0.22))


def test_the_trainer_of_transformers_names_the_epoch_itself() -> None:
    log = (
        "{'loss': 1.5, 'learning_rate': 0.0001, 'epoch': 0.5}",
        "{'eval_loss': 1.25, 'eval_runtime': 3.2, 'epoch': 1.0}",
        "{'loss': 0.75, 'epoch': 1.5}",
    )
    curves = training_curves(log, TRANSFORMERS)

    assert curves.curves == (("train-loss", ((0.5, 1.5), (1.5, 0.75))), ("eval-loss", ((1.0, 1.25),)))


def test_without_an_epoch_readings_are_numbered() -> None:
    curves = training_curves(("eval_epoch_loss=tensor(0.5", "x", "eval_epoch_loss=tensor(0.25"), METRICS)

    assert not curves.by_epoch
    assert curves.curves == (("eval-loss", ((1.0, 0.5), (2.0, 0.25))),)


def test_a_long_curve_is_thinned_to_means_and_keeps_its_end() -> None:
    lines = (f"Training Epoch: 1/1, step {step}/10000 completed (loss: {step % 2}.0)" for step in range(1, 10_001))
    (curve,) = training_curves(lines, ()).curves

    assert POINTS_LIMIT / 2 < len(curve.points) <= POINTS_LIMIT
    assert curve.points[-1][0] == 1.0
    assert all(0.4 < value < 0.6 for _, value in curve.points)


@given(
    st.lists(
        st.one_of(
            st.text(max_size=60),
            st.from_regex(
                r"Training Epoch: [0-9]{1,12}/[0-9]{1,12}, step [0-9]{1,12}/[0-9]{1,12} completed "
                r"\(loss: [0-9.]{1,40}\)",
                fullmatch=True,
            ),
            st.from_regex(r"eval_epoch_loss=tensor\([0-9.]{1,400}\) 'epoch': [0-9.]{1,20}", fullmatch=True),
        ),
        max_size=20,
    )
)
def test_no_line_of_a_log_breaks_the_curves(lines: list[str]) -> None:
    for curve in training_curves(lines, METRICS).curves:
        assert curve.points
        assert all(math.isfinite(at) and at >= 0 and math.isfinite(value) and value >= 0 for at, value in curve.points)


def test_a_step_beyond_its_epoch_passes_no_more_than_that() -> None:
    step = step_in("Training Epoch: 2/2, step 90/72 completed (loss: 0.5)")
    assert step
    assert step.passed == 2.0
