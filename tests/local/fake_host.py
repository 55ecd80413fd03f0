"""An engine for the tests of one service: moto's S3 below, lists of what the service said above."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError
from moto import mock_aws

from local.engine.host import AwsError, Request, Response, Service

ROLE = "arn:aws:iam::123456789012:role/execution"
UNTRUSTING_ROLE = "arn:aws:iam::123456789012:role/untrusting"
BUCKET = "bucket"


@dataclass
class FakeHost:
    """Record what a service tells the engine; every role may do everything but what ``denied`` holds."""

    data_dir: Path
    work_dir: Path
    account_id: str = "123456789012"
    region: str = "us-east-1"
    endpoint_url: str = "http://127.0.0.1:1"
    events: list[dict[str, Any]] = field(default_factory=list)
    logs: dict[str, list[str]] = field(default_factory=dict)
    metrics: list[tuple[str, str, float, Mapping[str, str]]] = field(default_factory=list)
    denied: set[tuple[str, str]] = field(default_factory=set)

    def emit(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        event = {"source": source, "detail-type": detail_type, "detail": detail, "resources": list(resources)}
        self.events.append(json.loads(json.dumps(event)))

    def caller_arn(self) -> str:
        return "arn:aws:iam::123456789012:root"

    def pass_role(self, role_arn: str, service: str, /) -> None:
        if role_arn == UNTRUSTING_ROLE:
            raise AwsError("ValidationException", f"Could not assume role {role_arn} for {service}.")

    def session_environment(self, role_arn: str, session_name: str) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": f"key-of-{role_arn}", "AWS_ROLE_SESSION": session_name}

    def client(self, service: str, role_arn: str | None = None) -> Any:
        client = boto3.client(service, region_name=self.region, aws_access_key_id="k", aws_secret_access_key="s")

        def deny(model: Any, **_: Any) -> None:
            if role_arn and (role_arn, model.name) in self.denied:
                response: Any = {
                    "Error": {"Code": "AccessDenied", "Message": "Access Denied"},
                    "ResponseMetadata": {"HTTPStatusCode": 403},
                }
                raise ClientError(response, model.name)

        client.meta.events.register("before-call", deny)
        return client

    def put_logs(self, group: str, stream: str, lines: Iterable[tuple[int, str]]) -> None:
        self.logs.setdefault(f"{group}:{stream}", []).extend(text for _, text in lines)

    def put_metric(self, namespace: str, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        self.metrics.append((namespace, name, value, dimensions))


class _Raw:
    """Be read as urllib3's response is, whole or piece by piece."""

    def __init__(self, body: bytes | Iterator[bytes]) -> None:
        self._pieces = iter([body]) if isinstance(body, bytes) else body

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        return self._pieces

    def read(self, *_: Any) -> bytes:
        return b"".join(self._pieces)

    def close(self) -> None:
        """Hold nothing open."""


def connect(service: Service, api: str) -> Any:
    """Return a boto3 client whose requests the service answers, in the engine's way."""
    client = boto3.client(
        api,
        region_name="us-east-1",
        endpoint_url="http://localhost",
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=Config(retries={"total_max_attempts": 1}),
    )

    def send(request: AWSPreparedRequest, **_: Any) -> AWSResponse:
        response = call(service, request)
        return AWSResponse(request.url, response.status, dict(response.headers), _Raw(response.body))

    client.meta.events.register("before-send", send)
    return client


def call(service: Service, prepared: AWSPreparedRequest) -> Response:
    """Hand one signed request to the service and format its errors."""
    parts = urlsplit(prepared.url)
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else str(value)
        for name, value in prepared.headers.items()
    }
    body = prepared.body.encode() if isinstance(prepared.body, str) else prepared.body or b""
    request = Request(prepared.method, parts.path, headers, parse_qs(parts.query), body)
    service.iam(request)
    try:
        return asyncio.run(service.handle(request))
    except AwsError as error:
        fault = {"__type": error.code, "message": error.message}
        return Response(error.status, json.dumps(fault).encode(), {"x-amzn-errortype": error.code})


@contextlib.contextmanager
def fake_host(folder: Path) -> Iterator[FakeHost]:
    """Yield a host whose S3 has one empty bucket."""
    with mock_aws():
        host = FakeHost(folder / "data", folder / "work")
        host.client("s3").create_bucket(Bucket=BUCKET)
        yield host


def eventually(condition: Callable[[], Any], seconds: float = 120) -> Any:
    """Return the condition's first true value; fail when it stays false."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    msg = f"still false after {seconds} s"
    raise AssertionError(msg)
