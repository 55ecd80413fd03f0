"""Endpoints on SageMaker with one inference component each: made, asked, scaled to zero and taken down.

Every call looks at what there is and does the next thing, so that it may be repeated, or die, at any point.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import chat_form, endpoint_calls, failures
from tunedrop.adapters.bedrock import greedy, told
from tunedrop.domain import names
from tunedrop.domain.endpoint_requests import EndpointRequests, error_alarm_name, scaled, wake_alarm_name
from tunedrop.domain.model_call import ModelCall
from tunedrop.errors import (
    ModelUnavailableError,
    QuotaExceededError,
    RequestDeniedError,
    RequestRefusedError,
)
from tunedrop.ports import Answer, Conversation, EndpointState, Question, ServedModel

if TYPE_CHECKING:
    from botocore.client import BaseClient

_PERIOD_SECONDS = 3600

_BROKEN = ("Failed", "OutOfService", "UpdateRollbackFailed")
"""Statuses that an endpoint or a component does not leave; it can only be deleted."""

_GONE = ("ObjectNotFoundException", "ResourceNotFound")
"""What Application Auto Scaling and CloudWatch say of what is to be deleted and does not exist."""


class SageMakerEndpoints:
    """Bring endpoints up and take them down."""

    def __init__(self, sagemaker: "BaseClient", scaling: "BaseClient", cloudwatch: "BaseClient") -> None:
        """Use clients of SageMaker, of Application Auto Scaling and of CloudWatch."""
        self._sagemaker: Any = sagemaker
        self._scaling: Any = scaling
        self._cloudwatch: Any = cloudwatch

    def bring_up(self, wanted: EndpointRequests) -> EndpointState:
        """Make what is missing next."""
        endpoint = self._described("Endpoint", wanted.name)
        if endpoint is None:
            for kind, request in (("Model", wanted.model), ("EndpointConfig", wanted.config)):
                if self._described(kind, wanted.name) is None:
                    self._create(kind, request)
            self._create("Endpoint", wanted.endpoint)
            return EndpointState(status="coming", reason="SageMaker is making the endpoint.")
        if endpoint["EndpointStatus"] != "InService":
            return _standing("endpoint", endpoint["EndpointStatus"], endpoint)
        component = self._described("InferenceComponent", wanted.name)
        if component is None:
            self._create("InferenceComponent", wanted.component)
            return EndpointState(status="coming", reason="SageMaker is loading the model.")
        if component["InferenceComponentStatus"] != "InService":
            return _standing("component", component["InferenceComponentStatus"], component)
        self._scale(wanted)
        return EndpointState(status="in-service", model_arn=component["InferenceComponentArn"])

    def clear(self, name: str) -> None:
        """Delete what has failed; the rest is as good as new, and another worker may be using it."""
        for kind in ("InferenceComponent", "Endpoint"):
            if described := self._described(kind, name):
                if described[f"{kind}Status"] in _BROKEN:
                    self._delete(kind, name)
                return

    def take_down(self, name: str) -> bool:
        """Delete in the order that leaves nothing paid: what would scale it, the component, the endpoint, the rest."""
        self._unscale(name)
        if component := self._described("InferenceComponent", name):
            if component["InferenceComponentStatus"] in ("InService", *_BROKEN):
                self._delete("InferenceComponent", name)
            if self._described("InferenceComponent", name):
                return False
        endpoint = self._described("Endpoint", name)
        if endpoint and endpoint["EndpointStatus"] in ("InService", *_BROKEN):
            self._delete("Endpoint", name)
            endpoint = self._described("Endpoint", name)
        if endpoint and endpoint["EndpointStatus"] != "Deleting":
            return False
        # The rest goes at once: to an endpoint that no run owns, nobody comes back when it is gone.
        for kind in ("EndpointConfig", "Model"):
            self._delete(kind, name)
        return endpoint is None

    def model(self, model_arn: str) -> ServedModel:
        """Describe a component's model, by where its weights lie."""
        name = names.endpoint_of(model_arn)
        component = self._described("InferenceComponent", name) if name else None
        model = self._described("Model", component["Specification"]["ModelName"]) if component else None
        if name is None or model is None:
            raise ModelUnavailableError(f"There is no inference component {name or model_arn}: it was taken down.")
        source = model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"]
        return ServedModel(arn=model_arn, name=name, source_uri=source, instruct_supported=False)

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names that begin with the prefix, by SageMaker's models: first to be made, and last to go.

        Whoever dies in between leaves nothing that is not found by them.
        """
        with failures.transient():
            for page in self._sagemaker.get_paginator("list_models").paginate(NameContains=name_prefix):
                for each in page["Models"]:
                    if each["ModelName"].startswith(name_prefix):
                        yield each["ModelName"], each["CreationTime"]

    def called_since(self, name: str, since: datetime, now: datetime) -> bool:
        """Tell whether CloudWatch counted a call, answered or not for want of a copy."""
        return any(self._count(metric, name, since, now) for metric in ("Invocations", "NoCapacityInvocationFailures"))

    def _count(self, metric: str, name: str, since: datetime, now: datetime) -> float:
        with failures.transient():
            points = self._cloudwatch.get_metric_statistics(
                Namespace="AWS/SageMaker",
                MetricName=metric,
                Dimensions=[{"Name": "InferenceComponentName", "Value": name}],
                StartTime=since,
                EndTime=now,
                Period=_PERIOD_SECONDS,
                Statistics=["Sum"],
            )["Datapoints"]
        return sum(float(each["Sum"]) for each in points)

    def _scale(self, wanted: EndpointRequests) -> None:
        """Say how it scales, and when it fails; each of these calls replaces what the one before it said."""
        if wanted.target is None or wanted.load_policy is None:
            return
        with _refusals():
            self._scaling.register_scalable_target(**wanted.target)
            self._scaling.put_scaling_policy(**wanted.load_policy)
            if wanted.wake_policy and wanted.wake_alarm:
                policy = self._scaling.put_scaling_policy(**wanted.wake_policy)["PolicyARN"]
                self._cloudwatch.put_metric_alarm(**wanted.wake_alarm, AlarmActions=[policy])
            if wanted.error_alarm:
                self._cloudwatch.put_metric_alarm(**wanted.error_alarm)

    def _unscale(self, name: str) -> None:
        target = scaled(name)
        with _refusals():
            found = self._scaling.describe_scaling_policies(
                ServiceNamespace=target["ServiceNamespace"], ResourceId=target["ResourceId"]
            )
            for each in found["ScalingPolicies"]:
                _unless_gone(self._scaling.delete_scaling_policy, **target, PolicyName=each["PolicyName"])
            _unless_gone(self._scaling.deregister_scalable_target, **target)
            # One by one: of several, none is deleted where one is gone.
            # https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html
            for alarm in (wake_alarm_name(name), error_alarm_name(name)):
                _unless_gone(self._cloudwatch.delete_alarms, AlarmNames=[alarm])

    def _create(self, kind: str, request: Mapping[str, Any]) -> None:
        """Create one of the kinds; that somebody else was faster, the next look tells."""
        with _refusals():
            getattr(self._sagemaker, f"create_{_SNAKE[kind]}")(**request)

    def _delete(self, kind: str, name: str) -> None:
        try:
            with failures.transient():
                getattr(self._sagemaker, f"delete_{_SNAKE[kind]}")(**{f"{kind}Name": name})
        except ClientError as error:
            # Gone already, or not to be deleted in its present state: the next look tells.
            if failures.code(error) == "AccessDeniedException":
                raise RequestDeniedError(failures.message(error)) from error
            if failures.code(error) != "ValidationException":
                raise

    def _described(self, kind: str, name: str) -> dict[str, Any] | None:
        try:
            with failures.transient():
                return dict(getattr(self._sagemaker, f"describe_{_SNAKE[kind]}")(**{f"{kind}Name": name}))
        except ClientError as error:
            # As of a training job, SageMaker has no ResourceNotFound of what does not exist.
            if failures.code(error) in ("ValidationException", "ResourceNotFound"):
                return None
            if failures.code(error) == "AccessDeniedException":
                raise RequestDeniedError(failures.message(error)) from error
            raise


class EndpointConversation:
    """Ask a component, with OpenAI's chat form as the body."""

    def __init__(self, client: "BaseClient") -> None:
        """Use a client of SageMaker's runtime."""
        self._client: Any = client

    def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
        """Return the answer at temperature 0."""
        name = names.endpoint_of(model_id)
        if name is None or call is not ModelCall.INVOKE_ENDPOINT:
            raise AssertionError(f"{model_id} is no endpoint's")
        with endpoint_calls.refusals():
            answer, _ = endpoint_calls.invoked(self._client, name, chat_form.body(greedy(question, max_tokens)))
        return told(answer)


