"""The local SageMaker keeps private hubs: the application's own adapter reads them, and jobs train from them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.engine.host import Request
from local.sagemaker.service import SageMaker
from tests.catalogue import GATED, hub_document
from tests.local.fake_host import BUCKET, FakeHost, connect, fake_host
from tests.local.test_sagemaker import SCRIPT, channel, ended, job, put_script
from tunedrop.adapters.hub import HubCatalogue
from tunedrop.errors import UnknownModelError, UnknownModelVersionError

HUB = "curated"
ENTRY = f"arn:aws:sagemaker:us-east-1:123456789012:hub-content/{HUB}/Model/{GATED}/1.10.0"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    with fake_host(tmp_path) as host:
        yield host


@pytest.fixture
def service(host: FakeHost) -> Iterator[SageMaker]:
    service = SageMaker()
    service.start(host)
    yield service
    service.stop()


@pytest.fixture
def sagemaker(service: SageMaker) -> Any:
    client = connect(service, "sagemaker")
    client.create_hub(HubName=HUB, HubDescription="What may be tuned.")
    for version in ("1.9.0", "1.10.0"):
        client.import_hub_content(
            HubName=HUB,
            HubContentName=GATED,
            HubContentVersion=version,
            HubContentType="Model",
            DocumentSchemaVersion="2.3.0",
            HubContentDocument=json.dumps(hub_document({})),
            HubContentSearchKeywords=["Text Generation"],
        )
    return client


def test_the_catalogue_of_a_hub_is_read_from_it(sagemaker: Any) -> None:
    catalogue = HubCatalogue(sagemaker, "us-east-1", HUB)

    model = catalogue.model(GATED)

    assert (model.version, model.hub_content_arn, model.provider) == ("1.10.0", ENTRY, "example")
    assert catalogue.model(GATED, "1.9.0").version == "1.9.0"
    assert [(row.model_id, row.version, row.search_keywords) for row in catalogue.rows()] == [
        (GATED, "1.10.0", ("Text Generation",))
    ]
    assert catalogue.artifacts(model, "ml.g5.2xlarge").image_uri == "registry/training:1"


def test_what_is_not_in_the_hub_is_refused(sagemaker: Any) -> None:
    catalogue = HubCatalogue(sagemaker, "us-east-1", HUB)

    with pytest.raises(UnknownModelError) as unknown:
        catalogue.model("example-other")
    with pytest.raises(UnknownModelVersionError):
        catalogue.model(GATED, "7.0.0")

    assert unknown.value.hub == HUB


def test_hubs_outlive_the_engine(sagemaker: Any, host: FakeHost) -> None:
    assert sagemaker
    again = SageMaker()
    again.start(host)

    assert HubCatalogue(connect(again, "sagemaker"), "us-east-1", HUB).model(GATED).version == "1.10.0"


def test_a_name_is_taken_once(sagemaker: Any) -> None:
    with pytest.raises(ClientError, match="ResourceInUse"):
        sagemaker.create_hub(HubName=HUB, HubDescription="Again.")


@pytest.mark.parametrize(("entry", "status"), [(ENTRY, "Completed"), (ENTRY.replace("1.10", "9.9"), "refused")])
def test_a_job_trains_from_an_entry_that_is_there(host: FakeHost, sagemaker: Any, entry: str, status: str) -> None:
    put_script(host, SCRIPT)
    for key in ("run/training/data.txt", "weights/model.bin"):
        host.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"1 2 3")
    weights = channel("model", "weights/")
    source = weights["DataSource"]["S3DataSource"]
    source |= {"HubAccessConfig": {"HubContentArn": entry}, "ModelAccessConfig": {"AcceptEula": True}}
    request = job()
    request["InputDataConfig"].append(weights)

    if status == "refused":
        with pytest.raises(ClientError, match="does not exist"):
            sagemaker.create_training_job(**request)
    else:
        sagemaker.create_training_job(**request)
        assert ended(sagemaker)["TrainingJobStatus"] == status


def test_permissions_are_those_of_aws(service: SageMaker) -> None:
    def checks(operation: str, **parameters: Any) -> list[tuple[str, str]]:
        body = json.dumps(parameters).encode()
        asked = service.iam(Request("POST", "/", {"x-amz-target": f"SageMaker.{operation}"}, {}, body))
        return [(action, resource) for action, resource, _ in asked]

    place = "arn:aws:sagemaker:us-east-1:123456789012"
    described = checks("DescribeHubContent", HubName=HUB, HubContentType="Model", HubContentName=GATED)
    assert described == [("sagemaker:DescribeHubContent", f"{place}:hub-content/{HUB}/Model/{GATED}/*")]
    assert checks("ListHubContents", HubName=HUB) == [("sagemaker:ListHubContents", f"{place}:hub/{HUB}")]
    weights = channel("model", "weights/")
    weights["DataSource"]["S3DataSource"]["HubAccessConfig"] = {"HubContentArn": ENTRY}
    trained = checks("CreateTrainingJob", TrainingJobName="a", InputDataConfig=[weights])
    assert ("sagemaker:TrainHubModel", f"{place}:hub/{HUB}") in trained
