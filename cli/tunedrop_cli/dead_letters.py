"""Events that could not be handled: read from the dead-letter queue, and handed to their function once more."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tunedrop_cli.aws import Stack

READ_SECONDS = 120
"""How long a letter is kept from others who read the queue, while it is looked at."""

_PAGE = 10
"""Messages of one ReceiveMessage, SQS's own limit."""


@dataclass(frozen=True)
class Letter:
    """Hold one message of the queue."""

    receipt: str
    function: str | None
    """ARN of this stack's function that should have handled the event; None for a letter that names none."""
    event: Any
    cause: str
    """The kind of error, never its text: that may quote anything."""

    @property
    def subject(self) -> str:
        """What the event is about: a run, an object, a job, or a schedule."""
        match self.event:
            case (
                {"detail": {"run_id": str(name)}}
                | {"detail": {"object": {"key": str(name)}}}
                | {"detail": {"TrainingJobName": str(name)}}
                | {"detail": {"name": str(name)}}
                | {"detail-type": str(name)}
            ):
                return name
        return ""


class DeadLetters:
    """Read a stack's dead-letter queue."""

    def __init__(self, stack: Stack) -> None:
        """Use the stack's queue, with the caller's own permissions."""
        self._stack = stack
        self._sqs = stack.client("sqs")
        self._lambda = stack.client("lambda")

    def read(self, limit: int) -> Iterator[Letter]:
        """Yield letters until the queue has no other; SQS hides each for `READ_SECONDS`."""
        count = 0
        while count < limit:
            answer = self._sqs.receive_message(
                QueueUrl=self._stack.dead_letters,
                MaxNumberOfMessages=min(_PAGE, limit - count),
                VisibilityTimeout=READ_SECONDS,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            if not messages:
                return
            for message in messages:
                yield self._letter(message)
            count += len(messages)

    def redrive(self, letter: Letter) -> None:
        """Invoke the letter's function as an event would, then delete the letter.

        In this order a letter may be handed over twice and is never lost: every step of a run is idempotent.
        """
        if letter.function is None:
            raise ValueError("the letter names no function")
        self._lambda.invoke(
            FunctionName=letter.function, InvocationType="Event", Payload=json.dumps(letter.event).encode()
        )
        self._sqs.delete_message(QueueUrl=self._stack.dead_letters, ReceiptHandle=letter.receipt)

    def put_back(self, letter: Letter) -> None:
        """Let others read the letter again."""
        self._sqs.change_message_visibility(
            QueueUrl=self._stack.dead_letters, ReceiptHandle=letter.receipt, VisibilityTimeout=0
        )

    def _letter(self, message: dict[str, Any]) -> Letter:
        """Read what Lambda's OnFailure or EventBridge's rule wrote; a pipe keeps the place in its stream, no event.

        https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
        https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-dlq.html
        """
        attributes = {name: each.get("StringValue", "") for name, each in message.get("MessageAttributes", {}).items()}
        try:
            body = json.loads(message["Body"])
        except ValueError:
            body = None
        function, event, cause = None, body, attributes.get("ERROR_CODE", "")
        match body:
            case {"requestContext": {"functionArn": str(arn)}, "requestPayload": payload}:
                function, event = arn.removesuffix(":$LATEST"), payload
                response = body.get("responsePayload")
                cause = str(response.get("errorType", "")) if isinstance(response, dict) else ""
            case dict() if "TARGET_ARN" in attributes:
                function = attributes["TARGET_ARN"]
        ours = function is not None and function.rpartition(":function:")[2].startswith(f"{self._stack.name}-")
        return Letter(message["ReceiptHandle"], function if ours else None, event, cause)
