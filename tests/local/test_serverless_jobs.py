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
from transformers import AutoModelForCausalLM, AutoTokenizer

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


PAIRS: list[dict[str, Any]] = [
    *({"prompt": f"{colour} 1", "chosen": "warm", "rejected": "cold"} for colour in ("red", "pink")),
    *(
        {"system": "say it", "prompt": f"{colour} 1", "chosen": "cold", "rejected": "warm"}
        for colour in ("blue", "sky")
    ),
]


def dpo(**hyperparameters: str) -> dict[str, Any]:
    asked = request()
    asked["ServerlessJobConfig"]["CustomizationTechnique"] = "DPO"
    asked["HyperParameters"] |= hyperparameters
    return asked


def conversations(pair: dict[str, Any]) -> dict[str, Any]:
    """Write a pair of texts as AWS's other form: two conversations."""
    system = [{"role": "system", "content": pair["system"]}] if "system" in pair else []
    asked = [*system, {"role": "user", "content": pair["prompt"]}]
    return {side: [*asked, {"role": "assistant", "content": pair[side]}] for side in ("chosen", "rejected")}


def margins(folder: Path) -> list[float]:
    """Measure, as whoever serves the model would, by how much it prefers each pair's chosen answer."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)

    def probability(messages: list[dict[str, str]]) -> float:
        prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, tokenize=False)
        read, said = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, messages[-1]["content"])
        )
        with torch.no_grad():
            logs = torch.log_softmax(model(torch.tensor([[*read, *said]])).logits[0], -1)
        return float(sum(logs[len(read) - 1 + at, token] for at, token in enumerate(said)))

    pairs = map(conversations, PAIRS)
    return [probability(pair["chosen"]) - probability(pair["rejected"]) for pair in pairs]


@pytest.mark.parametrize("form", ["texts", "conversations"])
def test_dpo_makes_the_model_prefer_the_chosen_answers(
    host: FakeHost, sagemaker: Any, tmp_path: Path, form: str
) -> None:
    put_rows(host, [conversations(each) if form == "conversations" else each for each in PAIRS] * 4)
    asked = dpo(max_epochs="4", learning_rate="0.01", global_batch_size="4", beta="0.5")
    sagemaker.create_training_job(**asked)

    job = ended(sagemaker)

    assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
    prefix = "out/job-1/output/model/checkpoints/hf_merged/"
    tuned = tmp_path / "tuned"
    tuned.mkdir()
    s3 = host.client("s3")
    for each in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)["Contents"]:
        s3.download_file(BUCKET, each["Key"], str(tuned / each["Key"].removeprefix(prefix)))
    before, after = margins(tiny_llama()), margins(tuned)
    assert all(later > earlier + 1 for earlier, later in zip(before, after, strict=True)), (before, after)


@pytest.mark.parametrize(
    ("row", "hyperparameters", "reason"),
    [
        ({"prompt": "red 1", "completion": "warm"}, {}, "train.jsonl, line 1 has neither the texts 'prompt', 'chosen'"),
        (PAIRS[0], {"beta": "0"}, "beta='0' is not a number above 0"),
    ],
)
def test_what_dpo_cannot_train_on_fails_the_job(
    host: FakeHost, sagemaker: Any, row: dict[str, Any], hyperparameters: dict[str, str], reason: str
) -> None:
    put_rows(host, [row])
    sagemaker.create_training_job(**dpo(**hyperparameters))

    job = ended(sagemaker)

    assert job["TrainingJobStatus"] == "Failed"
    assert reason in job["FailureReason"]


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
