"""``python -m tests.chaos``: two hundred drops on the embedded AWS while everything goes wrong."""

import argparse
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from local.sagemaker.account import Account
from tests.chaos.sweep import die_at_every_call
from tests.chaos.world import TROUBLE, USUAL, World, some_kinds, violations, world

IN_FLIGHT = 12
"""Drops that are under way at once: more only wait for the cores."""
PATIENCE = 900.0


def main() -> int:
    """Run the command line; returns 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of all choices (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=200, help="how many drops (default: %(default)s)")
    parser.add_argument("--every-call", action="store_true", help="kill functions at each call instead, once each")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tunedrop-chaos-") as folder, world(Path(folder)) as deployed:
        if arguments.every_call:
            broken = die_at_every_call(deployed)
        else:
            broken = suffer(deployed, arguments.seed, arguments.runs)
        deployed.say("\n".join(broken) or "Everything held.")
    return int(bool(broken))


def suffer(deployed: World, seed: int, count: int) -> list[str]:
    """Drop so many datasets while everything goes wrong; returns what did not hold."""
    started = time.monotonic()
    deployed.trouble(replace(TROUBLE, seed=seed))
    plenty = Account(quotas={USUAL: 10_000})
    kinds = some_kinds(seed, count)
    for first in range(0, count, IN_FLIGHT):
        # The first batch finds no instance of the usual type, and a restart interrupts two others.
        scarce = first == 0
        Account(frozenset({USUAL} if scarce else ()), plenty.quotas).write(deployed.engine.data_dir)
        for kind in kinds[first : first + IN_FLIGHT]:
            deployed.drop_kind(kind)
        if first // IN_FLIGHT in {1, 3}:
            time.sleep(10)
            deployed.restart()
        deployed.live_on(PATIENCE)
        deployed.say(f"{time.monotonic() - started:6.0f} s  {len(deployed.dropped)} drops are over")
    deployed.calm_down()
    report(deployed, seed, time.monotonic() - started)
    return violations(deployed)


def report(deployed: World, seed: int, seconds: float) -> None:
    """Say what went wrong, and how the runs ended."""
    faults = Counter[str]()
    for site, count in deployed.met.items():
        faults[site.partition(" ")[0]] += count
    ends = Counter(run.status.value for run in deployed.runs().values())
    deployed.say(
        f"Seed {seed}: {len(deployed.dropped)} drops in {seconds:.0f} s; {deployed.restarts} restarts of the engine"
    )
    deployed.say(f"Went wrong: {_counted(faults)}")
    deployed.say(f"Ended: {_counted(ends)}")
    deployed.say(f"Handed on from the dead-letter queue: {deployed.redriven}")


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


if __name__ == "__main__":
    sys.exit(main())
