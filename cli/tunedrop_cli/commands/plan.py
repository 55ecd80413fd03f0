"""`tunedrop plan`."""

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from tunedrop.adapters.service_quotas import ServiceQuotas
from tunedrop.contracts.tune_spec import TuneSpec, TuneSpecError, parse_tune_yaml
from tunedrop.domain.plan import DataTarget, PinnedObject
from tunedrop.domain.plan_document import PlanDocument
from tunedrop.domain.problem import Problem
from tunedrop.domain.quotas import Quota
from tunedrop.domain.run import Drop
from tunedrop.domain.technique import HEAD_BYTES
from tunedrop.errors import TunedropError
from tunedrop.steps.plan import plan_folder
from tunedrop.validation.report import ValidationReport
from tunedrop_cli.errors import CommandError, explained
from tunedrop_cli.folder import Folder
from tunedrop_cli.plan_view import PlannedDrop, print_plan
from tunedrop_cli.rules import ground
from tunedrop_cli.upload import TUNE_FILE, dataset_name
from tunedrop_cli.views import console

EXAMPLES = """
Examples:

  tunedrop plan banking77                     what a drop of the folder would do, and all that speaks against it

  tunedrop plan banking77 --json | jq .problems

Launches nothing and uploads nothing. It is the very plan that a drop would be given: the stack's policy, prices and
limits if there is a stack, JumpStart's public catalogue, and every row of the folder judged on this machine.

Exit status: 0 a drop would be launched, 1 it would be refused, 2 it could not be planned.
"""

WHOEVER = "whoever uploads tune.yaml"


def plan(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", exists=True, file_okay=False, help="The dataset.")],
    name: Annotated[
        str | None, typer.Option(metavar="DATASET", help="The dataset's name; the folder's if left out.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON, and nothing else.")] = False,
) -> None:
    """Show what a drop of a folder would do, without launching anything."""
    dataset = dataset_name(folder, name)
    planned = _planned(context, folder, dataset)
    if as_json:
        # As bytes: JSON is UTF-8, whatever the terminal's encoding.
        typer.echo(json.dumps(planned.as_json(), indent=1, ensure_ascii=False).encode())
    else:
        print_plan(console(), planned, folder)
    if not planned.ready:
        raise typer.Exit(1 if planned.refused else 2)


def _planned(context: typer.Context, folder: Path, dataset: str) -> PlannedDrop:
    try:
        spec = parse_tune_yaml(_tune_yaml(folder))
    except TuneSpecError as error:
        return PlannedDrop(dataset, None, error.problems, None, ())
    opened = Folder.open(folder)
    unknown: list[str] = []
    outcome = _plan(context, opened, spec, dataset, unknown)
    document = outcome if isinstance(outcome, PlanDocument) else None
    problems = document.problems if document else outcome if isinstance(outcome, tuple) else ()
    target = document.plan.data if document and document.plan else None
    report = _judged(folder, target, unknown)
    return PlannedDrop(dataset, document, problems, report, tuple(unknown))


def _plan(
    context: typer.Context, folder: Folder, spec: TuneSpec, dataset: str, unknown: list[str]
) -> PlanDocument | tuple[Problem, ...] | None:
    """Plan the folder as plan_run would; None when JumpStart's catalogue cannot be read."""
    prefix = f"datasets/{dataset}/"
    objects = [
        PinnedObject(key=f"{prefix}{name}", version_id="", etag="", size=each.size)
        for name, each in folder.objects.items()
    ]
    drop = Drop(bucket="", key=f"{prefix}{TUNE_FILE}", version_id="", etag="", uploaded_by=WHOEVER)
    try:
        here = ground(context)
        document = plan_folder(
            spec,
            drop,
            objects,
            lambda each: folder.head(each.key.removeprefix(prefix), HEAD_BYTES),
            here.catalogue,
            _Quotas(ServiceQuotas(here.quotas_client), here.unknown),
            here.priced(),
            datetime.now(UTC),
        )
    except (BotoCoreError, ClientError) as error:
        unknown.append(f"Model, hyperparameters, instance and price are not known: {explained(error)}")
        return None
    unknown += here.unknown
    if here.rules.vpc or here.rules.kms_key_arn:
        unknown.append("The stack's network and key for training are looked at by the drop alone.")
    return document


class _Quotas:
    """Ask Service Quotas, and note what it did not tell."""

    def __init__(self, asked: ServiceQuotas, unknown: list[str]) -> None:
        self._asked = asked
        self._unknown = unknown

    def quotas(self, names: Collection[str]) -> Mapping[str, Quota]:
        found = self._asked.quotas(names)
        if untold := sorted(set(names) - found.keys()):
            self._unknown.append(f"These quotas of the account are not known: {', '.join(untold)}")
        return found


def _judged(folder: Path, target: DataTarget | None, unknown: list[str]) -> ValidationReport | None:
    """Judge every row; what keeps a dataset from being read is among the plan's problems."""
    from tunedrop_cli.judging import judge  # noqa: PLC0415 - half a second to import, for this part alone

    try:
        report, _ = judge(folder, None, None, None, None, lambda _bytes: None, target)
    except (CommandError, TunedropError, OSError) as error:
        unknown.append(f"The rows were not judged: {error}")
        return None
    return report


def _tune_yaml(folder: Path) -> bytes:
    path = folder / TUNE_FILE
    if not path.is_file():
        raise CommandError(f"{path} is missing.", "Write at least `model: <a JumpStart model id>` into it.")
    return path.read_bytes()
