"""`tunedrop report`."""

import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from tunedrop.adapters.s3 import LINKS, S3RunFiles
from tunedrop.domain import names
from tunedrop_cli import options
from tunedrop_cli.aws import Stack
from tunedrop_cli.commands.watch import RunArgument
from tunedrop_cli.errors import CommandError
from tunedrop_cli.records import LATEST, RunRecords
from tunedrop_cli.views import console

EXAMPLES = """
Examples:

  tunedrop report                             links to the newest run's report

  tunedrop report mfrggzdf --open             in the browser

  tunedrop report mfrggzdf --output run.html  as a file, which needs nothing else
"""

LINK_SECONDS = 3600
"""How long a link is good; credentials of a role may end it sooner."""


def report(
    context: typer.Context,
    run: RunArgument = LATEST,
    *,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser, from a file of its own.")] = False,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it to this file.")] = None,
) -> None:
    """Fetch the report of a run that has ended: one page with verdict, scores, losses, rows, plan, lineage and cost."""
    stack = options.stack(context)
    records = RunRecords(stack)
    run_id = records.resolve(run)
    page = _page(records, run_id)
    terminal = console()
    if open_it and output is None:
        output = Path(tempfile.mkdtemp(prefix="tunedrop-")) / f"{run_id}.html"
    if output is None:
        terminal.print(f"For an hour, for whoever has the link: {_link(stack, run_id)}")
        terminal.print(f"In the console: {_console_link(stack, run_id)}")
        return
    try:
        output.write_bytes(page)
    except OSError as error:
        raise CommandError(f"{output} cannot be written: {error.strerror}.", "Name another file.") from error
    terminal.print(f"Written to {output}")
    if open_it and not webbrowser.open(output.resolve().as_uri()):
        raise CommandError("There is no browser to open it in.", f"Open {output} yourself.")


def _page(records: RunRecords, run_id: str) -> bytes:
    if page := records.page(run_id):
        return page
    found = records.get(run_id)
    if found is None:
        raise CommandError(f"There is no run {run_id}.", "List the runs: tunedrop runs")
    if not found.status.terminal:
        raise CommandError(
            f"The run is {found.status}; its report is written when it ends.", f"Follow it: tunedrop watch {run_id}"
        )
    raise CommandError(
        "The report is not written yet, or was deleted with the run's files.",
        f"Try again in a minute. What the record holds: tunedrop show {run_id}",
    )


def _link(stack: Stack, run_id: str) -> str:
    files = S3RunFiles(stack.client("s3", LINKS), stack.run_bucket)
    return files.link(names.run_page_key(run_id), LINK_SECONDS)


def _console_link(stack: Stack, run_id: str) -> str:
    return names.console_url(stack.session.region_name, f"s3://{stack.run_bucket}/{names.run_page_key(run_id)}")
