"""A conversation with a dataset's champion."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tunedrop.client.model import Model, Waiting
from tunedrop.errors import ModelUnavailableError, NothingPromotedError
from tunedrop_cli.aws import Stack
from tunedrop_cli.errors import CommandError


class Conversation:
    """Keep the turns of one conversation."""

    def __init__(self, stack: Stack, dataset: str, max_tokens: int, *, confidence: bool, waiting: Waiting) -> None:
        """Talk with the champion as the evaluation does: at temperature 0.

        `waiting` is told why there is no answer yet, and the seconds waited so far.
        """
        self.confidence: dict[str, Any] | None = None
        """That of the last answer, if it was asked for."""
        self._model = Model(dataset, stack=stack.name, session=stack.session, waiting=waiting)
        self._config = {"maxTokens": max_tokens, "temperature": 0.0}
        self._confidence = confidence
        self._turns: list[dict[str, Any]] = []

    def partner(self) -> str:
        """Say who answers, and how it is called."""
        with _told(self._model.dataset):
            serving = self._model.serving()
        return f"{serving.model_arn} answers through {serving.words(confidence=self._confidence)}."

    def ask(self, text: str) -> Iterator[str]:
        """Yield the answer to the next user turn as it comes."""
        turns = [*self._turns, _turn("user", text)]
        answer = ""
        with _told(self._model.dataset):
            events = self._model.converse_stream(turns, inferenceConfig=self._config, confidence=self._confidence)
            for event in events:
                if "contentBlockDelta" in event:
                    piece = str(event["contentBlockDelta"]["delta"].get("text", ""))
                    answer += piece
                    yield piece
                self.confidence = event.get("metadata", {}).get("confidence")
        self._turns = [*turns, _turn("assistant", answer)]


def _turn(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


@contextmanager
def _told(dataset: str) -> Iterator[None]:
    """Say what to do about what the client raises."""
    try:
        yield
    except NothingPromotedError as error:
        raise CommandError(str(error), f"See how its runs stand: tunedrop runs --dataset {dataset}") from error
    except ModelUnavailableError as error:
        hint = f"See who is the champion, and whether its model is still there: tunedrop aliases {dataset}"
        raise CommandError(str(error), hint) from error
