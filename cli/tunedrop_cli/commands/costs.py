"""`tunedrop costs`."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.domain.budget import cap_cents, month_of
from tunedrop_cli import options
from tunedrop_cli.errors import CommandError
from tunedrop_cli.views import account, account_record, console

EXAMPLES = """
Examples:

  tunedrop costs                  this month, in UTC

  tunedrop costs --month 2026-10

  tunedrop costs --json           for programs: US dollars
"""


def costs(
    context: typer.Context,
    month: Annotated[str | None, typer.Option(help="As 2026-11; this month if left out.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Show what the training jobs of a month have cost, what is reserved for those that run, and the cap."""
    try:
        named = (
            month_of(datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)) if month else month_of(datetime.now(UTC))
        )
    except ValueError as error:
        raise CommandError(f'"{month}" is no month.', "Write it as 2026-11.") from error
    stack = options.stack(context)
    ledger = DynamoDBRunStore(stack.client("dynamodb"), stack.runs_table).ledger(named)
    cap = cap_cents(float(stack.parameters.get("MonthlyCapUsd", 0)))
    if as_json:
        typer.echo(json.dumps(account_record(ledger, cap), indent=1))
    else:
        console().print(account(ledger, cap))
