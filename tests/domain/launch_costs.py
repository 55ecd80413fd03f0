"""Plans whose instance types cost something, for tests of what a launch may cost."""

from tests.samples import PLAN
from tunedrop.domain.estimate import estimate, guessed_tokens
from tunedrop.domain.plan import ApprovalRule, InstanceChoice, Plan
from tunedrop.domain.pricing import Price

MODEL, EPOCHS = PLAN.model_id, {"epoch": "1"}
DAY = 24 * 3600


def choice(instance_type: str, usd_per_hour: float | None, *, spot: bool = False) -> InstanceChoice:
    price = None if usd_per_hour is None else Price(usd_per_hour=usd_per_hour, source="a table")
    return InstanceChoice(
        instance_type=instance_type,
        image_uri="image",
        script_uri="script",
        model_uri=None,
        environment={},
        hyperparameters=EPOCHS,
        max_runtime_seconds=DAY,
        max_wait_seconds=2 * DAY if spot else None,
        usd_per_hour=usd_per_hour,
        price_source=price.source if price else None,
        estimate=estimate(MODEL, EPOCHS, guessed_tokens(4_000_000), instance_type, price),
    )


CHEAP, DEAR = choice("ml.g5.2xlarge", 1.515), choice("ml.g5.48xlarge", 20.36)


def plan_of(*choices: InstanceChoice, limit: float | None = 5.0) -> Plan:
    rule = None if limit is None else ApprovalRule(auto_approve_usd=limit, hours=72)
    return PLAN.model_copy(update={"approval": rule, "choices": choices}).for_attempt(1)
