"""What was promised, as ratios within one run; `docs/validator.md` says why."""

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

from bench.validator import tools
from bench.validator.datasets import Chosen, Dataset, DefectsFound
from bench.validator.faults import CODES
from bench.validator.measuring import Measurements

MEGABYTE = 1_000_000
BASE_MEMORY = 64 * MEGABYTE
MEMORY_PER_ROW = {tools.BASE: 24, tools.FULL: 80}
"""Bytes, on top of the above."""
GROWTH = 1.15
"""CPU time per megabyte, to that of a file of a tenth of the size: what is above is no noise."""

CPU = {
    "chat": (
        (tools.JSON, 0.50),
        (tools.PYDANTIC, 0.50),
        (tools.TOGETHER_3, 0.45),
        (tools.TOGETHER_1, 0.30),
        (tools.COOKBOOK, 0.18),
        (tools.PANDAS, 0.18),
        (tools.MSGSPEC, 2.3),
    ),
    "instruction": ((tools.JSON, 0.50), (tools.PYDANTIC, 0.85)),
}
"""The most that the base variant may take, as a share of others, by technique."""
NEAR_AND_SECRETS = 2.6
FAULTY = (1.5, 1.2)
"""The most that files with 1 % and 100 % bad rows may take, to a clean file of the same size."""


class Judgement(NamedTuple):
    """Compare one promise with what was measured; None was not measured, and counts as missed."""

    goal: str
    limit: str
    measured: str
    met: bool


def _at_most(goal: str, limit: float, measured: float | None, unit: str = "times") -> Judgement:
    shown = "not measured" if measured is None else f"{measured:.2f} {unit}"
    return Judgement(goal, f"≤ {limit:g} {unit}", shown, measured is not None and measured <= limit)


def judged(
    taken: Measurements, rows: Mapping[str, int], chosen: Chosen, defects: DefectsFound | None
) -> list[Judgement]:
    """Judge every promise; `rows` are those of every dataset, `defects` what the command found."""
    found = []
    for dataset in chosen.largest:
        for other, limit in CPU[dataset.technique]:
            measured = taken.ratio((tools.BASE, dataset.name), (other, dataset.name))
            found.append(_at_most(f"{dataset.technique}: CPU of base to {other}", limit, measured))
    chat, *_ = chosen.largest
    measured = taken.ratio((tools.FULL, chat.name), (tools.BASE, chat.name))
    found.append(_at_most("near duplicates + secrets: CPU to base", NEAR_AND_SECRETS, measured))
    for tool in (tools.BASE, tools.FULL):
        for dataset, limit in zip(chosen.faulty, FAULTY, strict=True):
            measured = taken.own_ratio((tool, dataset.name), (tool, chosen.clean.name))
            found.append(_at_most(f"{tool}: CPU of {dataset.name} to clean", limit, measured))
    seen = defects.in_one_reading if defects else 0
    found.append(Judgement("planted defects, all in one reading", f"{len(CODES)}", f"{seen}", seen == len(CODES)))
    for tool, per_row in MEMORY_PER_ROW.items():
        for dataset in chosen.largest:
            limit = (BASE_MEMORY + per_row * rows[dataset.name]) / MEGABYTE
            memory = taken.memory.get((tool, dataset.name))
            goal = f"{tool}: peak memory on {dataset.name}"
            found.append(_at_most(goal, round(limit), memory and memory / MEGABYTE, "MB"))
        for small, large in pairwise(chosen.growing):
            goal = f"{tool}: CPU a MB, {large.name} to {small.name}"
            found.append(_at_most(goal, GROWTH, _growth(taken, tool, small, large)))
    return found


def _growth(taken: Measurements, tool: str, small: Dataset, large: Dataset) -> float | None:
    ratio = taken.own_ratio((tool, large.name), (tool, small.name))
    return None if ratio is None else ratio * small.megabytes / large.megabytes
