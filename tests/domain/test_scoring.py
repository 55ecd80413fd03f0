"""A candidate is promoted when it is surely better than all there was, by as much as was asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.run import Comparison
from tunedrop.domain.scoring import Rival, verdict


def rival(
    gain: float, low: float, p_value: float = 0.001, *, score: float = 0.5, rows: int = 80, documents: int = 0
) -> Rival:
    comparison = Comparison(
        gain=gain,
        low=low,
        high=2 * gain - low,
        p_value=p_value,
        better=10,
        worse=2,
        rows=rows,
        documents=documents or rows,
    )
    return Rival(score, comparison)


SURE = rival(0.3, 0.2)
GUESS = rival(0.6, 0.5, score=0.1)
DOUBTFUL = rival(0.3, -0.1, 0.2)
WORSE = rival(-0.3, -0.4)


@pytest.mark.parametrize(
    ("against", "min_gain", "passed"),
    [
        ([SURE], 0.05, True),
        ([SURE], 0.2, True),
        ([SURE], 0.21, False),
        ([rival(0.05, 0.05)], 0.05, True),
        ([rival(0.05, 0.04)], 0.05, False),
        ([rival(0.05, 0.0)], 0.0, False),
        ([rival(0.05, 0.001)], 0.0, True),
        ([rival(0.3, 0.2, 0.05)], 0.05, True),
        ([rival(0.3, 0.2, 0.051)], 0.05, False),
        ([SURE, SURE], 0.05, True),
        ([SURE, DOUBTFUL], 0.05, False),
        ([WORSE, SURE], 0.05, False),
    ],
)
def test_promotion(*, against: list[Rival], min_gain: float, passed: bool) -> None:
    named = dict(zip(("base", "champion"), against, strict=False))
    assert verdict(0.8, named, GUESS, min_gain).passed is passed


@given(
    st.floats(-1, 1).map(lambda value: round(value, 3)),
    st.floats(0, 1).map(lambda value: round(value, 3)),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.05, 0.25]),
)
def test_the_champion_counts_as_much_as_the_base(gain: float, width: float, p_value: float, min_gain: float) -> None:
    other = rival(gain, gain - width, p_value)
    alone = verdict(0.9, {"base": other}, GUESS, min_gain)
    assert verdict(0.9, {"champion": other}, GUESS, min_gain).passed is alone.passed
    assert verdict(0.9, {"base": other, "champion": other}, GUESS, min_gain).passed is alone.passed
    assert alone.passed is (other.comparison.low > 0 and other.comparison.low >= min_gain and p_value <= 0.05)


def test_the_sentence_says_what_was_compared() -> None:
    against = {"base": rival(0.963, 0.912, score=0.0), "champion": rival(-0.007, -0.03, score=0.97)}
    assert verdict(0.9625, against, GUESS, 0.05).sentence == (
        "The tuned model scored 0.963, 0.963 better than the base model (0.000; 95% interval of the gain +0.912 to "
        "+1.014) and 0.007 worse than the champion model (0.970; 95% interval of the gain -0.030 to +0.016); at least "
        "0.050 better was asked for."
    )


def test_equal_models_are_said_to_be_so() -> None:
    assert verdict(0.5, {"base": rival(0, -0.1)}, GUESS, 0.0).sentence == (
        "The tuned model scored 0.500, the same as the base model (0.500; 95% interval of the gain -0.100 to +0.100); "
        "better was asked for."
    )


@pytest.mark.parametrize(
    ("doubtful", "said"),
    [
        (rival(0.4, 0.1, 0.125, rows=10), "10 held-out rows are too few to be sure (p = 0.125"),
        (rival(0.3, -0.1, 0.2, rows=10), "the gain may be as low as -0.100). Hold out some 30, should"),
        (rival(0.3, 0.2, 0.5, rows=2), "Hold out some 20, should"),
        (rival(0.3, -0.1, 0.2, rows=400, documents=5), "5 held-out documents are too few"),
        (rival(0.05, -0.1, 0.2), "No number of rows would tell a gain of just 0.050."),
    ],
)
def test_too_few_rows_are_said_to_be_too_few(doubtful: Rival, said: str) -> None:
    found = verdict(0.8, {"base": doubtful}, GUESS, 0.05)
    assert not found.passed
    assert "That may be luck" in found.sentence
    assert said in found.sentence


def test_of_a_model_that_is_no_better_nothing_is_said_of_luck() -> None:
    assert "luck" not in verdict(0.2, {"base": WORSE}, GUESS, 0.05).sentence
    assert "luck" not in verdict(0.2, {"base": DOUBTFUL, "champion": WORSE}, GUESS, 0.05).sentence


def test_without_anything_to_compare_with_a_score_passes_and_the_sentence_says_so() -> None:
    assert verdict(0.5, {}, GUESS, 0.05) == (True, "The tuned model scored 0.500; it was compared with nothing.")
    assert not verdict(0.0, {}, GUESS, 0.0).passed


@pytest.mark.parametrize("against", [{}, {"base": SURE}])
def test_who_only_knows_the_most_frequent_answer_is_not_promoted(against: dict[str, Rival]) -> None:
    for guess in (rival(0, 0, 1.0, score=0.8), rival(0.1, 0.0), rival(0.1, 0.05, 0.06), rival(-0.1, -0.2)):
        found = verdict(0.8, against, guess, 0.05)
        assert not found.passed
        assert "answering every row with the most frequent right answer" in found.sentence
    # It need not be better than that by as much as was asked for: rare labels leave no room.
    assert verdict(0.8, against, rival(0.02, 0.01), 0.05).passed


def test_who_is_not_better_than_the_base_is_told_that_alone() -> None:
    assert "most frequent" not in verdict(0.2, {"base": WORSE}, rival(-0.1, -0.2), 0.05).sentence
