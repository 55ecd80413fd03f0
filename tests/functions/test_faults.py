"""Whatever is delivered twice, late, in disorder or not at all, and wherever functions die: each run ends once.

A seeded random search over the real handlers: every event is delivered three times in random order, invocations die
after any call to AWS, run in the middle of each other, and events are lost.
"""

import contextlib
import itertools
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from random import Random
from typing import Any, NamedTuple

import pytest

from tests.deployment import BASE_MODEL, Context, Deployment, job_event
from tests.fakes import BILLABLE_SECONDS, MODEL
from tests.samples import REGION, STACK, run_in
from tests.stack import FUNCTIONS, receivers, sample
from tunedrop.domain import names
from tunedrop.domain.budget import cents, month_of
from tunedrop.domain.decide import NOTIFIED, settled
from tunedrop.domain.plan import ApprovalRule
from tunedrop.domain.planning import PlanRules
from tunedrop.domain.run import Change, Run, RunStatus
from tunedrop.errors import QuotaExceededError, TransientError

TUNE_YAML = f"model: {MODEL.model_id}\nevaluate: {{against: [base, champion]}}\n"
TEMPLATE = json.dumps({"prompt": "{q}", "completion": "{a}"})
QUOTA = "The account-level service limit 'ml.g5.2xlarge for training job usage' is 2 Instances"
CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."
AWS_FAULT = "InternalServerError: We encountered an internal error."
ANN = "arn:aws:iam::123456789012:user/ann"
COPIES = 3
RETRIES = 2
DEPTH = 2
MOST_CENTS = 157
"""What the job of `tests.samples` may cost: an hour and 120 seconds at 1.515 US dollars an hour."""
JOB_CENTS = cents(1.515 * BILLABLE_SECONDS / 3600)
STEPS = 4000
_WISHES = itertools.count(1)


def rows(first: int, count: int) -> str:
    return "".join(
        json.dumps({"q": f"word {number}", "a": f"WORD {number}"}) + "\n" for number in range(first, first + count)
    )


class CrashError(BaseException):
    """The function's process dies."""


class Delivery(NamedTuple):
    """An event on its way to a function; a retry keeps the request id."""

    function: str
    event: dict[str, Any]
    context: Context
    attempt: int = 0


