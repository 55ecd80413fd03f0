"""`tunedrop chat`."""

import re
from typing import Annotated

import typer
from rich.console import Console

from tunedrop.domain.words import visible
from tunedrop.errors import ModelNotReadyError, TunedropError
from tunedrop_cli import options
from tunedrop_cli.conversation import Conversation
from tunedrop_cli.views import confidence_words, console

EXAMPLES = """
Examples:

  tunedrop chat banking77

  tunedrop chat banking77 --message "Which intent does this message express? Where is my card?"

  tunedrop chat banking77 --confidence            how sure the model is of each answer

Write the prompt as your template.json fills it in: the model was trained on that. A model that was not asked for a
while warms up first, which takes up to some minutes. An empty line, or Ctrl-D, ends the conversation.
"""


def chat(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset whose promoted model answers.")],
    message: Annotated[str | None, typer.Option(help="Ask this, print the answer, and return.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 512,
    *,
    confidence: Annotated[
        bool, typer.Option("--confidence", help="Tell how sure the model is, by its tokens' probabilities.")
    ] = False,
) -> None:
    """Talk with the promoted model of a dataset, however it is served; answers are printed as they come."""
    stack = options.stack(context)
    # Hints go to stderr, so that stdout holds the answer alone.
    hints = console(stderr=True)
    asking = _Asking(hints)
    conversation = Conversation(stack, dataset, max_tokens, confidence=confidence, waiting=asking.wait)
    if message is not None:
        asking.answer(conversation, message)
        return
    hints.print(f"{conversation.partner()} An empty line ends the conversation.")
    while text := _line():
        asking.answer(conversation, text)


def _line() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


class _Asking:
    """Print answers as they come, and below them what is to be said about the waiting."""

    def __init__(self, hints: Console) -> None:
        self._hints = hints
        self._line = hints.status("Asking")
        self._told = False

    def wait(self, reason: TunedropError, seconds: float) -> None:
        warming = isinstance(reason, ModelNotReadyError)
        if not self._told:
            told = "The model is warming up; this can take some minutes." if warming else f"AWS asks to wait: {reason}"
            self._hints.print(told)
            self._told = True
        self._line.update(f"{'Warming up' if warming else 'Waiting'} ({seconds:.0f} s)")

    def answer(self, conversation: Conversation, text: str) -> None:
        terminal = console()
        self._line.update("Asking")
        with self._line:
            pieces = conversation.ask(text)
            piece = next(pieces, "")
        terminal.print(_seen(piece, terminal), end="")
        for piece in pieces:
            terminal.print(_seen(piece, terminal), end="")
        terminal.print()
        if conversation.confidence:
            self._hints.print(confidence_words(conversation.confidence))


def _seen(piece: str, terminal: Console) -> str:
    """Spell out what would steer a terminal; whoever reads a pipe is told the very answer."""
    return re.sub(r"[^\n\t]+", lambda part: visible(part[0]), piece) if terminal.is_terminal else piece
