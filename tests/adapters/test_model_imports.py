"""An import is started once under its name, and Bedrock's error codes are told apart by what to do about them."""

from typing import Any

import pytest
from botocore.stub import ANY

from tests.adapters.conftest import Script
from tests.samples import ARTIFACT_URI, IMPORT_JOB_ARN, MODEL_ARN, MODEL_NAME, NOW, RUN_ID
from tunedrop.adapters.bedrock import BedrockModelImports
from tunedrop.errors import ModelLimitError, RequestDeniedError, RequestRefusedError, TransientError, UnavailableError

SERVICE = "bedrock"
ROLE = "arn:aws:iam::123456789012:role/tunedrop-ImportRole"


@pytest.fixture
def imports(script: Script) -> BedrockModelImports:
    return BedrockModelImports(script.client, ROLE)


def _job(name: str = MODEL_NAME) -> dict[str, Any]:
    return {"jobArn": IMPORT_JOB_ARN, "jobName": name, "status": "InProgress", "creationTime": NOW}


def _listed(script: Script, *jobs: dict[str, Any]) -> None:
    script.answers("list_model_import_jobs", {"modelImportJobSummaries": list(jobs)}, {"nameContains": MODEL_NAME})


def test_an_import_is_started_with_the_run_s_tag_and_a_token_of_its_name(
    imports: BedrockModelImports, script: Script
) -> None:
    tags = [{"key": "tunedrop:run-id", "value": RUN_ID}]
    asked = {
        "jobName": MODEL_NAME,
        "importedModelName": MODEL_NAME,
        "roleArn": ROLE,
        "modelDataSource": {"s3DataSource": {"s3Uri": ARTIFACT_URI}},
        "jobTags": tags,
        "importedModelTags": tags,
        "clientRequestToken": ANY,
    }
    _listed(script)
    script.answers("create_model_import_job", {"jobArn": IMPORT_JOB_ARN}, asked)
    assert imports.start(MODEL_NAME, ARTIFACT_URI, RUN_ID) == IMPORT_JOB_ARN


def test_an_import_that_was_started_before_counts_as_started(imports: BedrockModelImports, script: Script) -> None:
    _listed(script, _job(f"{MODEL_NAME}-b") | {"jobArn": f"{IMPORT_JOB_ARN}b"}, _job())
    assert imports.start(MODEL_NAME, ARTIFACT_URI, RUN_ID) == IMPORT_JOB_ARN


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("TooManyTagsException", 400, UnavailableError),
        ("ConflictException", 400, TransientError),
        ("ThrottlingException", 429, TransientError),
        ("InternalServerException", 500, TransientError),
        ("ValidationException", 400, RequestRefusedError),
        ("AccessDeniedException", 403, RequestDeniedError),
    ],
)
def test_what_bedrock_says_is_told_apart_by_what_to_do(
    imports: BedrockModelImports, script: Script, code: str, status: int, cause: type[Exception]
) -> None:
    _listed(script)
    script.fails("create_model_import_job", code, "Your request exceeds the quota.", status)
    with pytest.raises(cause, match="Your request exceeds the quota"):
        imports.start(MODEL_NAME, ARTIFACT_URI, RUN_ID)


@pytest.mark.parametrize("importing", [True, False], ids=["another import runs", "too many models"])
def test_which_quota_is_used_up_is_told_by_the_jobs_that_run(
    imports: BedrockModelImports, script: Script, *, importing: bool
) -> None:
    _listed(script)
    script.fails("create_model_import_job", "ServiceQuotaExceededException", "You have exceeded the quota.")
    running = {"modelImportJobSummaries": [_job("another")] if importing else []}
    script.answers("list_model_import_jobs", running, {"statusEquals": "InProgress"})
    with pytest.raises(UnavailableError, match="exceeded") as refused:
        imports.start(MODEL_NAME, ARTIFACT_URI, RUN_ID)
    assert isinstance(refused.value, ModelLimitError) != importing


