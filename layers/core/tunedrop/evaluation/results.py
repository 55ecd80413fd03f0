"""What all answers come to: scores, comparisons, tables, and the verdict."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.plan import EvaluationPlan, MetricName
from tunedrop.domain.run import AnswerPrice, Score
from tunedrop.domain.scoring import Rival, verdict
from tunedrop.evaluation import tables
from tunedrop.evaluation.metrics import score
from tunedrop.evaluation.paired import compare
from tunedrop.evaluation.partial import Columns, PartialResult
from tunedrop.evaluation.rows import BASE, CANDIDATE, HeldOut, HeldOutRow

_FULL = 1 - 1e-9

PriceOf = Callable[[str, float], AnswerPrice | None]
"""Model id, mean latency in ms → what its answers cost."""


def results(plan: EvaluationPlan, rows: HeldOut, whole: PartialResult, price_of: PriceOf) -> EvaluationReport:
    """Judge what all rows came to; the candidate is among those that could be asked."""
    deciding = {side: columns.scores[plan.metric] for side, columns in whole.sides.items()}
    documents, segments = [], []
    for row in rows:
        documents.append(row.source)
        segments.append(row.segment)
    comparisons = {
        side: compare(whole.sides[CANDIDATE].scores, columns.scores, documents)
        for side, columns in whole.sides.items()
        if side != CANDIDATE
    }
    sides = {side: _score(plan.metric, columns, price_of) for side, columns in whole.sides.items()}
    guess = _guess(plan.metric, rows, deciding[CANDIDATE], documents)
    passed, sentence = verdict(
        sides[CANDIDATE].value,
        {side: Rival(sides[side].value, by_metric[plan.metric]) for side, by_metric in comparisons.items()},
        guess,
        plan.min_gain,
    )
    if BASE in sides and not whole.differing:
        sentence += _the_same(len(rows))
    sentence += "".join(f" The {side} model could not be asked: {message}" for side, message in whole.silent.items())
    if BASE in whole.silent and plan.base_required:
        # A comparison that was asked for and did not happen proves nothing. A champion that cannot be called, on the
        # other hand, is of no use to anybody.
        passed = False
        mend = (
            "Drop again when its endpoint can be had"
            if plan.base_endpoint
            else "Drop again when the account can call it"
        )
        sentence += f" {mend}, or write evaluate: {{against: [champion]}}."
    labels = {side: columns.labels for side, columns in whole.sides.items()}
    by_label, confusions = tables.label_table([row.right for row in rows], labels) if labels[CANDIDATE] else ((), ())
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
        segments=tables.segment_table(segments, deciding),
        differing=whole.differing,
        side_by_side=tables.side_by_side(whole.shown),
    )


def _guess(
    metric: MetricName, rows: Iterable[HeldOutRow], candidate: Sequence[float], documents: Sequence[str | None]
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


def _score(metric: MetricName, columns: Columns, price_of: PriceOf) -> Score:
    number = len(columns.latencies_ms)
    means: Mapping[MetricName, float] = {name: sum(given) / number for name, given in columns.scores.items()}
    latency = sum(columns.latencies_ms) / number
    return Score(
        model_id=columns.model_id,
        value=means[metric],
        metrics=dict(means),
        correct=sum(each >= _FULL for each in columns.scores[metric]),
        rows=number,
        mean_latency_ms=latency,
        input_tokens=columns.input_tokens,
        output_tokens=columns.output_tokens,
        price=price_of(columns.model_id, latency),
    )
