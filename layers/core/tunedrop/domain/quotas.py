"""The account's quotas for training, asked before anything is launched: those of GPUs commonly begin at 0.

https://docs.aws.amazon.com/general/latest/gr/sagemaker.html#limits_sagemaker
"""

from collections.abc import Mapping

from tunedrop.domain.model import Record
from tunedrop.domain.plan import Plan, TrainingPlan
from tunedrop.domain.problem import Problem


class Quota(Record):
    """Say how many instances of a type the account may train on at once."""

    name: str
    code: str
    value: float


def quota_names(plan: Plan) -> tuple[str, ...]:
    """Name the quotas that the plan's instance types need, in the order of its choices; none for a serverless job."""
    if not isinstance(plan.training, TrainingPlan):
        return ()
    spot = plan.training.max_wait_seconds is not None
    return tuple(quota_name(each, spot=spot) for each in _types(plan, plan.training))


def within_quotas(plan: Plan, quotas: Mapping[str, Quota]) -> Plan | tuple[Problem, ...]:
    """Leave out the instance types of which the account may have none; a problem when that is all of them.

    `quotas` are by name; a type whose quota is not known stays in.
    """
    if not isinstance(plan.training, TrainingPlan):
        return plan
    spot = plan.training.max_wait_seconds is not None
    types = _types(plan, plan.training)
    closed = {each: quota for each in types if (quota := quotas.get(quota_name(each, spot=spot))) and quota.value < 1}
    if not closed:
        return plan
    problem = _none(plan, closed)
    left = tuple(each for each in plan.choices if each.instance_type not in closed)
    if not left:
        return (problem,)
    warning = f"{problem.message} {left[0].instance_type} comes first instead. {problem.fix}"
    return plan.limited_to(left, warning if plan.training.instance_type in closed else None)


def _types(plan: Plan, training: TrainingPlan) -> tuple[str, ...]:
    return tuple(each.instance_type for each in plan.choices) or (training.instance_type,)


def quota_name(instance_type: str, *, spot: bool) -> str:
    """Name the quota as Service Quotas does: on demand and on spot an account has its own."""
    return f"{instance_type} for {'spot ' if spot else ''}training job usage"


def _none(plan: Plan, closed: Mapping[str, Quota]) -> Problem:
    first = next(iter(closed.values()))
    others = f", as those of {len(closed) - 1} other instance types" if len(closed) > 1 else ""
    return Problem(
        code="quota.zero",
        message=f"The account's quota '{first.name}' ({first.code}) is 0 in {plan.region}{others}.",
        where="tune.yaml: instance_type",
        fix=f"Request more: `aws service-quotas request-service-quota-increase --service-code sagemaker --quota-code "
        f"{first.code} --desired-value 1 --region {plan.region}`, or in the console: "
        f"https://{plan.region}.console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas/{first.code} . "
        "Then drop again; or name an instance_type that the account may use.",
    )
