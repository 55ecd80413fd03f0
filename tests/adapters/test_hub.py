"""A private hub is a catalogue of its own: what is not in it cannot be tuned."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.adapters.conftest import Script
from tests.catalogue import GATED, hub_document
from tunedrop.adapters.hub import HubCatalogue
from tunedrop.errors import TransientError, UnknownModelError, UnknownModelVersionError, UnreadableModelError

SERVICE = "sagemaker"
HUB = "curated"
ARN = f"arn:aws:sagemaker:us-east-1:123456789012:hub-content/{HUB}/ModelReference/{GATED}/1.4.0"
NOW = datetime(2026, 11, 1, tzinfo=UTC)


def catalogue(script: Script) -> HubCatalogue:
    return HubCatalogue(script.client, "us-east-1", HUB)


def asked(kind: str, **others: Any) -> dict[str, Any]:
    return {"HubName": HUB, "HubContentType": kind, **others}


def content(document: str = "") -> dict[str, Any]:
    return {
        "HubContentName": GATED,
        "HubContentArn": ARN,
        "HubContentVersion": "1.4.0",
        "HubContentType": "ModelReference",
        "DocumentSchemaVersion": "2.3.0",
        "HubName": HUB,
        "HubArn": f"arn:aws:sagemaker:us-east-1:123456789012:hub/{HUB}",
        "HubContentDocument": document or json.dumps(hub_document({})),
        "HubContentStatus": "Available",
        "CreationTime": NOW,
    }


def summaries(*names: str, **others: Any) -> dict[str, Any]:
    kept = ("HubContentArn", "HubContentVersion", "HubContentType", "DocumentSchemaVersion", "HubContentStatus")
    facts = {name: content()[name] for name in (*kept, "CreationTime")}
    return {"HubContentSummaries": [{**facts, "HubContentName": name} for name in names], **others}


def test_a_model_is_read_from_its_entry(script: Script) -> None:
    script.answers("describe_hub_content", content(), asked("ModelReference", HubContentName=GATED))
    script.answers(
        "describe_hub_content", content(), asked("ModelReference", HubContentName=GATED, HubContentVersion="1.4.0")
    )

    model = catalogue(script).model(GATED)
    artifacts = catalogue(script).artifacts(model, "ml.g5.2xlarge")

    assert (model.model_id, model.version, model.hub_content_arn) == (GATED, "1.4.0", ARN)
    assert artifacts.image_uri == "registry/training:1"


def test_a_model_of_the_hubs_own_is_found_too(script: Script) -> None:
    script.fails("describe_hub_content", "ResourceNotFound")
    script.answers("describe_hub_content", content(), asked("Model", HubContentName=GATED))

    assert catalogue(script).model(GATED).version == "1.4.0"


def test_what_is_not_in_the_hub_is_told_with_what_is(script: Script) -> None:
    script.fails("describe_hub_content", "ResourceNotFound").fails("describe_hub_content", "ResourceNotFound")
    script.answers("list_hub_contents", summaries("other", NextToken="n"), asked("ModelReference", MaxResults=100))
    script.answers("list_hub_contents", summaries(GATED), asked("ModelReference", MaxResults=100, NextToken="n"))
    script.answers("list_hub_contents", summaries(), asked("Model", MaxResults=100))

    with pytest.raises(UnknownModelError) as unknown:
        catalogue(script).model(GATED.replace("1b", "2b"))

    assert (unknown.value.hub, unknown.value.suggestions) == (HUB, (GATED,))


def test_a_version_that_the_hub_has_not_is_told_with_the_one_it_has(script: Script) -> None:
    script.fails("describe_hub_content", "ResourceNotFound").fails("describe_hub_content", "ResourceNotFound")
    script.answers("describe_hub_content", content())

    with pytest.raises(UnknownModelVersionError) as unknown:
        catalogue(script).model(GATED, "9.0.0")

    assert unknown.value.versions == ("1.4.0",)


def test_the_models_of_a_hub_are_listed(script: Script) -> None:
    script.answers("list_hub_contents", summaries("b", "a")).answers("list_hub_contents", summaries("c"))

    assert [row.model_id for row in catalogue(script).rows()] == ["a", "b", "c"]


def test_a_document_that_is_not_json_is_refused(script: Script) -> None:
    script.answers("describe_hub_content", content("{"))

    with pytest.raises(UnreadableModelError, match="not JSON"):
        catalogue(script).model(GATED)


def test_a_document_without_an_image_is_refused_before_a_job_is_asked_for(script: Script) -> None:
    document = hub_document({})
    del document["TrainingEcrUri"]
    text = json.dumps(document)
    script.answers("describe_hub_content", content(text)).answers("describe_hub_content", content(text))

    model = catalogue(script).model(GATED)

    with pytest.raises(UnreadableModelError, match=r"no image for ml\.g5\.2xlarge"):
        catalogue(script).artifacts(model, "ml.g5.2xlarge")


def test_throttling_is_transient(script: Script) -> None:
    script.fails("describe_hub_content", "ThrottlingException")

    with pytest.raises(TransientError):
        catalogue(script).model(GATED)
