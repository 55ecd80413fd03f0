"""Do what the dropped file, or the invoking test, asks for."""

import importlib.util
import os
import sys
import time
from typing import Any

import boto3
import greeting

dynamodb = boto3.client("dynamodb")
s3 = boto3.client("s3")
_KEPT = []


class NeverGoodError(Exception):
    """Raised on request."""


def handler(event: dict[str, Any], context: Any) -> Any:  # noqa: C901 - one case for each command
    """Run the command that an S3 key ends with, or that a direct event names."""
    command = event.get("command") or event["detail"]["object"]["key"].rpartition(".")[2]
    match command:
        case "write":
            return write(event["detail"]["object"]["key"])
        case "read":
            detail = event["detail"]
            return s3.get_object(Bucket=detail["bucket"]["name"], Key=detail["object"]["key"])["Body"].read().decode()
        case "fail":
            sys.stdout.write(f"about to fail {context.aws_request_id}\n")
            raise NeverGoodError("as asked")
        case "delete":
            return s3.delete_object(Bucket=event["detail"]["bucket"]["name"], Key=event["detail"]["object"]["key"])
        case "transact":
            put = {"TableName": os.environ["TABLE"], "Item": {"id": {"S": "transacted"}}}
            return dynamodb.transact_write_items(TransactItems=[{"Put": put}])
        case "sleep":
            return time.sleep(event.get("seconds", 60))
        case "eat":
            _KEPT.append(bytearray(600 << 20))
            return time.sleep(5)
        case "remaining":
            return context.get_remaining_time_in_millis()
        case "surroundings":
            return surroundings()
        case "train":
            return train(event["name"], event["role"])
    raise LookupError(command)


def write(key: str) -> str:
    """Count in the table how often this drop was handled."""
    name = key.rpartition("/")[2].partition(".")[0]
    dynamodb.update_item(
        TableName=os.environ["TABLE"],
        Key={"id": {"S": name}},
        UpdateExpression="SET #kind = :run, #status = :new ADD times :one",
        ExpressionAttributeNames={"#kind": "kind", "#status": "status"},
        ExpressionAttributeValues={":run": {"S": "run"}, ":new": {"S": 'WRITTEN "twice"'}, ":one": {"N": "1"}},
    )
    return name


def surroundings() -> dict[str, Any]:
    """Tell what this process could import and what it was told."""
    names = ("awslambdaric", "boto3", "greeting", "pytest", "ministack", "torch", "local")
    return {
        "importable": [name for name in names if importlib.util.find_spec(name)],
        "variables": {name: value for name, value in os.environ.items() if name.startswith("AWS_LAMBDA_")},
        "greeting": greeting.WORDS,
        "pid": os.getpid(),
    }


def train(name: str, role: str) -> None:
    """Start a training job."""
    boto3.client("sagemaker").create_training_job(
        TrainingJobName=name,
        RoleArn=role,
        AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "none"},
        OutputDataConfig={"S3OutputPath": "s3://none/"},
        ResourceConfig={"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
