"""What the embedded AWS holds survives a stop, and a crash loses no event."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local.engine import Engine, Settings

TEMPLATE = Path(__file__).parent / "fixture_app" / "template.yaml"
SETTINGS = Settings(retry_backoff_seconds=0.1)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with Engine(tmp_path / "engine", SETTINGS, lambda _: None) as engine:
        yield engine


def wait_for(condition: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
    return found


def drop(engine: Engine, outputs: dict[str, str], command: str = "write") -> str:
    name = f"n{uuid.uuid4().hex[:12]}"
    engine.client("s3").put_object(Bucket=outputs["DropBucket"], Key=f"in/{name}.{command}", Body=b"drop")
    return name


def record(engine: Engine, outputs: dict[str, str], name: str) -> Any:
    return engine.client("dynamodb").get_item(TableName=outputs["Records"], Key={"id": {"S": name}}).get("Item")


def announced(engine: Engine, outputs: dict[str, str], name: str) -> bool:
    logs, group = engine.client("logs"), f"/aws/lambda/{outputs['Audit']}"
    if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        return False
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group)
    return any(f'"id": "{name}"' in event["message"] for page in pages for event in page["events"])


def test_a_restart_keeps_everything(engine: Engine) -> None:
    outputs = engine.deploy(TEMPLATE, {"Greeting": "kept"}, "fixture")
    sqs, sns = engine.client("sqs"), engine.client("sns")
    inbox = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=inbox, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Resource": arn}]})
    sqs.set_queue_attributes(QueueUrl=inbox, Attributes={"Policy": policy})
    sns.subscribe(TopicArn=outputs["Topic"], Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    sqs.send_message(QueueUrl=inbox, MessageBody="before")
    name = drop(engine, outputs)
    engine.settle()
    url = engine.endpoint_url

    engine.restart()

    assert engine.endpoint_url == url
    assert engine.client("ssm").get_parameter(Name="/fixture/note")["Parameter"]["Value"] == "kept"
    assert record(engine, outputs, name)["times"] == {"N": "1"}
    versions = engine.client("s3").list_object_versions(Bucket=outputs["DropBucket"])["Versions"]
    assert [version["Key"] for version in versions] == [f"in/{name}.write"]
    body = engine.client("s3").get_object(
        Bucket=outputs["DropBucket"], Key=versions[0]["Key"], VersionId=versions[0]["VersionId"]
    )["Body"]
    assert body.read() == b"drop"
    engine.client("sns").publish(TopicArn=outputs["Topic"], Message="after")
    received: list[str] = []
    while messages := engine.client("sqs").receive_message(QueueUrl=inbox, WaitTimeSeconds=2).get("Messages"):
        received += [message["Body"] for message in messages]
    assert sorted(received) == ["after", "before"]
    another = drop(engine, outputs)
    wait_for(lambda: announced(engine, outputs, another))
    assert engine.deploy(TEMPLATE, {"Greeting": "kept"}, "fixture") == outputs


def test_an_event_that_was_being_handled_in_a_crash_is_handled_again(engine: Engine) -> None:
    outputs = engine.deploy(TEMPLATE, {}, "fixture")
    name = drop(engine, outputs)
    wait_for(lambda: record(engine, outputs, name))
    engine.client("lambda").invoke(
        FunctionName=outputs["Probe"], InvocationType="Event", Payload=json.dumps({"command": "sleep", "seconds": 3})
    )
    second = drop(engine, outputs)

    engine.kill()
    engine.start()

    assert wait_for(lambda: record(engine, outputs, second))
    wait_for(lambda: announced(engine, outputs, second))
    wait_for(lambda: announced(engine, outputs, name))


def test_a_stream_record_that_no_pipe_has_read_is_read_after_the_restart(engine: Engine) -> None:
    outputs = engine.deploy(TEMPLATE, {}, "fixture")
    engine.restart(Settings(pipe_poll_seconds=3600))
    item = {"id": {"S": "late"}, "kind": {"S": "run"}, "status": {"S": "new"}}
    time.sleep(1)
    engine.client("dynamodb").put_item(TableName=outputs["Records"], Item=item)
    engine.restart(SETTINGS)
    wait_for(lambda: announced(engine, outputs, "late"))
