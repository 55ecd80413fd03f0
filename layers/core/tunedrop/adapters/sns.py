"""Notices through SNS."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tunedrop.adapters import failures

if TYPE_CHECKING:
    from botocore.client import BaseClient


class SNSNotifier:
    """Publish to one topic."""

    def __init__(self, client: "BaseClient", topic_arn: str) -> None:
        """Use a topic through an SNS client."""
        self._client: Any = client
        self._topic_arn = topic_arn

    def publish(self, subject: str, body: str, attributes: Mapping[str, str]) -> str:
        """Send a notice; attributes are for subscribers' filter policies."""
        with failures.transient():
            answer = self._client.publish(
                TopicArn=self._topic_arn,
                Subject=subject,
                Message=body,
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value
                },
            )
        return str(answer["MessageId"])
