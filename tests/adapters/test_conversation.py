"""A model is asked greedily, with one user turn, and a cold one is told from one that may not be called."""

import pytest
from botocore.exceptions import ClientError

from tests.adapters.conftest import Script
from tests.samples import MODEL_ARN
from tunedrop.adapters.bedrock import BedrockConversation
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError
from tunedrop.ports import Picture, Question, Turn

SERVICE = "bedrock-runtime"

QUESTION = Question(turns=(Turn(role="user", text="STAPLES 12.90"),))

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
    answer = conversation.ask(MODEL_ARN, QUESTION, 16)
    assert (answer.text, answer.stop_reason) == ("Office supplies", "end_turn")
    assert (answer.latency_ms, answer.input_tokens, answer.output_tokens) == (40, 12, 3)


def test_a_conversation_is_asked_with_its_system_message_its_turns_and_its_picture(
    conversation: BedrockConversation, script: Script
) -> None:
    turns = (Turn(role="user", text="Hello"), Turn(role="assistant", text="Hi"), Turn(role="user", text="What is it?"))
    picture = Picture(format="png", data=b"png")
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
    assert conversation.ask(MODEL_ARN, Question(turns=turns, system="Be brief.", picture=picture), 16).text


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
    conversation: BedrockConversation, script: Script, code: str, status: int, cause: type[Exception]
) -> None:
    script.fails("converse", code, "The model says no.", status)
    with pytest.raises(cause, match="The model says no"):
        conversation.ask(MODEL_ARN, QUESTION, 16)
