"""The records and AWS are made to agree: what nobody owns goes, what was lost comes back, the rest is left alone."""

from datetime import timedelta

import pytest

from tests.fakes import (
    FakeClock,
    FakeEndpoints,
    FakeJudgeJobs,
    FakeModelImports,
    FakeTrainingJobs,
    InMemoryAliases,
    InMemoryDrops,
    InMemoryRunStore,
)
from tests.samples import (
    ALIAS_PUBLISHED,
    DATASET,
    DROP,
    DROP_BUCKET,
    JUDGE_CALLED,
    JUDGE_JOBS,
    JUDGE_SILENT,
    MODEL_ARN,
    PROMOTION_WANTED,
    RUN_BUCKET,
    RUN_ID,
    STACK,
    judged_run,
    new_run,
    observed,
    run_in,
    scored,
)
from tunedrop.domain import names
from tunedrop.domain.decide import IDLE
from tunedrop.domain.observations import ModelDeleted, PromotionWanted, RetirementWanted
from tunedrop.domain.run import Change, Run, RunStatus
from tunedrop.domain.training_request import create_training_job_request
from tunedrop.errors import RequestDeniedError, VersionConflictError
from tunedrop.ports import JudgeRequest
from tunedrop.steps.reconcile import FORGOTTEN_AFTER, LOST_AFTER, ORPHAN_AFTER, UNNAMED, Nudge, Reconcile

KEEP = timedelta(days=7)
MODEL_NAME = names.imported_model(STACK, RUN_ID)


