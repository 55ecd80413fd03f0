"""Answer Converse and InvokeModel from a model's own weights.

InvokeModel's three body formats are those of imported models:
https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
"""

from __future__ import annotations

import itertools
import json
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.bedrock.artifact import reads_images
from local.bedrock.chat_template import find_chat_template
from local.bedrock.model_server import ModelFailedError, ModelServer, NotReadyError
from local.engine.host import AwsError

_DEFAULT_MAX_TOKENS = 512
_DEFAULT_TEMPERATURE = 1.0
_DEFAULT_TOP_P = 1.0
_MAX_TEMPERATURE = 2
_OPENAI_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}
_NO_CHAT = "This action doesn't support the model that you provided. Try again with a supported text or chat model."
_DATA_URL = re.compile(r"data:image/[a-z+.-]+;base64,")
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
        if not model.converses or find_chat_template(model.folder) is None:
            raise AwsError("ValidationException", _NO_CHAT)
        for name in _NOT_CONVERSE:
            if parameters.get(name):
                raise AwsError(
                    "ValidationException", f"This model doesn't support the {name} field. Remove {name} and try again."
                )
        messages = _conversation(parameters, images=reads_images(model.folder))
        config = parameters.get("inferenceConfig", {})
        answer, milliseconds = self._ask(
            model,
            messages=messages,
            max_tokens=config.get("maxTokens", _DEFAULT_MAX_TOKENS),
            temperature=config.get("temperature", _DEFAULT_TEMPERATURE),
            top_p=config.get("topP", _DEFAULT_TOP_P),
            stop_sequences=config.get("stopSequences", []),
        )
        return {
            "output": {"message": {"role": "assistant", "content": [{"text": answer["text"]}]}},
            "stopReason": answer["stop_reason"],
            "usage": {
                "inputTokens": answer["input_tokens"],
                "outputTokens": answer["output_tokens"],
                "totalTokens": answer["input_tokens"] + answer["output_tokens"],
            },
            "metrics": {"latencyMs": milliseconds},
        }

    def invoke(self, model: ServedModel, body: bytes) -> dict[str, Any]:
        """Answer InvokeModel in the body's own format: BedrockCompletion, OpenAICompletion or OpenAIChatCompletion.

        Raises:
            AwsError: ValidationException, ModelNotReadyException or ModelErrorException.
        """
        request = _json_object(body)
        if "messages" in request:
            return self._chat_completion(model, request)
        if not isinstance(request.get("prompt"), str) or not request["prompt"]:
            raise AwsError("ValidationException", "The request must contain a prompt or messages.")
        # Only the original format says max_gen_len, and it is the one without max_tokens.
        sampling, original = _sampling(request), "max_tokens" not in request
        told = original and request.get("return_logprobs") is True
        answer, _ = self._ask(model, prompt=request["prompt"], logprobs=told, **sampling)
        if original:
            return {
                "generation": answer["text"],
                "prompt_token_count": answer["input_tokens"],
                "generation_token_count": answer["output_tokens"],
                "stop_reason": _OPENAI_REASONS[answer["stop_reason"]],
                "logprobs": _logprobs(answer["logprobs"]) if told else None,
                # The first token of a prompt follows nothing that it could be told from.
                **({"prompt_logprobs": [None, *_logprobs(answer["prompt_logprobs"])]} if told else {}),
            }
        choice = {"index": 0, "text": answer["text"], "logprobs": None}
        return _openai("text_completion", "cmpl", model, choice, answer)

    def _chat_completion(self, model: ServedModel, request: Mapping[str, Any]) -> dict[str, Any]:
        if find_chat_template(model.folder) is None:
            raise AwsError("ValidationException", _NO_CHAT)
        images = reads_images(model.folder)
        messages = [_openai_message(message, images=images) for message in _list(request["messages"])]
        if not messages:
            raise AwsError("ValidationException", "The messages field is empty.")
        answer, _ = self._ask(model, messages=messages, **_sampling(request))
        choice = {"index": 0, "message": {"role": "assistant", "content": answer["text"]}, "logprobs": None}
        return _openai("chat.completion", "chatcmpl", model, choice, answer)

    def _ask(self, model: ServedModel, **request: Any) -> tuple[dict[str, Any], int]:
        """Return the model's answer and how long it took, in milliseconds."""
        started = time.monotonic()
        try:
            answer = self._server.ask(model.folder, request, wait=not model.cold)
        except NotReadyError as error:
            raise AwsError(
                "ModelNotReadyException",
                "Model is not ready for inference. Wait and try your request again.",
                429,
            ) from error
        except (ModelFailedError, TimeoutError) as error:
            raise AwsError("ModelErrorException", f"The model could not process your request: {error}", 424) from error
        if "invalid" in answer:
            raise AwsError("ValidationException", answer["invalid"])
        return answer, round((time.monotonic() - started) * 1000)


def _logprobs(told: Sequence[tuple[int, float]]) -> list[dict[str, float]]:
    """Word log probabilities as Bedrock does: for each token an object of its id and its log probability.

    https://aws.amazon.com/blogs/machine-learning/unlock-model-insights-with-log-probability-support-for-amazon-bedrock-custom-model-import/
    """
    return [{str(token): value} for token, value in told]


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


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise AwsError("ValidationException", "Malformed input request, please reformat your input and try again.")
    return value


def _openai_message(message: Any, *, images: bool) -> dict[str, Any]:
    if not isinstance(message, dict) or message.get("role") not in {"system", "user", "assistant"}:
        raise AwsError("ValidationException", "Each message must have a role: system, user or assistant.")
    content = message.get("content")
    if isinstance(content, list):
        parts = [_openai_part(part, images=images and message["role"] == "user") for part in content]
        with_images = any(part["type"] == "image" for part in parts)
        content = parts if with_images else "".join(part["text"] for part in parts)
    if not isinstance(content, str | list) or not content:
        raise AwsError("ValidationException", "Each message must have content.")
    return {"role": message["role"], "content": content}


def _openai_part(part: Any, *, images: bool) -> dict[str, str]:
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


def _openai(
    kind: str, prefix: str, model: ServedModel, choice: dict[str, Any], answer: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model.model_id,
        "choices": [{**choice, "finish_reason": _OPENAI_REASONS[answer["stop_reason"]]}],
        "usage": {
            "prompt_tokens": answer["input_tokens"],
            "completion_tokens": answer["output_tokens"],
            "total_tokens": answer["input_tokens"] + answer["output_tokens"],
        },
    }
