"""List prices of training instances, for budgets and for telling what a run cost."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated

from pydantic import Field

from tunedrop.domain.model import Record
from tunedrop.domain.stack_parameters import parse_parameter

PARAMETER = "InstancePrices"
"""The stack parameter with the prices that the platform team knows better: JSON, instance type → USD an hour."""

EXAMPLE = '{"ml.g5.12xlarge": 7.09}'

AS_OF = "2026-10"
"""When the table was read: on-demand training in US dollars an hour.

A price that no two sources agree on is left out. https://aws.amazon.com/sagemaker/ai/pricing/
"""

USD_PER_HOUR = {
    ("us-east-1", "ml.g5.xlarge"): 1.408,
    ("us-east-1", "ml.g5.2xlarge"): 1.515,
    ("us-east-1", "ml.g5.4xlarge"): 2.03,
    ("us-east-1", "ml.g5.8xlarge"): 3.06,
    ("us-east-1", "ml.g5.12xlarge"): 7.09,
    ("us-east-1", "ml.g5.24xlarge"): 10.18,
    ("us-east-1", "ml.g5.48xlarge"): 20.36,
    ("us-east-1", "ml.g6.2xlarge"): 1.222,
    ("us-east-1", "ml.g6.12xlarge"): 5.752,
    ("us-east-1", "ml.g6e.12xlarge"): 13.12,
    ("us-west-2", "ml.p4d.24xlarge"): 25.25,
}

_InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]{1,30}\.[a-z0-9-]{1,30}$")]
_Dollars = Annotated[float, Field(gt=0, le=10_000)]


class PriceList(Record):
    """Hold what AWS's Price List says of a Region's training instances, on demand."""

    read_on: date
    """The day, in UTC, on which AWS was asked."""
    usd_per_hour: Mapping[str, float] = Field(default_factory=dict)
    """Of one instance, by its type."""
    unread: str | None = None
    """Why there is none of them: what kept AWS from telling."""


class Price(Record):
    """Price one instance, and say where the price is from."""

    usd_per_hour: float
    source: str

    def words(self) -> str:
        """Tell the price and its source on one line."""
        return f"{self.usd_per_hour:g} USD an hour: {self.source}"


def parse_instance_prices(text: str) -> dict[str, float]:
    """Read the stack parameter; raises StackParameterError with all that is wrong, and nothing else."""
    return dict(parse_parameter(PARAMETER, text, dict[_InstanceType, _Dollars], EXAMPLE))


def price(
    instance_type: str, region: str, overrides: Mapping[str, float], listed: PriceList | None = None
) -> Price | None:
    """Return the price of one instance from the best source: the stack's own, AWS's Price List, our table.

    `listed` is the Region's list; None where nobody asked for it.
    """
    if instance_type in overrides:
        return Price(usd_per_hour=overrides[instance_type], source=f"the stack parameter {PARAMETER}")
    if listed and instance_type in listed.usd_per_hour:
        source = f"AWS's Price List of {listed.read_on}, on demand"
        return Price(usd_per_hour=listed.usd_per_hour[instance_type], source=source)
    known = USD_PER_HOUR.get((region, instance_type))
    if known is None:
        return None
    return Price(usd_per_hour=known, source=f"Tunedrop's table of {AS_OF}, {region}, on demand")
