"""What all answers come to: scores, comparisons, tables, and the verdict."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, get_args

from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.plan import EvaluationPlan, MetricName
from tunedrop.domain.run import AnswerPrice, Score
from tunedrop.domain.scoring import Rival, verdict
from tunedrop.evaluation import tables
from tunedrop.evaluation.metrics import score
from tunedrop.evaluation.paired import compare
from tunedrop.evaluation.rows import REFUSED, HeldOutRow, StoredAnswer

CANDIDATE: Final = "candidate"
BASE: Final = "base"

METRIC_NAMES: tuple[MetricName, ...] = get_args(MetricName)

_FULL = 1 - 1e-9

PriceOf = Callable[[str, float], AnswerPrice | None]
"""Model id, mean latency in ms → what its answers cost."""


def scored(rows: Sequence[HeldOutRow], answers: Sequence[StoredAnswer]) -> list[StoredAnswer]:
    """Score one side's answers by every metric."""
    return [
        StoredAnswer(
            side=each.side,
            model_id=each.model_id,
            row=each.row,
            expected=each.expected,
            answer=each.answer,
            scores={
                name: 0.0 if each.answer.stop_reason == REFUSED else score(name, row.right, each.answer.text)
                for name in METRIC_NAMES
            },
        )
        for row, each in zip(rows, answers, strict=True)
    ]


def results(
    plan: EvaluationPlan,
    rows: Sequence[HeldOutRow],
    answers: Mapping[str, Sequence[StoredAnswer]],
    silent: Mapping[str, str],
    price_of: PriceOf,
    *,
    labels: bool,
) -> EvaluationReport:
    """Judge scored answers, by side.

    `silent` says of the models that could not be asked why not. `labels` asks for a table of them; the metric
    `label_accuracy` has one anyhow.
    """
    values = {
        side: {name: [each.scores[name] for each in given] for name in METRIC_NAMES} for side, given in answers.items()
    }
    deciding = {side: by_metric[plan.metric] for side, by_metric in values.items()}
    documents = [row.source for row in rows]
    comparisons = {
        side: compare(values[CANDIDATE], by_metric, documents)
        for side, by_metric in values.items()
        if side != CANDIDATE
    }
    sides = {side: _score(plan.metric, values[side], given, price_of) for side, given in answers.items()}
    texts = {side: [each.answer.text for each in given] for side, given in answers.items()}
    differing = tables.differing(texts, CANDIDATE, BASE) if BASE in answers else []
    guess = _guess(plan.metric, rows, deciding[CANDIDATE], documents)
    passed, sentence = verdict(
        sides[CANDIDATE].value,
        {side: Rival(sides[side].value, by_metric[plan.metric]) for side, by_metric in comparisons.items()},
        guess,
        plan.min_gain,
    )
    if BASE in answers and not differing:
        sentence += _the_same(len(rows))
    sentence += "".join(f" The {side} model could not be asked: {message}" for side, message in silent.items())
    if BASE in silent:
        # A comparison that was asked for and did not happen proves nothing. A champion that cannot be called, on the
        # other hand, is of no use to anybody.
        passed = False
        sentence += " Allow the account to call it, or write evaluate: {against: [champion]}."
    expected = [row.completion for row in rows]
    by_label, confusions = (
        tables.label_table(expected, texts) if labels or plan.metric == "label_accuracy" else ((), ())
    )
    return EvaluationReport(
        metric=plan.metric,
        min_gain=plan.min_gain,
        passed=passed,
        verdict=sentence,
        sides=sides,
        comparisons=comparisons,
        guess=guess.score,
        guess_comparison=guess.comparison,
        labels=by_label,
        confusions=confusions,
        segments=tables.segment_table([row.segment for row in rows], deciding),
        differing=len(differing),
        side_by_side=tables.side_by_side(
            differing, [row.asked for row in rows], [row.right for row in rows], texts, deciding
        ),
    )


def _guess(
    metric: MetricName, rows: Sequence[HeldOutRow], candidate: Sequence[float], documents: Sequence[str | None]
) -> Rival:
    """Compare the candidate with who knows the held-out rows' most frequent answer, and nothing of the question."""
    ((answer, _),) = Counter(row.completion.strip() for row in rows).most_common(1)
    values = [score(metric, row.right, answer) for row in rows]
    return Rival(sum(values) / len(values), compare({metric: candidate}, {metric: values}, documents)[metric])


def _the_same(rows: int) -> str:
    return (
        f" Beware: the base and the tuned model gave the same answers to all {rows} rows. Most likely they are the "
        "same weights, or the training changed nothing: see what BaseModels names for this model, and the losses."
    )


def _score(
    metric: MetricName,
    values: Mapping[MetricName, Sequence[float]],
    answers: Sequence[StoredAnswer],
    price_of: PriceOf,
) -> Score:
    number = len(answers)
    means = {name: sum(given) / number for name, given in values.items()}
    latency = sum(each.answer.latency_ms for each in answers) / number
    return Score(
        model_id=answers[0].model_id,
        value=means[metric],
        metrics=means,
        correct=sum(each >= _FULL for each in values[metric]),
        rows=number,
        mean_latency_ms=latency,
        input_tokens=sum(each.answer.input_tokens for each in answers),
        output_tokens=sum(each.answer.output_tokens for each in answers),
        price=price_of(answers[0].model_id, latency),
    )
