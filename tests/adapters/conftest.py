"""AWS as moto imitates it, and clients whose answers the test writes itself."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from moto import mock_aws

from tests.samples import REGION


@cache
def _client(service: str) -> Any:
    """Make a client once: that reads botocore's large models, and moto serves any client made after its import."""
    return boto3.client(service, region_name=REGION)


@pytest.fixture
def aws() -> Iterator[Callable[[str], Any]]:
    """Start an empty AWS, and hand out its clients."""
    with mock_aws():
        yield _client


class Script:
    """A client of one service that expects the calls it was told, in order."""

    def __init__(self, service: str) -> None:
        self.client: Any = boto3.client(service, region_name=REGION)
        self._stubber = Stubber(self.client)
        self._stubber.activate()

    def answers(self, operation: str, answer: dict[str, Any], asked: dict[str, Any] | None = None) -> "Script":
        self._stubber.add_response(operation, answer, asked)
        return self

    def fails(
        self, operation: str, code: str, message: str = "AWS says so.", status: int = 400, **members: Any
    ) -> "Script":
        self._stubber.add_client_error(operation, code, message, status, modeled_fields=members)
        return self

    def is_over(self) -> None:
        self._stubber.assert_no_pending_responses()


@pytest.fixture
def script(request: pytest.FixtureRequest) -> Iterator[Script]:
    written = Script(request.module.SERVICE)
    yield written
    written.is_over()
