"""`tunedrop validate`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from tunedrop.domain.plan import Technique
from tunedrop.errors import TunedropError
from tunedrop.validation import html
from tunedrop_cli.__main__ import INTERRUPTED
from tunedrop_cli.errors import CommandError
from tunedrop_cli.report_view import ReportView
from tunedrop_cli.upload import data_files
from tunedrop_cli.views import console

EXAMPLES = """
Examples:

  tunedrop validate banking77                          judge a folder as a drop would be

  tunedrop validate banking77 --html report.html       write the report as a page, too

  tunedrop validate banking77 --json | jq .counts      for programs

Needs neither AWS nor a network. tune.yaml is read if it is there.

Exit status: 0 accepted; 1 refused, for its rows, its files or its tune.yaml; 2 the folder could not be read, or the
command was mistyped. With --json the report is printed for 0 and 1; its `accepted` says which.
"""


def validate(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="The dataset.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, and nothing else.")] = False,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", dir_okay=False, help="Write the report as a page, too.")
    ] = None,
    technique: Annotated[
        Technique | None, typer.Option(help="The technique; tune.yaml's, or what the files look like, if left out.")
    ] = None,
    tokenizer: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            exists=True,
            dir_okay=False,
            help="The model's tokenizer.json; lengths are estimated without.",
        ),
    ] = None,
    max_input_length: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Tokens that training reads of a row, if not as tune.yaml says."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; one a core if left out.")] = None,
) -> None:
    """Judge every row of a dataset on this machine, as a drop of it would be judged."""
    try:
        # The validator's libraries take half a second to import: the other commands do without.
        from tunedrop_cli.judging import judge  # noqa: PLC0415

        with _progress(sum(path.stat().st_size for path in data_files(folder).values())) as progress:
            report, dropped = judge(folder, technique, tokenizer, max_input_length, jobs, progress)
    except KeyboardInterrupt:
        console(stderr=True).print("Interrupted.")
        raise typer.Exit(INTERRUPTED) from None
    except (OSError, TunedropError) as error:
        raise CommandError(f"{folder} cannot be validated: {error}") from error
    if as_json:
        # As bytes: JSON is UTF-8, whatever the terminal's encoding.
        typer.echo(report.model_dump_json().encode())
        for warning in dropped.warnings:
            console(stderr=True).print(f"Warning: {warning}")
    else:
        ReportView(console()).print(report, folder.resolve().name, dropped.warnings)
    if page:
        try:
            page.write_text(html.render(report, title=folder.resolve().name), encoding="utf-8")
        except OSError as error:
            raise CommandError(f"The page cannot be written: {error}") from error
    if not report.accepted:
        raise typer.Exit(1)


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show how much has been read: on the terminal, if there is one, and never among the output."""
    terminal = console(stderr=True)
    columns = (TextColumn("Reading"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=terminal, transient=True, disable=not terminal.is_terminal) as progress:
        task = progress.add_task("", total=total)
        yield partial(progress.advance, task)
