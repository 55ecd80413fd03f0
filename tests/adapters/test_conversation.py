"""A model is asked greedily, by Converse or by InvokeModel, and a cold one is told from one that may not be called."""

import io
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody

from tests.adapters.conftest import Script
from tests.samples import MODEL_ARN
from tunedrop.adapters.bedrock import BedrockConversation, told
from tunedrop.domain.model_call import ModelCall
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.ports import Picture, Question, Turn

SERVICE = "bedrock-runtime"

QUESTION = Question(turns=(Turn(role="user", text="STAPLES 12.90"),))

CONVERSED = Question(
    turns=(Turn(role="user", text="Hello"), Turn(role="assistant", text="Hi"), Turn(role="user", text="What is it?")),
    system="Be brief.",
    picture=Picture(format="png", data=b"png"),
)

ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Office "}, {"text": "supplies"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 12, "outputTokens": 3, "totalTokens": 15},
    "metrics": {"latencyMs": 40},
}


@pytest.fixture
def conversation(script: Script) -> BedrockConversation:
    return BedrockConversation(script.client)


def test_the_answer_is_the_text_of_all_blocks_with_its_counts(
    conversation: BedrockConversation, script: Script
) -> None:
    asked = {
        "modelId": MODEL_ARN,
        "messages": [{"role": "user", "content": [{"text": "STAPLES 12.90"}]}],
        "inferenceConfig": {"maxTokens": 16, "temperature": 0.0},
    }
    script.answers("converse", ANSWER, asked)
    answer = conversation.ask(MODEL_ARN, ModelCall.CONVERSE, QUESTION, 16)
    assert (answer.text, answer.stop_reason) == ("Office supplies", "end_turn")
    assert (answer.latency_ms, answer.input_tokens, answer.output_tokens) == (40, 12, 3)


def test_a_conversation_is_asked_with_its_system_message_its_turns_and_its_picture(
    conversation: BedrockConversation, script: Script
) -> None:
    asked = {
        "modelId": MODEL_ARN,
        "messages": [
            {"role": "user", "content": [{"text": "Hello"}]},
            {"role": "assistant", "content": [{"text": "Hi"}]},
            {
                "role": "user",
                "content": [{"image": {"format": "png", "source": {"bytes": b"png"}}}, {"text": "What is it?"}],
            },
        ],
        "system": [{"text": "Be brief."}],
        "inferenceConfig": {"maxTokens": 16, "temperature": 0.0},
    }
    script.answers("converse", ANSWER, asked)
    assert conversation.ask(MODEL_ARN, ModelCall.CONVERSE, CONVERSED, 16).text


def completed(content: str | None, finish_reason: str, latency: str | None = "40") -> dict[str, Any]:
    """Answer InvokeModel as Bedrock answers OpenAI's chat form."""
    body = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
    }
    data = json.dumps(body).encode()
    headers = {"x-amzn-bedrock-invocation-latency": latency} if latency else {}
    return {
        "body": StreamingBody(io.BytesIO(data), len(data)),
        "contentType": "application/json",
        "ResponseMetadata": {"HTTPStatusCode": 200, "HTTPHeaders": headers},
    }


def invoked(*messages: dict[str, Any]) -> dict[str, Any]:
    body = {"messages": list(messages), "max_tokens": 16, "temperature": 0.0}
    kind = "application/json"
    return {"modelId": MODEL_ARN, "body": json.dumps(body), "contentType": kind, "accept": kind}


def test_invoke_model_tells_what_converse_tells(conversation: BedrockConversation, script: Script) -> None:
    script.answers("converse", ANSWER)
    conversed = conversation.ask(MODEL_ARN, ModelCall.CONVERSE, QUESTION, 16)
    asked = invoked({"role": "user", "content": "STAPLES 12.90"})
    script.answers("invoke_model", completed("Office supplies", "stop"), asked)
    assert conversation.ask(MODEL_ARN, ModelCall.INVOKE_MODEL, QUESTION, 16) == conversed


def test_a_container_need_not_count_tokens() -> None:
    answer = told({**ANSWER, "usage": None})
    assert (answer.text, answer.input_tokens, answer.output_tokens) == ("Office supplies", 0, 0)


def test_invoke_model_is_asked_with_the_system_message_the_turns_and_the_picture(
    conversation: BedrockConversation, script: Script
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,cG5n"}}
    asked = invoked(
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi"},
        {"role": "user", "content": [picture, {"type": "text", "text": "What is it?"}]},
    )
    script.answers("invoke_model", completed("A cat", "length"), asked)
    answer = conversation.ask(MODEL_ARN, ModelCall.INVOKE_MODEL, CONVERSED, 16)
    assert (answer.text, answer.stop_reason) == ("A cat", "max_tokens")


def test_an_answer_without_content_is_empty_and_a_latency_that_nobody_tells_is_measured(
    conversation: BedrockConversation, script: Script
) -> None:
    script.answers("invoke_model", completed(None, "tool_calls", latency=None))
    answer = conversation.ask(MODEL_ARN, ModelCall.INVOKE_MODEL, QUESTION, 16)
    assert (answer.text, answer.stop_reason) == ("", "tool_calls")
    assert answer.latency_ms > 0


@pytest.mark.parametrize("call", ModelCall)
@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("ModelNotReadyException", 429, ModelNotReadyError),
        ("ModelTimeoutException", 408, ModelNotReadyError),
        ("ModelErrorException", 424, ModelNotReadyError),
        ("AccessDeniedException", 403, ModelUnavailableError),
        ("ResourceNotFoundException", 404, ModelUnavailableError),
        ("ValidationException", 400, PromptRefusedError),
        ("ThrottlingException", 429, TransientError),
        ("ServiceUnavailableException", 503, TransientError),
        ("ServiceQuotaExceededException", 400, ClientError),
    ],
)
def test_what_bedrock_says_is_told_apart_by_what_to_do(
    conversation: BedrockConversation,
    script: Script,
    code: str,
    status: int,
    cause: type[Exception],
    call: ModelCall,
) -> None:
    operation = "converse" if call is ModelCall.CONVERSE else "invoke_model"
    script.fails(operation, code, "The model says no.", status)
    with pytest.raises(cause, match="The model says no"):
        conversation.ask(MODEL_ARN, call, QUESTION, 16)