class World:
    """The deployment, what is on its way, and the chances of trouble."""

    def __init__(self, seed: int, patch: pytest.MonkeyPatch) -> None:
        self.random = Random(seed)  # noqa: S311 - a seed makes it repeatable
        self.on_the_way: list[Delivery] = []
        self.depth = 0
        self.trouble = 0.0
        self.told_and_died = 0
        self.shortages: list[str] = []
        """Why the next jobs fail, whatever they are."""
        self.answers: list[str] = []
        """What people may say of a run that waits for approval."""
        self.functions = frozenset(FUNCTIONS)
        self.created: Counter[str] = Counter()
        self.tunedrop = Deployment(patch, self.send, self.disturb)

    def send(self, function: str, event: dict[str, Any]) -> None:
        if function in self.functions and self.random.random() >= self.trouble:
            self.on_the_way += [Delivery(function, event, Context()) for _ in range(COPIES)]

    def disturb(self, call: str) -> None:
        """Let the caller die after its call, or be overtaken by another invocation."""
        chance = self.random.random()
        if chance < self.trouble:
            self.told_and_died += call == "publish"
            raise CrashError(call)
        if chance < 4 * self.trouble and self.depth < DEPTH and self.on_the_way:
            self.deliver_one()

    def deliver_one(self) -> None:
        delivery = self.on_the_way.pop(self.random.randrange(len(self.on_the_way)))
        self.depth += 1
        try:
            self.tunedrop.invoke(delivery.function, delivery.event, delivery.context)
        except (CrashError, TransientError):
            if delivery.attempt < RETRIES:
                self.on_the_way.append(delivery._replace(attempt=delivery.attempt + 1))
        finally:
            self.depth -= 1
            if self.depth == 0:
                check_accounts(self)
                check_champions(self)

    def tick(self) -> None:
        for function, schedule in (("track_deployment", "every-minute"), ("reconcile_runs", "every-five-minutes")):
            self.on_the_way.append(Delivery(function, self.tunedrop.tick(schedule), Context()))

    def train(self, status: str) -> None:
        jobs = self.tunedrop.jobs
        for name in [name for name, known in jobs.statuses.items() if known == "InProgress"]:
            if self.shortages:
                jobs.finish(name, "Failed", self.shortages.pop())
            else:
                jobs.finish(name, status)
            for rule in receivers(job_event(name)):
                self.send(rule.function, job_event(name))

    def validate_in_parts(self) -> None:
        """Be the workflow, which tries again what died."""
        executions = self.tunedrop.workflows.executions
        for name in [name for name, execution in executions.items() if execution.status == "RUNNING"]:
            with contextlib.suppress(CrashError):
                self.tunedrop.validate_in_parts(name)

    def ask_in_ranges(self) -> None:
        """Be the evaluation's workflow, which tries again what died."""
        executions = self.tunedrop.evaluations.executions
        for name in [name for name, execution in executions.items() if execution.status == "RUNNING"]:
            with contextlib.suppress(CrashError):
                self.tunedrop.ask_in_ranges(name)

    def answer(self) -> None:
        """Let people say something of the runs that they were told wait for them."""
        told = {(attributes["run_id"], attributes["status"]) for _, _, attributes in self.tunedrop.notifier.sent}
        for run in self.tunedrop.runs():
            if run.status is RunStatus.AWAITING_APPROVAL and (run.run_id, run.status) in told:
                self.say(run.run_id, self.random.choice(self.answers))

    def say(self, run_id: str, answer: str) -> None:
        event = sample(f"tunedrop.user/{answer}")
        event["detail"]["run_id"] = run_id
        for rule in receivers(event):
            self.send(rule.function, event)

    def import_models(self, status: str) -> None:
        imports = self.tunedrop.imports
        for name in [name for name, state in imports.states.items() if state.status == "InProgress"]:
            imports.finish(name, status)

    def live_on(self, training: str, importing: str) -> None:
        """Let time pass until every run is settled and nothing is on its way."""
        turns: list[Callable[[], None]] = [
            self.tick,
            self.validate_in_parts,
            self.ask_in_ranges,
            lambda: self.train(training),
            lambda: self.import_models(importing),
            lambda: self.tunedrop.clock.move(timedelta(minutes=self.random.choice((1, 5, 17)))),
            *([self.answer] if self.answers else []),
        ]
        for _ in range(STEPS):
            if self.on_the_way and self.random.random() < 0.9:
                self.deliver_one()
                self.tunedrop.clock.move(timedelta(seconds=self.random.randrange(5)))
            elif self.on_the_way or not all(map(settled, self.tunedrop.runs())) or not self.tunedrop.runs():
                self.random.choice(turns)()
            else:
                return
        stuck = [(run.run_id, run.status, run.reason) for run in self.tunedrop.runs() if not settled(run)]
        raise AssertionError(f"not settled after {STEPS} steps: {stuck}, {len(self.on_the_way)} events on their way")


@pytest.fixture(params=range(12))
def world(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(request.param, monkeypatch)
    world.trouble = (0.0, 0.02, 0.08)[request.param % 3]
    return world


def drop(world: World, dataset: str, first_row: int = 0, tune_yaml: str = TUNE_YAML) -> None:
    files = {"train.jsonl": rows(first_row, 30), "held-out.jsonl": rows(1000, 8), "template.json": TEMPLATE}
    event = world.tunedrop.upload(dataset, tune_yaml, **files)
    world.on_the_way += [Delivery("plan_run", event, Context()) for _ in range(COPIES)]


def check(world: World) -> None:
    """Check what holds for every history."""
    tunedrop = world.tunedrop
    runs = tunedrop.runs()
    by_run = {run.run_id: run for run in runs}
    check_accounts(world)
    assert not any(tunedrop.store.ledger(month).reserved for month in tunedrop.store.ledgers)
    for name in tunedrop.jobs.requests:
        run = by_run[str(names.run_of_training_job(STACK, name))]
        assert (names.attempt_of_training_job(name) or 0) <= run.attempt == tried(run) + 1
    assert "InProgress" not in tunedrop.jobs.statuses.values()
    left = {names.run_of_imported_model(STACK, name) for name in tunedrop.imports.created}
    assert left == {run.run_id for run in runs if run.promotion and run.deployment and not run.deployment.deleted}
    assert {run.run_id for run in runs if run.status is RunStatus.PROMOTED} <= promoted(world)
    for record in tunedrop.store.aliases():
        assert record.champion
        assert alias(world, record.dataset) == record.champion.model_arn
    told = Counter((attributes["run_id"], attributes["status"]) for _, _, attributes in tunedrop.notifier.sent)
    assert sum(told.values()) - len(told) <= world.told_and_died
    assert {(run.run_id, run.status) for run in runs} <= set(told)
    assert {status for _, status in told} <= NOTIFIED
    assert set(tunedrop.store.holders.values()) <= {
        run.run_id for run in runs if run.status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED)
    }


