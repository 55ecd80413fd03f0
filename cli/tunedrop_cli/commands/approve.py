"""`tunedrop approve` and `tunedrop reject`."""

import time
from typing import Annotated

import typer
from rich.text import Text

from tunedrop.contracts.events import REASON_LIMIT
from tunedrop.domain.approval import question_words
from tunedrop.domain.notice import cost_basis
from tunedrop.domain.run import Run, RunStatus
from tunedrop_cli import options
from tunedrop_cli.aws import Stack
from tunedrop_cli.commands.watch import RunArgument
from tunedrop_cli.errors import CommandError
from tunedrop_cli.records import RunRecords
from tunedrop_cli.views import answer_words, console, for_stack, status_text
from tunedrop_cli.wishes import send

EXAMPLES = """
Examples:

  tunedrop approve mfrggzdf       a run that waits for approval, by the beginning of its id
"""

REJECT_EXAMPLES = """
Examples:

  tunedrop reject mfrggzdf --reason "Try the small model first."
"""

POLL_SECONDS = 1.0
RECORD_SECONDS = 120.0
"""How long an answer may take to be recorded: a cold start and a retry."""

Reason = Annotated[str, typer.Option(help=f"Why, for who dropped the dataset; {REASON_LIMIT} characters at most.")]


def approve(context: typer.Context, run: RunArgument) -> None:
    """Let a run that waits for approval be launched; who approved, and when, is recorded with it.

    Needs events:PutEvents on the stack's bus. Exit status: 0 when the run is approved, 1 when somebody has said no, or
    it has lapsed.
    """
    _answer(context, run, "Approval Given", {}, approved=True)


def reject(context: typer.Context, run: RunArgument, reason: Reason = "") -> None:
    """Say no to a run that waits for approval: it ends REJECTED, with who said so and why; nothing was paid for.

    Needs events:PutEvents on the stack's bus. Exit status: 0 when the run is rejected, 1 when somebody has approved it.
    """
    if len(reason) > REASON_LIMIT or not reason.isprintable():
        raise CommandError(f"The reason must be one printable line of {REASON_LIMIT} characters at most.")
    _answer(context, run, "Approval Refused", {"reason": reason}, approved=False)


def _answer(context: typer.Context, reference: str, detail_type: str, told: dict[str, str], *, approved: bool) -> None:
    stack = options.stack(context)
    records = RunRecords(stack)
    run = _waiting(records, records.resolve(reference))
    terminal = console()
    if run.approval and run.plan:
        terminal.print(question_words(run.approval))
        for line in cost_basis(run.plan):
            terminal.print(f"- {line}")
    send(stack, detail_type, {"run_id": run.run_id, **told})
    after = _answered(stack, run.run_id)
    answer = after.approval.answer if after.approval else None
    terminal.print(Text.assemble(status_text(after), f"  {answer_words(answer) if answer else after.reason}"))
    if not after.status.terminal:
        named = options.options(context).named_stack
        terminal.print(f"Follow it: {for_stack(f'tunedrop watch {run.run_id}', named)}")
    if (answer is not None and answer.approved) is not approved:
        raise typer.Exit(1)


def _waiting(records: RunRecords, run_id: str) -> Run:
    run = records.get(run_id)
    if run is None:
        raise CommandError(f"There is no run {run_id}.", "List the runs: tunedrop runs")
    if run.status is RunStatus.AWAITING_APPROVAL:
        return run
    said = f" {answer_words(run.approval.answer)}" if run.approval and run.approval.answer else ""
    raise CommandError(
        f"Run {run_id} is {run.status} and waits for no approval.{said}", f"See it: tunedrop show {run_id}"
    )


def _answered(stack: Stack, run_id: str) -> Run:
    """Wait until an answer, of whomever, is recorded."""
    records = RunRecords(stack)
    started = time.monotonic()
    while time.monotonic() - started < RECORD_SECONDS:
        run = records.get(run_id)
        if run and run.status is not RunStatus.AWAITING_APPROVAL:
            return run
        time.sleep(POLL_SECONDS)
    raise CommandError(
        f"The answer was sent, and is not recorded after {RECORD_SECONDS:.0f} seconds.",
        f"See whether it is by now: tunedrop show {run_id}. If not, look at the stack's dead-letter queue.",
    )
