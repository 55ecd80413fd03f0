"""A run as MLflow tracks it: what it was trained with, how it went, how well it does, and where all of it lies.

Numbers and names only: no text of a row.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Final, Literal

from tunedrop.domain import names
from tunedrop.domain.cost import training_usd
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.model import Record
from tunedrop.domain.plan import Plan, TrainingPlan
from tunedrop.domain.run import Run, RunStatus
from tunedrop.domain.training_curve import TrainingCurves, short_name

RUN_TAG: Final = "tunedrop.run_id"
"""By which a run is found again, so that it is tracked once."""

NOTE_TAG: Final = "mlflow.note.content"
"""What MLflow shows as the run's description.

https://mlflow.org/docs/latest/ml/tracking/tracking-api#system-tags
"""

_STEPS_OF_AN_EPOCH: Final = 1000
"""MLflow's steps are whole numbers: an epoch has so many."""


class TrackedMetric(Record):
    """Hold one value of a metric."""

    name: str
    value: float
    step: int = 0
    """Thousandths of an epoch, or how many values were read before, for a curve; 0 for a single value."""


class TrackedRun(Record):
    """Hold what MLflow is told of a run; the same run is told in the same words, whenever it is."""

    experiment: str
    run_id: str
    name: str
    status: Literal["FINISHED", "FAILED", "KILLED"]
    started_at: datetime
    ended_at: datetime
    tags: dict[str, str]
    parameters: dict[str, str]
    metrics: tuple[TrackedMetric, ...]


def tracked_run(stack: str, run: Run, report: EvaluationReport | None, curves: TrainingCurves) -> TrackedRun:
    """Tell of a run that has ended."""
    status: Literal["FINISHED", "FAILED", "KILLED"] = "FINISHED"
    if run.status is RunStatus.STOPPED:
        status = "KILLED"
    elif run.status in (RunStatus.FAILED, RunStatus.REJECTED):
        status = "FAILED"
    return TrackedRun(
        experiment=f"{stack}/{run.dataset}",
        run_id=run.run_id,
        name=f"{run.dataset}-{run.run_id[:8]}",
        status=status,
        started_at=run.created_at,
        ended_at=run.entered_at,
        tags={RUN_TAG: run.run_id, **dict(_tags(run))},
        parameters=dict(_parameters(run.plan)) if run.plan else {},
        metrics=tuple(_metrics(run, report, curves)),
    )


def _tags(run: Run) -> Iterator[tuple[str, str]]:
    yield "tunedrop.status", run.status.value
    yield "tunedrop.dataset", run.dataset
    yield "tunedrop.tune_yaml", f"s3://{run.drop.bucket}/{run.drop.key}?versionId={run.drop.version_id}"
    if run.plan:
        yield "tunedrop.fingerprint", run.plan.fingerprint
        for each in run.plan.files:
            yield f"tunedrop.file.{_key(each.name)}", f"{each.key}?versionId={each.version_id}"
        if isinstance(run.plan.training, TrainingPlan):
            yield "tunedrop.training_script", run.plan.training.script_uri
            yield "tunedrop.training_image", run.plan.training.image_uri
    if run.request_hash:
        yield "tunedrop.request_hash", run.request_hash
    if run.training:
        yield "tunedrop.training_job", run.training.job_arn
        if run.training.artifact_uri:
            yield "tunedrop.weights", run.training.artifact_uri
    if run.deployment and run.deployment.model_arn:
        yield f"tunedrop.{run.deployment.kind.replace(' ', '_')}", run.deployment.model_arn
    if run.evaluation:
        yield "tunedrop.answers", run.evaluation.answers_uri
        folder = run.evaluation.answers_uri.removesuffix(names.answers_key(run.run_id))
        yield "tunedrop.report", folder + names.run_page_key(run.run_id)
        yield "tunedrop.model_card", folder + names.model_card_key(run.run_id, "json")
        yield NOTE_TAG, run.evaluation.verdict


def _parameters(plan: Plan) -> Iterator[tuple[str, str]]:
    yield "model_id", plan.model_id
    yield "model_version", plan.model_version
    yield "technique", plan.data.technique.value
    yield "trained_on", plan.training.place
    yield "metric", plan.evaluation.metric
    yield "min_gain", f"{plan.evaluation.min_gain:g}"
    yield from sorted(plan.training.hyperparameters.items())


def _metrics(run: Run, report: EvaluationReport | None, curves: TrainingCurves) -> Iterator[TrackedMetric]:
    for curve in curves.curves:
        scale = _STEPS_OF_AN_EPOCH if curves.by_epoch else 1
        for at, value in curve.points:
            yield TrackedMetric(name=_key(curve.name), value=value, step=round(at * scale))
    if run.training:
        known = {_key(curve.name) for curve in curves.curves}
        for each in run.training.metrics:
            if (name := _key(short_name(each.name))) not in known:
                yield TrackedMetric(name=name, value=each.value)
        if run.training.billable_seconds is not None:
            yield TrackedMetric(name="billable_seconds", value=run.training.billable_seconds)
        if (usd := training_usd(run, run.entered_at)) is not None:
            yield TrackedMetric(name="training_usd", value=usd)
    if run.data:
        yield TrackedMetric(name="training_rows", value=run.data.training_rows)
        yield TrackedMetric(name="held_out_rows", value=run.data.held_out_rows)
    if report:
        yield from _of_answers(report)


def _of_answers(report: EvaluationReport) -> Iterator[TrackedMetric]:
    for side, score in report.sides.items():
        for metric, value in score.metrics.items():
            yield TrackedMetric(name=f"{side}.{metric}", value=value)
        yield TrackedMetric(name=f"{side}.latency_ms", value=score.mean_latency_ms)
    for side, comparisons in report.comparisons.items():
        for metric, each in comparisons.items():
            for what, value in (("", each.gain), (".low", each.low), (".high", each.high), (".p", each.p_value)):
                yield TrackedMetric(name=f"gain_over_{side}.{metric}{what}", value=value)
    yield TrackedMetric(name="passed", value=float(report.passed))


def _key(name: str) -> str:
    """Write a name in MLflow's alphabet."""
    return re.sub(r"[^\w./ -]", "_", name)
