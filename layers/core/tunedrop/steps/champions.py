"""Make a model the champion of its dataset, tell users so through the alias, and retire the champions of before."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from tunedrop.domain import names
from tunedrop.domain.alias import Alias
from tunedrop.domain.decide import ALARM, Effect
from tunedrop.domain.observations import (
    AlarmRaised,
    AliasPublished,
    Observation,
    PromotionRequested,
    PromotionWanted,
    RetirementWanted,
    RolledBack,
    RoomMade,
    WakeRequested,
)
from tunedrop.domain.run import Run
from tunedrop.ports import Aliases, Clock, RunStore
from tunedrop.steps.advance import LOOKED, advance, tell
from tunedrop.steps.endpoint import ServedModels

NOT_PROMOTED = "The model was not promoted."


@dataclass(frozen=True)
class Promote:
    """Ask to make the candidate that passed the champion; the commit that follows does it, or says who is."""

    runs: RunStore

    def __call__(self, run: Run) -> Observation:
        """Name the champion to replace: the one that the candidate was compared with, where it was to be."""
        if run.plan is None or not (run.evaluation and run.evaluation.passed):
            raise AssertionError(f"run {run.run_id} is to be promoted without a passing evaluation")
        if "champion" in run.plan.evaluation.against:
            return PromotionWanted(instead_of=run.evaluation.champion_run)
        champion = self.runs.alias(run.dataset).champion
        return PromotionWanted(instead_of=champion.run_id if champion else None)


@dataclass(frozen=True)
class PublishAlias:
    """Write the alias that users read, as the dataset's record has it."""

    runs: RunStore
    aliases: Aliases
    stack: str

    def __call__(self, run: Run) -> Observation:
        """Name the champion, whoever it is by now."""
        publish(self.runs, self.aliases, self.stack, run.dataset)
        return AliasPublished()


def publish(runs: RunStore, aliases: Aliases, stack: str, dataset: str) -> bool:
    """Make the alias name the dataset's champion; tell whether it named another one.

    Parameter Store knows no conditional write: two that publish at once look again after they wrote. What one leaves
    wrong that dies in between, the reconciler mends.
    """
    name = names.alias(stack, dataset)
    written = False
    alias = runs.alias(dataset)
    while alias.champion and aliases.get(name) != alias.champion.model_arn:
        aliases.put(name, alias.champion.model_arn)
        written = True
        version, alias = alias.version, runs.alias(dataset)
        if alias.version == version:
            break
    return written


def request(served: ServedModels, run: Run | None, request_id: str, by: str, instead_of: str | None) -> Observation:
    """Return a person's wish as `decide` is told of it: with what AWS says of the model."""
    why = _why_missing(served, run)
    missing = f"Its model cannot be asked: {why}" if why else ""
    return PromotionRequested(request=request_id, by=by, instead_of=instead_of, missing=missing)


def wanted(served: ServedModels, run: Run | None, by: str) -> Observation:
    """Return a person's wish for an endpoint as `decide` is told of it: with whether SageMaker still has it."""
    return WakeRequested(by=by, gone=bool(_why_missing(served, run)))


def _why_missing(served: ServedModels, run: Run | None) -> str:
    """Say why the run's model cannot be asked; empty when it can, and where it never was anywhere."""
    model_arn = run.deployment.model_arn if run and run.deployment else None
    return served.why_missing(model_arn) if model_arn else ""


def failing(runs: RunStore, run: Run | None, reason: str) -> Observation:
    """Return an alarm of the run's endpoint as `decide` is told of it: nothing, where the run is no champion.

    A run that was itself given up for an alarm takes nobody's place.
    """
    alias = runs.alias(run.dataset) if run else None
    if run is None or alias is None or alias.champion is None or alias.champion.run_id != run.run_id:
        return LOOKED
    former = runs.get(alias.former.run_id) if alias.former else None
    fit = former is not None and former.rollback is None and former.run_id != run.run_id
    return AlarmRaised(reason=reason, former=former.run_id if former and fit else None)


