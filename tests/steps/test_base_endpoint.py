"""A base model that Bedrock lacks answers on an endpoint for as long as it is asked, and nothing stays of it."""

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
    BASE_ENDPOINT,
    BASE_NAME,
    HOSTING,
    IMPORT_COMPLETED,
    JUDGE,
    JUDGE_SILENT,
    PLAN,
    PROMOTION_WANTED,
    REFUSED,
    RUN_ID,
    STACK,
    based_run,
    observed,
    run_in,
    scored,
)
from tunedrop.domain import names
from tunedrop.domain.decide import (
    DELETION_PAUSE,
    DELETIONS,
    LONGEST_BASE_WAIT,
    LONGEST_WAIT,
    Effect,
    effects_due,
    settled,
)
from tunedrop.domain.endpoint_requests import base_endpoint_requests
from tunedrop.domain.observations import (
    BaseDeletionDenied,
    BaseGone,
    ChampionChanged,
    Observation,
    Unavailable,
)
from tunedrop.domain.run import ASKING, Change, Run, RunStatus
from tunedrop.errors import QuotaExceededError, RequestDeniedError, RequestRefusedError
from tunedrop.steps.advance import LOOKED, advance
from tunedrop.steps.base_endpoint import BringBaseUp, NameBase, TakeBaseDown
from tunedrop.steps.endpoint import NO_INSTANCE
from tunedrop.steps.reconcile import ORPHAN_AFTER, Nudge, Reconcile

ROLE = "arn:aws:iam::123456789012:role/tunedrop-HostingRole"


