"""The month's account: what training jobs may still cost, reserved before each is launched and settled after it.

A month's ledger is one item beside the runs (`id` = `ledger#2026-11`, `kind` = `ledger`). A run lists a charge for each
job; the store compares the lists before and after, as it does with claims, and writes the ledger in the transaction
that writes the run, so that neither is written without the other:

    TransactWriteItems
      Put     the run                if version = :version
      Update  the ledger             SET committed = committed + :cents, reserved.#job = :cents
                                     if committed <= :cap_minus_cents

DynamoDB's conditions cannot add, therefore the item keeps the sum `committed` = reserved + spent as a number of its
own, and the writer subtracts from the cap. No one reads before writing, so thirty drops at once cannot all see the
same room; and the run's version makes sure that nothing is reserved or settled twice.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html

All amounts are whole cents, since sums of floats are not exact.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from tunedrop.domain.model import Record

STOP_GRACE = timedelta(seconds=120)
"""What a job may run on after SageMaker has asked it to stop.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html
"""

SHORTEST_TRAINING = timedelta(minutes=10)
"""What starting an instance and loading weights takes: a budget that buys less is spent on nothing."""

LONGEST_JOB = timedelta(days=28)
"""After which SageMaker ends a job, whatever it waits for.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StoppingCondition.html
"""


class Charge(Record):
    """Account for one training job, in cents."""

    month: str
    """As `2026-11`, in UTC: the month in which its room was reserved, whenever the job ends."""
    job_name: str
    attempt: int
    usd_per_hour: float
    """Of all its instances together."""
    most_cents: int
    """What it may cost at most; reserved until it is known what it has cost."""
    cents: int | None = None
    """What it has cost; None while that is open."""


class Ledger(Record):
    """Account for one month, in cents."""

    month: str
    reserved: Mapping[str, int] = {}
    """By training job's name: what each that is not settled may cost at most."""
    spent: int = 0
    """What those that are settled have cost."""

    @property
    def committed(self) -> int:
        """What is reserved and spent together: the cap is held against it."""
        return sum(self.reserved.values()) + self.spent


def month_of(when: datetime) -> str:
    """Name the month of a moment that has a time zone."""
    return f"{when.astimezone(UTC):%Y-%m}"


def cents(usd: float) -> int:
    """Round US dollars up to whole cents: a reservation must cover the cost."""
    return math.ceil(round(usd * 100, 6))


def limit_cents(usd: float) -> int:
    """Round a limit down to whole cents."""
    return math.floor(round(usd * 100, 6))


def cap_cents(usd: float) -> int | None:
    """Round a cap down to whole cents; None for 0, which stands for no cap."""
    return limit_cents(usd) if usd else None


def most_cents(usd_per_hour: float, max_runtime: timedelta) -> int:
    """Return what a job costs at most: until SageMaker stops it at its limit, and the grace after that.

    `usd_per_hour` is that of all its instances together.
    """
    return cents(usd_per_hour * ((max_runtime + STOP_GRACE) / timedelta(hours=1)))


def longest_runtime(budget_usd: float, usd_per_hour: float) -> timedelta:
    """Return the time limit, in whole seconds, with which a job costs its budget at most; zero when it buys none."""
    seconds = math.floor(round(min(budget_usd / usd_per_hour * 3600, LONGEST_JOB.total_seconds()), 6))
    return max(timedelta(0), timedelta(seconds=seconds) - STOP_GRACE)


def words(amount: int) -> str:
    """Write cents as people read them: `$96`, `$96.50`."""
    return f"${amount // 100:,}" + (f".{amount % 100:02}" if amount % 100 else "")


def amount(usd: float) -> str:
    """Write US dollars as tune.yaml takes them, without an exponent and to a millionth: `1234567`, `0.5`."""
    return f"{usd:.6f}".rstrip("0").rstrip(".")


def opened(before: tuple[Charge, ...], after: tuple[Charge, ...]) -> Iterator[Charge]:
    """Yield the charges that a write reserves room for."""
    known = {each.job_name for each in before}
    yield from (each for each in after if each.job_name not in known)


def settled(before: tuple[Charge, ...], after: tuple[Charge, ...]) -> Iterator[tuple[Charge, int]]:
    """Yield the charges that a write settles, each with what the job has cost."""
    open_before = {each.job_name for each in before if each.cents is None}
    yield from ((each, each.cents) for each in after if each.job_name in open_before and each.cents is not None)