class World:
    """The reconciler's two sides, and a clock."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.runs = InMemoryRunStore()
        self.drops = InMemoryDrops(clock=self.clock)
        self.jobs = FakeTrainingJobs()
        self.imports = FakeModelImports(clock=self.clock)
        self.judges = FakeJudgeJobs()
        self.endpoints = FakeEndpoints(clock=self.clock)
        self.aliases = InMemoryAliases()

    def reconcile(self, after: timedelta = timedelta(0)) -> None:
        self.clock.move(after)
        Reconcile(
            self.runs,
            self.drops,
            self.jobs,
            self.imports,
            self.judges,
            self.endpoints,
            self.aliases,
            self.clock,
            STACK,
            KEEP,
        )()

    def train(self, name: str) -> None:
        request = create_training_job_request(
            run_in(RunStatus.LAUNCHING), stack=STACK, role_arn="role", run_bucket=RUN_BUCKET
        )
        self.jobs.create(request | {"TrainingJobName": name})

    def import_model(self, name: str) -> None:
        self.imports.start(name, "s3://artifact/", RUN_ID)
        self.imports.finish(name, "Completed")


@pytest.fixture
def world() -> World:
    return World()


def test_a_run_that_lies_idle_is_announced_as_due(world: World) -> None:
    world.runs.create(new_run())
    world.reconcile(after=IDLE)
    run = world.runs.get(RUN_ID)
    assert run
    assert run.change is Change.DUE


def test_a_run_that_was_just_written_is_left_alone(world: World) -> None:
    world.runs.create(new_run())
    world.reconcile(after=timedelta(minutes=1))
    assert world.runs.get(RUN_ID) == new_run()


def test_a_run_that_somebody_wrote_meanwhile_needs_no_nudge(world: World) -> None:
    class Overtaken(InMemoryRunStore):
        def commit(self, before: Run, after: Run) -> Run:
            del before, after
            raise VersionConflictError

    world.clock.move(IDLE)
    assert not Nudge(Overtaken(), world.clock)(new_run())


@pytest.mark.parametrize("status", [RunStatus.FAILED, None], ids=["of an ended run", "of no run"])
def test_a_job_that_no_live_run_owns_is_stopped(world: World, status: RunStatus | None) -> None:
    if status:
        world.runs.create(run_in(status))
    world.train(names.training_job(STACK, RUN_ID, 1))
    world.reconcile()
    assert world.jobs.stopped == [names.training_job(STACK, RUN_ID, 1)]


def test_the_job_of_an_attempt_that_was_given_up_is_stopped(world: World) -> None:
    world.runs.create(run_in(RunStatus.LAUNCHING).model_copy(update={"attempt": 2}))
    first, second = (names.training_job(STACK, RUN_ID, attempt) for attempt in (1, 2))
    world.train(first)
    world.train(second)
    world.reconcile()
    assert world.jobs.stopped == [first]


def test_the_job_of_a_live_run_and_those_of_others_go_on(world: World) -> None:
    world.runs.create(run_in(RunStatus.LAUNCHING))
    for name in (
        names.training_job(STACK, RUN_ID, 1),
        names.training_job(f"{STACK}-dev", RUN_ID, 1),
        f"{STACK}-made-by-hand",
    ):
        world.train(name)
    world.reconcile(after=IDLE)
    assert world.jobs.stopped == []


@pytest.mark.parametrize("status", [RunStatus.STOPPED, RunStatus.FAILED, None])
def test_a_model_of_which_no_run_knows_is_deleted(world: World, status: RunStatus | None) -> None:
    if status:
        world.runs.create(run_in(status))
    world.import_model(MODEL_NAME)
    world.reconcile(after=ORPHAN_AFTER)
    assert world.imports.deleted == [MODEL_NAME]


def test_a_deletion_that_is_denied_does_not_keep_the_others_from_being_made(world: World) -> None:
    class Guarded(FakeModelImports):
        def delete(self, name: str) -> None:
            if name == MODEL_NAME:
                raise RequestDeniedError(name)
            super().delete(name)

    world.imports = Guarded(clock=world.clock)
    other = names.imported_model(STACK, "b" * 26)
    for name in (MODEL_NAME, other):
        world.import_model(name)
    with pytest.raises(ExceptionGroup) as failed:
        world.reconcile(after=ORPHAN_AFTER)
    assert failed.group_contains(RequestDeniedError)
    assert world.imports.deleted == [other]


def test_a_model_that_was_imported_once_more_after_its_deletion_is_deleted(world: World) -> None:
    deleted = observed(run_in(RunStatus.NOT_PROMOTED), RetirementWanted(because="It lost."), ModelDeleted())
    world.runs.create(deleted)
    world.import_model(MODEL_NAME)
    world.reconcile(after=ORPHAN_AFTER)
    assert world.imports.deleted == [MODEL_NAME]


def test_a_run_that_was_not_promoted_and_still_has_its_model_is_reminded_of_it(world: World) -> None:
    world.runs.create(run_in(RunStatus.NOT_PROMOTED))
    world.import_model(MODEL_NAME)
    world.reconcile(after=IDLE)
    run = world.runs.get(RUN_ID)
    assert run
    assert run.change is Change.DUE
    assert world.imports.deleted == []


def test_a_former_champion_is_given_up_after_the_time_for_which_it_is_kept(world: World) -> None:
    world.import_model(MODEL_NAME)
    passed = observed(run_in(RunStatus.EVALUATING), scored(passed=True))
    world.runs.create(passed)
    champion = world.runs.commit(passed, observed(passed, PROMOTION_WANTED))
    world.runs.commit(champion, observed(champion, ALIAS_PUBLISHED))
    world.reconcile(after=KEEP)
    world.reconcile(after=KEEP)
    assert not _given_up(world)

    better = passed.model_copy(update={"run_id": "b" * 26})
    world.runs.create(better)
    later = world.clock.now() - better.updated_at
    champion = world.runs.commit(better, observed(better, PromotionWanted(instead_of=RUN_ID), after=later))
    world.runs.commit(champion, observed(champion, ALIAS_PUBLISHED, after=timedelta(0)))
    world.reconcile(after=KEEP - timedelta(seconds=1))
    assert not _given_up(world)
    world.reconcile(after=timedelta(seconds=1))
    assert _given_up(world) == "It has not been the champion for 7 days."


def _given_up(world: World) -> str:
    run = world.runs.get(RUN_ID)
    assert run
    assert run.deployment
    return run.deployment.retirement


def test_an_alias_that_does_not_name_the_champion_is_mended(world: World) -> None:
    passed = observed(run_in(RunStatus.EVALUATING), scored(passed=True))
    world.runs.create(passed)
    world.runs.commit(passed, observed(passed, PROMOTION_WANTED))
    world.aliases.put(names.alias(STACK, DATASET), "arn:of-a-worker-that-died")
    world.reconcile()
    assert world.aliases.get(names.alias(STACK, DATASET)) == MODEL_ARN


@pytest.mark.parametrize("status", [RunStatus.PROMOTED, RunStatus.EVALUATING, RunStatus.DEPLOYING])
def test_the_model_of_a_live_or_promoted_run_and_those_of_others_stay(world: World, status: RunStatus) -> None:
    world.runs.create(run_in(status))
    for name in (MODEL_NAME, names.imported_model(f"{STACK}-dev", RUN_ID), f"{STACK}-made-by-hand"):
        world.import_model(name)
    world.reconcile(after=ORPHAN_AFTER)
    assert world.imports.deleted == []


def test_a_model_that_was_just_made_may_wait_for_its_record(world: World) -> None:
    world.import_model(MODEL_NAME)
    world.reconcile(after=ORPHAN_AFTER - timedelta(seconds=1))
    assert world.imports.deleted == []


@pytest.mark.parametrize(
    ("age", "found"),
    [
        (LOST_AFTER - timedelta(seconds=1), False),
        (LOST_AFTER, True),
        (FORGOTTEN_AFTER, True),
        (FORGOTTEN_AFTER + timedelta(seconds=1), False),
    ],
)
def test_a_drop_whose_event_was_lost_is_started_while_it_is_news(world: World, age: timedelta, *, found: bool) -> None:
    version = world.drops.put(DROP.key, b"model: x")
    world.reconcile(after=age)
    run = world.runs.get(names.run_id(DROP_BUCKET, DROP.key, version))
    assert (run is not None) == found
    if run:
        assert (run.status, run.change, run.dataset) == (RunStatus.PLANNING, Change.DUE, "receipts")


def test_a_drop_that_has_its_run_is_not_started_again(world: World) -> None:
    version = world.drops.put(DROP.key, b"model: x")
    run = run_in(RunStatus.TRAINING).model_copy(update={"run_id": names.run_id(DROP_BUCKET, DROP.key, version)})
    world.runs.create(run)
    world.reconcile(after=LOST_AFTER)
    assert world.runs.get(run.run_id) == run


def test_a_tune_yaml_in_a_wrong_place_gets_a_run_that_can_be_refused(world: World) -> None:
    version = world.drops.put("datasets/receipts/old/tune.yaml", b"model: x")
    world.reconcile(after=LOST_AFTER)
    run = world.runs.get(names.run_id(DROP_BUCKET, "datasets/receipts/old/tune.yaml", version))
    assert run
    assert run.dataset == UNNAMED


def test_an_evaluation_job_that_no_run_waits_for_is_stopped(world: World) -> None:
    waiting = observed(judged_run(), scored(passed=True), JUDGE_CALLED)
    world.runs.create(waiting)
    awaited, _ = (_judge(world, each.name) for each in JUDGE_JOBS)
    orphan = _judge(world, names.judge_job(STACK, "a" * 26, "candidate", 1))
    foreign = _judge(world, "somebody-s-own-job")
    world.reconcile()
    assert world.judges.stopped == [orphan]
    world.runs.runs[RUN_ID] = observed(waiting, JUDGE_SILENT).model_dump_json()
    world.reconcile()
    assert awaited in world.judges.stopped
    assert foreign not in world.judges.stopped


def _judge(world: World, name: str) -> str:
    uri = f"s3://{RUN_BUCKET}/x"
    return world.judges.start(
        JudgeRequest(
            name=name,
            run_id=RUN_ID,
            side="candidate",
            answers_uri=uri,
            output_uri=uri,
            evaluator_model="amazon.nova-pro-v1:0",
            metrics=("Correctness",),
        )
    )
