"""The requests that make a run's endpoint: SageMaker's, Application Auto Scaling's and CloudWatch's.

All that serves a run bears one name (`names.endpoint`), so that whatever was made before is found, and taken down.
https://docs.aws.amazon.com/sagemaker/latest/dg/endpoint-auto-scaling-zero-instances.html
"""

from typing import Any

from tunedrop.domain import names
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.model import Record
from tunedrop.domain.plan import HostingPlan
from tunedrop.domain.run import Run
from tunedrop.domain.training_request import RUN_ID_TAG, STACK_TAG
from tunedrop.domain.volumes import takes_volume_key

VARIANT = "AllTraffic"

STARTUP_SECONDS = 1200
"""How long the weights may take to arrive, and then to load: what JumpStart's own deployments allow each."""

CALLS_PER_COPY = 5.0
"""Calls a minute and copy that the scaling aims at: AWS's example, and of use only where there may be several."""

COOLDOWN_SECONDS = 300

LOAD_POLICY, WAKE_POLICY = "load", "from-zero"

_ERRORS = "-errors"

MOST_ERRORS = 10
"""Calls that the container may fail within `ERROR_SECONDS` before the alarm rings."""

ERROR_SECONDS = 300


class EndpointRequests(Record):
    """Hold the requests, in the order in which they can be made."""

    name: str
    model: dict[str, Any]
    config: dict[str, Any]
    endpoint: dict[str, Any]
    component: dict[str, Any]
    target: dict[str, Any] | None
    """None for an endpoint that is not scaled, as the next."""
    load_policy: dict[str, Any] | None
    wake_policy: dict[str, Any] | None
    """None for an endpoint that keeps an instance: nothing has to leave zero."""
    wake_alarm: dict[str, Any] | None
    """Without its action, the policy's ARN, which AWS makes."""
    error_alarm: dict[str, Any] | None = None
    """None for a base model's endpoint: nobody's champion."""


def endpoint_requests(run: Run, name: str, *, stack: str, role_arn: str) -> EndpointRequests:
    """Return the requests as boto3 takes them; raises ValueError for a run without an artifact or an endpoint's plan.

    Data capture is off: nothing that users ask or are answered is kept.
    """
    weights = weights_uri(run)
    if run.plan is None or run.plan.hosting is None or weights is None:
        raise ValueError(f"run {run.run_id} has nothing to serve on an endpoint")
    hosting = run.plan.hosting
    source = {"S3Uri": weights, "S3DataType": "S3Prefix", "CompressionType": "None"}
    served = _served(run, name, hosting, source, stack=stack, role_arn=role_arn)
    return served.model_copy(
        update={
            "target": {
                **scaled(name),
                "MinCapacity": 0 if hosting.scale_to_zero else 1,
                "MaxCapacity": hosting.max_instances,
            },
            "load_policy": _load_policy(name),
            "wake_policy": _wake_policy(name) if hosting.scale_to_zero else None,
            "wake_alarm": _wake_alarm(name) if hosting.scale_to_zero else None,
            "error_alarm": _error_alarm(name),
        }
    )


def base_endpoint_requests(run: Run, name: str, *, stack: str, role_arn: str) -> EndpointRequests:
    """Return those of the endpoint of a run's base model: one instance that stays, with JumpStart's own weights.

    Raises ValueError for a run whose plan has none.
    """
    base = run.plan.evaluation.base_endpoint if run.plan else None
    if base is None:
        raise ValueError(f"run {run.run_id} asks no base model on an endpoint")
    folder = base.weights_uri.endswith("/")
    source: dict[str, Any] = {
        "S3Uri": base.weights_uri,
        "S3DataType": "S3Prefix" if folder else "S3Object",
        "CompressionType": "None" if folder else "Gzip",
        # What was tuned needs none of it; the weights that it was tuned from do.
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3ModelDataSource.html
        **({"ModelAccessConfig": {"AcceptEula": True}} if base.accept_eula else {}),
    }
    return _served(run, name, base.hosting, source, stack=stack, role_arn=role_arn)


def _served(
    run: Run, name: str, hosting: HostingPlan, source: dict[str, Any], *, stack: str, role_arn: str
) -> EndpointRequests:
    tags = {"Tags": [{"Key": STACK_TAG, "Value": stack}, {"Key": RUN_ID_TAG, "Value": run.run_id}]}
    return EndpointRequests(
        name=name,
        model={
            "ModelName": name,
            "ExecutionRoleArn": role_arn,
            "EnableNetworkIsolation": hosting.network_isolation,
            "PrimaryContainer": {
                "Image": hosting.image_uri,
                "Environment": hosting.environment,
                "ModelDataSource": {"S3DataSource": source},
            },
            **_vpc(hosting),
            **tags,
        },
        config={
            "EndpointConfigName": name,
            "ExecutionRoleArn": role_arn,
            "EnableNetworkIsolation": hosting.network_isolation,
            "ProductionVariants": [_variant(hosting)],
            **({"KmsKeyId": hosting.kms_key_arn} if _encrypts_volume(hosting) else {}),
            **_vpc(hosting),
            **tags,
        },
        endpoint={"EndpointName": name, "EndpointConfigName": name, **tags},
        component={
            "InferenceComponentName": name,
            "EndpointName": name,
            "VariantName": VARIANT,
            "Specification": {
                "ModelName": name,
                "StartupParameters": {
                    "ModelDataDownloadTimeoutInSeconds": STARTUP_SECONDS,
                    "ContainerStartupHealthCheckTimeoutInSeconds": STARTUP_SECONDS,
                },
                "ComputeResourceRequirements": {
                    "MinMemoryRequiredInMb": hosting.memory_mb,
                    **(
                        {"NumberOfAcceleratorDevicesRequired": hosting.accelerators}
                        if hosting.accelerators
                        else {"NumberOfCpuCoresRequired": 1}
                    ),
                },
            },
            "RuntimeConfig": {"CopyCount": 1},
            **tags,
        },
        target=None,
        load_policy=None,
        wake_policy=None,
        wake_alarm=None,
    )


