"""Do what the dropped file, or the invoking test, asks for."""

import importlib.util
import os
import time

import boto3
import greeting

dynamodb = boto3.client("dynamodb")
s3 = boto3.client("s3")
_KEEP = []


class NeverGoodError(Exception):
    """Raised on request."""


def handler(event, context):
    """Run the command that an S3 key ends with, or that a direct event names."""
    command = event.get("command") or event["detail"]["object"]["key"].rsplit("/", 1)[-1]
    return COMMANDS[command.partition(".")[2] or command](event, context)


def write(event, context):
    key = event["detail"]["object"]["key"]
    name = key.rsplit("/", 1)[-1].partition(".")[0]
    dynamodb.update_item(
        TableName=os.environ["TABLE"],
        Key={"id": {"S": name}},
        UpdateExpression="SET #kind = :run, #status = :new ADD times :one",
        ExpressionAttributeNames={"#kind": "kind", "#status": "status"},
        ExpressionAttributeValues={":run": {"S": "run"}, ":new": {"S": 'WRITTEN "twice"'}, ":one": {"N": "1"}},
    )
    return name


def fail(event, context):
    print("about to fail", context.aws_request_id)
    raise NeverGoodError("as asked")


def delete(event, context):
    s3.delete_object(Bucket=event["detail"]["bucket"]["name"], Key=event["detail"]["object"]["key"])


def transact(event, context):
    dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": os.environ["TABLE"], "Item": {"id": {"S": "transacted"}}}},
        ]
    )


def sleep(event, context):
    time.sleep(event.get("seconds", 60))


def eat(event, context):
    _KEEP.append(bytearray(600 << 20))
    time.sleep(5)


def remaining(event, context):
    return context.get_remaining_time_in_millis()


def surroundings(event, context):
    names = ("awslambdaric", "boto3", "greeting", "pytest", "ministack", "torch", "local")
    return {
        "importable": [name for name in names if importlib.util.find_spec(name)],
        "variables": {name: value for name, value in os.environ.items() if name.startswith("AWS_LAMBDA_")},
        "greeting": greeting.WORDS,
        "pid": os.getpid(),
    }


def train(event, context):
    boto3.client("sagemaker").create_training_job(
        TrainingJobName=event["name"],
        RoleArn=event["role"],
        AlgorithmSpecification={"TrainingInputMode": "File", "TrainingImage": "none"},
        OutputDataConfig={"S3OutputPath": "s3://none/"},
        ResourceConfig={"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )


COMMANDS = {
    name: globals()[name]
    for name in ("write", "fail", "delete", "transact", "sleep", "eat", "remaining", "surroundings", "train")
}
