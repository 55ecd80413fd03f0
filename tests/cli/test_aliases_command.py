"""Champions are listed, and wishes reach the application's bus; what it answers is told."""

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser import parse
from typer.testing import Result

from tests.cli.conftest import OUTPUTS, STACK, Account, serving
from tests.samples import ALIAS_PUBLISHED, DATASET, MODEL_ARN, RUN_ID, observed, run_in, scored
from tests.stack import sample
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.contracts.events import PromotionRequested as Wish
from tunedrop.domain.observations import PromotionRequested, PromotionWanted, RetirementWanted
from tunedrop.domain.run import Run, RunStatus
from tunedrop_cli import wishes

Command = Callable[..., Result]
SECOND = "b" * 26


class Application:
    """The deployed application, as far as a wish meets it: it answers while the command sleeps."""

    def __init__(self, account: Account) -> None:
        self.store = DynamoDBRunStore(account.client("dynamodb"), OUTPUTS["RunsTableName"])
        self.wishes: list[Wish] = []
        self.missing = ""
        self.answers = True
        self._answered = 0

    def promoted(self, run_id: str, instead_of: str | None) -> Run:
        run = observed(run_in(RunStatus.EVALUATING), scored(passed=True)).model_copy(update={"run_id": run_id})
        self.store.create(run)
        for seen in (PromotionWanted(instead_of=instead_of), ALIAS_PUBLISHED):
            run = self.store.commit(run, observed(run, seen, after=timedelta(hours=1)))
        return run

    def sleep(self, _seconds: float) -> None:
        for wish in self.wishes[self._answered :] if self.answers else []:
            self._answer(wish)
        self._answered = len(self.wishes)

    def put(self, entry: dict[str, str]) -> dict[str, str]:
        """Be EventBridge."""
        if entry["EventBusName"] != OUTPUTS["EventBusName"]:
            return {"ErrorCode": "NotFound", "ErrorMessage": "There is no such bus."}
        event = {"source": entry["Source"], "detail-type": entry["DetailType"], "detail": json.loads(entry["Detail"])}
        assert event["source"] == sample("tunedrop.user/promotion-requested.rollback")["source"]
        self.wishes.append(parse(event=event, model=Wish))
        return {"EventId": "1"}

    def _answer(self, wish: Wish) -> None:
        run = self.store.get(wish.detail.run_id)
        assert run
        asked = PromotionRequested(
            request=wish.detail.request_id,
            by=wish.detail.requested_by,
            instead_of=wish.detail.instead_of or None,
            missing=self.missing,
        )
        run = self.store.commit(run, observed(run, asked, after=timedelta(hours=1)))
        if run.promotion and run.promotion.request == wish.detail.request_id:
            self.store.commit(run, observed(run, ALIAS_PUBLISHED))


class _PutEvents(BaseHTTPRequestHandler):
    server: "EventBridge"

    def do_POST(self) -> None:
        assert self.headers["X-Amz-Target"] == "AWSEvents.PutEvents"
        entries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["Entries"]
        answers = [self.server.application.put(entry) for entry in entries]
        failed = sum("ErrorCode" in each for each in answers)
        answer = json.dumps({"FailedEntryCount": failed, "Entries": answers}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: Any) -> None:
        """Keep the tests' output clean."""


class EventBridge(ThreadingHTTPServer):
    """Take events; moto would hand them on only with a package more."""

    def __init__(self, application: Application) -> None:
        super().__init__(("127.0.0.1", 0), _PutEvents)
        self.application = application


@pytest.fixture
def application(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Application]:
    application = Application(account)
    monkeypatch.setattr(wishes.time, "sleep", application.sleep)
    with serving(EventBridge(application)) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", endpoint)
        yield application


@pytest.fixture
def two_champions(application: Application) -> Application:
    application.promoted(RUN_ID, instead_of=None)
    application.promoted(SECOND, instead_of=RUN_ID)
    return application


def test_champions_are_listed(two_champions: Application, tunedrop: Command) -> None:
    assert two_champions
    _, row = tunedrop("aliases").output.splitlines()
    for value in (DATASET, SECOND, "evaluation", MODEL_ARN):
        assert value in row


def test_no_champion_at_all_is_told(account: Account, tunedrop: Command) -> None:
    assert account
    assert "No model is promoted yet" in tunedrop("aliases").output


