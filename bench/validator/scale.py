"""Compute what validating takes and costs on AWS, from what was measured here; `docs/scale.md` holds the tables.

`python -m bench.validator.scale` prints them.
"""

from math import ceil
from typing import NamedTuple

# ---------------------------------------------------------------- measured
MEGABYTES_A_SECOND = 99.0
"""Of CPU, by `tunedrop validate` on 1 GB of conversations, with near duplicates and secrets; the better of 2 rounds."""
BYTES_A_ROW = 1190
MERGE_SECONDS_A_MILLION_ROWS = 0.08
"""Digests sorted and compared."""

# ---------------------------------------------------------------- the plan
RANGE_MEGABYTES = 536.870912
"""512 MiB (`dataset.RANGE_BYTES`)."""
CONCURRENCY = 200
"""The Distributed Map's MaxConcurrency; an account's default is 1,000 functions at a time."""
RANGE_MEMORY = 1769
"""MB, at which Lambda gives one vCPU."""
MERGE_MEMORY = 3008
"""MB, the most that every account may ask for."""
SHARD_ROWS = 1 << 26
"""Rows whose digests are compared at once; those of more lie in parts, and part by part is read."""
DIGEST_BYTES, NUMBERED_DIGEST_BYTES = 8, 12
"""What is read of each row: its digest, in a part with its number."""
BAND_BYTES = 32
"""The sketch of each row, on top, as long as near duplicates are looked for."""
NEAR_ROWS = 32_000_000
"""Beyond so many rows they are not (`Limits.near_duplicate_rows`)."""
OBJECTS_A_RANGE = 20
"""Files that a range leaves: counts and findings, digests, lengths, sketches, and 16 parts of the digests."""
TRANSITIONS_A_RANGE = 2
"""Child started, state done."""
TRANSITIONS = 8
"""Of the execution itself: plan, map, merge, choices."""

# ---------------------------------------------------------------- assumed; neither measured here nor promised by AWS
DOWNLOAD = 75.0
"""MB/s of one function from S3: network follows memory, and about this is reported."""
START_SECONDS = 2.0
"""Cold start of a function with its libraries, which is paid for."""

# ---------------------------------------------------------------- list prices, us-east-1, US dollars
GIGABYTE_SECOND = 0.0000166667
INVOCATION = 0.20 / 1_000_000
TRANSITION = 25 / 1_000_000
GET = 0.0004 / 1000
PUT = 0.005 / 1000


class Scale(NamedTuple):
    """Say what a dataset of a size takes."""

    gigabytes: int
    rows: int
    ranges: int
    range_seconds: float
    merge_seconds: float
    wall_seconds: float
    gigabyte_seconds: float
    gets: int
    puts: int
    transitions: int
    dollars: float


def scale(gigabytes: int, concurrency: int = CONCURRENCY) -> Scale:
    """Compute one row of the table."""
    megabytes = gigabytes * 1000
    rows = megabytes * 1_000_000 // BYTES_A_ROW
    ranges = ceil(megabytes / RANGE_MEGABYTES)
    one = megabytes / ranges
    range_seconds = START_SECONDS + max(one / MEGABYTES_A_SECOND, one / DOWNLOAD)
    shards = ceil(rows / SHARD_ROWS)
    near = rows <= NEAR_ROWS
    # The search for similar rows asks for the digests again.
    columns = (2 * DIGEST_BYTES + BAND_BYTES if near else DIGEST_BYTES) if shards == 1 else NUMBERED_DIGEST_BYTES
    fetched = rows * columns / 1_000_000
    merge_seconds = START_SECONDS + fetched / DOWNLOAD + MERGE_SECONDS_A_MILLION_ROWS * rows / 1_000_000
    seconds = ranges * range_seconds * RANGE_MEMORY / 1024 + merge_seconds * MERGE_MEMORY / 1024
    gets = ranges * (4 if shards == 1 else 1 + 16)
    puts = ranges * OBJECTS_A_RANGE
    transitions = TRANSITIONS + ranges * TRANSITIONS_A_RANGE
    dollars = seconds * GIGABYTE_SECOND + (ranges + 2) * INVOCATION + gets * GET + puts * PUT + transitions * TRANSITION
    wall = ceil(ranges / concurrency) * range_seconds + merge_seconds
    return Scale(gigabytes, rows, ranges, range_seconds, merge_seconds, wall, seconds, gets, puts, transitions, dollars)


def table() -> str:
    """Return the table in Markdown."""
    lines = [
        "| size | rows | ranges | one range | merge | wall time | Lambda | S3 GET / PUT | transitions | dollars |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for gigabytes in (1, 10, 100, 1000):
        each = scale(gigabytes)
        lines.append(
            f"| {gigabytes:,} GB | {each.rows / 1_000_000:.1f} million | {each.ranges:,} | {each.range_seconds:.0f} s "
            f"| {_duration(each.merge_seconds)} | {_duration(each.wall_seconds)} "
            f"| {each.gigabyte_seconds:,.0f} GB-s | {each.gets:,} / {each.puts:,} | {each.transitions:,} "
            f"| {each.dollars:.3f} |"
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"  # noqa: PLR2004 - a minute and a half


if __name__ == "__main__":
    print(table())
