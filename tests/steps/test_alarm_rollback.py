"""A champion whose endpoint fails soon after its promotion gives its place back, once, and people are told."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.fakes import (
    FakeClock,
    FakeEndpoints,
    FakeModelImports,
    InMemoryAliases,
    InMemoryRunFiles,
    InMemoryRunStore,
    RecordingNotifier,
)
from tests.samples import (
    ALIAS_PUBLISHED,
    DATASET,
    MODEL_ARN,
    REGION,
    RUN_ID,
    STACK,
    new_run,
    observed,
    run_in,
    scored,
)
from tunedrop.domain import names
from tunedrop.domain.decide import ALARM, BAKE_TIME, Effect
from tunedrop.domain.endpoint_requests import error_alarm_name, run_of_error_alarm
from tunedrop.domain.observations import AlarmRaised, PromotionRequested, PromotionWanted
from tunedrop.domain.run import Run, RunStatus
from tunedrop.errors import TransientError
from tunedrop.ports import ServedModel
from tunedrop.steps.advance import LOOKED, advance
from tunedrop.steps.champions import PublishAlias, RollBack, failing
from tunedrop.steps.endpoint import ServedModels
from tunedrop.steps.tell import ClaimNotice, SendNotice

OLD, NEW, NEWEST = RUN_ID, "b" * 26, "c" * 26
OLD_ARN, NEW_ARN, NEWEST_ARN = MODEL_ARN, *(FakeEndpoints.arn(names.endpoint(STACK, each)) for each in (NEW, NEWEST))
ALIAS = names.alias(STACK, DATASET)
REASON = "Threshold Crossed: 12 calls failed."


class World:
    """Two runs of one dataset, promoted one after the other, and what rolls back."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.runs = InMemoryRunStore()
        self.aliases = InMemoryAliases()
        self.imports = FakeModelImports()
        self.notifier = RecordingNotifier()
        for arn in (OLD_ARN, NEW_ARN):
            self.imports.by_arn[arn] = ServedModel(arn=arn, name="x", source_uri="s3://x/", instruct_supported=True)
        self.promote(OLD, OLD_ARN, None)

    def promote(self, run_id: str, model_arn: str, instead_of: str | None) -> None:
        run = run_in(RunStatus.EVALUATING)
        assert run.deployment
        run = run.model_copy(
            update={
                "run_id": run_id,
                "version": 0,
                "deployment": run.deployment.model_copy(update={"model_arn": model_arn}),
                "claims": frozenset(),
            }
        )
        self.runs.create(run.model_copy(update={"updated_at": self.clock.now()}))
        for each in (scored(passed=True), PromotionWanted(instead_of=instead_of), ALIAS_PUBLISHED):
            before = self.run(run_id)
            self.runs.commit(before, observed(before, each))
        self.publish(self.run(run_id))

    def run(self, run_id: str) -> Run:
        run = self.runs.get(run_id)
        assert run
        return run

    @property
    def publish(self) -> PublishAlias:
        return PublishAlias(self.runs, self.aliases, STACK)

    def function(self, run_id: str, first: object = LOOKED, served: ServedModels | None = None) -> Run:
        """Be promote_model, called once."""
        served = served or ServedModels(self.imports, self.imports)  # type: ignore[arg-type]  # all models are there
        performers: dict[Effect, Callable[[Run], object]] = {
            Effect.PUBLISH_ALIAS: self.publish,
            Effect.ROLL_BACK: RollBack(self.runs, served, self.publish, self.clock),
        }
        run = advance(run_id, performers, self.runs, self.clock, first)  # type: ignore[arg-type]  # observations
        assert run
        return run

    def ring(self, run_id: str) -> Run:
        """Let the alarm of a run's endpoint ring."""
        return self.function(run_id, failing(self.runs, self.runs.get(run_id), REASON))

    def notify(self, run_id: str) -> None:
        token = f"request-{self.clock.now()}"
        send = SendNotice(self.notifier, InMemoryRunFiles(), self.clock, REGION, token)
        advance(run_id, {Effect.CLAIM_NOTICE: ClaimNotice(token), Effect.SEND_NOTICE: send}, self.runs, self.clock)

    @property
    def champion(self) -> str:
        champion = self.runs.alias(DATASET).champion
        assert champion
        return champion.run_id


