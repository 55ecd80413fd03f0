"""Managed spot training: cheaper instances that AWS may take back.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html
"""

import math
from datetime import timedelta

from tunedrop.contracts.tune_spec import TuneSpec
from tunedrop.domain.budget import LONGEST_JOB
from tunedrop.domain.cost_estimate import CostEstimate, Range
from tunedrop.domain.problem import Problem

USUAL_WAIT = timedelta(hours=12)
"""How long a job may wait for spot capacity, all interruptions together, when `max_wait_hours` is left out."""

_HOUR = timedelta(hours=1)

LARGEST_SAVING = 0.9
"""What AWS says that spot saves at most; it promises nothing."""

WARNING = (
    "spot: AWS may interrupt the training at any time, and starts it again when it has capacity. Checkpoints are kept, "
    "but whether JumpStart's script for this model writes and resumes from them is not documented: expect an "
    "interrupted job to start over. What was trained before an interruption is billed as well."
)


def max_wait(spec: TuneSpec, longest: timedelta) -> timedelta | None:
    """Return how long the job may take, waiting and training together; None when it does not train on spot.

    SageMaker wants MaxWaitTimeInSeconds to be no less than MaxRuntimeInSeconds, hence the sum.
    """
    if not spec.spot:
        return None
    wait = USUAL_WAIT if spec.max_wait_hours is None else timedelta(hours=spec.max_wait_hours)
    return min(longest + wait, LONGEST_JOB)


def problems(spec: TuneSpec, longest: timedelta) -> tuple[Problem, ...]:
    """Refuse a wait for spot capacity of a job that does not ask for any, and one that no job lasts for.

    `longest` is how long the job may train.
    """
    if spec.max_wait_hours is None:
        return ()
    if spec.spot:
        left = (LONGEST_JOB - longest) / _HOUR
        if spec.max_wait_hours <= left:
            return ()
        return (
            Problem(
                code="spot.wait-too-long",
                message=f"max_wait_hours is {spec.max_wait_hours:g}, the training may take {longest / _HOUR:.3g} "
                f"hours, and SageMaker ends every job after {LONGEST_JOB.days} days.",
                where=spec.where("max_wait_hours"),
                fix=f"Write `max_wait_hours: {math.floor(left)}` or less."
                if left >= 1
                else "Remove max_wait_hours, or give the training less time with budget_usd.",
            ),
        )
    return (
        Problem(
            code="spot.wait-without-spot",
            message="max_wait_hours is how long a job waits for spot capacity, and this one does not use spot.",
            where=spec.where("max_wait_hours"),
            fix="Write `spot: true` as well, or remove max_wait_hours.",
        ),
    )


def at_spot_price(estimate: CostEstimate) -> CostEstimate:
    """Widen the price downwards by what spot may save; nothing is taken off what is likely."""
    usd = estimate.usd
    least = usd and Range(low=usd.low * (1 - LARGEST_SAVING), likely=usd.likely, high=usd.high)
    note = (
        f"Managed spot saves up to {LARGEST_SAVING:.0%}, which nobody promises: only the low end counts on it. An "
        "interruption that starts the training over comes on top."
    )
    return CostEstimate(**{**dict(estimate), "usd": least, "notes": (note, *estimate.notes)})
