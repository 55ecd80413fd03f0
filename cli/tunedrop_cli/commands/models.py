"""`tunedrop models`."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from tunedrop.adapters.jumpstart_documents import ManifestRow
from tunedrop.domain.planning import PlanRules
from tunedrop.steps.plan import offered
from tunedrop_cli.catalogue import described
from tunedrop_cli.model_view import model_details, print_models
from tunedrop_cli.rules import Ground, ground
from tunedrop_cli.views import console

EXAMPLES = """
Examples:

  tunedrop models                                what can be tuned here

  tunedrop models llama 8b                       ids, providers and keywords with both words

  tunedrop models --all mobilenet                with what cannot be tuned, and why

  tunedrop models meta-textgeneration-llama-3-1-8b-instruct    one model in full

Reads JumpStart's public catalogue, and the stack's policy and prices if there is a stack. The first call reads some
hundreds of small files, which are kept in ~/.cache/tunedrop.
"""

LANGUAGE_TASKS = frozenset({"llm", "reasoning", "text2text", "textgeneration", "textgeneration1", "vlm"})
"""The tasks, as a model's id names them, whose scripts may offer a technique of Tunedrop's; others are not read."""


def models(
    context: typer.Context,
    search: Annotated[
        list[str] | None, typer.Argument(metavar="[SEARCH]...", help="Words to look for, or the id of one model.")
    ] = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Show what cannot be tuned, too, and why.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """List the models that can be tuned here, or show one in full."""
    here = ground(context)
    rows = here.catalogue.rows()
    words = [word.casefold() for word in search or ()]
    if len(words) == 1 and any(row.model_id == words[0] for row in rows):
        _show(here, words[0], as_json=as_json)
        return
    wanted = [row for row in rows if _matches(row, words) and (everything or _tunable_by_name(row))]
    with _progress(len(wanted)) as progress:
        rules = here.priced()
        offers = [offered(model, rules) for model in described(here.catalogue, wanted, progress)]
    shown = [each for each in offers if everything or (each.techniques and not each.deprecated)]
    _tell(here.unknown, rules)
    if as_json:
        typer.echo(json.dumps([each.model_dump(mode="json") for each in shown], indent=1))
        return
    terminal = console()
    if shown:
        print_models(terminal, shown, policy_known=here.stack is not None)
        terminal.print(f"{len(shown)} of {len(rows)} models. One in full: tunedrop models MODEL_ID")
        if sources := sorted({each.price_source for each in shown if each.price_source}):
            terminal.print(f"USD/h: {'; '.join(sources)}")
    else:
        terminal.print(_nothing(rows, words))


def _show(here: Ground, model_id: str, *, as_json: bool) -> None:
    model = here.catalogue.model(model_id)
    rules = here.priced()
    seen = offered(model, rules)
    _tell(here.unknown, rules)
    if as_json:
        document = {**seen.model_dump(mode="json"), "model": model.model_dump(mode="json")}
        typer.echo(json.dumps(document, indent=1))
    else:
        console().print(model_details(model, seen, policy_known=here.stack is not None), soft_wrap=False)


def _tell(unknown: Sequence[str], rules: PlanRules) -> None:
    """Say what could not be found out."""
    unread = rules.price_list and rules.price_list.unread
    for each in (*unknown, *((f"AWS's Price List could not be read: {unread}",) if unread else ())):
        console(stderr=True).print(each)


def _matches(row: ManifestRow, words: Sequence[str]) -> bool:
    text = " ".join((row.model_id, row.provider or "", *row.search_keywords)).casefold()
    return all(word in text for word in words)


def _tunable_by_name(row: ManifestRow) -> bool:
    return not row.deprecated and not LANGUAGE_TASKS.isdisjoint(row.model_id.split("-"))


def _nothing(rows: Sequence[ManifestRow], words: Sequence[str]) -> str:
    matching = sum(_matches(row, words) for row in rows)
    if matching:
        return f"Of {matching} models with these words none can be tuned here. See why: tunedrop models --all WORDS"
    return f"None of {len(rows)} models has these words."


@contextmanager
def _progress(total: int) -> Iterator[Callable[[], None]]:
    terminal = console(stderr=True)
    columns = (TextColumn("Reading the catalogue"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield partial(progress.advance, task)
