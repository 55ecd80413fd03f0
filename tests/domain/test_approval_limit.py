"""What a run may cost before it is launched, made anew from the counted tokens, and who launches it therefore."""

from datetime import timedelta

import pytest

from tests.domain.launch_costs import CHEAP, DAY, DEAR, choice, plan_of
from tests.samples import DATA, NOW, PLAN
from tunedrop.domain import approval
from tunedrop.domain.cost_estimate import CostEstimate
from tunedrop.domain.counted_estimate import with_counted_tokens
from tunedrop.domain.estimate import estimate, guessed_tokens
from tunedrop.domain.plan import FileRole, ImageSet, Plan, ServerlessTrainingPlan
from tunedrop.domain.run import Approval
from tunedrop.domain.spot import LARGEST_SAVING


def counted(plan: Plan, tokens: int | None, basis: str = "tokenizer") -> Plan:
    return with_counted_tokens(plan, DATA.model_copy(update={"tokens": tokens, "tokens_basis": basis}))


def told(plan: Plan) -> CostEstimate:
    assert plan.estimate
    return plan.estimate


def test_every_choice_is_estimated_anew_from_the_tokens_that_were_counted() -> None:
    before = plan_of(CHEAP, DEAR)
    after = counted(before, 50_000)
    assert told(after).tokens.low == told(after).tokens.high == 50_000
    assert told(after).basis[0] == "50,000 tokens an epoch by the model's tokenizer"
    assert told(after).basis[-1] == "1.515 USD an hour: a table"
    for old, new in zip(before.choices, after.choices, strict=True):
        assert old.estimate
        assert old.estimate.usd
        assert new.estimate
        assert new.estimate.usd
        assert new.estimate.usd.high < old.estimate.usd.high


def test_tokens_that_the_validator_estimated_stay_a_range() -> None:
    tokens = told(counted(plan_of(CHEAP), 50_000, "estimate")).tokens
    assert tokens.low < tokens.likely == 50_000 < tokens.high
    assert "estimated" in tokens.basis


def test_images_to_train_on_count_and_others_do_not() -> None:
    files = (PLAN.files[0].model_copy(update={"name": "train/metadata.jsonl", "role": FileRole.TRAINING}),)
    images = tuple(
        ImageSet(metadata=f"{folder}/metadata.jsonl", count=10, bytes=1, digest="d") for folder in ("train", "held-out")
    )
    plan = plan_of(CHEAP).model_copy(update={"files": files, "images": images})
    assert "10 images" in told(counted(plan, 1_000)).tokens.basis


def test_a_dataset_without_counted_tokens_keeps_the_plan_s_estimate() -> None:
    assert counted(plan_of(CHEAP, DEAR), None) == plan_of(CHEAP, DEAR)


def test_spot_s_saving_is_counted_on_at_the_low_end_only() -> None:
    spot, demand = (
        told(counted(plan_of(choice("ml.g5.2xlarge", 1.515, spot=each)), 50_000)).usd for each in (True, False)
    )
    assert spot
    assert demand
    assert spot.high == demand.high
    assert spot.low == pytest.approx(demand.low * (1 - LARGEST_SAVING))


def test_what_is_billed_by_tokens_tells_how_many_and_needs_approval() -> None:
    training = ServerlessTrainingPlan(
        recipe="recipe",
        customization_technique="SFT",
        lora=True,
        sequence_length="4K",
        accept_eula=True,
        hyperparameters={"max_epochs": "1"},
        max_runtime_seconds=DAY,
        usage_type="UsageType",
    )
    guessed = estimate("no-size", {}, guessed_tokens(4_000), "serverless", None)
    update = {"training": training, "usd_per_hour": None, "estimate": guessed, "choices": ()}
    plan = counted(plan_of(limit=1_000_000).model_copy(update=update), 50_000)
    assert told(plan).basis == ("50,000 tokens an epoch by the model's tokenizer", *guessed.basis[1:])
    assert approval.without_asking(plan) is None
    assert asked(plan).most_cents is None


def asked(plan: Plan) -> Approval:
    assert plan.approval
    return approval.question(plan, plan.approval, NOW)


def test_without_a_limit_nobody_is_asked() -> None:
    plan = plan_of(choice("ml.g5.2xlarge", None), limit=None)
    assert approval.without_asking(plan) == plan


def test_the_estimate_s_high_end_counts_or_what_the_time_limit_allows_where_that_is_less() -> None:
    (cost,) = approval.costs(counted(plan_of(CHEAP), 50_000))
    assert cost.estimated_usd
    assert cost.stopped_cents
    assert cost.most_cents == pytest.approx(cost.estimated_usd.high * 100, abs=1)
    assert cost.most_cents < cost.stopped_cents
    brief = CHEAP.model_copy(update={"max_runtime_seconds": 60})
    (cost,) = approval.costs(plan_of(brief))
    assert cost.most_cents == cost.stopped_cents == 8  # 180 seconds, grace included, at 1.515 US dollars an hour


def test_a_limit_of_nothing_asks_for_everything() -> None:
    assert approval.without_asking(plan_of(CHEAP, limit=0)) is None


def test_a_run_that_is_launched_without_asking_never_turns_to_what_would_need_approval() -> None:
    plan = approval.without_asking(counted(plan_of(CHEAP, DEAR, limit=1.0), 50_000))
    assert plan
    assert [each.instance_type for each in plan.choices] == [CHEAP.instance_type]
    assert plan.warnings == ("Not trained on ml.g5.48xlarge: it may cost more than $1 there.",)
    assert plan.for_attempt(2).training.instance_type == CHEAP.instance_type


def test_a_person_is_asked_about_the_dearest_of_what_the_run_may_turn_to() -> None:
    plan = counted(plan_of(CHEAP, DEAR, limit=0.01), 50_000)
    assert approval.without_asking(plan) is None
    assert asked(plan).most_cents == approval.costs(plan)[1].most_cents
    assert asked(plan).lapses_at == NOW + timedelta(hours=72)
