"""`make simulate`: every check of the simulator, over all processors.

    python -m tests.simulation                  5,000 seeds, one fault anywhere, two workers, mutants
    python -m tests.simulation --seeds 100000   the long form
    python -m tests.simulation --seed 7         one history again, told line by line

A history that breaks a promise is made short, and printed as a schedule that `tests/simulation/schedules` can keep.
"""

import argparse
import gc
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

from tests.simulation.mutants import MUTANTS, Mutant, planted
from tests.simulation.play import History, by_schedule, by_seed, shrunk
from tests.simulation.story import COMING, JUDGED
from tests.simulation.world import FATES, FAULTS_OF_WRITES
from tunedrop.domain.decide import Effect
from tunedrop.domain.run import RunStatus

SEEDS = 5000
CHUNK = 25
MUTANT_SEEDS = 250
"""Histories in which a mutant must be found that the history of its own does not show any more."""
MOST_FAILURES = 5
"""Broken promises after which the search ends: the next ones would tell of the same fault."""
STORIES: tuple[dict[str, int], ...] = ({"story: approval asked": 1, "story: how r1 ends training, 1": 1},)
LONG_STORIES = (
    *STORIES,
    *({}, {"story: how good r1 is": 1}, {"story: validated and evaluated in parts": 1}),
    {"story: how r1 is served": 1, "story: how good r1 is": 1},
    {"story: how r1 is served": 1, "story: where the base of r1 answers": 1, "story: who grades r1": 1},
)
"""The histories in which every call and every event goes wrong once, each in every way."""
PAUSE_OF_1_S = 4
"""The number of the pause among the faults of a call: long enough for others to overtake."""
TICKS_LOOKED_AT = 2
"""Of the calls that ticks repeat, the first ones stand for all."""


@dataclass
class Found:
    """What a part of the work has found."""

    part: str
    histories: int = 0
    met: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


def seeds(first: int, last: int) -> Found:
    """Live through the histories of some seeds."""
    found = Found("seeds")
    for seed in range(first, last):
        history = by_seed(seed)
        found.histories += 1
        found.met.update(set(history.world.met))
        if history.violation:
            short = shrunk(history.schedule, history.promise)
            found.failures.append(f"seed {seed} breaks {told(short)}")
            break
    return found


def one_fault(story: dict[str, int], share: int, shares: int) -> Found:
    """Let every call and every event of a history go wrong once, in every way."""
    found = Found("one fault")
    for fault in list(faults(story))[share::shares]:
        history = by_schedule(story | fault)
        found.histories += 1
        if history.violation:
            found.failures.append(f"one fault breaks {told(shrunk(history.schedule, history.promise))}")
            break
    return found


def faults(story: dict[str, int]) -> Iterator[dict[str, int]]:
    """Yield what may go wrong in a history, one thing at a time."""
    for site, options in by_schedule(story).world.choose.sites.items():
        if site.startswith("story: "):
            continue
        words, _, number = site.partition(" #")
        if "tick" in words and number and int(number) > TICKS_LOOKED_AT:
            continue
        yield from ({site: fault} for fault in range(1, options))


def mutant(number: int) -> Found:
    """Plant a fault, and live through the history that shows it; look for another one where that shows it no more."""
    found, planting = Found("mutants"), MUTANTS[number]
    try:
        with planted(planting):
            for history in _in_question(planting):
                found.histories += 1
                if history.violation:
                    found.lines.append(f"found: {planting.name}\n    by {told(history)}")
                    return found
    except LookupError as unfit:
        found.failures.append(f"no mutant any more: {unfit}")
        return found
    found.failures.append(f"nothing shows that {planting.name}")
    return found


def _in_question(mutant: Mutant) -> Iterator[History]:
    yield by_schedule(mutant.shown_by, reconciled=mutant.reconciled)
    for seed in range(MUTANT_SEEDS):
        history = by_seed(seed, reconciled=mutant.reconciled, story=mutant.story)
        broken = history.violation
        yield shrunk(history.schedule, history.promise, reconciled=mutant.reconciled) if broken else history


