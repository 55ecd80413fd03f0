"""The forms in which JumpStart's LMI container is asked: OpenAI's chat form, and its own of `inputs` and `parameters`.

https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/lmi_input_output_schema.html
https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/chat_input_output_schema.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from local.bedrock import formats
from local.bedrock.artifact import reads_images
from local.bedrock.chat_template import find_chat_template
from local.engine.host import AwsError

_DEFAULT_NEW_TOKENS = 30
_REASONS = {"end_turn": "eos_token", "stop_sequence": "stop_sequence", "max_tokens": "length"}


class Form(Protocol):
    """Translate between a body and what a model's process is asked (`local.bedrock.worker.serve`).

    Attributes:
        question: what to ask the model.
        streamed: whether the body asks for a stream.
    """

    question: dict[str, Any]
    streamed: bool

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of the answer."""

    def parts(self, said: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
        """Yield the pieces of a stream's body as the model says them."""


def read(body: bytes, name: str, folder: Path) -> Form:
    """Tell a body's form by its members.

    Args:
        body: the request's.
        name: as the answer names the model.
        folder: the model.

    Raises:
        AwsError: ValidationException.
    """
    try:
        request = json.loads(body)
    except ValueError as error:
        raise _malformed("The request is not JSON.") from error
    if not isinstance(request, dict):
        raise _malformed("The request is not a JSON object.")
    if "messages" in request:
        if find_chat_template(folder) is None:
            raise _malformed("The model has no chat template: it takes inputs, not messages.")
        return _Chat(request, name, images=reads_images(folder))
    if not isinstance(request.get("inputs"), str) or not request["inputs"]:
        raise _malformed("The request must contain messages or inputs.")
    return _Completion(request)


class _Chat:
    def __init__(self, request: Mapping[str, Any], name: str, *, images: bool) -> None:
        self._format = formats.read(request, name, images=images)
        self.question = self._format.question
        self.streamed = request.get("stream") is True

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return self._format.whole(answer)

    def parts(self, said: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
        """Yield server-sent events, as OpenAI does."""
        for chunk in self._format.opening():
            yield _sent(chunk)
        for each in said:
            yield _sent(self._format.chunk(each["piece"]) if "piece" in each else self._format.closing(each))
        yield b"data: [DONE]\n\n"


class _Completion:
    def __init__(self, request: Mapping[str, Any]) -> None:
        parameters = request.get("parameters") or {}
        self.streamed = request.get("stream") is True
        self._text = request["inputs"]
        self._details = parameters.get("details") is True
        self._full = parameters.get("return_full_text") is True
        as_openai = {
            "prompt": self._text,
            "max_tokens": parameters.get("max_new_tokens", _DEFAULT_NEW_TOKENS),
            # Without do_sample the likeliest token is taken each time.
            "temperature": parameters.get("temperature", 1.0) if parameters.get("do_sample") else 0,
            "top_p": parameters.get("top_p", 1.0),
            "stop": parameters.get("stop") or [],
        }
        asked = formats.read(as_openai, "", images=False).question
        self.question = {**asked, "logprobs": self._details or self.streamed}

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        body: dict[str, Any] = {"generated_text": self._text + answer["text"] if self._full else answer["text"]}
        if self._details:
            body["details"] = {
                "finish_reason": _REASONS[answer["stop_reason"]],
                "generated_tokens": answer["output_tokens"],
                "inputs": self._text,
                "tokens": [_token(each) for each in answer["logprobs"]],
            }
        return body

    def parts(self, said: Iterator[Mapping[str, Any]]) -> Iterator[bytes]:
        """Yield a JSON line for each token, the last one with the whole text."""
        for each in said:
            if "piece" in each:
                for token in each["piece"]["logprobs"]:
                    yield _line({"token": _token(token)})
            else:
                yield _line(self.whole(each))


def _token(told: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": told["token"], "text": told["text"], "log_prob": told["logprob"]}


def _sent(chunk: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _malformed(message: str) -> AwsError:
    return AwsError("ValidationException", message)
