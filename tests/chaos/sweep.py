"""Functions die at every call that they ever make, before AWS takes it and after; every run ends as if none had."""

from collections.abc import Iterator

from local.engine.settings import FaultSettings
from tests.chaos.world import KINDS, Dropped, World, final_state, violations

PATIENCE = 1200.0
DEATHS = 3
"""Of a function in a round: a workflow tries one four times."""
MOST_ROUNDS = 30
"""Rare calls, such as those of a run that met another one, turn up one by one for long."""


def die_at_every_call(deployed: World) -> list[str]:
    """Drop a dataset of each kind, again and again, until no call is left to die at; returns what did not hold."""
    undisturbed = [deployed.drop_kind(kind) for kind in KINDS]
    deployed.live_on(PATIENCE)
    died = 0
    for number in range(MOST_ROUNDS):
        deployed.trouble(FaultSettings(kill_each_call=DEATHS))
        for kind in KINDS:
            deployed.drop_kind(kind)
        deployed.live_on(PATIENCE)
        before, died = died, sum(deployed.engine.went_wrong().values())
        deployed.say(f"round {number + 1}: functions died at {died - before} more calls, {died} in all")
        if died == before:
            break
    deployed.calm_down()
    for site in sorted(site for site, count in deployed.met.items() if count):
        deployed.say(site)
    return [*violations(deployed), *_differences(deployed, undisturbed)]


def _differences(deployed: World, undisturbed: list[Dropped]) -> Iterator[str]:
    runs = deployed.runs()

    def ends(dropped: Dropped) -> list[dict[str, object]]:
        return sorted((final_state(deployed, runs[run_id]) for run_id in dropped.run_ids), key=str)

    expected = {each.kind.name: ends(each) for each in undisturbed}
    for each in deployed.dropped:
        if (ended := ends(each)) != expected[each.kind.name]:
            yield f"{each.kind.name} {each.run_ids} ended {ended}, not {expected[each.kind.name]}"