@dataclass(frozen=True)
class RollBack:
    """Promote the former champion in the place of one that fails, as `tunedrop rollback` would."""

    runs: RunStore
    served: ServedModels
    publish: PublishAlias
    clock: Clock

    def __call__(self, run: Run) -> Observation:
        """Ask for the former champion's promotion, and say what came of it."""
        rollback = run.rollback
        if rollback is None or rollback.to is None:
            raise AssertionError(f"run {run.run_id} is to be rolled back to nobody")
        asked = request(self.served, self.runs.get(rollback.to), rollback.request, ALARM, instead_of=run.run_id)
        former = advance(rollback.to, {Effect.PUBLISH_ALIAS: self.publish}, self.runs, self.clock, asked)
        outcome = f"The former champion, run {rollback.to}, answers again."
        refused = former.promotion_refused if former else None
        if refused and refused.request == rollback.request:
            outcome = f"The former champion, run {rollback.to}, could not take its place. {refused.reason}"
        return RolledBack(request=rollback.request, outcome=outcome)


def unwanted(_run: Run) -> Observation:
    """Give up the model of a run that was not promoted; the commit that follows fails if a person just did."""
    return RetirementWanted(because=NOT_PROMOTED)


class Served(Protocol):
    """Know what is there of one way to serve: `ModelImports` or `Endpoints`."""

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names of models that begin so, and when each was made."""


@dataclass(frozen=True)
class FormerChampions:
    """Find the runs whose models no alias names any more, and retire them."""

    runs: RunStore
    served: Served
    clock: Clock
    stack: str
    """As the models' names begin."""

    def kept(self) -> Iterator[tuple[datetime, Run]]:
        """Yield when each ceased to be a champion, or was woken since, and the run, of those that are kept."""
        for run in self.promoted():
            if (ended := self._ended(run)) and run.deployment and not run.deployment.retirement:
                yield max(ended, run.deployment.waking_since or ended), run

    def promoted(self) -> Iterator[Run]:
        """Yield the runs that were ever promoted, of those whose models are still there."""
        for name, _ in self.served.models(f"{self.stack}-"):
            run_id = names.run_of_imported_model(self.stack, name)
            run = self.runs.get(run_id) if run_id else None
            if run and run.promotion and run.status.terminal:
                yield run

    def _ended(self, run: Run) -> datetime | None:
        # The run was read before: a promotion after that makes the write of its retirement fail.
        alias: Alias = self.runs.alias(run.dataset)
        ended = alias.ended(run.run_id)
        champion = self.runs.get(alias.champion.run_id) if ended and alias.champion else None
        # Until its successor is published, users are still led to this run's model.
        published = champion is not None and champion.promotion is not None and champion.promotion.published
        return ended if published else None

    def retire(self, run: Run, because: str, *, told: bool = False) -> bool:
        """Give a former champion's import up; somebody who wrote the run meanwhile may have promoted it again."""
        return tell(run, RetirementWanted(because=because, told=told), self.runs, self.clock)

    def next_to_go(self) -> tuple[str | None, str]:
        """Choose who makes room for another model: its run, if anybody can, and what there is to say about it.

        A new model comes before an old one that is only kept in case: docs/adr/0015-champions-are-a-record.md.
        """
        for run in self.promoted():
            if run.deployment and run.deployment.retirement and not run.deployment.left:
                return None, f"The model of run {run.run_id}, a former champion, is being deleted."
        oldest = min(self.kept(), key=lambda each: each[0], default=None)
        if oldest is None:
            return None, "No former champion of this stack can make room: the others are champions, or not its own."
        return oldest[1].run_id, f"The model of run {oldest[1].run_id}, a former champion, makes room."


@dataclass(frozen=True)
class MakeRoom:
    """Give up the model of the former champion that the run has chosen, and of no other however often it is done."""

    former: FormerChampions

    def __call__(self, run: Run) -> Observation:
        """Retire the chosen one, unless it was retired or promoted meanwhile."""
        for _, kept in self.former.kept():
            if kept.run_id == run.room_from:
                self.former.retire(kept, f"Run {run.run_id} needed its place.")
        return RoomMade()
