"""The application: its global options, its commands, and how errors reach a person."""

import os
from collections.abc import Callable
from functools import wraps
from importlib.metadata import version as installed_version
from typing import Annotated, ParamSpec

import typer
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from tunedrop.errors import TunedropError
from tunedrop_cli.aws import DEFAULT_STACK, Target
from tunedrop_cli.commands import (
    aliases,
    approve,
    chat,
    costs,
    drop,
    models,
    plan,
    redrive,
    report,
    runs,
    show,
    validate,
    wake,
    watch,
)
from tunedrop_cli.errors import CommandError, explained
from tunedrop_cli.options import Options
from tunedrop_cli.views import console

STACK_VARIABLE = "TUNEDROP_STACK"

P = ParamSpec("P")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done (a followed run ended PROMOTED, a dataset is accepted), 1 a followed run ended "
    "otherwise or a dataset is refused, 2 not possible.",
)


def _version(value: bool) -> None:  # noqa: FBT001 - how typer calls it
    if value:
        typer.echo(f"tunedrop {installed_version('tunedrop')}")
        raise typer.Exit


@app.callback()
def main(
    context: typer.Context,
    stack: Annotated[
        str, typer.Option(envvar=STACK_VARIABLE, help="The CloudFormation stack that Tunedrop is deployed as.")
    ] = DEFAULT_STACK,
    region: Annotated[
        str | None, typer.Option(envvar="AWS_REGION", help="Its AWS region; your profile's if left out.")
    ] = None,
    *,
    version: Annotated[  # noqa: ARG001 - typer hands it to its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and return.")
    ] = False,
) -> None:
    """Drop a dataset, get a tuned model behind Bedrock Converse, with the proof that it is better.

    Needs AWS credentials, as boto3 finds them, and a deployed stack's name; `validate`, `models` and `plan` do not.
    """
    usual = os.environ.get(STACK_VARIABLE, DEFAULT_STACK)
    context.obj = Options(Target(stack, region), named_stack=None if stack == usual else stack)


def _explaining(command: Callable[P, None]) -> Callable[P, None]:
    """Wrap a command so that what stops it is printed without a traceback; exit status 2."""

    @wraps(command)
    def explaining(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CommandError as error:
            reason = error
        except (BotoCoreError, Boto3Error, ClientError) as error:
            reason = explained(error)
        except TunedropError as error:
            # What the application's own adapters raise: AWS throttles, or JumpStart describes a model in a new way.
            reason = CommandError(str(error))
        else:
            return
        terminal = console(stderr=True)
        terminal.print(f"Error: {reason}", style="red")
        if reason.hint:
            terminal.print(reason.hint)
        raise typer.Exit(2)

    return explaining


for _command, _epilog in (
    (models.models, models.EXAMPLES),
    (validate.validate, validate.EXAMPLES),
    (plan.plan, plan.EXAMPLES),
    (drop.drop, drop.EXAMPLES),
    (watch.watch, watch.EXAMPLES),
    (approve.approve, approve.EXAMPLES),
    (approve.reject, approve.REJECT_EXAMPLES),
    (runs.runs, runs.EXAMPLES),
    (show.show, show.EXAMPLES),
    (report.report, report.EXAMPLES),
    (costs.costs, costs.EXAMPLES),
    (chat.chat, chat.EXAMPLES),
    (aliases.aliases, aliases.ALIASES_EXAMPLES),
    (aliases.rollback, aliases.ROLLBACK_EXAMPLES),
    (aliases.promote, aliases.PROMOTE_EXAMPLES),
    (wake.wake, wake.EXAMPLES),
    (redrive.redrive, redrive.EXAMPLES),
):
    app.command(epilog=_epilog)(_explaining(_command))
