"""`tunedrop drop`."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, Progress, Task, TextColumn, TransferSpeedColumn
from rich.text import Text

from tunedrop.domain.run import RunStatus
from tunedrop_cli import options
from tunedrop_cli.commands.watch import follow
from tunedrop_cli.upload import TUNE_FILE, Drop, check, data_files, dataset_name
from tunedrop_cli.views import console, for_stack

EXAMPLES = """
Examples:

  tunedrop drop banking77                       named after the folder

  tunedrop drop ./data/small --name banking77   named otherwise

  tunedrop drop banking77 --no-watch            print the run's id, return

The folder holds tune.yaml and the data as its technique wants them:

  instruction, chat, dpo     train.jsonl (any *.jsonl); template.json for rows with fields of your own

  domain-adaptation          one of train.txt, train.csv, train.json

  visual-qa                  metadata.jsonl, and the images that it names

If you like, rows to judge with in held-out.*, and to validate with in validation.* (for pictures, a metadata.jsonl in a
folder of that name). JSON lines and tables may be gzip-compressed. All that is not hidden is uploaded.

Exit status: 0 when the run ends PROMOTED (or was started, with --no-watch), 1 when it ends otherwise.
"""


def drop(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="The dataset.")],
    name: Annotated[
        str | None, typer.Option(metavar="DATASET", help="The dataset's name; the folder's if left out.")
    ] = None,
    *,
    watch: Annotated[bool, typer.Option(help="Follow the run until it ends.")] = True,
) -> None:
    """Upload a dataset, tune.yaml last, which starts a run."""
    dataset = dataset_name(folder, name)
    check(folder)
    files = data_files(folder)
    stack = options.stack(context)
    named_stack = options.options(context).named_stack
    terminal = console()
    upload = Drop(stack.client("s3"), stack.drop_bucket, dataset)
    for stranger in upload.strangers(files):
        terminal.print(f"Still in the drop, though not in {folder}: {stranger}. The run reads it too; to remove it:")
        terminal.print(f"  aws s3 rm s3://{stack.drop_bucket}/datasets/{dataset}/{stranger}")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), _Speed())
    with Progress(*columns, console=terminal) as progress:
        for label, path in files.items():
            task = progress.add_task(label, total=path.stat().st_size)
            upload.upload(label, path, partial(progress.advance, task))
    run_id = upload.start(folder)
    terminal.print(f"Uploaded {len(files)} files and {TUNE_FILE} to s3://{stack.drop_bucket}/datasets/{dataset}/")
    terminal.print(f"Run {run_id}")
    if not watch:
        terminal.print(f"Follow it: {for_stack(f'tunedrop watch {run_id}', named_stack)}")
    elif follow(stack, run_id, named_stack).status is not RunStatus.PROMOTED:
        raise typer.Exit(1)


class _Speed(TransferSpeedColumn):
    """Tell how fast a file goes up; nothing of one that is there at once, where rich shows a question mark."""

    def render(self, task: Task) -> Text:
        return super().render(task) if task.finished_speed or task.speed else Text()
