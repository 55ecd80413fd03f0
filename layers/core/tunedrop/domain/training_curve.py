"""What a training script's log says of how far it is and how well it does."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from tunedrop.domain.jumpstart import MetricDefinition

STEP_LOSS = "loss of a step"
"""Names the curve of what the script prints at every step, beside the metrics that JumpStart defines."""

POINTS_LIMIT = 400
"""Points of a curve; of more, each stands for the mean of some."""

# The line of llama-recipes, on which JumpStart's script for the Llama family is built.
_STEP = re.compile(
    r"Training Epoch: (?P<epoch>\d{1,9})/(?P<epochs>\d{1,9}), step (?P<step>\d{1,9})/(?P<steps>\d{1,9}) completed "
    r"\(loss: (?P<loss>\d{1,30}(?:\.\d{1,30})?)\)"
)

# The Trainer of transformers prints its metrics as a dictionary, which names the epoch too.
_EPOCH = re.compile(r"'epoch': (\d{1,9}(?:\.\d{1,30})?)")

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


class Step(NamedTuple):
    """Say how far training is, and its loss there."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float

    @property
    def passed(self) -> float:
        """Count the epochs that have passed."""
        return max(self.epoch - 1, 0) + self.step / max(self.steps, self.step, 1)


class Reading(NamedTuple):
    """Hold one number that a metric's regex found."""

    name: str
    value: float


class Curve(NamedTuple):
    """Hold how one number went: where (epochs passed, or how many were read before and with it), and its value."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        """The value at the end."""
        return self.points[-1][1]


class TrainingCurves(NamedTuple):
    """Hold the curves of one training job, in the order in which its log names them."""

    curves: tuple[Curve, ...] = ()
    by_epoch: bool = True
    """False where the log names no epoch: the curves are then numbered."""

    def named(self, name: str) -> Curve | None:
        """Return a curve by its short name."""
        return next((each for each in self.curves if each.name == name), None)


def step_in(line: str) -> Step | None:
    """Read the progress that a line of the log tells, if any."""
    if not (match := _STEP.search(line)):
        return None
    epoch, epochs, step, steps, loss = match.groups()
    return Step(int(epoch), int(epochs), int(step), int(steps), float(loss))


def epochs_in(line: str) -> float | None:
    """Read how many epochs have passed from a line that names them beside its metrics, if it does."""
    return float(found[1]) if (found := _EPOCH.search(line)) else None


def readings_in(line: str, metrics: tuple[MetricDefinition, ...]) -> list[Reading]:
    """Read the metrics that a line of the log tells, by the model's own regexes."""
    matches = ((metric.name, re.search(metric.regex, line)) for metric in metrics)
    return [
        Reading(short_name(name), float(match[1]))
        for name, match in matches
        # JumpStart's `[0-9\.]+` also matches the full stop after a number, and lone ones.
        if match and _NUMBER.fullmatch(match[1])
    ]


def training_curves(lines: Iterable[str], metrics: tuple[MetricDefinition, ...]) -> TrainingCurves:
    """Read a whole log; what is no finite number is left out."""
    found: dict[str, list[tuple[float | None, float]]] = {}
    passed: float | None = None
    for line in lines:
        if step := step_in(line):
            passed = step.passed
            found.setdefault(STEP_LOSS, []).append((passed, step.loss))
        for name, value in readings_in(line, metrics):
            named = epochs_in(line)
            found.setdefault(name, []).append((passed if named is None else named, value))
    by_epoch = all(at is not None for points in found.values() for at, _ in points)
    curves = (Curve(name, tuple(_thinned(_placed(points, by_epoch=by_epoch)))) for name, points in found.items())
    return TrainingCurves(tuple(each for each in curves if each.points), by_epoch)


def short_name(metric: str) -> str:
    """Drop the task from a metric's name: `huggingface-textgeneration:eval-loss` is `eval-loss` to people."""
    return metric.rpartition(":")[2]


def _placed(points: list[tuple[float | None, float]], *, by_epoch: bool) -> list[tuple[float, float]]:
    numbered = enumerate(points, start=1)
    placed = ((at if by_epoch and at is not None else float(number), value) for number, (at, value) in numbered)
    return [each for each in placed if math.isfinite(each[1])]


def _thinned(points: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Take the mean of so many neighbours that no more than `POINTS_LIMIT` are left."""
    together = math.ceil(len(points) / POINTS_LIMIT) or 1
    for start in range(0, len(points), together):
        some = points[start : start + together]
        yield some[-1][0], sum(value / len(some) for _, value in some)
