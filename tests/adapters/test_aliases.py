"""An alias names the model that was promoted last; the same in Parameter Store and in memory."""

import pytest

from tests.fakes import InMemoryAliases
from tests.samples import MODEL_ARN
from tunedrop.adapters.ssm import SSMAliases
from tunedrop.domain import names
from tunedrop.ports import Aliases

NAME = names.alias("tunedrop", "receipts")


@pytest.fixture(params=["memory", "ssm"])
def aliases(request: pytest.FixtureRequest) -> Aliases:
    if request.param == "memory":
        return InMemoryAliases()
    return SSMAliases(request.getfixturevalue("aws")("ssm"))


def test_nothing_is_promoted_at_first(aliases: Aliases) -> None:
    assert aliases.get(NAME) is None


def test_an_alias_names_the_last_model(aliases: Aliases) -> None:
    aliases.put(NAME, "arn:aws:bedrock:us-east-1:123456789012:imported-model/old")
    aliases.put(NAME, MODEL_ARN)
    assert aliases.get(NAME) == MODEL_ARN


def test_datasets_have_aliases_of_their_own(aliases: Aliases) -> None:
    aliases.put(NAME, MODEL_ARN)
    assert aliases.get(names.alias("tunedrop", "other")) is None
