"""How answers are judged, and when a candidate is promoted."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

GAIN_DIGITS = 9
"""Decimals that a gain is rounded to: 0.95 against 0.90 is a gain of 0.05, whatever floating point makes of it."""


class Verdict(NamedTuple):
    """Say whether the candidate is promoted, and why in one sentence for people."""

    passed: bool
    sentence: str


def exact_matches(pairs: Iterable[tuple[str, str]]) -> list[bool]:
    """Flag which (expected, answer) pairs are equal.

    Both are stripped of surrounding white space, and of nothing else: case, punctuation and inner spaces count.
    """
    return [expected.strip() == answer.strip() for expected, answer in pairs]


def gain(candidate: float, other: float) -> float:
    """Subtract two scores; positive when the candidate is better."""
    return round(candidate - other, GAIN_DIGITS)


def verdict(candidate: float, against: Mapping[str, float], min_gain: float) -> Verdict:
    """Decide on promotion: the candidate must be better than each of `against`, by `min_gain` or more.

    Scores are in 0..1. `against` holds those that exist, by the name that people read (`base`, `champion`). Without
    any, a score above zero passes.
    """
    if not against:
        return Verdict(candidate > 0, f"The tuned model scored {candidate:.3f}; it was compared with nothing.")
    gains = {name: gain(candidate, score) for name, score in against.items()}
    compared = " and ".join(f"{_difference(gains[name])} the {name} model ({against[name]:.3f})" for name in against)
    asked = f"at least {min_gain:.3f} better" if min_gain > 0 else "better"
    return Verdict(
        all(each > 0 and each >= min_gain for each in gains.values()),
        f"The tuned model scored {candidate:.3f}, {compared}; {asked} was asked for.",
    )


def _difference(value: float) -> str:
    if value == 0:
        return "the same as"
    return f"{abs(value):.3f} {'better' if value > 0 else 'worse'} than"