def promoted(world: World) -> set[str]:
    """Name the runs that ever were champions."""
    return {each.run_id for record in world.tunedrop.store.aliases() for each in record.history}


def check_champions(world: World) -> None:
    """Check what holds at every moment: a champion's model is there, and somebody found it good."""
    for record in world.tunedrop.store.aliases():
        assert record.champion
        assert record.champion.model_arn in world.tunedrop.imports.by_arn
        for each in record.history:
            run = world.tunedrop.store.get(each.run_id)
            assert run
            assert run.evaluation
            assert run.evaluation.passed or each.by == ANN


def tried(run: Run) -> int:
    """Count the attempts that another one followed, with or without a job; a throttled one is tried under its name."""
    return sum(each.code != "training.throttled" for each in run.failed_attempts)


def check_accounts(world: World) -> None:
    """Check what holds at every moment: all that runs is reserved, all that ended is booked, nothing else is."""
    store, jobs = world.tunedrop.store, world.tunedrop.jobs
    charges = [charge for run in world.tunedrop.runs() for charge in run.charges]
    for month, ledger in store.ledgers.items():
        of_month = [charge for charge in charges if charge.month == month]
        assert ledger.reserved == {each.job_name: each.most_cents for each in of_month if each.cents is None}
        assert ledger.spent == sum(each.cents for each in of_month if each.cents is not None)
        assert store.cap_cents is None or ledger.committed <= store.cap_cents
    assert set(jobs.statuses) <= {charge.job_name for charge in charges}
    ended = {name for name, status in jobs.statuses.items() if status != "InProgress"}
    assert {charge.job_name for charge in charges if charge.cents} <= ended


def statuses(world: World) -> list[RunStatus]:
    return sorted(run.status for run in world.tunedrop.runs())


def alias(world: World, dataset: str) -> str | None:
    return world.tunedrop.aliases.get(names.alias(STACK, dataset))


def model_arn(run: Run) -> str | None:
    return run.deployment.model_arn if run.deployment else None


def test_two_datasets_dropped_at_once_are_both_promoted(world: World) -> None:
    drop(world, "receipts")
    drop(world, "tickets", first_row=100)
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.PROMOTED, RunStatus.PROMOTED]
    assert len(world.tunedrop.jobs.requests) == len(world.tunedrop.imports.states) == 2
    for run in world.tunedrop.runs():
        assert alias(world, run.dataset) == model_arn(run)


def test_a_dataset_that_is_validated_and_evaluated_in_parts_is_trained_once(world: World) -> None:
    settings = {"validate_at_once_megabytes": 0.0, "validation_range_megabytes": 0.0005}
    world.tunedrop.configure("validate_dataset", **settings)
    world.tunedrop.configure("evaluate_model", evaluate_at_once_rows=0, evaluation_range_rows=3)
    drop(world, "receipts")
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.PROMOTED]
    (execution,) = world.tunedrop.workflows.executions
    assert names.run_of_execution(execution) == world.tunedrop.runs()[0].run_id
    assert len(world.tunedrop.jobs.requests) == 1
    (execution,) = world.tunedrop.evaluations.executions
    assert names.run_of_execution(execution) == world.tunedrop.runs()[0].run_id


