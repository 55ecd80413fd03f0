"""A training job is made once under its name, and SageMaker's error codes are told apart by what to do about them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.adapters.conftest import Script
from tests.samples import ARTIFACT_URI, JOB_ARN, JOB_NAME, NOW, RUN_BUCKET, run_in
from tunedrop.adapters.sagemaker import SageMakerTrainingJobs
from tunedrop.domain.run import Metric, RunStatus
from tunedrop.domain.training_request import create_training_job_request
from tunedrop.errors import (
    ForeignResourceError,
    QuotaExceededError,
    RequestDeniedError,
    RequestRefusedError,
    TransientError,
    UnavailableError,
)

SERVICE = "sagemaker"

REQUEST = create_training_job_request(
    run_in(RunStatus.LAUNCHING),
    stack="tunedrop",
    role_arn="arn:aws:iam::123456789012:role/tunedrop-TrainingRole",
    run_bucket=RUN_BUCKET,
)
OTHER_REQUEST = create_training_job_request(
    run_in(RunStatus.LAUNCHING),
    stack="tunedrop",
    role_arn="arn:aws:iam::123456789012:role/another",
    run_bucket=RUN_BUCKET,
)

JOB: dict[str, Any] = {
    "TrainingJobName": JOB_NAME,
    "TrainingJobArn": JOB_ARN,
    "ModelArtifacts": {"S3ModelArtifacts": ARTIFACT_URI},
    "TrainingJobStatus": "InProgress",
    "SecondaryStatus": "Training",
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "CreationTime": NOW,
}


@pytest.fixture
def jobs(script: Script) -> SageMakerTrainingJobs:
    return SageMakerTrainingJobs(script.client)


def test_a_job_is_created_as_requested(jobs: SageMakerTrainingJobs, script: Script) -> None:
    script.answers("create_training_job", {"TrainingJobArn": JOB_ARN}, REQUEST)
    assert jobs.create(REQUEST) == JOB_ARN


def test_a_job_that_this_request_made_before_counts_as_created(jobs: SageMakerTrainingJobs, script: Script) -> None:
    script.fails("create_training_job", "ResourceInUse")
    script.answers("describe_training_job", JOB, {"TrainingJobName": JOB_NAME})
    script.answers("list_tags", {"Tags": REQUEST["Tags"]}, {"ResourceArn": JOB_ARN})
    assert jobs.create(REQUEST) == JOB_ARN


@pytest.mark.parametrize("tags", [[], OTHER_REQUEST["Tags"]], ids=["no tags", "of another request"])
def test_a_job_of_somebody_else_under_our_name_is_loud(
    jobs: SageMakerTrainingJobs, script: Script, tags: list[dict[str, str]]
) -> None:
    script.fails("create_training_job", "ResourceInUse")
    script.answers("describe_training_job", JOB)
    script.answers("list_tags", {"Tags": tags})
    with pytest.raises(ForeignResourceError, match=JOB_NAME):
        jobs.create(REQUEST)


def test_a_name_that_is_just_being_freed_is_waited_for(jobs: SageMakerTrainingJobs, script: Script) -> None:
    script.fails("create_training_job", "ResourceInUse")
    script.fails("describe_training_job", "ValidationException", "Requested resource not found.")
    with pytest.raises(UnavailableError):
        jobs.create(REQUEST)


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("ResourceLimitExceeded", 400, QuotaExceededError),
        ("ValidationException", 400, RequestRefusedError),
        ("ThrottlingException", 400, TransientError),
        ("InternalFailure", 500, TransientError),
        ("ServiceUnavailable", 503, TransientError),
        ("NobodyKnowsThisOne", 502, TransientError),
        ("AccessDeniedException", 403, RequestDeniedError),
    ],
)
def test_what_sagemaker_says_is_told_apart_by_what_to_do(
    jobs: SageMakerTrainingJobs, script: Script, code: str, status: int, cause: type[Exception]
) -> None:
    script.fails("create_training_job", code, "The account-level limit is 0.", status)
    with pytest.raises(cause, match="The account-level limit is 0"):
        jobs.create(REQUEST)


def test_a_job_is_described_with_all_that_a_run_keeps(jobs: SageMakerTrainingJobs, script: Script) -> None:
    ended = {
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "TrainingStartTime": NOW,
        "TrainingEndTime": datetime(2026, 1, 5, 10, tzinfo=UTC),
        "BillableTimeInSeconds": 3500,
        "FinalMetricDataList": [{"MetricName": "eval-loss", "Value": 0.5, "Timestamp": NOW}],
    }
    script.answers("describe_training_job", JOB | ended)
    seen = jobs.describe(JOB_NAME, 1)
    assert seen
    training, failure_reason = seen
    assert (training.status, training.billable_seconds, training.artifact_uri) == ("Completed", 3500, ARTIFACT_URI)
    assert training.metrics == (Metric(name="eval-loss", value=0.5),)
    assert (training.started_at, training.ended_at) == (NOW, datetime(2026, 1, 5, 10, tzinfo=UTC))
    assert failure_reason == ""


def test_a_failed_job_tells_its_reason(jobs: SageMakerTrainingJobs, script: Script) -> None:
    failed = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed", "FailureReason": "AlgorithmError: no memory"}
    script.answers("describe_training_job", JOB | failed)
    seen = jobs.describe(JOB_NAME, 1)
    assert seen
    assert seen[1] == "AlgorithmError: no memory"


@pytest.mark.parametrize("code", ["ValidationException", "ResourceNotFound"])
def test_a_job_that_sagemaker_does_not_know_is_none(jobs: SageMakerTrainingJobs, script: Script, code: str) -> None:
    script.fails("describe_training_job", code, "Requested resource not found.")
    assert jobs.describe(JOB_NAME, 1) is None


def test_a_refused_look_is_not_taken_for_a_missing_job(jobs: SageMakerTrainingJobs, script: Script) -> None:
    script.fails("describe_training_job", "AccessDeniedException", status=403)
    with pytest.raises(ClientError):
        jobs.describe(JOB_NAME, 1)


def test_running_jobs_are_found_on_every_page_by_how_their_names_begin(
    jobs: SageMakerTrainingJobs, script: Script
) -> None:
    asked = {"NameContains": "tunedrop-", "StatusEquals": "InProgress"}
    pages = [["tunedrop-a", "not-tunedrop-b"], ["tunedrop-c"]]
    first, second = ([_summary(name) for name in page] for page in pages)
    script.answers("list_training_jobs", {"TrainingJobSummaries": first, "NextToken": "next"}, asked)
    script.answers("list_training_jobs", {"TrainingJobSummaries": second}, asked | {"NextToken": "next"})
    assert list(jobs.in_progress("tunedrop-")) == ["tunedrop-a", "tunedrop-c"]


def _summary(name: str) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "TrainingJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}",
        "CreationTime": NOW,
        "TrainingJobStatus": "InProgress",
    }


def test_a_job_is_stopped(jobs: SageMakerTrainingJobs, script: Script) -> None:
    script.answers("stop_training_job", {}, {"TrainingJobName": JOB_NAME})
    jobs.stop(JOB_NAME)


def test_a_job_that_has_ended_need_not_be_stopped(jobs: SageMakerTrainingJobs, script: Script) -> None:
    script.fails("stop_training_job", "ValidationException", "The request was rejected because the job is Completed.")
    jobs.stop(JOB_NAME)


def test_a_job_that_must_not_be_stopped_is_loud(jobs: SageMakerTrainingJobs, script: Script) -> None:
    script.fails("stop_training_job", "AccessDeniedException", status=403)
    with pytest.raises(ClientError):
        jobs.stop(JOB_NAME)
