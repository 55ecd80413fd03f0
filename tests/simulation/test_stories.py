"""What comes of a drop, whatever goes wrong with calls and events on the way: the same as when nothing does."""

import pytest

from tests.simulation.play import History, by_seed

SEEDS = (8, 9, 20)
"""Seeds that make much trouble."""

HEARD = dict.fromkeys(
    (
        *("tick to reconcile_runs", "tick to track_deployment", "wish 1 of r1 to promote_model"),
        *("approval-given.by-role of r1 to record_approval", "approval-refused.with-reason of r1 to record_approval"),
    ),
    0,
)
"""Who says something is heard: an event of people's that is lost is theirs to send again. Schedules are on time, so
that what happens hours later finds that over which came before it."""

STORIES: dict[str, tuple[dict[str, int], dict[str, str]]] = {
    "two datasets dropped at once": (
        {"story: more drops": 1, "story: dataset of r2": 1},
        {"r1": "PROMOTED", "r2": "PROMOTED"},
    ),
    "a dataset validated and evaluated in parts": (
        {"story: validated and evaluated in parts": 1},
        {"r1": "PROMOTED"},
    ),
    "a candidate that is no better": ({"story: how good r1 is": 1}, {"r1": "NOT_PROMOTED"}),
    "drops that cannot be trained on": (
        {"story: more drops": 1, "story: files of r1": 2, "story: files of r2": 3, "story: dataset of r2": 1},
        {"r1": "REJECTED", "r2": "REJECTED"},
    ),
    "files whose training failed, dropped again": (
        {
            "story: how r1 ends training, 1": 2,
            "story: more drops": 1,
            "story: files of r2": 1,
            "story: when r2 is dropped": 2,
        },
        {"r1": "FAILED", "r2": "PROMOTED"},
    ),
    "a training stopped by hand": ({"story: how r1 ends training, 1": 4}, {"r1": "STOPPED"}),
    "a training at its time limit": ({"story: how r1 ends training, 1": 5}, {"r1": "STOPPED"}),
    "no capacity, then a fault of AWS": (
        {"story: how r1 ends training, 1": 1, "story: how r1 ends training, 2": 3},
        {"r1": "PROMOTED"},
    ),
    "no quota for a while": ({"story: no quota at first": 2}, {"r1": "PROMOTED"}),
    "an approval that is given": ({"story: approval asked": 1}, {"r1": "PROMOTED"}),
    "an approval that nobody gives": (
        {"story: approval asked": 1, "story: who answers for r1": 1},
        {"r1": "REJECTED"},
    ),
    "an approval that is refused": (
        {"story: approval asked": 1, "story: who answers for r1": 2},
        {"r1": "REJECTED"},
    ),
    "an import that fails and frees the slot": (
        {"story: how r1 ends its import": 1, "story: more drops": 1, "story: dataset of r2": 1},
        {"r1": "FAILED", "r2": "PROMOTED"},
    ),
    "the slot is somebody else's for two hours": ({"story: somebody else imports": 1}, {"r1": "PROMOTED"}),
    "the slot is somebody else's for more than a day": ({"story: somebody else imports": 2}, {"r1": "FAILED"}),
    "a model whose deletion fails for ever": (
        {"story: how good r1 is": 1, "story: deletions fail": 1},
        {"r1": "NOT_PROMOTED"},
    ),
    "imports that a policy denies": ({"story: a policy denies": 2}, {"r1": "FAILED"}),
    "a champion that is better than the next": (
        {"story: more drops": 1, "story: when r2 is dropped": 2},
        {"r1": "PROMOTED", "r2": "NOT_PROMOTED"},
    ),
    "the next champion": (
        {"story: more drops": 1, "story: when r2 is dropped": 2, "story: rivals of r2": 1},
        {"r1": "PROMOTED", "r2": "PROMOTED"},
    ),
    "a month's cap that has room for two jobs at a time": (
        {"story: a monthly cap": 1, "story: more drops": 1, "story: dataset of r2": 1},
        {"r1": "PROMOTED", "r2": "PROMOTED"},
    ),
}


def told(seed: int, story: dict[str, int]) -> History:
    history = by_seed(seed, story=story | HEARD)
    assert not history.violation, (history.violation, history.schedule)
    return history


@pytest.mark.parametrize("name", STORIES)
def test_a_story_ends_the_same_whatever_goes_wrong_on_its_way(name: str) -> None:
    story, ends = STORIES[name]
    for seed in SEEDS:
        assert told(seed, story).ends == ends


def test_the_same_files_dropped_twice_are_trained_once() -> None:
    for seed in SEEDS:
        history = told(seed, {"story: more drops": 1, "story: files of r2": 1})
        assert sorted(history.ends.values()) == ["PROMOTED", "REJECTED"]
        assert len(history.world.sagemaker.jobs) == 1


def test_of_two_candidates_that_end_together_one_is_the_champion_and_the_other_is_compared_with_it() -> None:
    for seed in SEEDS:
        history = told(seed, {"story: more drops": 1, "story: when r2 is dropped": 1})
        assert sorted(history.ends.values()) == ["NOT_PROMOTED", "PROMOTED"]
        assert history.ends[history.champions["receipts"]] == "PROMOTED"


ROLLBACK = {
    "story: more drops": 1,
    "story: when r2 is dropped": 2,
    "story: rivals of r2": 1,
    "story: wishes": 1,
}
"""Two champions, one after the other; then a person asks for the first one again."""


def test_a_rollback_brings_the_former_champion_back() -> None:
    for seed in SEEDS:
        assert told(seed, ROLLBACK).champions == {"receipts": "r1"}


def test_a_former_champion_is_deleted_after_its_time() -> None:
    for seed in SEEDS:
        history = told(seed, {**ROLLBACK, "story: wishes": 0, "story: a week passes": 1})
        assert history.champions == {"receipts": "r2"}
        assert len(history.world.bedrock.deleted) == 1


def test_a_former_champion_makes_room_for_a_new_model() -> None:
    for seed in SEEDS:
        history = told(seed, {**ROLLBACK, "story: wishes": 0, "story: models of others": 2})
        assert history.champions == {"receipts": "r1"}
        assert history.ends == {"r1": "PROMOTED", "r2": "FAILED"}
