"""Compute what drops by the month cost on AWS beside their training; `docs/scale.md` holds the table.

``python -m bench.scale`` prints it. What a drop calls was counted on the embedded AWS (``make load``).
"""

from math import ceil
from typing import NamedTuple

# ---------------------------------------------------------------- counted by `make load DROPS=24`, per drop
INVOCATIONS = 26
"""Of functions, those included whose event came twice; those of the schedules are not."""
WRITES, READS = 42, 35
"""Of DynamoDB."""
PUTS, GETS = 18, 24

# ---------------------------------------------------------------- assumed, per drop
BILLED_SECONDS = 60.0
"""Of functions with half a gigabyte: an evaluation waits for its models' answers, the others are over in a second."""
MEMORY_GB = 0.5
UNITS_A_WRITE, UNITS_A_READ = 10, 3
"""Of an item of up to 10 KB: a unit writes 1 KB, or reads 4 KB."""
EVENTS = 25
"""Announcements on the application's bus; events of AWS's own services cost nothing."""
NOTICES = 2
LOG_KILOBYTES = 40
FILES = 4
"""Objects of a drop, which the reconciler lists every five minutes to find drops whose event was lost."""
KEYS_A_LIST = 1_000

# ---------------------------------------------------------------- of a stack, whatever it does
RECONCILIATIONS = 30 * 24 * 12
TICKS = RECONCILIATIONS + 30 * 24 * 60
"""Invocations of the two schedules in a month."""
TICK_SECONDS = 0.3
WIDGETS_AND_ALARMS = 3.0 + 4 * 0.10
"""US dollars: a dashboard beyond the third, and four alarms."""

# ---------------------------------------------------------------- list prices, us-east-1, US dollars
INVOCATION = 0.20 / 1_000_000
GIGABYTE_SECOND = 0.0000166667
WRITE, READ = 0.625 / 1_000_000, 0.125 / 1_000_000
PUT, GET = 0.005 / 1000, 0.0004 / 1000
EVENT = 1.00 / 1_000_000
PIPE_REQUEST = 0.40 / 1_000_000
NOTICE = 0.50 / 1_000_000
LOG_GIGABYTE = 0.50
TRAINING_USD = 0.24
"""What the demo's training would have cost: 575 s of ml.g5.2xlarge. Yours is in `tunedrop costs`."""


class Month(NamedTuple):
    """Say what a month of so many drops costs, in US dollars."""

    drops: int
    functions: float
    table: float
    objects: float
    listing: float
    events: float
    logs: float
    application: float
    training: float


def month(drops: int) -> Month:
    """Compute one row of the table."""
    invocations = drops * INVOCATIONS + TICKS
    functions = invocations * INVOCATION + (drops * BILLED_SECONDS + TICKS * TICK_SECONDS) * MEMORY_GB * GIGABYTE_SECOND
    table = drops * (WRITES * UNITS_A_WRITE * WRITE + READS * UNITS_A_READ * READ)
    objects = drops * (PUTS * PUT + GETS * GET)
    # On average half of the month's drops lie there; those of earlier months, when none are deleted, come on top.
    listing = ceil(drops * FILES / 2 / KEYS_A_LIST) * RECONCILIATIONS * PUT
    events = drops * (EVENTS * (EVENT + PIPE_REQUEST) + NOTICES * NOTICE)
    logs = drops * LOG_KILOBYTES / 1_000_000 * LOG_GIGABYTE
    application = functions + table + objects + listing + events + logs + WIDGETS_AND_ALARMS
    return Month(drops, functions, table, objects, listing, events, logs, application, drops * TRAINING_USD)


def table() -> str:
    """Write the table as Markdown."""
    heads = (
        "drops",
        "functions",
        "table",
        "objects",
        "listing",
        "events",
        "logs",
        "all of these",
        "training at the demo's price",
    )
    rows = [" | ".join(heads), "|".join("---" for _ in heads)]
    for drops in (0, 100, 1_000, 10_000, 100_000, 1_000_000):
        found = month(drops)
        rows.append(" | ".join([f"{drops:,}", *(f"{amount:,.2f}" for amount in found[1:])]))
    return "\n".join(f"| {row} |" if "---" not in row else f"|{row}|" for row in rows)


if __name__ == "__main__":
    print(table())
