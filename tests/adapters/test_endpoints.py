"""Endpoints come and go step by step, the same in memory and at SageMaker, whoever dies in between."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from botocore.exceptions import ConnectionClosedError

from local.application_autoscaling import ApplicationAutoScaling
from local.bedrock.model_server import ModelServer
from local.sagemaker.account import Account
from local.sagemaker.service import SageMaker
from local.sagemaker.settings import Settings
from tests.adapters.conftest import Script
from tests.fakes import FakeEndpoints
from tests.local.fake_host import ROLE, FakeHost, connect, eventually, fake_host
from tests.samples import (
    ARTIFACT_URI,
    BASE_ENDPOINT,
    ENDPOINT_ARN,
    ENDPOINT_NAME,
    HOSTING,
    NOW,
    RUN_BUCKET,
    STACK,
    hosted_run,
)
from tunedrop.adapters.endpoints import SageMakerEndpoints
from tunedrop.domain import names
from tunedrop.domain.endpoint_requests import EndpointRequests, base_endpoint_requests, endpoint_requests
from tunedrop.errors import (
    ModelUnavailableError,
    QuotaExceededError,
    RequestDeniedError,
    RequestRefusedError,
    TransientError,
)
from tunedrop.ports import Endpoints, EndpointState

SERVICE = "sagemaker"
HOUR = timedelta(hours=1)


def wanted(name: str = ENDPOINT_NAME) -> EndpointRequests:
    return endpoint_requests(hosted_run(), name, stack=STACK, role_arn=ROLE)


class World(Protocol):
    """One of two ways to have endpoints, and what AWS and users do with them."""

    endpoints: Endpoints

    def settle(self) -> None:
        """Let SageMaker finish what it is at."""

    def fail(self) -> None:
        """Let SageMaker have no instance for an endpoint that it is asked for."""

    def call(self, *, answered: bool = True) -> None:
        """Call the model an hour after `NOW`; what has no copy does not answer."""


class Memory:
    """The fake."""

    def __init__(self) -> None:
        self.endpoints = FakeEndpoints()
        self._short = False

    def settle(self) -> None:
        for name, stage in list(self.endpoints.stages.items()):
            if stage in ("making", "loading"):
                self.endpoints.finish(name, "InsufficientInstanceCapacity" if self._short else "")

    def fail(self) -> None:
        self._short = not self._short

    def call(self, *, answered: bool = True) -> None:  # noqa: ARG002 - the fake counts all calls alike
        self.endpoints.called[ENDPOINT_NAME] = NOW + HOUR


class Host(FakeHost):
    """A host whose Application Auto Scaling is the local one."""

    scaling: ApplicationAutoScaling

    def client(self, service: str, role_arn: str | None = None) -> Any:
        if service == "application-autoscaling":
            return connect(self.scaling, service)
        return super().client(service, role_arn)


class Local:
    """The adapter at the local SageMaker, whose models are not loaded here: that is `tests/local`'s to test."""

    def __init__(self, host: Host, service: SageMaker) -> None:
        self._host = host
        self.sagemaker = connect(service, "sagemaker")
        self.scaling = host.client("application-autoscaling")
        self.cloudwatch = host.client("cloudwatch")
        self.s3 = host.client("s3")
        self.losing = False
        """Whether the first answer to each kind of write is lost, and the worker dies of it."""
        self.lost: set[str] = set()
        clients = connect(service, "sagemaker"), host.client("application-autoscaling"), host.client("cloudwatch")
        for client in clients:
            client.meta.events.register("after-call", self._called)
        self.endpoints = SageMakerEndpoints(*clients)

    def _called(self, model: Any, **_: Any) -> None:
        if self.losing and model.name not in self.lost and not model.name.startswith(("Describe", "List")):
            self.lost.add(model.name)
            raise ConnectionClosedError(endpoint_url="https://aws")

    def settle(self) -> None:
        eventually(lambda: not self._changing())

    def _changing(self) -> bool:
        return any(
            each[status] in ("Creating", "Updating")
            for each, status in (
                *((each, "EndpointStatus") for each in self.sagemaker.list_endpoints()["Endpoints"]),
                *(
                    (each, "InferenceComponentStatus")
                    for each in self.sagemaker.list_inference_components()["InferenceComponents"]
                ),
            )
        )

    def fail(self) -> None:
        short = not Account.read(self._host.data_dir).no_capacity
        Account(no_capacity=frozenset({HOSTING.instance_type} if short else ())).write(self._host.data_dir)

    def call(self, *, answered: bool = True) -> None:
        metric = {
            "MetricName": "Invocations" if answered else "NoCapacityInvocationFailures",
            "Dimensions": [{"Name": "InferenceComponentName", "Value": ENDPOINT_NAME}],
            "Timestamp": NOW + HOUR,
            "Value": 1.0,
        }
        self.cloudwatch.put_metric_data(Namespace="AWS/SageMaker", MetricData=[metric])

    @staticmethod
    def arn(name: str) -> str:
        return ENDPOINT_ARN.replace(ENDPOINT_NAME, name)

    def left(self) -> list[str]:
        """Name all that there is."""
        return [
            *(f"model {each['ModelName']}" for each in self.sagemaker.list_models()["Models"]),
            *(
                f"config {each['EndpointConfigName']}"
                for each in self.sagemaker.list_endpoint_configs()["EndpointConfigs"]
            ),
            *(f"endpoint {each['EndpointName']}" for each in self.sagemaker.list_endpoints()["Endpoints"]),
            *(
                f"component {each['InferenceComponentName']}"
                for each in self.sagemaker.list_inference_components()["InferenceComponents"]
            ),
            *(
                f"target {each['ResourceId']}"
                for each in self.scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"]
            ),
            *(
                f"policy {each['PolicyName']}"
                for each in self.scaling.describe_scaling_policies(ServiceNamespace="sagemaker")["ScalingPolicies"]
            ),
            *(f"alarm {each['AlarmName']}" for each in self.cloudwatch.describe_alarms()["MetricAlarms"]),
        ]


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    for name in ("load", "unload"):
        monkeypatch.setattr(ModelServer, name, lambda _server, _folder: None)
    with fake_host(tmp_path) as plain:
        host = Host(plain.data_dir, plain.work_dir)
        host.scaling = ApplicationAutoScaling()
        host.scaling.start(host)
        s3 = host.client("s3")
        s3.create_bucket(Bucket=RUN_BUCKET)
        s3.put_object(
            Bucket=RUN_BUCKET, Key=f"{ARTIFACT_URI.removeprefix(f's3://{RUN_BUCKET}/')}config.json", Body=b"{}"
        )
        service = SageMaker(Settings(event_copies=1))
        service.start(host)
        yield Local(host, service)
        service.stop()


