"""A run that finds no GPUs goes on to another type that does as well, after a wait that is always the same."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.samples import NOW
from tunedrop.domain.capacity import (
    CHOICES,
    FIRST_PAUSE,
    GIVE_UP_AFTER,
    LONGEST_PAUSE,
    alternatives,
    gave_up,
    next_try,
    worth_another,
)
from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.policy import Policy
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import FailedAttempt
from tunedrop.domain.sensible_defaults import REPLACED, retired, training_instance_type

ANY = Policy()
COSTS = {"ml.g5.12xlarge": 14.0, "ml.g5.24xlarge": 20.0, "ml.g5.48xlarge": 22.0, "ml.g6e.12xlarge": 18.0}


def model(*instance_types: str, default: str | None = None) -> JumpStartModel:
    return JumpStartModel(
        model_id="example-text-8b",
        version="1.0.0",
        training_supported=True,
        gated=False,
        hyperparameters=(),
        instance_types=instance_types,
        default_instance_type=default,
        volume_size_gb=100,
        max_runtime_seconds=360_000,
    )


LLAMA = model(
    "ml.g5.12xlarge", "ml.g5.24xlarge", "ml.g5.48xlarge", "ml.g6e.12xlarge", "ml.p3dn.24xlarge", "ml.p5.48xlarge"
)


def test_pain_11_no_capacity_leads_to_types_with_as_much_memory_from_the_cheapest_on() -> None:
    assert alternatives(LLAMA, "ml.g5.12xlarge", ANY, COSTS, None) == (
        "ml.g5.12xlarge",
        "ml.g6e.12xlarge",
        "ml.g5.24xlarge",
        "ml.g5.48xlarge",
        "ml.p5.48xlarge",  # of no known price: last
    )


def test_a_type_with_less_memory_on_a_gpu_is_no_substitute() -> None:
    """8 x 24 GB are more than 4 x 48 GB altogether, but not for what one GPU holds."""
    assert alternatives(LLAMA, "ml.g6e.12xlarge", ANY, COSTS, None) == ("ml.g6e.12xlarge", "ml.p5.48xlarge")


def test_a_retired_type_is_tried_only_when_it_was_chosen() -> None:
    choices = alternatives(LLAMA, "ml.p3dn.24xlarge", ANY, COSTS, None)
    assert choices == ("ml.p3dn.24xlarge", "ml.p5.48xlarge")


def test_a_budget_leaves_out_what_costs_more_or_nobody_knows_what() -> None:
    assert alternatives(LLAMA, "ml.g5.12xlarge", ANY, COSTS, 18.0) == ("ml.g5.12xlarge", "ml.g6e.12xlarge")


def test_a_policy_leaves_out_what_it_does_not_allow() -> None:
    policy = Policy(instance_types=("ml.g5.*",))
    assert alternatives(LLAMA, "ml.g5.12xlarge", policy, {}, None) == (
        "ml.g5.12xlarge",
        "ml.g5.24xlarge",
        "ml.g5.48xlarge",
    )


def test_a_type_that_nobody_knows_has_no_substitute() -> None:
    assert alternatives(LLAMA, "ml.trn1.32xlarge", ANY, COSTS, None) == ("ml.trn1.32xlarge",)


def test_choices_are_as_few_as_sagemaker_s_own() -> None:
    many = model(*(f"ml.g5.{size}xlarge" for size in (2, 4, 8, 12, 16, 24, 48)))
    assert len(alternatives(many, "ml.g5.2xlarge", ANY, {}, None)) == CHOICES


def failed(*codes: str, each: timedelta = timedelta(hours=1), types: str = "ab") -> tuple[FailedAttempt, ...]:
    return tuple(
        FailedAttempt(
            attempt=number + 1,
            instance_type=types[number % len(types)],
            code=f"training.{code}",
            ended_at=NOW + number * each,
        )
        for number, code in enumerate(codes)
    )


@pytest.mark.parametrize(
    ("codes", "goes_on"),
    [
        (("capacity",), True),
        (("capacity", "quota", "throttled", "no-quota"), True),
        (("capacity",) * 24, True),
        (("capacity",) * 25, False),  # a day has passed
        (("aws-fault",), True),
        (("aws-fault", "aws-fault"), False),
        (("aws-fault", "capacity", "aws-fault"), False),
        (("gpu-memory",), False),
        (("capacity", "script"), False),
        (("no-quota",), True),
        (("no-quota", "no-quota"), False),  # on neither type is there any
        (("no-quota", "capacity", "no-quota"), True),
    ],
)
def test_pain_10_a_run_goes_on_for_what_may_come_and_ends_for_what_stays_wrong(
    codes: tuple[str, ...], *, goes_on: bool
) -> None:
    assert worth_another(failed(*codes), ("a", "b")) == goes_on


def test_the_day_is_counted_from_the_first_shortage() -> None:
    later = failed("aws-fault", "capacity", each=GIVE_UP_AFTER)
    assert worth_another(later, ("a", "b"))


def test_who_gives_up_says_what_was_tried() -> None:
    problem = Problem(code="training.capacity", message="AWS had none.", fix="Wait.")
    assert gave_up(problem, failed("capacity")) == problem
    told = gave_up(problem, failed("capacity", "capacity", "quota", each=timedelta(minutes=30)))
    assert told.message == "AWS had none. Tried 3 times within 1.0 hours, on a, b."
    assert told.fix == problem.fix


def test_waits_double_up_to_an_hour() -> None:
    waits = [next_try("run", attempt) / timedelta(minutes=1) for attempt in range(1, 7)]
    for wait, full in zip(waits, (5, 10, 20, 40, 60, 60), strict=True):
        assert 0.75 * full <= wait <= full


@given(st.text(), st.integers(1, 10**6))
def test_a_wait_is_always_the_same_and_never_long(run_id: str, attempt: int) -> None:
    wait = next_try(run_id, attempt)
    assert wait == next_try(run_id, attempt)
    assert FIRST_PAUSE * 0.75 <= wait <= LONGEST_PAUSE


def test_pain_21_runs_that_were_refused_together_come_back_apart() -> None:
    assert len({next_try(f"run-{number}", 1) for number in range(30)}) > 20


@pytest.mark.parametrize(
    ("types", "default", "chosen"),
    [
        (("ml.g5.2xlarge",), "ml.g5.2xlarge", "ml.g5.2xlarge"),
        (("ml.p3.2xlarge", "ml.g5.48xlarge", "ml.g4dn.2xlarge"), "ml.p3.2xlarge", "ml.g4dn.2xlarge"),
        (
            ("ml.p3dn.24xlarge", "ml.g5.48xlarge", "ml.g5.12xlarge", "ml.p5.48xlarge"),
            "ml.p3dn.24xlarge",
            "ml.p5.48xlarge",
        ),
        (("ml.p3.2xlarge", "ml.m5.xlarge"), "ml.p3.2xlarge", "ml.p3.2xlarge"),
        ((), None, None),
    ],
)
def test_a_retired_default_is_replaced_where_there_is_another(
    types: tuple[str, ...], default: str | None, chosen: str | None
) -> None:
    assert training_instance_type(model(*types, default=default)) == chosen


def test_every_replaced_default_has_its_reason() -> None:
    assert all(each.reason for each in REPLACED)
    assert retired("ml.p3.16xlarge")
    assert not retired("ml.p4d.24xlarge")
