"""Each metric gives what its publication says, and what an implementation of another kind gives."""

import random
import re
import string

import pytest

from tunedrop.domain.plan import MetricName
from tunedrop.evaluation.metrics import METRICS, label_of, score

PAIRS = 1_000

_WORDS = (
    "a",
    "the",
    "an",
    "Then",
    "cat",
    "Cat",
    "sat",
    "mat.",
    "on",
    "37.5",
    "bar",
    "it's",
    "U.S.",
    "banana",
    "x-ray",
    "",
)


def _pairs() -> list[tuple[str, str]]:
    """Make pairs of which one is a changed copy of the other, or a text of its own."""
    draw = random.Random(1)  # noqa: S311 - no secret
    pairs = []
    for number in range(PAIRS):
        right = [draw.choice(_WORDS) for _ in range(draw.randint(0, 12))]
        answer = list(right) if number % 4 else [draw.choice(_WORDS) for _ in range(draw.randint(0, 12))]
        for _ in range(draw.choice((0, 0, 0, 1, 2, 4))):
            answer[draw.randint(0, len(answer)) : draw.randint(0, len(answer))] = [draw.choice(_WORDS)]
        text = draw.choice((" ", "  ", "\n")).join(answer)
        at = draw.randint(0, len(text))
        pairs.append(
            (
                " ".join(right),
                text[:at] + (draw.choice(("q", "!", "É", "_", "")) + text[at + 1 :] if number % 3 else text[at:]),
            )
        )
    return pairs


def _squad_words(text: str) -> list[str]:
    """Normalise as SQuAD's script does, step by step over the characters."""
    kept = "".join(each for each in text.lower() if each not in set(string.punctuation))
    return re.sub(r"\b(a|an|the)\b", " ", kept).split()


def _squad_f1(right: str, answer: str) -> float:
    words, answered = _squad_words(right), _squad_words(answer)
    if not words or not answered:
        return float(words == answered)
    left, same = list(words), 0
    for each in answered:
        if each in left:
            left.remove(each)
            same += 1
    if not same:
        return 0.0
    precision, recall = same / len(answered), same / len(words)
    return 2 * precision * recall / (precision + recall)


def _rouge_l(right: str, answer: str) -> float:
    """Fill the whole table of common subsequences."""
    words, answered = (re.sub(r"[^a-z0-9é]+", " ", text.lower()).split() for text in (right, answer))
    table = [[0] * (len(answered) + 1) for _ in range(len(words) + 1)]
    for row, one in enumerate(words, 1):
        for column, other in enumerate(answered, 1):
            same = table[row - 1][column - 1] + 1
            table[row][column] = same if one == other else max(table[row - 1][column], table[row][column - 1])
    common = table[-1][-1]
    if not words or not answered:
        return float(words == answered)
    if not common:
        return 0.0
    precision, recall = common / len(answered), common / len(words)
    return 2 * precision * recall / (precision + recall)


def _anls(right: str, answer: str) -> float:
    """Fill the whole table of edits."""
    one, other = (" ".join(text.lower().split()) for text in (right, answer))
    row = list(range(len(other) + 1))
    for number, first in enumerate(one, 1):
        above, row = row, [number]
        for place, second in enumerate(other, 1):
            row.append(min(above[place] + 1, row[-1] + 1, above[place - 1] + (first != second)))
    longest = max(len(one), len(other))
    similarity = 1 - row[-1] / longest if longest else 1.0
    return similarity if similarity >= 0.5 else 0.0


def _first_line(right: str, answer: str) -> float:
    def read(text: str) -> str:
        line = re.sub(r"\s+", " ", text.strip().split("\n")[0]).strip().casefold()
        return re.sub(r"""^[ .,;:!?'"`*_()\[\]{}]+|[ .,;:!?'"`*_()\[\]{}]+$""", "", line) or line

    return float(read(right) == read(answer))


