"""Evaluation jobs with a judge: answers that are there already are graded, and the grades are written to S3."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.bedrock import records
from local.bedrock.grader import GRADERS
from local.bedrock.settings import Settings
from local.engine.host import AwsError, Host
from local.s3_prefix import S3Prefix, cause
from tunedrop.domain.judge import EVALUATORS, MOST_ROWS

_PRINCIPAL = "bedrock.amazonaws.com"
_TASK_TYPE = "General"
_ENDED = frozenset({"Completed", "Failed", "Stopped"})
_PERMISSION_CHECK = "amazon-bedrock-evaluations-permission-check"


class _DatasetError(Exception):
    """Say what Bedrock would not take in the answers."""


class _StoppedError(Exception):
    """End a job that is to be stopped."""


class EvaluationJobs:
    """Keep evaluation jobs; what is listed is on disk.

    Args:
        host: the engine.
        settings: times.
        folder: for the records.
    """

    def __init__(self, host: Host, settings: Settings, folder: Path) -> None:
        self._host = host
        self._settings = settings
        self._folder = folder / "evaluation-jobs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._jobs = records.load(self._folder.glob("*.json"), "jobArn")
        self._threads: list[threading.Thread] = []
        self._halts: dict[str, threading.Event] = {}
        for job in self._jobs.values():
            if job["status"] not in _ENDED:
                self._end(job, "Failed", "Internal error: the engine stopped during the evaluation.")

    def stop(self) -> None:
        """Interrupt running jobs."""
        for halt in self._halts.values():
            halt.set()
        for thread in self._threads:
            thread.join()

    def create(self, parameters: Mapping[str, Any]) -> str:
        """Start a job and return its ARN.

        Raises:
            AwsError: as CreateEvaluationJob.
        """
        self._host.pass_role(parameters["roleArn"], _PRINCIPAL)
        _check(parameters)
        with self._lock:
            token, name = parameters.get("clientRequestToken"), parameters["jobName"]
            for job in self._jobs.values():
                if token and job["clientRequestToken"] == token:
                    return str(job["jobArn"])
                if job["jobName"] == name:
                    raise AwsError("ConflictException", f"An evaluation job named {name} already exists.", 409)
            arn = f"arn:aws:bedrock:{self._host.region}:{self._host.account_id}:evaluation-job/"
            job = {
                **parameters,
                "jobArn": arn + records.new_identifier(),
                "clientRequestToken": token,
                "jobTags": records.tags_of(parameters.get("jobTags")),
                "applicationType": "ModelEvaluation",
                "jobType": "Automated",
                "status": "InProgress",
                "creationTime": records.timestamp(),
                "lastModifiedTime": records.timestamp(),
                "evaluationTaskTypes": [_TASK_TYPE],
                "evaluatorModelIdentifiers": [_evaluator(parameters)],
                "inferenceConfigSummary": {
                    "modelConfigSummary": {"precomputedInferenceSourceIdentifiers": [_source(parameters)]}
                },
            }
            self._jobs[job["jobArn"]] = job
            self._halts[job["jobArn"]] = threading.Event()
            self._save(job)
            thread = threading.Thread(target=self._run, args=(job,), name=f"evaluation-{name}", daemon=True)
            self._threads.append(thread)
        thread.start()
        return str(job["jobArn"])

    def job(self, identifier: str) -> dict[str, Any] | None:
        """Return the job of that ARN."""
        return self._jobs.get(identifier)

    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs."""
        return list(self._jobs.values())

    def halt(self, job: dict[str, Any]) -> None:
        """Stop a job.

        Raises:
            AwsError: when it has ended.
        """
        with self._lock:
            if job["status"] in _ENDED:
                raise AwsError("ConflictException", f"The evaluation job is {job['status']}.", 409)
            self._update(job, status="Stopping")
        self._halts[job["jobArn"]].set()

    def _run(self, job: dict[str, Any]) -> None:
        try:
            self._evaluate(job)
        except _StoppedError:
            self._end(job, "Stopped")
        except _DatasetError as error:
            self._end(job, "Failed", str(error))
        except (ClientError, BotoCoreError, OSError) as error:
            message = f"Amazon Bedrock could not use Amazon S3 with the role {job['roleArn']}: {cause(error)}"
            self._end(job, "Failed", message)
        else:
            self._end(job, "Completed")

    def _evaluate(self, job: Mapping[str, Any]) -> None:
        s3 = self._host.client("s3", job["roleArn"])
        output = S3Prefix.of(f"{job['outputDataConfig']['s3Uri'].rstrip('/')}/{job['jobName']}/")
        s3.put_object(Bucket=output.bucket, Key=output.prefix + _PERMISSION_CHECK, Body=b"")
        folder = f"{output.prefix}{uuid.uuid4()}/models/{_source(job)}/taskTypes/{_TASK_TYPE}/datasets/"
        for each in job["evaluationConfig"]["automated"]["datasetMetricConfigs"]:
            dataset = each["dataset"]
            location = S3Prefix.of(dataset["datasetLocation"]["s3Uri"])
            # Bedrock looks for the file before it reads it: without s3:ListBucket a missing one is a denied one.
            s3.list_objects_v2(Bucket=location.bucket, Prefix=location.prefix, MaxKeys=1)
            body = s3.get_object(Bucket=location.bucket, Key=location.prefix)["Body"].read()
            graded = [
                json.dumps(self._graded(job, record, each["metricNames"]), ensure_ascii=False) + "\n"
                for record in _records(body, _source(job))
            ]
            key = f"{folder}{dataset['name']}/{uuid.uuid4()}_output.jsonl"
            s3.put_object(Bucket=output.bucket, Key=key, Body="".join(graded).encode())

    def _graded(self, job: Mapping[str, Any], record: dict[str, Any], metrics: list[str]) -> dict[str, Any]:
        if self._halts[job["jobArn"]].wait(self._settings.grade_seconds):
            raise _StoppedError
        scores = []
        for metric in metrics:
            if metric not in GRADERS or not record.get("referenceResponse"):
                msg = (
                    f"The local Bedrock has no language model that could grade {metric}: it grades "
                    f"{' and '.join(sorted(GRADERS))} of prompts with a referenceResponse, by the words in common."
                )
                raise _DatasetError(msg)
            grade, why = GRADERS[metric](record["modelResponses"][0]["response"], record["referenceResponse"])
            details = [{"modelIdentifier": _evaluator(job), "explanation": why}]
            scores.append({"metricName": metric, "result": grade, "evaluatorDetails": details})
        return {
            "automatedEvaluationResult": {"scores": scores},
            "inputRecord": record,
            "modelResponses": record["modelResponses"],
        }

    def _end(self, job: dict[str, Any], status: str, message: str = "") -> None:
        self._update(job, status=status, **({"failureMessages": [message]} if message else {}))

    def _update(self, job: dict[str, Any], **members: Any) -> None:
        with self._lock:
            job.update(members, lastModifiedTime=records.timestamp())
            self._save(job)

    def _save(self, job: Mapping[str, Any]) -> None:
        records.write(self._folder / f"{str(job['jobArn']).rsplit('/', 1)[1]}.json", job)


