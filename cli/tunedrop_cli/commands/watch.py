"""`tunedrop watch`."""

from typing import Annotated

import typer

from tunedrop.domain.run import Run, RunStatus
from tunedrop_cli import options
from tunedrop_cli.aws import Stack
from tunedrop_cli.records import LATEST, RunRecords
from tunedrop_cli.views import console, for_stack, outcome
from tunedrop_cli.watching import Watcher

EXAMPLES = """
Examples:

  tunedrop watch                  the newest run

  tunedrop watch mfrggzdf         a run, by the beginning of its id

Exit status: 0 when the run ends PROMOTED, 1 when it ends otherwise. Ctrl-C leaves the run as it is.
"""

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one that is unique, or `latest`.")
]


def watch(context: typer.Context, run: RunArgument = LATEST) -> None:
    """Follow a run until it ends: status, loss as it falls, cost, scores and what to do next."""
    stack = options.stack(context)
    ended = follow(stack, RunRecords(stack).resolve(run), options.options(context).named_stack)
    if ended.status is not RunStatus.PROMOTED:
        raise typer.Exit(1)


def follow(stack: Stack, run_id: str, named_stack: str | None) -> Run:
    """Print a run's way to its end, and how it ended."""
    terminal = console()
    try:
        run = Watcher(stack, terminal).follow(run_id)
    except KeyboardInterrupt:
        terminal.print(f"The run goes on. Follow it again: {for_stack(f'tunedrop watch {run_id}', named_stack)}")
        raise typer.Exit(1) from None
    terminal.print()
    terminal.print(outcome(run, named_stack))
    return run
