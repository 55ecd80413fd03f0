"""Logging, tracing and metrics, with the run's id on every line."""

from collections.abc import Iterator

from aws_lambda_powertools import Logger, Tracer, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from tunedrop.domain.alias import Alias
from tunedrop.domain.budget import Ledger
from tunedrop.domain.run import Change, Run, RunStatus
from tunedrop.ports import RunStore

logger = Logger()
tracer = Tracer()


def follow(run_id: str) -> None:
    """Put the run's id on every log line and on the trace."""
    logger.set_correlation_id(run_id)
    tracer.put_annotation("run_id", run_id)


class ObservedRuns:
    """Log and count what is written to a store of runs."""

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
            _record(run)
        return created

    def commit(self, before: Run, after: Run) -> Run:
        """Replace a run."""
        stored = self._runs.commit(before, after)
        _record(stored)
        return stored

    def live(self, status: RunStatus | None = None) -> Iterator[Run]:
        """Yield the live runs."""
        return self._runs.live(status)

    def ledger(self, month: str) -> Ledger:
        """Return a month's account."""
        return self._runs.ledger(month)

    def alias(self, dataset: str) -> Alias:
        """Return who is and was the champion of a dataset."""
        return self._runs.alias(dataset)

    def aliases(self) -> Iterator[Alias]:
        """Yield the aliases of all datasets."""
        return self._runs.aliases()


def _record(run: Run) -> None:
    logger.info(
        "Run written",
        extra={"run_id": run.run_id, "status": run.status, "change": run.change, "version": run.version},
    )
    if run.change is Change.ENTERED:
        with single_metric(name="RunsEntered", unit=MetricUnit.Count, value=1, namespace="Tunedrop") as metric:
            metric.add_dimension(name="status", value=run.status)