def scaled(name: str) -> dict[str, str]:
    """Name the component to Application Auto Scaling."""
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"inference-component/{name}",
        "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
    }


def wake_alarm_name(name: str) -> str:
    """Name the alarm on calls that found no copy."""
    return f"{name}-{WAKE_POLICY}"


def error_alarm_name(name: str) -> str:
    """Name the alarm on a container that fails; read by `run_of_error_alarm`."""
    return f"{name}{_ERRORS}"


def run_of_error_alarm(stack: str, alarm_name: str) -> str | None:
    """Read the run's id from the name of such an alarm; None for any other alarm."""
    return names.run_of_endpoint(stack, alarm_name.removesuffix(_ERRORS)) if alarm_name.endswith(_ERRORS) else None


def _variant(hosting: HostingPlan) -> dict[str, Any]:
    return {
        "VariantName": VARIANT,
        "InstanceType": hosting.instance_type,
        "InitialInstanceCount": 1,
        "ModelDataDownloadTimeoutInSeconds": STARTUP_SECONDS,
        "ContainerStartupHealthCheckTimeoutInSeconds": STARTUP_SECONDS,
        # Instances come and go with the component's copies.
        "ManagedInstanceScaling": {
            "Status": "ENABLED",
            "MinInstanceCount": 0 if hosting.scale_to_zero else 1,
            "MaxInstanceCount": hosting.max_instances,
        },
        "RoutingConfig": {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"},
    }


def _encrypts_volume(hosting: HostingPlan) -> bool:
    # As for training: an instance with local storage takes no key, and is encrypted by its own hardware.
    return hosting.kms_key_arn is not None and takes_volume_key(hosting.instance_type)


def _vpc(hosting: HostingPlan) -> dict[str, Any]:
    if hosting.vpc is None:
        return {}
    groups = list(hosting.vpc.security_group_ids)
    return {"VpcConfig": {"Subnets": list(hosting.vpc.subnets), "SecurityGroupIds": groups}}


def _load_policy(name: str) -> dict[str, Any]:
    """Track the calls; this policy gives copies back down to none, yet cannot leave zero."""
    metric = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
    return {
        **scaled(name),
        "PolicyName": f"{name}-{LOAD_POLICY}",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": CALLS_PER_COPY,
            "PredefinedMetricSpecification": metric,
            "ScaleInCooldown": COOLDOWN_SECONDS,
            "ScaleOutCooldown": COOLDOWN_SECONDS,
        },
    }


def _wake_policy(name: str) -> dict[str, Any]:
    return {
        **scaled(name),
        "PolicyName": f"{name}-{WAKE_POLICY}",
        "PolicyType": "StepScaling",
        "StepScalingPolicyConfiguration": {
            "AdjustmentType": "ChangeInCapacity",
            "MetricAggregationType": "Maximum",
            "Cooldown": 60,
            "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
        },
    }


def _wake_alarm(name: str) -> dict[str, Any]:
    return {
        "AlarmName": wake_alarm_name(name),
        "AlarmDescription": "Somebody calls a model that has no copy: give it one. Made by Tunedrop.",
        "Namespace": "AWS/SageMaker",
        "MetricName": "NoCapacityInvocationFailures",
        "Dimensions": [{"Name": "InferenceComponentName", "Value": name}],
        "Statistic": "Maximum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "missing",
    }


def _error_alarm(name: str) -> dict[str, Any]:
    """Count what the container answers with 5XX: a prompt that it does not take is the caller's error, and a 4XX.

    https://docs.aws.amazon.com/sagemaker/latest/dg/monitoring-cloudwatch.html
    """
    return {
        "AlarmName": error_alarm_name(name),
        "AlarmDescription": "A tuned model fails; soon after its promotion the former one takes its place. Made by "
        "Tunedrop.",
        "Namespace": "AWS/SageMaker",
        "MetricName": "Invocation5XXErrors",
        "Dimensions": [{"Name": "InferenceComponentName", "Value": name}],
        "Statistic": "Sum",
        "Period": ERROR_SECONDS,
        "EvaluationPeriods": 1,
        "DatapointsToAlarm": 1,
        "Threshold": float(MOST_ERRORS),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
    }
