"""How answers are judged, and when a candidate is promoted."""

from collections.abc import Iterable, Mapping

from tunedrop.domain.model import Record
from tunedrop.domain.run import Score

GAIN_DIGITS = 9
"""Decimals that a gain is rounded to: 0.95 against 0.90 is a gain of 0.05, whatever floating point makes of it."""


class Verdict(Record):
    """Say whether the candidate is promoted, and why in one sentence."""

    passed: bool
    sentence: str


def exact_match(pairs: Iterable[tuple[str, str]]) -> list[bool]:
    """Flag which (expected, answer) pairs are equal.

    Both are stripped of surrounding white space, and of nothing else: case, punctuation and inner spaces count.
    """
    return [expected.strip() == answer.strip() for expected, answer in pairs]


def gain(candidate: Score, other: Score) -> float:
    """Subtract the scores; positive when the candidate is better."""
    return round(candidate.value - other.value, GAIN_DIGITS)


def verdict(candidate: Score, against: Mapping[str, Score], min_gain: float) -> Verdict:
    """Decide on promotion: the candidate must beat each of `against`, by `min_gain` or more.

    `against` holds the scores that exist, by the name that people read (`base`, `champion`). Without any, a score
    above zero passes.
    """
    if not against:
        return Verdict(
            passed=candidate.value > 0,
            sentence=f"The tuned model scored {candidate.value:.3f}; it was compared with nothing.",
        )
    gains = {name: gain(candidate, score) for name, score in against.items()}
    passed = all(value > 0 and value >= min_gain for value in gains.values())
    compared = " and ".join(
        f"{_difference(value)} the {name} model ({against[name].value:.3f})" for name, value in gains.items()
    )
    asked = f"at least {min_gain:.3f} better" if min_gain > 0 else "better"
    return Verdict(
        passed=passed,
        sentence=f"The tuned model scored {candidate.value:.3f}, {compared}; {asked} was asked for.",
    )


def _difference(value: float) -> str:
    if value == 0:
        return "the same as"
    return f"{abs(value):.3f} {'better' if value > 0 else 'worse'} than"
