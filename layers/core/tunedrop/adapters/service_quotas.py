"""Service Quotas' answers for SageMaker."""

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from tunedrop.domain.quotas import Quota

if TYPE_CHECKING:
    from botocore.client import BaseClient

logger = logging.getLogger(__name__)

SERVICE = "sagemaker"


class ServiceQuotas:
    """Look the account's quotas up, by name: their codes once in a while, their values each time."""

    def __init__(self, client: "BaseClient") -> None:
        """Use a client of the service `service-quotas`."""
        self._client: Any = client
        self._codes: dict[str, str] = {}

    def quotas(self, names: Collection[str]) -> dict[str, Quota]:
        """Return those that AWS tells; a plan does not hang on it, for a launch that is refused waits."""
        try:
            if not self._codes.keys() >= set(names):
                self._codes = self._all_codes()
            return {name: self._quota(name, self._codes[name]) for name in names if name in self._codes}
        except (BotoCoreError, ClientError):
            logger.warning("The quotas cannot be read; the launch will tell", exc_info=True)
            return {}

    def quota(self, service: str, code: str) -> float | None:
        """Return the value of one quota; None when AWS does not tell, which keeps no plan from being made."""
        try:
            return float(self._client.get_service_quota(ServiceCode=service, QuotaCode=code)["Quota"]["Value"])
        except (BotoCoreError, ClientError):
            logger.warning("The quota %s of %s cannot be read", code, service, exc_info=True)
            return None

    def _all_codes(self) -> dict[str, str]:
        """List SageMaker's quotas, some thousand: nothing else tells the code of a name."""
        pages = self._client.get_paginator("list_service_quotas").paginate(ServiceCode=SERVICE)
        return {each["QuotaName"]: each["QuotaCode"] for page in pages for each in page["Quotas"]}

    def _quota(self, name: str, code: str) -> Quota:
        told = self._client.get_service_quota(ServiceCode=SERVICE, QuotaCode=code)["Quota"]
        return Quota(name=name, code=code, value=told["Value"])
