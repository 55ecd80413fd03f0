"""`tunedrop show`."""

from datetime import UTC, datetime

import typer

from tunedrop_cli import options
from tunedrop_cli.commands.watch import RunArgument
from tunedrop_cli.errors import CommandError
from tunedrop_cli.evaluation_view import evaluation_view
from tunedrop_cli.records import LATEST, RunRecords
from tunedrop_cli.views import console, facts, problems, scores

EXAMPLES = """
Examples:

  tunedrop show                   the newest run

  tunedrop show mfrggzdf          a run, by the beginning of its id
"""


def show(context: typer.Context, run: RunArgument = LATEST) -> None:
    """Show all that is known of one run: problems in full, and rows that base and tuned answer differently."""
    stack = options.stack(context)
    records = RunRecords(stack)
    run_id = records.resolve(run)
    found = records.get(run_id)
    if found is None:
        raise CommandError(f"There is no run {run_id}.", "List the runs: tunedrop runs")
    terminal = console()
    terminal.print(facts(found, datetime.now(UTC), stack.run_bucket))
    if found.evaluation:
        terminal.print()
        terminal.print(scores(found.evaluation))
        if report := records.evaluation(run_id):
            for part in evaluation_view(report):
                terminal.print()
                terminal.print(part)
    if found.problems:
        terminal.print()
        terminal.print("Problems:")
        for problem in problems(found, records.report(run_id)):
            terminal.print(problem)
