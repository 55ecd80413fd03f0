"""The paired statistics are those of scipy, and a gain that luck explains is not taken for one."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from tunedrop.domain.run import Comparison
from tunedrop.domain.scoring import Rival, verdict
from tunedrop.evaluation.paired import FEWEST_RESAMPLES, RESAMPLES, compare, interval, mcnemar, resamples, sign_flips

SURE = Rival(0.0, Comparison(gain=1, low=1, high=1, p_value=0, better=9, worse=0, rows=9, documents=9))
"""A gain over guessing that nobody doubts."""


def compared(
    candidate: Sequence[float], other: Sequence[float], documents: Sequence[str | None] | None = None
) -> Comparison:
    found = compare({"token_f1": candidate}, {"token_f1": other}, documents or [None] * len(candidate))
    return found["token_f1"]


@pytest.mark.parametrize("rows", [1, 5, 12, 80, 1_000])
def test_mcnemar_is_the_exact_binomial_test(rows: int) -> None:
    draw = random.Random(rows)  # noqa: S311 - no secret
    for _ in range(20):
        better = draw.randint(0, rows)
        expected = stats.binomtest(better, rows).pvalue
        assert mcnemar(better, rows - better) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_models_that_agree_says_nothing() -> None:
    assert mcnemar(0, 0) == 1


@pytest.mark.parametrize("rows", [8, 40, 400])
def test_the_interval_is_scipy_s_percentile_bootstrap(rows: int) -> None:
    generator = np.random.default_rng(rows)
    gains = np.column_stack([generator.normal(0.1, 0.4, rows), generator.integers(-1, 2, rows)])
    low, high = interval(gains, np.ones(rows, np.int64))
    for column in range(2):
        peer = stats.bootstrap(
            (gains[:, column],), np.mean, method="percentile", n_resamples=RESAMPLES, rng=np.random.default_rng(7)
        )
        # Two bootstraps of 10,000 resamples each differ by chance in some 4 % of the standard error.
        tolerance = 0.2 * peer.standard_error
        assert low[column] == pytest.approx(peer.confidence_interval.low, abs=tolerance)
        assert high[column] == pytest.approx(peer.confidence_interval.high, abs=tolerance)


def test_rows_of_a_document_are_resampled_together() -> None:
    generator = np.random.default_rng(3)
    sizes = generator.integers(1, 9, 50)
    sums = generator.normal(0.2, 1, 50) * sizes
    low, high = interval(sums[:, np.newaxis], sizes)
    peer = stats.bootstrap(
        (sums, sizes),
        lambda gain, rows, axis: gain.sum(axis=axis) / rows.sum(axis=axis),
        paired=True,
        method="percentile",
        n_resamples=RESAMPLES,
        rng=np.random.default_rng(7),
    )
    tolerance = 0.2 * peer.standard_error
    assert (low[0], high[0]) == pytest.approx(tuple(peer.confidence_interval), abs=tolerance)


@pytest.mark.parametrize(("rows", "tolerance"), [(6, 1e-12), (12, 1e-12), (60, 0.02)])
def test_the_permutation_test_is_scipy_s(rows: int, tolerance: float) -> None:
    generator = np.random.default_rng(rows)
    gains = generator.normal(0.15, 0.5, (rows, 2))
    for column, found in enumerate(sign_flips(gains)):
        peer = stats.permutation_test(
            (gains[:, column],),
            np.sum,
            permutation_type="samples",
            n_resamples=RESAMPLES,
            rng=np.random.default_rng(7),
        )
        assert found == pytest.approx(peer.pvalue, abs=tolerance)


def test_of_right_and_wrong_answers_the_permutation_test_is_mcnemar_s() -> None:
    gains = np.array([1.0] * 14 + [-1.0] * 5 + [0.0] * 30)
    assert sign_flips(gains[:, np.newaxis]) == [mcnemar(14, 5)]
    # By chance, mixed with a column that is counted by chance, it comes out nearly the same.
    fractions = gains * np.linspace(0.99, 1.01, len(gains))
    assert sign_flips(fractions[:, np.newaxis])[0] == pytest.approx(mcnemar(14, 5), abs=0.02)


def test_a_comparison_counts_and_is_the_same_each_time() -> None:
    found = compared([1, 1, 0, 0.5], [0, 1, 1, 0.25])
    assert (found.gain, found.better, found.worse, found.rows, found.documents) == (0.0625, 2, 1, 4, 4)
    assert compared([1, 1, 0, 0.5], [0, 1, 1, 0.25]) == found


def test_a_hundred_questions_about_three_documents_are_three_things_to_know() -> None:
    better, worse = [1.0] * 40 + [0.0] * 60, [0.0] * 100
    documents = ["a"] * 40 + ["b"] * 30 + ["c"] * 30
    apart, together = compared(better, worse), compared(better, worse, documents)
    assert apart.gain == together.gain == 0.4
    assert (apart.documents, together.documents) == (100, 3)
    assert apart.low > 0.25
    assert apart.p_value < 0.001
    assert together.low == 0
    assert together.p_value == 1


def test_of_equal_models_hardly_any_is_promoted_however_few_the_rows() -> None:
    """The test of the gate itself: two models right half the time, and a gain is luck by construction."""
    draw = random.Random(5)  # noqa: S311 - no secret
    for rows in (2, 5, 10, 20):
        promoted = 0
        for _ in range(150):
            candidate, other = ([float(draw.random() < 0.5) for _ in range(rows)] for _ in range(2))
            found = compared(candidate, other)
            promoted += verdict(sum(candidate) / rows, {"base": Rival(sum(other) / rows, found)}, SURE, 0.05).passed
        assert promoted <= 150 * 0.05


def test_thousands_of_rows_are_resampled_within_little_memory() -> None:
    generator = np.random.default_rng(1)
    better, other = generator.random(5_000), generator.random(5_000)
    found = compared(better.tolist(), other.tolist())
    standard_error = float((better - other).std()) / 5_000**0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * standard_error, rel=0.05)


def test_very_many_documents_are_drawn_less_often_and_a_usual_number_as_often_as_is_said() -> None:
    assert [resamples(units) for units in (1, 80, 20_000)] == [RESAMPLES] * 3
    assert [resamples(units) for units in (100_000, 600_000)] == [FEWEST_RESAMPLES] * 2
    assert resamples(40_000) == RESAMPLES // 2


def test_the_interval_of_many_documents_is_that_of_the_normal_distribution() -> None:
    units = 50_000
    gains = np.random.default_rng(3).normal(0.1, 1, (units, 1))
    low, high = interval(gains, np.ones(units, np.int64))
    half = 1.96 * gains.std() / units**0.5
    assert low[0] == pytest.approx(gains.mean() - half, abs=half / 10)
    assert high[0] == pytest.approx(gains.mean() + half, abs=half / 10)
