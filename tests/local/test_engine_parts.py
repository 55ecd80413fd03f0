"""The engine's parts that need no engine."""

from __future__ import annotations

import io
import json
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ministack.core import iam_evaluator
from ministack.services import cloudwatch, sts

from local.deploy import DeploymentError, deploy, load_template
from local.engine import embedded_metrics, iam, layers
from local.engine.sandbox import Invocation, Outcome, Sandbox

RUNTIME = Path(layers.__file__).with_name("worker_main.py")


def archive(**files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as content:
        for name, text in files.items():
            content.writestr(name.replace("__", "/").replace("_py", ".py"), text)
    return buffer.getvalue()


class TestLayers:
    def test_packages_given_as_source_are_used_as_they_are(self, tmp_path: Path) -> None:
        site = layers.layer_site(archive(thing___init___py="x = 1"), tmp_path, print)
        assert site.is_relative_to(tmp_path)
        assert [path.name for path in site.iterdir()] == ["thing"]

    def test_a_built_layer_is_used_from_its_python_folder(self, tmp_path: Path) -> None:
        assert layers.layer_site(archive(python__thing_py="x = 1"), tmp_path, print).name == "python"

    def test_requirements_that_cannot_be_installed_are_reported_and_leave_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(layers.LayerBuildError):
            layers.requirements_site(b"not a requirement !", print)
        assert [path for path in (tmp_path / "tunedrop" / "layers").iterdir() if path.is_dir()] == []

    def test_the_runtime_folder_holds_the_runtime_client_only(self) -> None:
        names = {path.name for path in layers.runtime_site().iterdir() if not path.name.endswith(".dist-info")}
        assert {"awslambdaric", "simplejson"} <= names
        assert not names & {"boto3", "botocore", "pydantic", "ministack"}


class TestIam:
    def test_sessions_are_opened_by_many_threads_at_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sts, "_sessions", {})
        for module, name in ((iam_evaluator, "enforce"), (sts, "_evict_expired_sessions")):
            monkeypatch.setattr(module, name, getattr(module, name))  # what is put in its place leaves with the test
        opened = iam.Iam(iam.Decisions(tmp_path / "decisions.jsonl"))
        usual = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(4) as threads:
                sessions = list(threads.map(lambda number: opened.session("role", f"s{number}"), range(2_000)))
        finally:
            sys.setswitchinterval(usual)

        assert sts._sessions.keys() >= {each["AWS_ACCESS_KEY_ID"] for each in sessions}


class TestSandbox:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Iterator[Callable[..., Outcome]]:
        sandboxes: list[Sandbox] = []

        def run(code: str, timeout: float = 5.0, event: object = None, *, over: bool = False) -> Outcome:
            (tmp_path / "app.py").write_text(code)
            folders = [str(tmp_path), str(layers.runtime_site())]
            sandbox = Sandbox(
                [sys.executable, "-I", "-S", str(RUNTIME), "app.handler", *folders],
                {"PATH": "/usr/bin"},
                memory_bytes=128 << 20,
                timeout=timeout,
                code_dir=tmp_path,
                tmp_dir=tmp_path / f"tmp{len(sandboxes)}",
            )
            sandboxes.append(sandbox)
            while over and sandbox.alive:
                time.sleep(0.01)
            return sandbox.invoke(Invocation("id-1", json.dumps(event).encode(), "arn:function", "Root=1"))

        yield run
        for sandbox in sandboxes:
            sandbox.stop()

    def test_an_answer_comes_back_with_what_was_printed(self, run: Callable[..., Outcome]) -> None:
        outcome = run("def handler(event, context):\n    print('one\\ntwo')\n    return event", event={"a": [1]})
        assert json.loads(outcome.payload) == {"a": [1]}
        assert [text for _, text in outcome.lines] == ["one", "two"]
        assert not outcome.failed
        assert outcome.init_seconds is not None

    def test_a_module_that_cannot_be_imported_fails_with_its_cause(self, run: Callable[..., Outcome]) -> None:
        outcome = run("import no_such_module\ndef handler(event, context): ...")
        assert outcome.failed
        assert json.loads(outcome.payload)["errorType"] == "Runtime.ImportModuleError"

    def test_a_process_that_ends_itself_is_an_exit_error(self, run: Callable[..., Outcome]) -> None:
        outcome = run("import os\ndef handler(event, context):\n    os._exit(3)")
        assert json.loads(outcome.payload) == {
            "errorType": "Runtime.ExitError",
            "errorMessage": "RequestId: id-1 Error: Runtime exited with error: exit status 3",
        }

    def test_a_process_that_is_over_before_its_first_event_is_an_exit_error(self, run: Callable[..., Outcome]) -> None:
        code = """import os, socket, time
host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
connection = socket.create_connection((host, int(port)))
connection.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.1\\r\\n\\r\\n")
time.sleep(0.5)
os._exit(3)"""
        assert json.loads(run(code, over=True).payload)["errorType"] == "Runtime.ExitError"

    def test_output_that_fills_the_pipe_does_not_block_the_function(self, run: Callable[..., Outcome]) -> None:
        outcome = run("def handler(event, context):\n    print('x' * 300_000)\n    return 1", timeout=10.0)
        assert json.loads(outcome.payload) == 1
        assert len(outcome.lines[0][1]) == 300_000


