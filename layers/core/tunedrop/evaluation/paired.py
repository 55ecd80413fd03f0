"""Is one model better than the other, or was it luck? Both answered the same rows, so the differences are compared.

Rows of one document are not independent: they are resampled together, and their signs are flipped together.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from tunedrop.domain.run import Comparison

CONFIDENCE: Final = 0.95
"""Of the two-sided interval of a gain."""

RESAMPLES: Final = 10_000

FEWEST_RESAMPLES: Final = 2_000
"""Of very many documents, whose intervals are narrow anyhow: half a million are compared in a minute or two."""

_DRAWS: Final = 200_000_000
"""Documents drawn for one interval, in all resamples together: some seven seconds of a core."""

SEED: Final = 0
"""The same rows and answers have the same interval, whoever computes it."""

_AT_ONCE: Final = 1 << 20
"""Numbers drawn together: 8 MB of them."""

_LISTED: Final = 12
"""Units up to which every way to flip their signs is looked at: fewer ways than resamples."""

_ROUNDING: Final = 1e-9


Metric = TypeVar("Metric", bound=str)


def compare(
    candidate: Mapping[Metric, Sequence[float]],
    other: Mapping[Metric, Sequence[float]],
    documents: Sequence[str | None],
) -> dict[Metric, Comparison]:
    """Compare two models' scores, row by row, by each metric.

    `documents` name the document of each row; None stands for a row of its own.
    """
    names = list(candidate)
    gains = np.array([candidate[name] for name in names]).T - np.array([other[name] for name in names]).T
    units = _units(documents)
    sums = np.zeros((int(units.max()) + 1, len(names)))
    np.add.at(sums, units, gains)
    low, high = interval(sums, np.bincount(units))
    p_values = sign_flips(sums)
    return {
        name: Comparison(
            gain=round(float(gains[:, column].mean()), 9),
            low=round(float(low[column]), 9),
            high=round(float(high[column]), 9),
            p_value=p_values[column],
            better=int((gains[:, column] > _ROUNDING).sum()),
            worse=int((gains[:, column] < -_ROUNDING).sum()),
            rows=len(gains),
            documents=len(sums),
        )
        for column, name in enumerate(names)
    }


def resamples(units: int) -> int:
    """Return how often so many documents are drawn: fewer times where they are many, for time's sake."""
    return max(FEWEST_RESAMPLES, min(RESAMPLES, _DRAWS // units))


def interval(sums: NDArray[np.float64], sizes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the percentile bootstrap's interval of the mean gain of a row, by column.

    `sums` are the gains of each document, a metric a column; `sizes` are the documents' rows.
    https://doi.org/10.1214/aos/1176344552
    """
    units = len(sums)
    generator = np.random.default_rng(SEED)
    means = []
    for number in _chunks(units):
        drawn = generator.integers(units, size=(number, units))
        drawn += np.arange(number)[:, np.newaxis] * units
        times = np.bincount(drawn.ravel(), minlength=number * units).reshape(number, units).astype(np.float64)
        means.append(times @ sums / (times @ sizes)[:, np.newaxis])
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return low, high


def mcnemar(better: int, worse: int) -> float:
    """Return the two-sided p-value of McNemar's test in its exact form: a fair coin, thrown `better + worse` times.

    https://doi.org/10.1007/BF02295996
    """
    thrown = better + worse
    ways = total = 1  # of no head among the throws
    for heads in range(1, min(better, worse) + 1):
        ways = ways * (thrown - heads + 1) // heads
        total += ways
    return min(1.0, float(2 * total / 2**thrown))


def sign_flips(sums: NDArray[np.float64]) -> list[float]:
    """Return the two-sided p-values of the paired permutation test, by column.

    How often would random signs of the documents' gains give a sum as extreme? Where all gains are of one size, as
    those of right and wrong answers without documents, that is McNemar's exact test.
    https://doi.org/10.1214/088342304000000396
    """
    exact = [_exact(column[np.abs(column) > _ROUNDING]) for column in sums.T]
    by_chance = _by_chance(sums) if None in exact else np.ones(len(exact))
    return [float(chance) if known is None else known for known, chance in zip(exact, by_chance, strict=True)]


def _exact(differing: NDArray[np.float64]) -> float | None:
    """Return the p-value where it can be counted, of gains that are not zero."""
    if not len(differing):
        return 1.0
    if np.ptp(np.abs(differing)) <= _ROUNDING:
        better = int((differing > 0).sum())
        return mcnemar(better, len(differing) - better)
    if len(differing) > _LISTED:
        return None
    bits = np.arange(1 << len(differing))[:, np.newaxis] >> np.arange(len(differing)) & 1
    return float((np.abs((2.0 * bits - 1) @ differing) >= abs(differing.sum()) - _ROUNDING).mean())


def _by_chance(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    units = len(sums)
    extreme = np.abs(sums.sum(axis=0)) - _ROUNDING
    generator = np.random.default_rng(SEED)
    # The signs as they are count as one of the resamples: a p-value is never zero.
    found = np.ones(sums.shape[1])
    for number in _chunks(units):
        bits = np.unpackbits(np.frombuffer(generator.bytes(number * units // 8 + 1), np.uint8), count=number * units)
        found += (np.abs((bits.reshape(number, units) * 2.0 - 1) @ sums) >= extreme).sum(axis=0)
    return found / (resamples(units) + 1)


def _units(documents: Sequence[str | None]) -> NDArray[np.int64]:
    """Number the documents; a row without one is its own."""
    numbers: dict[str | int, int] = {}
    keys = (row if document is None else document for row, document in enumerate(documents))
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _chunks(units: int) -> Iterator[int]:
    """Divide the resamples into what is drawn at once."""
    size = max(1, _AT_ONCE // units)
    number = resamples(units)
    yield from (min(size, number - first) for first in range(0, number, size))
