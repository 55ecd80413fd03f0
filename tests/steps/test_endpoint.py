"""A tuned model comes behind an endpoint, step by step, and nothing stays of one that nobody wants."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.fakes import (
    ARTIFACT,
    FakeClock,
    FakeEndpoints,
    FakeJudgeJobs,
    FakeModelImports,
    FakeTrainingJobs,
    InMemoryAliases,
    InMemoryDrops,
    InMemoryRunFiles,
    InMemoryRunStore,
    RecordingNotifier,
)
from tests.samples import (
    ALIAS_PUBLISHED,
    ARTIFACT_URI,
    DATASET,
    ENDPOINT_ARN,
    ENDPOINT_NAME,
    HOSTED_PLAN,
    HOSTING,
    PERSON,
    PROMOTION_WANTED,
    REFUSED,
    REGION,
    RUN_BUCKET,
    RUN_ID,
    STACK,
    hosted_run,
    observed,
    scored,
)
from tunedrop.domain.alias import Alias
from tunedrop.domain.decide import DELETIONS, LONGEST_WAIT, LONGEST_WAKE, NO_WAKE, Effect
from tunedrop.domain.endpoint_requests import endpoint_requests
from tunedrop.domain.observations import (
    DeletionDenied,
    EndpointNamed,
    EndpointSeen,
    ModelDeleted,
    NoticeSent,
    Observation,
    PromotionRequested,
    Refused,
    RetirementWanted,
    Unavailable,
    WakeRequested,
)
from tunedrop.domain.plan import DataTarget, Technique
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import QuotaExceededError, RequestDeniedError, RequestRefusedError, TransientError
from tunedrop.ports import ServedModel
from tunedrop.steps.advance import LOOKED, advance
from tunedrop.steps.champions import unwanted, wanted
from tunedrop.steps.endpoint import GOING, NO_INSTANCE, BringUp, NameEndpoint, ServedModels, TakeDown
from tunedrop.steps.reconcile import ORPHAN_AFTER, Nudge, Reconcile
from tunedrop.steps.tell import ClaimNotice, SendNotice

ROLE = "arn:aws:iam::123456789012:role/tunedrop-HostingRole"
PREFIX = ARTIFACT_URI.removeprefix(f"s3://{RUN_BUCKET}/")
WAKE = WakeRequested(by=PERSON)


class World:
    """A run that is trained, what its training left, and what deploys it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.runs = InMemoryRunStore()
        self.endpoints = FakeEndpoints(clock=self.clock)
        self.files = InMemoryRunFiles({f"{PREFIX}{name}": content for name, content in ARTIFACT.items()})
        self.notifier = RecordingNotifier()
        self.runs.create(hosted_run())

    @property
    def bring_up(self) -> BringUp:
        return BringUp(self.endpoints, self.files, STACK, ROLE)

    def deploy(self, first: Observation = LOOKED) -> Run:
        """Be deploy_model, called once."""
        performers: dict[Effect, Callable[[Run], Observation]] = {
            Effect.NAME_ENDPOINT: NameEndpoint(STACK),
            Effect.BRING_UP: self.bring_up,
            Effect.RETIRE: unwanted,
            Effect.TAKE_DOWN: TakeDown(self.endpoints),
        }
        run = advance(RUN_ID, performers, self.runs, self.clock, first)
        assert run
        return run

    def tick(self) -> Run:
        """Let SageMaker finish what it is at, and a minute pass; then the schedule wakes the run."""
        for name, stage in list(self.endpoints.stages.items()):
            if stage in ("making", "loading"):
                self.endpoints.finish(name)
        self.clock.move(timedelta(minutes=1))
        Nudge(self.runs, self.clock)(self.run)
        return self.deploy()

    def notify(self) -> None:
        """Be notify, called once."""
        token = f"request-{self.clock.now()}"
        send = SendNotice(self.notifier, self.files, self.clock, REGION, token)
        advance(RUN_ID, {Effect.CLAIM_NOTICE: ClaimNotice(token), Effect.SEND_NOTICE: send}, self.runs, self.clock)

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

    def serve(self) -> Run:
        """Bring the endpoint up, as far as the evaluation."""
        self.deploy()
        for _ in range(3):
            self.tick()
        assert self.run.status is RunStatus.EVALUATING
        return self.run

    def promote(self) -> Run:
        self.serve()
        return self.see(scored(passed=True), PROMOTION_WANTED, ALIAS_PUBLISHED)


