"""One deployed application for all tests here; each uses datasets of its own."""

from collections.abc import Iterator

import pytest

from local.application import furnish, settings
from local.engine import Engine
from local.jumpstart.specs import TINY_LLAMA, TINY_LLAMA_GATED
from tests.deployed import Application


@pytest.fixture(scope="session")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """Deploy the application once; tests use datasets of their own."""
    models = (TINY_LLAMA, TINY_LLAMA_GATED)
    with Engine(
        tmp_path_factory.mktemp("aws"), settings(models=models, imported_models=10, seconds_per_minute=2.0)
    ) as engine:
        yield Application(engine, furnish(engine, models=models))
