"""A stack as the command sees it, on moto, and the command that is pointed at it."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import boto3
import pytest
from moto import mock_aws
from typer.testing import CliRunner, Result

from tests.catalogue import write_catalogue
from tunedrop.domain import names
from tunedrop.domain.decide import settled
from tunedrop.domain.run import Run
from tunedrop_cli.main import app

STACK = "tunedrop"
REGION = "us-east-1"

DEAD_LETTERS = f"https://sqs.{REGION}.amazonaws.com/123456789012/dead-letters"

OUTPUTS = {
    "DropBucketName": "drops",
    "RunBucketName": "run-files",
    "RunsTableName": "runs",
    "DeadLetterQueueUrl": DEAD_LETTERS,
    "EventBusName": STACK,
}


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[str]:
    """Serve until the end of the block; yields the endpoint."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class CloudFormation(ThreadingHTTPServer):
    """Answer DescribeStacks over HTTP; moto's CloudFormation would import every service that moto has.

    Answers GetProducts of the Price List, too, which moto has not.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _DescribeStacks)
        self.stacks: dict[str, dict[str, str]] = {}
        self.parameters: dict[str, str] = {}
        self.price_list: list[str] = []
        """Products, as AWS's Price List writes them."""


class _DescribeStacks(BaseHTTPRequestHandler):
    server: CloudFormation

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers["X-Amz-Target"] == "AWSPriceListService.GetProducts":
            self._reply(200, json.dumps({"FormatVersion": "aws_v1", "PriceList": self.server.price_list}))
            return
        request = parse_qs(body)
        assert request["Action"] == ["DescribeStacks"]
        name = request["StackName"][0]
        if name in self.server.stacks:
            outputs = "".join(
                f"<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
                for key, value in self.server.stacks[name].items()
            )
            parameters = "".join(
                f"<member><ParameterKey>{key}</ParameterKey><ParameterValue>{escape(value)}</ParameterValue></member>"
                for key, value in self.server.parameters.items()
            )
            self._reply(
                200,
                f"<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>{name}</StackName>"
                f"<Outputs>{outputs}</Outputs><Parameters>{parameters}</Parameters></member></Stacks></DescribeStacksResult></DescribeStacksResponse>",
            )
        else:
            message = f"Stack with id {name} does not exist"
            self._reply(
                400,
                "<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>"
                f"<Message>{message}</Message></Error></ErrorResponse>",
            )

    def _reply(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


class ServiceQuotas(ThreadingHTTPServer):
    """Answer Service Quotas over HTTP: moto knows no list of them."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Quotas)
        self.values = {"ml.g5.2xlarge for training job usage": 1.0, "ml.p4d.24xlarge for training job usage": 1.0}
        self.imported_models = 3.0


class _Quotas(BaseHTTPRequestHandler):
    server: ServiceQuotas

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        every = [{"QuotaName": name, "QuotaCode": name, "Value": value} for name, value in self.server.values.items()]
        if request["ServiceCode"] == "bedrock":
            answer: dict[str, Any] = {
                "Quota": {"QuotaCode": request["QuotaCode"], "Value": self.server.imported_models}
            }
        elif self.headers["X-Amz-Target"].endswith(".ListServiceQuotas"):
            answer = {"Quotas": every}
        else:
            answer = {"Quota": next(each for each in every if each["QuotaCode"] == request["QuotaCode"])}
        text = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


class Bedrock(ThreadingHTTPServer):
    """Answer Bedrock's lists over HTTP: moto knows no imported models."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Lists)
        self.models: list[str] = []
        self.importing: list[str] = []


class _Lists(BaseHTTPRequestHandler):
    server: Bedrock

    def do_GET(self) -> None:
        arn = "arn:aws:bedrock:us-east-1:123456789012:imported-model/abcdefghij01"
        time = "2026-11-01T00:00:00Z"
        models = [{"modelArn": arn, "modelName": each, "creationTime": time} for each in self.server.models]
        jobs = [
            {"jobArn": arn, "jobName": each, "status": "InProgress", "creationTime": time}
            for each in self.server.importing
        ]
        text = json.dumps({"modelSummaries": models, "modelImportJobSummaries": jobs}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


@dataclass(frozen=True)
class Account:
    """Put things where the deployed application would."""

    session: boto3.Session

    def client(self, service: str) -> Any:
        return self.session.client(service)

    def store(self, run: Run) -> None:
        item = {
            "id": f"run#{run.run_id}",
            "kind": "run",
            "run_id": run.run_id,
            "dataset": run.dataset,
            "status": run.status,
            "shelf": "settled" if settled(run) else "live",
            "created_at": run.created_at.isoformat(),
            "document": run.model_dump_json(),
        }
        self.client("dynamodb").put_item(TableName="runs", Item={name: {"S": value} for name, value in item.items()})

    def promote(self, dataset: str, model_arn: str) -> None:
        self.client("ssm").put_parameter(Name=names.alias(STACK, dataset), Value=model_arn, Type="String")

    def dropped(self, dataset: str) -> list[str]:
        pages = self.client("s3").list_objects_v2(Bucket="drops", Prefix=f"datasets/{dataset}/")
        return [each["Key"].removeprefix(f"datasets/{dataset}/") for each in pages.get("Contents", [])]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Give the command made-up credentials, and none of the machine's own settings."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "TUNEDROP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def cloudformation(monkeypatch: pytest.MonkeyPatch) -> Iterator[CloudFormation]:
    """Deploy stacks by naming their outputs, and the parameters of all of them."""
    server = CloudFormation()
    with serving(server) as endpoint, mock_aws():
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", endpoint)
        yield server


@pytest.fixture
def stacks(cloudformation: CloudFormation) -> dict[str, dict[str, str]]:
    """Deploy stacks by naming their outputs."""
    return cloudformation.stacks


@pytest.fixture
def account(stacks: dict[str, dict[str, str]]) -> Account:
    """Deploy Tunedrop's stack, as far as the command sees it."""
    stacks[STACK] = OUTPUTS
    session = boto3.Session(region_name=REGION)
    s3 = session.client("s3")
    for bucket in (OUTPUTS["DropBucketName"], OUTPUTS["RunBucketName"]):
        s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=OUTPUTS["DropBucketName"], VersioningConfiguration={"Status": "Enabled"})
    session.client("dynamodb").create_table(
        TableName=OUTPUTS["RunsTableName"],
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "shelf", "created_at")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "shelf-index",
                "KeySchema": [
                    {"AttributeName": "shelf", "KeyType": "HASH"},
                    {"AttributeName": "created_at", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["run_id", "dataset", "status"]},
            }
        ],
    )
    return Account(session)


