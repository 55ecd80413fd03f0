"""Prices of training instances as AWS's Price List Query API tells them.

A plan must not hang on it: calls are short (`CALLS`), and whatever goes wrong leaves the prices unknown.
https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/using-price-list-query-api.html
"""

import json
import logging
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tunedrop.domain.pricing import PriceList
from tunedrop.ports import Clock

if TYPE_CHECKING:
    import boto3
    from botocore.client import BaseClient

logger = logging.getLogger(__name__)

ENDPOINT_REGIONS = {"ap": "ap-south-1", "eu": "eu-central-1"}
"""Where the API answers, by the part of the world of the Region that is asked about; us-east-1 for all others.

It has these three endpoints, and each knows the prices of all Regions.
"""

CALLS = Config(retries={"mode": "standard", "total_max_attempts": 2}, connect_timeout=2, read_timeout=5)

SERVICE_CODE = "AmazonSageMaker"

TRAINING = "Training"
"""What the attribute `component` calls training, among hosting, notebooks and the rest."""

ON_DEMAND_USAGE = "Train"
"""What the attribute `usagetype` calls training on demand, as in `USE1-Train:ml.g5.2xlarge`."""

_LONGEST_REASON = 300


def price_list_client(session: "boto3.Session", region: str) -> "BaseClient":
    """Make the client for the prices of a Region, wherever it is: a call from elsewhere crosses no ocean for it."""
    endpoint = ENDPOINT_REGIONS.get(region.partition("-")[0], "us-east-1")
    client: BaseClient = session.client("pricing", region_name=endpoint, config=CALLS)
    return client


class PriceListPrices:
    """Read all training prices of a Region at once, and keep them for the day.

    They are two pages or so. A plan asks for every type that its model can be trained on, up to some twenty, each of
    which would be a call of its own.
    """

    def __init__(self, client: "BaseClient", region: str, clock: Clock) -> None:
        """Use a client of the service `pricing` for the prices of a Region."""
        self._client: Any = client
        self._region = region
        self._clock = clock
        self._kept: PriceList | None = None

    def price_list(self) -> PriceList:
        """Return today's prices; those of an earlier day, or none and the reason, when AWS tells none."""
        today = self._clock.now().date()
        if self._kept and self._kept.read_on == today:
            return self._kept
        try:
            prices = _prices(self._products(), self._region)
        except (BotoCoreError, ClientError) as error:
            unread = str(error)[:_LONGEST_REASON]
        else:
            if prices:
                self._kept = PriceList(read_on=today, usd_per_hour=prices)
                return self._kept
            unread = f"it has no training instance of {self._region}"
        logger.warning("AWS's Price List cannot be read: %s", unread)
        return self._kept or PriceList(read_on=today, unread=unread)

    def _products(self) -> Iterator[str]:
        pages = self._client.get_paginator("get_products").paginate(
            ServiceCode=SERVICE_CODE,
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
        if instance_type is None or attributes.get("regionCode") != region or not _on_demand_training(attributes):
            return
        for term in product["terms"]["OnDemand"].values():
            for dimension in term["priceDimensions"].values():
                usd = float(dimension["pricePerUnit"]["USD"])
                if dimension["unit"] == "Hrs" and 0 < usd < float("inf"):
                    yield instance_type, usd
    except (AttributeError, KeyError, TypeError, ValueError):
        logger.warning("A product of AWS's Price List has an unknown shape")


def _on_demand_training(attributes: Mapping[str, str]) -> bool:
    """Tell training on demand from hosting, and from training on spot or on reserved capacity."""
    usage = attributes["usagetype"].partition(":")[0]
    return attributes.get("component") == TRAINING and usage.rpartition("-")[2] == ON_DEMAND_USAGE


def _instance_type(attributes: Mapping[str, str]) -> str | None:
    """Find the type under either name that the list has used: `ml.g5.2xlarge`, also as `ml.g5.2xlarge-Training`."""
    for name in ("instanceName", "instanceType"):
        value = attributes.get(name, "").removesuffix(f"-{TRAINING}")
        if value.startswith("ml."):
            return value
    return None
