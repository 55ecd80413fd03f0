"""What MLflow is told of a run: all that tells two runs apart, and no text of a row."""

import re

import pytest

from tests.domain.sample_runs import RUN_ID
from tests.reporting.sample_run_reports import LOG, ended, evaluation
from tunedrop.domain.run import RunStatus
from tunedrop.domain.tracking import NOTE_TAG, RUN_TAG, TrackedRun, tracked_run
from tunedrop.domain.training_curve import TrainingCurves, training_curves

MLFLOW_NAME = re.compile(r"[\w./: -]{1,250}")
"""https://mlflow.org/docs/latest/rest-api.html#request-limits and MLflow's own check of names."""


def told(status: RunStatus) -> TrackedRun:
    run = ended(status)
    curves = TrainingCurves()
    if run.training and run.plan:
        curves = training_curves(LOG, run.plan.training.metrics)
    return tracked_run("tunedrop", run, evaluation() if run.evaluation else None, curves)


def test_a_promoted_run_is_told_with_its_losses_its_scores_and_their_intervals() -> None:
    run = told(RunStatus.PROMOTED)
    values = {each.name: each.value for each in run.metrics}
    report = evaluation()
    assert (run.experiment, run.status) == ("tunedrop/banking77", "FINISHED")
    assert values["candidate.exact_match"] == report.sides["candidate"].metrics["exact_match"]
    gain = report.comparisons["base"]["exact_match"]
    assert [values[f"gain_over_base.exact_match{what}"] for what in ("", ".low", ".high", ".p")] == [
        gain.gain,
        gain.low,
        gain.high,
        gain.p_value,
    ]
    losses = [(each.step, each.value) for each in run.metrics if each.name == "eval-loss"]
    assert len(losses) > 1
    assert losses == sorted(losses)
    assert run.parameters["epoch"] == "2"
    assert run.parameters["model_id"] == "meta-textgeneration-llama-3-2-1b-instruct"


def test_what_the_model_was_made_of_and_where_it_lies_are_tags() -> None:
    run = told(RunStatus.PROMOTED)
    assert run.tags[RUN_TAG] == RUN_ID
    assert run.tags["tunedrop.file.train.jsonl"].endswith("?versionId=v1")
    assert run.tags["tunedrop.request_hash"]
    assert run.tags["tunedrop.report"].endswith(f"runs/{RUN_ID}/report.html")
    assert run.tags[NOTE_TAG]


@pytest.mark.parametrize(
    ("status", "tracked"),
    [
        (RunStatus.PROMOTED, "FINISHED"),
        (RunStatus.NOT_PROMOTED, "FINISHED"),
        (RunStatus.FAILED, "FAILED"),
        (RunStatus.STOPPED, "KILLED"),
        (RunStatus.REJECTED, "FAILED"),
    ],
)
def test_every_end_is_told_in_mlflow_s_words_and_names(status: RunStatus, tracked: str) -> None:
    run = told(status)
    assert run.status == tracked
    for name in (*run.tags, *run.parameters, *(each.name for each in run.metrics)):
        assert MLFLOW_NAME.fullmatch(name), name


def test_no_text_of_a_row_is_told() -> None:
    content = told(RunStatus.PROMOTED).model_dump_json()
    report = evaluation()
    quoted = [report.side_by_side[0].prompt, *report.side_by_side[0].expected, *(each.label for each in report.labels)]
    assert not [text for text in quoted if text in content]
