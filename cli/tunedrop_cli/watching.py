"""A run, followed until it ends."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rich.console import Console
from rich.text import Text

from tunedrop.domain.run import Run, RunStatus
from tunedrop.domain.training_curve import Step
from tunedrop.domain.words import shortened
from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError
from tunedrop_cli.records import RunRecords
from tunedrop_cli.training_log import TrainingLog
from tunedrop_cli.training_progress import TrainingProgress
from tunedrop_cli.views import duration, news, sparkline, spending

POLL_SECONDS = 2.0
START_SECONDS = 180.0
"""How long a run may take to appear after its upload: two cold starts and a retry."""

STEP_LINES = 10
"""Lines of progress printed for an epoch; the status line shows every step."""

SEPARATOR = " · "
SPINNER_WIDTH = 2
"""Columns that the status line's spinner takes."""


class Watcher:
    """Print what becomes of a run as it happens, and a status line below it."""

    def __init__(self, stack: Stack, console: Console) -> None:
        """Poll the stack's records and logs, and print to `console`."""
        self._records = RunRecords(stack)
        self._logs = stack.client("logs")
        self._console = console
        self._log: TrainingLog | None = None
        self._progress = TrainingProgress(None)

    def follow(self, run_id: str) -> Run:
        """Follow the run to its end, and return it as it ended."""
        with self._console.status(f"Waiting for run {run_id} to start") as line:
            seen: Run | None = None
            run = self._started(run_id)
            while True:
                for text in news(seen, run):
                    self._print(text)
                self._read_log(run)
                if run.status.terminal:
                    return run
                line.update(Text(self._status_line(run)))
                time.sleep(POLL_SECONDS)
                seen, run = run, self._records.get(run_id) or run

    def _started(self, run_id: str) -> Run:
        waited = 0.0
        while (run := self._records.get(run_id)) is None:
            if waited >= START_SECONDS:
                raise CommandError(
                    f"Run {run_id} has not started in {START_SECONDS:.0f} seconds.",
                    "Check the id with `tunedrop runs`, and the stack's dead-letter queue.",
                )
            time.sleep(POLL_SECONDS)
            waited += POLL_SECONDS
        return run

    def _read_log(self, run: Run) -> None:
        if run.training is None or run.plan is None:
            return
        if self._log is None or self._log.job_name != run.training.job_name:
            self._log = TrainingLog(self._logs, run.training.job_name)
            self._progress = TrainingProgress(run.plan.data.epochs)
        for line in self._log.new_lines():
            last = self._progress.step
            readings = self._progress.read(line, run.plan.training.metrics)
            if (step := self._progress.step) and step is not last:
                self._show_step(run, last, step)
            for reading in readings:
                self._print(f"  {reading.name} {reading.value:g}")

    def _show_step(self, run: Run, last: Step | None, step: Step) -> None:
        """Print a tenth of an epoch; what the status line tells elsewhere stands here where there is none."""
        if last and last.epoch == step.epoch and _tenth(last) == _tenth(step):
            return
        told = f"epoch {step.epoch}/{step.epochs}, step {step.step}/{step.steps}, loss {step.loss:.4f}"
        if not self._console.is_terminal:
            now = datetime.now(UTC)
            told = SEPARATOR.join((told, sparkline(self._progress.losses), *self._outlook(run, now)))
        self._print(f"  {told}")

    def _status_line(self, run: Run) -> str:
        """Say what goes on, in as much of a line as there is, the most important first."""
        now = datetime.now(UTC)
        parts = [f"{run.status} for {duration(now - run.entered_at)}"]
        if run.next_try_at:
            parts.append(f"{run.reason} Next try in {duration(run.next_try_at - now)}")
        if run.status is RunStatus.TRAINING and (losses := self._progress.losses):
            parts.append(f"loss {losses[-1]:.4f} {sparkline(losses)}")
        if run.status is RunStatus.EVALUATING and run.evaluated_rows:
            parts.append(f"{run.evaluated_rows} answers")
        parts += self._outlook(run, now)
        if run.status is RunStatus.TRAINING and (step := self._progress.step):
            parts.append(f"epoch {step.epoch}/{step.epochs}, step {step.step}/{step.steps}")
        return fitting(parts, self._console.width - SPINNER_WIDTH)

    def _outlook(self, run: Run, now: datetime) -> list[str]:
        """Say how long training will take on, and what it costs."""
        parts = [] if (left := self._left(run, now)) is None else [left]
        return parts if (spent := spending(run, now)) == "-" else [*parts, spent]

    def _left(self, run: Run, now: datetime) -> str | None:
        if run.status is not RunStatus.TRAINING:
            return None
        if (left := self._progress.left(now)) is not None:
            return f"{duration(left)} left"
        if run.plan is None or run.plan.estimate is None or run.plan.estimate.hours is None:
            return None
        passed = now - run.training.started_at if run.training and run.training.started_at else timedelta()
        likely = timedelta(hours=run.plan.estimate.hours.likely) - passed
        return f"{duration(likely)} left by the estimate" if likely > timedelta() else None

    def _print(self, text: str) -> None:
        self._console.print(Text.assemble((f"{datetime.now(UTC).astimezone():%H:%M:%S}  ", "dim"), text))


def _tenth(step: Step) -> int:
    return step.step * STEP_LINES // step.steps


def fitting(parts: Sequence[str], width: int) -> str:
    """Join the parts; those that find no room on one line are left out, the last first."""
    shown = list(parts)
    while len(shown) > 1 and len(SEPARATOR.join(shown)) > width:
        shown.pop()
    return shortened(SEPARATOR.join(shown), max(width, 1))
