"""One invocation looks, does what is due, each effect once, and starts over when somebody else wrote the run."""

from collections.abc import Callable, Mapping
from datetime import timedelta

import pytest

from tests.fakes import FakeClock, InMemoryRunStore
from tests.samples import (
    APPROVED,
    DATASET_ACCEPTED,
    JOB_ACCEPTED,
    PLAN_MADE,
    ROOM_WANTED,
    RUN_ID,
    job_seen,
    new_run,
    observed,
    run_in,
)
from tunedrop.domain import names
from tunedrop.domain.decide import Effect
from tunedrop.domain.observations import (
    ImportSlotWanted,
    Looked,
    NoticeClaimed,
    NoticeSent,
    Observation,
    Unavailable,
    WaitOver,
)
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import TransientError, VersionConflictError
from tunedrop.steps.advance import RELOADS, Performer, advance


class Performers:
    """Effects that see what they are told to see, and remember that they were done."""

    def __init__(self, seen: Mapping[Effect, Observation]) -> None:
        self.done: list[Effect] = []
        self.meanwhile: dict[Effect, Callable[[Run], None]] = {}
        self._seen = seen

    def __call__(self) -> dict[Effect, Performer]:
        return {effect: self._performer(effect) for effect in self._seen}

    def _performer(self, effect: Effect) -> Performer:
        def perform(run: Run) -> Observation:
            self.done.append(effect)
            self.meanwhile.get(effect, lambda _run: None)(run)
            return self._seen[effect]

        return perform


@pytest.fixture
def store() -> InMemoryRunStore:
    return InMemoryRunStore()


def go(store: InMemoryRunStore, performers: Performers) -> Run | None:
    return advance(RUN_ID, performers(), store, FakeClock())


def write(store: InMemoryRunStore, *observations: Observation) -> Callable[[Run], None]:
    """Let another invocation write the run."""

    def commit(_run: Run) -> None:
        for observation in observations:
            current = store.get(RUN_ID)
            assert current
            store.commit(current, observed(current, observation))

    return commit


def test_there_is_nothing_to_do_for_a_run_that_is_not_there(store: InMemoryRunStore) -> None:
    performers = Performers({Effect.PLAN: PLAN_MADE})
    assert go(store, performers) is None
    assert performers.done == []


def test_a_function_does_all_that_it_can_and_leaves_the_rest(store: InMemoryRunStore) -> None:
    store.create(new_run())
    seen = {Effect.LAUNCH: JOB_ACCEPTED, Effect.RESERVE: ROOM_WANTED}
    performers = Performers({**seen, Effect.PLAN: PLAN_MADE, Effect.VALIDATE: DATASET_ACCEPTED})
    run = go(store, performers)
    assert performers.done == [Effect.PLAN, Effect.VALIDATE, Effect.RESERVE, Effect.LAUNCH]
    assert run == store.get(RUN_ID)
    assert run
    assert (run.status, run.version) == (RunStatus.TRAINING, 4)


def test_a_function_that_can_do_nothing_writes_nothing(store: InMemoryRunStore) -> None:
    store.create(new_run())
    run = go(store, Performers({Effect.LAUNCH: JOB_ACCEPTED}))
    assert run == new_run()


def test_an_effect_that_changed_nothing_is_not_done_again(store: InMemoryRunStore) -> None:
    training = observed(run_in(RunStatus.TRAINING), job_seen("InProgress"))
    store.create(training)
    performers = Performers({Effect.DESCRIBE_TRAINING: job_seen("InProgress")})
    assert go(store, performers) == training
    assert performers.done == [Effect.DESCRIBE_TRAINING]


def test_what_somebody_else_did_meanwhile_is_not_done_over(store: InMemoryRunStore) -> None:
    store.create(new_run())
    performers = Performers({Effect.PLAN: PLAN_MADE, Effect.VALIDATE: DATASET_ACCEPTED})
    performers.meanwhile[Effect.PLAN] = write(store, PLAN_MADE)
    run = go(store, performers)
    assert performers.done == [Effect.PLAN, Effect.VALIDATE]
    assert run
    assert (run.status, run.version) == (RunStatus.LAUNCHING, 2)


def test_a_notice_that_was_sent_is_not_sent_again_because_the_training_moved_on(store: InMemoryRunStore) -> None:
    store.create(run_in(RunStatus.TRAINING))
    sent = NoticeSent(status=RunStatus.TRAINING, message_id="m-1")
    performers = Performers({Effect.CLAIM_NOTICE: NoticeClaimed(token="t"), Effect.SEND_NOTICE: sent})
    performers.meanwhile[Effect.SEND_NOTICE] = write(store, job_seen("InProgress", "Downloading"))
    run = go(store, performers)
    assert performers.done == [Effect.CLAIM_NOTICE, Effect.SEND_NOTICE]
    assert run
    assert run.notices[RunStatus.TRAINING].message_id == "m-1"
    assert run.training == job_seen("InProgress", "Downloading").training


