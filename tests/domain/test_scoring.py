"""A candidate is promoted when it is better than all there was, by as much as was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.scoring import exact_matches, token_f1, verdict

scores = st.integers(min_value=0, max_value=80).map(lambda correct: correct / 80)


def test_answers_match_when_only_surrounding_white_space_differs() -> None:
    pairs = [("a b", " a b\n"), ("\ta", "a\u2028"), ("a", "A"), ("a b", "a  b"), ("a", "a."), ("", " ")]
    assert exact_matches(pairs) == [True, True, False, False, False, True]


def test_no_pair_is_no_flag() -> None:
    assert exact_matches([]) == []


@pytest.mark.parametrize(
    ("candidate", "against", "min_gain", "passed"),
    [
        (0.95, {"base": 0.90}, 0.05, True),
        (0.9625, {"base": 0.0}, 0.05, True),
        (0.94, {"base": 0.90}, 0.05, False),
        (0.95, {"base": 0.0, "champion": 0.94}, 0.05, False),
        (0.95, {"base": 0.94, "champion": 0.0}, 0.05, False),
        (0.95, {"base": 0.1, "champion": 0.90}, 0.05, True),
        (0.90, {"base": 0.90}, 0.0, False),
        (0.91, {"base": 0.90}, 0.0, True),
        (0.0, {"base": 0.0}, 0.0, False),
        (0.1, {}, 0.5, True),
        (0.0, {}, 0.0, False),
    ],
)
def test_promotion(*, candidate: float, against: dict[str, float], min_gain: float, passed: bool) -> None:
    assert verdict(candidate, against, min_gain).passed is passed


@given(scores, scores, st.sampled_from([0.0, 0.05, 0.1, 0.25]))
def test_the_champion_counts_as_much_as_the_base(candidate: float, other: float, min_gain: float) -> None:
    alone = verdict(candidate, {"base": other}, min_gain).passed
    assert verdict(candidate, {"champion": other}, min_gain).passed is alone
    assert verdict(candidate, {"base": other, "champion": other}, min_gain).passed is alone


def test_the_sentence_says_what_was_compared() -> None:
    assert verdict(0.9625, {"base": 0.0, "champion": 0.97}, 0.05).sentence == (
        "The tuned model scored 0.963, 0.963 better than the base model (0.000) and "
        "0.007 worse than the champion model (0.970); at least 0.050 better was asked for."
    )
    assert verdict(0.5, {"base": 0.5}, 0.0).sentence == (
        "The tuned model scored 0.500, the same as the base model (0.500); better was asked for."
    )


def test_with_nothing_to_compare_with_the_sentence_says_so() -> None:
    assert verdict(0.5, {}, 0.05).sentence == "The tuned model scored 0.500; it was compared with nothing."


@pytest.mark.parametrize(
    ("expected", "answer", "score"),
    [
        ("the pump runs at 37 bar", "The pump runs at 37 bar.", 1.0),
        ("the pump runs", "a pump", 2 / 3),
        ("red green", "green red red", 4 / 5),
        ("red", "blue", 0.0),
        ("", "", 1.0),
        ("red", "", 0.0),
    ],
)
def test_token_f1_is_the_share_of_common_words(expected: str, answer: str, score: float) -> None:
    assert token_f1(expected, answer) == pytest.approx(score)
