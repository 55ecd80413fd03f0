"""Answer Converse and InvokeModel, whole or in a stream, from a model's own weights."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.bedrock import formats
from local.bedrock.artifact import reads_images
from local.bedrock.chat_template import find_chat_template
from local.bedrock.model_server import ModelFailedError, ModelServer, NotReadyError
from local.engine import event_stream
from local.engine.host import AwsError

_DEFAULT_MAX_TOKENS = 512
_DEFAULT_TEMPERATURE = 1.0
_DEFAULT_TOP_P = 1.0
_NO_CHAT = "This action doesn't support the model that you provided. Try again with a supported text or chat model."
_NOT_CONVERSE = ("toolConfig", "guardrailConfig", "promptVariables", "additionalModelRequestFields", "outputConfig")


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Name the weights behind a model id.

    Attributes:
        model_id: an imported model's ARN or a foundation model's id.
        folder: the weights.
        cold: whether a call before they are loaded is refused rather than delayed, as with imported models.
        converses: whether Converse can call it, if it has a chat template.
    """

    model_id: str
    folder: Path
    cold: bool
    converses: bool = True


class Runtime:
    """Translate between the wire and a model server.

    Args:
        server: what generates.
    """

    def __init__(self, server: ModelServer) -> None:
        self._server = server

    def converse(self, model: ServedModel, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer Converse.

        Raises:
            AwsError: ValidationException, ModelNotReadyException or ModelErrorException.
        """
        answer, milliseconds = self._ask(model, _question(model, parameters))
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": answer["text"]}]}},
            "stopReason": answer["stop_reason"],
            "usage": _usage(answer),
            "metrics": {"latencyMs": milliseconds},
        }

    def converse_stream(self, model: ServedModel, parameters: Mapping[str, Any]) -> Iterator[bytes]:
        """Answer ConverseStream with the events of its stream, as the model generates.

        Raises:
            AwsError: as `converse` does, before the first event.
        """
        said = self._begin(model, _question(model, parameters))
        return _broken_as_told(_converse_events(said))

    def invoke(self, model: ServedModel, body: bytes) -> dict[str, Any]:
        """Answer InvokeModel in the body's own format: BedrockCompletion, OpenAICompletion or OpenAIChatCompletion.

        Raises:
            AwsError: ValidationException, ModelNotReadyException or ModelErrorException.
        """
        body_format = _format(model, body)
        answer, _ = self._ask(model, body_format.question)
        return body_format.whole(answer)

    def invoke_stream(self, model: ServedModel, body: bytes) -> Iterator[bytes]:
        """Answer InvokeModelWithResponseStream with the events of its stream, as the model generates.

        Raises:
            AwsError: as `invoke` does, before the first event.
        """
        body_format = _format(model, body)
        said = self._begin(model, body_format.question)
        return _broken_as_told(_chunk_events(said, body_format))

    def _ask(self, model: ServedModel, question: Mapping[str, Any]) -> tuple[dict[str, Any], int]:
        """Return the model's answer and how long it took, in milliseconds."""
        started = time.monotonic()
        (answer,) = self._begin(model, question, stream=False)
        return answer, _milliseconds(started)

    def _begin(
        self, model: ServedModel, question: Mapping[str, Any], *, stream: bool = True
    ) -> Iterator[dict[str, Any]]:
        """Return what the model's process says, its first word awaited: until then an error is the call's own."""
        try:
            said = self._server.ask(model.folder, {**question, "stream": stream}, wait=not model.cold)
            first = next(said)
        except NotReadyError as error:
            raise AwsError(
                "ModelNotReadyException",
                "Model is not ready for inference. Wait and try your request again.",
                429,
            ) from error
        except (ModelFailedError, TimeoutError) as error:
            raise AwsError("ModelErrorException", f"The model could not process your request: {error}", 424) from error
        if "invalid" in first:
            raise AwsError("ValidationException", first["invalid"])
        return itertools.chain([first], said)


def _converse_events(said: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    started = time.monotonic()
    yield event_stream.event("messageStart", {"role": "assistant"})
    for each in said:
        if "piece" in each:
            delta = {"delta": {"text": each["piece"]["text"]}, "contentBlockIndex": 0}
            yield event_stream.event("contentBlockDelta", delta)
        else:
            yield event_stream.event("contentBlockStop", {"contentBlockIndex": 0})
            yield event_stream.event("messageStop", {"stopReason": each["stop_reason"]})
            metrics = {"latencyMs": _milliseconds(started)}
            yield event_stream.event("metadata", {"usage": _usage(each), "metrics": metrics})


def _chunk_events(said: Iterator[dict[str, Any]], body_format: formats.Format) -> Iterator[bytes]:
    started = time.monotonic()
    for chunk in body_format.opening():
        yield _chunk_event(chunk)
    first_byte = _milliseconds(started)
    for each in said:
        if "piece" in each:
            yield _chunk_event(body_format.chunk(each["piece"]))
        else:
            metrics = {
                "inputTokenCount": each["input_tokens"],
                "outputTokenCount": each["output_tokens"],
                "invocationLatency": _milliseconds(started),
                "firstByteLatency": first_byte,
            }
            yield _chunk_event({**body_format.closing(each), "amazon-bedrock-invocationMetrics": metrics})


def _chunk_event(chunk: Mapping[str, Any]) -> bytes:
    return event_stream.event("chunk", {"bytes": base64.b64encode(json.dumps(chunk).encode()).decode()})


def _broken_as_told(events: Iterator[bytes]) -> Iterator[bytes]:
    """End a stream that breaks with the error that Bedrock would tell in it."""
    try:
        yield from events
    except (ModelFailedError, TimeoutError) as error:
        yield event_stream.exception("modelStreamErrorException", f"The model stopped answering: {error}")


def _question(model: ServedModel, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what Converse's parameters ask of the model's process, or refuse them."""
    if not model.converses or find_chat_template(model.folder) is None:
        raise AwsError("ValidationException", _NO_CHAT)
    for name in _NOT_CONVERSE:
        if parameters.get(name):
            raise AwsError(
                "ValidationException", f"This model doesn't support the {name} field. Remove {name} and try again."
            )
    config = parameters.get("inferenceConfig", {})
    return {
        "messages": _conversation(parameters, images=reads_images(model.folder)),
        "max_tokens": config.get("maxTokens", _DEFAULT_MAX_TOKENS),
        "temperature": config.get("temperature", _DEFAULT_TEMPERATURE),
        "top_p": config.get("topP", _DEFAULT_TOP_P),
        "stop_sequences": config.get("stopSequences", []),
    }


def _format(model: ServedModel, body: bytes) -> formats.Format:
    request = _json_object(body)
    if "messages" in request and find_chat_template(model.folder) is None:
        raise AwsError("ValidationException", _NO_CHAT)
    return formats.read(request, model.model_id, images=reads_images(model.folder))


def _usage(answer: Mapping[str, Any]) -> dict[str, int]:
    used, made = answer["input_tokens"], answer["output_tokens"]
    return {"inputTokens": used, "outputTokens": made, "totalTokens": used + made}


def _milliseconds(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _conversation(parameters: Mapping[str, Any], *, images: bool) -> list[dict[str, Any]]:
    """Return Converse's turns as the chat template takes them, or refuse them in Bedrock's words."""
    turns = parameters.get("messages") or []
    if not turns or turns[0]["role"] != "user":
        raise AwsError(
            "ValidationException",
            "A conversation must start with a user message. Try again with a conversation that starts with a user "
            "message.",
        )
    for earlier, later in itertools.pairwise(turns):
        if earlier["role"] == later["role"]:
            raise AwsError(
                "ValidationException",
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates "
                "between user and assistant roles and try again.",
            )
    if turns[-1]["role"] != "user":
        raise AwsError(
            "ValidationException",
            "The model that you are using requires the last turn in the conversation to be a user message. Add a user "
            "message to the conversation and try again.",
        )
    messages = [
        {
            "role": turn["role"],
            "content": _content(turn["content"], f"messages.{position}", images=images and turn["role"] == "user"),
        }
        for position, turn in enumerate(turns)
    ]
    system = "\n".join(
        _block_text(block, f"system.{position}") for position, block in enumerate(parameters.get("system") or [])
    )
    return [{"role": "system", "content": system}, *messages] if system else messages


def _content(blocks: Sequence[Mapping[str, Any]], path: str, *, images: bool) -> str | list[dict[str, str]]:
    """Return a turn's text, or its parts in order when there are images among them."""
    if not blocks:
        raise AwsError(
            "ValidationException",
            f"The content field in the Message object at {path} is empty. Add a ContentBlock object to the content "
            "field and try again.",
        )
    if images and any("image" in block for block in blocks):
        return [
            {"type": "image", "data": _block_image(block["image"], f"{path}.content.{position}")}
            if "image" in block
            else {"type": "text", "text": _block_text(block, f"{path}.content.{position}")}
            for position, block in enumerate(blocks)
        ]
    return "\n".join(_block_text(block, f"{path}.content.{position}") for position, block in enumerate(blocks))


def _block_image(image: Mapping[str, Any], path: str) -> str:
    """Return an image's file in base64, as it came over the wire."""
    data = image.get("source", {}).get("bytes")
    if not isinstance(data, str):
        raise AwsError(
            "ValidationException", f"The image at {path} has no bytes: the local Bedrock reads no other source."
        )
    return data


def _block_text(block: Mapping[str, Any], path: str) -> str:
    for kind in block:
        if kind != "text":
            raise AwsError(
                "ValidationException", f"This model doesn't support the {kind} field. Remove {kind} and try again."
            )
    if not block.get("text", "").strip():
        raise AwsError(
            "ValidationException",
            f"The text field in the ContentBlock object at {path} is blank. Add text to the text field, and try again.",
        )
    return str(block["text"])


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        request = json.loads(body)
    except ValueError as error:
        raise AwsError(
            "ValidationException", "Malformed input request, please reformat your input and try again."
        ) from error
    if not isinstance(request, dict):
        raise AwsError("ValidationException", "Malformed input request, please reformat your input and try again.")
    return request
