"""Which instance types a run may train on, which one is tried next, and when.

GPUs are scarce: a job that finds none ends as Failed with a CapacityError, and the run goes on to its next choice.
Every choice is fixed with the plan, so the same failure always leads to the same next step.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

from tunedrop.domain.accelerators import accelerator, memory_gb
from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.policy import Policy
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import FailedAttempt
from tunedrop.domain.sensible_defaults import retired

CHOICES = 5
"""Instance types of one run; as many as SageMaker's own list of preferences holds.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ResourceConfig.html
"""

FIRST_PAUSE = timedelta(minutes=5)

LONGEST_PAUSE = timedelta(hours=1)
"""Between two tries; capacity comes and goes within hours, and a try costs nothing."""

GIVE_UP_AFTER = timedelta(hours=24)
"""How long a run looks for capacity, from the first time that it found none."""

NO_QUOTA, THROTTLED, AWS_FAULT = "training.no-quota", "training.throttled", "training.aws-fault"

SHORTAGES = frozenset({"training.capacity", "training.quota", NO_QUOTA, THROTTLED})
"""What AWS may have later, or on another instance type: by the code of its diagnosis."""

FAULTS_FORGIVEN = 1
"""How often SageMaker's own failure is followed by another job: each may have cost hours of GPUs."""


def alternatives(
    model: JumpStartModel, chosen: str, policy: Policy, costs: Mapping[str, float], budget_usd: float | None
) -> tuple[str, ...]:
    """Return the instance types to try, the chosen one first, then the others from the cheapest on; at most 5.

    Another type is one that the model's spec and the policy allow, with at least the chosen type's memory on each GPU
    and in all, so that what fits the one fits the other. `costs` are what the run likely costs on each type, in US
    dollars; a type without a known cost comes last, and is left out when there is a budget to keep.
    """
    least_each, least_all = _memory(chosen)
    others = [
        each
        for each in dict.fromkeys(model.instance_types)
        if each != chosen
        and policy.allows_instance_type(each)
        and not retired(each)
        and _has(each, least_each, least_all)
        and (budget_usd is None or (each in costs and costs[each] <= budget_usd))
    ]
    others.sort(key=lambda each: (each not in costs, costs.get(each, 0), each))
    return (chosen, *others)[:CHOICES]


def worth_another(failed: Sequence[FailedAttempt], instance_types: Collection[str]) -> bool:
    """Tell whether the run goes on after its latest failure: what AWS lacks may come, what is wrong stays wrong.

    `instance_types` are those that the plan may use.
    """
    latest = failed[-1]
    if latest.code == AWS_FAULT:
        return sum(each.code == AWS_FAULT for each in failed) <= FAULTS_FORGIVEN
    if latest.code not in SHORTAGES:
        return False
    if {each.instance_type for each in failed if each.code == NO_QUOTA}.issuperset(instance_types):
        return False
    first = next(each for each in failed if each.code in SHORTAGES)
    return latest.ended_at - first.ended_at < GIVE_UP_AFTER


def gave_up(problem: Problem, failed: Sequence[FailedAttempt]) -> Problem:
    """Add to the latest problem what was tried before it."""
    if len(failed) == 1:
        return problem
    types = ", ".join(dict.fromkeys(each.instance_type for each in failed))
    hours = (failed[-1].ended_at - failed[0].ended_at) / timedelta(hours=1)
    tried = f"Tried {len(failed)} times within {hours:.1f} hours, on {types}."
    return Problem(code=problem.code, message=f"{problem.message} {tried}", where=problem.where, fix=problem.fix)


def next_try(run_id: str, tries: int) -> timedelta:
    """Return how long to wait after so many tries, from 1 on: twice as long each time, an hour at most.

    A quarter of it depends on the run, so that runs refused together do not come back together; the same run always
    waits the same.
    https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
    """
    doublings = min(tries - 1, 10)  # more than enough for the limit, and no overflow
    wait = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)
    digest = hashlib.sha256(f"{run_id}|{tries}".encode()).digest()
    share = int.from_bytes(digest[:4]) / 2**32
    return timedelta(seconds=round(wait.total_seconds() * (0.75 + share / 4)))


def _memory(instance_type: str) -> tuple[int, int]:
    gpu, total = accelerator(instance_type), memory_gb(instance_type)
    # A chosen type that nobody knows has no substitute: nothing tells what fits it.
    return (gpu.memory_gb, total) if gpu and total else (_UNKNOWN, _UNKNOWN)


def _has(instance_type: str, least_each: int, least_all: int) -> bool:
    gpu, total = accelerator(instance_type), memory_gb(instance_type)
    return gpu is not None and total is not None and gpu.memory_gb >= least_each and total >= least_all


_UNKNOWN = 10**9
