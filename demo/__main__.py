"""Drop the bank transactions, watch the run to its end, read the inbox and ask the promoted model.

Everything is real but AWS: the template is deployed as it is, the model is trained, imported and asked. The state is
made anew at each start and kept afterwards in `.local/demo`.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local import application
from local.engine import Engine

ROOT = Path(__file__).parent.parent
DATASET = ROOT / "demo" / "bank-transactions"
DATA_DIR = ROOT / ".local" / "demo"
SECONDS_PER_MINUTE = 5.0
"""Bedrock's imports are polled by a schedule of one minute; here the minute is short."""

LAST_NOTICE_SECONDS = 30.0


def main() -> int:
    """Run the demo; return the exit status of `tunedrop drop`, which is 0 when the run was promoted."""
    started = time.monotonic()
    shutil.rmtree(DATA_DIR, ignore_errors=True)
    _say("1. An AWS in one process, with template.yaml deployed as it is")
    with Engine(DATA_DIR, application.settings(_tell, seconds_per_minute=SECONDS_PER_MINUTE), _tell) as engine:
        application.furnish(engine, _tell)
        environment = {**os.environ, **engine.environment()}
        _say(f"2. $ tunedrop drop {DATASET.relative_to(ROOT)}")
        status = _tunedrop(environment, "drop", str(DATASET))
        _say("3. What the subscribers of the notifications were sent")
        _print_inbox(engine)
        if status == 0:
            question, right = _held_out()
            _say(f"4. $ tunedrop chat bank-transactions --message {question!r}")
            status = _tunedrop(environment, "chat", "bank-transactions", "--message", question)
            print(f"\n(In the books it is: {right})")
            _say("5. The same, as any program asks it")
            _converse(engine, question)
    minutes = (time.monotonic() - started) / 60
    print(f"\nDone in {minutes:.1f} minutes." if status == 0 else "\nThe run was not promoted; see above.")
    return status


def _tunedrop(environment: Mapping[str, str], *arguments: str) -> int:
    command = Path(sys.executable).with_name("tunedrop")
    return subprocess.run([command, *arguments], env=environment, check=False).returncode


def _held_out() -> tuple[str, str]:
    """Return the first held-out row as the evaluation asked it, and the answer that is right."""
    template = json.loads((DATASET / "template.json").read_text())["prompt"]
    row = json.loads((DATASET / "held-out.jsonl").read_text().splitlines()[0])
    return template.format(**row), row["response"]


def _converse(engine: Engine, question: str) -> None:
    alias = f"/{application.STACK_NAME}/models/{DATASET.name}"
    arn = engine.client("ssm").get_parameter(Name=alias)["Parameter"]["Value"]
    print(f'boto3.client("bedrock-runtime").converse(modelId="{arn}", …)')
    answer = engine.client("bedrock-runtime").converse(
        modelId=arn,
        messages=[{"role": "user", "content": [{"text": question}]}],
        inferenceConfig={"maxTokens": 32, "temperature": 0.0},
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


def _say(heading: str) -> None:
    print(f"\n── {heading} {'─' * max(0, 100 - len(heading))}\n", flush=True)


def _tell(sentence: str) -> None:
    print(f"   {sentence}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
