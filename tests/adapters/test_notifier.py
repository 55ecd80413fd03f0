"""A notice reaches whoever subscribed, with the facts that filters look at."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tunedrop.adapters.sns import SNSNotifier


class Inbox(NamedTuple):
    """A notifier, and what a queue that subscribed to rejections receives."""

    notifier: SNSNotifier
    receive: Callable[[], list[dict[str, Any]]]


@pytest.fixture
def inbox(aws: Callable[[str], Any]) -> Inbox:
    sns, sqs = aws("sns"), aws("sqs")
    topic = sns.create_topic(Name="notifications")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    filters = json.dumps({"status": ["REJECTED"]})
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": filters})

    def receive() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    return Inbox(SNSNotifier(sns, topic), receive)


def test_a_notice_arrives_as_it_was_written(inbox: Inbox) -> None:
    message_id = inbox.notifier.publish("Subject", "Body\nof two lines", {"status": "REJECTED", "dataset": "receipts"})
    (message,) = inbox.receive()
    assert (message["Subject"], message["Message"]) == ("Subject", "Body\nof two lines")
    assert message["MessageId"] == message_id
    assert message["MessageAttributes"]["dataset"] == {"Type": "String", "Value": "receipts"}


def test_who_asked_for_rejections_hears_of_nothing_else(inbox: Inbox) -> None:
    inbox.notifier.publish("Subject", "Body", {"status": "PROMOTED"})
    assert inbox.receive() == []


def test_a_fact_that_is_empty_is_left_out_since_sns_takes_no_empty_attribute(inbox: Inbox) -> None:
    inbox.notifier.publish("Subject", "Body", {"status": "REJECTED", "dataset": ""})
    (message,) = inbox.receive()
    assert set(message["MessageAttributes"]) == {"status"}
