"""`tunedrop plan`."""

import json
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError

from tunedrop.adapters.bedrock import BedrockModelImports
from tunedrop.adapters.clock import SystemClock
from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.adapters.ec2 import EC2Network
from tunedrop.adapters.kms import KMSKeys
from tunedrop.adapters.service_quotas import ServiceQuotas
from tunedrop.contracts.tune_spec import TuneSpec, TuneSpecError, parse_tune_yaml
from tunedrop.domain.plan import DataTarget, PinnedObject
from tunedrop.domain.plan_document import PlanDocument, refused
from tunedrop.domain.problem import Problem
from tunedrop.domain.quotas import Quota
from tunedrop.domain.run import Drop
from tunedrop.domain.technique import HEAD_BYTES
from tunedrop.errors import RequestDeniedError, TransientError, TunedropError
from tunedrop.ports import Quotas
from tunedrop.steps.champions import FormerChampions
from tunedrop.steps.plan import Account, BedrockRoom, key, network, plan_folder
from tunedrop.validation.report import ValidationReport
from tunedrop_cli.errors import CommandError, explained
from tunedrop_cli.folder import Folder
from tunedrop_cli.plan_view import PlannedDrop, print_plan
from tunedrop_cli.rules import Ground, ground
from tunedrop_cli.upload import TUNE_FILE, dataset_name
from tunedrop_cli.views import console

EXAMPLES = """
Examples:

  tunedrop plan banking77                     what a drop of the folder would do, and all that speaks against it

  tunedrop plan banking77 --json | jq .problems

Launches nothing and uploads nothing. It is the very plan that a drop would be given: the stack's policy, prices and
limits if there is a stack, JumpStart's public catalogue, and every row of the folder judged on this machine.

Exit status: 0 a drop would be launched, 1 it would be refused, 2 it could not be planned; with --json, `accepted` is
true, false, or null.
"""

WHOEVER = "whoever uploads tune.yaml"

Found = TypeVar("Found")


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
    unknown: list[str] = []
    try:
        spec = parse_tune_yaml(_tune_yaml(folder))
    except TuneSpecError as error:
        report = _judged(folder, None, unknown, spec_told=True)
        unknown.append("The model's plan: tune.yaml has to be mended first.")
        return PlannedDrop(dataset, None, error.problems, report, tuple(unknown))
    opened = Folder.open(folder)
    outcome = _plan(context, opened, spec, dataset, unknown)
    document = outcome if isinstance(outcome, PlanDocument) else None
    problems = document.problems if document else outcome if isinstance(outcome, tuple) else ()
    target = document.plan.data if document and document.plan else None
    report = _judged(folder, target, unknown, spec_told=target is not None)
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
        quotas = _Quotas(ServiceQuotas(here.client("service-quotas")), here.unknown)
        document = plan_folder(
            spec,
            drop,
            objects,
            lambda each: folder.head(each.key.removeprefix(prefix), HEAD_BYTES),
            here.catalogue,
            Account(quotas, lambda: _looked(_room(here, quotas), "How much room Bedrock has for another model", here)),
            here.priced(),
            datetime.now(UTC),
        )
    except (BotoCoreError, ClientError) as error:
        unknown.append(f"Model, hyperparameters, instance and price are not known: {explained(error)}")
        return None
    if isinstance(document, PlanDocument) and document.accepted:
        document = refused(document, _surroundings(here))
    unknown += here.unknown
    return document


def _surroundings(here: Ground) -> tuple[Problem, ...]:
    """Look at what the stack puts around every job, as the drop's plan does, with the credentials at hand."""
    rules = here.rules
    in_network = _looked(lambda: network(rules, EC2Network(here.client("ec2"))), "Whether training has a network", here)
    of_key = _looked(lambda: key(rules, KMSKeys(here.client("kms"))), "Whether the stack's KMS key can be used", here)
    told = []
    for each in of_key or ():
        if each.code in _BY_CREDENTIALS:
            here.unknown.append(f"Whether the stack may use its key: with the credentials at hand, {each.message}")
        else:
            told.append(each)
    return (*(in_network or ()), *told)


_BY_CREDENTIALS = frozenset({"kms.missing", "kms.denied"})
"""What a key's policy says of whoever asks: of the stack's roles it need not be so."""


def _room(here: Ground, quotas: Quotas) -> BedrockRoom:
    imports = BedrockModelImports(here.client("bedrock"), role_arn="")
    if here.stack is None:
        return BedrockRoom(imports, quotas, None)
    runs = DynamoDBRunStore(here.client("dynamodb"), here.stack.runs_table, None)
    return BedrockRoom(imports, quotas, FormerChampions(runs, imports, SystemClock(), here.stack.name))


def _looked(look: Callable[[], Found], what: str, here: Ground) -> Found | None:
    """Look at the account; None, and a note, where it cannot be seen: no plan hangs on it."""
    try:
        return look()
    except (BotoCoreError, ClientError) as error:
        reason: object = explained(error)
    except (TransientError, RequestDeniedError) as error:
        reason = error
    here.unknown.append(f"{what} is not known: {reason}")
    return None


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

    def quota(self, service: str, code: str) -> float | None:
        found = self._asked.quota(service, code)
        if found is None:
            self._unknown.append(f"The account's quota {code} of {service} is not known; AWS's usual one is assumed")
        return found


def _judged(folder: Path, target: DataTarget | None, unknown: list[str], *, spec_told: bool) -> ValidationReport | None:
    """Judge every row; what keeps a dataset from being read is among the plan's problems.

    `spec_told` says that the plan's problems have all that is wrong with `tune.yaml`, too.
    """
    from tunedrop_cli.judging import judge  # noqa: PLC0415 - half a second to import, for this part alone

    try:
        report, _ = judge(folder, None, None, None, None, lambda _bytes: None, target, rows_only=spec_told)
    except (CommandError, TunedropError, OSError) as error:
        unknown.append(f"The rows were not judged: {error}")
        return None
    return report


def _tune_yaml(folder: Path) -> bytes:
    path = folder / TUNE_FILE
    if not path.is_file():
        fix = "Write at least `model: <a JumpStart model id>` into it."
        raise TuneSpecError((Problem(code="spec.missing", message=f"{path} is missing.", where=TUNE_FILE, fix=fix),))
    return path.read_bytes()
