"""A champion is made, told of and, in the end, retired; nothing that an alias names ever goes."""

from datetime import timedelta

import pytest

from tests.fakes import FakeClock, FakeEndpoints, FakeModelImports, FakeQuotas, InMemoryAliases, InMemoryRunStore
from tests.samples import DATASET, NOW, RUN_ID, STACK, observed, run_in, scored
from tunedrop.domain import names
from tunedrop.domain.alias import HISTORY, Alias, Champion
from tunedrop.domain.import_room import QUOTA_CODE, QUOTA_SERVICE
from tunedrop.domain.observations import (
    AliasPublished,
    PromotionRequested,
    PromotionWanted,
    RoomMade,
)
from tunedrop.domain.run import Run, RunStatus
from tunedrop.steps.champions import FormerChampions, MakeRoom, Promote, PublishAlias, publish, request
from tunedrop.steps.endpoint import ServedModels
from tunedrop.steps.plan import BedrockRoom

ALIAS = names.alias(STACK, DATASET)
RUNS = tuple(letter * 26 for letter in "abcd")


class World:
    """Runs that were promoted one after the other, a day between them, with their imports."""

    def __init__(self, *run_ids: str) -> None:
        self.clock = FakeClock()
        self.runs = InMemoryRunStore()
        self.imports = FakeModelImports(clock=self.clock)
        self.aliases = InMemoryAliases()
        self.served = ServedModels(self.imports, FakeEndpoints())
        self.former = FormerChampions(self.runs, self.imports, self.clock, STACK)
        for run_id in run_ids:
            self.promote(run_id)
            self.clock.move(timedelta(days=1))

    def promote(self, run_id: str, dataset: str = DATASET) -> Run:
        """Bring a run to its promotion."""
        name = names.imported_model(STACK, run_id)
        self.imports.start(name, "s3://artifact/", run_id)
        self.imports.finish(name, "Completed")
        run = run_in(RunStatus.EVALUATING).model_copy(update={"run_id": run_id, "dataset": dataset})
        assert run.deployment
        arn = next(each.arn for each in self.imports.by_arn.values() if each.name == name)
        deployment = run.deployment.model_copy(update={"model_name": name, "model_arn": arn})
        run = observed(run.model_copy(update={"deployment": deployment}), scored(passed=True))
        self.runs.create(run)
        champion = self.runs.alias(dataset).champion
        wanted = PromotionWanted(instead_of=champion.run_id if champion else None)
        for seen in (wanted, AliasPublished()):
            after = observed(run, seen, after=self.clock.now() - run.updated_at)
            run = self.runs.commit(run, after)
        return run

    def ask(self, run_id: str, request_id: str) -> Run:
        """Promote a run by hand."""
        run = self.run(run_id)
        champion = self.runs.alias(run.dataset).champion
        assert champion
        asked = request(self.served, run, request_id, "ann", champion.run_id)
        return self.runs.commit(run, observed(run, asked, after=self.clock.now() - run.updated_at))

    def run(self, run_id: str) -> Run:
        run = self.runs.get(run_id)
        assert run
        return run

    def given_up(self) -> list[str]:
        runs = (self.run(run_id) for run_id in self.runs.runs)
        return [run.run_id for run in runs if run.deployment and run.deployment.retirement]


def test_the_candidate_replaces_the_champion_that_it_was_compared_with() -> None:
    world = World(RUNS[0])
    run = observed(run_in(RunStatus.EVALUATING), scored(passed=True))
    assert run.plan
    assert run.evaluation
    plan = run.plan.model_copy(update={"evaluation": run.plan.evaluation.model_copy(update={"against": ("champion",)})})
    compared = run.model_copy(update={"plan": plan})
    assert Promote(world.runs)(compared) == PromotionWanted(instead_of=None)
    evaluation = run.evaluation.model_copy(update={"champion_run": "seen-then"})
    compared = compared.model_copy(update={"evaluation": evaluation})
    assert Promote(world.runs)(compared) == PromotionWanted(instead_of="seen-then")


def test_the_candidate_that_was_compared_with_the_base_alone_replaces_whoever_is_champion() -> None:
    world = World(RUNS[0])
    run = observed(run_in(RunStatus.EVALUATING), scored(passed=True))
    assert Promote(world.runs)(run) == PromotionWanted(instead_of=RUNS[0])
    assert Promote(InMemoryRunStore())(run) == PromotionWanted(instead_of=None)


def test_nobody_is_promoted_without_a_passing_evaluation() -> None:
    for run in (run_in(RunStatus.EVALUATING), observed(run_in(RunStatus.EVALUATING), scored(passed=False))):
        with pytest.raises(AssertionError):
            Promote(InMemoryRunStore())(run)


def test_the_alias_names_the_champion_of_the_record() -> None:
    world = World(*RUNS[:2])
    step = PublishAlias(world.runs, world.aliases, STACK)
    assert step(world.run(RUNS[0])) == AliasPublished()  # whoever comes late tells of who is champion by now
    champion = world.runs.alias(DATASET).champion
    assert champion
    assert champion.run_id == RUNS[1]
    assert world.aliases.get(ALIAS) == champion.model_arn
    assert not publish(world.runs, world.aliases, STACK, DATASET)