class Conversations:
    """Ask any model, on Bedrock or on SageMaker."""

    def __init__(self, bedrock: Conversation, endpoints: Conversation) -> None:
        """Use one conversation for each."""
        self._bedrock = bedrock
        self._endpoints = endpoints

    def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
        """Return the answer of whoever has the model."""
        asked = self._endpoints if call is ModelCall.INVOKE_ENDPOINT else self._bedrock
        return asked.ask(model_id, call, question, max_tokens)


_SNAKE = {
    "Model": "model",
    "EndpointConfig": "endpoint_config",
    "Endpoint": "endpoint",
    "InferenceComponent": "inference_component",
}


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell what AWS will not do from what it cannot do now, and from what somebody else did meanwhile."""
    try:
        with failures.transient():
            yield
    except ClientError as error:
        message = failures.message(error)
        match failures.code(error):
            case "ValidationException" if "already existing" in message:
                return  # two workers at once: SageMaker has no other code for it
            case "ResourceLimitExceeded":
                raise QuotaExceededError(message) from error
            case "AccessDeniedException" | "AccessDenied":
                raise RequestDeniedError(message) from error
            case "ValidationException":
                raise RequestRefusedError(message) from error
        raise


def _unless_gone(call: Callable[..., object], **request: object) -> None:
    try:
        call(**request)
    except ClientError as error:
        if failures.code(error) not in _GONE:
            raise


def _standing(what: str, status: str, described: Mapping[str, Any]) -> EndpointState:
    """Say how an endpoint or a component stands that is not in service."""
    if status in _BROKEN:
        return EndpointState(status="failed", reason=described.get("FailureReason", f"The {what} is {status}."))
    return EndpointState(status="coming", reason=f"SageMaker says of the {what}: {status}.")