@pytest.fixture
def quotas(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, float]]:
    """Grant quotas, by their names."""
    server = ServiceQuotas()
    with serving(server) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SERVICE_QUOTAS", endpoint)
        yield server.values


@pytest.fixture
def bedrock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    """Hold imported models, and import one."""
    server = Bedrock()
    with serving(server) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", endpoint)
        yield server


@pytest.fixture
def catalogue(cloudformation: CloudFormation, tmp_path_factory: pytest.TempPathFactory) -> Account:
    """Lay a catalogue out where AWS's public one lies."""
    assert cloudformation, "it starts the AWS that the bucket is in"
    folder = write_catalogue(tmp_path_factory.mktemp("catalogue"))
    session = boto3.Session(region_name=REGION)
    bucket = f"jumpstart-cache-prod-{REGION}"
    s3 = session.client("s3")
    s3.create_bucket(Bucket=bucket)
    for path in folder.rglob("*.json"):
        key = path.relative_to(folder).as_posix()
        s3.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), ACL="public-read")
    return Account(session)


@pytest.fixture
def tunedrop() -> Callable[..., Result]:
    """Run the command with some arguments, as a person types them."""

    def command(*arguments: str, **options: Any) -> Result:
        result = CliRunner().invoke(app, list(arguments), **options)
        assert "Traceback" not in result.output
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return command