def test_who_publishes_looks_again_after_writing() -> None:
    class Slow(InMemoryAliases):
        def put(self, name: str, model_arn: str) -> None:
            if not self.values:
                world.promote(RUNS[1])
            super().put(name, model_arn)

    world = World(RUNS[0])
    slow = Slow()
    assert publish(world.runs, slow, STACK, DATASET)
    champion = world.runs.alias(DATASET).champion
    assert champion
    assert (champion.run_id, slow.get(ALIAS)) == (RUNS[1], champion.model_arn)


def test_a_dataset_without_a_champion_has_no_alias() -> None:
    aliases = InMemoryAliases()
    assert not publish(InMemoryRunStore(), aliases, STACK, DATASET)
    assert aliases.values == {}


def test_a_wish_says_whether_bedrock_still_has_the_model() -> None:
    world = World(RUNS[0])
    asked = request(world.served, world.run(RUNS[0]), "r-1", "ann", None)
    assert asked == PromotionRequested(request="r-1", by="ann", instead_of=None)
    world.imports.delete(names.imported_model(STACK, RUNS[0]))
    gone = request(world.served, world.run(RUNS[0]), "r-1", "ann", None)
    assert isinstance(gone, PromotionRequested)
    assert "could not be found" in gone.missing


def test_a_former_champion_is_known_with_the_time_of_its_end() -> None:
    world = World(*RUNS[:3])
    assert [(ended, run.run_id) for ended, run in world.former.kept()] == [
        (NOW + timedelta(days=1), RUNS[0]),
        (NOW + timedelta(days=2), RUNS[1]),
    ]


def test_a_former_champion_that_is_brought_back_is_former_no_more() -> None:
    world = World(*RUNS[:3])
    again = world.ask(RUNS[0], "back")
    assert not list(world.former.kept())  # users may still be led to any of them
    assert not world.former.retire(world.run(RUNS[0]), "over")
    world.runs.commit(again, observed(again, AliasPublished()))
    assert [run.run_id for _, run in world.former.kept()] == [RUNS[1], RUNS[2]]


def new_run_with_room_from(run_id: str) -> Run:
    return run_in(RunStatus.DEPLOYING).model_copy(update={"room_from": run_id})


def test_the_oldest_former_champion_makes_room_and_only_one_at_a_time() -> None:
    world = World(*RUNS[:3])
    chosen, words = world.former.next_to_go()
    assert chosen == RUNS[0]
    assert RUNS[0] in words
    make_room = MakeRoom(world.former)
    for _ in range(2):
        assert make_room(new_run_with_room_from(RUNS[0])) == RoomMade()
        assert world.given_up() == [RUNS[0]]
    deployment = world.run(RUNS[0]).deployment
    assert deployment
    assert deployment.retirement == f"Run {RUN_ID} needed its place."
    assert world.former.next_to_go() == (None, f"The model of run {RUNS[0]}, a former champion, is being deleted.")
    world.imports.delete(deployment.model_name)
    assert world.former.next_to_go()[0] == RUNS[1]


def test_champions_never_make_room() -> None:
    world = World()
    world.promote(RUNS[0])
    world.promote(RUNS[1], "tickets")
    assert world.former.next_to_go()[0] is None
    MakeRoom(world.former)(new_run_with_room_from(RUNS[0]))
    assert world.given_up() == []


def test_who_was_promoted_again_since_the_look_is_not_given_up() -> None:
    world = World(*RUNS[:2])
    ((_, seen),) = world.former.kept()
    world.ask(seen.run_id, "back")
    assert not world.former.retire(seen, "over")
    assert world.given_up() == []


def test_the_history_is_bounded_and_who_is_forgotten_has_ended() -> None:
    alias, run = Alias(dataset=DATASET), run_in(RunStatus.PROMOTED)
    assert run.promotion
    for number in range(HISTORY + 5):
        promotion = run.promotion.model_copy(update={"at": NOW + timedelta(hours=number), "request": f"r-{number}"})
        alias = alias.with_champion(run.model_copy(update={"run_id": f"run-{number}", "promotion": promotion}))
    assert len(alias.history) == HISTORY
    assert alias.champion
    assert alias.champion.run_id == f"run-{HISTORY + 4}"
    assert alias.ended(f"run-{HISTORY + 4}") is None
    assert alias.ended(f"run-{HISTORY + 3}") == NOW + timedelta(hours=HISTORY + 4)
    assert alias.ended("run-0") == alias.history[0].since
    assert Alias(dataset=DATASET).ended(RUN_ID) is None


def test_pain_36_a_plan_is_told_whose_model_makes_room_where_bedrock_is_full() -> None:
    world = World(*RUNS[:3])
    room = BedrockRoom(world.imports, FakeQuotas(), world.former)()

    assert (room.models, room.limit, room.full) == (3, 3, True)
    assert room.making_room == f"The model of run {RUNS[0]}, a former champion, makes room."
    one_more = FakeQuotas({f"{QUOTA_SERVICE} {QUOTA_CODE}": 4})
    assert BedrockRoom(world.imports, one_more, world.former)().making_room == ""


def test_a_champion_that_came_back_ended_the_last_time_that_it_was_replaced() -> None:
    reigns = [
        Champion(run_id=run_id, model_arn=f"arn:{run_id}", since=NOW + timedelta(days=day), by="ann", request=f"{day}")
        for day, run_id in enumerate(("first", "second", "first", "third"))
    ]
    alias = Alias(dataset="receipts", history=tuple(reigns))
    assert alias.ended("first") == reigns[3].since
    assert alias.ended("second") == reigns[2].since
