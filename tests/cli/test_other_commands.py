"""What the other commands show, and how every command tells that it cannot be carried out."""

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from typer.main import get_command
from typer.testing import Result

from local.engine import event_stream
from tests.cli.conftest import REGION, Account, serving
from tests.clock import Clock
from tests.domain.sample_runs import MODEL_ARN, PLAN, PROBLEMS, RUN_ID, STARTED, evaluation_report, run
from tests.validation.sample_reports import report
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.client import model
from tunedrop.domain import names
from tunedrop.domain.budget import Charge
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import BaseEndpoint, Deployment, RunStatus
from tunedrop.errors import TransientError
from tunedrop.validation.findings import Finding, Severity
from tunedrop_cli.main import app

Command = Callable[..., Result]
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]  # the application is a group

OTHER_ID = "zzzggzdfmztwq2lknnwg23tpoa"


def other(**changes: Any) -> Any:
    return run(RunStatus.TRAINING, run_id=OTHER_ID, created_at=STARTED + timedelta(hours=1), **changes)


def found(problem: Problem) -> Finding:
    file, _, line = problem.where.partition(":")
    return Finding(
        code=problem.code, severity=Severity.ERROR, message=problem.message, file=file, line=int(line), fix=problem.fix
    )


# ---------------------------------------------------------------- runs


