"""The optional judge: a model on Bedrock that grades the answers, checked before the launch and told in words.

It informs, and decides nothing: docs/adr/ says why.
https://docs.aws.amazon.com/bedrock/latest/userguide/evaluation-judge.html
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from difflib import get_close_matches
from typing import Final

from tunedrop.contracts.tune_spec import TuneSpec
from tunedrop.domain.plan import JudgeMetric, JudgePlan, Technique
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Judgement, JudgeScore
from tunedrop.domain.scoring import interval_words

MOST_ROWS: Final = 1_000
"""Prompts of one evaluation job."""

PATIENCE: Final = timedelta(hours=12)
"""How long a run waits for its judge before it ends without."""

LESS_IS_BETTER: Final[frozenset[JudgeMetric]] = frozenset({"Harmfulness", "Stereotyping", "Refusal"})
"""Metrics of which a grade near 1 is bad: it says how much of it there is in an answer."""

AS_OF: Final = "2026-11"
"""When the tables below were taken from AWS's documentation."""

EVALUATORS: Final = frozenset(
    {
        "amazon.nova-pro-v1:0",
        "amazon.nova-2-lite-v1:0",
        "amazon.nova-micro-v1:0",
        "amazon.nova-premier-v1:0",
        "anthropic.claude-3-haiku-20240307-v1:0",
        "anthropic.claude-3-5-haiku-20241022-v1:0",
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "anthropic.claude-3-5-sonnet-20241022-v2:0",
        "anthropic.claude-3-7-sonnet-20250219-v1:0",
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "anthropic.claude-opus-4-5-20251101-v1:0",
        "anthropic.claude-sonnet-4-20250514-v1:0",
        "anthropic.claude-sonnet-4-5-20250929-v1:0",
        "meta.llama3-1-70b-instruct-v1:0",
        "mistral.mistral-large-2402-v1:0",
    }
)
"""The models that Bedrock documents as judges by its own metrics."""

_FAMILIES: Final = ("amazon.nova-", "anthropic.claude-", "meta.llama", "mistral.mistral-large-", "openai.gpt-")
"""Beginnings of the ids of models some of which judge: AWS adds others of them, month by month."""

REGIONS: Final = frozenset(
    {
        *("us-east-1", "us-east-2", "us-west-2", "us-gov-east-1", "us-gov-west-1"),
        *("ca-central-1", "sa-east-1"),
        *("eu-central-1", "eu-central-2", "eu-west-1", "eu-west-2", "eu-west-3"),
        *("ap-northeast-1", "ap-south-1", "ap-southeast-2"),
    }
)
"""Where Bedrock evaluates models. https://docs.aws.amazon.com/bedrock/latest/userguide/evaluation-support.html"""

_PROFILE: Final = re.compile(r"(?P<geography>global|us-gov|us|eu|apac|jp|au|ca)\.(?P<model>.+)")
_REGIONS_OF: Final = {"jp": "ap-northeast-", "au": "ap-southeast-", "apac": "ap-", "global": ""}
"""How the Regions begin that call a geography's inference profiles, where the two do not begin alike."""


def judge_problems(spec: TuneSpec, region: str) -> Iterator[Problem]:
    """Refuse a judge that Bedrock has not, or not in this Region."""
    if spec.evaluate.judge is None:
        return
    asked, where = spec.evaluate.judge.evaluator_model, spec.where("evaluate.judge.evaluator_model")
    if region not in REGIONS:
        yield Problem(
            code="judge.region",
            message=f"Bedrock evaluates no models in {region}.",
            where=where,
            fix=f"Leave `judge` out, or deploy the stack in one of {', '.join(sorted(REGIONS))}.",
        )
    profile = _PROFILE.fullmatch(asked)
    model = profile["model"] if profile else asked
    if profile and not _serves(profile["geography"], region):
        yield Problem(
            code="judge.region",
            message=f"{asked} is an inference profile that {region} does not call.",
            where=where,
            fix=f"Name {model} itself, or the profile of this Region's geography.",
        )
    if model not in EVALUATORS and not model.startswith(_FAMILIES):
        near = get_close_matches(model, sorted(EVALUATORS), n=1)
        guess = f"Did you mean {near[0]}? " if near else ""
        yield Problem(
            code="judge.evaluator",
            message=f"{asked} is no model that Bedrock judges with.",
            where=where,
            fix=f"{guess}Known ({AS_OF}): {', '.join(sorted(EVALUATORS))}, and inference profiles of them.",
        )


def judge_warnings(spec: TuneSpec, technique: Technique) -> Iterator[str]:
    """Say what the judge costs as far as anybody knows, what it does not see, and whether Bedrock may refuse it."""
    judge = spec.evaluate.judge
    if judge is None:
        return
    yield (
        f"judge: Bedrock bills {judge.evaluator_model} by tokens for up to {2 * MOST_ROWS * len(judge.metrics):,} "
        "grades, each of which reads the prompt, the right answer and the model's. The price is not known here: it is "
        "in no estimate, and neither budget nor cap limits it."
    )
    profile = _PROFILE.fullmatch(judge.evaluator_model)
    if (profile["model"] if profile else judge.evaluator_model) not in EVALUATORS:
        yield (
            f"judge: {judge.evaluator_model} is not among the models that are known to judge ({AS_OF}). Should Bedrock "
            "refuse it, the run ends without a judgement."
        )
    if technique is Technique.VISUAL_QA:
        yield "judge: it reads the prompts and the answers, and sees no pictures."


def judge_words(judge: JudgePlan) -> str:
    """Say what the judge will do."""
    return (
        f"Then {judge.evaluator_model} grades both models' answers on Bedrock for {', '.join(judge.metrics)}, on at "
        f"most {MOST_ROWS:,} rows. That is told, and decides nothing."
    )


def judgement_lines(judgement: Judgement) -> Iterator[str]:
    """Tell what the judge said, a line each metric; or why it said nothing."""
    if judgement.failure:
        yield f"no judgement: {judgement.failure}"
        return
    if not judgement.over:
        yield f"{judgement.evaluator_model} is grading the answers"
        return
    yield f"{judgement.evaluator_model} graded {graded_rows(judgement)}; its grades decide nothing"
    for metric, score in judgement.scores.items():
        yield f"{metric_words(metric)}: {_grades(judgement, score)}"


def graded_rows(judgement: Judgement) -> str:
    """Say how many answers the judge was handed."""
    drawn = f", drawn from {judgement.of_rows:,} held-out rows" if judgement.rows < judgement.of_rows else ""
    return f"{judgement.rows:,} answers of each model{drawn}"


def metric_words(metric: JudgeMetric) -> str:
    """Name a metric, and say when less of it is better."""
    return f"{metric} (less is better)" if metric in LESS_IS_BETTER else metric


def _grades(judgement: Judgement, score: JudgeScore) -> str:
    told = f"tuned {score.candidate:.3f}"
    if score.rival is not None and score.comparison:
        gain = f"{score.comparison.gain:+.3f} ({interval_words(score.comparison)})"
        told += f", {judgement.rival} {score.rival:.3f}, difference {gain}"
    return f"{told}, {score.rows:,} rows"


def _serves(geography: str, region: str) -> bool:
    gov = region.startswith("us-gov-")
    if geography in {"us", "us-gov"}:
        return region.startswith("us-") and gov is (geography == "us-gov")
    return region.startswith(_REGIONS_OF.get(geography, f"{geography}-"))
