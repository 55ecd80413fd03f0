"""Runs are kept by compare-and-swap, with their claims; the same in DynamoDB and in memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Lock
from typing import Any
from unittest import mock

import pytest
from aws_lambda_powertools.utilities.parser import parse
from botocore.exceptions import ClientError

from tests.fakes import InMemoryRunStore
from tests.samples import (
    ALIAS_PUBLISHED,
    IMPORT_STARTED,
    MODEL_ARN,
    NOW,
    PLAN_MADE,
    PLAN_REFUSED,
    PROMOTION_WANTED,
    RUN_ID,
    WAY,
    hosted_run,
    job_seen,
    new_run,
    observed,
    run_in,
    scored,
)
from tests.simulation.aws import Client, DynamoDB, refusal
from tests.stack import RESOURCES, announcements
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.contracts.events import ModelPromoted, RunStatusChanged
from tunedrop.domain import names
from tunedrop.domain.alias import Alias
from tunedrop.domain.budget import Charge, Ledger
from tunedrop.domain.decide import settled
from tunedrop.domain.observations import (
    EndpointNamed,
    EndpointSeen,
    ModelDeleted,
    NoticeClaimed,
    NoticeSent,
    PromotionRequested,
    PromotionWanted,
    ReportWritten,
    RetirementWanted,
    WakeRequested,
)
from tunedrop.domain.run import Run, RunStatus, Tracked
from tunedrop.errors import CapReachedError, ChampionChangedError, ClaimHeldError, TransientError, VersionConflictError
from tunedrop.ports import RunStore

TABLE = "runs"


@pytest.fixture
def table(aws: Callable[[str], Any]) -> Any:
    client = aws("dynamodb")
    properties = RESOURCES["RunsTable"]["Properties"]
    kept = ("AttributeDefinitions", "BillingMode", "GlobalSecondaryIndexes", "KeySchema")
    client.create_table(TableName=TABLE, **{name: properties[name] for name in kept})
    return client


def simulated() -> Client:
    """Return the client of `tests/simulation`, in a world in which nothing goes wrong."""
    return Client(DynamoDB(mock.Mock(stale=lambda _what: False)), lambda _operation, deed: deed())


@pytest.fixture(params=["memory", "dynamodb", "simulated"])
def store(request: pytest.FixtureRequest) -> RunStore:
    if request.param == "memory":
        return InMemoryRunStore()
    client = simulated() if request.param == "simulated" else request.getfixturevalue("table")
    return DynamoDBRunStore(client, TABLE)


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


def test_a_run_that_another_worker_writes_at_this_moment_is_tried_again() -> None:
    def conflict(**_request: object) -> None:
        raise refusal("TransactionConflictException")

    store = DynamoDBRunStore(mock.Mock(put_item=conflict), TABLE)
    with pytest.raises(TransientError):
        store.create(new_run())


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


REFUSED_AND_TOLD = (
    PLAN_REFUSED,
    ReportWritten(uri="s3://runs/report.html"),
    NoticeClaimed(token="t"),
    NoticeSent(status=RunStatus.REJECTED, message_id="m"),
)
"""What a run sees until nothing is left to do for it."""


def test_live_runs_are_listed_oldest_first_until_nothing_is_left_to_do(store: RunStore) -> None:
    store.create(other_run())
    store.create(new_run())
    assert [run.run_id for run in store.live()] == [RUN_ID, "a-later-run"]
    run = new_run()
    for observation in REFUSED_AND_TOLD:
        assert not settled(run)
        run = store.commit(run, observed(run, observation))
    assert [each.run_id for each in store.live()] == ["a-later-run"]


def test_runs_are_listed_by_when_they_were_made_whether_they_live_or_not(store: RunStore) -> None:
    for days, name in enumerate(("older", "younger", "youngest")):
        store.create(new_run().model_copy(update={"run_id": name, "created_at": NOW + timedelta(days=days)}))
    run = store.get("youngest")
    for observation in REFUSED_AND_TOLD:
        assert run
        run = store.commit(run, observed(run, observation))
    assert sorted(store.created_since(NOW + timedelta(days=1))) == ["younger", "youngest"]


def test_runs_are_told_apart_by_what_a_schedule_looks_at_them_for(store: RunStore) -> None:
    waiting = run_in(RunStatus.DEPLOYING).model_copy(update={"claims": frozenset()})
    importing = observed(run_in(RunStatus.DEPLOYING), IMPORT_STARTED)
    hosted = hosted_run()
    evaluated = observed(hosted, EndpointNamed(name="x"), EndpointSeen(in_service=True, model_arn=MODEL_ARN))
    promoted = observed(evaluated, scored(passed=True), PROMOTION_WANTED, ALIAS_PUBLISHED)
    taken_down = observed(promoted, RetirementWanted(because="Nobody had called it."), ModelDeleted())
    woken = observed(taken_down, WakeRequested(by="ann"))
    for number, run in enumerate((other_run(), waiting, importing, hosted, waiting, taken_down, woken)):
        change = {"run_id": f"run-{number}", "created_at": NOW - timedelta(minutes=number)}
        store.create(run.model_copy(update={"version": 0, "claims": frozenset(), **change}))
    assert store.tracked() == {
        Tracked.SLOT: ["run-4", "run-1"],
        Tracked.IMPORT: ["run-2"],
        Tracked.ENDPOINT: ["run-6", "run-3"],
    }


def test_a_run_that_another_release_wrote_is_tracked_once_it_is_written_again() -> None:
    client = simulated()
    store = DynamoDBRunStore(client, TABLE)
    store.create(run_in(RunStatus.DEPLOYING).model_copy(update={"version": 0, "claims": frozenset()}))
    (item,) = client.query(ExpressionAttributeValues={":shelf": {"S": "live"}})["Items"]
    client.put_item(TableName=TABLE, Item={name: value for name, value in item.items() if name != "tracked"})
    assert not any(store.tracked().values())
    (run,) = store.live()
    store.commit(run, observed(run, IMPORT_STARTED))
    assert store.tracked()[Tracked.IMPORT] == [run.run_id]


def test_runs_are_read_in_the_order_in_which_they_are_asked_for(store: RunStore) -> None:
    for name in ("a", "b", "c"):
        store.create(other_run(name))
    assert [run.run_id for run in store.read(["c", "nobody", "a"])] == ["c", "a"]
    assert list(store.read([])) == []


# ---------------------------------------------------------------- champions


def candidate(store: RunStore, run_id: str = RUN_ID) -> Run:
    passed = observed(run_in(RunStatus.EVALUATING), scored(passed=True)).model_copy(update={"run_id": run_id})
    store.create(passed)
    return passed


def promote(store: RunStore, run: Run, instead_of: str | None) -> Run:
    return store.commit(run, observed(run, PromotionWanted(instead_of=instead_of)))


def test_nobody_is_champion_at_first(store: RunStore) -> None:
    assert store.alias("receipts") == Alias(dataset="receipts")
    assert list(store.datasets()) == []


def test_a_promotion_makes_the_run_the_champion_in_the_same_write(store: RunStore) -> None:
    run = promote(store, candidate(store), instead_of=None)
    alias = store.alias("receipts")
    assert alias.champion
    assert (alias.champion.run_id, alias.champion.model_arn) == (RUN_ID, MODEL_ARN)
    assert (alias.champion.by, alias.version, alias.former) == ("evaluation", 1, None)
    assert store.get(RUN_ID) == run
    assert list(store.datasets()) == ["receipts"]


def test_of_two_candidates_compared_with_the_same_champion_the_second_is_told_of_the_first(store: RunStore) -> None:
    first, second = candidate(store), candidate(store, "b" * 26)
    promote(store, first, instead_of=None)
    with pytest.raises(ChampionChangedError) as changed:
        promote(store, second, instead_of=None)
    assert changed.value.champion == RUN_ID
    assert store.get(second.run_id) == second
    promote(store, second, instead_of=RUN_ID)
    alias = store.alias("receipts")
    assert [each.run_id for each in alias.history] == [RUN_ID, second.run_id]
    assert alias.former == alias.history[0]


def test_a_promotion_that_comes_too_late_for_its_run_leaves_the_alias(store: RunStore) -> None:
    run = candidate(store)
    store.commit(run, observed(run, NoticeClaimed(token="t")))
    with pytest.raises(VersionConflictError):
        promote(store, run, instead_of=None)
    assert store.alias("receipts").champion is None


def test_a_wish_that_comes_again_after_others_is_not_granted_again(store: RunStore) -> None:
    first = promote(store, candidate(store), instead_of=None)
    second = promote(store, candidate(store, "b" * 26), instead_of=RUN_ID)
    first = store.commit(first, observed(first, ALIAS_PUBLISHED))
    second = store.commit(second, observed(second, ALIAS_PUBLISHED))

    def wish(run: Run, request: str, instead_of: str) -> Run:
        asked = PromotionRequested(request=request, by="ann", instead_of=instead_of)
        return store.commit(run, observed(run, asked))

    first = wish(first, "back", "b" * 26)
    wish(second, "forward", RUN_ID)
    first = wish(first, "back-again", "b" * 26)
    wish(store.get("b" * 26) or second, "forward-again", RUN_ID)
    with pytest.raises(ChampionChangedError):
        wish(first, "back", "b" * 26)
    assert [each.request for each in store.alias("receipts").history] == [
        *(RUN_ID, "b" * 26),
        *("back", "forward", "back-again", "forward-again"),
    ]


def test_an_alias_written_at_the_same_time_is_a_conflict(table: Any) -> None:
    class Overtaken(DynamoDBRunStore):
        def alias(self, dataset: str) -> Alias:
            read = super().alias(dataset)
            if not overtaken:
                overtaken.append(promote(DynamoDBRunStore(table, TABLE), first, instead_of=None))
            return read

    overtaken: list[Run] = []
    store = Overtaken(table, TABLE)
    first, second = candidate(store), candidate(store, "b" * 26)
    with pytest.raises(VersionConflictError):
        promote(store, second, instead_of=None)
    assert store.get(second.run_id) == second


# ---------------------------------------------------------------- DynamoDB alone


def test_what_the_stream_shows_is_announced_when_the_status_is_new(table: Any) -> None:
    store = DynamoDBRunStore(table, TABLE)
    training = run_in(RunStatus.TRAINING)
    store.create(training)
    (event,) = announcements(_record(table))
    detail = parse(event=event, model=RunStatusChanged).detail
    assert (detail.run_id, detail.status, detail.previous_status) == (
        RUN_ID,
        RunStatus.TRAINING,
        RunStatus.LAUNCHING,
    )
    store.commit(training, observed(training, job_seen("InProgress", "Training")))
    assert announcements(_record(table)) == []


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
    assert announcements({"eventID": "1", "dynamodb": {"NewImage": claims[0]}}) == []


def test_a_new_champion_is_announced_with_the_one_before(table: Any) -> None:
    store = DynamoDBRunStore(table, TABLE)
    promote(store, candidate(store), instead_of=None)
    promote(store, candidate(store, "b" * 26), instead_of=RUN_ID)
    item = table.get_item(TableName=TABLE, Key={"id": {"S": "alias#receipts"}})["Item"]
    (event,) = announcements({"eventID": "1", "dynamodb": {"NewImage": item}})
    detail = parse(event=event, model=ModelPromoted).detail
    assert (detail.dataset, detail.run_id, detail.previous_run_id) == ("receipts", "b" * 26, RUN_ID)
    assert (detail.model_arn, detail.previous_model_arn) == (MODEL_ARN, MODEL_ARN)
    assert (detail.promoted_by, detail.version) == ("evaluation", 2)


def test_a_long_shelf_is_read_page_by_page(table: Any) -> None:
    store = DynamoDBRunStore(table, TABLE)
    padding = "x" * 150_000
    for number in range(8):
        store.create(other_run(f"run-{number}").model_copy(update={"reason": padding}))
    assert len(list(store.live())) == 8


def test_more_runs_than_one_call_reads_are_all_listed_in_order(store: RunStore) -> None:
    made = [other_run(f"run-{number:03}") for number in range(205)]
    for number, run in enumerate(made):
        store.create(run.model_copy(update={"created_at": NOW + timedelta(seconds=number)}))
    assert [run.run_id for run in store.live()] == [run.run_id for run in made]


def test_runs_that_a_throttled_table_leaves_out_of_its_answer_are_asked_for_one_by_one() -> None:
    full = simulated()
    store = DynamoDBRunStore(full, TABLE)
    for name in ("first", "second", "third"):
        store.create(other_run(name))

    def throttled(**request: Any) -> dict[str, Any]:
        keys = request["RequestItems"][TABLE]["Keys"]
        request["RequestItems"][TABLE]["Keys"] = keys[1:2]
        return {**full.batch_get_item(**request), "UnprocessedKeys": {TABLE: {"Keys": [keys[0], keys[2]]}}}

    client = mock.Mock(query=full.query, get_item=full.get_item, batch_get_item=throttled)
    assert [run.run_id for run in DynamoDBRunStore(client, TABLE).live()] == ["first", "second", "third"]


# ---------------------------------------------------------------- the months' accounts

CAP_CENTS = 100_00
MONTH = "2026-11"


@pytest.fixture(params=["memory", "dynamodb", "simulated"])
def capped(request: pytest.FixtureRequest) -> RunStore:
    if request.param == "memory":
        return InMemoryRunStore(cap_cents=CAP_CENTS)
    client = simulated() if request.param == "simulated" else request.getfixturevalue("table")
    return DynamoDBRunStore(client, TABLE, CAP_CENTS)


def charged(run: Run, *charges: Charge) -> Run:
    return run.model_copy(update={"charges": charges})


def charge(job_name: str = "job-a1", most_cents: int = 10_00, cents: int | None = None, month: str = MONTH) -> Charge:
    return Charge(month=month, job_name=job_name, attempt=1, usd_per_hour=1.0, most_cents=most_cents, cents=cents)


def test_a_month_in_which_nothing_was_launched_has_an_empty_account(capped: RunStore) -> None:
    assert capped.ledger(MONTH) == Ledger(month=MONTH)


def test_a_charge_is_reserved_and_settled_with_the_run(capped: RunStore) -> None:
    capped.create(new_run())
    reserved = capped.commit(new_run(), charged(new_run(), charge()))
    assert capped.ledger(MONTH) == Ledger(month=MONTH, reserved={"job-a1": 10_00})
    same = capped.commit(reserved, reserved.model_copy(update={"reason": "Something else."}))
    assert capped.ledger(MONTH).committed == 10_00
    settled = capped.commit(same, charged(same, charge(cents=4_21)))
    assert capped.ledger(MONTH) == Ledger(month=MONTH, spent=4_21)
    again = capped.commit(settled, charged(settled, charge(cents=4_21), charge("job-a2", month="2026-12")))
    capped.commit(again, charged(again, charge(cents=4_21), charge("job-a2", month="2026-12", cents=0)))
    assert capped.ledger(MONTH) == Ledger(month=MONTH, spent=4_21)
    assert capped.ledger("2026-12") == Ledger(month="2026-12")


def test_a_job_that_cost_more_than_was_reserved_is_booked_as_it_is(capped: RunStore) -> None:
    capped.create(new_run())
    reserved = capped.commit(new_run(), charged(new_run(), charge(most_cents=CAP_CENTS)))
    capped.commit(reserved, charged(reserved, charge(most_cents=CAP_CENTS, cents=CAP_CENTS + 3)))
    assert capped.ledger(MONTH).committed == CAP_CENTS + 3


def test_a_month_without_room_refuses_the_write_and_stays_as_it_is(capped: RunStore) -> None:
    capped.create(new_run())
    capped.create(other_run())
    capped.commit(new_run(), charged(new_run(), charge(most_cents=90_01)))
    with pytest.raises(CapReachedError) as refused:
        capped.commit(other_run(), charged(other_run(), charge("job-b1")))
    assert (refused.value.committed_cents, refused.value.cap_cents) == (90_01, CAP_CENTS)
    assert capped.get("a-later-run") == other_run()
    assert capped.ledger(MONTH).reserved == {"job-a1": 90_01}
    assert capped.commit(other_run(), charged(other_run(), charge("job-b1", most_cents=9_99))).charges


def test_more_than_the_whole_cap_never_finds_room_not_even_in_an_empty_month(capped: RunStore) -> None:
    capped.create(new_run())
    with pytest.raises(CapReachedError):
        capped.commit(new_run(), charged(new_run(), charge(most_cents=CAP_CENTS + 1)))
    assert capped.ledger(MONTH) == Ledger(month=MONTH)


def test_without_a_cap_the_account_is_kept_all_the_same(store: RunStore) -> None:
    store.create(new_run())
    store.commit(new_run(), charged(new_run(), charge(most_cents=10**9)))
    assert store.ledger(MONTH).committed == 10**9


def test_a_write_that_comes_too_late_reserves_nothing(capped: RunStore) -> None:
    capped.create(new_run())
    capped.commit(new_run(), charged(new_run(), charge()))
    with pytest.raises(VersionConflictError):
        capped.commit(new_run(), charged(new_run(), charge("job-x", most_cents=CAP_CENTS)))
    assert capped.ledger(MONTH).reserved == {"job-a1": 10_00}


class Serialised:
    """A client whose calls come one after the other, as transactions do in DynamoDB; moto by itself has no locks."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)

        def locked(**arguments: Any) -> Any:
            with self._lock:
                return call(**arguments)

        return locked


