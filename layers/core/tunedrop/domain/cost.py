"""What a run has cost so far."""

from datetime import datetime

from tunedrop.domain.run import Run


def training_seconds(run: Run, now: datetime) -> int:
    """Count the seconds that training is billed for: as SageMaker tells them, or by the clock until it does."""
    training = run.training
    if training is None:
        return 0
    if training.billable_seconds is not None:
        return training.billable_seconds
    if training.started_at is None:
        return 0
    return max(0, round(((training.ended_at or now) - training.started_at).total_seconds()))


def training_usd(run: Run, now: datetime) -> float | None:
    """Price the training at the plan's list price; None when no price is known."""
    if run.plan is None or run.plan.usd_per_hour is None:
        return None
    return training_seconds(run, now) * run.plan.usd_per_hour / 3600
