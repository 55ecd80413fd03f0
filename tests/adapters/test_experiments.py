"""A run is told to MLflow once, through MLflow's REST API, and found there as it was told."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.engine.host import AwsError, Request
from local.mlflow_tracking import MlflowTracking
from tests.samples import ACCOUNT, NOW, REGION, RUN_ID
from tunedrop.adapters.mlflow import MlflowExperiments, mlflow_client
from tunedrop.domain.tracking import RUN_TAG, TrackedMetric, TrackedRun
from tunedrop.errors import TransientError

SERVER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:mlflow-tracking-server/experiments"

RUN = TrackedRun(
    experiment="tunedrop/receipts",
    run_id=RUN_ID,
    name="receipts-26bcheuv",
    status="FINISHED",
    started_at=NOW,
    ended_at=NOW + timedelta(minutes=9),
    tags={RUN_TAG: RUN_ID, "tunedrop.status": "PROMOTED", **{f"tag {number}": "x" for number in range(150)}},
    parameters={f"parameter_{number}": "1" * 600 for number in range(150)},
    metrics=tuple(TrackedMetric(name="train-loss", value=1 / (step + 1), step=step) for step in range(1200)),
)


class World:
    """The local tracking server behind a real socket, which may fail instead of answering."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.service = MlflowTracking()
        self.service.start(SimpleNamespace(data_dir=folder))  # type: ignore[arg-type]  # all that it asks for
        self.calls: list[str] = []
        self.failures: list[int] = []
        world = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, content = world.answered(self.command, path, query, dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = answer  # noqa: N815 - the name that the server calls
            do_POST = answer  # noqa: N815 - as above

            def log_message(self, *_: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{self.server.server_port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        once = Config(retries={"total_max_attempts": 1})
        self.experiments = MlflowExperiments(mlflow_client(REGION, once), SERVER)

    def answered(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        lower = {name.lower(): value for name, value in headers.items()}
        assert "/sagemaker-mlflow/aws4_request" in lower["authorization"]
        pairs = [pair.partition("=") for pair in query.split("&") if pair]
        values = {key: [value.replace("%2F", "/")] for key, _, value in pairs}
        request = Request(method, path, lower, values, body)
        [(action, resource, _)] = self.service.iam(request)
        assert resource == SERVER
        self.calls.append(action.partition(":")[2])
        if self.failures:
            return self.failures.pop(), b'{"error_code": "TEMPORARILY_UNAVAILABLE", "message": "later"}'
        response = asyncio.run(self.service.handle(request))
        assert isinstance(response.body, bytes)
        return response.status, response.body

    def kept(self) -> Any:
        """Return what MLflow's own store holds."""
        store = self.service._store()
        experiment = store.get_experiment_by_name(RUN.experiment)
        runs = store.search_runs([experiment.experiment_id], "", 1)
        assert len(runs) == 1
        return runs[0], store.get_metric_history(runs[0].info.run_id, "train-loss")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch)
    yield world
    world.server.shutdown()


def test_a_run_is_kept_as_it_was_told(world: World) -> None:
    world.experiments.track(RUN)
    run, history = world.kept()
    assert (run.info.run_name, run.info.status) == (RUN.name, "FINISHED")
    assert run.info.end_time - run.info.start_time == 9 * 60 * 1000
    assert run.data.tags.items() >= RUN.tags.items()
    assert run.data.params == dict.fromkeys(RUN.parameters, "1" * 500)
    assert [(each.step, each.value) for each in sorted(history, key=lambda each: each.step)] == [
        (each.step, pytest.approx(each.value)) for each in RUN.metrics
    ]


def test_a_run_that_is_told_twice_is_kept_once(world: World) -> None:
    world.experiments.track(RUN)
    world.calls.clear()
    world.experiments.track(RUN)
    assert world.calls == ["GetExperimentByName", "SearchRuns"]
    assert len(world.kept()[1]) == len(RUN.metrics)


def test_who_comes_after_one_that_died_goes_on_with_the_same_run(world: World) -> None:
    world.experiments.track(RUN.model_copy(update={"metrics": ()}))
    world.service._store().update_run_info(world.kept()[0].info.run_id, 1, None, None)
    world.experiments.track(RUN)
    assert len(world.kept()[1]) == len(RUN.metrics)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_is_busy_is_asked_again_later(world: World, status: int) -> None:
    world.failures = [status]
    with pytest.raises(TransientError, match="later"):
        world.experiments.track(RUN)
    world.experiments.track(RUN)
    assert world.kept()[0].info.status == "FINISHED"


def test_what_mlflow_refuses_is_told_in_its_words(world: World) -> None:
    with pytest.raises(ClientError, match="Invalid experiment name"):
        world.experiments.track(RUN.model_copy(update={"experiment": ""}))


def test_two_that_make_the_experiment_at_once_track_in_the_same_one(world: World) -> None:
    known = world.experiments.experiment
    answers = iter([None])
    world.service._store().create_experiment(RUN.experiment)
    world.experiments.experiment = lambda name: next(answers, known(name))  # type: ignore[method-assign]
    world.experiments.track(RUN)
    assert world.kept()[0].info.status == "FINISHED"


def test_aws_s_own_endpoint_is_that_of_its_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    client: Any = mlflow_client("eu-central-1", Config())
    sent: list[str] = []

    def send(request: AWSPreparedRequest, **_: object) -> None:
        sent.append(request.url)
        raise ConnectionAbortedError

    client.meta.events.register("before-send", send)
    with pytest.raises(ConnectionAbortedError):
        client.get_experiment_by_name(server_arn=SERVER, experiment_name="a b")
    base = "https://eu-central-1.experiments.sagemaker.aws/api/2.0/mlflow"
    assert sent == [f"{base}/experiments/get-by-name?experiment_name=a%20b"]


def test_a_call_that_the_local_server_lacks_is_told() -> None:
    with pytest.raises(AwsError, match="no GET metrics/get-history"):
        MlflowTracking().iam(Request("GET", "/api/2.0/mlflow/metrics/get-history", {}, {}, b""))