def test_of_thirty_drops_at_once_ten_find_room_and_the_account_is_exact(table: Any) -> None:
    store = DynamoDBRunStore(Serialised(table), TABLE, CAP_CENTS)  # type: ignore[arg-type]  # a client by its calls
    runs = [other_run(f"run-{number}") for number in range(30)]
    for run in runs:
        store.create(run)

    def launch(run: Run) -> bool:
        try:
            store.commit(run, charged(run, charge(f"job-{run.run_id}")))
        except CapReachedError:
            return False
        return True

    with ThreadPoolExecutor(30) as threads:
        launched = list(threads.map(launch, runs))
    assert sum(launched) == 10
    ledger = store.ledger(MONTH)
    assert (ledger.committed, len(ledger.reserved), ledger.spent) == (CAP_CENTS, 10, 0)
    written = [run for run in (store.get(each.run_id) for each in runs) if run and run.charge]
    assert {f"job-{run.run_id}" for run in written} == set(ledger.reserved)

    with ThreadPoolExecutor(10) as threads:
        list(
            threads.map(
                lambda run: store.commit(run, charged(run, run.charges[0].model_copy(update={"cents": 7}))), written
            )
        )
    assert store.ledger(MONTH) == Ledger(month=MONTH, spent=70)


def test_transactions_that_meet_are_tried_again(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    client = Meeting(table, conflicts=2)
    store = DynamoDBRunStore(client, TABLE, CAP_CENTS)  # type: ignore[arg-type]  # a client by its calls
    store.create(new_run())
    assert store.commit(new_run(), charged(new_run(), charge())).charge
    assert len(pauses) == 2
    client.conflicts = 100
    store.create(other_run())
    with pytest.raises(VersionConflictError):
        store.commit(other_run(), charged(other_run(), charge("job-b1")))
    assert store.ledger(MONTH).reserved == {"job-a1": 10_00}


def test_a_claim_that_meets_other_transactions_again_and_again_is_not_called_held(
    table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    store = DynamoDBRunStore(Meeting(table, conflicts=100), TABLE)  # type: ignore[arg-type]  # a client by its calls
    store.create(new_run())
    with pytest.raises(VersionConflictError):
        store.commit(new_run(), observed(new_run(), PLAN_MADE))


def test_single_writes_that_meet_a_transaction_are_tried_again(table: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    client = Meeting(table)
    store = DynamoDBRunStore(client, TABLE, CAP_CENTS)  # type: ignore[arg-type]  # a client by its calls
    for run in (new_run(), other_run()):
        store.create(run)
    client.conflicts_of_puts = 2
    assert store.commit(new_run(), observed(new_run(), PLAN_REFUSED)).status is RunStatus.REJECTED
    client.conflicts_of_puts = 1  # of the one that opens the month
    assert store.commit(other_run(), charged(other_run(), charge())).charge
    client.conflicts_of_puts = 100
    with pytest.raises(VersionConflictError):
        store.commit(new_run(), new_run())


class Meeting:
    """A client whose first transactions, or single writes, meet another transaction."""

    def __init__(self, client: Any, conflicts: int = 0) -> None:
        self._client = client
        self.conflicts = conflicts
        self.conflicts_of_puts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_item(self, **arguments: Any) -> Any:
        if self.conflicts_of_puts:
            self.conflicts_of_puts -= 1
            raise ClientError(
                {
                    "Error": {"Code": "TransactionConflictException", "Message": "There is an ongoing transaction"},
                    "ResponseMetadata": {"HTTPStatusCode": 400},
                },
                "PutItem",
            )
        return self._client.put_item(**arguments)

    def transact_write_items(self, **arguments: Any) -> Any:
        if self.conflicts:
            self.conflicts -= 1
            raise ClientError(
                {
                    "Error": {"Code": "TransactionCanceledException", "Message": "[None, TransactionConflict]"},
                    "ResponseMetadata": {"HTTPStatusCode": 400},
                    "CancellationReasons": [{"Code": "None"}, {"Code": "TransactionConflict"}],
                },
                "TransactWriteItems",
            )
        return self._client.transact_write_items(**arguments)
