"""A training job's log, in CloudWatch."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures

if TYPE_CHECKING:
    from botocore.client import BaseClient

logger = logging.getLogger(__name__)

LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""Where SageMaker writes, a stream a host: `<job>/algo-1-<time>`.

https://docs.aws.amazon.com/sagemaker/latest/dg/logging-cloudwatch.html
"""

PAGES_LIMIT = 60
"""Pages of a log that are read in a row, of at most 10,000 lines and 1 MB each: more than the longest known."""


class CloudWatchTrainingLog:
    """Read jobs' logs."""

    def __init__(self, client: "BaseClient") -> None:
        """Use a CloudWatch Logs client."""
        self._client: Any = client

    def lines(self, job_name: str) -> Iterator[str]:
        """Yield the lines of the first host, oldest first; none when there are none, or nobody may read them."""
        try:
            with failures.transient():
                streams = self._client.describe_log_streams(
                    logGroupName=LOG_GROUP, logStreamNamePrefix=f"{job_name}/algo-1-"
                )["logStreams"]
            for each in streams:
                yield from self._stream(each["logStreamName"])
        except ClientError as error:
            if failures.code(error) != "ResourceNotFoundException":
                # The run's report is written all the same.
                logger.warning("The job's log cannot be read; its losses are not drawn", exc_info=True)

    def _stream(self, name: str) -> Iterator[str]:
        token: dict[str, str] = {}
        for _ in range(PAGES_LIMIT):
            with failures.transient():
                page = self._client.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=name, startFromHead=True, **token
                )
            yield from (event["message"] for event in page["events"])
            # At the end of the stream CloudWatch gives back the token that it was given.
            # https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
            if token.get("nextToken") == page["nextForwardToken"]:
                return
            token = {"nextToken": page["nextForwardToken"]}

    def tail(self, job_name: str, lines: int) -> tuple[str, ...]:
        """Return the last lines of each host, oldest first; none when there are none, or nobody may read them."""
        try:
            with failures.transient():
                streams = self._client.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{job_name}/")[
                    "logStreams"
                ]
                pages = [
                    self._client.get_log_events(
                        logGroupName=LOG_GROUP, logStreamName=each["logStreamName"], limit=lines, startFromHead=False
                    )
                    for each in streams
                ]
        except ClientError as error:
            if failures.code(error) != "ResourceNotFoundException":
                # The run must end all the same.
                logger.warning("The job's log cannot be read; SageMaker's reason alone explains it", exc_info=True)
            return ()
        return tuple(event["message"] for page in pages for event in page["events"])
