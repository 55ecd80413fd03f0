"""What the engine and the services that plug into it (SageMaker, Bedrock) promise each other.

This module imports nothing of ministack, so a service and its tests depend on the contract alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from botocore.client import BaseClient


class AwsError(Exception):
    """Report a failed API call to the caller in the service's own error format.

    Args:
        code: the error code that boto3 shows, for example ``ResourceInUse``.
        message: the text that AWS would give.
        status: the HTTP status.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """Hold one signed HTTP request, already authenticated.

    Header names are lower-case; ``path`` is as sent, still percent-encoded; ``query`` holds every value of a key.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    query: Mapping[str, Sequence[str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """Hold one HTTP response; a body that is an iterator is sent piece by piece, as its pieces come."""

    status: int
    body: bytes | Iterator[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


IamCheck: TypeAlias = tuple[str, str, dict[str, Any]]
"""A permission that a request needs: IAM action, resource ARN (``*`` where the action has none), condition keys.

A condition key's value is a string, or a list of strings for a multi-valued key: ``{"aws:RequestTag/run": "abc"}``.
"""


class Service(Protocol):
    """Serve one AWS API inside the engine.

    Attributes:
        signing_name: the service's name in SigV4 credentials (botocore's ``signingName``): it routes requests here.
        target_prefix: the prefix of ``X-Amz-Target`` of a JSON protocol, None for a REST protocol. Two services of
            one signing name (``bedrock`` and ``bedrock-runtime``) are one Service that looks at the path.
    """

    signing_name: str
    target_prefix: str | None

    def start(self, host: Host) -> None:
        """Load the state kept in ``host.data_dir`` and start background work, before the first request."""

    def stop(self) -> None:
        """End background work and its processes; state is on disk when this returns."""

    def iam(self, request: Request) -> list[IamCheck]:
        """Name the permissions that the request needs; the engine denies the request unless its role has them all."""

    async def handle(self, request: Request) -> Response:
        """Answer the request, or raise AwsError.

        Each call runs on a thread and an event loop of its own: it may block and call the engine's endpoint, and it
        must guard shared state with a lock. Work that outlives the call belongs on a thread or process of the service.
        """


class Host(Protocol):
    """Offer the engine to a service.

    Attributes:
        account_id: twelve digits.
        region: for example ``us-east-1``.
        endpoint_url: where every service of the engine listens.
        data_dir: kept between restarts; a service writes only under a folder of its own there.
        work_dir: scratch, emptied when the engine starts.
    """

    account_id: str
    region: str
    endpoint_url: str
    data_dir: Path
    work_dir: Path

    def emit(self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()) -> None:
        """Put a service event (``aws.sagemaker`` …) on the default event bus."""

    def caller_arn(self) -> str:
        """Return the principal of the request being served: a role's ARN, or the account's root."""

    def pass_role(self, role_arn: str, service: str, /) -> None:
        """Check that the caller may hand a role to a service.

        Args:
            role_arn: the role.
            service: the service principal, for example ``sagemaker.amazonaws.com``.

        Raises:
            AwsError: AccessDeniedException when the caller lacks iam:PassRole for it; ValidationException when the
                role does not exist or does not trust the service.
        """

    def session_environment(self, role_arn: str, session_name: str) -> dict[str, str]:
        """Return the AWS_* variables (keys, region, endpoint) of a session of the role, for a subprocess."""

    def client(self, service: str, role_arn: str | None = None) -> BaseClient:
        """Return a boto3 client that speaks to the engine as the role, or as the engine's administrator."""

    def put_logs(self, group: str, stream: str, lines: Iterable[tuple[int, str]]) -> None:
        """Append lines (epoch milliseconds, text) to a CloudWatch log stream, which is created when missing."""

    def put_metric(self, namespace: str, name: str, value: float, dimensions: Mapping[str, str]) -> None:
        """Record one CloudWatch metric value, now."""
