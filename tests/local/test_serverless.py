"""The local SageMaker customises a model serverless: no script and no instance in the request, real training behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from botocore.exceptions import ClientError
from safetensors.torch import load

from local.jumpstart.cache import publish
from local.jumpstart.models import tiny_llama
from local.jumpstart.specs import TINY_LLAMA, TINY_LLAMA_SERVERLESS
from local.sagemaker.service import SageMaker
from local.sagemaker.settings import Settings
from tests.local.fake_host import BUCKET, ROLE, FakeHost, connect, eventually, fake_host

JUMPSTART = "jumpstart"
HUB = "arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/Model"
GROUP = "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/tunedrop-customised"
ROWS: list[dict[str, Any]] = [
    {"prompt": "red 1", "completion": "warm"},
    {"messages": [{"role": "user", "content": "blue 1"}, {"role": "assistant", "content": "cold"}]},
]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    with fake_host(tmp_path) as host:
        s3 = host.client("s3")
        s3.create_bucket(Bucket=JUMPSTART)
        publish(s3, JUMPSTART, (TINY_LLAMA, TINY_LLAMA_SERVERLESS))
        put_rows(host, ROWS * 8)
        yield host


@pytest.fixture
def sagemaker(host: FakeHost) -> Iterator[Any]:
    service = SageMaker(Settings(instance_quota=0), JUMPSTART)
    service.start(host)
    yield connect(service, "sagemaker")
    service.stop()


def put_rows(host: FakeHost, rows: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    host.client("s3").put_object(Bucket=BUCKET, Key="run/train.jsonl", Body=lines.encode())


def request(model_id: str = TINY_LLAMA_SERVERLESS.model_id, **changes: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": "job-1",
        "RoleArn": ROLE,
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/run/"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out", "CompressionType": "NONE"},
        "HyperParameters": {"max_epochs": "1", "learning_rate": "0.001", "global_batch_size": "8"},
        "ServerlessJobConfig": {
            "BaseModelArn": f"{HUB}/{model_id}/1.0.0",
            "JobType": "FineTuning",
            "CustomizationTechnique": "SFT",
            "Peft": "LORA",
            "SequenceLength": "1K",
        },
        "ModelPackageConfig": {"ModelPackageGroupArn": GROUP},
        **changes,
    }


def ended(sagemaker: Any) -> dict[str, Any]:
    def terminal() -> Any:
        job = sagemaker.describe_training_job(TrainingJobName="job-1")
        return job if job["TrainingJobStatus"] in {"Completed", "Failed"} else None

    job: dict[str, Any] = eventually(terminal, 120)
    return job


def test_both_forms_of_rows_train_and_the_merged_weights_lie_where_awss_do(host: FakeHost, sagemaker: Any) -> None:
    sagemaker.create_training_job(**request())

    job = ended(sagemaker)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    assert "ResourceConfig" not in job
    artifacts = job["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifacts == f"s3://{BUCKET}/out/job-1/output/model/"
    s3 = host.client("s3")
    prefix = "out/job-1/output/model/checkpoints/hf_merged/"
    names = {each["Key"].removeprefix(prefix) for each in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    tuned = load(s3.get_object(Bucket=BUCKET, Key=prefix + "model.safetensors")["Body"].read())
    base = load((tiny_llama() / "model.safetensors").read_bytes())
    assert tuned.keys() == base.keys(), "no adapter is left apart"
    assert any(not torch.equal(tuned[name].float(), base[name].float()) for name in base)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"ModelPackageConfig": None}, "ModelPackageConfig"),
        (
            {"ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 30}},
            "ResourceConfig",
        ),
        ({"model_id": TINY_LLAMA.model_id}, "serverless"),
        ({"model_id": "nothing"}, "does not exist"),
    ],
)
def test_what_no_serverless_job_is_given_is_refused(sagemaker: Any, changes: dict[str, Any], part: str) -> None:
    asked = {name: value for name, value in request(**changes).items() if value is not None}

    with pytest.raises(ClientError, match=part) as raised:
        sagemaker.create_training_job(**asked)

    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_a_row_of_neither_form_fails_the_job_with_its_place(host: FakeHost, sagemaker: Any) -> None:
    put_rows(host, [{"instruction": "red 1", "response": "warm"}])
    sagemaker.create_training_job(**request())

    job = ended(sagemaker)

    assert job["TrainingJobStatus"] == "Failed"
    assert "train.jsonl, line 1 has neither 'messages' nor the texts 'prompt'" in job["FailureReason"]
