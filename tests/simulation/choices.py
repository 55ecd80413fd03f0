"""The one source of chance: named choices, 0 always the benign one, so that a schedule is what it is not."""

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Protocol

Schedule = dict[str, int]
"""The choices that were not 0, by their site: all that a history needs to happen again."""


class Choices(Protocol):
    """Choose one of several, at a site that has a name."""

    taken: Schedule

    def __call__(self, site: str, options: int, chance: float) -> int:
        """Return a number below `options`; another one than 0 with `chance`."""


class Seeded:
    """Choose at random, the same for the same seed."""

    def __init__(self, seed: int, told: Mapping[str, int] = {}) -> None:
        """Choose by a seed, and as a schedule says at the sites that it names."""
        self._random = Random(seed)  # noqa: S311 - a seed makes it repeatable
        self._told = told
        self._met: Counter[str] = Counter()
        self.taken: Schedule = {}

    def __call__(self, site: str, options: int, chance: float) -> int:
        self._met[site] += 1
        if site in self._told:
            self.taken[site] = self._told[site]
            return self._told[site]
        if options < 2 or not chance or self._random.random() >= chance:
            return 0
        choice = self._random.randrange(1, options)
        self.taken[_numbered(site, self._met[site])] = choice
        return choice


class Replayed:
    """Choose as a schedule says, and 0 wherever it says nothing; keep the sites that were met, in order."""

    def __init__(self, schedule: Mapping[str, int]) -> None:
        self._schedule = schedule
        self._met: Counter[str] = Counter()
        self.taken: Schedule = {}
        self.sites: dict[str, int] = {}

    def __call__(self, site: str, options: int, chance: float) -> int:
        self._met[site] += 1
        name = _numbered(site, self._met[site])
        if chance:
            self.sites[name] = options
        choice = self._schedule.get(name, 0)
        if not 0 < choice < options:
            return 0
        self.taken[name] = choice
        return choice


def _numbered(site: str, time: int) -> str:
    return site if time == 1 else f"{site} #{time}"
