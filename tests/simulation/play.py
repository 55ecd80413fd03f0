"""Live through one history: by a seed, or by a schedule; and make a schedule short."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from tests.simulation.choices import Choices, Replayed, Schedule, Seeded
from tests.simulation.story import THEMES, Story
from tests.simulation.world import Trouble, ViolationError, World

THEMED = 10
"""Of so many seeds the last one's history has a theme."""


@dataclass(frozen=True)
class History:
    """What came of a world."""

    schedule: Schedule
    violation: str
    """The promise that was broken, its number first; empty when all were kept."""
    world: World

    @property
    def ends(self) -> dict[str, str]:
        """How each run ended, by its name."""
        runs = (item for item in self.world.dynamodb.items.values() if item["kind"]["S"] == "run")
        return {self.world.names[run["run_id"]["S"]]: run["status"]["S"] for run in runs}

    @property
    def champions(self) -> dict[str, str]:
        """The champion of each dataset, by the name of its run."""
        aliases = (item for item in self.world.dynamodb.items.values() if item["kind"]["S"] == "alias")
        return {alias["dataset"]["S"]: self.world.names[alias["run_id"]["S"]] for alias in aliases}

    @property
    def promise(self) -> str:
        """The number of the broken promise."""
        return self.violation.partition(":")[0]


def by_seed(seed: int, *, reconciled: bool = True, story: Mapping[str, int] | None = None) -> History:
    """Live through the history of a seed; every seed has a mixture of trouble of its own.

    `story` is what happens in the world, by the sites of a schedule; without it the seed says that, too, or some of
    them a theme.
    """
    if story is None and reconciled and seed % THEMED == THEMED - 1:
        story = THEMES[seed // THEMED % len(THEMES)]
    chance = Random(-seed - 1)  # noqa: S311 - a seed makes it repeatable
    if not reconciled:
        # Without the reconciler nobody finds what is lost: so nothing is, and no more dies than Lambda tries again.
        trouble = Trouble(chance.choice((0.01, 0.03, 0.1)), 0.0, chance.choice((0.0, 0.1)), chance.choice((1, 2)))
    else:
        trouble = Trouble(
            calls=chance.choice((0.0, 0.003, 0.01, 0.03)),
            events=chance.choice((0.0, 0.02, 0.08, 0.25)),
            story=chance.choice((0.0, 0.1, 0.3)) if story is None else 0.0,
            faults=chance.choice((2, 5, 12, 25)),
        )
    return _play(Seeded(seed, story or {}), trouble, reconciled=reconciled)


def by_schedule(schedule: Mapping[str, int], *, reconciled: bool = True) -> History:
    """Live through the history of a schedule."""
    return _play(Replayed(schedule), Trouble(), reconciled=reconciled)


def _play(choices: Choices, trouble: Trouble, *, reconciled: bool) -> History:
    world = World(choices, trouble, reconciled=reconciled)
    violation = ""
    try:
        Story(world).live()
    except ViolationError as broken:
        violation = str(broken)
        world.close()
    return History(choices.taken, violation, world)


def shrunk(schedule: Mapping[str, int], promise: str, *, reconciled: bool = True) -> History:
    """Leave choices out as long as the same promise is broken (delta debugging), then take the first of their kind."""
    best = by_schedule(schedule, reconciled=reconciled)
    if best.promise != promise:
        raise AssertionError(f"the schedule does not break {promise} again: {best.violation}")
    size = max(1, len(best.schedule) // 2)
    while True:
        kept, before = list(best.schedule), len(best.schedule)
        start = 0
        while start < len(kept):
            rest = {
                site: best.schedule[site] for site in [*kept[:start], *kept[start + size :]] if site in best.schedule
            }
            tried = by_schedule(rest, reconciled=reconciled)
            if tried.promise == promise and len(tried.schedule) < len(best.schedule):
                best = tried
                kept = [site for site in kept if site in best.schedule]
            else:
                start += size
        if size == 1 and len(best.schedule) == before:
            return best
        size = max(1, size // 2)
