"""What a training job says while it runs: its metrics and how far it is."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from botocore.exceptions import ClientError

from tunedrop.domain.jumpstart import MetricDefinition
from tunedrop_cli.aws import Client
from tunedrop_cli.errors import code

LOG_GROUP = "/aws/sagemaker/TrainingJobs"

# The line of llama-recipes, on which JumpStart's script for the Llama family is built.
_STEP = re.compile(
    r"Training Epoch: (?P<epoch>\d+)/(?P<epochs>\d+), step (?P<step>\d+)/(?P<steps>\d+) completed "
    r"\(loss: (?P<loss>[0-9.]+)\)"
)


_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")


class Step(NamedTuple):
    """Say how far training is, and its loss there."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float


class Reading(NamedTuple):
    """Hold one number that a metric's regex found."""

    name: str
    value: float


class TrainingLog:
    """Read a training job's log from CloudWatch, each line once."""

    def __init__(self, client: Client, job_name: str) -> None:
        """Read through a CloudWatch Logs client."""
        self._client = client
        self.job_name = job_name
        self._since = 0
        self._seen: set[str] = set()

    def new_lines(self) -> Iterator[str]:
        """Yield the lines that came since the last call; none before the job's log exists."""
        pages = self._client.get_paginator("filter_log_events").paginate(
            logGroupName=LOG_GROUP, logStreamNamePrefix=f"{self.job_name}/", startTime=self._since
        )
        try:
            for page in pages:
                for event in page["events"]:
                    if event["eventId"] not in self._seen:
                        self._seen.add(event["eventId"])
                        self._since = max(self._since, event["timestamp"])
                        yield event["message"]
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise


def step_in(line: str) -> Step | None:
    """Read the progress that a line of the log tells, if any."""
    if not (match := _STEP.search(line)):
        return None
    epoch, epochs, step, steps, loss = match.groups()
    return Step(int(epoch), int(epochs), int(step), int(steps), float(loss))


def readings_in(line: str, metrics: tuple[MetricDefinition, ...]) -> list[Reading]:
    """Read the metrics that a line of the log tells, by the model's own regexes."""
    matches = ((metric.name, re.search(metric.regex, line)) for metric in metrics)
    return [
        Reading(short_name(name), float(match[1]))
        for name, match in matches
        # JumpStart's `[0-9\.]+` also matches the full stop after a number, and lone ones.
        if match and _NUMBER.fullmatch(match[1])
    ]


def short_name(metric: str) -> str:
    """Drop the task from a metric's name: `huggingface-textgeneration:eval-loss` is `eval-loss` to people."""
    return metric.rpartition(":")[2]
