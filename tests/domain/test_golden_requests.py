"""The whole way from what JumpStart says of a model to a CreateTrainingJob that botocore's own model accepts.

Llama 3.1 70B, whose request the SageMaker SDK 2 has made, is in `test_training_request.py`; GPT-OSS, which is trained
serverless, in `test_serverless_plan.py`.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.validate import ParamValidator

from tests.adapters.test_jumpstart_documents import PLACE
from tests.captured_specs import REAL, real, real_catalogue
from tests.catalogue import GATED, OPEN, hub_document, reader, write_catalogue
from tests.samples import DATA, DROP, RUN_ID
from tunedrop.adapters.jumpstart_documents import ModelDocument, SpecCatalogue
from tunedrop.contracts.tune_spec import parse_tune_yaml
from tunedrop.domain.jumpstart import JumpStartModel, TrainingArtifacts
from tunedrop.domain.plan import PinnedObject, Plan
from tunedrop.domain.planning import PlanRules, make_plan
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Run
from tunedrop.domain.training_request import create_training_job_request

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
ROWS = {
    "train.jsonl": b'{"instruction": "a", "context": "b", "response": "c"}\n',
    "chat.jsonl": b'{"messages": [{"role": "user", "content": "a"}]}\n',
    "text.txt": b"text\n",
}


def outcome(model: JumpStartModel, artifacts: Any, text: str = "", file: str = "train.jsonl") -> Any:
    files = [PinnedObject(key=f"datasets/receipts/{file}", version_id="v", etag="e", size=4000)]
    spec = parse_tune_yaml(f"model: {model.model_id}\n{text}".encode())
    return make_plan(spec, model, artifacts, DROP, files, lambda _: ROWS[file], PlanRules(region="us-east-1"), NOW)


def request_of(made: Any) -> dict[str, Any]:
    assert isinstance(made, Plan), made
    run = Run(
        run_id=RUN_ID, dataset="receipts", created_at=NOW, updated_at=NOW, entered_at=NOW, drop=DROP, plan=made
    ).model_copy(update={"data": DATA})
    role = "arn:aws:iam::123456789012:role/training"
    request = create_training_job_request(run, stack="tunedrop", role_arn=role, run_bucket="runs")
    client = boto3.client("sagemaker", region_name="us-east-1")
    shape = client.meta.service_model.operation_model("CreateTrainingJob").input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()
    return request


def channels(request: dict[str, Any]) -> dict[str, str]:
    return {each["ChannelName"]: each["DataSource"]["S3DataSource"]["S3Uri"] for each in request["InputDataConfig"]}


def from_hub(document: dict[str, Any], model_id: str, text: str, file: str = "train.jsonl") -> dict[str, Any]:
    read = ModelDocument(model_id, "1.0.0", document, PLACE)
    return request_of(outcome(read.model(), read.artifacts, text, file))


def test_a_hub_document_of_the_older_form_makes_the_request_of_a_gated_script() -> None:
    document = hub_document(
        {"g5": {"properties": {"image_uri": "$gpu_ecr_uri_1", "gated_model_env_var_uri": "s3://private/g5.tar.gz"}}}
    )
    document["TrainingInstanceTypeVariants"]["Aliases"] = {"gpu_ecr_uri_1": "registry/image:1"}

    request = from_hub(document, GATED, "accept_eula: true\nhyperparameters: {epoch: 2}")

    assert request["Environment"] == {"SageMakerGatedModelS3Uri": "s3://private/g5.tar.gz", "accept_eula": "true"}
    assert set(channels(request)) == {"training", "code"}
    assert request["AlgorithmSpecification"]["TrainingImage"] == "registry/image:1"
    assert request["HyperParameters"]["epoch"] == '"2"'
    assert request["ResourceConfig"]["VolumeSizeInGB"] == 256


def test_an_ungated_spec_makes_a_request_with_the_weights_in_a_channel(tmp_path: Path) -> None:
    catalogue = SpecCatalogue(PLACE, reader(write_catalogue(tmp_path)))
    model = catalogue.model(OPEN)

    def artifacts(instance_type: str) -> TrainingArtifacts:
        return catalogue.artifacts(model, instance_type)

    request = request_of(outcome(model, artifacts))

    assert set(channels(request)) == {"training", "code", "model"}
    assert "accept_eula" not in request["Environment"]
    assert request["HyperParameters"]["instruction_tuned"] == '"True"'


@real
def test_llama_2_13b_chat_from_its_hub_document() -> None:
    model_id = "meta-textgeneration-llama-2-13b-f"
    document = json.loads((REAL / f"hub-document.{model_id}.json").read_bytes())

    for file, technique in (("train.jsonl", "instruction"), ("chat.jsonl", "chat"), ("text.txt", "domain-adaptation")):
        request = from_hub(document, model_id, f"technique: {technique}\naccept_eula: true", file)

        settings = request["HyperParameters"]
        assert settings["instruction_tuned"] == json.dumps(str(technique == "instruction"))
        assert settings["chat_dataset"] == json.dumps(str(technique == "chat"))
        assert request["Environment"]["accept_eula"] == "true"
        assert request["Environment"]["SageMakerGatedModelS3Uri"].startswith("s3://jumpstart-private-cache-prod-")
        assert "huggingface-pytorch-training" in request["AlgorithmSpecification"]["TrainingImage"]
        assert set(channels(request)) == {"training", "code"}
        assert request["OutputDataConfig"]["CompressionType"] == "NONE"
        assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}


@real
def test_every_captured_spec_comes_to_a_request_or_to_reasons(tmp_path: Path) -> None:
    catalogue = SpecCatalogue(PLACE, reader(real_catalogue(tmp_path)))
    seen = {}
    for row in catalogue.rows():
        model = catalogue.model(row.model_id)

        def artifacts(instance_type: str, model: JumpStartModel = model) -> TrainingArtifacts:
            return catalogue.artifacts(model, instance_type)

        made = outcome(model, artifacts, "accept_eula: true")
        if isinstance(made, Plan):
            request_of(made)
            seen[row.model_id] = str(made.training.trainer)
        else:
            assert all(isinstance(each, Problem) and each.fix for each in made)
            seen[row.model_id] = made[0].code
    assert seen == {
        "meta-textgeneration-llama-3-1-70b": "script",
        "openai-reasoning-gpt-oss-20b": "serverless",
        "pytorch-ic-mobilenet-v2": "model.technique",
    }
