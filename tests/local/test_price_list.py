"""The local Price List answers as AWS's does, as far as the application asks it: its own adapter reads it."""

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.price_list import PriceList
from tests.fakes import FakeClock
from tests.local.fake_host import FakeHost, connect
from tunedrop.adapters.prices import PriceListPrices
from tunedrop.domain.pricing import USD_PER_HOUR


@pytest.fixture
def client(tmp_path: Path) -> Any:
    service = PriceList()
    service.start(FakeHost(tmp_path, tmp_path))
    return connect(service, "pricing")


@pytest.mark.parametrize("region", ["us-east-1", "us-west-2"])
def test_the_application_reads_the_table_s_prices_of_its_region(client: Any, region: str) -> None:
    listed = PriceListPrices(client, region, FakeClock()).price_list()

    assert listed.unread is None
    assert listed.usd_per_hour == {each: usd for (where, each), usd in USD_PER_HOUR.items() if where == region}


def test_a_region_that_the_table_has_not_is_not_listed(client: Any) -> None:
    assert PriceListPrices(client, "eu-central-1", FakeClock()).price_list().usd_per_hour == {}


def test_products_come_in_pages_and_by_their_attributes(client: Any) -> None:
    region = {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"}
    hosting = {"Type": "TERM_MATCH", "Field": "component", "Value": "Hosting"}

    def products(*filters: dict[str, str]) -> list[str]:
        asked = {"ServiceCode": "AmazonSageMaker", "Filters": list(filters), "MaxResults": 3}
        return [each for page in client.get_paginator("get_products").paginate(**asked) for each in page["PriceList"]]

    everything = products()
    assert len(everything) == len(set(everything)) == 2 * len(USD_PER_HOUR)
    assert len(products(region, hosting)) == len([each for each in USD_PER_HOUR if each[0] == "us-east-1"])


@pytest.mark.parametrize(
    ("code", "asked"),
    [
        ("NotFoundException", {"ServiceCode": "AmazonEC2"}),
        (
            "InvalidParameterException",
            {"ServiceCode": "AmazonSageMaker", "Filters": [{"Type": "CONTAINS", "Field": "component", "Value": "T"}]},
        ),
    ],
)
def test_what_it_has_not_is_refused(client: Any, code: str, asked: dict[str, object]) -> None:
    with pytest.raises(ClientError) as refused:
        client.get_products(**asked)
    assert refused.value.response["Error"]["Code"] == code
