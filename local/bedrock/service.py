"""Answer the Bedrock API: model import, imported and foundation models, Converse and InvokeModel."""

from __future__ import annotations

import base64
import binascii
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from local.bedrock import requests
from local.bedrock.artifact import reads_images
from local.bedrock.evaluations import EvaluationJobs
from local.bedrock.imports import ImportedModels
from local.bedrock.model_server import ModelServer
from local.bedrock.runtime import Runtime, ServedModel
from local.bedrock.settings import Settings
from local.constraints import service_model
from local.engine import event_stream
from local.engine.host import AwsError, Host, IamCheck, Request, Response

_DEFAULT_PAGE = 100
_EVALUATION_PAGE = 5
"""As many jobs as the answer of ListEvaluationJobs may hold, by its shape."""

_RUNTIME_ARN = re.compile(r"arn:aws:bedrock:[a-z0-9-]*:[0-9]*:(imported-model|foundation-model)/(.+)")


class Bedrock:
    """Serve Bedrock and Bedrock Runtime inside the engine.

    Args:
        foundation_models: the models that are offered on demand: Bedrock model id to a folder with weights.
        settings: quotas and times.
    """

    signing_name = "bedrock"
    target_prefix = None

    def __init__(self, foundation_models: Mapping[str, Path], settings: Settings | None = None) -> None:
        self._foundation_models = dict(foundation_models)
        self._settings = settings or Settings()
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "CreateModelImportJob": lambda parameters: {"jobArn": self._imports.create(parameters)},
            "GetModelImportJob": self._get_import_job,
            "ListModelImportJobs": self._list_import_jobs,
            "GetImportedModel": self._get_imported_model,
            "ListImportedModels": self._list_imported_models,
            "DeleteImportedModel": self._delete_imported_model,
            "ListFoundationModels": self._list_foundation_models,
            "GetFoundationModel": self._get_foundation_model,
            "CreateEvaluationJob": lambda parameters: {"jobArn": self._evaluations.create(parameters)},
            "GetEvaluationJob": lambda parameters: _answer("GetEvaluationJob", self._evaluation(parameters)),
            "ListEvaluationJobs": self._list_evaluation_jobs,
            "StopEvaluationJob": self._stop_evaluation_job,
            "Converse": lambda parameters: self._runtime.converse(self._served(parameters["modelId"]), parameters),
            "InvokeModel": lambda parameters: self._runtime.invoke(
                self._served(parameters["modelId"]), parameters["body"]
            ),
        }
        self._streams: dict[str, Callable[[dict[str, Any]], Iterator[bytes]]] = {
            "ConverseStream": lambda parameters: self._runtime.converse_stream(
                self._served(parameters["modelId"]), parameters
            ),
            "InvokeModelWithResponseStream": lambda parameters: self._runtime.invoke_stream(
                self._served(parameters["modelId"]), parameters["body"]
            ),
        }

    def start(self, host: Host) -> None:
        """Load the records; imports and evaluations that ran when the engine died end as Failed."""
        self._host = host
        folder = host.data_dir / "bedrock"
        self._imports = ImportedModels(host, self._settings, folder)
        self._evaluations = EvaluationJobs(host, self._settings, folder)
        self._server = ModelServer(self._settings, folder / "workers.log")
        self._runtime = Runtime(self._server)

    def stop(self) -> None:
        """Interrupt imports and evaluations, and unload all models."""
        self._imports.stop()
        self._evaluations.stop()
        self._server.stop()

    def iam(self, request: Request) -> list[IamCheck]:
        """Name the permissions that the request needs."""
        return requests.permissions(request, self._host.region, self._host.account_id, self._resource)

    async def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            AwsError: as Bedrock would.
        """
        operation, parameters = requests.parse(request)
        if operation in self._streams:
            events = self._streams[operation](parameters)
            return Response(200, events, {"content-type": event_stream.CONTENT_TYPE})
        started = time.monotonic()
        result = self._operations[operation](parameters)
        status = {"CreateModelImportJob": 201, "CreateEvaluationJob": 202}.get(operation, 200)
        headers = {"content-type": "application/json"}
        if operation == "InvokeModel":
            headers["x-amzn-bedrock-invocation-latency"] = str(round((time.monotonic() - started) * 1000))
        return Response(status, json.dumps(result).encode(), headers)

    def _resource(self, kind: str, identifier: str) -> tuple[str, Mapping[str, str]] | None:
        if kind == "model-import-job" and (job := self._imports.job(identifier)):
            return job["jobArn"], job["jobTags"]
        if kind == "imported-model" and (model := self._imports.model(identifier)):
            return model["modelArn"], model["tags"]
        if kind == "evaluation-job" and (job := self._evaluations.job(identifier)):
            return job["jobArn"], job["jobTags"]
        return None

    def _get_import_job(self, parameters: dict[str, Any]) -> dict[str, Any]:
        job = self._imports.job(parameters["jobIdentifier"])
        if job is None:
            raise AwsError("ResourceNotFoundException", "The provided job identifier could not be found.", 404)
        return _answer("GetModelImportJob", job)

    def _list_import_jobs(self, parameters: dict[str, Any]) -> dict[str, Any]:
        jobs = _selected(self._imports.jobs(), parameters, "jobName")
        if "statusEquals" in parameters:
            jobs = [job for job in jobs if job["status"] == parameters["statusEquals"]]
        return _page("ListModelImportJobs", "modelImportJobSummaries", jobs, parameters)

    def _evaluation(self, parameters: dict[str, Any]) -> dict[str, Any]:
        job = self._evaluations.job(parameters["jobIdentifier"])
        if job is None:
            raise AwsError("ResourceNotFoundException", "The provided job identifier could not be found.", 404)
        return job

    def _list_evaluation_jobs(self, parameters: dict[str, Any]) -> dict[str, Any]:
        jobs = _selected(self._evaluations.jobs(), parameters, "jobName")
        for name, member in (("statusEquals", "status"), ("applicationTypeEquals", "applicationType")):
            if name in parameters:
                jobs = [job for job in jobs if job[member] == parameters[name]]
        most = min(parameters.get("maxResults", _EVALUATION_PAGE), _EVALUATION_PAGE)
        return _page("ListEvaluationJobs", "jobSummaries", jobs, {**parameters, "maxResults": most})

    def _stop_evaluation_job(self, parameters: dict[str, Any]) -> dict[str, Any]:
        self._evaluations.halt(self._evaluation(parameters))
        return {}

    def _get_imported_model(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return _answer("GetImportedModel", self._imported(parameters["modelIdentifier"]))

    def _list_imported_models(self, parameters: dict[str, Any]) -> dict[str, Any]:
        models = _selected(self._imports.models(), parameters, "modelName")
        return _page("ListImportedModels", "modelSummaries", models, parameters)

    def _delete_imported_model(self, parameters: dict[str, Any]) -> dict[str, Any]:
        model = self._imported(parameters["modelIdentifier"])
        self._server.unload(self._imports.folder(model))
        self._imports.delete(model)
        return {}

    def _imported(self, identifier: str) -> dict[str, Any]:
        model = self._imports.model(identifier)
        if model is None:
            raise AwsError("ResourceNotFoundException", "The provided model identifier could not be found.", 404)
        return model

    def _list_foundation_models(self, parameters: dict[str, Any]) -> dict[str, Any]:
        models = [self._describe(model_id) for model_id in self._foundation_models]
        for name, member in (("byProvider", "providerName"), ("byOutputModality", "outputModalities")):
            if name in parameters:
                models = [model for model in models if parameters[name] in model[member]]
        for name, member in (
            ("byInferenceType", "inferenceTypesSupported"),
            ("byCustomizationType", "customizationsSupported"),
        ):
            if name in parameters:
                models = [model for model in models if parameters[name] in model[member]]
        return {"modelSummaries": models}

    def _get_foundation_model(self, parameters: dict[str, Any]) -> dict[str, Any]:
        model_id = parameters["modelIdentifier"].rsplit("/", 1)[-1]
        if model_id not in self._foundation_models:
            raise AwsError("ResourceNotFoundException", "The provided model identifier could not be found.", 404)
        return {"modelDetails": self._describe(model_id)}

    def _describe(self, model_id: str) -> dict[str, Any]:
        provider, _, name = model_id.partition(".")
        return {
            "modelArn": f"arn:aws:bedrock:{self._host.region}::foundation-model/{model_id}",
            "modelId": model_id,
            "modelName": name,
            "providerName": provider,
            "inputModalities": ["TEXT", "IMAGE"] if reads_images(self._foundation_models[model_id]) else ["TEXT"],
            "outputModalities": ["TEXT"],
            "responseStreamingSupported": True,
            "customizationsSupported": [],
            "inferenceTypesSupported": ["ON_DEMAND"],
            "modelLifecycle": {"status": "ACTIVE"},
        }

    def _served(self, model_id: str) -> ServedModel:
        match = _RUNTIME_ARN.fullmatch(model_id)
        if match and match[1] == "imported-model":
            if model := self._imports.model(model_id):
                folder, converses = self._imports.folder(model), model["instructSupported"]
                return ServedModel(model_id, folder, cold=True, converses=converses)
            raise AwsError(
                "ResourceNotFoundException",
                "Could not resolve the foundation model from the provided model identifier.",
                404,
            )
        name = match[2] if match else model_id
        if name not in self._foundation_models:
            raise AwsError("ValidationException", "The provided model identifier is invalid.")
        return ServedModel(name, self._foundation_models[name], cold=False)


def _answer(operation: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Keep what the operation answers of a record that holds more."""
    members = service_model("bedrock").operation_model(operation).output_shape.members
    return {name: record[name] for name in members if record.get(name) is not None}


