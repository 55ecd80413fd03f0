"""Answer the part of Service Quotas that tells what SageMaker lends, and how many models Bedrock keeps."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from local.constraints import service_model
from local.engine.host import AwsError, Host, IamCheck, Request, Response
from local.sagemaker.account import Account
from local.sagemaker.settings import Settings

_PAGE = 100
_SERVICE = "sagemaker"
_IMPORTED_MODELS = ("bedrock", "L-45B04988")
_HOSTING = "endpoint usage"
_USES = ("training job usage", "spot training job usage", _HOSTING)


class ServiceQuotas:
    """Serve the quotas that the local SageMaker keeps: of each instance type as many, or as its account says.

    Args:
        imported_models: what the local Bedrock keeps.
        usual: instances of a type of which the account says nothing.
    """

    signing_name = "servicequotas"
    target_prefix = "ServiceQuotasV20190624."

    def __init__(self, imported_models: int, usual: int | None = None) -> None:
        self._imported_models = imported_models
        self._usual = Settings().instance_quota if usual is None else usual

    def start(self, host: Host) -> None:
        """Number the quotas as AWS does: a code is an L and eight hexadecimal digits."""
        self._host = host
        model = service_model("sagemaker")
        self._types = {
            hashlib.sha256(f"{each} {use}".encode()).hexdigest()[:8].upper(): (each, use)
            for use in _USES
            for each in model.shape_for("TrainingInstanceType").enum
        }

    def stop(self) -> None:
        """Do nothing: there is no work in the background."""

    def iam(self, request: Request) -> list[IamCheck]:
        """Name the action; Service Quotas knows no resources for reading.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_servicequotas.html
        """
        return [(f"servicequotas:{_operation(request)}", "*", {})]

    async def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            AwsError: as Service Quotas would.
        """
        parameters = json.loads(request.body or b"{}")
        if (parameters.get("ServiceCode"), parameters.get("QuotaCode")) == _IMPORTED_MODELS:
            return _response({"Quota": self._imports()})
        if parameters.get("ServiceCode") != _SERVICE:
            raise AwsError("NoSuchResourceException", f"The local Service Quotas knows little beside {_SERVICE}")
        match _operation(request):
            case "ListServiceQuotas":
                answer = self._list(int(parameters.get("NextToken") or 0), parameters.get("MaxResults", _PAGE))
            case "GetServiceQuota":
                answer = {"Quota": self._quota(parameters["QuotaCode"].removeprefix("L-"))}
            case operation:
                raise AwsError("UnknownOperationException", f"The local Service Quotas has no {operation}")
        return _response(answer)

    def _list(self, start: int, size: int) -> dict[str, Any]:
        digits = list(self._types)
        token = {"NextToken": str(start + size)} if start + size < len(digits) else {}
        return {"Quotas": [self._quota(each) for each in digits[start : start + size]], **token}

    def _imports(self) -> dict[str, Any]:
        service, code = _IMPORTED_MODELS
        return {
            "ServiceCode": service,
            "ServiceName": "Amazon Bedrock",
            "QuotaName": "Imported models per account",
            "QuotaCode": code,
            "Value": float(self._imported_models),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    def _quota(self, digits: str) -> dict[str, Any]:
        if digits not in self._types:
            raise AwsError("NoSuchResourceException", "The request failed because the specified quota does not exist.")
        instance_type, use = self._types[digits]
        quotas = Account.read(self._host.data_dir).quotas
        return {
            "ServiceCode": _SERVICE,
            "ServiceName": "Amazon SageMaker",
            "QuotaName": f"{instance_type} for {use}",
            "QuotaCode": f"L-{digits}",
            "Value": float(
                quotas.get(f"{instance_type} for {use}", Settings().endpoint_quota)
                if use == _HOSTING
                else quotas.get(instance_type, self._usual)
            ),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }


def _response(answer: dict[str, Any]) -> Response:
    return Response(200, json.dumps(answer).encode(), {"content-type": "application/x-amz-json-1.1"})


def _operation(request: Request) -> str:
    return request.headers.get("x-amz-target", "").removeprefix(ServiceQuotas.target_prefix)
