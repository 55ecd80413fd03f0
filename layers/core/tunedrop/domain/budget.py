"""The monthly cap: what runs may still spend, reserved before a job is launched and settled after it.

A month's ledger is one item beside the runs (`id` = `ledger#2026-11`, `kind` = `ledger`). The store writes it in the
transaction that decides the launch, so that neither is written without the other:

    TransactWriteItems
      Put     the run                if version = :version
      Update  the ledger             SET committed = committed + :cents, reserved.#job = :cents
                                     if committed <= :cap_minus_cents AND attribute_not_exists(reserved.#job)

DynamoDB's conditions cannot add, therefore the item keeps the sum `committed` = reserved + spent as a number of its
own, and the writer subtracts from the cap. No one reads before writing, so thirty drops at once cannot all see the
same room. `settle` and `release` are the same transaction with the run's end: `SET committed = committed + :difference
REMOVE reserved.#job`, if attribute_exists(reserved.#job). The first reservation of a month makes the item in a write
of its own: `committed = 0`, an empty map, if attribute_not_exists(id).
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.ConditionExpressions.html

This module is the arithmetic of those expressions, in whole cents, since sums of floats are not exact.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from tunedrop.domain.model import Record

STOP_GRACE = timedelta(seconds=120)
"""What a job may run on after SageMaker has asked it to stop.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StopTrainingJob.html
"""


class Ledger(Record):
    """Account for one month, in cents."""

    month: str
    """As `2026-11`, in UTC: the month in which a job is launched, whenever it ends."""
    reserved: Mapping[str, int] = {}
    """By training job's name: what each that runs may cost at most."""
    spent: int = 0
    """What those that ended have cost."""

    @property
    def committed(self) -> int:
        """What is reserved and spent together."""
        return sum(self.reserved.values()) + self.spent


def month_of(when: datetime) -> str:
    """Name the month of a moment that has a time zone."""
    return f"{when.astimezone(UTC):%Y-%m}"


def cents(usd: float) -> int:
    """Round US dollars up to whole cents: a reservation must cover the cost."""
    return math.ceil(round(usd * 100, 6))


def most_cents(usd_per_hour: float, max_runtime: timedelta) -> int:
    """Return what a job costs at most: until SageMaker stops it at its limit, and the grace after that."""
    return cents(usd_per_hour * ((max_runtime + STOP_GRACE) / timedelta(hours=1)))


def reserve(ledger: Ledger, job_name: str, amount: int, cap: int) -> Ledger | None:
    """Set the amount aside; None when the month has no room for it. A job that has its amount already keeps that."""
    if amount < 0:
        raise ValueError(f"{amount} cents cannot be reserved")
    if job_name in ledger.reserved:
        return ledger
    if ledger.committed + amount > cap:
        return None
    return _with(ledger, {**ledger.reserved, job_name: amount}, ledger.spent)


def settle(ledger: Ledger, job_name: str, actual: int) -> Ledger:
    """Book what the job has cost in place of what was reserved; one that has no reservation is settled already.

    A job that cost more than `most_cents` is booked as it is: the cap then holds back the next one.
    """
    if actual < 0:
        raise ValueError(f"a job cannot have cost {actual} cents")
    if job_name not in ledger.reserved:
        return ledger
    others = {name: amount for name, amount in ledger.reserved.items() if name != job_name}
    return _with(ledger, others, ledger.spent + actual)


def release(ledger: Ledger, job_name: str) -> Ledger:
    """Give back what was reserved for a job that was never billed."""
    return settle(ledger, job_name, 0)


def room(ledger: Ledger, cap: int) -> int:
    """Return the cents that are left to reserve."""
    return max(0, cap - ledger.committed)


def _with(ledger: Ledger, reserved: Mapping[str, int], spent: int) -> Ledger:
    return Ledger(month=ledger.month, reserved=reserved, spent=spent)
