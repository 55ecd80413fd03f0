"""Read Bedrock's REST requests: which operation, with which parameters, and which permissions it needs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import unquote

from botocore.model import OperationModel

from local.constraints import check, service_model
from local.engine.host import AwsError, IamCheck, Request

OPERATIONS = {
    "bedrock": (
        "CreateModelImportJob",
        "GetModelImportJob",
        "ListModelImportJobs",
        "GetImportedModel",
        "ListImportedModels",
        "DeleteImportedModel",
        "ListFoundationModels",
        "GetFoundationModel",
        "CreateEvaluationJob",
        "GetEvaluationJob",
        "ListEvaluationJobs",
        "StopEvaluationJob",
    ),
    "bedrock-runtime": ("Converse", "ConverseStream", "InvokeModel", "InvokeModelWithResponseStream"),
}
_KINDS = {
    "GetModelImportJob": "model-import-job",
    "GetImportedModel": "imported-model",
    "DeleteImportedModel": "imported-model",
    "GetEvaluationJob": "evaluation-job",
    "StopEvaluationJob": "evaluation-job",
}
# What creating makes, and the parameter that tags it.
_CREATED = {
    "CreateModelImportJob": {"model-import-job": "jobTags", "imported-model": "importedModelTags"},
    "CreateEvaluationJob": {"evaluation-job": "jobTags"},
}
# Converse has no actions of its own.
_ACTIONS = {"Converse": "InvokeModel", "ConverseStream": "InvokeModelWithResponseStream"}
# Operations on a whole collection are authorised on "*".
_COLLECTIONS = frozenset({"ListModelImportJobs", "ListImportedModels", "ListFoundationModels", "ListEvaluationJobs"})


@cache
def _routes() -> list[tuple[str, re.Pattern[str], OperationModel]]:
    """Return method, path pattern and model of every operation."""
    routes = []
    for service, names in OPERATIONS.items():
        for name in names:
            operation = service_model(service).operation_model(name)
            # An ARN in the path holds slashes, encoded or not.
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", operation.http["requestUri"])
            routes.append((operation.http["method"], re.compile(f"{pattern}/?"), operation))
    return routes


def parse(request: Request) -> tuple[str, dict[str, Any]]:
    """Return the operation's name and its parameters, checked; InvokeModel's `body` stays bytes.

    Raises:
        AwsError: UnknownOperationException, SerializationException or ValidationException.
    """
    operation, parameters = _parse(request)
    modelled = _as_modelled(operation.name, parameters)
    check(operation.input_shape, {name: value for name, value in modelled.items() if name != "body"})
    return operation.name, parameters


def permissions(
    request: Request,
    region: str,
    account_id: str,
    find: Callable[[str, str], tuple[str, Mapping[str, str]] | None],
) -> list[IamCheck]:
    """Name the permissions that a request needs.

    Args:
        request: any request.
        region: the engine's.
        account_id: the engine's.
        find: returns the ARN and tags of the resource of a kind (`model-import-job`, `imported-model`,
            `evaluation-job`) by name or ARN.
    """
    try:
        operation, parameters = _parse(request)
    except AwsError:
        return []
    if operation.name in _CREATED:
        return _creation(operation.name, parameters, f"arn:aws:bedrock:{region}:{account_id}")
    action = _ACTIONS.get(operation.name, operation.name)
    if operation.name in _COLLECTIONS:
        return [(f"bedrock:{action}", "*", {})]
    identifier = next(
        str(parameters[name]) for name in ("jobIdentifier", "modelIdentifier", "modelId") if name in parameters
    )
    kind = _KINDS.get(operation.name, "imported-model" if ":imported-model/" in identifier else "foundation-model")
    if found := find(kind, identifier):
        arn, tags = found
        return [(f"bedrock:{action}", arn, {f"aws:ResourceTag/{key}": value for key, value in tags.items()})]
    if identifier.startswith("arn:"):
        return [(f"bedrock:{action}", identifier, {})]
    owner = "" if kind == "foundation-model" else account_id
    return [(f"bedrock:{action}", f"arn:aws:bedrock:{region}:{owner}:{kind}/{identifier}", {})]


def _creation(operation: str, parameters: Mapping[str, Any], prefix: str) -> list[IamCheck]:
    """Creating has no resource, so that only its tags can be granted; tagging is authorised on all that may come.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonbedrock.html
    """
    tags = {kind: _tag_context(parameters.get(name)) for kind, name in _CREATED[operation].items()}
    checks: list[IamCheck] = [(f"bedrock:{operation}", "*", next(iter(tags.values())))]
    return checks + [
        ("bedrock:TagResource", f"{prefix}:{kind}/*", context) for kind, context in tags.items() if context
    ]


def _as_modelled(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Leave out what AWS takes and its own service model does not know.

    A judge's job has the task type `General`, which the model's list of task types lacks.
    https://docs.aws.amazon.com/bedrock/latest/userguide/model-evaluation-judge-create.html
    """
    if operation != "CreateEvaluationJob":
        return parameters
    text = re.sub(r'("taskType": )"General"', r'\1"Custom"', json.dumps(parameters))
    return dict(json.loads(text))


def _tag_context(tags: Any) -> dict[str, Any]:
    if not isinstance(tags, list) or not all(isinstance(tag, dict) and "key" in tag for tag in tags) or not tags:
        return {}
    context: dict[str, Any] = {f"aws:RequestTag/{tag['key']}": str(tag.get("value", "")) for tag in tags}
    return {**context, "aws:TagKeys": [str(tag["key"]) for tag in tags]}


def _parse(request: Request) -> tuple[OperationModel, dict[str, Any]]:
    for method, pattern, operation in _routes():
        match = pattern.fullmatch(request.path)
        if match and method == request.method:
            labels = {name: unquote(value) for name, value in match.groupdict().items()}
            return operation, {**_query(operation, request), **_body(operation, request), **labels}
    raise AwsError("UnknownOperationException", f"The local Bedrock has no {request.method} {request.path}", 404)


def _query(operation: OperationModel, request: Request) -> dict[str, Any]:
    members = operation.input_shape.members if operation.input_shape else {}
    parameters: dict[str, Any] = {}
    for name, shape in members.items():
        values = request.query.get(shape.serialization.get("name", name))
        if shape.serialization.get("location") == "querystring" and values:
            parameters[name] = int(values[0]) if shape.type_name == "integer" and values[0].isdigit() else values[0]
    return parameters


def _body(operation: OperationModel, request: Request) -> dict[str, Any]:
    shape = operation.input_shape
    if shape and shape.serialization.get("payload") == "body":
        return {"body": request.body}
    try:
        body = json.loads(request.body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", "The request is not JSON") from error
    if not isinstance(body, dict):
        raise AwsError("SerializationException", "The request is not a JSON object")
    return body
