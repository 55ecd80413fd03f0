"""What comes of a drop, whatever goes wrong with calls and events on the way: the same as when nothing does."""

import pytest

from tests.samples import STACK
from tests.simulation.play import History, by_seed
from tests.simulation.story import JUDGED

SEEDS = (8, 9, 20)
"""Seeds that make much trouble."""

HEARD = dict.fromkeys(
    (
        *("tick to reconcile_runs", "tick to track_deployment", "wish 1 of r1 to promote_model"),
        *("endpoint wanted of r1 to promote_model", "alarm of r1 to promote_model", "alarm of r2 to promote_model"),
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
    "a model on an endpoint": ({"story: how r1 is served": 1}, {"r1": "PROMOTED"}),
    "a model on an endpoint that is no better": (
        {"story: how r1 is served": 1, "story: how good r1 is": 1},
        {"r1": "NOT_PROMOTED"},
    ),
    "an endpoint that cannot be made": (
        {"story: how r1 is served": 1, "story: how r1's endpoint comes, 1": 3},
        {"r1": "FAILED"},
    ),
    "a component that does not load": (
        {"story: how r1 is served": 2, "story: how r1's component comes, 1": 3},
        {"r1": "FAILED"},
    ),
    "no instance for the endpoint, then none for the component": (
        {"story: how r1 is served": 1, "story: how r1's endpoint comes, 1": 1, "story: how r1's component comes, 1": 1},
        {"r1": "PROMOTED"},
    ),
    "no instances for a few hours": (
        {"story: how r1 is served": 1, "story: no instances for endpoints": 1},
        {"r1": "PROMOTED"},
    ),
    "no instances for more than a day": (
        {"story: how r1 is served": 1, "story: no instances for endpoints": 2},
        {"r1": "FAILED"},
    ),
    "an endpoint that a policy denies": (
        {"story: how r1 is served": 1, "story: a policy denies": 5},
        {"r1": "FAILED"},
    ),
    "a base model on an endpoint": ({"story: where the base of r1 answers": 1}, {"r1": "PROMOTED"}),
    "a base model that was asked for and does not come": (
        {"story: where the base of r1 answers": 1, "story: how r1's base component comes, 1": 3},
        {"r1": "NOT_PROMOTED"},
    ),
    **{
        f"a judge whose job is {ending}": (
            {"story: who grades r1": 1, "story: how a judge of r1 ends, c1": number},
            {"r1": "PROMOTED"},
        )
        for number, ending in enumerate(JUDGED)
    },
    "a judge that a policy denies": ({"story: who grades r1": 1, "story: a policy denies": 7}, {"r1": "PROMOTED"}),
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


ON_ENDPOINTS = {**ROLLBACK, "story: wishes": 0, "story: how r1 is served": 1, "story: how r2 is served": 1}
"""Two champions, one after the other, on an endpoint each."""


def test_a_champion_whose_endpoint_fails_gives_its_place_back_once() -> None:
    for seed in SEEDS:
        for alarms in (1, 2):
            assert told(seed, {**ON_ENDPOINTS, "story: the champion fails": alarms}).champions == {"receipts": "r1"}


def test_a_champion_that_has_stood_for_a_day_keeps_its_place() -> None:
    for seed in SEEDS:
        assert told(seed, {**ON_ENDPOINTS, "story: the champion fails": 3}).champions == {"receipts": "r2"}


def endpoints(history: History) -> list[str]:
    return list(history.world.sagemaker.hosted["Endpoint"])


def test_a_former_champion_s_endpoint_is_taken_down_after_its_time() -> None:
    for seed in SEEDS:
        history = told(seed, {**ON_ENDPOINTS, "story: a week passes": 1})
        assert endpoints(history) == [f"{STACK}-{history.world.dynamodb.items['alias#receipts']['run_id']['S']}"]


UNUSED = {"story: how r1 is served": 2}
"""A champion on an endpoint that keeps its instance, and is taken down after a day without calls."""


def test_an_endpoint_that_nobody_calls_is_taken_down_and_stays_the_champion() -> None:
    for seed in SEEDS:
        history = told(seed, {**UNUSED, "story: a week passes": 1})
        assert (endpoints(history), history.champions) == ([], {"receipts": "r1"})


def test_an_endpoint_that_was_taken_down_comes_back_when_it_is_wanted() -> None:
    for seed in SEEDS:
        history = told(seed, {**UNUSED, "story: endpoints are wanted again": 1})
        assert history.world.met["woken"] == 1
        assert len(endpoints(history)) == 1


def test_an_endpoint_for_which_there_is_no_instance_any_more_does_not_come_back() -> None:
    for seed in SEEDS:
        history = told(seed, {**UNUSED, "story: endpoints are wanted again": 1, "story: no instances for endpoints": 3})
        assert history.world.met["not woken"] == 1
        assert not endpoints(history)
