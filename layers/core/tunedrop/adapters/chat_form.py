"""Converse's shape and OpenAI's chat form, told in each other's words.

Imported models and SageMaker's containers take OpenAI's form; whoever calls them here speaks Converse's.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
https://docs.aws.amazon.com/bedrock/latest/userguide/custom-model-import-advanced-features.html
https://docs.djl.ai/master/docs/serving/serving/docs/lmi/user_guides/chat_input_output_schema.html
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tunedrop.errors import PromptRefusedError, TransientError

_SAMPLING = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p", "stopSequences": "stop"}
"""Converse's names → OpenAI's."""

_STOP_REASONS = {"stop": "end_turn", "length": "max_tokens"}
"""OpenAI's words → Converse's."""


def body(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Write Converse's parameters (`messages`, `system`, `inferenceConfig`) in the chat form.

    Raises PromptRefusedError for what that form has no word for.
    """
    said = [{"role": message["role"], "content": _content(message["content"])} for message in asked["messages"]]
    if asked.get("system"):
        said.insert(0, {"role": "system", "content": _text(asked["system"])})
    sampling = asked.get("inferenceConfig") or {}
    return {"messages": said, **{_SAMPLING[name]: value for name, value in sampling.items()}}


def answer(completion: Mapping[str, Any], latency_ms: float) -> dict[str, Any]:
    """Tell a completion as Converse does."""
    choice = completion["choices"][0]
    # A model that spends its tokens on thinking says nothing.
    text = choice["message"]["content"] or ""
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": _stop_reason(choice["finish_reason"]),
        "usage": _usage(completion),
        "metrics": {"latencyMs": latency_ms},
    }


def events(chunks: Iterable[Mapping[str, Any]], latency_ms: Callable[[], float]) -> Iterator[dict[str, Any]]:
    """Tell the chunks of a stream as ConverseStream does; `latency_ms` is asked at the end.

    The last event has no `usage` where no chunk tells it. Raises TransientError where the chunks end before the answer.
    """
    yield {"messageStart": {"role": "assistant"}}
    reason = ""
    metadata: dict[str, Any] = {}
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            if text := choice["delta"].get("content"):
                yield {"contentBlockDelta": {"delta": {"text": text}, "contentBlockIndex": 0}}
            reason = choice.get("finish_reason") or reason
        if usage := _usage(chunk):
            metadata["usage"] = usage
    if not reason:
        raise TransientError("The answer broke off: no reason was told why it ends.")
    yield {"contentBlockStop": {"contentBlockIndex": 0}}
    yield {"messageStop": {"stopReason": _stop_reason(reason)}}
    yield {"metadata": {**metadata, "metrics": {"latencyMs": latency_ms()}}}


def tokens(said: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield text and log probability of the tokens that a completion or a chunk tells them of."""
    for choice in said.get("choices") or ():
        told = choice.get("logprobs") or ()
        # A list in the stream of SageMaker's container, by its page; one object everywhere else.
        for part in [told] if isinstance(told, Mapping) else told:
            yield from ((str(each["token"]), float(each["logprob"])) for each in part.get("content") or ())


def has_pictures(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether Converse's messages hold any."""
    return any("image" in block for message in messages for block in message["content"])


def _content(blocks: Sequence[Mapping[str, Any]]) -> str | list[dict[str, Any]]:
    if not any("image" in block for block in blocks):
        return _text(blocks)
    return [_picture(each["image"]) if "image" in each else {"type": "text", "text": _text([each])} for each in blocks]


def _text(blocks: Sequence[Mapping[str, Any]]) -> str:
    for kind in (kind for block in blocks for kind in block):
        if kind != "text":
            raise PromptRefusedError(f'The model is shown text and images; "{kind}" cannot be told in its chat form.')
    return "\n".join(block["text"] for block in blocks)


def _picture(image: Mapping[str, Any]) -> dict[str, Any]:
    data = image["source"].get("bytes")
    if data is None:
        raise PromptRefusedError("An image must come with its bytes: the chat form fetches none from elsewhere.")
    url = f"data:image/{image['format']};base64,{base64.b64encode(data).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def _stop_reason(reason: str) -> str:
    return _STOP_REASONS.get(reason, reason)


def _usage(said: Mapping[str, Any]) -> dict[str, int] | None:
    """Return the tokens that a completion or a chunk counts, if it does."""
    match said:
        case {"usage": {"prompt_tokens": used, "completion_tokens": made}}:
            return _counted(used, made)
        # What Bedrock adds to the last chunk of a stream.
        case {"amazon-bedrock-invocationMetrics": {"inputTokenCount": used, "outputTokenCount": made}}:
            return _counted(used, made)
    return None


def _counted(used: int, made: int) -> dict[str, int]:
    return {"inputTokens": used, "outputTokens": made, "totalTokens": used + made}
