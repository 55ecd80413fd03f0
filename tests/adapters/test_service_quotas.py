"""Quotas are found by name over all pages; their values are read anew each time, for people raise them."""

from tests.adapters.conftest import Script
from tunedrop.adapters.service_quotas import ServiceQuotas
from tunedrop.domain.quotas import Quota

SERVICE = "service-quotas"
NAME = "ml.g5.2xlarge for training job usage"
FIRST = {"Quotas": [{"QuotaName": "ml.g5.xlarge for endpoint usage", "QuotaCode": "L-1"}], "NextToken": "more"}
LAST = {"Quotas": [{"QuotaName": NAME, "QuotaCode": "L-2"}]}


def told(value: float) -> dict[str, object]:
    return {"Quota": {"QuotaName": NAME, "QuotaCode": "L-2", "Value": value}}


def test_a_value_is_read_each_time_and_the_codes_once(script: Script) -> None:
    script.answers("list_service_quotas", FIRST, {"ServiceCode": "sagemaker"})
    script.answers("list_service_quotas", LAST, {"ServiceCode": "sagemaker", "NextToken": "more"})
    for value in (0, 1):
        script.answers("get_service_quota", told(value), {"ServiceCode": "sagemaker", "QuotaCode": "L-2"})
    quotas = ServiceQuotas(script.client)
    assert quotas.quotas([NAME]) == {NAME: Quota(name=NAME, code="L-2", value=0)}
    assert quotas.quotas([NAME]) == {NAME: Quota(name=NAME, code="L-2", value=1)}


def test_quotas_that_cannot_be_read_are_unknown(script: Script) -> None:
    script.fails("list_service_quotas", "AccessDeniedException")
    assert ServiceQuotas(script.client).quotas([NAME]) == {}


def test_one_quota_is_asked_for_by_its_code(script: Script) -> None:
    script.answers("get_service_quota", told(3), {"ServiceCode": "bedrock", "QuotaCode": "L-45B04988"})
    script.fails("get_service_quota", "NoSuchResourceException")
    quotas = ServiceQuotas(script.client)
    assert [quotas.quota("bedrock", "L-45B04988") for _ in range(2)] == [3, None]


def test_a_name_that_aws_does_not_list_is_unknown(script: Script) -> None:
    script.answers("list_service_quotas", LAST)
    assert ServiceQuotas(script.client).quotas(["ml.new.xlarge for training job usage"]) == {}
