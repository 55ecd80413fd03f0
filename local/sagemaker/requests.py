"""Read SageMaker's requests: what they ask, whether AWS would accept them, and which permissions they need."""

from __future__ import annotations

import json
from typing import Any

from local.constraints import check, service_model
from local.engine.host import AwsError, IamCheck, Request
from local.sagemaker.hubs import PERMISSIONS

TARGET_PREFIX = "SageMaker."
MAX_TAGS = 50
_MAX_CHANNELS = 20
_CHECKPOINTS = "/opt/ml/checkpoints"
# Instances with NVMe of their own, those apart whose family ends in a "d".
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/InstanceStorage.html#instance-store-volumes
_LOCAL_STORAGE = frozenset(
    {"g4dn", "g5", "g6", "g6e", "gr6", "i3", "p3dn", "p4de", "p5", "p5e", "p5en", "p6-b200", "trn1", "trn1n", "trn2"}
)
# Fields that change what is trained, or where: refused rather than ignored.
_UNSUPPORTED = (
    "MlflowConfig",
    "RemoteDebugConfig",
    "SessionChainingConfig",
    "RetryStrategy",
    "TensorBoardOutputConfig",
)


def parse(request: Request) -> tuple[str, dict[str, Any]]:
    """Return the operation's name and its parameters.

    Raises:
        AwsError: UnknownOperationException, SerializationException or ValidationException.
    """
    operation = _operation(request)
    if operation not in service_model("sagemaker").operation_names:
        raise AwsError("UnknownOperationException", "")
    parameters = _parameters(request)
    check(service_model("sagemaker").operation_model(operation).input_shape, parameters)
    if operation == "CreateTrainingJob":
        _check_training_job(parameters)
    return operation, parameters


def permissions(request: Request, region: str, account_id: str) -> list[IamCheck]:
    """Name the permissions that a request needs, with SageMaker's condition keys.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
    """
    operation = _operation(request)
    try:
        parameters = _parameters(request)
    except AwsError:
        parameters = {}
    own = _resource(operation, parameters)
    resource = str(parameters.get("ResourceArn") or (f"arn:aws:sagemaker:{region}:{account_id}:{own}" if own else "*"))
    context = _tag_context(parameters)
    checks: list[IamCheck] = [(f"sagemaker:{operation}", resource, context)]
    if operation in PERMISSIONS:
        return [(f"sagemaker:{operation}", _hub_resource(operation, parameters, region, account_id), {})]
    if operation == "CreateTrainingJob":
        context.update(_job_context(parameters))
        # Training from a private hub is authorised on its own:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/jumpstart-curated-hubs-fine-tune.html
        checks += [("sagemaker:TrainHubModel", hub, {}) for hub in _hubs(parameters)]
    if operation == "CreateEndpointConfig":
        context.update(_variants_context(parameters))
    if operation == "CreateModel":
        context.update(_job_context(parameters))
    if operation in ("CreateEndpoint", "CreateInferenceComponent"):
        # Both also need the permission on what they are made of.
        other = _resource("", {name: parameters.get(name) for name in _MADE_OF[operation]})
        checks.append((f"sagemaker:{operation}", f"arn:aws:sagemaker:{region}:{account_id}:{other}", context))
    if operation.startswith("Create") and parameters.get("Tags"):
        # Tagging on creation is authorised on its own:
        # https://docs.aws.amazon.com/sagemaker/latest/dg/security_iam_id-based-policy-examples.html
        tagging = {"sagemaker:TaggingAction": operation, **_tag_context(parameters)}
        checks.append(("sagemaker:AddTags", resource, tagging))
    return checks


# The kinds that are named by a request, each before those that it is made of.
_RESOURCES = {
    "TrainingJobName": "training-job",
    "InferenceComponentName": "inference-component",
    "EndpointName": "endpoint",
    "EndpointConfigName": "endpoint-config",
    "ModelName": "model",
}
_MADE_OF = {"CreateEndpoint": ("EndpointConfigName",), "CreateInferenceComponent": ("EndpointName",)}


def _resource(operation: str, parameters: dict[str, Any]) -> str:
    """Return the last part of the ARN of what a request is about; such an ARN is lower-case."""
    if operation.startswith("List") and operation != "ListTags":
        return ""
    named = ((kind, parameters[name]) for name, kind in _RESOURCES.items() if parameters.get(name))
    return next((f"{kind}/{str(name).lower()}" for kind, name in named), "")


def _variants_context(parameters: dict[str, Any]) -> dict[str, Any]:
    variants = parameters.get("ProductionVariants") or ()
    types = [each["InstanceType"] for each in variants if isinstance(each, dict) and each.get("InstanceType")]
    return {"sagemaker:InstanceTypes": types} if types else {}


def _hub_resource(operation: str, parameters: dict[str, Any], region: str, account_id: str) -> str:
    place = f"arn:aws:sagemaker:{region}:{account_id}:{PERMISSIONS[operation]}/{parameters.get('HubName')}"
    if PERMISSIONS[operation] == "hub":
        return place
    version = parameters.get("HubContentVersion", "*")
    return f"{place}/{parameters.get('HubContentType')}/{parameters.get('HubContentName')}/{version}"


def _hubs(parameters: dict[str, Any]) -> set[str]:
    """Return the ARNs of the hubs whose entries a job's channels name."""
    sources = (each.get("DataSource", {}).get("S3DataSource", {}) for each in parameters.get("InputDataConfig") or ())
    entries = (str(each["HubAccessConfig"].get("HubContentArn")) for each in sources if each.get("HubAccessConfig"))
    return {"/".join(each.replace(":hub-content/", ":hub/").split("/")[:2]) for each in entries}


def _operation(request: Request) -> str:
    return request.headers.get("x-amz-target", "").removeprefix(TARGET_PREFIX)


def _parameters(request: Request) -> dict[str, Any]:
    try:
        parameters = json.loads(request.body or b"{}")
    except ValueError as error:
        raise AwsError("SerializationException", "The request is not JSON") from error
    if not isinstance(parameters, dict):
        raise AwsError("SerializationException", "The request is not a JSON object")
    return parameters


def _tag_context(parameters: dict[str, Any]) -> dict[str, Any]:
    tags = parameters.get("Tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, dict) and "Key" in tag for tag in tags):
        return {}
    context: dict[str, Any] = {f"aws:RequestTag/{tag['Key']}": str(tag.get("Value", "")) for tag in tags}
    if tags:
        context["aws:TagKeys"] = [str(tag["Key"]) for tag in tags]
    return context


def _job_context(parameters: dict[str, Any]) -> dict[str, Any]:
    def section(name: str) -> dict[str, Any]:
        value = parameters.get(name)
        return value if isinstance(value, dict) else {}

    resources, output, vpc = section("ResourceConfig"), section("OutputDataConfig"), section("VpcConfig")
    values = {
        "sagemaker:InstanceTypes": [resources["InstanceType"]] if resources.get("InstanceType") else None,
        "sagemaker:VolumeKmsKey": resources.get("VolumeKmsKeyId"),
        "sagemaker:OutputKmsKey": output.get("KmsKeyId"),
        "sagemaker:KeepAlivePeriod": resources.get("KeepAlivePeriodInSeconds"),
        "sagemaker:MaxRuntimeInSeconds": section("StoppingCondition").get("MaxRuntimeInSeconds"),
        "sagemaker:NetworkIsolation": bool(parameters.get("EnableNetworkIsolation")),
        "sagemaker:InterContainerTrafficEncryption": bool(parameters.get("EnableInterContainerTrafficEncryption")),
        "sagemaker:VpcSubnets": vpc.get("Subnets"),
        "sagemaker:VpcSecurityGroupIds": vpc.get("SecurityGroupIds"),
    }
    return {key: _condition_value(value) for key, value in values.items() if value not in (None, "", [])}


def _condition_value(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, list) else str(value)


def _check_training_job(parameters: dict[str, Any]) -> None:
    """Check the rules between members, which the service model does not hold."""
    if "ServerlessJobConfig" in parameters:
        _check_serverless(parameters)
    else:
        _check_sections(parameters)
        _check_volume_key(parameters["ResourceConfig"])
    _check_tags(parameters)
    _check_channels(parameters)
    _check_spot(parameters)


def _check_sections(parameters: dict[str, Any]) -> None:
    for name in (*_UNSUPPORTED, "ModelPackageConfig"):
        if name in parameters:
            raise AwsError("ValidationException", f"The local SageMaker does not support {name}")
    for name in ("AlgorithmSpecification", "ResourceConfig", "StoppingCondition"):
        if name not in parameters:
            raise AwsError(
                "ValidationException",
                f"1 validation error detected: Value null at '{name[0].lower()}{name[1:]}' failed to satisfy "
                "constraint: Member must not be null",
            )
    for section, name in (("AlgorithmSpecification", "TrainingImage"), ("ResourceConfig", "InstanceType")):
        if not parameters[section].get(name):
            raise AwsError("ValidationException", f"The local SageMaker needs {section}.{name}")
    if parameters["ResourceConfig"].get("InstanceCount") != 1:
        raise AwsError("ValidationException", "The local SageMaker trains on one instance: InstanceCount must be 1")


def _check_serverless(parameters: dict[str, Any]) -> None:
    """Refuse what belongs to instances of one's own; the SDK's trainers send none of it."""
    for name in (*_UNSUPPORTED, "AlgorithmSpecification", "ResourceConfig", "EnableManagedSpotTraining"):
        if parameters.get(name):
            raise AwsError("ValidationException", f"{name} is not supported for serverless training jobs")
    if "ModelPackageConfig" not in parameters:
        raise AwsError("ValidationException", "ModelPackageConfig is required for serverless training jobs")
    if not parameters.get("InputDataConfig"):
        raise AwsError("ValidationException", "InputDataConfig is required for serverless training jobs")


def _check_tags(parameters: dict[str, Any]) -> None:
    keys = [tag["Key"].lower() for tag in parameters.get("Tags", [])]
    if len(keys) > MAX_TAGS:
        raise AwsError("ValidationException", f"Too many tags: at most {MAX_TAGS} tags are allowed on a resource")
    if len(set(keys)) != len(keys):
        raise AwsError(
            "ValidationException", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )


def _check_channels(parameters: dict[str, Any]) -> None:
    channels = parameters.get("InputDataConfig", [])
    names = {channel["ChannelName"] for channel in channels}
    if len(channels) > _MAX_CHANNELS or len(names) != len(channels):
        raise AwsError("ValidationException", f"Channel names must be unique, at most {_MAX_CHANNELS} of them")
    for channel in channels:
        source = channel["DataSource"].get("S3DataSource", {})
        if source.get("S3DataType") != "S3Prefix" or channel.get("CompressionType", "None") != "None":
            raise AwsError(
                "ValidationException",
                f"The local SageMaker reads channels of S3DataType S3Prefix without compression, "
                f"unlike '{channel['ChannelName']}'",
            )


def _check_volume_key(resources: dict[str, Any]) -> None:
    family = str(resources["InstanceType"]).split(".")[1]
    if resources.get("VolumeKmsKeyId") and (family in _LOCAL_STORAGE or family.endswith("d")):
        raise AwsError(
            "ValidationException",
            f"VolumeKmsKeyId is not supported for the instance type {resources['InstanceType']}: its local storage "
            "volumes are encrypted by a hardware module on the instance",
        )


def _check_spot(parameters: dict[str, Any]) -> None:
    stopping = parameters.get("StoppingCondition", {})
    spot = parameters.get("EnableManagedSpotTraining", False)
    if spot and parameters["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
        raise AwsError(
            "ValidationException", "KeepAlivePeriodInSeconds is not supported when EnableManagedSpotTraining is true"
        )
    if parameters.get("CheckpointConfig", {}).get("LocalPath", _CHECKPOINTS) != _CHECKPOINTS:
        raise AwsError("ValidationException", f"The local SageMaker keeps checkpoints of {_CHECKPOINTS} only")
    if spot and stopping.get("MaxWaitTimeInSeconds", 0) < stopping.get("MaxRuntimeInSeconds", 86400):
        raise AwsError(
            "ValidationException",
            "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds",
        )
    if not spot and "MaxWaitTimeInSeconds" in stopping:
        raise AwsError(
            "ValidationException",
            "MaxWaitTimeInSeconds is not supported when EnableManagedSpotTraining is set to false",
        )
