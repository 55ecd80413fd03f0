"""What serves models, as the adapters see it: SageMaker's endpoints and components, their scaling, calls and alarms.

An endpoint comes and goes in minutes, and a component on it; neither is deleted while it comes, nor an endpoint before
its component. A component that scales to zero gives its copy back after a while, and the first call asks for another.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.samples import ACCOUNT, REGION
from tests.simulation.aws import SageMaker, Surroundings, refusal

GOING_SECONDS = {"Endpoint": 20, "InferenceComponent": 20}
IDLE_SECONDS = 900
"""After how long without a call a copy is given back."""
COPY_SECONDS = 240
"""How long a component takes that has none to get one."""

_WORDS = {
    "Model": "model",
    "EndpointConfig": "endpoint configuration",
    "Endpoint": "endpoint",
    "InferenceComponent": "inference component",
}
"""As SageMaker names the kinds in its refusals."""


@dataclass
class Hosted:
    """A model, a configuration, an endpoint or a component."""

    kind: str
    name: str
    request: Mapping[str, Any]
    created_at: datetime
    status: str = "Creating"
    reason: str = ""
    copies: int = 0

    @property
    def arn(self) -> str:
        return component_arn(self.name)


def component_arn(name: str) -> str:
    return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:inference-component/{name}"


@dataclass
class HostingSageMaker(SageMaker):
    """SageMaker with all that serves; `coming` says how long an endpoint or a component takes, and why it fails."""

    coming: Callable[[Hosted], tuple[float, str]] = lambda _hosted: (300.0, "")
    stands: Callable[[Hosted], None] = lambda _hosted: None
    """Told of each endpoint and component that has come, failed or is going."""
    endpoint_quota: int = 1000
    """How many endpoints the account may have."""
    refused: int = 0
    """How many were refused because of it."""
    hosted: dict[str, dict[str, Hosted]] = field(default_factory=lambda: {kind: {} for kind in _WORDS})

    def create_model(self, **request: Any) -> dict[str, Any]:
        self._add("Model", request)
        return {}

    def create_endpoint_config(self, **request: Any) -> dict[str, Any]:
        self._add("EndpointConfig", request)
        return {}

    def create_endpoint(self, **request: Any) -> dict[str, Any]:
        self._refuse_duplicate("Endpoint", request["EndpointName"])
        self._existing("EndpointConfig", request["EndpointConfigName"])
        if len(self.hosted["Endpoint"]) >= self.endpoint_quota:
            self.refused += 1
            raise refusal("ResourceLimitExceeded", "The account-level service limit is reached.")
        self._comes(self._add("Endpoint", request))
        return {}

    def create_inference_component(self, **request: Any) -> dict[str, Any]:
        self._refuse_duplicate("InferenceComponent", request["InferenceComponentName"])
        endpoint = self._existing("Endpoint", request["EndpointName"])
        if endpoint.status != "InService":
            raise refusal("ValidationException", f"Endpoint {endpoint.name} is not in service: it cannot take it.")
        self._existing("Model", request["Specification"]["ModelName"])
        self._comes(self._add("InferenceComponent", request))
        return {}

    def describe_model(self, **request: Any) -> dict[str, Any]:
        return dict(self._existing("Model", request["ModelName"]).request)

    def describe_endpoint_config(self, **request: Any) -> dict[str, Any]:
        return dict(self._existing("EndpointConfig", request["EndpointConfigName"]).request)

    def describe_endpoint(self, **request: Any) -> dict[str, Any]:
        return self._told(self._existing("Endpoint", request["EndpointName"]))

    def describe_inference_component(self, **request: Any) -> dict[str, Any]:
        component = self._existing("InferenceComponent", request["InferenceComponentName"])
        return self._told(component) | {"InferenceComponentArn": component.arn}

    def list_models(self, **request: Any) -> dict[str, Any]:
        return {
            "Models": [
                {"ModelName": each.name, "CreationTime": each.created_at}
                for each in self.hosted["Model"].values()
                if request["NameContains"] in each.name
            ]
        }

    def delete_model(self, **request: Any) -> dict[str, Any]:
        del self.hosted["Model"][self._existing("Model", request["ModelName"]).name]
        return {}

    def delete_endpoint_config(self, **request: Any) -> dict[str, Any]:
        del self.hosted["EndpointConfig"][self._existing("EndpointConfig", request["EndpointConfigName"]).name]
        return {}

    def delete_endpoint(self, **request: Any) -> dict[str, Any]:
        name = request["EndpointName"]
        endpoint = self._existing("Endpoint", name)
        if any(each.request["EndpointName"] == name for each in self.hosted["InferenceComponent"].values()):
            raise refusal("ValidationException", f"Endpoint {name} has inference components: delete those before it.")
        self._goes(endpoint)
        return {}

    def delete_inference_component(self, **request: Any) -> dict[str, Any]:
        self._goes(self._existing("InferenceComponent", request["InferenceComponentName"]))
        return {}

    def leave(self, name: str) -> None:
        """Have an endpoint with its component in service, whoever made them."""
        for kind in _WORDS:
            self._add(kind, {f"{kind}Name": name, "EndpointName": name}).status = "InService"

    def _add(self, kind: str, request: Mapping[str, Any]) -> Hosted:
        name = request[f"{kind}Name"]
        self._refuse_duplicate(kind, name)
        added = self.hosted[kind][name] = Hosted(kind, name, request, self.world.now())
        return added

    def _refuse_duplicate(self, kind: str, name: str) -> None:
        if name in self.hosted[kind]:
            raise refusal("ValidationException", f'Cannot create already existing {_WORDS[kind]} "{name}".')

    def _existing(self, kind: str, name: str) -> Hosted:
        if name not in self.hosted[kind]:
            raise refusal("ValidationException", f'Could not find {_WORDS[kind]} "{name}".')
        return self.hosted[kind][name]

    @staticmethod
    def _told(hosted: Hosted) -> dict[str, Any]:
        reason = {"FailureReason": hosted.reason} if hosted.reason else {}
        return {**hosted.request, f"{hosted.kind}Status": hosted.status, **reason}

    def _comes(self, hosted: Hosted) -> None:
        seconds, reason = self.coming(hosted)
        self.world.later(seconds, lambda: self._has_come(hosted, reason))

    def _has_come(self, hosted: Hosted, reason: str) -> None:
        hosted.status, hosted.reason = "Failed" if reason else "InService", reason
        hosted.copies = int(hosted.kind == "InferenceComponent" and not reason)
        self.stands(hosted)

    def _goes(self, hosted: Hosted) -> None:
        if hosted.status not in ("InService", "Failed"):
            raise refusal("ValidationException", f"Cannot delete in-progress {_WORDS[hosted.kind]} {hosted.name}.")
        hosted.status = "Deleting"
        self.stands(hosted)
        self.world.later(GOING_SECONDS[hosted.kind], lambda: self._has_gone(hosted))

    def _has_gone(self, hosted: Hosted) -> None:
        del self.hosted[hosted.kind][hosted.name]


@dataclass
class CloudWatch:
    """Alarms, and when each component was called."""

    alarms: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    calls: dict[str, list[datetime]] = field(default_factory=dict)

    def put_metric_alarm(self, **request: Any) -> dict[str, Any]:
        self.alarms[request["AlarmName"]] = request
        return {}

    def delete_alarms(self, **request: Any) -> dict[str, Any]:
        if any(name not in self.alarms for name in request["AlarmNames"]):
            raise refusal("ResourceNotFound")
        for name in request["AlarmNames"]:
            del self.alarms[name]
        return {}

    def get_metric_statistics(self, **request: Any) -> dict[str, Any]:
        (dimension,) = request["Dimensions"]
        called = self.calls.get(dimension["Value"], ()) if request["MetricName"] == "Invocations" else ()
        count = sum(request["StartTime"] <= time <= request["EndTime"] for time in called)
        return {"Datapoints": [{"Sum": float(count)}] if count else []}


@dataclass
class Scaling:
    """Application Auto Scaling: targets, their policies, and what these do."""

    world: Surroundings
    sagemaker: HostingSageMaker
    cloudwatch: CloudWatch
    targets: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    policies: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _watched: set[str] = field(default_factory=set)

    def register_scalable_target(self, **request: Any) -> dict[str, Any]:
        self.targets[_component(request)] = request
        return {}

    def put_scaling_policy(self, **request: Any) -> dict[str, Any]:
        if _component(request) not in self.targets:
            raise refusal("ObjectNotFoundException", "No scalable target registered.")
        self.policies[request["PolicyName"]] = request
        if request["PolicyType"] == "TargetTrackingScaling":
            self._watch(_component(request))
        return {"PolicyARN": f"arn:aws:autoscaling:{request['PolicyName']}"}

    def describe_scaling_policies(self, **request: Any) -> dict[str, Any]:
        component = _component(request)
        return {"ScalingPolicies": [each for each in self.policies.values() if _component(each) == component]}

    def delete_scaling_policy(self, **request: Any) -> dict[str, Any]:
        if request["PolicyName"] not in self.policies:
            raise refusal("ObjectNotFoundException", "No scaling policy found.")
        del self.policies[request["PolicyName"]]
        return {}

    def deregister_scalable_target(self, **request: Any) -> dict[str, Any]:
        component = _component(request)
        if component not in self.targets:
            raise refusal("ObjectNotFoundException", "No scalable target registered.")
        del self.targets[component]
        self.policies = {name: each for name, each in self.policies.items() if _component(each) != component}
        return {}

    def called(self, name: str) -> Hosted | None:
        """Count a call of a component; returns it as the call finds it, and gives it a copy where it has none."""
        component = self.sagemaker.hosted["InferenceComponent"].get(name)
        if component is None or component.status in ("Creating", "Failed", "Deleting"):
            return None
        self.cloudwatch.calls.setdefault(name, []).append(self.world.now())
        actions = self.cloudwatch.alarms.get(f"{name}-from-zero", {}).get("AlarmActions", ())
        wakes = any(f"arn:aws:autoscaling:{policy}" in actions for policy in self.policies)
        if not component.copies and component.status == "InService" and wakes:
            component.status = "Updating"
            self.world.later(COPY_SECONDS, lambda: self._has_copies(component, 1))
        return component

    def _watch(self, name: str) -> None:
        if name not in self._watched:
            self._watched.add(name)
            self.world.later(IDLE_SECONDS, lambda: self._look(name))

    def _look(self, name: str) -> None:
        """Give the copy of a component back that nobody has called for a while, where its target lets one."""
        self._watched.discard(name)
        component = self.sagemaker.hosted["InferenceComponent"].get(name)
        if component is None or not component.copies or self.targets.get(name, {"MinCapacity": 1})["MinCapacity"]:
            return
        since = self.world.now() - timedelta(seconds=IDLE_SECONDS)
        if component.status == "InService" and max(self.cloudwatch.calls.get(name, [since])) <= since:
            component.status = "Updating"
            self.world.later(60, lambda: self._has_copies(component, 0))
        else:
            self._watch(name)

    def _has_copies(self, component: Hosted, copies: int) -> None:
        component.status, component.copies = "InService", copies
        if copies:
            self._watch(component.name)


def _component(request: Mapping[str, Any]) -> str:
    return str(request["ResourceId"]).removeprefix("inference-component/")
