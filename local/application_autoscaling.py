"""Answer the part of Application Auto Scaling that scales inference components: targets and policies.

Policies do nothing by themselves here: the local SageMaker asks for them, when a component is idle or lacks capacity
(`local.sagemaker.endpoints`, `local.sagemaker.inference`). The alarms that AWS makes for target tracking are left out.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

from local.constraints import check, service_model
from local.engine.host import AwsError, Host, IamCheck, Request, Response

_LINKED_ROLE = "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint"
_SERVICE = "sagemaker.application-autoscaling.amazonaws.com"
_KEY = ("ServiceNamespace", "ResourceId", "ScalableDimension")
_DIMENSION = "sagemaker:inference-component:DesiredCopyCount"


class ApplicationAutoScaling:
    """Keep scaling targets and their policies."""

    signing_name = "application-autoscaling"
    target_prefix = "AnyScaleFrontendService."

    def start(self, host: Host) -> None:
        """Load the records."""
        self._host = host
        self._lock = threading.Lock()
        self._path = host.data_dir / "application-autoscaling.json"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._targets: list[dict[str, Any]] = []
        self._policies: list[dict[str, Any]] = []
        if self._path.exists():
            self._targets, self._policies = json.loads(self._path.read_text(encoding="utf-8"))
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "RegisterScalableTarget": self._register,
            "DeregisterScalableTarget": self._deregister,
            "DescribeScalableTargets": self._describe_targets,
            "PutScalingPolicy": self._put_policy,
            "DeleteScalingPolicy": self._delete_policy,
            "DescribeScalingPolicies": self._describe_policies,
        }

    def stop(self) -> None:
        """Do nothing: there is no work in the background."""

    def iam(self, request: Request) -> list[IamCheck]:
        """Name the action, and what else AWS asks of who registers a first target or tracks a metric.

        https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsapplicationautoscaling.html and
        https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-prerequisites.html
        """
        operation = _operation(request)
        parameters = json.loads(request.body or b"{}")
        account = f"{self._host.region}:{self._host.account_id}"
        context = {
            f"application-autoscaling:{key}": parameters[name]
            for key, name in (("service-namespace", "ServiceNamespace"), ("scalable-dimension", "ScalableDimension"))
            if parameters.get(name)
        }
        # A target's id is known only once there is one; descriptions know no resources.
        resource = (
            "*" if operation.startswith("Describe") else f"arn:aws:application-autoscaling:{account}:scalable-target/*"
        )
        checks: list[IamCheck] = [(f"application-autoscaling:{operation}", resource, context)]
        if operation == "RegisterScalableTarget" and not self._targets:
            role = f"arn:aws:iam::{self._host.account_id}:role/aws-service-role/{_SERVICE}/{_LINKED_ROLE}"
            checks.append(("iam:CreateServiceLinkedRole", role, {"iam:AWSServiceName": _SERVICE}))
        if operation in ("PutScalingPolicy", "DeleteScalingPolicy") and self._tracks(parameters):
            action = "cloudwatch:PutMetricAlarm" if operation == "PutScalingPolicy" else "cloudwatch:DeleteAlarms"
            alarm = f"TargetTracking-{parameters.get('ResourceId')}-AlarmHigh"
            checks.append((action, f"arn:aws:cloudwatch:{account}:alarm:{alarm}", {}))
        return checks

    async def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            AwsError: as Application Auto Scaling would.
        """
        operation, parameters = _operation(request), json.loads(request.body or b"{}")
        answer = self._operations.get(operation)
        if answer is None:
            raise AwsError("UnknownOperationException", f"The local Application Auto Scaling has no {operation}")
        check(service_model("application-autoscaling").operation_model(operation).input_shape, parameters)
        with self._lock:
            body = json.dumps(answer(parameters)).encode()
            draft = self._path.with_suffix(".draft")
            draft.write_text(json.dumps([self._targets, self._policies]), encoding="utf-8")
            draft.replace(self._path)
        return Response(200, body, {"content-type": "application/x-amz-json-1.1"})

    def _tracks(self, parameters: dict[str, Any]) -> bool:
        known = (each for each in self._policies if each["PolicyName"] == parameters.get("PolicyName"))
        kind = parameters.get("PolicyType") or next((each["PolicyType"] for each in known), "")
        return kind == "TargetTrackingScaling"

    def _register(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if parameters["ScalableDimension"] != _DIMENSION:
            raise AwsError("ValidationException", f"The local Application Auto Scaling scales {_DIMENSION} only.")
        if known := _find(self._targets, parameters):
            known.update(parameters)
            return {"ScalableTargetARN": known["ScalableTargetARN"]}
        identifier = uuid.uuid4().hex[:26]
        place = f"{self._host.region}:{self._host.account_id}"
        arn = f"arn:aws:application-autoscaling:{place}:scalable-target/{identifier}"
        self._targets.append({"ScalableTargetARN": arn, "CreationTime": time.time(), "RoleARN": "", **parameters})
        return {"ScalableTargetARN": arn}

    def _deregister(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Forget a target, and with it its policies."""
        target = _find(self._targets, parameters)
        if target is None:
            raise _missing("scalable target", parameters)
        self._targets.remove(target)
        self._policies = [each for each in self._policies if not _same(each, parameters)]
        return {}

    def _describe_targets(self, parameters: dict[str, Any]) -> dict[str, Any]:
        wanted = parameters.get("ResourceIds")
        return {"ScalableTargets": [each for each in self._targets if wanted is None or each["ResourceId"] in wanted]}

    def _put_policy(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if _find(self._targets, parameters) is None:
            raise _missing("scalable target", parameters)
        named = (each for each in self._policies if _same(each, parameters))
        known = next((each for each in named if each["PolicyName"] == parameters["PolicyName"]), None)
        if known is None:
            place = f"{self._host.region}:{self._host.account_id}"
            arn = (
                f"arn:aws:autoscaling:{place}:scalingPolicy:{uuid.uuid4()}:resource/sagemaker/"
                f"{parameters['ResourceId']}:policyName/{parameters['PolicyName']}"
            )
            known = {"PolicyARN": arn, "CreationTime": time.time(), "Alarms": []}
            self._policies.append(known)
        known.update(parameters)
        return {"PolicyARN": known["PolicyARN"], "Alarms": []}

    def _delete_policy(self, parameters: dict[str, Any]) -> dict[str, Any]:
        named = (each for each in self._policies if _same(each, parameters))
        known = next((each for each in named if each["PolicyName"] == parameters["PolicyName"]), None)
        if known is None:
            raise _missing("scaling policy", parameters)
        self._policies.remove(known)
        return {}

    def _describe_policies(self, parameters: dict[str, Any]) -> dict[str, Any]:
        wanted = parameters.get("ResourceId")
        return {"ScalingPolicies": [each for each in self._policies if wanted in (None, each["ResourceId"])]}


def _operation(request: Request) -> str:
    return request.headers.get("x-amz-target", "").removeprefix(ApplicationAutoScaling.target_prefix)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return all(one[name] == other[name] for name in _KEY)


def _find(records: list[dict[str, Any]], parameters: dict[str, Any]) -> dict[str, Any] | None:
    return next((each for each in records if _same(each, parameters)), None)


def _missing(what: str, parameters: dict[str, Any]) -> AwsError:
    place = f"service namespace: {parameters['ServiceNamespace']}, resource ID: {parameters['ResourceId']}"
    return AwsError("ObjectNotFoundException", f"No {what} found for {place}")
