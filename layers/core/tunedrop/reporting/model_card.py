"""The model card of a run that was evaluated: what the model is, what it was made of, and how well it does.

In the form of SageMaker's model cards, so that `aws sagemaker create-model-card --content file://model-card.json` takes
it as it is, and in Markdown. It quotes no row: it may go wherever the model goes.
https://docs.aws.amazon.com/sagemaker/latest/dg/model-cards-api-json-schema.html
"""

from collections.abc import Iterator
from typing import Any, Final

from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.judge import graded_rows, metric_words
from tunedrop.domain.plan import Plan, TrainingPlan
from tunedrop.domain.run import Run
from tunedrop.domain.words import number
from tunedrop.reporting.run_report import SIDES, RunReport

MOST_DATASETS: Final = 10
MOST_HYPERPARAMETERS: Final = 100
VALUE_CHARACTERS: Final = 255
"""What the schema has room for."""

UNKNOWN_RISK: Final = "Nobody has rated it: rate the use that you make of it."


def model_card(report: RunReport) -> dict[str, Any] | None:
    """Return the card; None for a run whose model was never evaluated."""
    run, evaluation = report.run, report.evaluation
    if run.plan is None or run.training is None or run.evaluation is None or evaluation is None:
        return None
    return {
        "model_overview": {
            "model_description": f"{run.plan.model_id} {run.plan.model_version}, tuned on the dataset {run.dataset} "
            f"({run.plan.data.technique}) by Tunedrop's run {run.run_id}, which ended {run.status}.",
            "model_creator": run.drop.uploaded_by,
            "model_artifact": [uri for uri in (run.training.artifact_uri,) if uri],
            "algorithm_type": run.plan.data.technique.value,
        },
        "intended_uses": {
            "purpose_of_model": f"To answer as the rows of {run.dataset} do.",
            "factors_affecting_model_efficiency": _held_out_words(evaluation),
            "risk_rating": "Unknown",
            "explanations_for_risk_rating": UNKNOWN_RISK,
        },
        "training_details": _training(report, run, run.plan),
        "evaluation_details": [_evaluation(run, evaluation), *_judgement(run)],
        "additional_information": {
            "caveats_and_recommendations": run.evaluation.verdict[:2048],
            "custom_details": dict(_custom(run, run.plan)),
        },
    }


def _training(report: RunReport, run: Run, plan: Plan) -> dict[str, Any]:
    if run.training is None:
        raise AssertionError(f"run {run.run_id} was never trained")
    details: dict[str, Any] = {
        "training_arn": run.training.job_arn,
        "training_datasets": [_version(run.drop.bucket, each.key, each.version_id) for each in plan.files][
            :MOST_DATASETS
        ],
        "training_metrics": [{"name": each.name, "value": each.value} for each in run.training.metrics],
        "hyper_parameters": [
            {"name": name, "value": value[:VALUE_CHARACTERS]}
            for name, value in sorted(plan.training.hyperparameters.items())[:MOST_HYPERPARAMETERS]
        ],
    }
    if isinstance(plan.training, TrainingPlan):
        details["training_environment"] = {"container_image": [plan.training.image_uri]}
    rows = f"{number(run.data.training_rows, 'row')} to train on. " if run.data else ""
    losses = [f"{each.name} {each.last:.4g} at the end" for each in report.curves.curves if "loss" in each.name]
    return {"training_observations": f"{rows}{'; '.join(losses)}"[:1024], "training_job_details": details}


def _evaluation(run: Run, report: EvaluationReport) -> dict[str, Any]:
    compared = [
        {
            "name": f"Gain over the {SIDES[side]} model",
            "metric_data": [
                {
                    "name": metric,
                    "type": "number",
                    "value": each.gain,
                    "notes": f"95% interval {each.low:+.4f} to {each.high:+.4f}, p = {each.p_value:.4g}, "
                    f"{number(each.documents, 'document')} of {number(each.rows, 'row')}",
                }
                for metric, each in comparisons.items()
            ],
        }
        for side, comparisons in report.comparisons.items()
    ]
    scores = [
        {
            "name": f"The {SIDES[side]} model",
            "metric_data": [
                {"name": metric, "type": "number", "value": value, "notes": f"{score.model_id}, mean of the rows"}
                for metric, value in score.metrics.items()
            ],
        }
        for side, score in report.sides.items()
    ]
    return {
        "name": "Held-out rows",
        "evaluation_observation": report.verdict[:2096],
        "datasets": [run.evaluation.answers_uri] if run.evaluation else [],
        "metadata": {"metric that decides": report.metric, "gain asked for": f"{report.min_gain:g}"},
        "metric_groups": [*scores, *compared],
    }


