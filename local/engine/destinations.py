"""Delivery of a payload to the resource that an ARN names: queue, topic, event bus."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from ministack.services import eventbridge, sns, sqs


class UndeliverableError(Exception):
    """Report that a target does not exist or refused, with AWS's error code.

    Args:
        code: for example ``RESOURCE_NOT_FOUND``.
        message: what a person should read.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


def service_of(arn: str) -> str:
    """Return the service part of an ARN."""
    return arn.split(":")[2]


def send_to_queue(queue_arn: str, body: str, attributes: Mapping[str, str] | None = None) -> None:
    """Send a message with string attributes to an SQS queue.

    Raises:
        UndeliverableError: the queue does not exist or refuses the message.
    """
    if sqs._queue_by_arn(queue_arn) is None:
        raise UndeliverableError("RESOURCE_NOT_FOUND", f"{queue_arn} does not exist")
    message = {
        "QueueUrl": sqs._queue_name_to_url[queue_arn.rsplit(":", 1)[-1]],
        "MessageBody": body,
        "MessageAttributes": {
            name: {"DataType": "String", "StringValue": value} for name, value in (attributes or {}).items() if value
        },
    }
    try:
        sqs._act_send_message(message, "")
    except sqs._Err as error:
        raise UndeliverableError("SDK_CLIENT_ERROR", str(error)) from error


def publish(topic_arn: str, message: str, subject: str) -> None:
    """Publish to an SNS topic.

    Raises:
        UndeliverableError: the topic does not exist or refuses the message.
    """
    try:
        published = sns.publish_internal(topic_arn, message, subject)
    except sns.SnsPublishError as error:
        raise UndeliverableError("SDK_CLIENT_ERROR", str(error)) from error
    if published is None:
        raise UndeliverableError("RESOURCE_NOT_FOUND", f"{topic_arn} does not exist")


def put_event(
    bus: str, source: str, detail_type: str, detail: str, resources: Sequence[str] = (), *, from_aws: bool = False
) -> None:
    """Put one event on a bus.

    Args:
        bus: name or ARN.
        source: as the event says.
        detail_type: as the event says.
        detail: a JSON object as text.
        resources: ARNs.
        from_aws: whether a service of AWS sends it, which alone may use a source ``aws.…``.

    Raises:
        UndeliverableError: the bus does not exist, or the detail is not a JSON object.
    """
    name = bus.rsplit("/", 1)[-1]
    if name != "default" and name not in eventbridge._event_buses:
        raise UndeliverableError("RESOURCE_NOT_FOUND", f"Event bus {name} does not exist")
    try:
        well_formed = isinstance(json.loads(detail), dict)
    except ValueError:
        well_formed = False
    if not well_formed:
        raise UndeliverableError("MalformedDetail", "Detail is malformed.")
    entry = {
        "Source": source,
        "DetailType": detail_type,
        "Detail": detail,
        "Resources": list(resources),
        "EventBusName": name,
    }
    eventbridge._put_events({"Entries": [entry]}, allow_aws_source=from_aws)
