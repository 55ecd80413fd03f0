"""The three formats of InvokeModel's body for imported models, whole and in a stream.

https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
https://docs.aws.amazon.com/bedrock/latest/userguide/custom-model-import-advanced-features.html
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from local.engine.host import AwsError

_DEFAULT_MAX_TOKENS = 512
_DEFAULT_TEMPERATURE = 1.0
_DEFAULT_TOP_P = 1.0
_MAX_TEMPERATURE = 2
_MAX_TOP_LOGPROBS = 20
_OPENAI_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,")


class Format(Protocol):
    """Translate between a body and what a model's process is asked (`worker.serve`).

    Attributes:
        question: what to ask the model.
    """

    question: dict[str, Any]

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return the body of InvokeModel's answer."""

    def opening(self) -> list[dict[str, Any]]:
        """Return the chunks that come before a stream's first text."""

    def chunk(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        """Return the chunk for a piece of the answer."""

    def closing(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """Return a stream's last chunk."""


def read(request: Mapping[str, Any], model_id: str, *, images: bool) -> Format:
    """Tell a body's format by its members.

    Args:
        request: the body.
        model_id: as the answer names the model.
        images: whether the model reads any.

    Raises:
        AwsError: ValidationException.
    """
    if "messages" in request:
        return _ChatCompletion(request, model_id, images=images)
    if not isinstance(request.get("prompt"), str) or not request["prompt"]:
        raise AwsError("ValidationException", "The request must contain a prompt or messages.")
    # Only the original format says max_gen_len, and it is the one without max_tokens.
    return _Completion(request, model_id) if "max_tokens" in request else _BedrockCompletion(request)


class _BedrockCompletion:
    def __init__(self, request: Mapping[str, Any]) -> None:
        self._told = request.get("return_logprobs") is True
        self.question = {"prompt": request["prompt"], "logprobs": self._told, **_sampling(request)}

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "generation": answer["text"],
            "prompt_token_count": answer["input_tokens"],
            "generation_token_count": answer["output_tokens"],
            "stop_reason": _OPENAI_REASONS[answer["stop_reason"]],
            "logprobs": self._logprobs(answer),
        }

    def opening(self) -> list[dict[str, Any]]:
        return []

    def chunk(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        return {"generation": piece["text"], "stop_reason": None, "logprobs": self._logprobs(piece)}

    def closing(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return {**self.whole(answer), "generation": "", "logprobs": None}

    def _logprobs(self, said: Mapping[str, Any]) -> list[dict[str, float]] | None:
        return [{str(each["token"]): each["logprob"]} for each in said["logprobs"]] if self._told else None


class _Completion:
    def __init__(self, request: Mapping[str, Any], model_id: str) -> None:
        self.question = {"prompt": request["prompt"], **_sampling(request)}
        self._frame = _Frame("cmpl", "text_completion", model_id)

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return self._frame.body({"text": answer["text"], "logprobs": None}, answer)

    def opening(self) -> list[dict[str, Any]]:
        return []

    def chunk(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        return self._frame.body({"text": piece["text"], "logprobs": None})

    def closing(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return self._frame.body({"text": "", "logprobs": None}, answer)


class _ChatCompletion:
    def __init__(self, request: Mapping[str, Any], model_id: str, *, images: bool) -> None:
        messages = [_message(message, images=images) for message in _list(request["messages"])]
        if not messages:
            raise AwsError("ValidationException", "The messages field is empty.")
        if request.get("prompt_logprobs") is not None:
            raise AwsError("ValidationException", "The local Bedrock tells no prompt_logprobs, as Bedrock on AWS does.")
        self._told = request.get("logprobs") is True
        top = int(_number(request, "top_logprobs", 0, 0, _MAX_TOP_LOGPROBS))
        if top and not self._told:
            raise AwsError("ValidationException", "when using `top_logprobs`, `logprobs` must be set to true.")
        self.question = {"messages": messages, "logprobs": self._told, "top_logprobs": top, **_sampling(request)}
        self._frame = _Frame("chatcmpl", "chat.completion", model_id)
        self._chunks = _Frame("chatcmpl", "chat.completion.chunk", model_id)

    def whole(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": answer["text"]}
        return self._frame.body({"message": message, "logprobs": self._logprobs(answer)}, answer)

    def opening(self) -> list[dict[str, Any]]:
        return [self._chunks.body({"delta": {"role": "assistant", "content": ""}, "logprobs": None})]

    def chunk(self, piece: Mapping[str, Any]) -> dict[str, Any]:
        return self._chunks.body({"delta": {"content": piece["text"]}, "logprobs": self._logprobs(piece)})

    def closing(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        return self._chunks.body({"delta": {"content": ""}, "logprobs": None}, answer)

    def _logprobs(self, said: Mapping[str, Any]) -> dict[str, Any] | None:
        if not self._told:
            return None
        content = [
            {
                **_token(each["text"], each["logprob"]),
                "top_logprobs": [_token(text, logprob) for text, logprob in each["top"]],
            }
            for each in said["logprobs"]
        ]
        return {"content": content}


class _Frame:
    """Make the bodies of one answer in OpenAI's form."""

    def __init__(self, prefix: str, kind: str, model_id: str) -> None:
        self._same = {
            "id": f"{prefix}-{uuid.uuid4().hex}",
            "object": kind,
            "created": int(time.time()),
            "model": model_id,
        }

    def body(self, choice: dict[str, Any], answer: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return a body with the one choice; `answer` when it has ended."""
        reason = _OPENAI_REASONS[answer["stop_reason"]] if answer else None
        body = {**self._same, "choices": [{"index": 0, **choice, "finish_reason": reason}]}
        if answer:
            body["usage"] = {
                "prompt_tokens": answer["input_tokens"],
                "completion_tokens": answer["output_tokens"],
                "total_tokens": answer["input_tokens"] + answer["output_tokens"],
            }
        return body


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _sampling(request: Mapping[str, Any]) -> dict[str, Any]:
    stop = request.get("stop") or []
    most = "max_tokens" if "max_tokens" in request else "max_gen_len"
    return {
        "max_tokens": int(_number(request, most, _DEFAULT_MAX_TOKENS, 1, float("inf"))),
        "temperature": _number(request, "temperature", _DEFAULT_TEMPERATURE, 0, _MAX_TEMPERATURE),
        "top_p": _number(request, "top_p", _DEFAULT_TOP_P, 0, 1),
        "stop_sequences": [stop] if isinstance(stop, str) else [str(each) for each in _list(stop)],
    }


def _number(request: Mapping[str, Any], name: str, default: float, least: float, most: float) -> float:
    value = request.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise AwsError("ValidationException", f"The value of {name} is not valid: {value!r}")
    return value


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise AwsError("ValidationException", "Malformed input request, please reformat your input and try again.")
    return value


def _message(message: Any, *, images: bool) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in {"system", "user", "assistant"}:
        raise AwsError("ValidationException", "Each message must have a role: system, user or assistant.")
    content = message.get("content")
    if isinstance(content, list):
        parts = [_part(part, images=images and message["role"] == "user") for part in content]
        with_images = any(part["type"] == "image" for part in parts)
        content = parts if with_images else "".join(part["text"] for part in parts)
    if not isinstance(content, str | list) or not content:
        raise AwsError("ValidationException", "Each message must have content.")
    return {"role": message["role"], "content": content}


def _part(part: Any, *, images: bool) -> dict[str, str]:
    match part:
        case {"type": "text", "text": str(text)}:
            return {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url)}} if images:
            if found := _DATA_URL.match(url):
                return {"type": "image", "data": url[found.end() :]}
            raise AwsError("ValidationException", "An image_url must be a data URL: data:image/png;base64,…")
    raise AwsError(
        "ValidationException",
        "This model only supports text and image_url content." if images else "This model only supports text content.",
    )
