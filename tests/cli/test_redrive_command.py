"""What failed for good is handed to its function once more, and never lost on the way."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient
from typer.testing import Result

from tests.cli.conftest import DEAD_LETTERS, REGION, STACK, Account
from tests.stack import sample

FUNCTION = f"arn:aws:lambda:{REGION}:123456789012:function:{STACK}-PlanRunFunction-1A2B"
EVENT = sample("aws.s3/object-created.tune-yaml")
CANARY = "text of a user's row"


@pytest.fixture
def queue(account: Account) -> Any:
    sqs = account.client("sqs")
    sqs.create_queue(QueueName=DEAD_LETTERS.rpartition("/")[2])
    return sqs


@pytest.fixture
def invoked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Take Lambda's place, which moto runs in containers; everything else stays moto's."""
    calls: list[tuple[str, Any]] = []
    real = BaseClient._make_api_call

    def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        if operation != "Invoke":
            return real(client, operation, arguments)
        assert arguments["InvocationType"] == "Event"
        calls.append((arguments["FunctionName"], json.loads(arguments["Payload"])))
        return {"StatusCode": 202}

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return calls


def failed_invocation(function: str = FUNCTION) -> str:
    return json.dumps(
        {
            "version": "1.0",
            "requestContext": {"functionArn": f"{function}:$LATEST", "condition": "RetriesExhausted"},
            "requestPayload": EVENT,
            "responsePayload": {"errorType": "ClientError", "errorMessage": CANARY},
        }
    )


def waiting(queue: Any) -> int:
    attributes = queue.get_queue_attributes(QueueUrl=DEAD_LETTERS, AttributeNames=["All"])["Attributes"]
    return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def test_an_event_that_a_function_failed_on_is_handed_to_it_again(
    queue: Any, invoked: list[tuple[str, Any]], tunedrop: Callable[..., Result]
) -> None:
    queue.send_message(QueueUrl=DEAD_LETTERS, MessageBody=failed_invocation())
    result = tunedrop("redrive")
    assert result.exit_code == 0
    assert invoked == [(FUNCTION, EVENT)]
    assert waiting(queue) == 0
    for word in ("PlanRunFunction", EVENT["detail"]["object"]["key"], "ClientError", "redriven"):
        assert word in result.output
    assert CANARY not in result.output


def test_an_event_that_a_rule_could_not_deliver_is_delivered(
    queue: Any, invoked: list[tuple[str, Any]], tunedrop: Callable[..., Result]
) -> None:
    told = {"TARGET_ARN": FUNCTION, "ERROR_CODE": "NO_PERMISSIONS"}
    attributes = {name: {"DataType": "String", "StringValue": value} for name, value in told.items()}
    queue.send_message(QueueUrl=DEAD_LETTERS, MessageBody=json.dumps(EVENT), MessageAttributes=attributes)
    assert "NO_PERMISSIONS" in tunedrop("redrive").output
    assert invoked == [(FUNCTION, EVENT)]
    assert waiting(queue) == 0


def test_a_dry_run_changes_nothing(queue: Any, invoked: list[tuple[str, Any]], tunedrop: Callable[..., Result]) -> None:
    queue.send_message(QueueUrl=DEAD_LETTERS, MessageBody=failed_invocation())
    assert "kept" in tunedrop("redrive", "--dry-run").output
    assert invoked == []
    assert queue.receive_message(QueueUrl=DEAD_LETTERS)["Messages"]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"context": {"requestId": "1"}, "DDBStreamBatchInfo": {"shardId": "s"}}', id="the outbox's"),
        pytest.param(failed_invocation(FUNCTION.replace(STACK, "other")), id="of another stack"),
        pytest.param("not JSON", id="somebody's"),
    ],
)
def test_what_names_no_function_of_the_stack_is_kept(
    body: str, queue: Any, invoked: list[tuple[str, Any]], tunedrop: Callable[..., Result]
) -> None:
    queue.send_message(QueueUrl=DEAD_LETTERS, MessageBody=body)
    result = tunedrop("redrive")
    assert "names no function of this stack" in result.output
    assert invoked == []
    assert waiting(queue) == 1


def test_a_letter_whose_function_cannot_be_called_stays(
    queue: Any, tunedrop: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:1")
    queue.send_message(QueueUrl=DEAD_LETTERS, MessageBody=failed_invocation())
    assert tunedrop("redrive").exit_code == 2
    assert waiting(queue) == 1


@pytest.mark.usefixtures("queue")
def test_an_empty_queue_is_said_to_be_empty(tunedrop: Callable[..., Result]) -> None:
    assert "The dead-letter queue is empty." in tunedrop("redrive").output
