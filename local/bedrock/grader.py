"""Grade an answer by the words that it shares with the right one.

Bedrock has a large language model read question, answer and right answer. No model that could be trusted with that
runs on a laptop's CPU, so this one reads words: grades here say how near an answer is to the right one to the letter,
and nothing of what it means.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

_WORD = re.compile(r"\w+")


def correctness(response: str, reference: str) -> tuple[float, str]:
    """Grade on Bedrock's three steps: right, half right, wrong; returns the grade and why."""
    given, right = _words(response), _words(reference)
    shared = (given & right).total()
    if given == right:
        return 1.0, "The answer has the words of the reference, and no others."
    score = 2 * shared / ((given + right).total() or 1)
    step = 0.5 if score >= 0.5 else 0.0  # noqa: PLR2004 - as many words shared as not
    return step, f"The answer shares {shared} of its {given.total()} words with the reference's {right.total()}."


def completeness(response: str, reference: str) -> tuple[float, str]:
    """Grade on Bedrock's five steps how much of the reference is there; returns the grade and why."""
    given, right = _words(response), _words(reference)
    shared = (given & right).total()
    steps = 4 * shared // (right.total() or 1)
    return steps / 4, f"The answer has {shared} of the reference's {right.total()} words."


GRADERS: dict[str, Callable[[str, str], tuple[float, str]]] = {
    "Builtin.Correctness": correctness,
    "Builtin.Completeness": completeness,
}
"""What can be told without a language model: the metrics for which Bedrock looks at the reference, too."""


def _words(text: str) -> Counter[str]:
    return Counter(word.casefold() for word in _WORD.findall(text))
