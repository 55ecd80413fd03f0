"""Training jobs on SageMaker."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.domain.run import Metric, Training
from tunedrop.domain.training_request import REQUEST_HASH_TAG
from tunedrop.errors import (
    ForeignResourceError,
    QuotaExceededError,
    RequestDeniedError,
    RequestRefusedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from botocore.client import BaseClient


class SageMakerTrainingJobs:
    """Start, describe and stop training jobs."""

    def __init__(self, client: "BaseClient") -> None:
        """Use a SageMaker client."""
        self._client: Any = client

    def create(self, request: Mapping[str, object]) -> str:
        """Create the job; the deterministic name makes it one, however often this is called."""
        try:
            with failures.transient():
                return str(self._client.create_training_job(**request)["TrainingJobArn"])
        except ClientError as error:
            match failures.code(error):
                case "ResourceInUse":
                    return self._adopt(request)
                case "ResourceLimitExceeded":
                    raise QuotaExceededError(failures.message(error)) from error
                case "ValidationException":
                    raise RequestRefusedError(failures.message(error)) from error
                case "AccessDeniedException":
                    raise RequestDeniedError(failures.message(error)) from error
            raise

    def describe(self, job_name: str, attempt: int) -> tuple[Training, str] | None:
        """Return the job as DescribeTrainingJob tells it, with the reason of a failure."""
        job = self._describe(job_name)
        if job is None:
            return None
        training = Training(
            job_name=job_name,
            job_arn=job["TrainingJobArn"],
            attempt=attempt,
            status=job["TrainingJobStatus"],
            secondary_status=job.get("SecondaryStatus", ""),
            metrics=tuple(
                Metric(name=each["MetricName"], value=each["Value"]) for each in job.get("FinalMetricDataList", ())
            ),
            billable_seconds=job.get("BillableTimeInSeconds"),
            started_at=job.get("TrainingStartTime"),
            ended_at=job.get("TrainingEndTime"),
            artifact_uri=job.get("ModelArtifacts", {}).get("S3ModelArtifacts"),
        )
        return training, job.get("FailureReason", "")

    def in_progress(self, name_prefix: str) -> Iterator[str]:
        """Yield the names of the running jobs that begin with the prefix."""
        with failures.transient():
            pages = self._client.get_paginator("list_training_jobs").paginate(
                NameContains=name_prefix, StatusEquals="InProgress"
            )
            for page in pages:
                for each in page["TrainingJobSummaries"]:
                    if each["TrainingJobName"].startswith(name_prefix):
                        yield each["TrainingJobName"]

    def stop(self, job_name: str) -> None:
        """Stop the job, unless it has ended by itself."""
        try:
            with failures.transient():
                self._client.stop_training_job(TrainingJobName=job_name)
        except ClientError as error:
            if failures.code(error) != "ValidationException":
                raise

    def _describe(self, job_name: str) -> dict[str, Any] | None:
        try:
            with failures.transient():
                return dict(self._client.describe_training_job(TrainingJobName=job_name))
        except ClientError as error:
            # A job that does not exist is a ValidationException here, not a ResourceNotFound.
            # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
            if failures.code(error) in ("ValidationException", "ResourceNotFound"):
                return None
            raise

    def _adopt(self, request: Mapping[str, Any]) -> str:
        job_name = request["TrainingJobName"]
        job = self._describe(job_name)
        if job is None:
            raise UnavailableError(f"the name {job_name} is taken by a job that is being deleted")
        with failures.transient():
            tags = self._client.list_tags(ResourceArn=job["TrainingJobArn"])["Tags"]
        wanted = {each["Key"]: each["Value"] for each in request["Tags"]}[REQUEST_HASH_TAG]
        if {each["Key"]: each["Value"] for each in tags}.get(REQUEST_HASH_TAG) != wanted:
            raise ForeignResourceError(f"the training job {job_name} exists and was not made by this run's plan")
        return str(job["TrainingJobArn"])
