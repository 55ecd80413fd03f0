"""Custom Model Import, Converse and InvokeModel on Amazon Bedrock."""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import chat_form, failures
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.training_request import RUN_ID_TAG
from tunedrop.errors import (
    ModelLimitError,
    ModelNotReadyError,
    ModelUnavailableError,
    PromptRefusedError,
    RequestDeniedError,
    RequestRefusedError,
    TransientError,
    UnavailableError,
)
from tunedrop.ports import Answer, ImportState, Question, ServedModel

if TYPE_CHECKING:
    from botocore.client import BaseClient


class BedrockModelImports:
    """Import models from S3; a job and its model bear the run's name."""

    def __init__(self, client: "BaseClient", role_arn: str) -> None:
        """Use a Bedrock client and the role with which Bedrock reads the artifact."""
        self._client: Any = client
        self._role_arn = role_arn

    def start(self, name: str, artifact_uri: str, run_id: str) -> str:
        """Start the import job of that name, or find it."""
        started = self._started(name)
        if started:
            return started
        tags = [{"key": RUN_ID_TAG, "value": run_id}]
        try:
            with failures.transient():
                answer = self._client.create_model_import_job(
                    jobName=name,
                    importedModelName=name,
                    roleArn=self._role_arn,
                    modelDataSource={"s3DataSource": {"s3Uri": artifact_uri}},
                    jobTags=tags,
                    importedModelTags=tags,
                    # botocore does not fill this token in for this operation.
                    clientRequestToken=hashlib.sha256(name.encode()).hexdigest(),
                )
            return str(answer["jobArn"])
        except ClientError as error:
            match failures.code(error):
                case "ConflictException":
                    raise TransientError(failures.message(error)) from error
                case "ServiceQuotaExceededException":
                    # Bedrock has one code for both quotas; only the jobs tell which one it is.
                    refusal = UnavailableError if self._importing() else ModelLimitError
                    raise refusal(failures.message(error)) from error
                case "TooManyTagsException":
                    raise UnavailableError(failures.message(error)) from error
                case "ValidationException":
                    raise RequestRefusedError(failures.message(error)) from error
                case "AccessDeniedException":
                    raise RequestDeniedError(failures.message(error)) from error
            raise

    def state(self, job_arn: str) -> ImportState | None:
        """Return how an import job stands."""
        try:
            with failures.transient():
                job = self._client.get_model_import_job(jobIdentifier=job_arn)
        except ClientError as error:
            if failures.code(error) == "ResourceNotFoundException":
                return None
            raise
        return ImportState(
            job_arn=job_arn,
            status=job["status"],
            failure_message=job.get("failureMessage", ""),
            model_arn=job.get("importedModelArn"),
        )

    def model(self, model_arn: str) -> ServedModel:
        """Describe an imported model."""
        return imported_model(self._client, model_arn)

    def _started(self, name: str) -> str | None:
        with failures.transient():
            jobs = self._client.list_model_import_jobs(nameContains=name)["modelImportJobSummaries"]
        return next((str(each["jobArn"]) for each in jobs if each["jobName"] == name), None)

    def _importing(self) -> str | None:
        with failures.transient():
            jobs = self._client.list_model_import_jobs(statusEquals="InProgress")["modelImportJobSummaries"]
        return next((str(each["jobName"]) for each in jobs), None)

    def occupancy(self) -> tuple[int, str | None]:
        """Count the account's imported models, and name the import job that runs."""
        try:
            with failures.transient():
                pages = self._client.get_paginator("list_imported_models").paginate()
                models = sum(len(page["modelSummaries"]) for page in pages)
            return models, self._importing()
        except ClientError as error:
            if failures.code(error) == "AccessDeniedException":
                raise RequestDeniedError(failures.message(error)) from error
            raise

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names of imported models that begin with the prefix, and when each was made."""
        with failures.transient():
            for page in self._client.get_paginator("list_imported_models").paginate(nameContains=name_prefix):
                for each in page["modelSummaries"]:
                    if each["modelName"].startswith(name_prefix):
                        yield each["modelName"], each["creationTime"]

    def delete(self, name: str) -> None:
        """Delete the imported model of that name, unless it is gone."""
        try:
            with failures.transient():
                self._client.delete_imported_model(modelIdentifier=name)
        except ClientError as error:
            match failures.code(error):
                case "ResourceNotFoundException":
                    return
                case "AccessDeniedException":
                    raise RequestDeniedError(failures.message(error)) from error
            raise


def imported_model(client: "BaseClient", model_arn: str) -> ServedModel:
    """Describe an imported model with a Bedrock client; raises ModelUnavailableError when there is none."""
    bedrock: Any = client
    try:
        with failures.transient():
            model = bedrock.get_imported_model(modelIdentifier=model_arn)
    except ClientError as error:
        if failures.code(error) == "ResourceNotFoundException":
            raise ModelUnavailableError(failures.message(error)) from error
        raise
    return ServedModel(
        arn=model["modelArn"],
        name=model["modelName"],
        source_uri=model["modelDataSource"]["s3DataSource"]["s3Uri"],
        instruct_supported=model.get("instructSupported", False),
        units_per_copy=model.get("customModelUnits", {}).get("customModelUnitsPerModelCopy"),
    )


_LATENCY = "x-amzn-bedrock-invocation-latency"
"""The header in which InvokeModel tells what Converse tells in `metrics.latencyMs`."""


class BedrockConversation:
    """Ask models greedily, through Converse or through InvokeModel with OpenAI's chat form."""

    def __init__(self, client: "BaseClient") -> None:
        """Use a Bedrock runtime client; its retries are the patience with a cold start."""
        self._client: Any = client

    def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
        """Return the answer at temperature 0."""
        asked = greedy(question, max_tokens)
        with refusals():
            if call is ModelCall.CONVERSE:
                answer = self._client.converse(modelId=model_id, **asked)
            else:
                answer, _ = invoked(self._client, model_id, chat_form.body(asked))
        return told(answer)


