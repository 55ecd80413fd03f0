"""The datasets that are measured on: written once under `.local/bench`, and read again by later runs."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.validator import faults, generator, tools
from bench.validator.faults import CODES, TRAIN, Defect
from bench.validator.measuring import NOTHING
from bench.validator.tools import Found, Tool

DATA = tools.LOCAL / f"data/{generator.VERSION}-py{sys.version_info.major}.{sys.version_info.minor}"
"""The sentences are those of one Python version."""
STEPS = (0.001, 0.01, 0.1, 1)
"""Sizes over which cost must stay linear, as shares of what is asked for."""
FAULTY = ("chat-1-percent-bad", "chat-100-percent-bad")
FAULTY_MEGABYTES = 100
"""Their least size, unless less is asked for."""
TEN_GIGABYTES = 10_000


class Dataset(NamedTuple):
    """Name a generated dataset."""

    variant: str
    megabytes: float

    @property
    def technique(self) -> str:
        """Return what the rows are for."""
        return self.variant.partition("-")[0]

    @property
    def name(self) -> str:
        """Return its name, in tables and as a folder."""
        return f"{self.variant} {self.megabytes:g} MB" if self.megabytes else NOTHING

    @property
    def folder(self) -> Path:
        """Return where it lies."""
        return DATA / self.name

    def make(self) -> int:
        """Write it, in a process of its own, unless it is there; return its number of rows."""
        path = self.folder / TRAIN
        command = [sys.executable, "-m", "bench.validator.generator", self.variant, str(self.megabytes), str(path)]
        subprocess.run(command, check=True)
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


ONE_ROW = Dataset("chat", 0)


class Chosen(NamedTuple):
    """Hold the datasets of one run."""

    largest: tuple[Dataset, ...]
    """One a technique; all tools read them."""
    growing: tuple[Dataset, ...]
    """From the smallest to the largest."""
    clean: Dataset
    """Of the size of the faulty ones."""
    faulty: tuple[Dataset, ...]
    huge: str
    """The dataset that is read once only."""

    def all(self) -> list[Dataset]:
        """Return each once."""
        return list(dict.fromkeys((*self.largest, *self.growing, self.clean, *self.faulty, ONE_ROW)))


def choose(megabytes: float, *, ten_gigabytes: bool) -> Chosen:
    """Choose datasets for a run whose largest are of this size."""
    growing = [Dataset("chat", step * megabytes) for step in STEPS if step * megabytes >= 1]
    huge = Dataset("chat", TEN_GIGABYTES)
    size = max(megabytes / 10, min(megabytes, FAULTY_MEGABYTES))
    return Chosen(
        largest=(Dataset("chat", megabytes), Dataset("instruction", megabytes)),
        growing=(*growing, huge) if ten_gigabytes else tuple(growing),
        clean=Dataset("chat", size),
        faulty=tuple(Dataset(variant, size) for variant in FAULTY),
        huge=huge.name,
    )


class DefectsFound(NamedTuple):
    """Count what a tool found of the planted defects, each in a dataset of its own, and all in one."""

    found: int
    with_line: int
    in_one_reading: int


GOOD_ROWS, VALIDATION_ROWS, GOOD_WORDS, SEED = 120, 10, 100, 7
"""Good rows around the defects, of so many words at least: in a short one a changed word is no near copy."""


def planted(names: Sequence[str]) -> tuple[dict[str, bytes], list[Defect]]:
    """Return the files of a dataset with these defects, and where they stand; the same bytes each time."""
    text = generator.Text(SEED)
    good: list[bytes] = []
    while len(good) < GOOD_ROWS + VALIDATION_ROWS:
        line = text.chat()
        if line.count(" ") >= GOOD_WORDS:
            good.append(line.encode())
    return faults.plant(names, good[:GOOD_ROWS], good[GOOD_ROWS:], text.nearly)


def defects_found(tool: Tool) -> DefectsFound:
    """Let a tool judge each defect by itself, and then all together.

    A defect is found when the tool finds fault with its dataset and none with the good rows alone. Our own validator
    must give it its code, too.
    """
    cases = {"none": [], **{name: [name] for name in CODES}, "all": list(CODES)}
    folders, places = [], []
    for case, names in cases.items():
        files, defects = planted(names)
        folders.append(tools.LOCAL / "data/defects" / case)
        places.append(defects)
        faults.write(folders[-1], files)
    nothing, *each, everything = tool.found(folders)
    alone = [(found, defect) for found, (defect,) in zip(each, places[1:-1], strict=True)]
    located = [_located(tool, found, defect) for found, defect in alone]
    refused = [found.refused and not nothing.refused for found, _ in alone]
    return DefectsFound(
        sum(located if tool.ours else refused),
        sum(located),
        sum(_located(tool, everything, defect) for defect in places[-1]),
    )


def _located(tool: Tool, found: Found, defect: Defect) -> bool:
    codes = defect.codes if tool.ours else {""}
    return any((place, code) in found.named for place in defect.places for code in codes)
