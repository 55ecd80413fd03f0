"""Prices are read from AWS's price list in any shape that it has had, and are unknown when it cannot be read."""

import json
from datetime import timedelta

import boto3
import pytest

from tests.adapters.conftest import Script
from tests.fakes import FakeClock
from tunedrop.adapters.prices import PriceListPrices, price_list_client
from tunedrop.domain.pricing import PriceList

SERVICE = "pricing"
ASKED = {
    "ServiceCode": "AmazonSageMaker",
    "Filters": [
        {"Type": "TERM_MATCH", "Field": "regionCode", "Value": "us-east-1"},
        {"Type": "TERM_MATCH", "Field": "component", "Value": "Training"},
    ],
}


def product(instance: str, usd: str, *, unit: str = "Hrs", name: str = "instanceName", **attributes: str) -> str:
    """Write a product as the list does: in the shape that AWS documents, with made-up identifiers."""
    return json.dumps(
        {
            "product": {
                "productFamily": "ML Instance",
                "attributes": {
                    "regionCode": "us-east-1",
                    "servicecode": "AmazonSageMaker",
                    "component": "Training",
                    "usagetype": f"USE1-Train:{instance}",
                    name: instance,
                    **attributes,
                },
                "sku": "ABCDEFGHIJKLMNOP",
            },
            "serviceCode": "AmazonSageMaker",
            "terms": {
                "OnDemand": {
                    "ABCDEFGHIJKLMNOP.JRTCKXETXF": {
                        "priceDimensions": {
                            "ABCDEFGHIJKLMNOP.JRTCKXETXF.6YS6EN2CT7": {
                                "unit": unit,
                                "beginRange": "0",
                                "endRange": "Inf",
                                "pricePerUnit": {"USD": usd},
                            }
                        }
                    }
                }
            },
        }
    )


def read(script: Script, *products: str) -> dict[str, float]:
    script.answers("get_products", {"FormatVersion": "aws_v1", "PriceList": list(products)}, ASKED)
    return dict(PriceListPrices(script.client, "us-east-1", FakeClock()).price_list().usd_per_hour)


def test_prices_of_every_page_are_read_once_a_day(script: Script) -> None:
    first = {"FormatVersion": "aws_v1", "PriceList": [product("ml.g5.2xlarge", "1.5150000000")], "NextToken": "next"}
    second = {"FormatVersion": "aws_v1", "PriceList": [product("ml.g5.12xlarge", "7.0900000000")]}
    script.answers("get_products", first, ASKED).answers("get_products", second, ASKED | {"NextToken": "next"})
    clock = FakeClock()
    prices = PriceListPrices(script.client, "us-east-1", clock)
    read = PriceList(read_on=clock.now().date(), usd_per_hour={"ml.g5.2xlarge": 1.515, "ml.g5.12xlarge": 7.09})
    assert prices.price_list() == read
    assert prices.price_list() == read
    clock.move(timedelta(days=1))
    script.answers("get_products", second, ASKED)
    assert prices.price_list() == PriceList(read_on=clock.now().date(), usd_per_hour={"ml.g5.12xlarge": 7.09})


def test_an_instance_is_known_by_either_name(script: Script) -> None:
    old = product("ml.g5.2xlarge-Training", "1.515", name="instanceType")
    both = product("ml.g5.4xlarge", "2.03", instanceType="ml.g5.4xlarge-Training")
    assert read(script, old, both) == {"ml.g5.2xlarge": 1.515, "ml.g5.4xlarge": 2.03}


def test_a_type_with_two_prices_has_none(script: Script) -> None:
    twice = [product("ml.g5.2xlarge", usd) for usd in ("1.515", "1.212")]
    same = [product("ml.g5.4xlarge", "2.03")] * 2
    assert read(script, *twice, *same) == {"ml.g5.4xlarge": 2.03}


@pytest.mark.parametrize(
    "other",
    [
        "{}",
        "[]",
        "no JSON",
        "null",
        '{"product": {"attributes": []}, "terms": {}}',
        product("ml.g5.2xlarge", "no number"),
        product("ml.g5.2xlarge", "0.0000000000"),
        product("ml.g5.2xlarge", "inf"),
        product("ml.g5.2xlarge", "0.14", unit="GB-Mo"),
        product("ml.g5.2xlarge", "1.6", regionCode="eu-west-1"),
        product("ml.g5.2xlarge", "1.6", component="Hosting"),
        product("ml.g5.2xlarge", "0.4", usagetype="USE1-SpotTrain:ml.g5.2xlarge"),
        product("ml.g5.2xlarge", "1.6", usagetype="USE1-Host:ml.g5.2xlarge"),
        product("SageMaker:Storage", "0.14"),
    ],
)
def test_a_product_that_is_no_training_instance_has_no_price(script: Script, other: str) -> None:
    assert read(script, other, product("ml.g5.12xlarge", "7.09")) == {"ml.g5.12xlarge": 7.09}


@pytest.mark.parametrize(("code", "status"), [("AccessDeniedException", 400), ("InternalErrorException", 500)])
def test_a_list_that_cannot_be_read_says_why_and_is_asked_again(
    script: Script, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    script.fails("get_products", code, "Not now.", status)
    prices = PriceListPrices(script.client, "us-east-1", FakeClock())
    unread = prices.price_list()
    assert unread.usd_per_hour == {}
    assert unread.unread
    assert code in unread.unread
    assert "Not now." in unread.unread
    script.answers("get_products", {"PriceList": [product("ml.g5.12xlarge", "7.09")]})
    assert prices.price_list().usd_per_hour == {"ml.g5.12xlarge": 7.09}


def test_a_list_without_the_region_counts_as_unread(script: Script) -> None:
    script.answers("get_products", {"PriceList": [product("ml.g5.12xlarge", "8.9", regionCode="eu-west-1")]})
    unread = PriceListPrices(script.client, "us-east-1", FakeClock()).price_list()
    assert unread.unread == "it has no training instance of us-east-1"


def test_the_list_of_another_day_serves_while_aws_is_silent(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    script.answers("get_products", {"PriceList": [product("ml.g5.12xlarge", "7.09")]})
    clock = FakeClock()
    prices = PriceListPrices(script.client, "us-east-1", clock)
    yesterdays = prices.price_list()
    clock.move(timedelta(days=1))
    script.fails("get_products", "ThrottlingException")
    assert prices.price_list() == yesterdays


@pytest.mark.parametrize(
    ("region", "asked"),
    [
        ("us-east-1", "us-east-1"),
        ("us-west-2", "us-east-1"),
        ("sa-east-1", "us-east-1"),
        ("eu-central-1", "eu-central-1"),
        ("eu-west-3", "eu-central-1"),
        ("ap-southeast-2", "ap-south-1"),
    ],
)
def test_the_api_is_asked_where_it_answers(region: str, asked: str) -> None:
    session = boto3.Session()
    assert asked in session.get_available_regions("pricing")
    assert price_list_client(session, region).meta.region_name == asked
