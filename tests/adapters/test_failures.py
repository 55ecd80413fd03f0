"""What may pass by itself is told from what will not."""

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from tunedrop.adapters import failures
from tunedrop.errors import TransientError


def refused(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code, "Message": "No."}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")  # type: ignore[arg-type]  # the part of an answer that is read


@pytest.mark.parametrize(
    "error",
    [
        refused("SlowDown", 503),
        refused("ThrottlingException", 400),
        refused("TransactionInProgressException", 400),
        refused("NobodyKnowsThisOne", 500),
        ConnectTimeoutError(endpoint_url="https://s3.amazonaws.com"),
        ReadTimeoutError(endpoint_url="https://s3.amazonaws.com"),
        EndpointConnectionError(endpoint_url="https://s3.amazonaws.com"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_throttling_faults_and_lost_connections_may_pass(error: Exception) -> None:
    with pytest.raises(TransientError) as raised, failures.transient():
        raise error
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("error", [refused("AccessDenied", 403), refused("NoSuchKey", 404), ValueError("x")])
def test_everything_else_is_let_through(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, failures.transient():
        raise error
    assert raised.value is error


def test_an_error_is_read_by_its_code_and_in_the_words_of_aws() -> None:
    assert (failures.code(refused("AccessDenied", 403)), failures.message(refused("x", 400))) == ("AccessDenied", "No.")
