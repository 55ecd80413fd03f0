"""The end of a training job's log, in CloudWatch."""

import logging
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


class CloudWatchTrainingLog:
    """Read the last lines of jobs' logs."""

    def __init__(self, client: "BaseClient") -> None:
        """Use a CloudWatch Logs client."""
        self._client: Any = client

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
