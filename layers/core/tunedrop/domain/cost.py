"""What a run has cost so far."""

from datetime import datetime

from tunedrop.domain.budget import cents
from tunedrop.domain.run import Run, Training


def training_seconds(run: Run, now: datetime) -> int:
    """Count the seconds that training is billed for, in all attempts: SageMaker's count, or the clock's until then."""
    return sum(each.billable_seconds for each in run.failed_attempts) + _seconds(run.training, now)


def _seconds(training: Training | None, now: datetime) -> int:
    if training is None:
        return 0
    if training.billable_seconds is not None:
        return training.billable_seconds
    if training.started_at is None:
        return 0
    return max(0, round(((training.ended_at or now) - training.started_at).total_seconds()))


def training_usd(run: Run, now: datetime) -> float | None:
    """Price the training at the plan's list prices; None when one is not known."""
    if run.plan is None:
        return None
    billed = [(each.billable_seconds, each.usd_per_hour) for each in run.failed_attempts if each.billable_seconds]
    billed.append((_seconds(run.training, now), run.plan.usd_per_hour))
    usd = 0.0
    for seconds, usd_per_hour in billed:
        if usd_per_hour is None:
            return None
        usd += seconds * usd_per_hour / 3600
    return usd


def job_cents(training: Training | None, usd_per_hour: float, now: datetime) -> int:
    """Return what a job has cost, in whole cents.

    What is billed is BillableTimeInSeconds, times the instances, times the price.
    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
    """
    return cents(_seconds(training, now) * usd_per_hour / 3600)
