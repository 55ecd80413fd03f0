"""Serverless model customisation: the request as the job that the local SageMaker runs for it.

On AWS the recipe's image and instances are SageMaker's own business. Here the model's spec in the local JumpStart names
the script and the weights, which SageMaker itself fetches; the job's role reads the rows and writes the weights. No
model package is registered, and the group that the request names need not exist.
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ServerlessJobConfig.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from local.engine.host import AwsError

PROGRAMS = {"SFT": "customization.py", "DPO": "preference.py"}
"""The script that trains for each CustomizationTechnique."""
LONGEST_SECONDS = 24 * 3600
_MANIFEST = "models_manifest.json"


def check(s3: Any, bucket: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the spec of the base model.

    Args:
        s3: a client of SageMaker's own.
        bucket: the local JumpStart's.
        config: the request's ServerlessJobConfig.

    Raises:
        AwsError: ValidationException when nothing here can customise it so.
    """
    _, _, hub_content = config["BaseModelArn"].partition("/Model/")
    spec = _spec(s3, bucket, hub_content.partition("/")[0])
    if spec is None:
        raise AwsError("ValidationException", f"The base model {config['BaseModelArn']} does not exist")
    technique = config.get("CustomizationTechnique")
    if config["JobType"] != "FineTuning" or technique not in PROGRAMS:
        known = " or ".join(PROGRAMS)
        raise AwsError("ValidationException", f"The local SageMaker customises by FineTuning with {known} only")
    if config.get("Peft") != "LORA":
        raise AwsError("ValidationException", "The local SageMaker customises with Peft LORA only")
    if not any(each.get("customization_technique") == technique for each in spec.get("recipe_collection", ())):
        raise AwsError(
            "ValidationException", f"{spec['model_id']} does not support serverless customization with {technique}"
        )
    if spec.get("gated_bucket") and not config.get("AcceptEula"):
        raise AwsError(
            "ValidationException", f"The EULA of {spec['model_id']} was not accepted: AcceptEula is not true"
        )
    return spec


def as_script(job: Mapping[str, Any], spec: Mapping[str, Any], bucket: str) -> dict[str, Any]:
    """Return the job with everything that a training container is described by."""
    length = job["ServerlessJobConfig"].get("SequenceLength", "1K").removesuffix("K")
    return {
        "StoppingCondition": {"MaxRuntimeInSeconds": LONGEST_SECONDS},
        **job,
        "AlgorithmSpecification": {"TrainingImage": "of the serverless recipe", "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "serverless", "InstanceCount": 1},
        "EnableNetworkIsolation": True,
        "HyperParameters": {
            "dataset_max_len": str(int(length) * 1024),
            **job.get("HyperParameters", {}),
            "sagemaker_submit_directory": "/opt/ml/input/data/code/sourcedir.tar.gz",
            "sagemaker_program": PROGRAMS[job["ServerlessJobConfig"]["CustomizationTechnique"]],
        },
        "InputDataConfig": [
            *job["InputDataConfig"],
            _own("model", f"s3://{bucket}/{spec['training_artifact_key']}"),
            _own("code", f"s3://{bucket}/{spec['training_script_key']}"),
        ],
    }


def _own(name: str, uri: str) -> dict[str, Any]:
    """Name a channel that SageMaker fetches itself, as it does with gated models."""
    source = {"S3DataType": "S3Prefix", "S3Uri": uri, "ModelAccessConfig": {"AcceptEula": True}}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def _spec(s3: Any, bucket: str, model_id: str) -> dict[str, Any] | None:
    if not bucket:
        return None
    try:
        manifest = json.loads(s3.get_object(Bucket=bucket, Key=_MANIFEST)["Body"].read())
        key = next((row["spec_key"] for row in manifest if row["model_id"] == model_id), None)
        return dict(json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())) if key else None
    except ClientError:
        return None
