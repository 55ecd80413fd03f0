"""Measure processes: user and system time of the whole tree, and the largest resident set of one of its members.

This process stays small, and imports nothing large: a child counts its parent's memory until it has become itself.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Key = tuple[str, str]
"""A tool and the dataset that it reads."""
NOTHING = "one row"
"""The dataset on which a tool shows what its start costs."""


class Usage(NamedTuple):
    """Hold what one process took, and said."""

    cpu: float
    """Seconds."""
    memory: int
    """Bytes."""
    status: int
    out: str
    err: str


def used(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a command to its end."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=os.environ | environment)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        cpu = usage.ru_utime + usage.ru_stime
        return Usage(cpu, usage.ru_maxrss * 1024, process.returncode, out.read(), err.read())


def failure(usage: Usage) -> str:
    """Say why a run does not count: it left no report, or a peer refused good rows; empty when it counts."""
    *_, last = usage.err.strip().splitlines() or [f"exit status {usage.status}"]
    try:
        *_, line = usage.out.strip().splitlines() or [""]
        report = json.loads(line)
    except ValueError:
        return last
    return f"it refused good rows: {report['said']}" if report.get("refused") else ""


class Measurements:
    """Keep the least CPU time and the largest memory of every tool on every dataset."""

    def __init__(self) -> None:
        self._cpu: dict[Key, float] = {}
        self.memory: dict[Key, int] = {}
        self.out: dict[Key, list[str]] = {}
        self.failed: list[str] = []
        """Runs that did not come to an end: they are quick, and must never count as the least."""

    def rounds(self, number: int, commands: Mapping[Key, Sequence[str]], environment: Mapping[str, str]) -> None:
        """Run every command once a round, one after the other, so that a slow minute of the machine meets them all."""
        for each in range(1, number + 1):
            for (tool, dataset), command in commands.items():
                if sys.stderr.isatty():
                    print(f"\rround {each} of {number}: {tool} on {dataset}".ljust(100), end="\r", file=sys.stderr)
                usage = used(command, environment)
                if reason := failure(usage):
                    self.failed.append(f"{tool} on {dataset}, round {each}: {reason}")
                else:
                    self.add((tool, dataset), usage)

    def add(self, key: Key, usage: Usage) -> None:
        """Take one run in."""
        self._cpu[key] = min(self._cpu.get(key, usage.cpu), usage.cpu)
        self.memory[key] = max(self.memory.get(key, 0), usage.memory)
        self.out.setdefault(key, []).append(usage.out)

    def cpu(self, tool: str, dataset: str) -> float | None:
        """Return the seconds of a tool on a dataset, its start not counted; None when there is no time to tell."""
        if (tool, dataset) not in self._cpu or (tool, NOTHING) not in self._cpu:
            return None
        seconds = self._cpu[tool, dataset] - self._cpu[tool, NOTHING]
        return seconds if seconds > 0 else None

    def own_seconds(self, tool: str, dataset: str) -> float:
        """Return the least seconds that a tool says it took: for files so small that a start's noise hides them."""
        return min(float(json.loads(out)["seconds"]) for out in self.out[tool, dataset])

    def own_ratio(self, one: Key, other: Key) -> float | None:
        """Return the seconds that a tool says one took, as a share of the other's; None when one was not run."""
        return self.own_seconds(*one) / self.own_seconds(*other) if {one, other} <= self.out.keys() else None

    def ratio(self, one: Key, other: Key) -> float | None:
        """Return the seconds of one as a share of the other's; None when one was not run."""
        seconds, others = self.cpu(*one), self.cpu(*other)
        return seconds / others if seconds is not None and others is not None else None
