"""``python -m tests.chaos.load``: a thousand drops at once; nothing is lost, nothing runs beyond its limit.

Beside time and memory it counts what a drop calls: the figures of ``bench/scale.py``.
"""

import argparse
import re
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.world import LEARNS, World, violations, world

RESERVED = 3
"""Invocations of each function at once, as the stack's ReservedConcurrency says."""
SCHEDULED = frozenset({"ReconcileRunsFunction", "TrackDeploymentFunction"})
SECONDS_A_DROP = 60.0
SECONDS_PER_MINUTE = 1.5
"""Models are imported one at a time, and each import takes two looks of the tracker's, once a minute."""
RECONCILED = "rate(40 minutes)"
"""Of those minutes. A look at a thousand champions takes half a minute of this machine's, not 7 of its seconds."""
_STARTED = re.compile(r"START RequestId: (\S+)")
_ENDED = re.compile(r"REPORT RequestId: (\S+)")
_FUNCTION = re.compile(r'"function_name":"tunedrop-(\w+)-')
_GETS = frozenset({"s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions"})
_READS = frozenset({"dynamodb:GetItem", "dynamodb:Query"})


class Memory(threading.Thread):
    """Watch how much memory the engine and its workers take at most, in megabytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.engine = self.all = 0

    def run(self) -> None:
        """Look again and again; a look is work of the kernel's for each page of every process."""
        me = psutil.Process()
        while True:
            sizes = [_share(each) for each in me.children(recursive=True)]
            self.engine = max([self.engine, *sizes])
            self.all = max(self.all, sum(sizes))
            time.sleep(15)


def _share(process: psutil.Process) -> int:
    try:
        # What forks share is counted once.
        return int(process.memory_full_info().pss) >> 20
    except psutil.Error:
        return 0


def main() -> int:
    """Run the command line; returns 1 when something did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.load", description=__doc__)
    parser.add_argument("--drops", type=int, default=1000, help="how many, at once (default: %(default)s)")
    drops: int = parser.parse_args().drops
    with (
        tempfile.TemporaryDirectory(prefix="tunedrop-load-") as folder,
        # Nothing is started again here, and a snapshot holds all that there is: they would be half of the work.
        world(
            Path(folder),
            parameters={"ReservedConcurrency": str(RESERVED)},
            snapshot_seconds=1e6,
            seconds_per_minute=SECONDS_PER_MINUTE,
        ) as deployed,
    ):
        let_reconcile(deployed, RECONCILED)
        memory = Memory()
        memory.start()
        started = time.monotonic()
        for _ in range(drops):
            deployed.drop_kind(LEARNS)
        deployed.say(f"{drops} drops uploaded in {time.monotonic() - started:.0f} s")
        deployed.live_on(300 + SECONDS_A_DROP * drops, hasten=False)
        seconds = time.monotonic() - started
        deployed.engine.settle(120)
        broken = [*violations(deployed), *beyond_limits(deployed)]
        deployed.say(
            f"{drops} drops over in {seconds:.0f} s; {memory.engine} MB the largest process, {memory.all} MB all"
        )
        for name, count in per_drop(deployed, drops):
            deployed.say(f"  {name}: {count:.1f} a drop")
        deployed.say("\n".join(broken) or "Everything held.")
    return int(bool(broken))


def let_reconcile(deployed: World, schedule: str) -> None:
    """Let the reconciler look at another pace than the template's."""
    events = deployed.engine.client("events")
    (rule,) = (each for each in events.list_rules()["Rules"] if each.get("ScheduleExpression") == "rate(5 minutes)")
    events.put_rule(Name=rule["Name"], ScheduleExpression=schedule, State="ENABLED")


def beyond_limits(deployed: World) -> Iterator[str]:
    """Name what ran more often at once than it may."""
    for function, spans in invocations(deployed).items():
        if (most := at_once(spans)) > RESERVED:
            yield f"{function} ran {most} times at once, {RESERVED} are reserved"
    pages = deployed.engine.client("bedrock").get_paginator("list_model_import_jobs").paginate()
    imports = [each for page in pages for each in page["modelImportJobSummaries"]]
    if (most := at_once([(each["creationTime"].timestamp(), each["endTime"].timestamp()) for each in imports])) > 1:
        yield f"{most} models were imported at once"


def at_once(spans: Sequence[tuple[float, float]]) -> int:
    """Count how many spans lie over each other at most; one that begins as another ends comes after it."""
    steps = sorted([(begun, 1) for begun, _ in spans] + [(ended, -1) for _, ended in spans])
    most = now = 0
    for _, step in steps:
        now += step
        most = max(most, now)
    return most


def invocations(deployed: World) -> dict[str, list[tuple[float, float]]]:
    """Read the functions' log: of each function its invocations, as begin and end."""
    logs = deployed.engine.client("logs")
    resource = deployed.engine.client("cloudformation").describe_stack_resource(
        StackName="tunedrop", LogicalResourceId="FunctionLogs"
    )
    group = resource["StackResourceDetail"]["PhysicalResourceId"]
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group):
        for event in page["events"]:
            lines[event["logStreamName"]].append(event)
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for events in lines.values():
        names = {match[1] for event in events if (match := _FUNCTION.search(event["message"]))}
        begun = {match[1]: event["timestamp"] for event in events if (match := _STARTED.match(event["message"]))}
        for event in events:
            if (match := _ENDED.match(event["message"])) and match[1] in begun:
                found[min(names, default="?")].append((begun[match[1]] / 1000, event["timestamp"] / 1000))
    return found


def per_drop(deployed: World, drops: int) -> Iterator[tuple[str, float]]:
    """Count what functions did for a drop, on average; what the schedules do depends on time instead."""
    spans = {name: len(each) for name, each in invocations(deployed).items() if name not in SCHEDULED}
    roles = tuple(f"tunedrop-{name}Role" for name in spans)
    calls = Counter(each.action for each in deployed.engine.decisions() if each.role.startswith(roles))
    yield "invocations", sum(spans.values()) / drops
    yield "writes of DynamoDB", calls["dynamodb:PutItem"] / drops
    yield "reads of DynamoDB", sum(calls[each] for each in _READS) / drops
    yield "objects written", calls["s3:PutObject"] / drops
    yield "objects read or listed", sum(calls[each] for each in _GETS) / drops


if __name__ == "__main__":
    sys.exit(main())
