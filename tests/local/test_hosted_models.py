"""The local SageMaker serves a trained model from an inference component, down to no copy and back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.application_autoscaling import ApplicationAutoScaling
from local.bedrock.model_server import ModelFailedError, ModelServer
from local.engine.host import Request
from local.jumpstart.models import tiny_llama
from local.sagemaker.account import Account
from local.sagemaker.service import SageMaker
from local.sagemaker.settings import Settings
from tests.local.fake_host import BUCKET, ROLE, FakeHost, connect, eventually, fake_host

NAME = "tunedrop-run"
TYPE = "ml.g5.2xlarge"
CHAT = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3, "temperature": 0}
TARGET = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": f"inference-component/{NAME}",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}
NO_CAPACITY = {
    "Namespace": "AWS/SageMaker",
    "MetricName": "NoCapacityInvocationFailures",
    "Dimensions": [{"Name": "InferenceComponentName", "Value": NAME}],
}


class Host(FakeHost):
    """A host whose Application Auto Scaling is the local one."""

    scaling: ApplicationAutoScaling

    def client(self, service: str, role_arn: str | None = None) -> Any:
        if service == "application-autoscaling":
            return connect(self.scaling, service)
        return super().client(service, role_arn)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with fake_host(tmp_path) as plain:
        host = Host(plain.data_dir, plain.work_dir)
        host.scaling = ApplicationAutoScaling()
        host.scaling.start(host)
        for file in tiny_llama().iterdir():
            host.client("s3").upload_file(str(file), BUCKET, f"model/{file.name}")
        yield host


@pytest.fixture
def service(host: Host) -> Iterator[SageMaker]:
    service = SageMaker(Settings(scale_in_seconds=0.5, event_copies=1))
    service.start(host)
    yield service
    service.stop()


@pytest.fixture
def sagemaker(service: SageMaker) -> Any:
    return connect(service, "sagemaker")


@pytest.fixture
def runtime(service: SageMaker) -> Any:
    return connect(service, "sagemaker-runtime")


def create(sagemaker: Any, model: str = f"s3://{BUCKET}/model/") -> None:
    source = {"S3Uri": model, "S3DataType": "S3Prefix", "CompressionType": "None"}
    container = {"Image": "lmi", "ModelDataSource": {"S3DataSource": source}}
    sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=ROLE, PrimaryContainer=container)
    variant = {"VariantName": "AllTraffic", "InstanceType": TYPE, "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(EndpointConfigName=NAME, ExecutionRoleArn=ROLE, ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)


def place(sagemaker: Any) -> dict[str, Any]:
    eventually(lambda: sagemaker.describe_endpoint(EndpointName=NAME)["EndpointStatus"] == "InService")
    needs = {"NumberOfAcceleratorDevicesRequired": 1, "MinMemoryRequiredInMb": 1024}
    sagemaker.create_inference_component(
        InferenceComponentName=NAME,
        EndpointName=NAME,
        VariantName="AllTraffic",
        Specification={"ModelName": NAME, "ComputeResourceRequirements": needs},
        RuntimeConfig={"CopyCount": 1},
    )
    return settled(sagemaker)


def settled(sagemaker: Any) -> dict[str, Any]:
    def seen() -> Any:
        component = sagemaker.describe_inference_component(InferenceComponentName=NAME)
        return component if component["InferenceComponentStatus"] in ("InService", "Failed") else None

    return dict(eventually(seen))


def ask(runtime: Any, body: dict[str, Any], component: str = NAME) -> dict[str, Any]:
    answer = runtime.invoke_endpoint(
        EndpointName=NAME, InferenceComponentName=component, ContentType="application/json", Body=json.dumps(body)
    )
    return dict(json.loads(answer["Body"].read()))


def streamed(runtime: Any) -> str:
    answer = runtime.invoke_endpoint_with_response_stream(
        EndpointName=NAME, InferenceComponentName=NAME, Body=json.dumps({**CHAT, "stream": True})
    )
    body = b"".join(event["PayloadPart"]["Bytes"] for event in answer["Body"]).decode()
    chunks = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    assert chunks.pop() == "[DONE]"
    return "".join(json.loads(chunk)["choices"][0]["delta"]["content"] for chunk in chunks)


def test_serves_the_model_to_no_copy_and_back(host: Host, sagemaker: Any, runtime: Any) -> None:
    create(sagemaker)
    assert place(sagemaker)["InferenceComponentStatus"] == "InService"
    first = ask(runtime, CHAT)
    assert first["usage"]["completion_tokens"] == 3
    plain = ask(runtime, {"inputs": "hello", "parameters": {"max_new_tokens": 3, "details": True}})
    assert plain["details"]["generated_tokens"] == 3
    assert all(token["log_prob"] < 0 for token in plain["details"]["tokens"])
    told = ask(runtime, {**CHAT, "logprobs": True})["choices"][0]["logprobs"]["content"]
    assert "".join(token["token"] for token in told) == first["choices"][0]["message"]["content"]
    assert streamed(runtime) == first["choices"][0]["message"]["content"]
    with pytest.raises(ClientError, match=r"Received client error \(400\)") as refused:
        ask(runtime, {"neither": 1})
    assert refused.value.response["OriginalStatusCode"] == 400
    assert ("AWS/SageMaker", "Invocations", 1.0, {"InferenceComponentName": NAME}) in host.metrics

    # A policy that tracks takes the copies away; only the step policy of an alarm on the failures brings them back.
    scaling = host.client("application-autoscaling")
    scaling.register_scalable_target(**TARGET, MinCapacity=0, MaxCapacity=1)
    metric = {"PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"}
    scaling.put_scaling_policy(
        **TARGET,
        PolicyName="load",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 5, "PredefinedMetricSpecification": metric},
    )
    eventually(lambda: not settled(sagemaker)["RuntimeConfig"]["CurrentCopyCount"])
    with pytest.raises(ClientError, match="Inference Component has no capacity"):
        ask(runtime, CHAT)
    step = {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    policy = scaling.put_scaling_policy(
        **TARGET,
        PolicyName="from-zero",
        PolicyType="StepScaling",
        StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [step]},
    )
    host.client("cloudwatch").put_metric_alarm(
        AlarmName="from-zero",
        AlarmActions=[policy["PolicyARN"]],
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        **NO_CAPACITY,
    )
    with pytest.raises(ClientError, match="Inference Component has no capacity"):
        ask(runtime, CHAT)

    def answered() -> Any:
        try:
            return ask(runtime, CHAT)
        except ClientError:
            return None

    again = eventually(answered)
    assert again["choices"][0]["message"] == first["choices"][0]["message"]


def test_a_container_that_fails_is_counted_as_such(
    host: Host, sagemaker: Any, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ended(*_: Any, **__: Any) -> Any:
        raise ModelFailedError("the model's process ended")

    for name in ("load", "unload"):
        monkeypatch.setattr(ModelServer, name, lambda _server, _folder: None)
    monkeypatch.setattr(ModelServer, "ask", ended)
    create(sagemaker)
    place(sagemaker)
    with pytest.raises(ClientError, match=r"Received server error \(500\)"):
        ask(runtime, CHAT)
    assert ("AWS/SageMaker", "Invocation5XXErrors", 1.0, {"InferenceComponentName": NAME}) in host.metrics


def test_takes_nothing_away_out_of_order(sagemaker: Any, runtime: Any) -> None:
    create(sagemaker)
    place(sagemaker)
    with pytest.raises(ClientError, match="inference components"):
        sagemaker.delete_endpoint(EndpointName=NAME)
    sagemaker.delete_inference_component(InferenceComponentName=NAME)
    sagemaker.delete_endpoint(EndpointName=NAME)
    sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
    sagemaker.delete_model(ModelName=NAME)
    assert sagemaker.list_endpoints()["Endpoints"] == []
    assert sagemaker.list_models()["Models"] == []
    with pytest.raises(ClientError, match=f"Endpoint {NAME} of account"):
        ask(runtime, CHAT)


def test_says_what_a_container_that_does_not_start_said(host: Host, sagemaker: Any) -> None:
    host.client("s3").put_object(Bucket=BUCKET, Key="broken/config.json", Body=b"{}")
    create(sagemaker, f"s3://{BUCKET}/broken/")
    component = place(sagemaker)
    assert component["InferenceComponentStatus"] == "Failed"
    assert "ping health check" in component["FailureReason"]


def test_refuses_what_aws_refuses(sagemaker: Any, runtime: Any) -> None:
    create(sagemaker)
    with pytest.raises(ClientError, match="Cannot create already existing model"):
        create(sagemaker)
    with pytest.raises(ClientError, match=f"Inference Component {NAME} not found"):
        ask(runtime, CHAT)
    with pytest.raises(ClientError, match="less than or equal to 6291456"):
        ask(runtime, {"messages": [{"role": "user", "content": "x" * 6_291_456}]})
    with pytest.raises(ClientError, match="Could not find inference component"):
        sagemaker.describe_inference_component(InferenceComponentName=NAME)


def test_lacks_capacity_and_quota_as_the_account_says(host: Host, sagemaker: Any) -> None:
    Account(no_capacity=frozenset({TYPE})).write(host.data_dir)
    create(sagemaker)
    failed = eventually(
        lambda: (seen := sagemaker.describe_endpoint(EndpointName=NAME))["EndpointStatus"] == "Failed" and seen
    )
    assert "InsufficientInstanceCapacity" in failed["FailureReason"]
    Account(quotas={f"{TYPE} for endpoint usage": 0}).write(host.data_dir)
    with pytest.raises(ClientError, match="ResourceLimitExceeded"):
        sagemaker.create_endpoint(EndpointName="other", EndpointConfigName=NAME)


def test_an_invocation_is_authorised_on_the_endpoint_and_its_component(service: SageMaker) -> None:
    headers = {"x-amzn-sagemaker-inference-component": NAME}
    request = Request("POST", f"/endpoints/{NAME}/invocations", headers, {}, b"{}")
    assert [(action, resource.rpartition(":")[2]) for action, resource, _ in service.iam(request)] == [
        ("sagemaker:InvokeEndpoint", f"endpoint/{NAME}"),
        ("sagemaker:InvokeEndpoint", f"inference-component/{NAME}"),
    ]
