"""How answers are judged, and when a candidate is promoted."""

import string
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

GAIN_DIGITS = 9
"""Decimals that a gain is rounded to: 0.95 against 0.90 is a gain of 0.05, whatever floating point makes of it."""

_ARTICLES = frozenset({"a", "an", "the"})


class Verdict(NamedTuple):
    """Say whether the candidate is promoted, and why in one sentence for people."""

    passed: bool
    sentence: str


def exact_matches(pairs: Iterable[tuple[str, str]]) -> list[bool]:
    """Flag which (expected, answer) pairs are equal.

    Both are stripped of surrounding white space, and of nothing else: case, punctuation and inner spaces count.
    """
    return [expected.strip() == answer.strip() for expected, answer in pairs]


def token_f1(expected: str, answer: str) -> float:
    """Compare two texts by the words that they share, as SQuAD does: 1 for the same words, 0 for none in common.

    Case, punctuation and articles do not count. https://arxiv.org/abs/1606.05250 (section 6.1)
    """
    words, answered = Counter(_words(expected)), Counter(_words(answer))
    shared = (words & answered).total()
    if not words or not answered:
        return float(words == answered)
    return 2 * shared / (words.total() + answered.total())


def _words(text: str) -> list[str]:
    plain = "".join(" " if character in string.punctuation else character for character in text.lower())
    return [word for word in plain.split() if word not in _ARTICLES]


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
