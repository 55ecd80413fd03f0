"""Prices of training instances as AWS's Price List Query API tells them.

The API answers in three Regions only, for all others: make the client for `ENDPOINT_REGION`. A plan must not hang on
it: the client should have short timeouts (`CALLS`), and whatever goes wrong leaves the prices unknown.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from botocore.client import BaseClient

logger = logging.getLogger(__name__)

ENDPOINT_REGION = "us-east-1"

CALLS = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=2, read_timeout=5)

TRAINING = "Training"
"""What the attribute `component` calls training, among hosting, notebooks and the rest."""


class PriceListPrices:
    """Read all training prices of a Region at once; AWS changes them rarely, so an adapter keeps them."""

    def __init__(self, client: "BaseClient", region: str) -> None:
        """Use a client of the service `pricing` for the prices of a Region."""
        self._client: Any = client
        self._region = region
        self._prices: dict[str, float] | None = None

    def usd_per_hour(self) -> Mapping[str, float]:
        """Return instance type → on-demand US dollars an hour; empty when AWS does not tell."""
        if self._prices is None:
            try:
                self._prices = _prices(self._products(), self._region)
            except (BotoCoreError, ClientError):
                logger.warning("AWS's price list cannot be read; other sources are used", exc_info=True)
                return {}
        return self._prices

    def _products(self) -> Iterator[str]:
        pages = self._client.get_paginator("get_products").paginate(
            ServiceCode="AmazonSageMaker",
            Filters=[
                {"Type": "TERM_MATCH", "Field": "regionCode", "Value": self._region},
                {"Type": "TERM_MATCH", "Field": "component", "Value": TRAINING},
            ],
        )
        for page in pages:
            yield from page.get("PriceList", ())


def _prices(products: Iterator[str], region: str) -> dict[str, float]:
    """Keep the types that have exactly one price: of several, nobody could say which one is billed."""
    found: dict[str, set[float]] = {}
    for text in products:
        for instance_type, usd in _prices_of(text, region):
            found.setdefault(instance_type, set()).add(usd)
    return {instance_type: each.pop() for instance_type, each in found.items() if len(each) == 1}


def _prices_of(text: str, region: str) -> Iterator[tuple[str, float]]:
    """Read one product; one of another shape has no price."""
    try:
        product = json.loads(text)
        attributes = product["product"]["attributes"]
        instance_type = _instance_type(attributes)
        if instance_type is None or attributes.get("regionCode") != region or attributes.get("component") != TRAINING:
            return
        for term in product["terms"]["OnDemand"].values():
            for dimension in term["priceDimensions"].values():
                usd = float(dimension["pricePerUnit"]["USD"])
                if dimension["unit"] == "Hrs" and 0 < usd < float("inf"):
                    yield instance_type, usd
    except (AttributeError, KeyError, TypeError, ValueError):
        logger.warning("A product of AWS's price list has an unknown shape")


def _instance_type(attributes: Mapping[str, str]) -> str | None:
    """Find the type under either name that the list has used: `ml.g5.2xlarge`, also as `ml.g5.2xlarge-Training`."""
    for name in ("instanceName", "instanceType"):
        value = attributes.get(name, "").removesuffix(f"-{TRAINING}")
        if value.startswith("ml."):
            return value
    return None
