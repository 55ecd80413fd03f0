"""A run, followed until it ends."""

import time
from datetime import UTC, datetime

from rich.console import Console
from rich.text import Text

from tunedrop.domain.run import Run, RunStatus
from tunedrop.domain.training_curve import Step, readings_in, step_in
from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError
from tunedrop_cli.records import RunRecords
from tunedrop_cli.training_log import TrainingLog
from tunedrop_cli.views import cost, duration, news, sparkline

POLL_SECONDS = 2.0
START_SECONDS = 180.0
"""How long a run may take to appear after its upload: two cold starts and a retry."""

STEP_LINES = 10
"""Lines of progress printed for an epoch; the status line shows every step."""


class Watcher:
    """Print what becomes of a run as it happens, and a status line below it."""

    def __init__(self, stack: Stack, console: Console) -> None:
        """Poll the stack's records and logs, and print to `console`."""
        self._records = RunRecords(stack)
        self._logs = stack.client("logs")
        self._console = console
        self._log: TrainingLog | None = None
        self._step: Step | None = None
        self._losses: list[float] = []

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
            self._log, self._step, self._losses = TrainingLog(self._logs, run.training.job_name), None, []
        for line in self._log.new_lines():
            if step := step_in(line):
                self._show_step(step)
            for reading in readings_in(line, run.plan.training.metrics):
                self._print(f"  {reading.name} {reading.value:g}")

    def _show_step(self, step: Step) -> None:
        last, self._step = self._step, step
        self._losses.append(step.loss)
        tenth = step.step * STEP_LINES // step.steps
        if last is None or last.epoch != step.epoch or last.step * STEP_LINES // last.steps != tenth:
            self._print(f"  epoch {step.epoch}/{step.epochs}, step {step.step}/{step.steps}, loss {step.loss:.4f}")

    def _status_line(self, run: Run) -> str:
        now = datetime.now(UTC)
        parts = [f"{run.status} for {duration(now - run.entered_at)}"]
        if run.next_try_at:
            parts.append(f"{run.reason} Next try in {duration(run.next_try_at - now)}")
        if run.status is RunStatus.TRAINING and self._step:
            step = self._step
            parts.append(f"epoch {step.epoch}/{step.epochs}, step {step.step}/{step.steps}")
            parts.append(f"loss {step.loss:.4f} {sparkline(self._losses)}")
        if run.status is RunStatus.EVALUATING and run.evaluated_rows:
            parts.append(f"{run.evaluated_rows} answers")
        parts.append(cost(run, now))
        return " · ".join(part for part in parts if part != "-")

    def _print(self, text: str) -> None:
        self._console.print(Text.assemble((f"{datetime.now(UTC).astimezone():%H:%M:%S}  ", "dim"), text))