def _judgement(run: Run) -> Iterator[dict[str, Any]]:
    """Tell the judge's grades, where there are any, apart from what decided."""
    judgement = run.judgement
    if judgement is None or not judgement.scores:
        return
    sides = {"tuned": "candidate", judgement.rival: "rival"} if judgement.rival else {"tuned": "candidate"}
    yield {
        "name": "Another model's judgement",
        "evaluation_observation": f"{judgement.evaluator_model} on Amazon Bedrock graded {graded_rows(judgement)}. Its "
        "grades decide nothing.",
        "metadata": {"judge": judgement.evaluator_model},
        "metric_groups": [
            {
                "name": f"Grades of the {name} model",
                "metric_data": [
                    {
                        "name": metric_words(metric),
                        "type": "number",
                        "value": getattr(score, member),
                        "notes": f"mean of {number(score.rows, 'row')}",
                    }
                    for metric, score in judgement.scores.items()
                ],
            }
            for name, member in sides.items()
        ],
    }


def _held_out_words(report: EvaluationReport) -> str:
    rows = report.sides["candidate"].rows
    return f"It was measured on {number(rows, 'held-out row')} of the same dataset, and on nothing else."


def _custom(run: Run, plan: Plan) -> Iterator[tuple[str, str]]:
    yield "run", run.run_id
    yield "dataset", run.dataset
    yield "tune.yaml", _version(run.drop.bucket, run.drop.key, run.drop.version_id)
    yield "fingerprint of all files", plan.fingerprint
    if run.request_hash:
        yield "hash of the training request", run.request_hash
    if isinstance(plan.training, TrainingPlan):
        yield "training script", plan.training.script_uri
    else:
        yield "recipe", plan.training.recipe
    if plan.eula:
        yield "licence agreement accepted by", f"{plan.eula.accepted_by}, {plan.eula.accepted_at:%Y-%m-%d}"
    if run.deployment and run.deployment.model_arn:
        yield run.deployment.kind, run.deployment.model_arn


def _version(bucket: str, key: str, version_id: str) -> str:
    return f"s3://{bucket}/{key}?versionId={version_id}"


def markdown(card: dict[str, Any], title: str) -> str:
    """Write a card for people: a heading for each part, and what it says."""
    return "\n".join([f"# {title}", *_lines(card, 2)]) + "\n"


def _lines(part: dict[str, Any], level: int) -> Iterator[str]:
    for name, value in part.items():
        heading = name.replace("_", " ").capitalize()
        match value:
            case dict() if all(isinstance(each, str) for each in value.values()):
                yield from ("", f"{'#' * level} {heading}", "")
                yield from (f"- {key.replace('_', ' ')}: {words}" for key, words in value.items())
            case dict():
                yield from ("", f"{'#' * level} {heading}")
                yield from _lines(value, level + 1)
            case [{"value": _}, *_]:
                yield from ("", f"{'#' * level} {heading}", "", "| | | |", "|---|---|---|")
                yield from (f"| {each['name']} | {_told(each['value'])} | {each.get('notes', '')} |" for each in value)
            case [dict(), *_]:
                for each in value:
                    rest = {key: inner for key, inner in each.items() if key != "name"}
                    yield from ("", f"{'#' * level} {each['name']}")
                    yield from _lines(rest, level + 1)
            case [*items]:
                yield from ("", f"{'#' * level} {heading}", "", *(f"- {each}" for each in items))
            case _:
                yield from ("", f"**{heading}.** {value}")


def _told(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
