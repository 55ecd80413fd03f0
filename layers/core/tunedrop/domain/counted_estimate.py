"""A plan's estimates made anew, once the validator has counted what the plan could only guess from bytes."""

from tunedrop.domain import spot
from tunedrop.domain.cost_estimate import CostEstimate, TokenCount
from tunedrop.domain.estimate import counted_tokens, estimate, estimated_tokens
from tunedrop.domain.plan import FileRole, InstanceChoice, Plan, ServerlessTrainingPlan
from tunedrop.domain.pricing import Price
from tunedrop.domain.run import DatasetSummary


def with_counted_tokens(plan: Plan, data: DatasetSummary) -> Plan:
    """Return the plan, before its first attempt, with estimates by the tokens of the rows that will be trained on."""
    tokens = _tokens(plan, data)
    if tokens is None:
        return plan
    if isinstance(plan.training, ServerlessTrainingPlan):
        return plan.model_copy(update={"estimate": _recounted(plan.estimate, tokens)})
    choices = tuple(
        each.model_copy(update={"estimate": _estimate(plan.model_id, each, tokens)}) for each in plan.choices
    )
    return plan.model_copy(update={"choices": choices}).for_attempt(1)


def _tokens(plan: Plan, data: DatasetSummary) -> TokenCount | None:
    if data.tokens is None:
        return None
    training = {file.name for file in plan.files if file.role is FileRole.TRAINING}
    images = sum(each.count for each in plan.images if each.metadata in training)
    count = counted_tokens if data.tokens_basis == "tokenizer" else estimated_tokens
    return count(data.tokens, images=images)


def _estimate(model_id: str, choice: InstanceChoice, tokens: TokenCount) -> CostEstimate:
    usd = choice.usd_per_hour
    price = None if usd is None else Price(usd_per_hour=usd, source=choice.price_source or "as it was planned")
    made = estimate(model_id, choice.hyperparameters, tokens, choice.instance_type, price)
    return spot.at_spot_price(made) if choice.max_wait_seconds is not None else made


def _recounted(estimated: CostEstimate | None, tokens: TokenCount) -> CostEstimate | None:
    """Count what is billed by tokens at a price that nobody knows; what the basis says besides stays true."""
    if estimated is None:
        return None
    return estimated.model_copy(update={"tokens": tokens, "basis": (tokens.basis, *estimated.basis[1:])})