def two_workers(story: dict[str, int], share: int, shares: int, *, twice_over: bool) -> Found:
    """Deliver every event of a history twice, and let the second worker overtake the first at each of its calls.

    `twice_over` lets the first go on at each of the second one's calls, too.
    """
    found = Found("two workers")
    events = [site for site in by_schedule(story).world.choose.sites if " to " in site and "tick" not in site]
    for event in events[share::shares]:
        twice = story | {event: 1}
        function, run = event.rpartition(" to ")[2].partition(" #")[0], event.partition(" to ")[0].rpartition(" ")[2]
        for first in _calls(twice, f"{function} {run}: "):
            overtaken = twice | {first: PAUSE_OF_1_S}
            for second in (None, *(_calls(overtaken, f"{function} {run}: ") if twice_over else ())):
                if second == first:
                    continue
                history = by_schedule(overtaken if second is None else overtaken | {second: PAUSE_OF_1_S})
                found.histories += 1
                if history.violation:
                    found.failures.append(f"two workers break {told(shrunk(history.schedule, history.promise))}")
                    return found
    return found


def _calls(schedule: dict[str, int], worker: str) -> list[str]:
    sites = by_schedule(schedule).world.choose.sites
    return [site for site in sites if site.startswith(worker) and ": clock" not in site and ": stale" not in site]


def told(history: History) -> str:
    """Say what was broken, and by what."""
    return f"{history.violation}\n    schedule: {json.dumps(history.schedule)}"


def sometimes(met: Counter[str]) -> Iterator[str]:
    """Yield what was never met, though a search that finds anything must meet it."""
    wanted = {
        *(f"status {status}" for status in RunStatus),
        *FAULTS_OF_WRITES[1:],
        *(f"event {fate}" for fate in FATES[1:]),
        *("clock skew", "stale read", "dead letter", "redrive"),
        *(f"effect {effect}" for effect in Effect),
        *(f"{kind} {status}" for kind in COMING for status in ("InService", "Failed", "Deleting")),
        *(f"judge: {ending}" for ending in JUDGED),
        *("called at zero copies", "no quota for an endpoint", "woken", "not woken", "alarm", "taken back"),
    }
    yield from sorted(wanted - set(met))


def everything(count: int) -> int:
    """Do all of it over all processors; return the exit status."""
    started, long = time.monotonic(), count > SEEDS
    for seed in range(20):
        by_seed(seed)  # what is loaded and remembered now, every process has
    gc.disable()
    _tidy()
    stories = LONG_STORIES if long else STORIES
    work: list[Callable[[], Found]] = [partial(mutant, number) for number in range(len(MUTANTS))]
    work += [partial(two_workers, each, share, 8, twice_over=long) for each in stories for share in range(8)]
    work += [partial(one_fault, story, share, 16) for story in stories for share in range(16)]
    work += [partial(seeds, first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
    parts: dict[str, Found] = {}
    with multiprocessing.get_context("fork").Pool(os.cpu_count()) as pool:
        for found in pool.imap_unordered(_call, work):
            part = parts.setdefault(found.part, Found(found.part))
            part.histories += found.histories
            part.met += found.met
            part.failures += found.failures
            print("\n".join([*found.lines, *found.failures]), flush=True) if found.lines or found.failures else None
            if sum(len(each.failures) for each in parts.values()) >= MOST_FAILURES:
                print("The search ends here: enough is broken.")
                break
    whole = "seeds" in parts and parts["seeds"].histories >= SEEDS
    never = list(sometimes(parts["seeds"].met)) if whole else []
    print(*(f"never met: {each}" for each in never), sep="\n", end="\n" if never else "")
    for part in parts.values():
        print(f"{part.part}: {part.histories:,}, {len(part.failures)} failed")
    print(f"{time.monotonic() - started:.0f} s")
    return 1 if never or any(part.failures for part in parts.values()) else 0


def _call(work: Callable[[], Found]) -> Found:
    found = work()
    _tidy()
    return found


def _tidy() -> None:
    """Collect what worlds have left behind, and look at what stays no more: collecting after each world is dear."""
    gc.collect()
    gc.freeze()


def _without_sdk() -> None:
    """Leave out SageMaker's SDK: it takes seconds to import, and the catalogue that needs it is a fake here."""
    adapter: Any = ModuleType("tunedrop.adapters.jumpstart")
    adapter.JumpStartCatalogue = lambda _region: None
    sys.modules[adapter.__name__] = adapter


def one(seed: int) -> int:
    """Tell one history, and its short form when it breaks a promise."""
    history = by_seed(seed)
    print(*history.world.log, sep="\n")
    if not history.violation:
        return 0
    short = shrunk(history.schedule, history.promise)
    print(f"\nseed {seed} breaks {history.violation}\n\nThe short form:", *short.world.log, told(short), sep="\n")
    return 1


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="how many histories to live through")
    parser.add_argument("--seed", type=int, help="the one history to tell")
    options = parser.parse_args()
    _without_sdk()
    return everything(options.seeds) if options.seed is None else one(options.seed)


if __name__ == "__main__":
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    sys.exit(main())