class TestTemplate:
    def test_short_function_tags_are_written_out(self, tmp_path: Path) -> None:
        path = tmp_path / "template.yaml"
        path.write_text("a: !Ref B\nb: !GetAtt C.D.E\nc: !Sub ['${x}', {x: !Ref Y}]\nd: !If [Z, 1, 2]")
        assert load_template(path) == {
            "a": {"Ref": "B"},
            "b": {"Fn::GetAtt": ["C", "D.E"]},
            "c": {"Fn::Sub": ["${x}", {"x": {"Ref": "Y"}}]},
            "d": {"Fn::If": ["Z", 1, 2]},
        }

    def test_code_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        class S3:
            def create_bucket(self, **request: object) -> None: ...

        path = tmp_path / "template.yaml"
        path.write_text("Resources: {F: {Type: AWS::Serverless::Function, Properties: {CodeUri: gone/}}}")
        with pytest.raises(DeploymentError, match="F: CodeUri gone/ does not exist"):
            deploy(lambda _: S3(), path, {}, "stack", print)


class TestEmbeddedMetrics:
    @pytest.fixture
    def recorded(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
        recorded: list[tuple[object, ...]] = []

        def store(namespace: str, name: str, dimensions: dict[str, str], at: float, unit: str, *values: object) -> None:
            recorded.append((namespace, name, dimensions, at, unit, values[1]))

        monkeypatch.setattr(cloudwatch, "_store_datum", store)
        return recorded

    def test_a_line_in_the_embedded_format_is_recorded_by_each_set_of_dimensions(
        self, recorded: list[tuple[object, ...]]
    ) -> None:
        directive = {
            "Namespace": "Here",
            "Dimensions": [["service"], ["service", "status"]],
            "Metrics": [{"Name": "Seconds", "Unit": "Seconds"}],
        }
        line = {
            "_aws": {"Timestamp": 1_700_000_000_000, "CloudWatchMetrics": [directive]},
            "service": "mine",
            "status": "DONE",
            "Seconds": [1.5, 2],
        }
        embedded_metrics.extract(json.dumps(line))
        assert recorded == [
            ("Here", "Seconds", {"service": "mine"}, 1_700_000_000, "Seconds", [1.5, 2]),
            ("Here", "Seconds", {"service": "mine", "status": "DONE"}, 1_700_000_000, "Seconds", [1.5, 2]),
        ]

    @pytest.mark.parametrize(
        "line", ["plain", '{"message": "no metric"}', '{"_aws": {"Timestamp": 1}}', '{"_aws": broken', '{"_aws": []}']
    )
    def test_any_other_line_records_nothing(self, recorded: list[tuple[object, ...]], line: str) -> None:
        embedded_metrics.extract(line)
        assert recorded == []
