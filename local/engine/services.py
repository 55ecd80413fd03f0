"""The engine as its plugged-in services see it, and the way of their requests."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from ministack import app as ministack
from ministack.core import iam_actions, iam_evaluator, router
from ministack.core.concurrency import run_reentrant
from ministack.core.responses import StreamingResponse
from ministack.services import cloudwatch

from local.engine import alarms, logs
from local.engine.destinations import put_event
from local.engine.host import AwsError, Request, Response, Service
from local.engine.iam import Iam, request_access_key
from local.engine.settings import ACCOUNT_ID, REGION

if TYPE_CHECKING:
    from botocore.client import BaseClient

# The path of the request being served as it was sent: ministack hands on only the decoded one.
raw_path: contextvars.ContextVar[str] = contextvars.ContextVar("raw_path", default="/")

# Services that ministack tells apart although they sign with one name.
_MINISTACK_NAMES = {"bedrock": ("bedrock", "bedrock-runtime")}


class EngineHost:
    """Implement ``local.engine.host.Host``."""

    def __init__(self, iam: Iam, endpoint_url: str, data_dir: Path, work_dir: Path) -> None:
        """Describe the engine to its services."""
        self.account_id = ACCOUNT_ID
        self.region = REGION
        self.endpoint_url = endpoint_url
        self.data_dir = data_dir
        self.work_dir = work_dir
        self._iam = iam
        self._clients: dict[tuple[str, str | None], BaseClient] = {}
        self._lock = threading.Lock()

    def emit(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Put a service event on the default event bus."""
        put_event("default", source, detail_type, json.dumps(detail, default=str), resources, from_aws=True)

    def caller_arn(self) -> str:
        """Return the principal of the request being served."""
        return self._iam.caller_arn()

    def pass_role(self, role_arn: str, service: str, /) -> None:
        """Check that the caller may hand the role to the service; raises AwsError."""
        self._iam.pass_role(role_arn, service)

    def session_environment(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Return the variables of a session of the role, for a subprocess."""
        return {
            **self._iam.session(role_arn, session_name),
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
        }

    def client(self, service: str, role_arn: str | None = None) -> BaseClient:
        """Return a boto3 client that speaks to the engine as the role, or as the engine's administrator."""
        with self._lock:
            client = self._clients.get((service, role_arn))
            if client is None:
                keys = self._iam.session(role_arn, "service") if role_arn else {}
                client = boto3.session.Session().client(
                    service,
                    region_name=REGION,
                    endpoint_url=self.endpoint_url,
                    **{name.lower(): value for name, value in keys.items()},
                )
                self._clients[service, role_arn] = client
            return client

    def put_logs(self, group: str, stream: str, lines: Iterable[tuple[int, str]]) -> None:
        """Append lines (epoch milliseconds, text) to a log stream, made when missing."""
        logs.put(group, stream, lines)

    def put_metric(self, namespace: str, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        """Record one metric value, now."""
        cloudwatch.record_metric(namespace, name, value, "None", dict(dimensions))
        alarms.measured(namespace, name)


def mount(service: Service, iam: Iam) -> None:
    """Route the requests that sign with the service's name to it, once its role checks have passed."""

    async def handle(
        method: str, _path: str, headers: dict[str, str], body: bytes, query_params: dict[str, list[str]]
    ) -> tuple[int, dict[str, str], bytes | StreamingResponse]:
        request = Request(method, raw_path.get(), headers, query_params, body)
        access_key = router.extract_access_key_id(headers, query_params)
        response = await run_reentrant(_serve, service, iam, request, access_key)
        said = response.body
        return response.status, dict(response.headers), said if isinstance(said, bytes) else _streaming(said)

    for name in _MINISTACK_NAMES.get(service.signing_name, (service.signing_name,)):
        ministack.SERVICE_HANDLERS[name] = handle
        # Without an IAM namespace ministack only authenticates; the service itself knows what a request needs.
        iam_actions.SERVICE_TO_IAM_NAMESPACE.pop(name, None)
    if service.signing_name not in router.SERVICE_PATTERNS:
        # A name that the router lacks makes it load every botocore model (seconds, hundreds of megabytes).
        router.SERVICE_PATTERNS[service.signing_name] = {
            "target_prefixes": [service.target_prefix] if service.target_prefix else [],
            "host_patterns": [],
            "credential_scope": service.signing_name,
        }


def _streaming(pieces: Iterator[bytes]) -> StreamingResponse:
    """Send the pieces of a body as they come; each is waited for on a thread."""

    async def run(send: Callable[[Any], Awaitable[None]], _receive: Any) -> None:
        while (piece := await run_reentrant(next, pieces, None)) is not None:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return StreamingResponse(run)


def _serve(service: Service, iam: Iam, request: Request, access_key: str) -> Response:
    request_access_key.set(access_key)
    try:
        for action, resource_arn, context in service.iam(request):
            denied = iam.enforce(access_key, action, service.signing_name, REGION, resource_arn, dict(context))
            if denied is not None:
                raise _denial(denied, action, resource_arn)
        return asyncio.run(service.handle(request))
    except AwsError as error:
        kind = "application/x-amz-json-1.1" if service.target_prefix else "application/json"
        body = {"__type": error.code, "message": error.message}
        headers = {"Content-Type": kind, "x-amzn-errortype": error.code}
        return Response(error.status, json.dumps(body).encode(), headers)


def _denial(denied: Any, action: str, resource_arn: str) -> AwsError:
    if isinstance(denied, iam_evaluator.AuthError):
        return AwsError(denied.code, denied.message, 403)
    return AwsError(
        "AccessDeniedException",
        f"User: {denied.principal_arn} is not authorized to perform: {action} on resource: {resource_arn} "
        f"because no identity-based policy allows the {action} action",
        403,
    )