@pytest.fixture
def world() -> World:
    return World()


def test_an_endpoint_is_named_made_loaded_and_then_evaluated(world: World) -> None:
    run = world.deploy()
    assert run.deployment
    assert (run.deployment.model_name, run.deployment.model_arn) == (ENDPOINT_NAME, None)
    assert (run.status, run.reason) == (RunStatus.DEPLOYING, "SageMaker is at it.")
    assert world.endpoints.stages == {ENDPOINT_NAME: "making"}
    world.tick()
    assert world.endpoints.stages == {ENDPOINT_NAME: "loading"}
    run = world.tick()
    assert run.status is RunStatus.EVALUATING
    assert run.deployment
    assert run.deployment.model_arn == ENDPOINT_ARN
    assert world.endpoints.scaled == {ENDPOINT_NAME}
    assert b"chat_template" in world.files.objects[f"{PREFIX}tokenizer_config.json"]


def test_whoever_dies_before_its_record_is_written_leaves_one_endpoint(world: World) -> None:
    step, run = world.bring_up, world.see(EndpointNamed(name=ENDPOINT_NAME))
    for _ in range(3):
        first, again = step(run), step(run)
        assert isinstance(first, EndpointSeen)
        assert isinstance(again, EndpointSeen)
        if world.endpoints.stages[ENDPOINT_NAME] in ("making", "loading"):
            world.endpoints.finish(ENDPOINT_NAME)
    assert step(run) == EndpointSeen(in_service=True, model_arn=ENDPOINT_ARN)
    assert list(world.endpoints.stages) == [ENDPOINT_NAME]


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (QuotaExceededError("The limit is 0."), Unavailable),
        (RequestRefusedError("The limit is 0."), Refused),
        (RequestDeniedError("The limit is 0."), Refused),
    ],
)
def test_what_sagemaker_will_not_do_is_seen_with_its_words(world: World, error: Exception, seen: type) -> None:
    world.endpoints.refusals.append(error)
    observation = world.bring_up(world.see(EndpointNamed(name=ENDPOINT_NAME)))
    assert isinstance(observation, seen)
    assert "The limit is 0." in repr(observation)


def test_an_instance_that_aws_lacks_is_asked_for_anew_for_a_day(world: World) -> None:
    world.deploy()
    world.endpoints.finish(ENDPOINT_NAME, "InsufficientInstanceCapacity: none")
    world.clock.move(timedelta(minutes=1))
    Nudge(world.runs, world.clock)(world.run)
    run = world.deploy()
    assert run.status is RunStatus.DEPLOYING
    assert HOSTING.instance_type in run.reason
    assert run.next_try_at == world.clock.now() + NO_INSTANCE
    assert world.endpoints.stages == {}
    world.clock.move(LONGEST_WAIT)
    Nudge(world.runs, world.clock)(world.run)
    run = world.deploy()
    assert (run.status, run.problems[0].code) == (RunStatus.FAILED, "wait.too-long")
    world.endpoints.finish(ENDPOINT_NAME, "InsufficientInstanceCapacity: none")
    world.tick()
    assert world.endpoints.stages == {}


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("The container did not pass the ping health check.", "endpoint.health"),
        ("Failed to download model data", "endpoint.artifact"),
        ("Nobody knows this one.", "endpoint.failed"),
    ],
)
def test_what_fails_for_good_ends_the_run_and_leaves_nothing(world: World, reason: str, code: str) -> None:
    world.deploy()
    world.tick()
    world.endpoints.finish(ENDPOINT_NAME, reason)
    world.clock.move(timedelta(minutes=1))
    Nudge(world.runs, world.clock)(world.run)
    run = world.deploy()
    assert (run.status, run.problems[0].code) == (RunStatus.FAILED, code)
    assert reason in run.reason
    assert world.endpoints.stages == {}
    assert run.deployment
    assert run.deployment.deleted


