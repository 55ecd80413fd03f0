"""What every test needs: no credentials but made-up ones."""

import os
from collections.abc import Iterator

import pytest


@pytest.hookimpl(tryfirst=True)  # before xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep a file's tests in one worker, and all tests of the deployed application, which share one deployment."""
    for item in items:
        deployed = "end_to_end" in item.path.parts
        item.add_marker(pytest.mark.xdist_group("end_to_end" if deployed else str(item.path)))


@pytest.fixture(autouse=True, scope="session")
def _made_up_credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "made-up")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield
