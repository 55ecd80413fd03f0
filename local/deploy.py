"""Deployment of an unmodified SAM template to the embedded AWS: what ``sam package`` and ``sam deploy`` do on AWS."""

from __future__ import annotations

import hashlib
import json
import os
import time
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import yaml
from botocore.exceptions import ClientError

from local.engine import layers

ARTIFACTS_BUCKET = "tunedrop-sam-artifacts"
# Resource types that ministack lacks and that the application runs without; each is named when it is left out.
DROPPED_TYPES = frozenset(
    {
        "AWS::ApplicationAutoScaling::ScalableTarget",
        "AWS::ApplicationAutoScaling::ScalingPolicy",
        "AWS::Budgets::Budget",
        "AWS::SageMaker::ModelPackageGroup",
    }
)
_CODE_PROPERTIES = {
    "AWS::Serverless::Function": "CodeUri",
    "AWS::Serverless::LayerVersion": "ContentUri",
    "AWS::Serverless::StateMachine": "DefinitionUri",
}
_POLL_SECONDS = 0.1
# A fixed time makes equal content an equal zip, so that a redeployment changes nothing that did not change.
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


class DeploymentError(Exception):
    """Report why a stack could not be deployed."""


class _TemplateLoader(yaml.SafeLoader):
    """Read YAML with CloudFormation's short function tags."""


def _intrinsic(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]  # the last of three kinds of node
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_TemplateLoader.add_multi_constructor("!", _intrinsic)


def load_template(path: Path) -> dict[str, Any]:
    """Read a template, with short tags written out as CloudFormation's long functions."""
    return dict(yaml.load(path.read_text(encoding="utf-8"), _TemplateLoader))  # noqa: S506 - a SafeLoader of ours


def deploy(
    client: Callable[[str], Any],
    template_path: Path,
    parameters: Mapping[str, str],
    stack_name: str,
    progress: Callable[[str], None],
) -> dict[str, str]:
    """Create the stack, or update it.

    Args:
        client: makes a boto3 client of a service.
        template_path: the template; paths in it start at its folder.
        parameters: values of its parameters; the others keep their defaults.
        stack_name: the stack.
        progress: told, in a sentence, what is left out and what takes long.

    Returns:
        The stack's outputs.

    Raises:
        DeploymentError: the template or a resource was refused; it says which and why.
        LayerBuildError: a layer could not be installed.
    """
    template = load_template(template_path)
    _drop(template, progress)
    _package(template, template_path.parent, client("s3"), progress)
    cloudformation = client("cloudformation")
    since = time.time()
    request = {
        "StackName": stack_name,
        "TemplateURL": _publish(template, client("s3")),
        "Parameters": [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    }
    try:
        if _exists(cloudformation, stack_name):
            cloudformation.update_stack(**request)
        else:
            cloudformation.create_stack(**request)
    except ClientError as error:
        message = error.response["Error"]["Message"]
        if "No updates are to be performed" not in message:
            raise DeploymentError(message) from error
    return _wait(cloudformation, stack_name, since)


def _publish(template: dict[str, Any], s3: Any) -> str:
    """Upload the template, as `sam deploy` does: CreateStack itself takes 51,200 bytes.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    """
    body = json.dumps(template).encode()
    key = f"{hashlib.sha256(body).hexdigest()}.template"
    s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=body)
    return f"https://s3.amazonaws.com/{ARTIFACTS_BUCKET}/{key}"


def _drop(template: dict[str, Any], progress: Callable[[str], None]) -> None:
    dropped = {name: resource["Type"] for name, resource in template["Resources"].items()
               if resource["Type"] in DROPPED_TYPES}  # fmt: skip
    for name, kind in sorted(dropped.items()):
        progress(f"left out, for ministack lacks it: {name} ({kind})")
        del template["Resources"][name]
    for resource in template["Resources"].values():
        depends = resource.get("DependsOn", [])
        kept = [name for name in ([depends] if isinstance(depends, str) else depends) if name not in dropped]
        if depends and kept:
            resource["DependsOn"] = kept
        else:
            resource.pop("DependsOn", None)


def _package(template: dict[str, Any], root: Path, s3: Any, progress: Callable[[str], None]) -> None:
    s3.create_bucket(Bucket=ARTIFACTS_BUCKET)
    for name, resource in template["Resources"].items():
        property_name = _CODE_PROPERTIES.get(resource["Type"])
        location = resource.get("Properties", {}).get(property_name) if property_name else None
        if not isinstance(location, str):
            continue
        source = root / location
        if not source.exists():
            raise DeploymentError(f"{name}: {property_name} {location} does not exist")
        if resource["Type"] == "AWS::Serverless::LayerVersion" and (source / "requirements.txt").exists():
            progress(f"layer {name}")
            layers.requirements_site((source / "requirements.txt").read_bytes(), progress)
        content = _zip(source) if source.is_dir() else source.read_bytes()
        key = hashlib.sha256(content).hexdigest()
        s3.put_object(Bucket=ARTIFACTS_BUCKET, Key=key, Body=content)
        resource["Properties"][property_name] = {"Bucket": ARTIFACTS_BUCKET, "Key": key}


def _zip(folder: Path) -> bytes:
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                entry = zipfile.ZipInfo(path.relative_to(folder).as_posix(), _ZIP_TIME)
                entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()


def _exists(cloudformation: Any, stack_name: str) -> bool:
    """Tell whether the stack can be updated; what is left of a creation that failed is deleted."""
    try:
        status = str(cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"])
    except ClientError:
        return False
    if status in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED"}:
        cloudformation.delete_stack(StackName=stack_name)
        cloudformation.get_waiter("stack_delete_complete").wait(StackName=stack_name, WaiterConfig={"Delay": 1})
        return False
    return status != "DELETE_COMPLETE"


def _wait(cloudformation: Any, stack_name: str, since: float) -> dict[str, str]:
    while True:
        stack = cloudformation.describe_stacks(StackName=stack_name)["Stacks"][0]
        if not stack["StackStatus"].endswith("IN_PROGRESS"):
            break
        time.sleep(_POLL_SECONDS)
    if stack["StackStatus"] not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        events = cloudformation.describe_stack_events(StackName=stack_name)["StackEvents"]
        reasons = [
            f"{event['LogicalResourceId']} ({event['ResourceType']}): {event.get('ResourceStatusReason', '')}"
            for event in reversed(events)
            if event["ResourceStatus"].endswith("FAILED") and event["Timestamp"].timestamp() >= since - 1
        ]
        raise DeploymentError("\n".join([f"{stack_name} is {stack['StackStatus']}", *reasons]))
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
