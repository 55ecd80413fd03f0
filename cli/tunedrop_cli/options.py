"""The stack that the global options name, for the commands."""

from dataclasses import dataclass

import typer

from tunedrop_cli.aws import Stack, Target, open_stack


@dataclass(frozen=True)
class Options:
    """Hold the global options."""

    target: Target
    named_stack: str | None
    """The stack, where suggested commands must name it: it is neither the default nor TUNEDROP_STACK."""


def options(context: typer.Context) -> Options:
    """Return the global options of this call."""
    found = context.find_object(Options)
    if found is None:
        raise AssertionError("the command runs without the application's callback")
    return found


def stack(context: typer.Context) -> Stack:
    """Look the named stack up."""
    return open_stack(options(context).target)
