"""A model is asked greedily, with one user turn, and a cold one is told from one that may not be called."""

import pytest
from botocore.exceptions import ClientError

from tests.adapters.conftest import Script
from tests.samples import MODEL_ARN
from tunedrop.adapters.bedrock import BedrockConversation
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError

SERVICE = "bedrock-runtime"

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
    answer = conversation.ask(MODEL_ARN, "STAPLES 12.90", 16)
    assert (answer.text, answer.stop_reason) == ("Office supplies", "end_turn")
    assert (answer.latency_ms, answer.input_tokens, answer.output_tokens) == (40, 12, 3)


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
        conversation.ask(MODEL_ARN, "STAPLES 12.90", 16)