def greedy(question: Question, max_tokens: int) -> dict[str, Any]:
    """Write a question as Converse takes it, to be answered at temperature 0."""
    return {
        "messages": _messages(question),
        **({"system": [{"text": question.system}]} if question.system else {}),
        "inferenceConfig": {"maxTokens": max_tokens, "temperature": 0.0},
    }


def told(answer: Mapping[str, Any]) -> Answer:
    """Read an answer as Converse tells it."""
    blocks = answer["output"]["message"]["content"]
    usage = answer["usage"] or {}
    return Answer(
        text="".join(block.get("text", "") for block in blocks),
        stop_reason=answer["stopReason"],
        latency_ms=answer["metrics"]["latencyMs"],
        # A container of one's own need not count them.
        input_tokens=usage.get("inputTokens", 0),
        output_tokens=usage.get("outputTokens", 0),
    )


@contextmanager
def refusals() -> Iterator[None]:
    """Translate why a model on Bedrock does not answer."""
    try:
        with failures.transient():
            yield
    except ClientError as error:
        match failures.code(error):
            case "ModelNotReadyException" | "ModelTimeoutException" | "ModelErrorException":
                raise ModelNotReadyError(failures.message(error)) from error
            case "AccessDeniedException" | "ResourceNotFoundException":
                raise ModelUnavailableError(failures.message(error)) from error
            case "ValidationException":
                raise PromptRefusedError(failures.message(error)) from error
        raise


def invoked(client: Any, model_id: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Call InvokeModel in OpenAI's chat form; returns the answer as Converse tells it, and as Bedrock told it."""
    started = time.monotonic()
    answer = client.invoke_model(
        modelId=model_id, body=json.dumps(body), contentType="application/json", accept="application/json"
    )
    completion = json.loads(answer["body"].read())
    return chat_form.answer(completion, _latency_ms(answer, started)), completion


def _messages(question: Question) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [{"role": turn.role, "content": [{"text": turn.text}]} for turn in question.turns]
    if picture := question.picture:
        image = {"image": {"format": picture.format, "source": {"bytes": picture.data}}}
        messages[-1]["content"].insert(0, image)
    return messages


def _latency_ms(answer: Mapping[str, Any], started: float) -> float:
    """Return what Bedrock says, or how long the whole call took: no page of AWS's promises the header."""
    told = answer["ResponseMetadata"].get("HTTPHeaders", {}).get(_LATENCY)
    return float(told) if told else (time.monotonic() - started) * 1000
