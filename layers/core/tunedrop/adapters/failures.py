"""Translate botocore's error codes into our causes."""

from http import HTTPStatus
from types import TracebackType

from botocore.exceptions import (
    ClientError,
    EventStreamError,
    HTTPClientError,
)
from botocore.exceptions import (
    ConnectionError as BotocoreConnectionError,
)

from tunedrop.errors import TransientError

TRANSIENT = frozenset(
    {
        # botocore's code for an answer that names none, as MLflow's; Bedrock's 429 of a cold model has its own.
        "429",
        "ConcurrentUpdateException",
        "ExecutionLimitExceeded",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestTimeout",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
"""Codes after which the same call may succeed: throttling and AWS's own faults."""


def code(error: ClientError) -> str:
    """Return AWS's error code."""
    return str(error.response.get("Error", {}).get("Code", ""))


def message(error: ClientError) -> str:
    """Return AWS's own words."""
    return str(error.response.get("Error", {}).get("Message", ""))


class transient:  # noqa: N801 - it reads as what it is in a `with`
    """Raise TransientError for throttling, faults of AWS, lost connections and streams; let everything else through."""

    def __enter__(self) -> None:
        """Watch the calls of the block."""

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Translate what it raised."""
        if error is None:
            return
        if isinstance(error, HTTPClientError | BotocoreConnectionError):
            raise TransientError(str(error)) from error
        if isinstance(error, EventStreamError):
            # Whatever breaks a stream that has begun is no fault of the request, which was taken.
            raise TransientError(f"The answer broke off: {message(error)}") from error
        if isinstance(error, ClientError):
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if code(error) in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise TransientError(str(error)) from error
