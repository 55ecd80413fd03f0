"""Answer the part of AWS's Price List Query API that tells what SageMaker's instances cost, from Tunedrop's own table.

The shape is that of the API's pages and of AWS's offer files; identifiers are made up:
https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_pricing_GetProducts.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from local.engine.host import AwsError, Host, IamCheck, Request, Response
from tunedrop.domain.pricing import AS_OF, USD_PER_HOUR

_SERVICE_CODE = "AmazonSageMaker"
_LARGEST_PAGE = 100
_USES = {"Training": "Train", "Hosting": "Host"}
"""What AWS calls a use of an instance in the attributes `component` and `usagetype`."""

_REGIONS = {"us-east-1": "USE1", "us-west-2": "USW2"}
"""The Regions of the table, as a usage type names them."""

_OFFER, _RATE = "JRTCKXETXF", "6YS6EN2CT7"
"""AWS's codes of an offer on demand and of a rate by the hour, the same for every product."""


class PriceList:
    """Serve GetProducts: each price of the table for training, and once more for hosting, which costs the same."""

    signing_name = "pricing"
    target_prefix = "AWSPriceListService."

    def start(self, host: Host) -> None:
        """Do nothing: the table is part of the application."""

    def stop(self) -> None:
        """Do nothing: there is no work in the background."""

    def iam(self, request: Request) -> list[IamCheck]:
        """Name the action; the Price List knows no resources.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_awspricelist.html
        """
        return [(f"pricing:{_operation(request)}", "*", {})]

    async def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            AwsError: as the Price List would.
        """
        if _operation(request) != "GetProducts":
            raise AwsError("UnknownOperationException", f"The local Price List has no {_operation(request)}")
        answer = _page(json.loads(request.body or b"{}"))
        return Response(200, json.dumps(answer).encode(), {"content-type": "application/x-amz-json-1.1"})


def _page(parameters: Mapping[str, Any]) -> dict[str, Any]:
    if parameters.get("ServiceCode") != _SERVICE_CODE:
        raise AwsError("NotFoundException", f"The local Price List knows {_SERVICE_CODE} only")
    filters = parameters.get("Filters", ())
    if others := {each["Type"] for each in filters} - {"TERM_MATCH"}:
        raise AwsError("InvalidParameterException", f"The local Price List has no filter {', '.join(sorted(others))}")
    found = [
        json.dumps(product)
        for product in _products()
        if all(product["product"]["attributes"].get(each["Field"]) == each["Value"] for each in filters)
    ]
    start, size = int(parameters.get("NextToken") or 0), int(parameters.get("MaxResults") or _LARGEST_PAGE)
    token = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return {"FormatVersion": "aws_v1", "PriceList": found[start : start + size], **token}


def _products() -> Iterator[dict[str, Any]]:
    for (region, instance_type), usd in USD_PER_HOUR.items():
        for component, usage in _USES.items():
            yield _product(region, instance_type, component, f"{_REGIONS[region]}-{usage}:{instance_type}", usd)


def _product(region: str, instance_type: str, component: str, usage_type: str, usd: float) -> dict[str, Any]:
    sku = hashlib.sha256(usage_type.encode()).hexdigest()[:16].upper()
    offer, rate = f"{sku}.{_OFFER}", f"{sku}.{_OFFER}.{_RATE}"
    dimension = {
        "unit": "Hrs",
        "endRange": "Inf",
        "description": f"${usd} per hour for {component} {instance_type} in {region}",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": f"{usd:.10f}"},
    }
    term = {
        "priceDimensions": {rate: dimension},
        "sku": sku,
        "effectiveDate": f"{AS_OF}-01T00:00:00Z",
        "offerTermCode": _OFFER,
        "termAttributes": {},
    }
    attributes = {
        "regionCode": region,
        "servicecode": _SERVICE_CODE,
        "component": component,
        "instanceName": instance_type,
        "usagetype": usage_type,
        "locationType": "AWS Region",
        "operation": "RunInstance",
        "servicename": "Amazon SageMaker",
    }
    return {
        "product": {"productFamily": "ML Instance", "attributes": attributes, "sku": sku},
        "serviceCode": _SERVICE_CODE,
        "terms": {"OnDemand": {offer: term}},
        "publicationDate": f"{AS_OF}-01T00:00:00Z",
    }


def _operation(request: Request) -> str:
    return request.headers.get("x-amz-target", "").removeprefix(PriceList.target_prefix)
