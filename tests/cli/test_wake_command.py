"""`tunedrop wake` asks for an endpoint that was taken down, waits, and says what became of it."""

from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.conftest import OUTPUTS, Account
from tests.samples import (
    ALIAS_PUBLISHED,
    DATASET,
    ENDPOINT_ARN,
    ENDPOINT_NAME,
    PERSON,
    PROBLEM,
    PROMOTION_WANTED,
    RUN_ID,
    hosted_run,
    observed,
    scored,
)
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.domain.decide import DELETIONS, NO_WAKE
from tunedrop.domain.observations import (
    DeletionDenied,
    EndpointNamed,
    EndpointSeen,
    ModelDeleted,
    Observation,
    Refused,
    ReportWritten,
    RetirementWanted,
    WakeRequested,
)
from tunedrop.domain.run import Run
from tunedrop_cli.commands import wake

Command = Callable[..., Result]
IN_SERVICE = EndpointSeen(in_service=True, model_arn=ENDPOINT_ARN)


class Application:
    """The deployed application, as far as the wish meets it: it answers while the command sleeps."""

    def __init__(self, account: Account) -> None:
        self.store = DynamoDBRunStore(account.client("dynamodb"), OUTPUTS["RunsTableName"])
        self.store.create(hosted_run().model_copy(update={"version": 0, "claims": frozenset()}))
        self.wishes: list[tuple[str, dict[str, str]]] = []
        self.answers: list[Observation] = []
        self.endpoints = {ENDPOINT_NAME}
        """What SageMaker has."""
        self.see(EndpointNamed(name=ENDPOINT_NAME), IN_SERVICE)
        self.see(scored(passed=True), PROMOTION_WANTED, ALIAS_PUBLISHED)

    @property
    def run(self) -> Run:
        run = self.store.get(RUN_ID)
        assert run
        return run

    def see(self, *observations: Observation) -> None:
        for each in observations:
            before = self.run
            self.store.commit(before, observed(before, each))

    def take_down(self) -> None:
        self.see(RetirementWanted(because="Nobody had called it for 72 hours.", told=True), ModelDeleted())
        self.endpoints.clear()

    def wish(self, _stack: object, kind: str, detail: dict[str, str]) -> None:
        self.wishes.append((kind, detail))

    def sleep(self, _seconds: float) -> None:
        answer = self.answers.pop(0)
        self.see(answer)
        if answer == IN_SERVICE:
            self.endpoints.add(ENDPOINT_NAME)


@pytest.fixture
def application(account: Account, monkeypatch: pytest.MonkeyPatch) -> Application:
    application = Application(account)
    monkeypatch.setattr(wake, "send", application.wish)
    # moto has no inference components: the end-to-end test asks the embedded SageMaker.
    monkeypatch.setattr(wake, "is_there", lambda _stack, name: name in application.endpoints)
    clock: Any = wake.time
    monkeypatch.setattr(clock, "sleep", application.sleep)
    return application


def test_an_endpoint_that_comes_back_is_told_with_its_price(application: Application, tunedrop: Command) -> None:
    application.take_down()
    application.answers = [WakeRequested(by=PERSON), EndpointSeen(in_service=False), IN_SERVICE]
    result = tunedrop("wake", RUN_ID[:8])
    assert result.exit_code == 0
    assert application.wishes == [("Endpoint Wanted", {"run_id": RUN_ID})]
    assert f"The endpoint {ENDPOINT_NAME} is in service." in result.output
    assert "USD an hour" in result.output
    assert f"tunedrop chat {DATASET}" in result.output


def test_an_endpoint_that_does_not_come_back_is_told_why(application: Application, tunedrop: Command) -> None:
    application.take_down()
    application.answers = [WakeRequested(by=PERSON), Refused(problem=PROBLEM)]
    result = tunedrop("wake", RUN_ID)
    assert result.exit_code == 1
    assert NO_WAKE in result.output
    assert PROBLEM.message in result.output


def test_an_endpoint_that_is_up_or_on_its_way_is_not_asked_for(application: Application, tunedrop: Command) -> None:
    assert "is up" in tunedrop("wake", RUN_ID).stderr
    application.see(RetirementWanted(because="Nobody had called it."))
    assert "is being taken down" in tunedrop("wake", RUN_ID).stderr
    application.see(ModelDeleted(), WakeRequested(by=PERSON))
    result = tunedrop("wake", RUN_ID)
    assert result.exit_code == 2
    assert "is on its way back" in result.stderr
    assert application.wishes == []


def test_an_endpoint_that_was_deleted_by_hand_is_brought_back(application: Application, tunedrop: Command) -> None:
    application.endpoints.clear()
    application.answers = [WakeRequested(by=PERSON, gone=True), IN_SERVICE]
    result = tunedrop("wake", RUN_ID)
    assert result.exit_code == 0
    assert f"The endpoint {ENDPOINT_NAME} is in service." in result.output


def test_what_else_is_written_of_a_run_is_not_taken_for_its_return(application: Application, tunedrop: Command) -> None:
    application.endpoints.clear()
    application.answers = [ReportWritten(uri="s3://runs/report.html"), WakeRequested(by=PERSON, gone=True), IN_SERVICE]
    assert tunedrop("wake", RUN_ID).exit_code == 0
    assert application.answers == []


def test_an_endpoint_that_was_left_to_a_person_who_deleted_it_is_brought_back(
    application: Application, tunedrop: Command
) -> None:
    application.see(RetirementWanted(because="Nobody had called it."), *[DeletionDenied(reason="No.")] * DELETIONS)
    assert "is up" in tunedrop("wake", RUN_ID).stderr
    application.endpoints.clear()
    application.answers = [WakeRequested(by=PERSON, gone=True), IN_SERVICE]
    assert tunedrop("wake", RUN_ID).exit_code == 0


def test_a_run_without_an_endpoint_has_nothing_to_bring_back(account: Account, tunedrop: Command) -> None:
    store = DynamoDBRunStore(account.client("dynamodb"), OUTPUTS["RunsTableName"])
    store.create(hosted_run().model_copy(update={"version": 0}))
    result = tunedrop("wake", RUN_ID)
    assert result.exit_code == 2
    assert "was not promoted to an endpoint" in result.stderr