def test_a_model_that_was_not_better_leaves_nothing(world: World) -> None:
    world.serve()
    world.see(scored(passed=False))
    run = world.deploy()
    assert run.status is RunStatus.NOT_PROMOTED
    assert run.deployment
    assert run.deployment.deleted
    assert world.endpoints.stages == world.endpoints.requests == {}
    assert world.endpoints.scaled == set()


@pytest.mark.parametrize("ticks", [0, 1, 2])
def test_a_run_that_fails_on_the_way_leaves_nothing_however_long_that_takes(world: World, ticks: int) -> None:
    world.deploy()
    for _ in range(ticks):
        world.tick()
    world.see(REFUSED)
    run = world.deploy()
    assert run.status is RunStatus.FAILED
    assert run.deployment
    if not run.deployment.deleted:
        assert run.next_try_at == world.clock.now() + GOING
        run = world.tick()
    assert run.deployment
    assert run.deployment.deleted
    assert world.endpoints.stages == {}


def test_taking_down_twice_does_no_harm(world: World) -> None:
    run = world.serve()
    assert TakeDown(world.endpoints)(run) == TakeDown(world.endpoints)(run) == ModelDeleted()


def test_a_deletion_that_a_policy_denies_is_told() -> None:
    class Denied(FakeEndpoints):
        def take_down(self, name: str) -> bool:
            raise RequestDeniedError(f"not authorized to delete {name}")

    run = observed(hosted_run(), EndpointNamed(name=ENDPOINT_NAME))
    assert TakeDown(Denied())(run) == DeletionDenied(reason=f"not authorized to delete {ENDPOINT_NAME}")


def test_a_training_that_left_no_weights_cannot_be_served(world: World) -> None:
    run = world.see(EndpointNamed(name=ENDPOINT_NAME))
    del world.files.objects[f"{PREFIX}config.json"]
    seen = world.bring_up(run)
    assert isinstance(seen, Refused)
    assert (seen.problem.code, seen.problem.where) == ("endpoint.no-artifact", ARTIFACT_URI)
    assert world.endpoints.stages == {}


def test_conversations_need_a_template(world: World) -> None:
    data = DataTarget(technique=Technique.CHAT, technique_from="tune.yaml")
    run = world.see(EndpointNamed(name=ENDPOINT_NAME))
    run = run.model_copy(update={"plan": HOSTED_PLAN.model_copy(update={"data": data})})
    seen = world.bring_up(run)
    assert isinstance(seen, Refused)
    assert seen.problem.code == "endpoint.chat-template"
    world.files.write(f"{PREFIX}chat_template.jinja", b"{{ messages }}")
    assert isinstance(world.bring_up(run), EndpointSeen)


# ---------------------------------------------------------------- the time to live, and the way back


def take_down(world: World) -> Run:
    """Have nobody call the promoted run's endpoint for the time that its plan names."""
    if world.run.status is not RunStatus.PROMOTED:
        world.promote()
    world.clock.move(timedelta(hours=HOSTING.ttl_hours or 0))
    reconcile(world)
    run = world.deploy()
    assert run.deployment
    assert run.deployment.deleted
    return run


def reconcile(world: World) -> None:
    Reconcile(
        world.runs,
        InMemoryDrops(),
        FakeTrainingJobs(),
        FakeModelImports(),
        FakeJudgeJobs(),
        world.endpoints,
        InMemoryAliases(),
        world.clock,
        STACK,
        timedelta(days=7),
    )()


