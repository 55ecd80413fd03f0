"""When a candidate is promoted: it must be better by so much, and surely so."""

import math
from collections.abc import Mapping
from statistics import NormalDist
from typing import NamedTuple

from tunedrop.domain.run import Comparison

GAIN_DIGITS = 9
"""Decimals that a gain is rounded to: 0.95 against 0.90 is a gain of 0.05, whatever floating point makes of it."""

LUCK = 0.05
"""The p-value above which a gain may be luck."""

_SURE = NormalDist().inv_cdf(1 - LUCK / 2)

_LEAST_SURE = 0.25
"""Standard deviations that a gain is taken for at least: a single better row has a p-value of 1, which is none."""

_TENS = 10


class Rival(NamedTuple):
    """Hold what the candidate is compared with."""

    score: float
    comparison: Comparison


class Verdict(NamedTuple):
    """Say whether the candidate is promoted, and why, for people."""

    passed: bool
    sentence: str


def gain(candidate: float, other: float) -> float:
    """Subtract two scores; positive when the candidate is better."""
    return round(candidate - other, GAIN_DIGITS)


def verdict(candidate: float, against: Mapping[str, Rival], guess: Rival, min_gain: float) -> Verdict:
    """Decide on promotion: the candidate must surely be better than each of `against`, by `min_gain` or more.

    Scores are in 0..1. `against` holds the models that exist, by the name that people read (`base`, `champion`).
    `guess` is the score of one and the same answer to every row, which the candidate must surely beat as well: a base
    that does not know the labels scores nothing, and whoever has learnt no more than their names would pass.
    """
    compared = _compared(candidate, against, min_gain)
    if not compared.passed or _certain(guess.comparison, 0.0):
        return compared
    return Verdict(
        passed=False,
        sentence=f"{compared.sentence} But answering every row with the most frequent right answer scores "
        f"{guess.score:.3f}, and the tuned model is not surely better than that "
        f"(gain {interval_words(guess.comparison)}, p = {guess.comparison.p_value:.3f}): see whether "
        "the labels of the training rows are right, and hold out more rows.",
    )


def _compared(candidate: float, against: Mapping[str, Rival], min_gain: float) -> Verdict:
    if not against:
        return Verdict(candidate > 0, f"The tuned model scored {candidate:.3f}; it was compared with nothing.")
    compared = " and ".join(
        f"{_difference(rival)} the {name} model ({_known(rival)})" for name, rival in against.items()
    )
    asked = f"at least {min_gain:.3f} better" if min_gain > 0 else "better"
    sentence = f"The tuned model scored {candidate:.3f}, {compared}; {asked} was asked for."
    seemingly = [rival.comparison for rival in against.values() if _enough(rival.comparison.gain, min_gain)]
    doubtful = [each for each in seemingly if not _certain(each, min_gain)]
    if doubtful and len(seemingly) == len(against):
        sentence += f" {_too_few(doubtful, min_gain)}"
    return Verdict(len(seemingly) == len(against) and not doubtful, sentence)


def interval_words(comparison: Comparison) -> str:
    """Write the 95 % interval of a gain."""
    return f"{comparison.low:+.3f} to {comparison.high:+.3f}"


def _enough(value: float, min_gain: float) -> bool:
    return value > 0 and value >= min_gain


def _certain(comparison: Comparison, min_gain: float) -> bool:
    """Hold the interval's lower end against what was asked; only the exact test knows how little few rows say."""
    return _enough(comparison.low, min_gain) and comparison.p_value <= LUCK


def _difference(rival: Rival) -> str:
    value = rival.comparison.gain
    if value == 0:
        return "the same as"
    return f"{abs(value):.3f} {'better' if value > 0 else 'worse'} than"


def _known(rival: Rival) -> str:
    return f"{rival.score:.3f}; 95% interval of the gain {interval_words(rival.comparison)}"


def _too_few(doubtful: list[Comparison], min_gain: float) -> str:
    """Say that the rows do not tell the gain from luck, and about how many would, should the gain stay what it is."""
    worst = min(doubtful, key=lambda each: each.low)
    unit = "rows" if worst.documents == worst.rows else "documents"
    said = (
        f"That may be luck: {worst.documents} held-out {unit} are too few to be sure "
        f"(p = {worst.p_value:.3f}; the gain may be as low as {worst.low:+.3f})."
    )
    spare = worst.gain - min_gain
    if spare <= 0:
        return f"{said} No number of {unit} would tell a gain of just {min_gain:.3f}."
    # An interval narrows with the root of the rows; so grows what a test is sure of, in standard deviations.
    narrower = (worst.gain - worst.low) / spare
    surer = 1.0
    if worst.p_value > LUCK:
        surer = _SURE / max(NormalDist().inv_cdf(1 - worst.p_value / 2), _LEAST_SURE)
    wanted = worst.documents * max(narrower, surer) ** 2
    return f"{said} Hold out some {_TENS * (math.floor(wanted / _TENS) + 1):,}, should the gain stay so."
