"""How right one answer is, from 0 to 1: each metric as it was published.

Where a row has several right answers, the one that the answer is nearest to counts. docs/evaluation.md holds the
formulas.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rapidfuzz.distance import LCSseq, Levenshtein

from tunedrop.domain.plan import MetricName

ANLS_THRESHOLD: Final = 0.5
"""Below this similarity an answer is wrong rather than misread. https://arxiv.org/abs/1907.00490 (section 3.2)"""

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_AROUND_LABELS = " .,;:!?'\"`*_()[]{}"
_WORDS = re.compile(r"[^\W_]+")


def exact_match(right: str, answer: str) -> float:
    """Return 1 for the same text; surrounding white space does not count, and all else does."""
    return float(right.strip() == answer.strip())


def normalised_match(right: str, answer: str) -> float:
    """Return 1 for the same text but for case, ASCII punctuation, English articles and white space: SQuAD's EM.

    https://arxiv.org/abs/1606.05250 (section 6.1)
    """
    return float(_normalised(right) == _normalised(answer))


def token_f1(right: str, answer: str) -> float:
    """Compare the words, normalised as in `normalised_match`, whatever their order: SQuAD's F1.

    https://arxiv.org/abs/1606.05250 (section 6.1); two texts without words are equal, as in SQuAD 2.0's script.
    """
    words, answered = Counter(_normalised(right).split()), Counter(_normalised(answer).split())
    if not words or not answered:
        return float(words == answered)
    return 2 * (words & answered).total() / (words.total() + answered.total())


def rouge_l(right: str, answer: str) -> float:
    """Compare the longest sequence of words that both share: ROUGE-L's F1 over the whole text, without stemming.

    https://aclanthology.org/W04-1013 (section 3.1). Words are letters and digits, in lower case. Google's rouge-score
    takes those of a to z alone, which leaves nothing of other scripts; on English text both are the same.
    """
    words, answered = _WORDS.findall(right.lower()), _WORDS.findall(answer.lower())
    if not words or not answered:
        return float(words == answered)
    return 2 * LCSseq.similarity(words, answered) / (len(words) + len(answered))


def anls(right: str, answer: str) -> float:
    """Compare the characters, as DocVQA does: 1 less the share to be edited, and 0 where that is more than half.

    https://arxiv.org/abs/1907.00490. Case and white space do not count. The benchmark's own script takes the lengths
    before it strips the texts, so that blanks at the end flatter an answer; here they are taken after.
    """
    one, other = (" ".join(text.lower().split()) for text in (right, answer))
    similarity = Levenshtein.normalized_similarity(one, other)
    return similarity if similarity >= ANLS_THRESHOLD else 0.0


def label_of(text: str) -> str:
    """Read a label: the first line that is not blank, without case, and without what a sentence puts around a word.

    Signs that may be all that tells two labels apart stay: `A+` and `A-`, `C` and `C#`, `<5` and `>5`.
    """
    line = next((each for each in text.splitlines() if each.strip()), "")
    plain = " ".join(line.casefold().split())
    return plain.strip(_AROUND_LABELS) or plain


def label_accuracy(right: str, answer: str) -> float:
    """Return 1 when the answer names the label, whatever it adds on further lines."""
    return float(label_of(right) == label_of(answer))


METRICS: Mapping[MetricName, Callable[[str, str], float]] = {
    "exact_match": exact_match,
    "normalised_match": normalised_match,
    "token_f1": token_f1,
    "rouge_l": rouge_l,
    "anls": anls,
    "label_accuracy": label_accuracy,
}
"""Right answer, answer → score."""


def score(metric: MetricName, right: Sequence[str], answer: str) -> float:
    """Score an answer by the right one that it is nearest to."""
    measure = METRICS[metric]
    return max(measure(each, answer) for each in right)


def _normalised(text: str) -> str:
    """Normalise as SQuAD's script does: punctuation is removed, not replaced, and then articles are."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
