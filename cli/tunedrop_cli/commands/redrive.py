"""`tunedrop redrive`."""

from typing import Annotated

import typer
from rich.table import Table

from tunedrop_cli import options
from tunedrop_cli.dead_letters import DeadLetters
from tunedrop_cli.views import console

EXAMPLES = """
Examples:

  tunedrop redrive --dry-run

  tunedrop redrive
"""


def redrive(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many.")] = 100,
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show them; they stay in the queue.")] = False,
) -> None:
    """Hand the events of the dead-letter queue to their functions once more, after the cause is cleared.

    Nothing is launched twice by it: each function looks at the run as it stands now. Needs sqs:ReceiveMessage,
    sqs:DeleteMessage and sqs:ChangeMessageVisibility on the queue, and lambda:InvokeFunction on the functions.
    """
    queue = DeadLetters(options.stack(context))
    table = Table("Function", "About", "Error", "Done", box=None, pad_edge=False)
    kept = []
    for letter in queue.read(limit):
        if dry_run or letter.function is None:
            kept.append(letter)
        else:
            queue.redrive(letter)
        done = "kept" if dry_run else "redriven" if letter.function else "kept: it names no function of this stack"
        name = letter.function.rpartition(":")[2] if letter.function else "-"
        table.add_row(name, letter.subject or "-", letter.cause or "-", done)
    for letter in kept:
        queue.put_back(letter)
    terminal = console()
    if not table.row_count:
        terminal.print("The dead-letter queue is empty.")
        return
    terminal.print(table)
    if any(letter.function is None for letter in kept):
        terminal.print(
            "A letter without a function is the outbox's: the reconciler looks at its run by itself within 20 minutes. "
            "Delete it in SQS when the run has moved."
        )