class World:
    """A run whose tuned model is being imported, and what deploys it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.runs = InMemoryRunStore()
        self.endpoints = FakeEndpoints(clock=self.clock)
        self.runs.create(based_run())

    @property
    def run(self) -> Run:
        run = self.runs.get(RUN_ID)
        assert run
        return run

    def see(self, *observations: Observation) -> Run:
        """Let other functions see what they see."""
        for each in observations:
            run = self.run
            self.runs.commit(run, observed(run, each, after=self.clock.now() - run.updated_at))
        return self.run

    def deploy(self) -> Run:
        """Be deploy_model, called once."""
        performers = {
            Effect.NAME_BASE: NameBase(STACK),
            Effect.BRING_BASE_UP: BringBaseUp(self.endpoints, STACK, ROLE),
            Effect.TAKE_BASE_DOWN: TakeBaseDown(self.endpoints),
        }
        run = advance(RUN_ID, performers, self.runs, self.clock, LOOKED)
        assert run
        return run

    def tick(self, passed: timedelta = timedelta(minutes=1)) -> Run:
        """Let SageMaker finish what it is at, and some time pass; then the schedule wakes the run."""
        for name, stage in list(self.endpoints.stages.items()):
            if stage in ("making", "loading"):
                self.endpoints.finish(name)
        self.clock.move(passed)
        Nudge(self.runs, self.clock)(self.run)
        return self.deploy()

    def evaluate(self) -> Run:
        """Import the model and bring its base up, as far as the evaluation."""
        self.see(IMPORT_COMPLETED)
        self.deploy()
        for _ in range(3):
            self.tick()
        assert self.run.status is RunStatus.EVALUATING
        return self.run

    def reconcile(self) -> None:
        Reconcile(
            self.runs,
            InMemoryDrops(),
            FakeTrainingJobs(),
            FakeModelImports(),
            FakeJudgeJobs(),
            self.endpoints,
            InMemoryAliases(),
            self.clock,
            STACK,
            timedelta(days=7),
        )()


@pytest.fixture
def world() -> World:
    return World()


def test_the_base_comes_when_the_tuned_model_is_there_and_then_both_are_asked(world: World) -> None:
    assert world.deploy().base is None
    run = world.see(IMPORT_COMPLETED)
    assert (run.status, run.change) == (RunStatus.DEPLOYING, Change.DUE)
    assert names.IMPORT_SLOT not in run.claims
    run = world.deploy()
    assert run.base
    assert (run.base.name, run.base.since) == (BASE_NAME, world.clock.now())
    assert world.endpoints.stages == {BASE_NAME: "making"}
    container = world.endpoints.requests[BASE_NAME].model["PrimaryContainer"]
    assert container["ModelDataSource"]["S3DataSource"]["S3Uri"] == BASE_ENDPOINT.weights_uri
    world.tick()
    run = world.tick()
    assert run.status is RunStatus.EVALUATING
    assert run.base
    assert run.base.model_arn == FakeEndpoints.arn(BASE_NAME)
    assert run.base.up_at == world.clock.now()


@pytest.mark.parametrize("passed", [True, False])
def test_nothing_of_the_base_is_left_when_the_run_has_ended(world: World, *, passed: bool) -> None:
    world.evaluate()
    run = world.see(scored(passed=passed), *((PROMOTION_WANTED, ALIAS_PUBLISHED) if passed else ()))
    assert run.status is (RunStatus.PROMOTED if passed else RunStatus.NOT_PROMOTED)
    run = world.deploy()
    assert run.base
    assert run.base.deleted
    assert world.endpoints.stages == {}


@pytest.mark.parametrize("ticks", [0, 1, 2, 3])
def test_nothing_of_the_base_is_left_of_a_run_that_fails_on_the_way(world: World, ticks: int) -> None:
    world.see(IMPORT_COMPLETED)
    world.deploy()
    for _ in range(ticks):
        world.tick()
    world.see(REFUSED)
    run = world.deploy()
    assert run.status is RunStatus.FAILED
    for _ in range(2):
        run = world.tick()
    assert run.base
    assert run.base.deleted
    assert world.endpoints.stages == {}


def test_an_instance_that_aws_lacks_is_asked_for_some_hours_and_then_the_run_goes_on_without(world: World) -> None:
    world.see(IMPORT_COMPLETED)
    world.deploy()
    world.endpoints.finish(BASE_NAME, "InsufficientInstanceCapacity: none")
    run = world.tick()
    assert run.status is RunStatus.DEPLOYING
    assert HOSTING.instance_type in run.reason
    assert run.next_try_at == world.clock.now() + NO_INSTANCE
    world.tick(NO_INSTANCE)
    world.endpoints.refusals.append(QuotaExceededError("The limit is 0."))
    run = world.tick(LONGEST_BASE_WAIT)
    assert run.status is RunStatus.EVALUATING
    assert run.base
    assert "The limit is 0." in run.base.missing


@pytest.mark.parametrize("error", [RequestRefusedError("AWS says no."), RequestDeniedError("AWS says no.")])
def test_what_sagemaker_refuses_is_a_comparison_less_and_no_failure(world: World, error: Exception) -> None:
    world.see(IMPORT_COMPLETED)
    world.endpoints.refusals.append(error)
    run = world.deploy()
    assert run.status is RunStatus.EVALUATING
    assert run.base
    assert "AWS says no." in run.base.missing


def test_a_container_that_does_not_start_is_a_comparison_less_and_taken_down(world: World) -> None:
    world.see(IMPORT_COMPLETED)
    world.deploy()
    world.tick()
    world.endpoints.finish(BASE_NAME, "The container did not pass the ping health check.")
    run = world.tick()
    assert run.status is RunStatus.EVALUATING
    assert run.base
    assert "ping health check" in run.base.missing
    world.see(scored(passed=False))
    world.deploy()
    assert world.endpoints.stages == {}


def test_a_run_that_waited_long_for_its_import_still_waits_for_its_base(world: World) -> None:
    world.clock.move(LONGEST_WAIT + timedelta(hours=1))
    world.see(IMPORT_COMPLETED)
    Nudge(world.runs, world.clock)(world.run)
    assert world.run.status is RunStatus.DEPLOYING
    world.deploy()
    for _ in range(3):
        world.tick()
    assert world.run.status is RunStatus.EVALUATING


def test_a_deletion_that_is_denied_is_tried_for_a_day_and_does_not_hold_the_model_s_up(world: World) -> None:
    world.evaluate()
    run = world.see(scored(passed=False))
    for number in range(DELETIONS):
        run = world.see(BaseDeletionDenied(reason="A policy says no."))
        assert run.base
        assert run.base.denials == number + 1
        world.clock.move(DELETION_PAUSE)
        run = world.see(Unavailable(reason="", retry_after=timedelta(0)))
    assert run.base
    assert run.base.left == "A policy says no."
    assert not settled(run)  # the tuned model is still to be deleted
    assert world.see(BaseGone()).base


def test_whose_worker_died_is_found_by_name_and_what_nobody_owns_is_taken_down(world: World) -> None:
    run = world.evaluate()
    world.reconcile()
    assert world.endpoints.stages == {BASE_NAME: "loaded"}
    world.see(scored(passed=False))
    world.deploy()
    assert world.endpoints.stages == {}
    # Whoever read the run before its end makes it again.
    world.endpoints.bring_up(base_endpoint_requests(run, BASE_NAME, stack=STACK, role_arn=ROLE))
    world.endpoints.finish(BASE_NAME)
    world.clock.move(ORPHAN_AFTER)
    world.reconcile()
    assert world.endpoints.stages == {}


def test_an_archive_of_gated_weights_is_asked_for_with_the_agreement_that_was_accepted() -> None:
    gated = BASE_ENDPOINT.model_copy(update={"weights_uri": "s3://jumpstart/base.tar.gz", "accept_eula": True})
    evaluation = PLAN.evaluation.model_copy(update={"base_endpoint": gated})
    run = run_in(RunStatus.DEPLOYING).model_copy(update={"plan": PLAN.model_copy(update={"evaluation": evaluation})})
    requests = base_endpoint_requests(run, BASE_NAME, stack=STACK, role_arn=ROLE)
    assert requests.model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"] == {
        "S3Uri": "s3://jumpstart/base.tar.gz",
        "S3DataType": "S3Object",
        "CompressionType": "Gzip",
        "ModelAccessConfig": {"AcceptEula": True},
    }
    [variant] = requests.config["ProductionVariants"]
    assert variant["ManagedInstanceScaling"]["MinInstanceCount"] == variant["InitialInstanceCount"] == 1
    assert requests.target is None
    assert names.run_of_base_endpoint(STACK, BASE_NAME) == RUN_ID
    assert names.run_of_endpoint(STACK, BASE_NAME) is None
    assert len(names.base_endpoint("s" * names.STACK_NAME_LIMIT, RUN_ID)) <= 63


def test_a_base_model_does_not_wait_for_the_judge(world: World) -> None:
    run = world.evaluate()
    assert run.plan
    assert run.base
    judged = run.plan.evaluation.model_copy(update={"judge": JUDGE})
    plan = run.plan.model_copy(update={"evaluation": judged})
    run = observed(run.model_copy(update={"plan": plan}), scored(passed=True))
    assert run.change is Change.DUE
    assert effects_due(run, run.updated_at) == (Effect.TAKE_BASE_DOWN, Effect.CALL_JUDGE)
    denied = observed(run, BaseDeletionDenied(reason="not authorized"))
    assert effects_due(denied, denied.updated_at) == (Effect.CALL_JUDGE,)
    waiting = observed(
        run, Unavailable(reason="It is being deleted.", retry_after=timedelta(minutes=1)), after=LONGEST_WAIT
    )
    assert waiting.status is RunStatus.EVALUATING
    gone = observed(run, BaseGone())
    assert gone.base
    assert gone.base.deleted
    again = observed(gone, JUDGE_SILENT, ChampionChanged(request=RUN_ID, champion="another-run"))
    assert effects_due(again, again.updated_at) == (Effect.SCORE,)


def test_a_base_model_that_is_not_asked_any_more_goes_while_the_others_are_waited_for(world: World) -> None:
    run = world.evaluate()
    assert run.base
    assert run.base.up_at
    assert effects_due(run, run.base.up_at + ASKING - timedelta(seconds=1)) == (Effect.SCORE,)
    over = run.base.up_at + ASKING
    assert effects_due(run, over) == (Effect.TAKE_BASE_DOWN, Effect.SCORE)
    denied = observed(run, BaseDeletionDenied(reason="not authorized"))
    gone = observed(run, BaseGone())
    assert gone.base
    assert gone.base.deleted
    for after in (denied, gone):
        assert effects_due(after, over) == (Effect.SCORE,)
        assert observed(after, scored(passed=False)).status is RunStatus.NOT_PROMOTED
    never = run.model_copy(update={"base": run.base.model_copy(update={"missing": "It never came.", "up_at": None})})
    assert effects_due(never, never.updated_at) == (Effect.TAKE_BASE_DOWN, Effect.SCORE)