@pytest.fixture(params=["memory", "sagemaker"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return Memory()
    local: Local = request.getfixturevalue("local")
    return local


def bring_up(world: World, name: str = ENDPOINT_NAME) -> EndpointState:
    """Look until it is in service, or has failed."""
    while (state := world.endpoints.bring_up(wanted(name))).status == "coming":
        world.settle()
    return state


def take_down(world: World, name: str = ENDPOINT_NAME) -> None:
    while not world.endpoints.take_down(name):
        world.settle()


def names_of(world: World, prefix: str) -> set[str]:
    return {name for name, _ in world.endpoints.models(prefix)}


def test_an_endpoint_then_its_component_then_it_is_in_service_and_stays_so(world: World) -> None:
    assert names_of(world, f"{STACK}-") == set()
    for _ in range(2):
        state = world.endpoints.bring_up(wanted())
        assert (state.status, state.model_arn) == ("coming", None)
        assert state.reason
        world.settle()
    for _ in range(2):
        state = world.endpoints.bring_up(wanted())
        assert (state.status, state.model_arn) == ("in-service", ENDPOINT_ARN)


def test_endpoints_are_found_by_how_their_names_begin(world: World) -> None:
    for name in (ENDPOINT_NAME, f"not-{ENDPOINT_NAME}"):
        world.endpoints.bring_up(wanted(name))
    assert names_of(world, f"{STACK}-") == {ENDPOINT_NAME}


def test_a_model_is_told_by_where_its_weights_lie_until_it_is_taken_down(world: World) -> None:
    bring_up(world)
    model = world.endpoints.model(ENDPOINT_ARN)
    assert (model.arn, model.name, model.source_uri) == (ENDPOINT_ARN, ENDPOINT_NAME, ARTIFACT_URI)
    assert not model.instruct_supported
    take_down(world)
    with pytest.raises(ModelUnavailableError, match=ENDPOINT_NAME):
        world.endpoints.model(ENDPOINT_ARN)


def test_an_endpoint_without_its_component_has_no_model(world: World) -> None:
    world.endpoints.bring_up(wanted())
    world.settle()
    with pytest.raises(ModelUnavailableError):
        world.endpoints.model(ENDPOINT_ARN)


@pytest.mark.parametrize("looks", range(4))
def test_whatever_there_is_is_taken_down_and_may_be_brought_up_again(world: World, looks: int) -> None:
    for _ in range(looks):
        world.endpoints.bring_up(wanted())
        world.settle()
    take_down(world)
    assert names_of(world, f"{STACK}-") == set()
    assert world.endpoints.take_down(ENDPOINT_NAME)
    assert bring_up(world).status == "in-service"


def test_a_base_model_s_endpoint_is_not_scaled(local: Local) -> None:
    run = hosted_run()
    assert run.plan
    evaluation = run.plan.evaluation.model_copy(update={"base_endpoint": BASE_ENDPOINT})
    run = run.model_copy(update={"plan": run.plan.model_copy(update={"evaluation": evaluation})})
    name = names.base_endpoint(STACK, run.run_id)
    requests = base_endpoint_requests(run, name, stack=STACK, role_arn=ROLE)
    s3 = local.s3
    s3.create_bucket(Bucket="jumpstart")
    s3.put_object(Bucket="jumpstart", Key="base/config.json", Body=b"{}")
    while local.endpoints.bring_up(requests).status == "coming":
        local.settle()
    assert local.left() == [f"{kind} {name}" for kind in ("model", "config", "endpoint", "component")]
    assert local.endpoints.model(local.arn(name)).source_uri == BASE_ENDPOINT.weights_uri
    done(local, lambda: local.endpoints.take_down(name))
    assert local.left() == []


def test_one_is_taken_down_and_the_other_stays(world: World) -> None:
    other = f"{STACK}-{'b' * 26}"
    for name in (ENDPOINT_NAME, other):
        bring_up(world, name)
    take_down(world)
    assert names_of(world, f"{STACK}-") == {other}
    assert world.endpoints.bring_up(wanted(other)).status == "in-service"


def test_what_failed_says_why_and_can_be_made_anew(world: World) -> None:
    world.fail()
    state = bring_up(world)
    assert (state.status, state.model_arn) == ("failed", None)
    assert "InsufficientInstanceCapacity" in state.reason
    assert world.endpoints.bring_up(wanted()).status == "failed"
    take_down(world)
    world.fail()
    assert bring_up(world).status == "in-service"


def test_what_failed_is_cleared_away_and_made_anew(world: World) -> None:
    world.fail()
    assert bring_up(world).status == "failed"
    world.endpoints.clear(ENDPOINT_NAME)
    assert names_of(world, f"{STACK}-") == {ENDPOINT_NAME}
    world.fail()
    assert bring_up(world).status == "in-service"


def test_what_has_not_failed_is_not_cleared_away(world: World) -> None:
    for _ in range(2):
        world.endpoints.clear(ENDPOINT_NAME)
        world.endpoints.bring_up(wanted())
        world.endpoints.clear(ENDPOINT_NAME)
        world.settle()
    world.endpoints.clear(ENDPOINT_NAME)
    assert world.endpoints.bring_up(wanted()).status == "in-service"


@pytest.mark.parametrize("answered", [True, False])
def test_calls_are_counted_in_the_time_that_is_asked_for(world: World, *, answered: bool) -> None:
    bring_up(world)
    called = world.endpoints.called_since
    assert not called(ENDPOINT_NAME, NOW, NOW + 3 * HOUR)
    world.call(answered=answered)
    assert called(ENDPOINT_NAME, NOW, NOW + 3 * HOUR)
    assert not called(ENDPOINT_NAME, NOW + 2 * HOUR, NOW + 3 * HOUR)
    assert not called(f"{ENDPOINT_NAME}-b", NOW, NOW + 3 * HOUR)


ALL = sorted(
    [
        *(f"{kind} {ENDPOINT_NAME}" for kind in ("model", "config", "endpoint", "component")),
        f"target inference-component/{ENDPOINT_NAME}",
        *(f"policy {ENDPOINT_NAME}-{policy}" for policy in ("load", "from-zero")),
        *(f"alarm {ENDPOINT_NAME}-{alarm}" for alarm in ("from-zero", "errors")),
    ]
)


def done(local: Local, work: Callable[[], bool]) -> None:
    """Do the work as often as it takes."""
    while True:
        try:
            if work():
                return
        except TransientError:
            continue
        local.settle()


def test_whoever_dies_after_any_write_leaves_one_of_each_and_then_nothing(local: Local) -> None:
    local.losing = True
    done(local, lambda: local.endpoints.bring_up(wanted()).status == "in-service")
    assert sorted(local.left()) == ALL
    done(local, lambda: local.endpoints.take_down(ENDPOINT_NAME))
    assert local.left() == []
    kinds = ("Model", "EndpointConfig", "Endpoint", "InferenceComponent")
    assert local.lost == {
        *(f"{deed}{kind}" for kind in kinds for deed in ("Create", "Delete")),
        *("RegisterScalableTarget", "PutScalingPolicy", "PutMetricAlarm"),
        *("DeleteScalingPolicy", "DeregisterScalableTarget", "DeleteAlarms"),
    }


def test_what_was_made_again_of_a_run_that_has_ended_is_gone_after_one_look(local: Local) -> None:
    for looks in range(3):
        for _ in range(looks):
            local.endpoints.bring_up(wanted())
            local.settle()
        local.endpoints.take_down(ENDPOINT_NAME)
        assert local.left() == []


# ---------------------------------------------------------------- what the local SageMaker does not say


class Written:
    """The adapter at clients whose answers the test writes itself."""

    def __init__(self, sagemaker: Script) -> None:
        self.sagemaker = sagemaker
        self.scaling, self.cloudwatch = Script("application-autoscaling"), Script("cloudwatch")
        self.endpoints = SageMakerEndpoints(sagemaker.client, self.scaling.client, self.cloudwatch.client)

    def nothing_scaled(self) -> None:
        """Answer who looks what to stop before a deletion."""
        self.scaling.answers("describe_scaling_policies", {"ScalingPolicies": []})
        self.scaling.fails("deregister_scalable_target", "ObjectNotFoundException")
        for alarm in ("from-zero", "errors"):
            self.cloudwatch.answers("delete_alarms", {}, {"AlarmNames": [f"{ENDPOINT_NAME}-{alarm}"]})

    def missing(self, kind: str) -> None:
        self.sagemaker.fails(f"describe_{kind}", "ValidationException", f"Could not find {kind}.")

    def endpoint(self, status: str) -> None:
        described = {
            "EndpointName": ENDPOINT_NAME,
            "EndpointArn": ENDPOINT_ARN.replace("inference-component", "endpoint"),
            "EndpointConfigName": ENDPOINT_NAME,
            "EndpointStatus": status,
            "CreationTime": NOW,
            "LastModifiedTime": NOW,
        }
        self.sagemaker.answers("describe_endpoint", described, {"EndpointName": ENDPOINT_NAME})

    def component(self, status: str) -> None:
        described = {
            "InferenceComponentName": ENDPOINT_NAME,
            "InferenceComponentArn": ENDPOINT_ARN,
            "EndpointName": ENDPOINT_NAME,
            "EndpointArn": ENDPOINT_ARN.replace("inference-component", "endpoint"),
            "InferenceComponentStatus": status,
            "CreationTime": NOW,
            "LastModifiedTime": NOW,
        }
        self.sagemaker.answers("describe_inference_component", described)


@pytest.fixture
def written(script: Script) -> Iterator[Written]:
    written = Written(script)
    yield written
    written.scaling.is_over()
    written.cloudwatch.is_over()


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("ResourceLimitExceeded", 400, QuotaExceededError),
        ("ValidationException", 400, RequestRefusedError),
        ("AccessDeniedException", 403, RequestDeniedError),
        ("ThrottlingException", 400, TransientError),
        ("InternalFailure", 500, TransientError),
    ],
)
def test_what_sagemaker_says_is_told_apart_by_what_to_do(
    written: Written, code: str, status: int, cause: type[Exception]
) -> None:
    written.missing("endpoint")
    written.missing("model")
    written.sagemaker.fails("create_model", code, "The account-level limit is 0.", status)
    with pytest.raises(cause, match="The account-level limit is 0"):
        written.endpoints.bring_up(wanted())