def _evaluator(job: Mapping[str, Any]) -> str:
    (model,) = job["evaluationConfig"]["automated"]["evaluatorModelConfig"]["bedrockEvaluatorModels"]
    return str(model["modelIdentifier"])


def _source(job: Mapping[str, Any]) -> str:
    (model,) = job["inferenceConfig"]["models"]
    return str(model["precomputedInferenceSource"]["inferenceSourceIdentifier"])


def _check(parameters: Mapping[str, Any]) -> None:
    """Refuse what is no job of a judge for answers that are there already: nothing else is done here.

    https://docs.aws.amazon.com/bedrock/latest/userguide/evaluation-judge.html
    """
    automated = parameters["evaluationConfig"].get("automated", {})
    models = parameters["inferenceConfig"].get("models", [])
    if "evaluatorModelConfig" not in automated or [list(each) for each in models] != [["precomputedInferenceSource"]]:
        message = "The local Bedrock evaluates with a judge, and one precomputedInferenceSource alone."
        raise AwsError("ValidationException", message)
    model = _evaluator(parameters)
    if not any(model == each or model.endswith(f".{each}") for each in EVALUATORS):
        raise AwsError("ValidationException", f"The provided evaluator model identifier {model} is not supported.")
    for each in automated["datasetMetricConfigs"]:
        if each["taskType"] != _TASK_TYPE:
            message = f"The task type {each['taskType']} is not supported for a model evaluation job with a judge."
            raise AwsError("ValidationException", message)
        if "datasetLocation" not in each["dataset"]:
            raise AwsError("ValidationException", "A dataset of your own needs a datasetLocation.")


def _records(body: bytes, source: str) -> Iterator[dict[str, Any]]:
    """Yield the prompts with their answers; one fault refuses them all.

    https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-prompt-datasets-judge.html
    """
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not 0 < len(lines) <= MOST_ROWS:
        raise _DatasetError(f"The dataset has {len(lines)} prompts; there can be 1 to {MOST_ROWS}.")
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            prompt, (response,) = record["prompt"], record["modelResponses"]
            texts = [prompt, response["response"], record.get("referenceResponse", "-")]
        except (ValueError, KeyError, TypeError) as error:
            raise _DatasetError(f"Record {number} of the dataset is not valid: {type(error).__name__}.") from None
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise _DatasetError(f"Record {number} of the dataset has an empty text.")
        if response["modelIdentifier"] != source:
            raise _DatasetError(f"Record {number} of the dataset is not of the model {source}.")
        yield record
