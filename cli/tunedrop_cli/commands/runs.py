"""`tunedrop runs`."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from tunedrop_cli import options
from tunedrop_cli.records import RunRecords
from tunedrop_cli.views import console, for_stack, run_record, runs_table

EXAMPLES = """
Examples:

  tunedrop runs

  tunedrop runs --dataset banking77 --limit 5

  tunedrop runs --json --limit 1                  for programs: times in UTC, US dollars
"""


def runs(
    context: typer.Context,
    dataset: Annotated[str | None, typer.Option(help="Only runs of this dataset.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 20,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """List runs, newest first: status, time, score, gain over the best of base and champion, cost."""
    found = RunRecords(options.stack(context)).newest(limit, dataset)
    if as_json:
        typer.echo(json.dumps([run_record(run, datetime.now(UTC)) for run in found], indent=1))
        return
    terminal = console()
    if found:
        terminal.print(runs_table(found, datetime.now(UTC)))
    else:
        of = f' of "{dataset}"' if dataset else ""
        command = for_stack("tunedrop drop FOLDER", options.options(context).named_stack)
        terminal.print(f"There is no run{of} yet. Start one: {command}")