def test_the_same_files_dropped_twice_are_trained_once(world: World) -> None:
    drop(world, "receipts")
    drop(world, "receipts")
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.PROMOTED, RunStatus.REJECTED]
    assert len(world.tunedrop.jobs.requests) == len(world.tunedrop.imports.states) == 1
    (promoted,) = (run for run in world.tunedrop.runs() if run.status is RunStatus.PROMOTED)
    assert alias(world, "receipts") == model_arn(promoted)


def test_a_candidate_that_is_no_better_leaves_nothing_behind(world: World) -> None:
    world.tunedrop.conversation.good = lambda _: False
    drop(world, "receipts")
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.NOT_PROMOTED]
    assert alias(world, "receipts") is None
    assert len(world.tunedrop.imports.deleted) == 1


def test_a_drop_that_cannot_be_trained_on_starts_nothing(world: World) -> None:
    drop(world, "receipts", tune_yaml=TUNE_YAML + "hyperparameters: {epoch: 5000}\n")
    files = {"train.jsonl": rows(0, 30) + "no json\n", "template.json": TEMPLATE}
    event = world.tunedrop.upload("tickets", TUNE_YAML, **files)
    world.on_the_way += [Delivery("plan_run", event, Context()) for _ in range(COPIES)]
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.REJECTED, RunStatus.REJECTED]
    assert world.tunedrop.jobs.requests == {}


@pytest.mark.parametrize(("training", "status"), [("Failed", RunStatus.FAILED), ("Stopped", RunStatus.STOPPED)])
def test_files_whose_training_failed_may_be_dropped_again(world: World, training: str, status: RunStatus) -> None:
    drop(world, "receipts")
    world.live_on(training, "Completed")
    check(world)
    assert statuses(world) == [status]
    drop(world, "receipts")
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == sorted([status, RunStatus.PROMOTED])


def test_a_run_outlasts_shortages_of_every_kind_with_one_job_an_attempt(world: World) -> None:
    drop(world, "receipts")
    drop(world, "tickets", first_row=100)
    jobs = world.tunedrop.jobs
    jobs.refusals += [QuotaExceededError(QUOTA), TransientError("Rate exceeded"), QuotaExceededError(QUOTA)]
    world.shortages += [CAPACITY, AWS_FAULT, CAPACITY]
    world.live_on("Completed", "Completed")
    check(world)
    runs = world.tunedrop.runs()
    assert statuses(world) == [RunStatus.PROMOTED, RunStatus.PROMOTED]
    completed = [name for name, status in jobs.statuses.items() if status == "Completed"]
    assert {names.run_of_training_job(STACK, name) for name in completed} == {run.run_id for run in runs}
    assert {run.training.job_name for run in runs if run.training} <= set(completed)


def test_capacity_that_never_comes_ends_the_run_with_its_cause(world: World) -> None:
    drop(world, "receipts")
    world.shortages += [CAPACITY] * 500
    world.live_on("Completed", "Completed")
    check(world)
    (run,) = world.tunedrop.runs()
    assert (run.status, run.problems[0].code) == (RunStatus.FAILED, "training.capacity")
    assert run.failed_attempts


def asking(patch: pytest.MonkeyPatch, hours: float) -> None:
    rule = ApprovalRule(auto_approve_usd=0, hours=hours)
    patch.setattr("functions.plan_run.app.rules", PlanRules(REGION, {MODEL.model_id: BASE_MODEL}, approval=rule))


GIVEN, REFUSED = "approval-given.by-role", "approval-refused.with-reason"


def test_an_approved_run_is_launched_once_however_often_it_is_approved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking(monkeypatch, hours=72)
    world.answers = [GIVEN]
    drop(world, "receipts")
    world.live_on("Completed", "Completed")
    check(world)
    (run,) = world.tunedrop.runs()
    assert run.status is RunStatus.PROMOTED
    assert run.approval
    assert run.approval.answer
    assert len(world.tunedrop.jobs.requests) == 1


