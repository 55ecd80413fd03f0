"""An inference component is asked in the chat form, and one without a copy is told from one that is not there."""

import io
import json
from typing import Any

import pytest
from botocore.response import StreamingBody

from tests.adapters.conftest import Script
from tunedrop.adapters import chat_form, endpoint_calls
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError, PromptRefusedError, TransientError

SERVICE = "sagemaker-runtime"

BODY = {"messages": [{"role": "user", "content": "hello"}]}
NO_COPY = "Inference Component has no capacity to process this request. ApplicationAutoScaling may be in-progress"


def chunk(text: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more}


def test_the_component_of_the_endpoint_s_name_is_asked(script: Script) -> None:
    said = {
        "choices": [{"message": {"content": "yes"}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    data = json.dumps(said).encode()
    kind = "application/json"
    asked = {"EndpointName": "n", "InferenceComponentName": "n", "ContentType": kind, "Accept": kind}
    answer = {"Body": StreamingBody(io.BytesIO(data), len(data))}
    script.answers("invoke_endpoint", answer, {**asked, "Body": json.dumps(BODY)})
    told, completion = endpoint_calls.invoked(script.client, "n", BODY)
    assert completion == said
    assert told["output"]["message"]["content"] == [{"text": "yes"}]
    assert told["stopReason"] == "max_tokens"
    assert told["usage"] == {"inputTokens": 3, "outputTokens": 1, "totalTokens": 4}


@pytest.mark.parametrize("prefix", [b"data: ", b"data:", b""], ids=["events", "events without a space", "lines"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_is_read_however_the_container_writes_and_cuts_it(prefix: bytes, size: int) -> None:
    said = [chunk("Hällo"), chunk(" you"), chunk("", usage={"prompt_tokens": 3, "completion_tokens": 2})]
    ends = b"\n\n" if prefix else b"\n"
    data = b"".join(prefix + json.dumps(each, ensure_ascii=False).encode() + ends for each in said)
    data += b"data: [DONE]\n\n" if prefix else b""
    assert list(endpoint_calls.chunks(data[at : at + size] for at in range(0, len(data), size))) == said


@pytest.mark.parametrize(
    ("code", "message", "status", "cause"),
    [
        ("ValidationError", NO_COPY, 400, ModelNotReadyError),
        ("ValidationError", "Endpoint n of account 1 not found.", 400, ModelUnavailableError),
        ("AccessDeniedException", "User is not authorized", 403, ModelUnavailableError),
        ("ServiceUnavailable", "Try your call again.", 503, TransientError),
    ],
)
def test_what_sagemaker_says_is_told_apart_by_what_to_do(
    script: Script, code: str, message: str, status: int, cause: type[Exception]
) -> None:
    script.fails("invoke_endpoint", code, message, status)
    with pytest.raises(cause, match=message.partition(".")[0]), endpoint_calls.refusals():
        endpoint_calls.invoked(script.client, "n", BODY)


def test_a_body_that_an_endpoint_does_not_take_is_refused_before_the_call(script: Script) -> None:
    """SageMaker's answer to it would look as if there were no endpoint; the script, which is empty, is not asked."""
    empty = len(json.dumps({"messages": [{"role": "user", "content": ""}]}))
    for call in (endpoint_calls.invoked, endpoint_calls.streamed):
        body = {"messages": [{"role": "user", "content": "x" * (6_291_456 - empty + 1)}]}
        with pytest.raises(PromptRefusedError, match="an endpoint takes 6,291,456"):
            call(script.client, "n", body)


@pytest.mark.parametrize(
    ("original", "cause"), [(400, PromptRefusedError), (429, ModelNotReadyError), (503, ModelNotReadyError)]
)
def test_what_the_container_says_is_told_by_its_own_status(
    script: Script, original: int, cause: type[Exception]
) -> None:
    script.fails("invoke_endpoint", "ModelError", "Received error from primary", 424, OriginalStatusCode=original)
    with pytest.raises(cause, match="from primary"), endpoint_calls.refusals():
        endpoint_calls.invoked(script.client, "n", BODY)


def test_log_probabilities_in_a_list_are_read_too() -> None:
    told = [{"content": [{"token": " Oh", "logprob": -4.5}]}]
    said = {"choices": [{"delta": {"content": " Oh"}, "logprobs": told}]}
    assert list(chat_form.tokens(said)) == [(" Oh", -4.5)]


def test_a_stream_that_ends_before_the_answer_does_is_no_answer() -> None:
    events = chat_form.events([chunk("Hel"), chunk("lo")], lambda: 1.0)
    told = [next(events) for _ in range(3)]
    assert "".join(event["contentBlockDelta"]["delta"]["text"] for event in told[1:]) == "Hello"
    with pytest.raises(TransientError, match="broke off"):
        next(events)