def test_runs_are_listed_newest_first(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.store(other(dataset="invoices"))
    lines = tunedrop("runs").output.splitlines()
    assert [line.split()[0] for line in lines] == ["Run", OTHER_ID, RUN_ID]
    assert "TRAINING" in lines[1]
    for value in ("banking77", "PROMOTED", "12m30s", "0.963", "+0.938", "0.42 USD"):
        assert value in lines[2]


def test_runs_of_one_dataset_are_listed_alone(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.store(other(dataset="invoices"))
    output = tunedrop("runs", "--dataset", "banking77").output
    assert RUN_ID in output
    assert OTHER_ID not in output


def test_the_number_of_runs_can_be_limited(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.store(other())
    output = tunedrop("runs", "--limit", "1").output
    assert OTHER_ID in output
    assert RUN_ID not in output


@pytest.mark.usefixtures("account")
def test_no_run_is_told_with_how_to_start_one(tunedrop: Command) -> None:
    result = tunedrop("runs")
    assert result.exit_code == 0
    assert "tunedrop drop FOLDER" in result.output


def test_runs_are_told_to_programs_with_what_is_not_known_as_null(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.store(other(dataset="invoices"))
    newest, oldest = json.loads(tunedrop("runs", "--json").stdout)
    assert (newest["run_id"], newest["status"], newest["score"], newest["ended_at"]) == (
        OTHER_ID,
        "TRAINING",
        None,
        None,
    )
    assert (oldest["metric"], oldest["score"], oldest["cost_usd"]) == ("exact_match", 77 / 80, pytest.approx(0.42))
    assert oldest["gain"] == pytest.approx(75 / 80)
    assert oldest["started_at"] == "2026-11-22T09:00:00+00:00"


@pytest.mark.usefixtures("account")
def test_no_runs_are_an_empty_list_to_programs(tunedrop: Command) -> None:
    assert json.loads(tunedrop("runs", "--json").stdout) == []


# ---------------------------------------------------------------- costs


def test_a_month_s_account_is_shown_with_what_is_reserved(account: Account, tunedrop: Command) -> None:
    store = DynamoDBRunStore(account.client("dynamodb"), "runs")
    first, second = (run(RunStatus.TRAINING, run_id=run_id, charges=()) for run_id in (RUN_ID, OTHER_ID))
    for each in (first, second):
        store.create(each)
    charges = [
        Charge(month="2026-11", job_name=f"job-{name}", attempt=1, usd_per_hour=1.5, most_cents=10_00) for name in "ab"
    ]
    reserved = store.commit(first, first.model_copy(update={"charges": (charges[0],)}))
    store.commit(second, second.model_copy(update={"charges": (charges[1],)}))
    store.commit(reserved, reserved.model_copy(update={"charges": (charges[0].model_copy(update={"cents": 4_20}),)}))
    output = " ".join(tunedrop("costs", "--month", "2026-11").output.split())
    for value in ("2026-11", "spent $4.20", "$10 at most for job-b", "committed $14.20", "cap none"):
        assert value in output
    assert "job-a" not in output
    assert json.loads(tunedrop("costs", "--month", "2026-11", "--json").stdout) == {
        "month": "2026-11",
        "spent_usd": 4.2,
        "reserved_usd": {"job-b": 10.0},
        "committed_usd": 14.2,
        "cap_usd": None,
    }
    assert "cost $4.20, $10 at most" in tunedrop("show", RUN_ID).output


def test_a_month_that_is_none_is_told(account: Account, tunedrop: Command) -> None:
    assert account
    result = tunedrop("costs", "--month", "2026-13")
    assert (result.exit_code, "2026-13" in result.output) == (2, True)


@pytest.mark.usefixtures("account")
def test_what_the_adapters_raise_is_told_without_a_traceback(
    tunedrop: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def throttled(_store: DynamoDBRunStore, _month: str) -> None:
        raise TransientError("Rate exceeded")

    monkeypatch.setattr(DynamoDBRunStore, "ledger", throttled)

    result = tunedrop("costs")

    assert result.exit_code == 2
    assert result.stderr.startswith("Error: Rate exceeded")


# ---------------------------------------------------------------- show


def test_all_that_is_known_of_a_run_is_shown(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    output = tunedrop("show", RUN_ID).output
    for value in (
        RUN_ID,
        "epoch=2, lora_r=8",
        f"s3://run-files/runs/{RUN_ID}/plan.json",
        "train.jsonl (training, 80,097 bytes)",
        f"tunedrop-{RUN_ID}-a1 (Completed Completed)",
        MODEL_ARN,
        "s3://runs/answers.jsonl",
        "called through",
        "s3://drops/datasets/banking77/tune.yaml (version v9)",
        "77 of 80",
    ):
        assert value in output


def test_problems_are_shown_in_full_from_the_report(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.REJECTED))
    further = Problem(code="data.nul", message="The row holds a NUL character.", where="train.jsonl:999")
    findings = tuple(found(problem) for problem in (*PROBLEMS, further))
    counts = {"data.nul": 1995, "data.missing-field": 4, "data.not-json": 1}
    read = report(findings=findings, counts=counts)
    body = read.model_dump_json().encode()
    account.client("s3").put_object(Bucket="run-files", Key=names.report_key(RUN_ID), Body=body)
    output = tunedrop("show", "latest").output
    assert [output.count(f"train.jsonl:{line}:") for line in (3, 9, 12, 15, 40, 999)] == [1] * 6
    assert "and 1,994 more" in output


def test_a_price_is_shown_with_its_source_where_no_estimate_has_it(account: Account, tunedrop: Command) -> None:
    priced = PLAN.model_copy(update={"price_source": "AWS's Price List of 2026-11-23, on demand"})
    account.store(run(RunStatus.TRAINING, plan=priced))
    assert "7.2 USD an hour: AWS's Price List of 2026-11-23, on demand" in tunedrop("show").output


def test_what_is_left_for_a_person_to_delete_is_shown(account: Account, tunedrop: Command) -> None:
    model = Deployment(model_name="the-model", left="A policy says no.")
    base = BaseEndpoint(name="the-base-s-endpoint", since=STARTED, left="It failed 24 times.")
    account.store(run(RunStatus.NOT_PROMOTED, deployment=model, base=base))
    output = " ".join(tunedrop("show", RUN_ID).output.split())
    assert "(left, for you to delete: A policy says no.)" in output
    assert "the-base-s-endpoint (left, for you to delete: It failed 24 times.)" in output


def test_problems_are_shown_without_a_report(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.REJECTED))
    assert tunedrop("show").output.count("data.missing-field") == 4


def test_an_evaluation_is_shown_with_its_tables_and_rows_side_by_side(account: Account, tunedrop: Command) -> None:
    stored = run(RunStatus.PROMOTED)
    account.store(stored)
    key = names.evaluation_report_key(RUN_ID)
    account.client("s3").put_object(Bucket="run-files", Key=key, Body=evaluation_report().model_dump_json().encode())
    output = tunedrop("show", RUN_ID).output
    for value in (
        "gain over base",
        "exact_match *",
        "+0.400 (+0.200 to +0.600, p 0.008)",
        "0.0100 USD from a copy kept busy, 785.00 USD when each call comes alone; 12 tokens in and 3 out an answer",
        "base: Bedrock bills its own models by tokens",
        "bakery",
        "garage",
        "1 x Meals as no known label",
        "9 rows are answered differently by base and tuned model; 1 of them:",
        "Row 4: Name the account. LUNCH",
        "right  Meals | meals",
    ):
        assert value in output
    # What a model answers cannot steer the terminal, nor fill it.
    assert "\x1b" not in output
    assert "x" * 301 not in output


# ---------------------------------------------------------------- naming a run


def test_a_run_is_named_by_a_unique_beginning(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.store(other())
    assert RUN_ID in tunedrop("show", "mfr").output


def test_latest_is_the_newest_run(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.store(other())
    assert OTHER_ID in tunedrop("show", "latest").output


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("mf", '2 runs begin with "mf"'),
        ("xyz", 'No run begins with "xyz"'),
        ("a" * 26, f"There is no run {'a' * 26}"),
    ],
)
def test_a_run_that_is_not_clear_is_refused(account: Account, tunedrop: Command, reference: str, message: str) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.store(run(RunStatus.PROMOTED, run_id="mfzggzdfmztwq2lknnwg23tpoa"))
    result = tunedrop("show", reference)
    assert result.exit_code == 2
    assert message in result.output


@pytest.mark.usefixtures("account")
def test_latest_without_any_run_is_refused(tunedrop: Command) -> None:
    result = tunedrop("watch")
    assert result.exit_code == 2
    assert "There is no run yet." in result.output


def test_a_dataset_without_runs_is_named(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    assert 'There is no run of "unheard-of" yet.' in tunedrop("runs", "--dataset", "unheard-of").output


def test_an_ended_run_tells_when_it_ended_and_where_its_report_is(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED, report_uri="s3://runs/report.html"))
    shown = tunedrop("show", "latest").output
    assert "s3://runs/report.html" in shown
    assert "ended" in shown
    assert "in status for" not in shown


def test_a_record_of_another_version_is_no_traceback(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.PROMOTED))
    account.client("dynamodb").update_item(
        TableName="runs",
        Key={"id": {"S": f"run#{RUN_ID}"}},
        UpdateExpression="SET document = :document",
        ExpressionAttributeValues={":document": {"S": '{"from": "the future"}'}},
    )
    result = tunedrop("show", RUN_ID)
    assert result.exit_code == 2
    assert "another version" in result.output


# ---------------------------------------------------------------- chat


class Bedrock(ThreadingHTTPServer):
    """Describe one imported model over HTTP, and answer for it: not ready a few times, then with an answer."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Bedrock)
        self.instruct_supported = True
        self.gone = False
        self.failures: list[tuple[int, str]] = []
        self.requests: list[tuple[str, dict[str, Any]]] = []


class _Bedrock(BaseHTTPRequestHandler):
    server: Bedrock

    def do_GET(self) -> None:
        assert unquote(self.path) == f"/imported-models/{MODEL_ARN}"
        if self.server.gone:
            self._reply(404, {"message": "made up"}, {"x-amzn-ErrorType": "ResourceNotFoundException"})
            return
        model = {
            "modelArn": MODEL_ARN,
            "modelName": "tunedrop-x",
            "modelDataSource": {"s3DataSource": {"s3Uri": "s3://run-files/x/"}},
            "instructSupported": self.server.instruct_supported,
        }
        self._reply(200, model, {})

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((unquote(self.path), request))
        if self.server.failures:
            status, code = self.server.failures.pop(0)
            self._reply(status, {"message": "made up"}, {"x-amzn-ErrorType": code})
            return
        content = request["messages"][-1]["content"]
        if self.path.endswith("/invoke-with-response-stream"):
            told = {"content": [{"token": content, "logprob": -0.5}]} if request.get("logprobs") else None
            said = [
                {"choices": [{"delta": {"content": "[bold]"}}]},
                {"choices": [{"delta": {"content": content}, "logprobs": told, "finish_reason": "stop"}]},
            ]
            self._stream([("chunk", {"bytes": b64encode(json.dumps(each).encode()).decode()}) for each in said])
            return
        assert self.path.endswith("/converse-stream")
        deltas = [{"delta": {"text": text}, "contentBlockIndex": 0} for text in ("[bold]", content[0]["text"])]
        self._stream([("contentBlockDelta", delta) for delta in deltas])

    def _stream(self, events: list[tuple[str, dict[str, Any]]]) -> None:
        data = b"".join(event_stream.event(*event) for event in events)
        self.send_response(200)
        self.send_header("Content-Type", event_stream.CONTENT_TYPE)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _reply(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


@pytest.fixture
def bedrock(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bedrock]:
    account.promote("banking77", MODEL_ARN)
    server = Bedrock()
    with serving(server) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", endpoint)
        yield server


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(model, "time", clock)
    return clock


def test_the_promoted_model_answers(bedrock: Bedrock, tunedrop: Command) -> None:
    result = tunedrop("chat", "banking77", "--message", "Where is my card?", "--max-tokens", "7")
    assert result.exit_code == 0
    assert result.stdout == "[bold]Where is my card?\n"
    path, request = bedrock.requests[0]
    assert path == f"/model/{MODEL_ARN}/converse-stream"
    assert request["inferenceConfig"] == {"maxTokens": 7, "temperature": 0.0}


def test_a_model_that_converse_does_not_take_answers_through_invoke_model(bedrock: Bedrock, tunedrop: Command) -> None:
    bedrock.instruct_supported = False
    result = tunedrop("chat", "banking77", "--max-tokens", "7", input="One\nTwo\n\n")
    assert result.exit_code == 0
    assert "answers through InvokeModel" in result.stderr
    assert {path for path, _ in bedrock.requests} == {f"/model/{MODEL_ARN}/invoke-with-response-stream"}
    said = [("user", "One"), ("assistant", "[bold]One"), ("user", "Two")]
    assert bedrock.requests[-1][1] == {
        "messages": [{"role": role, "content": text} for role, text in said],
        "max_tokens": 7,
        "temperature": 0.0,
    }


def test_the_confidence_is_told_beside_the_answer(bedrock: Bedrock, tunedrop: Command) -> None:
    result = tunedrop("chat", "banking77", "--message", "Hello", "--confidence")
    assert result.stdout == "[bold]Hello\n"
    assert 'Confidence 0.607; the least sure token is "Hello" (0.607).' in result.stderr
    assert bedrock.requests[0][1]["logprobs"] is True


def test_a_cold_model_is_waited_for(bedrock: Bedrock, tunedrop: Command, clock: Clock) -> None:
    bedrock.failures = [(429, "ModelNotReadyException")] * 3
    result = tunedrop("chat", "banking77", "--message", "Hello")
    assert result.stdout == "[bold]Hello\n"
    assert result.stderr.count("warming up; this can take some minutes") == 1
    assert clock.now == 1000 + 3 * model.RETRY_SECONDS
    assert len(bedrock.requests) == 4


def test_a_model_that_stays_cold_is_given_up(bedrock: Bedrock, tunedrop: Command, clock: Clock) -> None:
    bedrock.failures = [(429, "ModelNotReadyException")] * 1000
    result = tunedrop("chat", "banking77", "--message", "Hello")
    assert result.exit_code == 2
    assert "did not get ready in 600 seconds" in result.stderr
    assert clock.now == 1000 + model.PATIENCE_SECONDS


def test_a_conversation_keeps_its_turns_until_an_empty_line(bedrock: Bedrock, tunedrop: Command) -> None:
    result = tunedrop("chat", "banking77", input="One\nTwo\n\nThree\n")
    assert result.exit_code == 0
    texts = [[turn["content"][0]["text"] for turn in request["messages"]] for _, request in bedrock.requests]
    assert texts == [["One"], ["One", "[bold]One", "Two"]]


def test_a_conversation_ends_with_the_input(bedrock: Bedrock, tunedrop: Command) -> None:
    assert tunedrop("chat", "banking77", input="One").exit_code == 0
    assert len(bedrock.requests) == 1


def test_a_promoted_model_that_is_gone_is_told(bedrock: Bedrock, tunedrop: Command) -> None:
    bedrock.gone = True
    result = tunedrop("chat", "banking77", "--message", "Hello")
    assert result.exit_code == 2
    assert f"The promoted model {MODEL_ARN} cannot be called" in result.output
    assert "tunedrop aliases banking77" in result.output


def test_another_refusal_of_bedrock_is_told_as_it_is(bedrock: Bedrock, tunedrop: Command) -> None:
    bedrock.failures = [(400, "ValidationException")]
    result = tunedrop("chat", "banking77", "--message", "Hello")
    assert result.exit_code == 2
    assert "made up" in result.output


@pytest.mark.usefixtures("account")
def test_a_dataset_without_a_promoted_model_is_told(tunedrop: Command) -> None:
    result = tunedrop("chat", "banking77", "--message", "Hello")
    assert result.exit_code == 2
    assert 'No model is promoted for the dataset "banking77" of the stack "tunedrop" yet.' in result.output
    assert "tunedrop runs --dataset banking77" in result.output


# ---------------------------------------------------------------- what stops every command


@pytest.mark.usefixtures("stacks")
def test_a_missing_stack_is_told(tunedrop: Command) -> None:
    result = tunedrop("--stack", "nowhere", "runs")
    assert result.exit_code == 2
    assert f'There is no stack "nowhere" in {REGION}.' in result.output
    assert "TUNEDROP_STACK" in result.output


def test_another_applications_stack_is_told(stacks: dict[str, dict[str, str]], tunedrop: Command) -> None:
    stacks["website"] = {"Url": "https://example.com"}
    result = tunedrop("--stack", "website", "runs")
    assert result.exit_code == 2
    assert "has no output 'DropBucketName'" in result.output


@pytest.mark.usefixtures("stacks")
def test_the_stack_is_taken_from_the_environment(tunedrop: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEDROP_STACK", "elsewhere")
    assert 'no stack "elsewhere"' in tunedrop("runs").output


def test_missing_credentials_are_told(tunedrop: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    result = tunedrop("runs")
    assert result.exit_code == 2
    assert "No usable AWS credentials were found." in result.output
    assert "aws configure" in result.output


def test_a_missing_region_is_told(tunedrop: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    result = tunedrop("runs")
    assert result.exit_code == 2
    assert "No AWS region is set." in result.output


def test_an_endpoint_that_is_not_there_is_told(tunedrop: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    result = tunedrop("runs")
    assert result.exit_code == 2
    assert "AWS cannot be reached" in result.output


# ---------------------------------------------------------------- help


def test_the_version_is_told_without_aws(tunedrop: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_REGION")
    result = tunedrop("--version")
    assert (result.exit_code, result.stdout) == (0, f"tunedrop {version('tunedrop')}\n")


@pytest.mark.parametrize(
    "name", ["train.jsonl", "train.txt", "train.csv", "train.json", "metadata.jsonl", "template.json"]
)
def test_drop_names_the_files_of_every_technique(tunedrop: Command, name: str) -> None:
    assert name in tunedrop("drop", "--help").stdout


def test_every_command_says_what_it_is_for(tunedrop: Command) -> None:
    output = tunedrop("--help").output
    for command in COMMANDS:
        assert f" {command} " in output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_examples(tunedrop: Command, command: str) -> None:
    output = tunedrop(command, "--help").output
    assert "Examples:" in output
    assert f"tunedrop {command}" in output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_in_the_readme(command: str) -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    _, _, commands = readme.partition("\n## Commands\n")
    table = commands.partition("\n## ")[0]
    assert f"| `tunedrop {command}" in table