@pytest.fixture
def world() -> World:
    world = World()
    world.clock.move(timedelta(days=1))
    world.promote(NEW, NEW_ARN, OLD)
    assert world.champion == NEW
    return world


def test_the_former_champion_takes_the_place_of_one_that_fails_and_people_are_told_why(world: World) -> None:
    world.notify(NEW)
    world.clock.move(BAKE_TIME - timedelta(seconds=1))
    run = world.ring(NEW)
    assert world.champion == OLD
    assert world.aliases.values[ALIAS] == OLD_ARN
    assert world.runs.alias(DATASET).history[-1].by == ALARM
    assert run.failed_champion
    for _ in range(2):
        world.notify(NEW)
    (_, (subject, body, attributes)) = world.notifier.sent
    assert subject == f"Tunedrop: {DATASET} fails ({NEW})"
    assert f"The former champion, run {OLD}, answers again." in body
    assert REASON in body
    assert attributes["endpoint"] == "failing"


def test_an_alarm_that_is_told_again_changes_nothing(world: World) -> None:
    world.ring(NEW)
    before = world.runs.alias(DATASET), world.run(NEW), world.run(OLD)
    world.ring(NEW)
    assert (world.runs.alias(DATASET), world.run(NEW), world.run(OLD)) == before


def test_a_champion_that_has_stood_for_long_stays(world: World) -> None:
    world.clock.move(BAKE_TIME)
    run = world.run(NEW)
    assert world.ring(NEW) == run
    assert world.champion == NEW


def test_who_is_no_champion_is_nobody_s_concern(world: World) -> None:
    run = world.run(OLD)
    assert world.ring(OLD) == run
    assert failing(world.runs, None, REASON) == LOOKED
    assert failing(world.runs, new_run("c" * 26).model_copy(update={"dataset": "another"}), REASON) == LOOKED


def test_the_first_champion_stays_and_people_are_told(world: World) -> None:
    world = World()
    world.notify(OLD)
    run = world.ring(OLD)
    assert world.champion == OLD
    assert run.failed_champion
    assert "no former champion" in run.failed_champion.outcome
    world.notify(OLD)
    _, (_, body, _) = world.notifier.sent
    assert "no former champion" in body


def test_a_former_champion_whose_model_is_gone_does_not_take_the_place(world: World) -> None:
    del world.imports.by_arn[OLD_ARN]
    run = world.ring(NEW)
    assert world.champion == NEW
    assert run.failed_champion
    assert "could not take its place" in run.failed_champion.outcome


def test_what_failed_once_is_not_put_back_by_an_alarm_again(world: World) -> None:
    world.ring(NEW)
    # The former one fails, too: an alarm's own promotion stands, and one that a person makes has nowhere to go.
    run = world.run(OLD)
    assert world.ring(OLD) == run
    world.clock.move(timedelta(minutes=1))
    world.function(NEW, PromotionRequested(request="request-1", by="ann", instead_of=OLD))
    world.function(OLD, PromotionRequested(request="request-2", by="ann", instead_of=NEW))
    assert failing(world.runs, world.run(OLD), REASON) == AlarmRaised(reason=REASON, former=None)


def test_whoever_dies_in_between_is_followed_by_one_that_goes_on(world: World) -> None:
    class Dying(ServedModels):
        def why_missing(self, model_arn: str) -> str:
            raise TransientError(model_arn)

    with pytest.raises(TransientError):
        world.function(NEW, failing(world.runs, world.run(NEW), REASON), Dying(world.imports, FakeEndpoints()))
    assert world.champion == NEW
    world.function(NEW)
    assert world.champion == OLD
    assert len(world.runs.alias(DATASET).history) == 3


def test_a_champion_that_came_after_the_one_that_fails_stays(world: World) -> None:
    alarm = failing(world.runs, world.run(NEW), REASON)
    world.promote(NEWEST, NEWEST_ARN, NEW)
    run = world.function(NEW, alarm)
    assert world.champion == NEWEST
    assert run.rollback
    assert f"The champion is run {NEWEST}" in run.rollback.outcome


def test_an_alarm_s_name_tells_the_run() -> None:
    name = error_alarm_name(names.endpoint(STACK, NEW))
    assert run_of_error_alarm(STACK, name) == NEW
    assert run_of_error_alarm("tune", name) is None
    assert run_of_error_alarm(STACK, f"{STACK}-{NEW}-from-zero") is None
    assert run_of_error_alarm(STACK, f"{STACK}-errors") is None