def test_an_endpoint_that_nobody_calls_for_its_time_is_taken_down(world: World) -> None:
    run = world.promote()
    hours = timedelta(hours=HOSTING.ttl_hours or 0)
    world.clock.move(hours - timedelta(minutes=10))
    reconcile(world)
    assert world.run.deployment == run.deployment
    world.endpoints.called[ENDPOINT_NAME] = world.clock.now()
    world.clock.move(hours)
    reconcile(world)
    assert world.run.deployment == run.deployment
    world.clock.move(timedelta(minutes=1))
    reconcile(world)
    run = world.deploy()
    assert run.deployment
    assert (run.deployment.retirement, run.deployment.deleted) == ("Nobody had called it for 72 hours.", True)
    assert world.endpoints.stages == {}
    assert run.status is RunStatus.PROMOTED


def test_people_are_told_once_of_an_endpoint_that_nobody_calls_and_how_it_comes_back(world: World) -> None:
    world.promote()
    world.notify()
    take_down(world)
    for _ in range(2):
        world.notify()
    (promoted, _, first), (gone, body, attributes) = world.notifier.sent
    assert promoted == f"Tunedrop: {DATASET} promoted ({RUN_ID})"
    assert "endpoint" not in first
    assert gone == f"Tunedrop: {DATASET} taken down ({RUN_ID})"
    assert "Nobody had called it for 72 hours." in body
    assert f"\n  tunedrop wake {RUN_ID}\n" in body
    assert attributes["endpoint"] == "taken-down"
    assert len(attributes) <= 10


def test_whose_promotion_was_not_told_yet_is_told_of_the_end_alone(world: World) -> None:
    world.promote()
    take_down(world)
    world.notify()
    ((subject, _, _),) = world.notifier.sent
    assert "taken down" in subject


def test_a_notice_that_was_on_its_way_meanwhile_does_no_harm(world: World) -> None:
    world.promote()
    world.notify()
    late = NoticeSent(status=RunStatus.PROMOTED, message_id="message-1")
    take_down(world)
    assert world.see(late).notices == {}


def test_an_endpoint_without_a_time_to_live_stays(world: World) -> None:
    run = world.promote()
    assert run.plan
    hosting = HOSTING.model_copy(update={"ttl_hours": None})
    world.runs.commit(run, run.model_copy(update={"plan": run.plan.model_copy(update={"hosting": hosting})}))
    world.clock.move(timedelta(days=300))
    reconcile(world)
    assert world.run.deployment == run.deployment
    assert world.endpoints.stages == {ENDPOINT_NAME: "loaded"}


def test_a_model_is_not_missing_because_aws_is_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(_self: FakeEndpoints, _model_arn: str) -> ServedModel:
        raise TransientError("Rate exceeded")

    monkeypatch.setattr(FakeEndpoints, "model", busy)
    with pytest.raises(TransientError):  # the wish is heard again, and not refused
        ServedModels(FakeModelImports(), FakeEndpoints()).why_missing(ENDPOINT_ARN)


def test_an_endpoint_that_is_woken_comes_back_under_its_name(world: World) -> None:
    before = take_down(world)
    run = world.deploy(WAKE)
    assert run.deployment
    assert run.deployment.waking
    assert list(world.endpoints.stages) == [ENDPOINT_NAME]
    assert world.deploy(WAKE).deployment == run.deployment  # delivered twice
    refused = observed(run, PromotionRequested(request="request-9", by=PERSON, instead_of=None)).promotion_refused
    assert refused
    assert "`tunedrop wake" in refused.reason  # also one that SageMaker has already, and the record not yet
    for _ in range(3):
        run = world.tick()
    assert run.deployment
    assert before.deployment
    again = {"retirement": "", "deleted": False, "waking_since": run.deployment.waking_since}
    assert run.deployment == before.deployment.model_copy(update=again)
    assert world.endpoints.model(run.deployment.model_arn or "").source_uri == ARTIFACT_URI
    assert ServedModels(FakeModelImports(), world.endpoints).why_missing(ENDPOINT_ARN) == ""
    reconcile(world)
    assert world.run.deployment == run.deployment  # its time begins anew


