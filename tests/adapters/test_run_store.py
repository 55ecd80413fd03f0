"""Runs are kept by compare-and-swap, with their claims; the same in DynamoDB and in memory."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from aws_lambda_powertools.utilities.parser import parse

from tests.fakes import InMemoryRunStore
from tests.samples import (
    NOW,
    PLAN_MADE,
    PLAN_REFUSED,
    RUN_ID,
    WAY,
    job_seen,
    new_run,
    observed,
    run_in,
)
from tests.stack import RESOURCES, announcement, is_announced
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.contracts.events import RunStatusChanged
from tunedrop.domain import names
from tunedrop.domain.decide import settled
from tunedrop.domain.observations import NoticeClaimed, NoticeSent
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import ClaimHeldError, VersionConflictError
from tunedrop.ports import RunStore

TABLE = "runs"


@pytest.fixture
def table(aws: Callable[[str], Any]) -> Any:
    client = aws("dynamodb")
    properties = RESOURCES["RunsTable"]["Properties"]
    kept = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema")
    client.create_table(TableName=TABLE, **{name: properties[name] for name in kept})
    return client


@pytest.fixture(params=["memory", "dynamodb"])
def store(request: pytest.FixtureRequest) -> RunStore:
    if request.param == "memory":
        return InMemoryRunStore()
    return DynamoDBRunStore(request.getfixturevalue("table"), TABLE)


def other_run(run_id: str = "a-later-run") -> Run:
    return new_run(run_id).model_copy(update={"created_at": NOW + timedelta(minutes=1)})


def test_a_run_comes_back_as_it_was_stored(store: RunStore) -> None:
    for number, status in enumerate(WAY):
        run = run_in(status).model_copy(update={"run_id": f"run-{number}"})
        assert store.create(run)
        assert store.get(run.run_id) == run


def test_a_run_that_is_not_there_is_none(store: RunStore) -> None:
    assert store.get(RUN_ID) is None


def test_a_run_is_created_once(store: RunStore) -> None:
    assert store.create(new_run())
    assert not store.create(run_in(RunStatus.TRAINING))
    assert store.get(RUN_ID) == new_run()


def test_a_write_counts_and_is_read_back(store: RunStore) -> None:
    store.create(new_run())
    stored = store.commit(new_run(), observed(new_run(), PLAN_REFUSED))
    assert (stored.status, stored.version) == (RunStatus.REJECTED, 1)
    assert store.get(RUN_ID) == stored


def test_of_two_writers_the_second_has_to_look_again(store: RunStore) -> None:
    store.create(new_run())
    store.commit(new_run(), observed(new_run(), PLAN_REFUSED))
    with pytest.raises(VersionConflictError):
        store.commit(new_run(), observed(new_run(), PLAN_REFUSED))
    with pytest.raises(VersionConflictError):
        store.commit(new_run(), observed(new_run(), PLAN_MADE))  # with a claim to take


def test_a_run_that_was_never_created_cannot_be_written(store: RunStore) -> None:
    with pytest.raises(VersionConflictError):
        store.commit(new_run(), observed(new_run(), PLAN_REFUSED))


def test_a_claim_has_one_holder_who_is_named(store: RunStore) -> None:
    store.create(new_run())
    store.create(other_run())
    store.commit(new_run(), observed(new_run(), PLAN_MADE))
    with pytest.raises(ClaimHeldError) as refused:
        store.commit(other_run(), observed(other_run(), PLAN_MADE))
    assert refused.value.claim == names.drop_claim(PLAN_MADE.plan.fingerprint)
    assert refused.value.holder == RUN_ID
    assert store.get("a-later-run") == other_run()


def test_a_claim_that_was_given_back_is_free(store: RunStore) -> None:
    store.create(new_run())
    store.create(other_run())
    validating = store.commit(new_run(), observed(new_run(), PLAN_MADE))
    store.commit(validating, validating.model_copy(update={"claims": frozenset()}))
    assert store.commit(other_run(), observed(other_run(), PLAN_MADE)).claims


def test_one_write_may_give_one_claim_back_and_take_another(store: RunStore) -> None:
    store.create(new_run())
    store.create(other_run())
    first = store.commit(new_run(), new_run().model_copy(update={"claims": frozenset({"a", "b"})}))
    store.commit(first, first.model_copy(update={"claims": frozenset({"b", "c"})}))
    taken = store.commit(other_run(), other_run().model_copy(update={"claims": frozenset({"a"})}))
    for claim in ("b", "c"):
        with pytest.raises(ClaimHeldError, match=claim):
            store.commit(taken, taken.model_copy(update={"claims": frozenset({"a", claim})}))


def test_a_claim_is_not_taken_by_a_write_that_comes_too_late(store: RunStore) -> None:
    store.create(new_run())
    store.create(other_run())
    store.commit(new_run(), observed(new_run(), PLAN_REFUSED))
    with pytest.raises(VersionConflictError):
        store.commit(new_run(), observed(new_run(), PLAN_MADE))
    assert store.commit(other_run(), observed(other_run(), PLAN_MADE)).claims


def test_live_runs_are_listed_oldest_first_until_nothing_is_left_to_do(store: RunStore) -> None:
    store.create(other_run())
    store.create(new_run())
    assert [run.run_id for run in store.live()] == [RUN_ID, "a-later-run"]
    run = new_run()
    for observation in (
        PLAN_REFUSED,
        NoticeClaimed(token="t"),
        NoticeSent(status=RunStatus.REJECTED, message_id="m"),
    ):
        assert not settled(run)
        run = store.commit(run, observed(run, observation))
    assert [each.run_id for each in store.live()] == ["a-later-run"]


def test_live_runs_can_be_asked_for_by_status(store: RunStore) -> None:
    store.create(new_run())
    store.create(other_run())
    store.commit(new_run(), observed(new_run(), PLAN_MADE))
    assert [run.run_id for run in store.live(RunStatus.PLANNING)] == ["a-later-run"]
    assert [run.run_id for run in store.live(RunStatus.VALIDATING)] == [RUN_ID]
    assert list(store.live(RunStatus.TRAINING)) == []


# ---------------------------------------------------------------- DynamoDB alone


def test_what_the_stream_shows_is_announced_when_the_status_is_new(table: Any) -> None:
    store = DynamoDBRunStore(table, TABLE)
    training = run_in(RunStatus.TRAINING)
    store.create(training)
    event = announcement(_record(table))
    detail = parse(event=event, model=RunStatusChanged).detail
    assert (detail.run_id, detail.status, detail.previous_status) == (
        RUN_ID,
        RunStatus.TRAINING,
        RunStatus.LAUNCHING,
    )
    assert is_announced(_record(table))
    store.commit(training, observed(training, job_seen("InProgress", "Training")))
    assert not is_announced(_record(table))


def _record(table: Any) -> dict[str, Any]:
    item = table.get_item(TableName=TABLE, Key={"id": {"S": f"run#{RUN_ID}"}})["Item"]
    return {"eventID": "1", "dynamodb": {"NewImage": item}}


def test_claims_are_not_announced(table: Any) -> None:
    store = DynamoDBRunStore(table, TABLE)
    store.create(new_run())
    store.commit(new_run(), observed(new_run(), PLAN_MADE))
    items = table.scan(TableName=TABLE)["Items"]
    claims = [item for item in items if item["id"]["S"].startswith("claim#")]
    assert len(claims) == 1
    assert not is_announced({"eventID": "1", "dynamodb": {"NewImage": claims[0]}})


def test_a_long_shelf_is_read_page_by_page(table: Any) -> None:
    store = DynamoDBRunStore(table, TABLE)
    padding = "x" * 150_000
    for number in range(8):
        store.create(other_run(f"run-{number}").model_copy(update={"reason": padding}))
    assert len(list(store.live())) == 8
