"""Who launches a run: the stack by itself, or a person who was told what it may cost."""

from datetime import datetime, timedelta

from tunedrop.domain import budget
from tunedrop.domain.cost_estimate import Range
from tunedrop.domain.model import Record
from tunedrop.domain.plan import ApprovalRule, InstanceChoice, Plan
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Approval, ApprovalAnswer


class LaunchCost(Record):
    """Say what the job may cost on one of the instance types that a run may turn to."""

    instance_type: str
    estimated_usd: Range | None
    stopped_cents: int | None
    """What it costs when SageMaker stops it at its time limit; None when the price is not known."""

    @property
    def most_cents(self) -> int | None:
        """The estimate's high end, or what it costs when it is stopped, whichever is less."""
        if self.stopped_cents is None or self.estimated_usd is None:
            return self.stopped_cents
        return min(self.stopped_cents, budget.cents(self.estimated_usd.high))


def costs(plan: Plan) -> tuple[LaunchCost, ...]:
    """Return what the job may cost, in the order in which the instance types are tried."""
    if plan.choices:
        return tuple(_cost(each, each.instance_type, each.max_runtime_seconds) for each in plan.choices)
    return (_cost(plan, plan.training.instance_type, plan.training.max_runtime_seconds),)


def without_asking(plan: Plan) -> Plan | None:
    """Return the plan as it may be launched without asking anybody; None when a person is to be asked.

    The first instance type decides. The others that may cost more than the limit are left out: a lack of capacity must
    not make a run dearer than what is launched without asking.
    """
    if plan.approval is None:
        return plan
    limit = budget.limit_cents(plan.approval.auto_approve_usd)
    within = {each.instance_type for each in costs(plan) if each.most_cents is not None and each.most_cents <= limit}
    if plan.training.instance_type not in within:
        return None
    dearer = [each.instance_type for each in plan.choices if each.instance_type not in within]
    if not dearer:
        return plan
    warning = f"Not trained on {', '.join(dearer)}: it may cost more than {budget.words(limit)} there."
    return plan.limited_to(tuple(each for each in plan.choices if each.instance_type in within), warning)


def question(plan: Plan, rule: ApprovalRule, now: datetime) -> Approval:
    """Ask a person about the dearest instance type that the run may turn to."""
    most = [each.most_cents for each in costs(plan)]
    known = [each for each in most if each is not None]
    return Approval(
        most_cents=max(known) if len(known) == len(most) else None,
        limit_cents=budget.limit_cents(rule.auto_approve_usd),
        lapses_at=now + timedelta(hours=rule.hours),
    )


def question_words(approval: Approval) -> str:
    """Say why a person is asked."""
    limit = budget.words(approval.limit_cents)
    if approval.most_cents is None:
        return f"What it may cost is not known, and without asking this stack launches what may cost {limit} at most."
    most = budget.words(approval.most_cents)
    return f"It may cost {most}, and without asking this stack launches what may cost {limit} at most."


def lapsed(approval: Approval) -> Problem:
    """Say that nobody answered in time."""
    limit = approval.limit_cents / 100
    cheaper = (
        f" With `budget_usd: {budget.amount(limit)}` in tune.yaml it needs no approval."
        if approval.most_cents is not None and approval.limit_cents
        else ""
    )
    return Problem(
        code="approval.lapsed",
        message=f"Nobody approved the training before {approval.lapses_at:%Y-%m-%d %H:%M} UTC; nothing was paid for.",
        fix=f"Drop it again, and have the new run approved in time (`tunedrop approve RUN`).{cheaper}",
    )


def refused(answer: ApprovalAnswer) -> Problem:
    """Say that a person refused."""
    reason = f": {answer.reason}" if answer.reason else ""
    return Problem(
        code="approval.refused",
        message=f"{answer.by} refused the training{reason}",
        fix="Talk to them, or ask for less: a smaller model, fewer epochs, a lower budget_usd.",
    )


def _cost(told: Plan | InstanceChoice, instance_type: str, max_runtime_seconds: int) -> LaunchCost:
    price, longest = told.usd_per_hour, timedelta(seconds=max_runtime_seconds)
    return LaunchCost(
        instance_type=instance_type,
        estimated_usd=told.estimate.usd if told.estimate else None,
        stopped_cents=None if price is None else budget.most_cents(price, longest),
    )
