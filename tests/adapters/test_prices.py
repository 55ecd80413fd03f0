"""Prices are read from AWS's price list in any shape that it has had, and are unknown when it cannot be read."""

import json
from typing import Any

import pytest

from tests.adapters.conftest import Script
from tunedrop.adapters.prices import PriceListPrices
from tunedrop.domain.pricing import price

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
    return dict(PriceListPrices(script.client, "us-east-1").usd_per_hour())


def test_prices_of_every_page_are_read_once(script: Script) -> None:
    first = {"FormatVersion": "aws_v1", "PriceList": [product("ml.g5.2xlarge", "1.5150000000")], "NextToken": "next"}
    second = {"FormatVersion": "aws_v1", "PriceList": [product("ml.g5.12xlarge", "7.0900000000")]}
    script.answers("get_products", first, ASKED).answers("get_products", second, ASKED | {"NextToken": "next"})
    prices = PriceListPrices(script.client, "us-east-1")
    assert prices.usd_per_hour() == {"ml.g5.2xlarge": 1.515, "ml.g5.12xlarge": 7.09}
    assert prices.usd_per_hour() == {"ml.g5.2xlarge": 1.515, "ml.g5.12xlarge": 7.09}


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
        product("SageMaker:Storage", "0.14"),
    ],
)
def test_a_product_that_is_no_training_instance_has_no_price(script: Script, other: str) -> None:
    assert read(script, other, product("ml.g5.12xlarge", "7.09")) == {"ml.g5.12xlarge": 7.09}


@pytest.mark.parametrize(("code", "status"), [("AccessDeniedException", 400), ("InternalErrorException", 500)])
def test_a_list_that_cannot_be_read_leaves_our_own_table(
    script: Script, caplog: Any, monkeypatch: pytest.MonkeyPatch, code: str, status: int
) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    script.fails("get_products", code, "Not now.", status)
    listed = PriceListPrices(script.client, "us-east-1").usd_per_hour()
    assert listed == {}
    assert "cannot be read" in caplog.text
    found = price("ml.g5.12xlarge", "us-east-1", {}, listed)
    assert found
    assert found.usd_per_hour == 7.09
