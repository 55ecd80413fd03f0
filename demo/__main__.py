"""Drop a dataset, watch the run to its end, read the inbox and ask the promoted model: one demo a technique.

Everything is real but AWS: the template is deployed as it is, the model is trained, imported and asked. The state is
made anew at each start and kept afterwards in `.local/demo`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demo import document_pictures
from local import application
from local.engine import Engine

ROOT = Path(__file__).parent.parent
DATASETS = {
    "instruction": "bank-transactions",
    "chat": "support-desk",
    "domain-adaptation": "island-almanac",
    "visual-qa": "document-pictures",
}
"""The dataset of each technique, a folder beside this file."""
DATA_DIR = ROOT / ".local" / "demo"
SECONDS_PER_MINUTE = 5.0
"""Bedrock's imports are polled by a schedule of one minute; here the minute is short."""

LAST_NOTICE_SECONDS = 30.0


def main(technique: str) -> int:
    """Run a technique's demo; return the exit status of `tunedrop drop`, which is 0 when the run was promoted."""
    dataset = ROOT / "demo" / DATASETS[technique]
    started = time.monotonic()
    shutil.rmtree(DATA_DIR, ignore_errors=True)
    if technique == "visual-qa":
        document_pictures.write(dataset)  # drawn here: a repository is no place for hundreds of pictures
    _say("1. An AWS in one process, with template.yaml deployed as it is")
    with Engine(DATA_DIR, application.settings(_tell, seconds_per_minute=SECONDS_PER_MINUTE), _tell) as engine:
        application.furnish(engine, _tell)
        environment = {**os.environ, **engine.environment()}
        _say(f"2. $ tunedrop drop {dataset.relative_to(ROOT)}")
        status = _tunedrop(environment, "drop", str(dataset))
        _say("3. What the subscribers of the notifications were sent")
        _print_inbox(engine)
        if status == 0:
            row = _held_out(engine)
            content = _content(engine, row)
            if "prompt" in row and "image" not in row:
                question = row["prompt"]
                _say(f"4. $ tunedrop chat {dataset.name} --message {question!r}")
                status = _tunedrop(environment, "chat", dataset.name, "--message", question)
            _say("5. A row that was set apart, as any program asks it")
            _converse(engine, dataset.name, content)
            print(f"\n(The row itself goes on: {row['completion']})")
    minutes = (time.monotonic() - started) / 60
    print(f"\nDone in {minutes:.1f} minutes." if status == 0 else "\nThe run was not promoted; see above.")
    return status


def _tunedrop(environment: Mapping[str, str], *arguments: str) -> int:
    command = Path(sys.executable).with_name("tunedrop")
    return subprocess.run([command, *arguments], env=environment, check=False).returncode


def _held_out(engine: Engine) -> dict[str, Any]:
    """Return the first held-out row as the evaluation asked it, with the completion that is right."""
    s3, bucket = engine.client("s3"), _run_bucket(engine)
    keys = (each["Key"] for each in s3.list_objects_v2(Bucket=bucket, Prefix="runs/")["Contents"])
    key = next(key for key in keys if key.endswith("/held-out.jsonl"))
    row: dict[str, Any] = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].readline())
    return row


def _content(engine: Engine, row: Mapping[str, Any]) -> dict[str, Any]:
    """Write a held-out row as Converse takes it."""
    if "messages" in row:
        said = [{"role": each["role"], "content": [{"text": each["content"]}]} for each in row["messages"]]
        system = [each["content"][0] for each in said if each["role"] == "system"]
        turns = [each for each in said if each["role"] != "system"]
        return {"messages": turns, **({"system": system} if system else {})}
    blocks: list[dict[str, Any]] = [{"text": row["prompt"]}]
    if "image" in row:
        picture = engine.client("s3").get_object(Bucket=_run_bucket(engine), Key=row["image"])["Body"].read()
        suffix = Path(row["image"]).suffix.lstrip(".").replace("jpg", "jpeg")
        blocks.insert(0, {"image": {"format": suffix, "source": {"bytes": picture}}})
    return {"messages": [{"role": "user", "content": blocks}]}


def _run_bucket(engine: Engine) -> str:
    stacks = engine.client("cloudformation").describe_stacks(StackName=application.STACK_NAME)["Stacks"]
    return next(str(each["OutputValue"]) for each in stacks[0]["Outputs"] if each["OutputKey"] == "RunBucketName")


def _converse(engine: Engine, dataset: str, content: Mapping[str, Any]) -> None:
    alias = f"/{application.STACK_NAME}/models/{dataset}"
    arn = engine.client("ssm").get_parameter(Name=alias)["Parameter"]["Value"]
    for message in content["messages"]:
        shown = [block.get("text", "(a picture)") for block in message["content"]]
        print(f"{message['role']}: {' '.join(shown)}")
    print(f'\nboto3.client("bedrock-runtime").converse(modelId="{arn}", …)')
    answer = engine.client("bedrock-runtime").converse(
        modelId=arn, **content, inferenceConfig={"maxTokens": 64, "temperature": 0.0}
    )
    kept = {name: answer[name] for name in ("output", "stopReason", "usage", "metrics")}
    print(json.dumps(kept, indent=2))


def _print_inbox(engine: Engine) -> None:
    """Print the messages, in the order of their time, until the one that tells the run's end is there."""
    queue = engine.client("sqs")
    url = queue.get_queue_url(QueueName=application.INBOX_NAME)["QueueUrl"]
    deadline = time.monotonic() + LAST_NOTICE_SECONDS
    notices: list[dict[str, str]] = []
    while time.monotonic() < deadline and not any("training started" not in each["Subject"] for each in notices):
        batch = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
        notices += [json.loads(message["Body"]) for message in batch]
    for notice in sorted(notices, key=lambda each: each["Timestamp"]):
        print(f"Subject: {notice['Subject']}\n\n{notice['Message']}")


def _technique() -> str:
    arguments = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    arguments.add_argument("technique", nargs="?", default="instruction", choices=DATASETS)
    technique: str = arguments.parse_args().technique
    return technique


def _say(heading: str) -> None:
    print(f"\n── {heading} {'─' * max(0, 100 - len(heading))}\n", flush=True)


def _tell(sentence: str) -> None:
    print(f"   {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main(_technique()))
