"""Measure the validator and the peers in one run; exit status 1 when a target is missed.

Every tool runs in a process of its own. What counts is user and system time, less the time of the same tool on one row,
and the least of several rounds in which all tools take turns: noise only adds.
"""

import argparse
import sys
from collections.abc import Sequence

from bench.validator import datasets, targets, tools
from bench.validator.datasets import Dataset
from bench.validator.measuring import NOTHING, Key, Measurements, failure, used
from bench.validator.targets import Judgement
from bench.validator.tools import ENVIRONMENT, Tool

TIMES = 5
"""Readings of a small file in one process, of which the fastest counts."""
MANY_MEGABYTES = 1000
"""From here on one reading is long enough to be measured."""


def main() -> int:
    """Measure, print Markdown, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.validator", description=__doc__)
    parser.add_argument("--megabytes", type=float, default=1000, help="size of the largest files (default 1000; CI 20)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ten-gigabytes", action="store_true", help="read 10 GB too, once; they must fit on the disk")
    asked = parser.parse_args()
    tools.install()
    chosen = datasets.choose(asked.megabytes, ten_gigabytes=asked.ten_gigabytes)
    rows = {each.name: each.make() for each in chosen.all()}

    present = []
    for tool in tools.tools():
        if reason := failure(used(_call(tool, datasets.ONE_ROW), ENVIRONMENT)):
            print(f"Absent: {tool.name}: {reason}")
        else:
            present.append(tool)
    taken = Measurements()
    commands = _commands(present, chosen)
    taken.rounds(asked.rounds, {key: call for key, call in commands.items() if key[1] != chosen.huge}, ENVIRONMENT)
    taken.rounds(1, {key: call for key, call in commands.items() if key[1] == chosen.huge}, ENVIRONMENT)

    found = {tool.name: datasets.defects_found(tool) for tool in present if tool.name not in targets.MEMORY_PER_ROW}
    for dataset in chosen.largest:
        _print_tools(dataset, present, taken, found)
    judged = targets.judged(taken, rows, chosen, found.get(tools.COMMAND))
    _print_growth(chosen.growing, rows, taken)
    _print_targets(judged)
    for run in taken.failed:
        print(f"Failed, and not counted: {run}")
    return 0 if all(each.met for each in judged) and not taken.failed else 1


def _call(tool: Tool, dataset: Dataset, times: int = 1) -> list[str]:
    return tool.call(dataset.technique, dataset.folder, times)


def _commands(present: Sequence[Tool], chosen: datasets.Chosen) -> dict[Key, list[str]]:
    """Say what is run, in the order of one round."""
    commands: dict[Key, list[str]] = {}
    for tool in present:
        commands[tool.name, NOTHING] = _call(tool, datasets.ONE_ROW)
        for dataset in chosen.largest:
            if dataset.technique == "chat" or not tool.conversations_only:
                commands[tool.name, dataset.name] = _call(tool, dataset)
        if tool.name in targets.MEMORY_PER_ROW:
            for dataset in [*chosen.growing, chosen.clean, *chosen.faulty]:
                times = 1 if dataset.megabytes >= MANY_MEGABYTES else TIMES
                commands.setdefault((tool.name, dataset.name), _call(tool, dataset, times))
    return commands


def _print_tools(
    dataset: Dataset, present: Sequence[Tool], taken: Measurements, found: dict[str, datasets.DefectsFound]
) -> None:
    base = taken.cpu(tools.BASE, dataset.name)
    print(f"\n### {dataset.name}\n")
    print("| tool | MB/s | CPU to base | peak memory | defects found | with their line | all in one reading |")
    print("|---|---|---|---|---|---|---|")
    measured = [(cpu, tool) for tool in present if (cpu := taken.cpu(tool.name, dataset.name)) is not None]
    for cpu, tool in sorted(measured, key=lambda each: each[0]):
        ratio = f"{cpu / base:.2f}" if base else "-"
        memory = taken.memory[tool.name, dataset.name] / targets.MEGABYTE
        of_25 = found.get(tool.name) if dataset.technique == "chat" else None
        last = " | ".join(map(str, of_25)) if of_25 else "- | - | -"
        print(f"| {tool.name} | {dataset.megabytes / cpu:.0f} | {ratio} | {memory:.0f} MB | {last} |")


def _print_growth(growing: Sequence[Dataset], rows: dict[str, int], taken: Measurements) -> None:
    print("\n### Growth, in one process\n")
    print("| dataset | rows | variant | ms a MB | peak memory | bytes a row |\n|---|---|---|---|---|---|")
    for tool in targets.MEMORY_PER_ROW:
        for dataset in growing:
            if (tool, dataset.name) in taken.memory:
                cost = 1000 * taken.own_seconds(tool, dataset.name) / dataset.megabytes
                memory = taken.memory[tool, dataset.name]
                more = (memory - taken.memory[tool, NOTHING]) / rows[dataset.name]
                shown = f"{cost:.2f} | {memory / targets.MEGABYTE:.0f} MB | {more:.0f}"
                print(f"| {dataset.name} | {rows[dataset.name]:,} | {tool} | {shown} |")


def _print_targets(judged: Sequence[Judgement]) -> None:
    print("\n### Targets\n")
    print("| goal | target | measured | |\n|---|---|---|---|")
    for each in judged:
        print(f"| {each.goal} | {each.limit} | {each.measured} | {'met' if each.met else '**not met**'} |")


if __name__ == "__main__":
    sys.exit(main())
