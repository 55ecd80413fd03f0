"""The loop that every function runs: decide, do one effect, say what was seen, decide again."""

from collections.abc import Callable, Mapping

from tunedrop.domain.decide import Decision, Effect, decide, effects_due
from tunedrop.domain.observations import CapReached, ChampionChanged, ClaimRefused, Looked, NoticeSent, Observation
from tunedrop.domain.run import Run
from tunedrop.errors import (
    CapReachedError,
    ChampionChangedError,
    ClaimHeldError,
    TransientError,
    VersionConflictError,
)
from tunedrop.ports import Clock, RunStore

Performer = Callable[[Run], Observation]
"""Do one effect for a run, idempotently, and return what was seen."""

RELOADS = 5
"""How often one invocation starts over because somebody else wrote the run, before Lambda tries again later."""


LOOKED = Looked()


def advance(
    run_id: str,
    performers: Mapping[Effect, Performer],
    runs: RunStore,
    clock: Clock,
    first: Observation = LOOKED,
) -> Run | None:
    """Bring a run as far as this function's effects can, each done at most once; returns it as stored, or None.

    `first` is what the event itself says. Raises TransientError when others keep writing the run.
    """
    observation = first
    effect: Effect | None = None
    done: set[Effect] = set()
    for _ in range(RELOADS):
        run = runs.get(run_id)
        if run is None:
            return None
        # A notice that was sent is remembered wherever the run stands by now: it may come back to the status.
        if effect and effect not in effects_due(run, clock.now()) and not isinstance(observation, NoticeSent):
            # Whoever wrote meanwhile has done as much. Otherwise what was seen still counts: a notice that was sent
            # must not be sent again because the training moved on in the same second.
            observation = first
            done -= {effect}
        try:
            while True:
                decision = _commit(run, observation, runs, clock)
                run = decision.run
                effect = next((each for each in decision.effects if each in performers and each not in done), None)
                if effect is None:
                    return run
                done.add(effect)
                observation = performers[effect](run)
        except VersionConflictError:
            continue
    raise TransientError(f"run {run_id} was written by others {RELOADS} times in a row")


def tell(run: Run, observation: Observation, runs: RunStore, clock: Clock) -> bool:
    """Write what an observation makes of a run that was read; False where that is nothing, or others wrote it since."""
    decision = decide(run, observation, clock.now())
    if decision.run == run:
        return False
    try:
        runs.commit(run, decision.run)
    except VersionConflictError:
        return False
    return True


def _commit(run: Run, observation: Observation, runs: RunStore, clock: Clock) -> Decision:
    decision = decide(run, observation, clock.now())
    if decision.run == run:
        return decision
    try:
        return Decision(run=runs.commit(run, decision.run), effects=decision.effects)
    except ClaimHeldError as held:
        return _commit(run, ClaimRefused(claim=held.claim, holder=held.holder), runs, clock)
    except ChampionChangedError as changed:
        request = decision.run.promotion.request if decision.run.promotion else ""
        return _commit(run, ChampionChanged(request=request, champion=changed.champion), runs, clock)
    except CapReachedError as full:
        seen = CapReached(committed_cents=full.committed_cents, cap_cents=full.cap_cents)
        return _commit(run, seen, runs, clock)
