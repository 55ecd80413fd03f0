"""Answer SageMaker's runtime: InvokeEndpoint and InvokeEndpointWithResponseStream."""

from __future__ import annotations

import itertools
import json
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from local.bedrock.model_server import ModelFailedError
from local.engine import event_stream
from local.engine.host import AwsError, Host, IamCheck, Request, Response
from local.sagemaker import lmi
from local.sagemaker.endpoints import Endpoints, NoCapacityError

_PATH = re.compile(r"/endpoints/([^/]+)/invocations(-response-stream)?")
_COMPONENT = "x-amzn-sagemaker-inference-component"
_JSON = "application/json"
_SERVER_ERROR = 500
_MODEL_ERROR = 424
_NAMESPACE = "AWS/SageMaker"
_MOST_BYTES = 6_291_456


def is_invocation(request: Request) -> bool:
    """Tell whether a request is for the runtime, which signs with the same name as SageMaker itself."""
    return _PATH.fullmatch(request.path) is not None


def permissions(request: Request, region: str, account_id: str) -> list[IamCheck]:
    """Name the permission on the endpoint, and on the component that is named."""
    endpoint, _ = _target(request)
    named = [f"endpoint/{endpoint.lower()}"]
    if component := request.headers.get(_COMPONENT):
        named.append(f"inference-component/{component.lower()}")
    prefix = f"arn:aws:sagemaker:{region}:{account_id}"
    return [("sagemaker:InvokeEndpoint", f"{prefix}:{each}", {}) for each in named]


class Inference:
    """Ask the models of components.

    Args:
        host: the engine.
        endpoints: what is deployed.
    """

    def __init__(self, host: Host, endpoints: Endpoints) -> None:
        self._host = host
        self._endpoints = endpoints

    def answer(self, request: Request) -> Response:
        """Answer one invocation, whole or in a stream.

        Raises:
            AwsError: ValidationError when nothing there can take it.
        """
        endpoint, streamed = _target(request)
        if len(request.body) > _MOST_BYTES:
            constraint = f"Member must have length less than or equal to {_MOST_BYTES}"
            raise AwsError("ValidationError", f"Value at 'body' failed to satisfy constraint: {constraint}")
        try:
            asked = self._endpoints.asked(endpoint, request.headers.get(_COMPONENT))
        except NoCapacityError as error:
            self._measure("NoCapacityInvocationFailures", error.component)
            threading.Thread(target=self._scale_out, args=(error.component,), daemon=True).start()
            raise
        self._measure("Invocations", asked["InferenceComponentName"])
        variant = {"x-amzn-invoked-production-variant": asked["VariantName"]}
        try:
            form = lmi.read(request.body, asked["InferenceComponentName"], asked["folder"])
            said = self._begin(asked["folder"], {**form.question, "stream": streamed and form.streamed})
        except AwsError as error:
            return self._failed(asked, error)
        if streamed:
            # Without `stream` in the body the container answers whole, in one part.
            parts = form.parts(said) if form.streamed else (json.dumps(form.whole(each)).encode() for each in said)
            kind = {"content-type": event_stream.CONTENT_TYPE, "x-amzn-sagemaker-content-type": _JSON}
            return Response(200, _broken_as_told(map(_part, parts)), {**kind, **variant})
        (answer,) = said
        return Response(200, json.dumps(form.whole(answer)).encode(), {"content-type": _JSON, **variant})

    def _begin(self, folder: Path, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Return what the model's process says, its first word awaited: until then an error is the call's own."""
        try:
            said = self._endpoints.server.ask(folder, dict(question), wait=True)
            first = next(said)
        except (ModelFailedError, TimeoutError) as error:
            raise AwsError("InternalFailure", f"The model stopped answering: {error}", 500) from error
        if "invalid" in first:
            raise AwsError("ValidationException", first["invalid"])
        return itertools.chain([first], said)

    def _failed(self, asked: Mapping[str, Any], error: AwsError) -> Response:
        """Word what the container answered as the runtime does: with the container's own status and message."""
        kind = "client" if error.status < _SERVER_ERROR else "server"
        if kind == "server":
            self._measure("Invocation5XXErrors", asked["InferenceComponentName"])
        told = json.dumps({"error": error.message, "code": error.status})
        group = f"/aws/sagemaker/InferenceComponents/{asked['InferenceComponentName']}"
        body = {
            "Message": f'Received {kind} error ({error.status}) from primary with message "{told}".',
            "OriginalStatusCode": error.status,
            "OriginalMessage": told,
            "LogStreamArn": f"arn:aws:logs:{self._host.region}:{self._host.account_id}:log-group:{group}",
        }
        headers = {"content-type": _JSON, "x-amzn-errortype": "ModelError"}
        return Response(_MODEL_ERROR, json.dumps(body).encode(), headers)

    def _measure(self, metric: str, component: str) -> None:
        self._host.put_metric(_NAMESPACE, metric, 1.0, {"InferenceComponentName": component})

    def _scale_out(self, component: str) -> None:
        """Do what CloudWatch and Application Auto Scaling do of a call without capacity: the alarm, then its policy.

        Without an alarm on this very metric that has a step policy of the component's target, nothing happens.
        """
        metric = {"Namespace": _NAMESPACE, "MetricName": "NoCapacityInvocationFailures"}
        dimensions = [{"Name": "InferenceComponentName", "Value": component}]
        cloudwatch: Any = self._host.client("cloudwatch")
        found = cloudwatch.describe_alarms_for_metric(**metric, Dimensions=dimensions)["MetricAlarms"]
        actions = {action for alarm in found for action in alarm["AlarmActions"]}
        scaling: Any = self._host.client("application-autoscaling")
        resource = f"inference-component/{component}"
        policies = scaling.describe_scaling_policies(ServiceNamespace="sagemaker", ResourceId=resource)
        for policy in policies["ScalingPolicies"]:
            if policy["PolicyARN"] in actions and policy["PolicyType"] == "StepScaling":
                [step] = policy["StepScalingPolicyConfiguration"]["StepAdjustments"]
                self._endpoints.scale_out(component, step["ScalingAdjustment"])


def _target(request: Request) -> tuple[str, bool]:
    match = _PATH.fullmatch(request.path)
    if match is None:
        raise AwsError("UnknownOperationException", f"The local SageMaker runtime has no {request.path}")
    return unquote(match[1]), match[2] is not None


def _part(piece: bytes) -> bytes:
    headers = {":message-type": "event", ":event-type": "PayloadPart", ":content-type": "application/octet-stream"}
    return event_stream.message(headers, piece)


def _broken_as_told(events: Iterator[bytes]) -> Iterator[bytes]:
    """End a stream that breaks with the error that SageMaker would tell in it."""
    try:
        yield from events
    except (ModelFailedError, TimeoutError) as error:
        yield event_stream.exception("ModelStreamError", f"The model stopped answering: {error}")