INDEPENDENT = {
    "exact_match": lambda right, answer: float(re.sub(r"^\s+|\s+$", "", right) == re.sub(r"^\s+|\s+$", "", answer)),
    "normalised_match": lambda right, answer: float(_squad_words(right) == _squad_words(answer)),
    "token_f1": _squad_f1,
    "rouge_l": _rouge_l,
    "anls": _anls,
    "label_accuracy": _first_line,
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_thousand_random_pairs_score_as_another_implementation_says(metric: MetricName) -> None:
    pairs = _pairs()
    expected = [INDEPENDENT[metric](right, answer) for right, answer in pairs]
    assert [METRICS[metric](right, answer) for right, answer in pairs] == pytest.approx(expected, abs=1e-12)
    # The pairs are a fair trial: neither all right nor all wrong.
    assert PAIRS * 0.05 < sum(each > 0 for each in expected) < PAIRS


@pytest.mark.parametrize(
    ("metric", "right", "answer", "value"),
    [
        ("exact_match", "a b", " a b\n", 1),
        ("exact_match", "\ta", "a\u2028", 1),
        ("exact_match", "a", "A", 0),
        ("exact_match", "a b", "a  b", 0),
        ("exact_match", "a", "a.", 0),
        ("normalised_match", "The Eiffel Tower!", "eiffel  tower", 1),
        ("normalised_match", "it's", "its", 1),
        ("normalised_match", "37.5", "37 5", 0),
        ("token_f1", "the pump runs at 37 bar", "The pump runs at 37 bar.", 1),
        ("token_f1", "the pump runs", "a pump", 2 / 3),
        ("token_f1", "red green", "green red red", 4 / 5),
        ("token_f1", "red", "blue", 0),
        ("token_f1", "", "", 1),
        ("token_f1", "red", "", 0),
        # The example of the ROUGE paper: S1 against S2 and S3, https://aclanthology.org/W04-1013
        ("rouge_l", "police killed the gunman", "police kill the gunman", 3 / 4),
        ("rouge_l", "police killed the gunman", "the gunman kill police", 1 / 2),
        ("rouge_l", "警察 が 来た", "警察 が 来た", 1),
        ("anls", "Nike Inc", "nike inc", 1),
        ("anls", "0.28", "0.78", 3 / 4),
        ("anls", "abcd", "abxy", 1 / 2),
        ("anls", "abc", "axy", 0),
        ("anls", "cat", "dog" + " " * 100, 0),
        ("label_accuracy", "Client Hosting", "client hosting.\nBecause of the casino.", 1),
        ("label_accuracy", "A", "the", 0),
        ("label_accuracy", "A", '\n"a"', 1),
        ("label_accuracy", "+", "-", 0),
        ("label_accuracy", "A+", "A-", 0),
        ("label_accuracy", "C", "c#", 0),
        ("label_accuracy", "<5", ">5", 0),
        ("label_accuracy", "A+", "**A+**.", 1),
    ],
)
def test_known_answers(metric: MetricName, right: str, answer: str, value: float) -> None:
    assert METRICS[metric](right, answer) == pytest.approx(value)


def test_the_nearest_of_several_right_answers_counts() -> None:
    assert score("exact_match", ("two", "2"), "2") == 1
    assert score("anls", ("abcdef", "abcd"), "abcd") == 1
    assert score("token_f1", ("red green", "blue"), "red") == pytest.approx(2 / 3)


def test_a_label_is_never_empty_unless_the_text_is() -> None:
    assert [label_of(text) for text in ("!", " \n ", "“Yes”\n", "[RED-1]")] == ["!", "", "“yes”", "red-1"]


def test_long_answers_take_no_long_time() -> None:
    """Eight thousand characters a side would take a plain table 64 million steps; this ends while the tests run."""
    right, answer = "ab cd" * 1_600, "ba dc" * 1_600
    for name in METRICS:
        assert 0 <= METRICS[name](right, answer) <= 1
