"""A training job's log, followed while it grows."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from botocore.exceptions import ClientError

from tunedrop_cli.aws import Client
from tunedrop_cli.errors import code

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


class LogLine(NamedTuple):
    """Hold a line, and when it was written."""

    at: datetime
    text: str


class TrainingLog:
    """Read a training job's log from CloudWatch, each line once."""

    def __init__(self, client: Client, job_name: str) -> None:
        """Read through a CloudWatch Logs client."""
        self._client = client
        self.job_name = job_name
        self._since = 0
        self._seen: set[str] = set()

    def new_lines(self) -> Iterator[LogLine]:
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
                        yield LogLine(datetime.fromtimestamp(event["timestamp"] / 1000, UTC), event["message"])
        except ClientError as error:
            if code(error) != "ResourceNotFoundException":
                raise
