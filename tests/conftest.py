"""What every test needs: no credentials but made-up ones, and a worker of pytest-xdist that runs it in order."""

import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from botocore.loaders import JSONFileLoader
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

END_TO_END = "tests/end_to_end/"

# An example may take as long as it takes: on a busy machine that is another matter than on a quiet one.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


class Scheduling(LoadFileScheduling):
    """Give a worker the tests of one file, or all end-to-end tests, for they share one deployment."""

    def _split_scope(self, nodeid: str) -> str:
        return END_TO_END if nodeid.startswith(END_TO_END) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no worker is left alone with it."""
    items.sort(key=lambda item: not item.nodeid.startswith(END_TO_END))


@pytest.fixture(autouse=True, scope="session")
def _made_up_credentials() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "made-up")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        yield


@pytest.fixture(autouse=True, scope="session")
def _api_models_are_parsed_once() -> Iterator[None]:
    """Remember botocore's descriptions of the APIs: each new session parses megabytes, 40 % of the command's tests."""
    with pytest.MonkeyPatch.context() as patch:
        load = JSONFileLoader().load_file
        patch.setattr(JSONFileLoader, "load_file", staticmethod(cache(load)))
        yield
