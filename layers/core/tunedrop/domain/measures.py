"""What is measured of the runs, for the dashboard and the alarms: numbers alone, and only while a run lives.

CloudWatch bills a metric by the hours in which it is sent, so that between drops there is none of a run.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from tunedrop.domain import budget
from tunedrop.domain.model import Record
from tunedrop.domain.run import Change, Run, RunStatus


class Measure(StrEnum):
    """Name a metric."""

    RUNS_ENTERED = "RunsEntered"
    """Runs that entered a status."""
    STEP_SECONDS = "StepSeconds"
    """How long a run was in a status that it left."""
    TRAINING_USD = "TrainingUsd"
    """What a training job has cost, in US dollars, when it is settled."""
    COMMITTED_USD = "CommittedUsd"
    """What the month's jobs have cost and may still cost, in US dollars: the cap is held against it."""
    HELD_BY_CAP = "HeldByCap"
    """Launches that found no room under the monthly cap."""
    IMPORTS_RUNNING = "ImportsRunning"
    """Runs whose model Bedrock imports: one at most."""
    IMPORTS_WAITING = "ImportsWaiting"
    """Runs that wait for the import slot, or for a place among Bedrock's imported models."""
    IMPORTED_MODELS = "ImportedModels"
    """Models of the stack that Bedrock keeps, and bills."""


BY_STATUS: Final = frozenset({Measure.RUNS_ENTERED, Measure.STEP_SECONDS})
"""The metrics that are told apart by status."""

UNITS: Final[Mapping[Measure, str]] = {Measure.STEP_SECONDS: "Seconds"}
"""CloudWatch's unit; `Count` for all others, since it knows no dollars."""


class Measurement(Record):
    """Hold one number."""

    measure: Measure
    value: float
    status: RunStatus | None = None


def of_write(before: Run | None, after: Run) -> Iterator[Measurement]:
    """Measure what a write brought; `before` is None when it made the run."""
    if after.change is Change.ENTERED:
        yield Measurement(measure=Measure.RUNS_ENTERED, value=1, status=after.status)
    if before is None:
        return
    if before.status is not after.status:
        seconds = (after.entered_at - before.entered_at).total_seconds()
        yield Measurement(measure=Measure.STEP_SECONDS, value=seconds, status=before.status)
    for _, cents in budget.settled(before.charges, after.charges):
        yield Measurement(measure=Measure.TRAINING_USD, value=cents / 100)


def month_changed(before: Run, after: Run) -> bool:
    """Tell whether a write changed what is committed in the month in which it was made."""
    if before.charges == after.charges:
        return False
    month = budget.month_of(after.updated_at)
    settled = (charge for charge, _ in budget.settled(before.charges, after.charges))
    return any(charge.month == month for charge in (*budget.opened(before.charges, after.charges), *settled))


def of_imports(running: int, waiting: int) -> Iterator[Measurement]:
    """Measure how the runs that are DEPLOYING to Bedrock share the import slot; nothing while there are none."""
    if running or waiting:
        yield Measurement(measure=Measure.IMPORTS_RUNNING, value=running)
        yield Measurement(measure=Measure.IMPORTS_WAITING, value=waiting)


def of_models(names: Iterable[str]) -> Iterator[Measurement]:
    """Measure how many models Bedrock keeps for the stack; nothing while there are none."""
    if number := len(list(names)):
        yield Measurement(measure=Measure.IMPORTED_MODELS, value=number)
