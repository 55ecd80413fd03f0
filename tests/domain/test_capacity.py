"""A run that finds no GPUs goes on to another type that does as well, after a wait that is always the same."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.capacity import CHOICES, FIRST_PAUSE, LONGEST_PAUSE, alternatives, instance_type_of, next_try
from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.policy import Policy
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


def test_attempts_take_the_choices_in_turn() -> None:
    assert [instance_type_of(("a", "b", "c"), attempt) for attempt in range(1, 6)] == ["a", "b", "c", "a", "b"]


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
