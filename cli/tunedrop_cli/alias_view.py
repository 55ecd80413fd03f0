"""What the terminal shows of aliases."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import zip_longest

from rich.table import Table
from rich.text import Text

from tunedrop.domain.alias import Alias
from tunedrop.domain.run import Run


def aliases_table(aliases: Iterable[Alias]) -> Table:
    """Show each dataset's champion, one a row."""
    table = Table("Dataset", "Champion", "Since", "Promoted by", box=None, pad_edge=False)
    table.add_column("Model", overflow="fold")
    for alias in sorted(aliases, key=lambda each: each.dataset):
        if champion := alias.champion:
            run_id = Text(champion.run_id, no_wrap=True)
            table.add_row(alias.dataset, run_id, _moment(champion.since), champion.by, champion.model_arn)
    return table


def history(alias: Alias, runs: Mapping[str, Run | None]) -> Table:
    """Show who was champion when, newest first, and what became of the models."""
    table = Table("Champion", "From", "To", "Promoted by", "Score", "Model", box=None, pad_edge=False)
    for champion, successor in reversed(list(zip_longest(alias.history, alias.history[1:]))):
        run = runs.get(champion.run_id)
        score = f"{run.evaluation.candidate.value:.3f}" if run and run.evaluation else "-"
        row = (_moment(champion.since), _moment(successor.since) if successor else "now", champion.by, score)
        table.add_row(Text(champion.run_id, no_wrap=True), *row, _model(run))
    return table


def _model(run: Run | None) -> str:
    if run is None or run.deployment is None:
        return "unknown"
    if run.deployment.left:
        return f"left, for you to delete: {run.deployment.left}"
    if run.deployment.retirement:
        return f"{'deleted' if run.deployment.deleted else 'being deleted'}: {run.deployment.retirement}"
    return "kept"


def _moment(time: datetime) -> str:
    return f"{time.astimezone():%Y-%m-%d %H:%M}"
