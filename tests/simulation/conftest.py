"""The simulator replaces parts of the functions' modules: other tests find them as they were."""

from collections.abc import Iterator

import pytest

from tests.simulation.stage import stage


@pytest.fixture(autouse=True, scope="module")
def _staged() -> Iterator[None]:
    staged = stage()  # mutants are planted in modules that it has loaded
    yield
    staged.leave()