def test_a_history_tells_who_was_champion_when_and_what_became_of_the_model(
    two_champions: Application, tunedrop: Command
) -> None:
    first = two_champions.store.get(RUN_ID)
    assert first
    two_champions.store.commit(first, observed(first, RetirementWanted(because="Run x needed its place.")))
    _, now, before = tunedrop("aliases", DATASET).output.splitlines()
    for value in (SECOND, "now", "evaluation", "0.900", "kept"):
        assert value in now
    for value in (RUN_ID, "being deleted: Run x needed its place."):
        assert value in before


def test_a_rollback_asks_for_the_former_champion_in_the_caller_s_name(
    two_champions: Application, tunedrop: Command
) -> None:
    result = tunedrop("rollback", DATASET)
    assert result.exit_code == 0
    assert f"The model of run {RUN_ID} answers" in result.output
    (wish,) = two_champions.wishes
    assert (wish.detail.run_id, wish.detail.instead_of) == (RUN_ID, SECOND)
    assert wish.detail.requested_by.startswith("arn:aws:")
    champion = two_champions.store.alias(DATASET).champion
    assert champion
    assert (champion.run_id, champion.by) == (RUN_ID, wish.detail.requested_by)
    assert tunedrop("rollback", DATASET).exit_code == 0
    assert [each.run_id for each in two_champions.store.alias(DATASET).history] == [RUN_ID, SECOND, RUN_ID, SECOND]


def test_a_run_is_promoted_by_the_beginning_of_its_id(two_champions: Application, tunedrop: Command) -> None:
    assert tunedrop("promote", DATASET, RUN_ID[:8]).exit_code == 0
    champion = two_champions.store.alias(DATASET).champion
    assert champion
    assert champion.run_id == RUN_ID
    shown = tunedrop("show", RUN_ID).output
    assert f"by {champion.by}" in shown
    assert f"run {SECOND}" in shown


def test_the_first_champion_may_be_chosen_by_hand(application: Application, tunedrop: Command) -> None:
    application.store.create(run_in(RunStatus.NOT_PROMOTED))
    assert tunedrop("promote", DATASET, RUN_ID).exit_code == 0
    assert application.wishes[0].detail.instead_of == ""


def test_what_is_refused_is_told_with_the_reason(two_champions: Application, tunedrop: Command) -> None:
    two_champions.missing = "Bedrock does not have its imported model: it could not be found."
    result = tunedrop("rollback", DATASET)
    assert result.exit_code == 2
    assert "Not promoted: Bedrock does not have its imported model" in result.output


def test_a_bus_that_takes_no_event_is_told(
    two_champions: Application, stacks: dict[str, dict[str, str]], tunedrop: Command
) -> None:
    stacks[STACK] = OUTPUTS | {"EventBusName": "another"}
    result = tunedrop("rollback", DATASET)
    assert result.exit_code == 2
    assert "There is no such bus." in result.output
    assert two_champions.wishes == []


def test_a_wish_that_nobody_answers_is_given_up(
    two_champions: Application, tunedrop: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_champions.answers = False
    monkeypatch.setattr(wishes, "PATIENCE_SECONDS", 0.2)
    result = tunedrop("rollback", DATASET)
    assert result.exit_code == 2
    assert "not answered" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rollback", "unheard-of"), "No model is promoted"),
        (("rollback", DATASET), "one champion only"),
        (("promote", DATASET, RUN_ID), "is the champion"),
        (("promote", "unheard-of", RUN_ID), "has no run"),
        (("promote", DATASET, SECOND), "has no run"),
        (("aliases", "unheard-of"), "No model is promoted"),
    ],
)
def test_what_makes_no_sense_is_refused_before_it_is_sent(
    application: Application, tunedrop: Command, arguments: tuple[str, ...], message: str
) -> None:
    application.promoted(RUN_ID, instead_of=None)
    result = tunedrop(*arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert application.wishes == []


def test_a_run_that_never_was_evaluated_is_refused_by_the_application(
    application: Application, tunedrop: Command
) -> None:
    application.store.create(run_in(RunStatus.FAILED))
    result = tunedrop("promote", DATASET, RUN_ID)
    assert result.exit_code == 2
    assert "was not evaluated" in result.output