def _selected(records: list[dict[str, Any]], parameters: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Filter by name and time of creation; the newest first unless asked otherwise."""
    part = parameters.get("nameContains", "")
    after, before = (_time(parameters.get(f"creationTime{side}")) for side in ("After", "Before"))
    chosen = [
        record
        for record in records
        if part in record[name]
        and (after is None or datetime.fromisoformat(record["creationTime"]) > after)
        and (before is None or datetime.fromisoformat(record["creationTime"]) < before)
    ]
    ascending = parameters.get("sortOrder", "Descending") == "Ascending"
    return sorted(chosen, key=lambda record: record["creationTime"], reverse=not ascending)


def _time(value: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if value else None
    except ValueError as error:
        raise AwsError("ValidationException", f"{value} is not a valid timestamp") from error


def _page(operation: str, member: str, records: list[Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Cut one page out of a list; the token is the position of the next one."""
    try:
        start = int(base64.b64decode(parameters.get("nextToken", ""), validate=True) or 0)
    except (binascii.Error, ValueError) as error:
        raise AwsError("ValidationException", "The provided nextToken is invalid.") from error
    end = start + parameters.get("maxResults", _DEFAULT_PAGE)
    members = service_model("bedrock").operation_model(operation).output_shape.members[member].member.members
    page = [{name: record[name] for name in members if record.get(name) is not None} for record in records[start:end]]
    token = {"nextToken": base64.b64encode(str(end).encode()).decode()} if end < len(records) else {}
    return {member: page, **token}