def test_of_people_who_disagree_the_first_whose_answer_is_recorded_decides(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking(monkeypatch, hours=72)
    world.answers = [GIVEN, REFUSED]
    drop(world, "receipts")
    drop(world, "tickets", first_row=100)
    world.live_on("Completed", "Completed")
    check(world)
    for run in world.tunedrop.runs():
        assert run.approval
        assert run.approval.answer
        assert run.status is (RunStatus.PROMOTED if run.approval.answer.approved else RunStatus.REJECTED)
    approved = [run for run in world.tunedrop.runs() if run.status is RunStatus.PROMOTED]
    assert len(world.tunedrop.jobs.requests) == len(approved)


def test_an_approval_that_comes_after_the_lapse_launches_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asking(monkeypatch, hours=1)
    drop(world, "receipts")
    world.live_on("Completed", "Completed")
    (run,) = world.tunedrop.runs()
    world.say(run.run_id, GIVEN)
    world.live_on("Completed", "Completed")
    check(world)
    (run,) = world.tunedrop.runs()
    assert (run.status, [each.code for each in run.problems]) == (RunStatus.REJECTED, ["approval.lapsed"])
    assert world.tunedrop.jobs.requests == {}
    assert run.charges == ()


def test_a_failed_import_frees_the_slot(world: World) -> None:
    drop(world, "receipts")
    drop(world, "tickets", first_row=100)
    world.live_on("Completed", "Failed")
    check(world)
    assert statuses(world) == [RunStatus.FAILED, RunStatus.FAILED]
    assert len(world.tunedrop.imports.states) == 2


def test_a_champion_is_replaced_by_a_better_model_only(world: World) -> None:
    drop(world, "receipts")
    world.live_on("Completed", "Completed")
    champion = alias(world, "receipts")
    drop(world, "receipts", first_row=200)
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.NOT_PROMOTED, RunStatus.PROMOTED]
    assert alias(world, "receipts") == champion


def test_two_runs_of_a_dataset_that_end_together_are_compared_with_each_other(world: World) -> None:
    drop(world, "receipts")
    while world.on_the_way and not any(run.plan for run in world.tunedrop.runs()):
        world.deliver_one()
    drop(world, "receipts", first_row=200)
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.NOT_PROMOTED, RunStatus.PROMOTED]
    other, champion = sorted(world.tunedrop.runs(), key=lambda run: run.status)
    assert alias(world, "receipts") == model_arn(champion)
    assert other.evaluation
    assert other.evaluation.champion_run == champion.run_id


def champions(world: World, count: int) -> list[Run]:
    """Promote models one after the other, each compared with the base alone; returns their runs."""
    for number in range(count):
        drop(
            world,
            "receipts",
            first_row=200 * number,
            tune_yaml=f"model: {MODEL.model_id}\nevaluate: {{against: [base]}}\n",
        )
        world.live_on("Completed", "Completed")
        check(world)
    return world.tunedrop.runs()


def wish(world: World, run: Run, instead_of: Run) -> None:
    """Ask to promote a run."""
    event = sample("tunedrop.user/promotion-requested.rollback")
    event["detail"] |= {"request_id": f"request-{next(_WISHES)}", "dataset": run.dataset}
    event["detail"] |= {"run_id": run.run_id, "instead_of": instead_of.run_id, "requested_by": ANN}
    world.on_the_way += [Delivery("promote_model", event, Context()) for _ in range(COPIES)]


@pytest.mark.parametrize("world", range(5), indirect=True)
def test_a_rollback_brings_the_former_champion_back_and_another_one_undoes_it(world: World) -> None:
    first, second = champions(world, 2)
    assert alias(world, "receipts") == model_arn(second)
    wish(world, first, instead_of=second)
    world.live_on("Completed", "Completed")
    check(world)
    assert alias(world, "receipts") == model_arn(first)
    wish(world, second, instead_of=first)
    world.live_on("Completed", "Completed")
    check(world)
    assert alias(world, "receipts") == model_arn(second)
    assert [each.run_id for each in world.tunedrop.store.alias("receipts").history] == [
        *(first.run_id, second.run_id, first.run_id, second.run_id)
    ]
    assert len(world.tunedrop.jobs.requests) == len(world.tunedrop.imports.states) == 2


