"""`tunedrop chat`."""

from typing import Annotated

import typer
from rich.console import Console

from tunedrop_cli import options
from tunedrop_cli.conversation import Conversation
from tunedrop_cli.views import console

EXAMPLES = """
Examples:

  tunedrop chat banking77

  tunedrop chat banking77 --message "Which intent does this message express? Where is my card?"

Write the prompt as your template.json fills it in: the model was trained on that. A model that was not asked for a
while warms up first, which takes up to some minutes. An empty line, or Ctrl-D, ends the conversation.
"""


def chat(
    context: typer.Context,
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="The dataset whose promoted model answers.")],
    message: Annotated[str | None, typer.Option(help="Ask this, print the answer, and return.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer, in tokens.")] = 512,
) -> None:
    """Talk with the promoted model of a dataset, through Bedrock Converse, or InvokeModel where Converse cannot."""
    stack = options.stack(context)
    model_arn = stack.promoted_model(dataset)
    conversation = Conversation(stack, model_arn, max_tokens)
    # Hints go to stderr, so that stdout holds the answer alone.
    hints = console(stderr=True)
    if message is not None:
        console().print(_answer(conversation, message, hints))
        return
    hints.print(f"{model_arn} answers through {conversation.call}. An empty line ends the conversation.")
    while text := _line():
        console().print(_answer(conversation, text, hints))


def _line() -> str:
    try:
        return input("> ").strip()
    except EOFError:
        return ""


def _answer(conversation: Conversation, text: str, hints: Console) -> str:
    told = False

    def waiting(seconds: float) -> None:
        nonlocal told
        if not told:
            hints.print("The model is warming up; this can take some minutes.")
            told = True
        line.update(f"Warming up ({seconds:.0f} s)")

    with hints.status("Asking") as line:
        return conversation.ask(text, waiting)
