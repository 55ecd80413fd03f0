"""`tunedrop costs`."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from tunedrop.adapters.dynamodb import DynamoDBRunStore
from tunedrop.domain.budget import cap_cents, month_of
from tunedrop_cli import options
from tunedrop_cli.errors import CommandError
from tunedrop_cli.views import account, console

EXAMPLES = """
Examples:

  tunedrop costs                  this month, in UTC

  tunedrop costs --month 2026-10
"""


def costs(
    context: typer.Context,
    month: Annotated[str | None, typer.Option(help="As 2026-11; this month if left out.")] = None,
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
    console().print(account(ledger, cap_cents(float(stack.parameters.get("MonthlyCapUsd", 0)))))