@pytest.mark.parametrize("world", range(5), indirect=True)
def test_of_wishes_that_meet_one_is_granted_and_the_others_are_answered(world: World) -> None:
    first, second, third = champions(world, 3)
    wish(world, first, instead_of=third)
    wish(world, second, instead_of=third)
    world.live_on("Completed", "Completed")
    check(world)
    runs = {run.run_id: run for run in world.tunedrop.runs()}
    champion = world.tunedrop.store.alias("receipts").champion
    assert champion
    other = runs[({first.run_id, second.run_id} - {champion.run_id}).pop()]
    assert champion.by == ANN
    assert other.promotion_refused
    assert champion.run_id in other.promotion_refused.reason


@pytest.mark.parametrize("world", range(5), indirect=True)
def test_a_former_champion_is_deleted_after_its_time_unless_it_is_brought_back_just_then(world: World) -> None:
    first, second = champions(world, 2)
    world.tunedrop.clock.move(timedelta(days=8))
    world.tick()
    wish(world, first, instead_of=second)
    world.live_on("Completed", "Completed")
    check(world)
    back = alias(world, "receipts") == model_arn(first)
    kept = {names.run_of_imported_model(STACK, name) for name in world.tunedrop.imports.created}
    assert kept == ({first.run_id, second.run_id} if back else {second.run_id})
    old = world.tunedrop.store.get(first.run_id)
    assert old
    assert back or (old.promotion_refused and "is deleted" in old.promotion_refused.reason)


@pytest.mark.parametrize("world", range(8), indirect=True)
def test_the_oldest_former_champion_makes_room_for_a_new_model(world: World) -> None:
    first, *others = champions(world, 4)
    assert {run.status for run in others} == {RunStatus.PROMOTED}
    assert world.tunedrop.imports.deleted == [names.imported_model(STACK, first.run_id)]
    assert alias(world, "receipts") == model_arn(others[-1])


def test_a_lost_upload_is_found_by_the_reconciler(world: World) -> None:
    files = {"train.jsonl": rows(0, 30), "held-out.jsonl": rows(1000, 8), "template.json": TEMPLATE}
    world.tunedrop.upload("receipts", TUNE_YAML, **files)
    for _ in itertools.repeat(None, 3):
        world.tunedrop.clock.move(timedelta(minutes=5))
        world.tick()
    world.live_on("Completed", "Completed")
    check(world)
    assert statuses(world) == [RunStatus.PROMOTED]


@pytest.mark.parametrize("world", range(3), indirect=True)
def test_thirty_runs_launched_at_once_share_a_month_s_cap(world: World) -> None:
    tunedrop, store = world.tunedrop, world.tunedrop.store
    store.cap_cents = 10 * MOST_CENTS + 1
    world.functions = frozenset({"launch_training", "track_training"})
    ready = run_in(RunStatus.LAUNCHING).model_copy(update={"created_at": tunedrop.clock.now()})
    for number in range(30):
        store.create(ready.model_copy(update={"run_id": names.run_id("bucket", "key", str(number))}))
    launched: list[int] = []
    for _ in range(40):
        while world.on_the_way:
            world.deliver_one()
        launched.append(len(tunedrop.jobs.requests))
        world.train("Completed")
        tunedrop.clock.move(timedelta(minutes=17))
        with contextlib.suppress(CrashError, TransientError):
            tunedrop.invoke("reconcile_runs", tunedrop.tick("every-five-minutes"))
        ledger = store.ledger(month_of(tunedrop.clock.now()))
        if not ledger.reserved and not world.on_the_way and store.cap_cents - ledger.spent < MOST_CENTS:
            break
    assert launched[0] <= 10
    assert world.trouble or launched[0] == 10
    # What a job has cost in the end makes room for those that wait, until the rest of the month is too little for one.
    assert ledger.reserved == {}
    assert ledger.spent == launched[-1] * JOB_CENTS
    assert launched[-1] == 12
    waiting = [run for run in tunedrop.runs() if run.status is RunStatus.LAUNCHING]
    assert len(waiting) == 18
    for run in waiting:
        assert run.change is Change.DUE or (run.next_try_at and "monthly cap" in run.reason)
