"""How far a training job is, as its log tells."""

from datetime import datetime, timedelta
from typing import NamedTuple

from tunedrop.domain.jumpstart import MetricDefinition
from tunedrop.domain.training_curve import Reading, Step, epochs_in, readings_in, step_in
from tunedrop_cli.training_log import LogLine

_TRAIN_LOSS = "train-loss"
"""What JumpStart's specs call the loss, where the script prints no steps of its own."""


class _Mark(NamedTuple):
    at: datetime
    share: float
    """Of the whole training, between 0 and 1."""


class TrainingProgress:
    """Keep the steps and losses of one job, and reckon from their times how long the rest takes."""

    def __init__(self, epochs: float | None) -> None:
        """Expect so many epochs, where the log itself does not say."""
        self.step: Step | None = None
        """The last one that was told."""
        self._epochs = epochs
        self._losses: list[float] = []
        self._of_epochs: list[float] = []
        self._first: _Mark | None = None
        self._last: _Mark | None = None

    @property
    def losses(self) -> list[float]:
        """The losses so far: of steps, where the script tells them."""
        return self._losses or self._of_epochs

    def read(self, line: LogLine, metrics: tuple[MetricDefinition, ...]) -> list[Reading]:
        """Take a line in; returns the metrics that it tells."""
        readings = readings_in(line.text, metrics)
        self._of_epochs += [each.value for each in readings if each.name == _TRAIN_LOSS]
        if step := step_in(line.text):
            self.step = step
            self._losses.append(step.loss)
            self._mark(line.at, step.passed / step.epochs)
        elif self._epochs and (passed := epochs_in(line.text)) is not None:
            self._mark(line.at, passed / self._epochs)
        return readings

    def left(self, now: datetime) -> timedelta | None:
        """Reckon how long the steps that are left will take at the pace so far; None before there is one."""
        if self._first is None or self._last is None or self._last.share <= self._first.share:
            return None
        pace = (self._last.at - self._first.at) / (self._last.share - self._first.share)
        return max(pace * (1 - self._last.share) - (now - self._last.at), timedelta())

    def _mark(self, at: datetime, share: float) -> None:
        self._last = _Mark(at, share)
        self._first = self._first or self._last
