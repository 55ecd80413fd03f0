"""The loop that every function runs: decide, do one effect, say what was seen, decide again."""

from collections.abc import Callable, Mapping

from tunedrop.domain.decide import Effect, decide
from tunedrop.domain.observations import ClaimRefused, Looked, Observation
from tunedrop.domain.run import Run
from tunedrop.errors import ClaimHeldError, TransientError, VersionConflictError
from tunedrop.ports import Clock, RunStore

Performer = Callable[[Run], Observation]
"""Do one effect for a run, idempotently, and return what was seen."""

RELOADS = 5
"""How often one invocation starts over because somebody else wrote the run, before Lambda tries again later."""


def advance(run_id: str, performers: Mapping[Effect, Performer], runs: RunStore, clock: Clock) -> Run | None:
    """Bring a run as far as this function's effects can, each done at most once; returns it as stored, or None.

    Raises TransientError when others keep writing the run.
    """
    for _ in range(RELOADS):
        run = runs.get(run_id)
        if run is None:
            return None
        try:
            return _advance(run, performers, runs, clock)
        except VersionConflictError:
            # The truth has changed: what is due is decided anew, and effects are idempotent.
            continue
    raise TransientError(f"run {run_id} was written by others {RELOADS} times in a row")


def _advance(run: Run, performers: Mapping[Effect, Performer], runs: RunStore, clock: Clock) -> Run:
    observation: Observation = Looked()
    done: set[Effect] = set()
    while True:
        decision = decide(run, observation, clock.now())
        if decision.run != run:
            try:
                run = runs.commit(run, decision.run)
            except ClaimHeldError as held:
                observation = ClaimRefused(claim=held.claim, holder=held.holder)
                continue
        effect = next((each for each in decision.effects if each in performers and each not in done), None)
        if effect is None:
            return run
        done.add(effect)
        observation = performers[effect](run)
