"""The CreateTrainingJob request of a run: for JumpStart's training script, or for SageMaker's serverless customisation.

The script's shape is the one of the SageMaker Python SDK 2 (`JumpStartEstimator`): gated weights by an environment
variable, open weights by the channel `model`, the script by the channel `code`. The other is the
SDK 3's (`SFTTrainer`).
https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tunedrop.domain import names
from tunedrop.domain.plan import Plan, ServerlessTrainingPlan, TrainingPlan
from tunedrop.domain.run import Run
from tunedrop.domain.volumes import takes_volume_key

STACK_TAG = "tunedrop:stack"
RUN_ID_TAG = "tunedrop:run-id"
REQUEST_HASH_TAG = "tunedrop:request-hash"
"""Tells a job that this very request made from one that only has its name."""

_LOG_LEVEL = "sagemaker_container_log_level"


def create_training_job_request(
    run: Run, *, stack: str, role_arn: str, run_bucket: str, attempt: int = 1
) -> dict[str, Any]:
    """Return the request as boto3 takes it; the same run, stack, role, bucket and attempt give the same request.

    The run has a plan, and its validated data. Raises ValueError when it has not.
    """
    if run.plan is None or run.data is None:
        raise ValueError(f"run {run.run_id} is not ready to be launched")
    plan, training = run.plan, run.plan.training
    job_name = names.training_job(stack, run.run_id, attempt)
    request: dict[str, Any] = {
        "TrainingJobName": job_name,
        "RoleArn": role_arn,
        "OutputDataConfig": {
            "S3OutputPath": f"s3://{run_bucket}/{names.training_output_prefix(run.run_id).removesuffix('/')}",
            "CompressionType": "NONE",
            **({"KmsKeyId": training.kms_key_arn} if training.kms_key_arn else {}),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": training.max_runtime_seconds},
    }
    if isinstance(training, ServerlessTrainingPlan):
        _add_recipe(request, run, plan, training, stack, run_bucket)
    else:
        _add_script(request, run, plan, training, run_bucket)
    if training.vpc:
        request["VpcConfig"] = {
            "Subnets": list(training.vpc.subnets),
            "SecurityGroupIds": list(training.vpc.security_group_ids),
        }
    request["Tags"] = [
        {"Key": key, "Value": value}
        for key, value in {
            # What the SDK writes, so that SageMaker's consoles and cost reports know the job as JumpStart's.
            "sagemaker-sdk:jumpstart-model-id": plan.model_id,
            "sagemaker-sdk:jumpstart-model-version": plan.model_version,
            STACK_TAG: stack,
            RUN_ID_TAG: run.run_id,
            REQUEST_HASH_TAG: _digest(request),
        }.items()
    ]
    return request


def request_hash(request: Mapping[str, Any]) -> str:
    """Read the hash that the request's tag carries."""
    return str(next(each["Value"] for each in request["Tags"] if each["Key"] == REQUEST_HASH_TAG))


def _add_script(request: dict[str, Any], run: Run, plan: Plan, training: TrainingPlan, run_bucket: str) -> None:
    """Say what JumpStart's script needs."""
    request["AlgorithmSpecification"] = {
        "TrainingImage": training.image_uri,
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": each.name, "Regex": each.regex} for each in training.metrics],
    }
    request["HyperParameters"] = _encoded(plan, training, request["TrainingJobName"])
    request["Environment"] = training.environment
    request["InputDataConfig"] = _channels(run, training, run_bucket)
    if training.compress_output:
        request["OutputDataConfig"]["CompressionType"] = "GZIP"
    request["ResourceConfig"] = {
        "InstanceType": training.instance_type,
        "InstanceCount": training.instance_count,
        "VolumeSizeInGB": training.volume_size_gb,
    }
    if training.kms_key_arn and takes_volume_key(training.instance_type):
        request["ResourceConfig"]["VolumeKmsKeyId"] = training.kms_key_arn
    if training.max_wait_seconds:
        request["StoppingCondition"]["MaxWaitTimeInSeconds"] = training.max_wait_seconds
    request["EnableNetworkIsolation"] = training.network_isolation
    request["EnableInterContainerTrafficEncryption"] = training.encrypt_inter_container_traffic
    request["EnableManagedSpotTraining"] = training.max_wait_seconds is not None
    if training.max_wait_seconds is not None:
        checkpoints = names.checkpoints_prefix(run.run_id, training.instance_type).removesuffix("/")
        request["CheckpointConfig"] = {"S3Uri": f"s3://{run_bucket}/{checkpoints}"}


