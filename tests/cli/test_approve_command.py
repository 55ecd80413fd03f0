"""A person's answer goes over the bus to the function that records it, and the command tells what became of it."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient
from typer.testing import Result

from tests.cli.conftest import STACK, Account
from tests.deployment import Context, load
from tests.domain.sample_runs import RUN_ID, run
from tests.stack import environment
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.bootstrap import Application
from tunedrop.domain.decide import decide
from tunedrop.domain.observations import ApprovalRefused, Approved
from tunedrop.domain.run import Approval, Run, RunStatus
from tunedrop.observability import ObservedRuns
from tunedrop.settings import Settings
from tunedrop_cli.commands import approve

Command = Callable[..., Result]
ME = "arn:aws:sts::123456789012:user/moto"


class Bus:
    """Take EventBridge's place: hand each event to the real function at once, unless it is lost."""

    def __init__(self, patch: pytest.MonkeyPatch, store: DynamoDBRunStore) -> None:
        self.entries: list[dict[str, Any]] = []
        self.lost = False
        self.failure: dict[str, str] | None = None
        self.before: Callable[[], None] = lambda: None
        self._module = load("record_approval")
        application = Application(Settings.from_environment(environment("record_approval")))
        vars(application)["runs"] = ObservedRuns(store)
        patch.setattr(self._module, "application", application)
        self._real = BaseClient._make_api_call
        bus = self

        def call(client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            return (
                bus.put(arguments["Entries"]) if operation == "PutEvents" else bus._real(client, operation, arguments)
            )

        patch.setattr(BaseClient, "_make_api_call", call)

    def put(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        if self.failure:
            return {"FailedEntryCount": 1, "Entries": [self.failure]}
        self.before()
        self.entries += entries
        for entry in [] if self.lost else entries:
            event = {"detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
            self._module.handler(event, Context())
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]}


@pytest.fixture
def store(account: Account) -> DynamoDBRunStore:
    return DynamoDBRunStore(account.client("dynamodb"), "runs")


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch, store: DynamoDBRunStore) -> Bus:
    monkeypatch.setattr(approve, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(approve, "RECORD_SECONDS", 0.05)
    return Bus(monkeypatch, store)


def waiting(lapses_in: timedelta = timedelta(hours=1)) -> Run:
    asked = Approval(most_cents=7_44, limit_cents=5_00, lapses_at=datetime.now(UTC) + lapses_in)
    return run(RunStatus.AWAITING_APPROVAL, approval=asked)


def now_stored(store: DynamoDBRunStore) -> Run:
    found = store.get(RUN_ID)
    assert found
    return found


def test_an_approved_run_is_launched_and_remembers_who_approved(
    bus: Bus, store: DynamoDBRunStore, tunedrop: Command
) -> None:
    store.create(waiting())
    result = tunedrop("approve", RUN_ID[:8])
    assert result.exit_code == 0
    (entry,) = bus.entries
    assert (entry["EventBusName"], entry["Source"], entry["DetailType"]) == (STACK, "tunedrop.user", "Approval Given")
    detail = json.loads(entry["Detail"])
    assert (detail["run_id"], detail["requested_by"]) == (RUN_ID, ME)
    assert now_stored(store).status is RunStatus.LAUNCHING
    assert "It may cost $7.44" in result.output
    assert f"LAUNCHING  Approved by {ME} on " in result.output
    assert f"tunedrop watch {RUN_ID}" in result.output
    shown = tunedrop("show", RUN_ID).output
    assert f"Approved by {ME} on " in shown


def test_a_run_is_rejected_with_the_reason(bus: Bus, store: DynamoDBRunStore, tunedrop: Command) -> None:
    store.create(waiting())
    result = tunedrop("reject", RUN_ID, "--reason", "Try the small model first.")
    assert result.exit_code == 0
    assert json.loads(bus.entries[0]["Detail"])["reason"] == "Try the small model first."
    assert now_stored(store).status is RunStatus.REJECTED
    assert f"REJECTED  Refused by {ME} on " in result.output
    assert ": Try the small model first." in result.output
    assert "tunedrop watch" not in result.output


@pytest.mark.parametrize(
    ("command", "first", "said"),
    [
        ("approve", ApprovalRefused(by="arn:aws:iam::1:user/other"), "Refused by arn:aws:iam::1:user/other"),
        ("reject", Approved(by="arn:aws:iam::1:user/other"), "Approved by arn:aws:iam::1:user/other"),
    ],
)
def test_who_is_overtaken_by_another_answer_is_told_so(
    bus: Bus, store: DynamoDBRunStore, tunedrop: Command, command: str, first: Approved | ApprovalRefused, said: str
) -> None:
    store.create(waiting())

    def overtake() -> None:
        before = now_stored(store)
        store.commit(before, decide(before, first, datetime.now(UTC)).run)

    bus.before = overtake
    result = tunedrop(command, RUN_ID)
    assert result.exit_code == 1
    assert said in result.output


def test_an_approval_that_comes_too_late_is_told_to_have_lapsed(
    bus: Bus, store: DynamoDBRunStore, tunedrop: Command
) -> None:
    store.create(waiting(lapses_in=timedelta(0)))
    result = tunedrop("approve", RUN_ID)
    assert result.exit_code == 1
    assert len(bus.entries) == 1
    assert "REJECTED" in result.output
    assert "Nobody approved the training before" in result.output


@pytest.mark.parametrize("command", ["approve", "reject"])
def test_a_run_that_waits_for_no_approval_is_left_alone(
    bus: Bus, store: DynamoDBRunStore, tunedrop: Command, command: str
) -> None:
    approved = decide(waiting(), Approved(by=ME), datetime.now(UTC)).run
    store.create(approved)
    result = tunedrop(command, RUN_ID)
    assert result.exit_code == 2
    assert f"Run {RUN_ID} is LAUNCHING and waits for no approval. Approved by {ME} on " in result.output
    assert bus.entries == []


def test_a_run_that_is_not_there_is_named(bus: Bus, tunedrop: Command) -> None:
    result = tunedrop("approve", RUN_ID)
    assert result.exit_code == 2
    assert f"There is no run {RUN_ID}." in result.output
    assert bus.entries == []


@pytest.mark.parametrize("reason", ["x" * 301, "two\nlines"], ids=["long", "lines"])
def test_a_reason_that_cannot_be_shown_is_refused_before_it_is_sent(
    bus: Bus, store: DynamoDBRunStore, tunedrop: Command, reason: str
) -> None:
    store.create(waiting())
    result = tunedrop("reject", RUN_ID, "--reason", reason)
    assert result.exit_code == 2
    assert "one printable line of 300 characters" in result.output
    assert bus.entries == []


def test_an_answer_that_is_not_recorded_is_told_with_where_to_look(
    bus: Bus, store: DynamoDBRunStore, tunedrop: Command
) -> None:
    store.create(waiting())
    bus.lost = True
    result = tunedrop("approve", RUN_ID)
    assert result.exit_code == 2
    assert "is not recorded" in result.output
    assert "dead-letter queue" in result.output


def test_an_event_that_eventbridge_does_not_take_is_told(bus: Bus, store: DynamoDBRunStore, tunedrop: Command) -> None:
    store.create(waiting())
    bus.failure = {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
    result = tunedrop("approve", RUN_ID)
    assert result.exit_code == 2
    assert "EventBridge did not take the request: InternalFailure try again" in result.output
