"""Logging, tracing and metrics, with the run's id on every line."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from aws_lambda_powertools import Logger, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from tunedrop.domain import measures
from tunedrop.domain.alias import Alias
from tunedrop.domain.budget import Ledger, month_of
from tunedrop.domain.measures import Measure, Measurement
from tunedrop.domain.run import Run, Tracked
from tunedrop.errors import CapReachedError
from tunedrop.ports import RunStore

NAMESPACE = "Tunedrop"

logger = Logger()
tracer = Tracer()


def follow(run_id: str) -> None:
    """Put the run's id on every log line and on the trace."""
    logger.set_correlation_id(run_id)
    tracer.put_annotation("run_id", run_id)


def measure(measurements: Iterable[Measurement]) -> None:
    """Print metrics in CloudWatch's embedded format, whose dimensions are `service`, the stack's name, and the status.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    for each in measurements:
        unit = MetricUnit(measures.UNITS.get(each.measure, MetricUnit.Count.value))
        with single_metric(name=each.measure, unit=unit, value=each.value, namespace=NAMESPACE) as metric:
            if each.status:
                metric.add_dimension(name="status", value=each.status)


class ObservedRuns:
    """Log and measure what is written to a store of runs."""

    def __init__(self, runs: RunStore) -> None:
        """Wrap a store."""
        self._runs = runs

    def get(self, run_id: str) -> Run | None:
        """Return the run."""
        return self._runs.get(run_id)

    def create(self, run: Run) -> bool:
        """Store a new run."""
        created = self._runs.create(run)
        if created:
            _record(None, run)
        return created

    def commit(self, before: Run, after: Run) -> Run:
        """Replace a run."""
        try:
            stored = self._runs.commit(before, after)
        except CapReachedError:
            measure([Measurement(measure=Measure.HELD_BY_CAP, value=1)])
            raise
        _record(before, stored)
        if measures.month_changed(before, stored):
            committed = self._runs.ledger(month_of(stored.updated_at)).committed
            measure([Measurement(measure=Measure.COMMITTED_USD, value=committed / 100)])
        return stored

    def live(self) -> Iterator[Run]:
        """Yield the live runs."""
        return self._runs.live()

    def tracked(self) -> Mapping[Tracked, Sequence[str]]:
        """Return the ids of the runs that a schedule looks at."""
        return self._runs.tracked()

    def read(self, run_ids: Sequence[str]) -> Iterator[Run]:
        """Yield runs as they are now."""
        return self._runs.read(run_ids)

    def created_since(self, time: datetime) -> Iterator[str]:
        """Yield the ids of the runs made since."""
        return self._runs.created_since(time)

    def ledger(self, month: str) -> Ledger:
        """Return a month's account."""
        return self._runs.ledger(month)

    def alias(self, dataset: str) -> Alias:
        """Return who is and was the champion of a dataset."""
        return self._runs.alias(dataset)

    def datasets(self) -> Iterator[str]:
        """Yield the datasets that have a champion."""
        return self._runs.datasets()


def _record(before: Run | None, run: Run) -> None:
    logger.info(
        "Run written",
        extra={"run_id": run.run_id, "status": run.status, "change": run.change, "version": run.version},
    )
    measure(measures.of_write(before, run))
