"""The application on the embedded AWS, with the tiny model: as real as the demo, in seconds."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local.application import INBOX_NAME
from local.engine import Engine
from local.engine.settings import ACCOUNT_ID, REGION
from local.jumpstart.specs import TINY_LLAMA
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.domain import names
from tunedrop.domain.run import Run, RunStatus
from tunedrop.steps.judge import LOOK_AGAIN

MLFLOW_SERVER_ARN = f"arn:aws:sagemaker:{REGION}:{ACCOUNT_ID}:mlflow-tracking-server/experiments"

PATIENCE = 300.0
"""Seconds to wait for a run, on two cores that do other things too."""

COLOURS = {"warm": ("red", "orange", "amber"), "cold": ("blue", "teal", "navy")}
TEMPLATE = {"prompt": "{colour}", "completion": "{feeling}"}
LEARNS = {
    "epoch": 6,
    "per_device_train_batch_size": 8,
    "per_device_eval_batch_size": 8,
    "learning_rate": 0.02,
    "lora_r": 16,
    "target_modules": "q_proj,v_proj,k_proj,o_proj,gate_proj,up_proj,down_proj",
}
"""What the tiny model needs to learn the colours by heart."""

QUICK = {**LEARNS, "epoch": 1}


def rows(first: int, count: int, colours: Mapping[str, Sequence[str]] = COLOURS) -> list[dict[str, str]]:
    """Make rows that the tiny model can learn; other numbers make other rows."""
    numbers = range(first, first + count)
    return [
        {"colour": f"{colour} {number}", "feeling": feeling}
        for number in numbers
        for feeling, felt in colours.items()
        for colour in felt
    ]


def lines(records: list[dict[str, str]]) -> bytes:
    """Write rows as a .jsonl file."""
    return "".join(json.dumps(record) + "\n" for record in records).encode()


@dataclass
class Application:
    """Hold the deployed application as a user sees it, and a little more."""

    engine: Engine
    outputs: dict[str, str]

    def upload(self, dataset: str, files: Mapping[str, bytes]) -> None:
        """Upload the files of a drop."""
        for name, content in files.items():
            self.s3.put_object(Bucket=self.outputs["DropBucketName"], Key=f"datasets/{dataset}/{name}", Body=content)

    def start(self, dataset: str, **spec: Any) -> str:
        """Upload `tune.yaml` (JSON is YAML), and return the run's id."""
        return self.start_with(dataset, json.dumps({"model": TINY_LLAMA.model_id, **spec}).encode())

    def start_with(self, dataset: str, tune_yaml: bytes) -> str:
        """Upload a `tune.yaml` as it is, and return the run's id."""
        bucket, key = self.outputs["DropBucketName"], f"datasets/{dataset}/tune.yaml"
        version = self.s3.put_object(Bucket=bucket, Key=key, Body=tune_yaml)["VersionId"]
        return names.run_id(bucket, key, version)

    def drop(self, dataset: str, seed: int = 0, colours: Mapping[str, Sequence[str]] = COLOURS, **spec: Any) -> str:
        """Drop the colours: 60 rows to learn from, 24 to be judged by; another seed makes other rows."""
        files = {
            "train.jsonl": lines(rows(100 * seed, 10, colours)),
            "held-out.jsonl": lines(rows(100 * seed + 50, 4, colours)),
            "template.json": json.dumps(TEMPLATE).encode(),
        }
        self.upload(dataset, files)
        return self.start(dataset, **{"hyperparameters": LEARNS, **spec})

    def run(self, run_id: str) -> Run | None:
        """Read a run."""
        return DynamoDBRunStore(self._dynamodb, self.outputs["RunsTableName"]).get(run_id)

    def wait(self, run_id: str, *statuses: RunStatus) -> Run:
        """Wait until a run has one of the statuses, or any end when none is given."""
        deadline = time.monotonic() + PATIENCE
        run = None
        while time.monotonic() < deadline:
            run = self.run(run_id)
            if run and (run.status in statuses or (run.status.terminal and not statuses)):
                return run
            if run and run.status.terminal:
                raise AssertionError(f"run {run_id} ended {run.status}: {run.reason}")
            time.sleep(0.2)
        raise AssertionError(f"run {run_id} still is {run.status if run else 'unknown'} ({run.reason if run else ''})")

    def wait_for(self, run_id: str, holds: Callable[[Run], bool]) -> Run:
        """Wait until something holds of a run."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            run = self.run(run_id)
            if run and holds(run):
                return run
            time.sleep(0.2)
        raise AssertionError(f"it never held of run {run_id}: {run}")

    def called(self, function: str, action: str, resource: str) -> bool:
        """Tell whether a function was allowed an action on a resource whose ARN contains the text."""
        return any(
            decision.allowed
            and decision.action == action
            and decision.role.startswith(f"tunedrop-{function}FunctionRole")
            and resource in decision.resource
            for decision in self.engine.decisions()
        )

    def await_call(self, function: str, action: str, resource: str) -> None:
        """Wait for the moment in which a function is allowed an action."""
        deadline = time.monotonic() + PATIENCE
        while not self.called(function, action, resource):
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def function_name(self, function: str) -> str:
        """Return the deployed name of a function."""
        resource = self.engine.client("cloudformation").describe_stack_resource(
            StackName="tunedrop", LogicalResourceId=f"{function}Function"
        )
        return str(resource["StackResourceDetail"]["PhysicalResourceId"])

    def role_arn(self, logical_id: str) -> str:
        """Return the ARN of a role of the template."""
        resource = self.engine.client("cloudformation").describe_stack_resource(
            StackName="tunedrop", LogicalResourceId=logical_id
        )
        name = resource["StackResourceDetail"]["PhysicalResourceId"]
        return str(self.engine.client("iam").get_role(RoleName=name)["Role"]["Arn"])

    def tick(self, function: str, ahead: timedelta) -> None:
        """Wake a scheduled function as if time had passed."""
        event = {"detail-type": "Scheduled Event", "time": (datetime.now(UTC) + ahead).isoformat()}
        answer = self.engine.client("lambda").invoke(
            FunctionName=self.function_name(function), Payload=json.dumps(event).encode()
        )
        assert "FunctionError" not in answer, answer["Payload"].read()

    def hear_judge(self, run_id: str) -> None:
        """Wait until the answers are with the judge, and have the run look at it before its time."""
        run = self.wait_for(run_id, lambda run: bool(run.judgement and (run.judgement.over or run.next_try_at)))
        if run.next_try_at:
            self.tick("ReconcileRuns", LOOK_AGAIN)

    def import_span(self, run_id: str) -> tuple[datetime, datetime]:
        """Return when the import of a run began and ended."""
        bedrock = self.engine.client("bedrock")
        [summary] = bedrock.list_model_import_jobs(nameContains=run_id)["modelImportJobSummaries"]
        return summary["creationTime"], summary["endTime"]

    def notices(self, run_id: str) -> list[dict[str, Any]]:
        """Return what the inbox was sent about a run; each message can be read again."""
        self.engine.settle(PATIENCE)
        queue = self.engine.client("sqs")
        url = queue.get_queue_url(QueueName=INBOX_NAME)["QueueUrl"]
        received: list[dict[str, Any]] = []
        asked: Any = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 60}
        while batch := queue.receive_message(**asked).get("Messages"):
            received += batch
        for message in received:  # whoever asks next may do so at once
            handle = message["ReceiptHandle"]
            queue.change_message_visibility(QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0)
        notices = [json.loads(message["Body"]) for message in received]
        return [each for each in notices if each["MessageAttributes"]["run_id"]["Value"] == run_id]

    def training_jobs(self, run_id: str) -> list[str]:
        """Name the training jobs of a run."""
        jobs = self.engine.client("sagemaker").list_training_jobs(NameContains=run_id)["TrainingJobSummaries"]
        return [job["TrainingJobName"] for job in jobs]

    def imports(self, run_id: str) -> list[str]:
        """Name the import jobs of a run."""
        jobs = self.engine.client("bedrock").list_model_import_jobs(nameContains=run_id)["modelImportJobSummaries"]
        return [job["jobName"] for job in jobs]

    def converse(self, model_id: str, text: str) -> dict[str, Any]:
        """Ask a model one thing, greedily, with the patience that a cold start needs."""
        config = Config(retries={"mode": "standard", "total_max_attempts": 10})
        environment = self.engine.environment()
        runtime = boto3.client(
            "bedrock-runtime",
            config=config,
            endpoint_url=environment["AWS_ENDPOINT_URL"],
            region_name=environment["AWS_DEFAULT_REGION"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )
        message = {"role": "user", "content": [{"text": text}]}
        return runtime.converse(
            modelId=model_id, messages=[message], inferenceConfig={"maxTokens": 16, "temperature": 0.0}
        )

    def imported_weights(self, run: Run) -> Path:
        """Locate the weights that the local Bedrock answers with for a run."""
        assert run.deployment is not None
        assert run.deployment.model_arn is not None
        return self.engine.data_dir / "bedrock" / "imported-models" / run.deployment.model_arn.rpartition("/")[2]

    def dead_letters(self) -> list[str]:
        """Return what could not be handled."""
        queue = self.engine.client("sqs")
        url = self.outputs["DeadLetterQueueUrl"]
        messages = queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0).get("Messages", [])
        return [message["Body"] for message in messages]

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the `tunedrop` command as a user does."""
        return subprocess.run(
            [Path(sys.executable).with_name("tunedrop"), *arguments],
            env={**os.environ, **self.engine.environment(), "COLUMNS": "120"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def s3(self) -> Any:
        """Return an S3 client."""
        return self.engine.client("s3")

    @cached_property
    def _dynamodb(self) -> Any:
        # One for all: making a client takes longer than many a wait. A restarted engine keeps its port.
        return self.engine.client("dynamodb")
