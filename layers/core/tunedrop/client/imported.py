"""A model that was imported into Bedrock."""

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tunedrop.adapters import chat_form
from tunedrop.adapters.bedrock import imported_model, invoked, refusals
from tunedrop.client.serving import chat_body, confident, confident_events
from tunedrop.domain.model_call import ModelCall, call_of_imported
from tunedrop.errors import ModelUnavailableError

if TYPE_CHECKING:
    from botocore.client import BaseClient


class ImportedServing:
    """Ask by Converse where Bedrock says that it can be, else by InvokeModel; for log probabilities by that always."""

    def __init__(self, bedrock: "BaseClient", runtime: "BaseClient", model_arn: str) -> None:
        """Ask Bedrock about the model; raises ModelUnavailableError when there is none, or it may not be asked."""
        self.model_arn = model_arn
        self._runtime: Any = runtime
        try:
            with refusals():
                self._model = imported_model(bedrock, model_arn)
        except ModelUnavailableError as error:
            raise ModelUnavailableError(f"The promoted model {model_arn} cannot be called: {error}") from error

    def words(self, *, confidence: bool) -> str:
        """Say how the model is called about a text."""
        return self._call({"messages": ()}, confidence=confidence).words

    def converse(self, asked: Mapping[str, Any], *, confidence: bool) -> dict[str, Any]:
        """Return the whole answer."""
        with refusals():
            if self._call(asked, confidence=confidence) is ModelCall.CONVERSE:
                return dict(self._runtime.converse(modelId=self.model_arn, **asked))
            answer, said = invoked(self._runtime, self.model_arn, chat_body(asked, confidence=confidence))
        return confident(answer, said) if confidence else answer

    def converse_stream(self, asked: Mapping[str, Any], *, confidence: bool) -> Iterator[dict[str, Any]]:
        """Open the stream."""
        started = time.monotonic()
        with refusals():
            if self._call(asked, confidence=confidence) is ModelCall.CONVERSE:
                events = self._runtime.converse_stream(modelId=self.model_arn, **asked)["stream"]
                return _watched(events)
            opened = self._runtime.invoke_model_with_response_stream(
                modelId=self.model_arn,
                body=json.dumps(chat_body(asked, confidence=confidence)),
                contentType="application/json",
                accept="application/json",
            )
        chunks = (json.loads(event["chunk"]["bytes"]) for event in _watched(opened["body"]))
        return confident_events(chunks, lambda: (time.monotonic() - started) * 1000, confidence=confidence)

    def _call(self, asked: Mapping[str, Any], *, confidence: bool) -> ModelCall:
        if confidence:
            return ModelCall.INVOKE_MODEL  # Converse tells no log probabilities
        pictures = chat_form.has_pictures(asked["messages"])
        return call_of_imported(instruct_supported=self._model.instruct_supported, pictures=pictures)


def _watched(events: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Translate what breaks a stream that has begun."""
    with refusals():
        yield from events