def test_a_notice_that_was_sent_is_remembered_though_the_run_is_elsewhere_by_now(store: InMemoryRunStore) -> None:
    store.create(run_in(RunStatus.AWAITING_APPROVAL))
    sent = NoticeSent(status=RunStatus.AWAITING_APPROVAL, message_id="m-1")
    performers = Performers({Effect.CLAIM_NOTICE: NoticeClaimed(token="t"), Effect.SEND_NOTICE: sent})
    performers.meanwhile[Effect.SEND_NOTICE] = write(store, APPROVED)
    run = go(store, performers)
    assert run
    assert run.status is RunStatus.LAUNCHING
    assert run.notices[RunStatus.AWAITING_APPROVAL].message_id == "m-1"


def test_a_notice_is_left_to_who_claimed_it_first(store: InMemoryRunStore) -> None:
    store.create(run_in(RunStatus.TRAINING))
    performers = Performers({Effect.CLAIM_NOTICE: NoticeClaimed(token="second"), Effect.SEND_NOTICE: Looked()})
    performers.meanwhile[Effect.CLAIM_NOTICE] = write(store, NoticeClaimed(token="first"))
    run = go(store, performers)
    assert run
    assert run.notices[RunStatus.TRAINING].claimed_by == "first"


def test_a_claim_that_another_run_holds_is_an_observation(store: InMemoryRunStore) -> None:
    store.create(run_in(RunStatus.DEPLOYING))
    store.holders[names.IMPORT_SLOT] = "first-run"
    performers = Performers({Effect.TAKE_IMPORT_SLOT: ImportSlotWanted(), Effect.START_IMPORT: Looked()})
    run = go(store, performers)
    assert performers.done == [Effect.TAKE_IMPORT_SLOT]
    assert run == store.get(RUN_ID)
    assert run
    assert "first-run" in run.reason
    assert run.next_try_at


class OvertakenRunStore(InMemoryRunStore):
    """A store in which somebody else always writes first."""

    tries = 0

    def commit(self, before: Run, after: Run) -> Run:
        del before, after
        self.tries += 1
        raise VersionConflictError


def test_who_is_overtaken_again_and_again_leaves_it_to_a_retry() -> None:
    store = OvertakenRunStore()
    store.create(run_in(RunStatus.TRAINING))
    performers = Performers({Effect.DESCRIBE_TRAINING: job_seen("Completed")})
    with pytest.raises(TransientError, match=RUN_ID):
        go(store, performers)
    assert store.tries == RELOADS
    assert performers.done == [Effect.DESCRIBE_TRAINING]


def test_what_an_effect_raises_reaches_lambda_and_nothing_is_written(store: InMemoryRunStore) -> None:
    store.create(new_run())

    def broken(_run: Run) -> Observation:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        advance(RUN_ID, {Effect.PLAN: broken}, store, FakeClock())
    assert store.get(RUN_ID) == new_run()


def test_a_workflow_that_ends_before_its_run_is_seen_to_wait_is_seen_all_the_same(store: InMemoryRunStore) -> None:
    store.create(run_in(RunStatus.VALIDATING))
    performers = Performers({Effect.VALIDATE: DATASET_ACCEPTED})

    def wait(run: Run) -> None:
        performers.meanwhile.clear()
        store.commit(run, observed(run, Unavailable(reason="It is read.", retry_after=timedelta(minutes=5))))

    performers.meanwhile[Effect.VALIDATE] = wait
    run = advance(RUN_ID, performers(), store, FakeClock(), WaitOver())
    assert run
    assert run.status is RunStatus.LAUNCHING
    assert performers.done == [Effect.VALIDATE, Effect.VALIDATE]


def test_a_month_without_room_lets_the_run_wait(store: InMemoryRunStore) -> None:
    store.cap_cents = 150
    store.create(run_in(RunStatus.LAUNCHING))
    performers = Performers({Effect.RESERVE: ROOM_WANTED, Effect.LAUNCH: JOB_ACCEPTED})
    run = go(store, performers)
    assert performers.done == [Effect.RESERVE]
    assert run
    assert run.next_try_at
    assert run.reason == "Waits for room under the monthly cap of $1.50: $0 are committed."