def test_what_another_worker_made_meanwhile_counts_as_made(written: Written) -> None:
    written.missing("endpoint")
    for kind in ("model", "endpoint_config"):
        written.missing(kind)
        written.sagemaker.fails(f"create_{kind}", "ValidationException", f"Cannot create already existing {kind}.")
    written.sagemaker.fails("create_endpoint", "ValidationException", "Cannot create already existing endpoint.")
    assert written.endpoints.bring_up(wanted()).status == "coming"


def test_two_that_scale_at_once_try_again(written: Written) -> None:
    written.endpoint("InService")
    written.component("InService")
    written.scaling.fails("register_scalable_target", "ConcurrentUpdateException")
    with pytest.raises(TransientError):
        written.endpoints.bring_up(wanted())


@pytest.mark.parametrize("status", ["Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"])
def test_an_endpoint_on_its_way_is_waited_for(written: Written, status: str) -> None:
    written.endpoint(status)
    state = written.endpoints.bring_up(wanted())
    assert state.status == "coming"
    assert status in state.reason


@pytest.mark.parametrize("status", ["Failed", "OutOfService", "UpdateRollbackFailed"])
def test_an_endpoint_that_will_not_come_is_deleted_with_all_that_is_free(written: Written, status: str) -> None:
    written.endpoint(status)
    assert written.endpoints.bring_up(wanted()).status == "failed"
    written.nothing_scaled()
    written.missing("inference_component")
    written.endpoint(status)
    written.sagemaker.answers("delete_endpoint", {}, {"EndpointName": ENDPOINT_NAME})
    written.endpoint("Deleting")
    for kind, named in (("endpoint_config", "EndpointConfigName"), ("model", "ModelName")):
        written.sagemaker.answers(f"delete_{kind}", {}, {named: ENDPOINT_NAME})
    assert not written.endpoints.take_down(ENDPOINT_NAME)


