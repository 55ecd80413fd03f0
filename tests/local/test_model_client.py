"""`tunedrop.Model` on the embedded AWS: whatever serves a model, a program is told the same in the same shape."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import tunedrop
from local.bedrock.language_model import LanguageModel, Prompt
from local.bedrock.service import Bedrock
from local.jumpstart.models import tiny_llama, tiny_qwen3
from local.sagemaker.service import SageMaker
from local.sagemaker.settings import Settings
from tests.local.fake_host import BUCKET, ROLE, FakeHost, connect, eventually, fake_host
from tunedrop.adapters.bedrock import BedrockModelImports
from tunedrop.client import model as client
from tunedrop.errors import TunedropError

WEIGHTS = {"converse": tiny_llama, "invoke-model": tiny_qwen3, "invoke-endpoint": tiny_llama}
"""A model of each kind, under the dataset's name."""

ASKED = {
    "messages": [
        {"role": "user", "content": [{"text": "hello"}]},
        {"role": "assistant", "content": [{"text": "yes?"}]},
        {"role": "user", "content": [{"text": "more"}]},
    ],
    "system": [{"text": "be brief"}],
    "inferenceConfig": {"maxTokens": 6, "temperature": 0.0},
}
SAID = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "yes?"},
    {"role": "user", "content": "more"},
]


class Session:
    """Make clients of the local Bedrock and the local SageMaker, and of moto's SSM."""

    def __init__(self, host: FakeHost, bedrock: Bedrock, sagemaker: SageMaker) -> None:
        self._host = host
        self._services = {
            "bedrock": bedrock,
            "bedrock-runtime": bedrock,
            "sagemaker-runtime": sagemaker,
            "sagemaker": sagemaker,
        }

    def client(self, service: str, **_: Any) -> Any:
        if service in self._services:
            return connect(self._services[service], service)
        return self._host.client(service)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """Have a model of each kind served, and promote it."""
    with fake_host(tmp_path_factory.mktemp("aws")) as host, pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "RETRY_SECONDS", 0.1)
        bedrock, sagemaker = Bedrock({}), SageMaker(Settings())
        bedrock.start(host)
        sagemaker.start(host)
        try:
            for dataset, weights in WEIGHTS.items():
                for file in weights().iterdir():
                    host.client("s3").upload_file(str(file), BUCKET, f"{dataset}/{file.name}")
                model_uri = f"s3://{BUCKET}/{dataset}/"
                if dataset == "invoke-endpoint":
                    arn = served(connect(sagemaker, "sagemaker"), dataset, model_uri)
                else:
                    arn = imported(BedrockModelImports(connect(bedrock, "bedrock"), ROLE), dataset, model_uri)
                host.client("ssm").put_parameter(Name=f"/tunedrop/models/{dataset}", Value=arn, Type="String")
            yield Session(host, bedrock, sagemaker)
        finally:
            bedrock.stop()
            sagemaker.stop()


def imported(imports: BedrockModelImports, name: str, model_uri: str) -> str:
    job = imports.start(name, model_uri, "run")

    def arn() -> str | None:
        state = imports.state(job)
        assert state is not None
        assert state.status != "Failed", state.failure_message
        return state.model_arn

    return str(eventually(arn))


def served(sagemaker: Any, name: str, model_uri: str) -> str:
    source = {"S3Uri": model_uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"Image": "lmi", "ModelDataSource": {"S3DataSource": source}}
    sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ExecutionRoleArn=ROLE, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    eventually(lambda: sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "InService")
    needs = {"NumberOfAcceleratorDevicesRequired": 1, "MinMemoryRequiredInMb": 1024}
    component = sagemaker.create_inference_component(
        InferenceComponentName=name,
        EndpointName=name,
        VariantName="AllTraffic",
        Specification={"ModelName": name, "ComputeResourceRequirements": needs},
        RuntimeConfig={"CopyCount": 1},
    )

    def status() -> str:
        return str(sagemaker.describe_inference_component(InferenceComponentName=name)["InferenceComponentStatus"])

    eventually(lambda: status() == "InService")
    return str(component["InferenceComponentArn"])


@pytest.fixture(scope="module", params=WEIGHTS)
def model(request: pytest.FixtureRequest, session: Session) -> tuple[tunedrop.Model, Path]:
    """A model of each kind, and its weights."""
    return tunedrop.Model(request.param, session=session), WEIGHTS[request.param]()  # type: ignore[arg-type]


def test_the_model_s_own_answer_is_told_in_converse_s_shape(model: tuple[tunedrop.Model, Path]) -> None:
    asked, weights = model
    own = LanguageModel(weights)
    tokens = own.render(SAID)
    (expected,) = own.generate([Prompt(tokens, max_tokens=6, temperature=0, top_p=1, logprobs=True)])
    answer = asked.converse(**ASKED, confidence=True)
    assert answer["output"] == {"message": {"role": "assistant", "content": [{"text": expected.text}]}}
    assert answer["stopReason"] == expected.stop_reason
    assert answer["usage"]["inputTokens"] == len(tokens)
    assert answer["confidence"]["value"] == pytest.approx(
        math.exp(sum(each.logprob for each in expected.logprobs) / len(expected.logprobs)), abs=1e-4
    )
    assert [each["text"] for each in answer["confidence"]["tokens"]] == [each.text for each in expected.logprobs]
    without = asked.converse(**ASKED)
    assert "confidence" not in without
    assert {name: without[name] for name in ("output", "stopReason", "usage")} == {
        name: answer[name] for name in ("output", "stopReason", "usage")
    }


@pytest.mark.parametrize("confidence", [False, True])
def test_the_stream_tells_what_the_whole_answer_does(model: tuple[tunedrop.Model, Path], *, confidence: bool) -> None:
    asked, _ = model
    whole = asked.converse(**ASKED, confidence=confidence)
    events = list(asked.converse_stream(**ASKED, confidence=confidence))
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    (start, *_, stop, end, metadata) = events
    assert start == {"messageStart": {"role": "assistant"}}
    assert "".join(deltas) == whole["output"]["message"]["content"][0]["text"]
    assert len(deltas) > 1
    assert (stop, end) == (
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": whole["stopReason"]}},
    )
    assert metadata["metadata"]["usage"] == whole["usage"]
    assert metadata["metadata"].get("confidence") == whole.get("confidence")


def test_a_component_without_a_copy_is_waited_for_until_it_is_back(session: Session) -> None:
    sagemaker, name = session.client("sagemaker"), "invoke-endpoint"

    def copies(count: int) -> None:
        sagemaker.update_inference_component_runtime_config(
            InferenceComponentName=name, DesiredRuntimeConfig={"CopyCount": count}
        )

    def current() -> int:
        described = sagemaker.describe_inference_component(InferenceComponentName=name)
        return int(described["RuntimeConfig"]["CurrentCopyCount"])

    copies(0)
    eventually(lambda: current() == 0)
    told: list[str] = []

    def waiting(error: TunedropError, _waited: float) -> None:
        if not told:
            copies(1)  # as the alarm on such a call does
        told.append(str(error))

    answer = tunedrop.Model(name, session=session, waiting=waiting).converse(**ASKED)  # type: ignore[arg-type]
    assert answer["stopReason"] in {"end_turn", "max_tokens"}
    assert "has no capacity" in told[0]