def test_an_endpoint_that_does_not_come_back_says_why_and_leaves_nothing(world: World) -> None:
    take_down(world)
    world.deploy(WAKE)
    world.endpoints.finish(ENDPOINT_NAME, "The container did not pass the ping health check.")
    world.clock.move(timedelta(minutes=1))
    Nudge(world.runs, world.clock)(world.run)
    run = world.deploy()
    assert run.status is RunStatus.PROMOTED
    assert run.deployment
    assert run.deployment.retirement.startswith(NO_WAKE)
    assert run.deployment.deleted
    assert world.endpoints.stages == {}
    assert world.deploy(WAKE).deployment != run.deployment  # and may be tried again


def test_an_endpoint_that_finds_no_instance_is_given_up_after_hours_and_people_are_told(world: World) -> None:
    take_down(world)
    world.notify()
    world.deploy(WAKE)
    for _ in range(2):
        world.endpoints.refusals.append(QuotaExceededError("The limit is 0."))
        world.clock.move(LONGEST_WAKE / 2)
        Nudge(world.runs, world.clock)(world.run)
        assert world.run.deployment
        assert world.run.deployment.waking
        run = world.deploy()
    assert run.deployment
    assert run.deployment.retirement.startswith(NO_WAKE)
    assert "The limit is 0." in run.deployment.retirement
    world.endpoints.finish(ENDPOINT_NAME)
    world.tick()
    assert world.endpoints.stages == {}
    world.notify()
    subject, body, _ = world.notifier.sent[-1]
    assert "taken down" in subject
    assert NO_WAKE in body


def test_an_endpoint_that_is_up_or_was_never_promoted_is_not_woken(world: World) -> None:
    run = world.promote()
    assert world.deploy(WAKE) == run
    other = World()
    other.serve()
    other.see(scored(passed=False))
    ended = other.deploy()
    assert other.deploy(WAKE) == ended
    assert other.endpoints.stages == {}


def test_an_endpoint_that_somebody_deleted_by_hand_is_woken(world: World) -> None:
    before = world.promote()
    served = ServedModels(FakeModelImports(), world.endpoints)
    world.endpoints.stages.clear()
    run = world.deploy(wanted(served, before, PERSON))
    assert run.deployment
    assert run.deployment.waking
    for _ in range(3):
        run = world.tick()
    assert run.deployment
    assert before.deployment
    assert run.deployment == before.deployment.model_copy(update={"waking_since": run.deployment.waking_since})
    assert served.why_missing(ENDPOINT_ARN) == ""
    assert world.deploy(wanted(served, run, PERSON)) == run


def test_an_endpoint_that_was_left_to_a_person_who_deleted_it_is_woken(world: World) -> None:
    world.promote()
    world.see(RetirementWanted(because="Nobody had called it."), *[DeletionDenied(reason="A policy.")] * DELETIONS)
    assert world.run.deployment
    assert world.run.deployment.left
    served = ServedModels(FakeModelImports(), world.endpoints)
    assert world.deploy(wanted(served, world.run, PERSON)).deployment == world.run.deployment  # it is still there
    world.endpoints.stages.clear()
    world.deploy(wanted(served, world.run, PERSON))
    for _ in range(3):
        run = world.tick()
    assert served.why_missing(ENDPOINT_ARN) == ""
    assert run.deployment
    assert (run.deployment.retirement, run.deployment.left, run.deployment.waking) == ("", "", False)