def test_an_endpoint_that_is_being_made_keeps_its_configuration_until_it_can_be_deleted(written: Written) -> None:
    written.nothing_scaled()
    written.missing("inference_component")
    written.endpoint("Creating")
    assert not written.endpoints.take_down(ENDPOINT_NAME)


def test_an_endpoint_outlives_its_component(written: Written) -> None:
    for status in ("Updating", "Deleting"):
        written.nothing_scaled()
        written.component(status)
        written.component(status)
        assert not written.endpoints.take_down(ENDPOINT_NAME)


def test_an_alarm_that_is_gone_counts_as_deleted(written: Written) -> None:
    written.scaling.answers("describe_scaling_policies", {"ScalingPolicies": []})
    written.scaling.answers("deregister_scalable_target", {})
    for _ in range(2):
        written.cloudwatch.fails("delete_alarms", "ResourceNotFound", status=404)
    for kind in ("inference_component", "endpoint"):
        written.missing(kind)
    for kind in ("endpoint_config", "model"):
        written.sagemaker.fails(f"delete_{kind}", "ValidationException", f"Could not find {kind}.")
    assert written.endpoints.take_down(ENDPOINT_NAME)


@pytest.mark.parametrize(
    ("code", "cause"), [("AccessDeniedException", RequestDeniedError), ("ThrottlingException", TransientError)]
)
def test_a_deletion_that_must_not_or_cannot_be_is_loud(written: Written, code: str, cause: type[Exception]) -> None:
    written.nothing_scaled()
    written.component("InService")
    written.sagemaker.fails("delete_inference_component", code, "AWS says so.")
    with pytest.raises(cause, match="AWS says so"):
        written.endpoints.take_down(ENDPOINT_NAME)


def test_a_refused_look_is_not_taken_for_a_missing_endpoint(written: Written) -> None:
    written.sagemaker.fails("describe_endpoint", "AccessDeniedException", status=403)
    with pytest.raises(RequestDeniedError):
        written.endpoints.bring_up(wanted())


def test_endpoints_are_found_on_every_page(written: Written) -> None:
    asked = {"NameContains": f"{STACK}-"}
    pages = [[f"{STACK}-a", f"not-{STACK}-b"], [f"{STACK}-c"]]
    first, second = ([_summary(name) for name in page] for page in pages)
    written.sagemaker.answers("list_models", {"Models": first, "NextToken": "next"}, asked)
    written.sagemaker.answers("list_models", {"Models": second}, asked | {"NextToken": "next"})
    assert list(written.endpoints.models(f"{STACK}-")) == [(f"{STACK}-a", NOW), (f"{STACK}-c", NOW)]


def _summary(name: str) -> dict[str, Any]:
    return {
        "ModelName": name,
        "ModelArn": f"arn:aws:sagemaker:us-east-1:123456789012:model/{name}",
        "CreationTime": NOW,
    }