def test_a_job_that_bedrock_does_not_know_has_no_state(imports: BedrockModelImports, script: Script) -> None:
    script.fails("get_model_import_job", "ResourceNotFoundException", "The job could not be found.", 404)
    assert imports.state(IMPORT_JOB_ARN) is None


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        ({"status": "InProgress"}, ("InProgress", "", None)),
        ({"status": "Completed", "importedModelArn": MODEL_ARN}, ("Completed", "", MODEL_ARN)),
        ({"status": "Failed", "failureMessage": "No tokenizer."}, ("Failed", "No tokenizer.", None)),
    ],
)
def test_a_job_tells_how_it_stands(
    imports: BedrockModelImports, script: Script, ended: dict[str, str], expected: tuple[str, str, str | None]
) -> None:
    script.answers("get_model_import_job", _job() | ended, {"jobIdentifier": IMPORT_JOB_ARN})
    state = imports.state(IMPORT_JOB_ARN)
    assert state
    assert (state.status, state.failure_message, state.model_arn) == expected


@pytest.mark.parametrize(("answer", "supported"), [({"instructSupported": True}, True), ({}, False)])
def test_a_model_tells_what_it_was_made_from_and_whether_converse_may_call_it(
    imports: BedrockModelImports, script: Script, answer: dict[str, bool], *, supported: bool
) -> None:
    model = {
        "modelArn": MODEL_ARN,
        "modelName": MODEL_NAME,
        "modelDataSource": {"s3DataSource": {"s3Uri": ARTIFACT_URI}},
    }
    script.answers("get_imported_model", model | answer, {"modelIdentifier": MODEL_ARN})
    seen = imports.model(MODEL_ARN)
    assert (seen.name, seen.source_uri, seen.instruct_supported) == (MODEL_NAME, ARTIFACT_URI, supported)


def test_models_are_found_on_every_page_by_how_their_names_begin(imports: BedrockModelImports, script: Script) -> None:
    pages = [["tunedrop-a", "not-tunedrop-b"], ["tunedrop-c"]]
    first, second = (
        [{"modelArn": MODEL_ARN, "modelName": name, "creationTime": NOW} for name in page] for page in pages
    )
    asked = {"nameContains": "tunedrop-"}
    script.answers("list_imported_models", {"modelSummaries": first, "nextToken": "next"}, asked)
    script.answers("list_imported_models", {"modelSummaries": second}, asked | {"nextToken": "next"})
    assert list(imports.models("tunedrop-")) == [("tunedrop-a", NOW), ("tunedrop-c", NOW)]


def test_a_model_is_deleted_by_its_name(imports: BedrockModelImports, script: Script) -> None:
    script.answers("delete_imported_model", {}, {"modelIdentifier": MODEL_NAME})
    imports.delete(MODEL_NAME)


def test_a_model_that_is_gone_counts_as_deleted(imports: BedrockModelImports, script: Script) -> None:
    script.fails("delete_imported_model", "ResourceNotFoundException", status=404)
    imports.delete(MODEL_NAME)


def test_a_model_that_must_not_be_deleted_is_loud(imports: BedrockModelImports, script: Script) -> None:
    script.fails("delete_imported_model", "AccessDeniedException", status=403)
    with pytest.raises(RequestDeniedError):
        imports.delete(MODEL_NAME)


def test_how_full_bedrock_is_counts_everybodys_models(imports: BedrockModelImports, script: Script) -> None:
    model = {"modelArn": MODEL_ARN, "modelName": "anybodys", "creationTime": NOW}
    script.answers("list_imported_models", {"modelSummaries": [model], "nextToken": "more"}, {})
    script.answers("list_imported_models", {"modelSummaries": [model]}, {"nextToken": "more"})
    script.answers("list_model_import_jobs", {"modelImportJobSummaries": [_job()]}, {"statusEquals": "InProgress"})
    assert imports.occupancy() == (2, MODEL_NAME)


def test_how_full_bedrock_is_may_be_denied(imports: BedrockModelImports, script: Script) -> None:
    script.fails("list_imported_models", "AccessDeniedException", status=403)
    with pytest.raises(RequestDeniedError):
        imports.occupancy()