def test_the_time_of_an_endpoint_that_is_woken_begins_anew_whatever_of_it_was_there(world: World) -> None:
    world.promote()
    hours = timedelta(hours=HOSTING.ttl_hours or 0)
    world.clock.move(hours - timedelta(minutes=1))
    made = world.endpoints.created[ENDPOINT_NAME]
    world.endpoints.stages.clear()
    world.deploy(WAKE.model_copy(update={"gone": True}))
    world.endpoints.created[ENDPOINT_NAME] = made  # only its component was deleted
    for _ in range(3):
        world.tick()
        reconcile(world)
    assert world.run.deployment
    assert (world.run.deployment.retirement, world.run.deployment.waking) == ("", False)
    world.clock.move(hours)
    reconcile(world)
    assert world.run.deployment
    assert world.run.deployment.retirement == f"Nobody had called it for {HOSTING.ttl_hours:g} hours."


def test_a_former_champion_that_is_woken_is_kept_as_long_as_one_that_has_just_been_replaced(world: World) -> None:
    run = world.promote()
    assert run.promotion
    successor = run.model_copy(
        update={"run_id": "successor", "promotion": run.promotion.model_copy(update={"at": world.clock.now()})}
    )
    world.runs.runs["successor"] = successor.model_dump_json()
    alias = Alias(dataset=run.dataset).with_champion(run).with_champion(successor)
    world.runs.all_aliases[run.dataset] = alias.model_dump_json()

    def taken_down_after(days: int) -> bool:
        world.clock.move(timedelta(days=days))
        world.endpoints.called[ENDPOINT_NAME] = world.clock.now()
        reconcile(world)
        deployment = world.deploy().deployment
        assert deployment
        return deployment.deleted

    assert not taken_down_after(days=6)
    assert taken_down_after(days=1)
    world.deploy(WAKE)
    for _ in range(3):
        world.tick()
        reconcile(world)
    assert ServedModels(FakeModelImports(), world.endpoints).why_missing(ENDPOINT_ARN) == ""
    assert not taken_down_after(days=6)
    assert taken_down_after(days=1)


# ---------------------------------------------------------------- endpoints of nobody


@pytest.mark.parametrize("looks", [1, 2, 3])
def test_an_endpoint_without_a_run_is_taken_down_after_a_while(world: World, looks: int) -> None:
    wanted = endpoint_requests(hosted_run(), ENDPOINT_NAME, stack=STACK, role_arn=ROLE)
    world.runs.runs.clear()
    for _ in range(looks):
        world.endpoints.bring_up(wanted)
        if world.endpoints.stages[ENDPOINT_NAME] in ("making", "loading"):
            world.endpoints.finish(ENDPOINT_NAME)
    world.clock.move(ORPHAN_AFTER - timedelta(seconds=1))
    reconcile(world)
    assert world.endpoints.stages
    world.clock.move(timedelta(seconds=1))
    reconcile(world)
    assert world.endpoints.stages == {}


def test_an_endpoint_that_a_late_worker_made_again_after_its_end_is_taken_down(world: World) -> None:
    run = world.serve()
    world.see(scored(passed=False))
    world.deploy()
    world.bring_up(run)  # by whoever read the run before it ended
    assert world.endpoints.stages
    world.clock.move(ORPHAN_AFTER)
    world.endpoints.finish(ENDPOINT_NAME)
    reconcile(world)
    assert world.endpoints.stages == {}


def test_the_endpoints_of_live_and_of_promoted_runs_and_of_others_stay(world: World) -> None:
    world.promote()
    for name in (f"{STACK}-dev-{RUN_ID}", f"{STACK}-made-by-hand"):
        world.endpoints.bring_up(endpoint_requests(hosted_run(), name, stack=STACK, role_arn=ROLE))
        world.endpoints.finish(name)
    world.clock.move(2 * ORPHAN_AFTER)
    reconcile(world)
    assert len(world.endpoints.stages) == 3
