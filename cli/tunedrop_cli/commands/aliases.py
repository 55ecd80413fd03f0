"""`tunedrop aliases`, `tunedrop promote` and `tunedrop rollback`."""

from typing import Annotated

import typer

from tunedrop.domain.alias import Alias
from tunedrop_cli import options, wishes
from tunedrop_cli.alias_view import aliases_table, history
from tunedrop_cli.errors import CommandError
from tunedrop_cli.records import RunRecords
from tunedrop_cli.views import console, for_stack

ALIASES_EXAMPLES = """
Examples:

  tunedrop aliases                each dataset's champion

  tunedrop aliases banking77      who was champion when, and whether its model is still there
"""
ROLLBACK_EXAMPLES = """
Examples:

  tunedrop rollback banking77

Nothing is trained: Bedrock keeps the former champion's model for the days of the stack's parameter KeepChampionDays. A
second rollback undoes the first one.
"""
PROMOTE_EXAMPLES = """
Examples:

  tunedrop promote banking77 mfrggzdf     an older champion, by the beginning of its run's id

Refused where Bedrock does not have the run's model any more: that of a run that ended NOT_PROMOTED is deleted at once,
that of a former champion after the days of KeepChampionDays.
"""

DatasetArgument = Annotated[str, typer.Argument(metavar="DATASET", help="The dataset's name.")]


def aliases(
    context: typer.Context,
    dataset: Annotated[str | None, typer.Argument(metavar="DATASET", help="Show this one's history.")] = None,
) -> None:
    """List each dataset's champion, or who was champion of one when, and whose model is still there."""
    records = RunRecords(options.stack(context))
    terminal = console()
    if dataset:
        alias = _alias(records, dataset)
        runs = {each.run_id: records.get(each.run_id) for each in alias.history}
        terminal.print(history(alias, runs))
        return
    found = records.aliases()
    if found:
        terminal.print(aliases_table(found))
    else:
        command = for_stack("tunedrop runs", options.options(context).named_stack)
        terminal.print(f"No model is promoted yet. See how the runs stand: {command}")


def rollback(context: typer.Context, dataset: DatasetArgument) -> None:
    """Bring the former champion of a dataset back, without training."""
    records = RunRecords(options.stack(context))
    former = _alias(records, dataset).former
    if former is None:
        raise CommandError(
            f'"{dataset}" has had one champion only: there is nothing to roll back to.',
            f"See: tunedrop aliases {dataset}",
        )
    _promote(context, records, dataset, former.run_id)


def promote(
    context: typer.Context,
    dataset: DatasetArgument,
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of one that is unique.")],
) -> None:
    """Make the model of another evaluated run the champion of its dataset."""
    records = RunRecords(options.stack(context))
    _promote(context, records, dataset, records.resolve(run))


def _alias(records: RunRecords, dataset: str) -> Alias:
    alias = records.alias(dataset)
    if alias.champion is None:
        raise CommandError(
            f'No model is promoted for the dataset "{dataset}" yet.',
            f"See how its runs stand: tunedrop runs --dataset {dataset}",
        )
    return alias


def _promote(context: typer.Context, records: RunRecords, dataset: str, run_id: str) -> None:
    run = records.get(run_id)
    if run is None or run.dataset != dataset:
        raise CommandError(f'"{dataset}" has no run {run_id}.', f"List them: tunedrop runs --dataset {dataset}")
    champion = records.alias(dataset).champion
    if champion and champion.run_id == run_id:
        raise CommandError(f'Run {run_id} is the champion of "{dataset}" already.', f"See: tunedrop aliases {dataset}")
    stack = options.stack(context)
    with console(stderr=True).status("Promoting"):
        wishes.promote(stack, records, run, champion.run_id if champion else "")
    before = f" instead of that of run {champion.run_id}" if champion else ""
    terminal = console()
    terminal.print(f'The model of run {run_id} answers for "{dataset}" now{before}.')
    terminal.print(for_stack(f"  tunedrop chat {dataset}", options.options(context).named_stack))