def _add_recipe(
    request: dict[str, Any], run: Run, plan: Plan, training: ServerlessTrainingPlan, stack: str, run_bucket: str
) -> None:
    """Say what serverless customisation needs, as the SageMaker SDK 3 does: no image, no instance, plain values.

    https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ServerlessJobConfig.html
    """
    _, partition, _, _, account, _ = request["RoleArn"].split(":", 5)
    public_hub = f"arn:{partition}:sagemaker:{plan.region}:aws:hub-content/SageMakerPublicHub"
    in_public_hub = f"{public_hub}/Model/{plan.model_id}/{plan.model_version}"
    request["ServerlessJobConfig"] = {
        "BaseModelArn": training.hub_content_arn or in_public_hub,
        "JobType": "FineTuning",
        "CustomizationTechnique": training.customization_technique,
        **({"Peft": "LORA"} if training.lora else {}),
        "AcceptEula": training.accept_eula,
        **({"SequenceLength": training.sequence_length} if training.sequence_length else {}),
    }
    if training.hyperparameters:
        request["HyperParameters"] = training.hyperparameters
    request["InputDataConfig"] = _data_channels(run, run_bucket, training_channel="train")
    group = names.model_package_group(stack)
    request["ModelPackageConfig"] = {
        "ModelPackageGroupArn": f"arn:{partition}:sagemaker:{plan.region}:{account}:model-package-group/{group}"
    }


def _encoded(plan: Plan, training: TrainingPlan, job_name: str) -> dict[str, str]:
    """Encode every value as JSON, as the SDK does: the training toolkit in the container decodes it."""
    values: dict[str, str | int] = {
        **training.hyperparameters,
        "sagemaker_job_name": job_name,
        "sagemaker_region": plan.region,
    }
    if _LOG_LEVEL in values:
        values[_LOG_LEVEL] = int(values[_LOG_LEVEL])  # the SDK sends this one as a number
    return {name: json.dumps(value) for name, value in values.items()}


def _channels(run: Run, training: TrainingPlan, run_bucket: str) -> list[dict[str, Any]]:
    """Name the run's own, validated files, never the drop; then the script, and the weights unless they are gated."""
    channels = _data_channels(run, run_bucket, training_channel="training")
    channels.append(_channel("code", training.script_uri))
    if training.model_uri:
        weights = _channel("model", training.model_uri)
        if training.hub_content_arn:
            # A private hub gives its models out only so; the acceptance goes with the channel.
            # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_S3DataSource.html
            source = weights["DataSource"]["S3DataSource"]
            source["HubAccessConfig"] = {"HubContentArn": training.hub_content_arn}
            if run.plan and run.plan.eula:
                source["ModelAccessConfig"] = {"AcceptEula": True}
        channels.append(
            {
                **weights,
                "ContentType": "application/x-sagemaker-model",
                "CompressionType": "None",
                "InputMode": "File",
            }
        )
    return channels


def _data_channels(run: Run, run_bucket: str, *, training_channel: str) -> list[dict[str, Any]]:
    channels = [_channel(training_channel, f"s3://{run_bucket}/{names.channel_prefix(run.run_id, 'training')}")]
    if run.data and run.data.validation_rows:
        channels.append(_channel("validation", f"s3://{run_bucket}/{names.channel_prefix(run.run_id, 'validation')}"))
    return channels


def _channel(name: str, s3_uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": s3_uri, "S3DataDistributionType": "FullyReplicated"}
        },
    }


def _digest(request: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
