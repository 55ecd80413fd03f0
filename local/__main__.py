"""``python -m local up``: leave the embedded AWS running, with the application deployed."""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from local.deploy import DeploymentError
from local.engine import Engine, EngineError, Settings
from local.jumpstart import cache
from local.jumpstart.specs import CATALOGUE

_ROOT = Path(__file__).parents[1]
STACK_NAME = "tunedrop"
INBOX_NAME = "tunedrop-inbox"
CONTENT_BUCKET = "tunedrop-jumpstart-cache"

_NOT_AWS = """\
What is not AWS about it: training and answering run on this computer's CPU, whatever instance type is asked for;
the administrator's keys above are root and may do anything, while every function has its own role's permissions only;
quotas, prices, alarms and policies of queues and topics are weaker here: what works here still needs a real trial."""


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m local", description="An AWS on this computer, for Tunedrop.")
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("up", help="start it, deploy template.yaml and wait for Ctrl-C")
    command.add_argument("--port", type=int, default=0, help="where it listens on 127.0.0.1 (default: as last time)")
    command.add_argument("--data", type=Path, default=_ROOT / ".local" / "aws", help="where it keeps what it holds")
    command.add_argument("--fresh", action="store_true", help="forget what an earlier start held")
    arguments = parser.parse_args()
    try:
        up(arguments.port, arguments.data, fresh=arguments.fresh)
    except (DeploymentError, EngineError) as error:
        sys.exit(str(error))


def up(port: int, data_dir: Path, *, fresh: bool) -> None:
    """Start the engine, make it complete, say how to speak to it, and wait to be interrupted."""
    if fresh:
        shutil.rmtree(data_dir, ignore_errors=True)
    with Engine(data_dir, Settings(port=port)) as engine:
        outputs = furnish(engine)
        print()
        for name, value in engine.environment().items():
            print(f"export {name}={value}")
        print()
        print(_NOT_AWS)
        print()
        print(f"Stack {STACK_NAME}; drop datasets into s3://{outputs['DropBucketName']}/datasets/<name>/;")
        print(f"notifications arrive in the queue {INBOX_NAME}. Ctrl-C ends it; what it holds is kept in {data_dir}.")
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


def furnish(engine: Engine) -> dict[str, str]:
    """Publish the local JumpStart models, deploy the application and subscribe an inbox to its notifications.

    Returns:
        The stack's outputs.
    """
    parameters = publish_models(engine)
    outputs = engine.deploy(_ROOT / "template.yaml", parameters, STACK_NAME)
    subscribe_inbox(engine, outputs["NotificationsTopicArn"])
    return outputs


def publish_models(engine: Engine) -> Mapping[str, str]:
    """Fill the bucket that stands for JumpStart's cache.

    Returns:
        The stack parameters that point at it.
    """
    s3 = engine.client("s3")
    s3.create_bucket(Bucket=CONTENT_BUCKET)
    print("Publishing the local JumpStart models …", flush=True)
    cache.publish(s3, CONTENT_BUCKET)
    bases = {model.model_id: model.model_id for model in CATALOGUE}
    return {"JumpStartContentBucket": CONTENT_BUCKET, "BaseModels": json.dumps(bases)}


def subscribe_inbox(engine: Engine, topic_arn: str) -> str:
    """Let a queue receive what the application tells people, as a user of AWS would; return the queue's URL."""
    sqs = engine.client("sqs")
    url = str(sqs.create_queue(QueueName=INBOX_NAME)["QueueUrl"])
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic_arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    engine.client("sns").subscribe(TopicArn=topic_arn, Protocol="sqs", Endpoint=arn)
    return url


if __name__ == "__main__":
    main()
