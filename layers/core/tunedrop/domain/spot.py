"""Managed spot training: cheaper instances that AWS may take back.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-managed-spot-training.html
"""

from datetime import timedelta

from tunedrop.contracts.tune_spec import TuneSpec
from tunedrop.domain.cost_estimate import CostEstimate, Range
from tunedrop.domain.problem import Problem

USUAL_WAIT = timedelta(hours=12)
"""How long a job may wait for spot capacity, all interruptions together, when `max_wait_hours` is left out."""

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
    return longest + wait


def problems(spec: TuneSpec) -> tuple[Problem, ...]:
    """Refuse a wait for spot capacity of a job that does not ask for any."""
    if spec.spot or spec.max_wait_hours is None:
        return ()
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
