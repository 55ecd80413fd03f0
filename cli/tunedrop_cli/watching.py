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
from tunedrop_cli.views import SPARKLINE_WIDTH, cost, duration, news, sparkline, spending

POLL_SECONDS = 2.0
START_SECONDS = 180.0
"""How long a run may take to appear after its upload: two cold starts and a retry."""

STEP_LINES = 20
"""Lines of progress printed for a training; the status line shows every step."""

SEPARATOR = " · "
SHORT_SPARKLINE = 10
"""Bars of the losses where the line is too narrow for all."""

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
        """Print a part of the training; what the status line tells elsewhere stands here where there is none."""
        if last and _part(last) == _part(step):
            return
        told = f"epoch {step.epoch}/{step.epochs}, step {step.step}/{step.steps}, loss {step.loss:.4f}"
        if not self._console.is_terminal:
            now = datetime.now(UTC)
            outlook = (sparkline(self._progress.losses), self._left(run, now), spending(run, now))
            told = SEPARATOR.join((told, *(each for each in outlook if each)))
        self._print(f"  {told}")

    def _status_line(self, run: Run) -> str:
        """Say what goes on, in as much of a line as there is."""
        now = datetime.now(UTC)
        width = self._console.width - SPINNER_WIDTH
        told = SEPARATOR.join(self._parts(run, now, SPARKLINE_WIDTH, spending(run, now)))
        return told if len(told) <= width else fitting(self._parts(run, now, SHORT_SPARKLINE, cost(run, now)), width)

    def _parts(self, run: Run, now: datetime, bars: int, spent: str) -> list[str]:
        """Say what goes on, the most important first."""
        training = run.status is RunStatus.TRAINING
        parts = [f"{run.status} for {duration(now - run.entered_at)}"]
        if run.next_try_at:
            parts.append(f"{run.reason} Next try in {duration(run.next_try_at - now)}")
        if left := self._left(run, now):
            parts.append(left)
        if training and (losses := self._progress.losses):
            parts.append(f"loss {losses[-1]:.4f} {sparkline(losses, bars)}")
        if run.status is RunStatus.EVALUATING and run.evaluated_rows:
            parts.append(f"{run.evaluated_rows} answers")
        if spent != "-":
            parts.append(spent)
        if training and (step := self._progress.step):
            parts.append(f"epoch {step.epoch}/{step.epochs}, step {step.step}/{step.steps}")
        return parts

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


def _part(step: Step) -> int:
    """Count the parts of the training that have begun; the very end is one of its own."""
    return int(step.passed / step.epochs * STEP_LINES)


def fitting(parts: Sequence[str], width: int) -> str:
    """Join the parts; those that find no room on one line are left out, the last first."""
    shown = list(parts)
    while len(shown) > 1 and len(SEPARATOR.join(shown)) > width:
        shown.pop()
    return shortened(SEPARATOR.join(shown), max(width, 1))
