"""Evaluation jobs on Amazon Bedrock, by which another model grades answers that are there already."""

import hashlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.domain.training_request import RUN_ID_TAG
from tunedrop.errors import RequestDeniedError, RequestRefusedError, TransientError, UnavailableError
from tunedrop.ports import JudgeRequest, JudgeState

if TYPE_CHECKING:
    from botocore.client import BaseClient

TASK_TYPE = "General"
"""What a judge's job has to say, and the API's own list of task types lacks; other types are refused, or fail.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-judge-create.html
"""

DATASET = "held-out"


class BedrockJudgeJobs:
    """Start, follow and stop evaluation jobs."""

    def __init__(self, client: "BaseClient", role_arn: str) -> None:
        """Use a Bedrock client and the role with which Bedrock reads answers, calls the judge and writes its grades."""
        self._client: Any = client
        self._role_arn = role_arn

    def start(self, wanted: JudgeRequest) -> str:
        """Start the job of that name, or find it."""
        if started := self._named(wanted.name):
            return started
        try:
            with failures.transient():
                return str(self._client.create_evaluation_job(**self._request(wanted))["jobArn"])
        except ClientError as error:
            match failures.code(error):
                case "ConflictException":  # it was made in between: the next look finds it
                    raise TransientError(failures.message(error)) from error
                case "ServiceQuotaExceededException":
                    raise UnavailableError(failures.message(error)) from error
                case "ValidationException" | "ResourceNotFoundException":
                    raise RequestRefusedError(failures.message(error)) from error
                case "AccessDeniedException":
                    raise RequestDeniedError(failures.message(error)) from error
            raise

    def state(self, job_arn: str) -> JudgeState | None:
        """Return how a job stands."""
        try:
            with failures.transient():
                job = self._client.get_evaluation_job(jobIdentifier=job_arn)
        except ClientError as error:
            if failures.code(error) == "ResourceNotFoundException":
                return None
            raise
        return JudgeState(status=job["status"], failure_message=" ".join(job.get("failureMessages", ())))

    def running(self, name_prefix: str) -> Iterator[tuple[str, str]]:
        """Yield the jobs in progress whose names begin with the prefix."""
        with failures.transient():
            pages = self._client.get_paginator("list_evaluation_jobs").paginate(statusEquals="InProgress")
            for page in pages:
                for each in page.get("jobSummaries", ()):
                    if each["jobName"].startswith(name_prefix):
                        yield each["jobName"], each["jobArn"]

    def stop(self, job_arn: str) -> None:
        """Stop a job, unless it has ended."""
        try:
            with failures.transient():
                self._client.stop_evaluation_job(jobIdentifier=job_arn)
        except ClientError as error:
            if failures.code(error) not in {"ConflictException", "ResourceNotFoundException"}:
                raise

    def _named(self, name: str) -> str | None:
        with failures.transient():
            pages = self._client.get_paginator("list_evaluation_jobs").paginate(nameContains=name)
            jobs = (each for page in pages for each in page.get("jobSummaries", ()))
            return next((str(each["jobArn"]) for each in jobs if each["jobName"] == name), None)

    def _request(self, wanted: JudgeRequest) -> dict[str, Any]:
        graded = {
            "taskType": TASK_TYPE,
            "dataset": {"name": DATASET, "datasetLocation": {"s3Uri": wanted.answers_uri}},
            "metricNames": [f"Builtin.{each}" for each in wanted.metrics],
        }
        return {
            "jobName": wanted.name,
            "clientRequestToken": hashlib.sha256(wanted.name.encode()).hexdigest(),
            "roleArn": self._role_arn,
            "jobTags": [{"key": RUN_ID_TAG, "value": wanted.run_id}],
            "applicationType": "ModelEvaluation",
            "evaluationConfig": {
                "automated": {
                    "datasetMetricConfigs": [graded],
                    "evaluatorModelConfig": {
                        "bedrockEvaluatorModels": [{"modelIdentifier": wanted.evaluator_model}],
                    },
                }
            },
            "inferenceConfig": {"models": [{"precomputedInferenceSource": {"inferenceSourceIdentifier": wanted.side}}]},
            "outputDataConfig": {"s3Uri": wanted.output_uri},
        }
