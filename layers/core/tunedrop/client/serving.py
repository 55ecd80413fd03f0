"""What every kind of served model can be asked, and the confidence that its answers are given."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from tunedrop.adapters import chat_form
from tunedrop.errors import ConfidenceUnavailableError

_LOGPROBS = {"logprobs": True, "top_logprobs": 1}
"""What asks for the tokens' log probabilities, in AWS's own example of it."""


class Serving(Protocol):
    """Ask one model; `asked` holds Converse's `messages`, `system` and `inferenceConfig`.

    Raises ModelNotReadyError while the model warms up, TransientError when AWS throttles, ModelUnavailableError when
    the model is gone or may not be called, PromptRefusedError, ConfidenceUnavailableError.
    """

    model_arn: str

    def words(self, *, confidence: bool) -> str:
        """Say how the model is called."""

    def converse(self, asked: Mapping[str, Any], *, confidence: bool) -> dict[str, Any]:
        """Return Converse's answer, with `confidence` in it if that is wanted."""

    def converse_stream(self, asked: Mapping[str, Any], *, confidence: bool) -> Iterator[dict[str, Any]]:
        """Open the stream, and return ConverseStream's events; `metadata` holds the `confidence` if it is wanted."""


def chat_body(asked: Mapping[str, Any], *, confidence: bool) -> dict[str, Any]:
    """Write Converse's parameters in the chat form; raises PromptRefusedError."""
    return {**chat_form.body(asked), **(_LOGPROBS if confidence else {})}


def confident(answer: dict[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    """Add the confidence to an answer, from the completion that told it."""
    return {**answer, "confidence": _confidence(list(chat_form.tokens(said)))}


def confident_events(
    chunks: Iterable[Mapping[str, Any]], latency_ms: Callable[[], float], *, confidence: bool
) -> Iterator[dict[str, Any]]:
    """Tell chunks as ConverseStream's events, with the confidence at the end if it is wanted."""
    tokens: list[tuple[str, float]] = []

    def noted() -> Iterator[Mapping[str, Any]]:
        for chunk in chunks:
            tokens.extend(chat_form.tokens(chunk))
            yield chunk

    for event in chat_form.events(noted(), latency_ms):
        if confidence and "metadata" in event:
            event["metadata"]["confidence"] = _confidence(tokens)
        yield event


def _confidence(tokens: Sequence[tuple[str, float]]) -> dict[str, Any]:
    """Return the geometric mean of the tokens' probabilities, between 0 and 1, and each token with its own."""
    if not tokens:
        raise ConfidenceUnavailableError(
            "The model answered without log probabilities, so nothing tells how sure it is. Bedrock tells them of "
            "models that were imported after 2025-11-11. Ask without confidence, or drop the dataset again."
        )
    return {
        "value": math.exp(math.fsum(logprob for _, logprob in tokens) / len(tokens)),
        "tokens": [{"text": text, "probability": math.exp(logprob)} for text, logprob in tokens],
    }
