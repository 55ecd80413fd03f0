"""A model on a SageMaker endpoint."""

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tunedrop.adapters import endpoint_calls
from tunedrop.client.serving import chat_body, confident, confident_events
from tunedrop.domain.model_call import ModelCall

if TYPE_CHECKING:
    from botocore.client import BaseClient


class EndpointServing:
    """Ask by InvokeEndpoint; the first call after a while without any brings the component back from zero copies."""

    def __init__(self, runtime: "BaseClient", model_arn: str, name: str) -> None:
        """Name the inference component; its endpoint has the same name."""
        self.model_arn = model_arn
        self._runtime: Any = runtime
        self._name = name

    def words(self, *, confidence: bool) -> str:  # noqa: ARG002 - it is one call, with and without
        """Say how the model is called."""
        return ModelCall.INVOKE_ENDPOINT.words

    def converse(self, asked: Mapping[str, Any], *, confidence: bool) -> dict[str, Any]:
        """Return the whole answer."""
        with endpoint_calls.refusals():
            answer, said = endpoint_calls.invoked(self._runtime, self._name, chat_body(asked, confidence=confidence))
        return confident(answer, said) if confidence else answer

    def converse_stream(self, asked: Mapping[str, Any], *, confidence: bool) -> Iterator[dict[str, Any]]:
        """Open the stream."""
        started = time.monotonic()
        with endpoint_calls.refusals():
            chunks = endpoint_calls.streamed(self._runtime, self._name, chat_body(asked, confidence=confidence))
        return confident_events(_watched(chunks), lambda: (time.monotonic() - started) * 1000, confidence=confidence)


def _watched(chunks: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Translate what breaks a stream that has begun."""
    with endpoint_calls.refusals():
        yield from chunks
