"""Which model is called, how long it is waited for, and what a program is told when none can be."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.response import StreamingBody
from botocore.stub import Stubber

import tunedrop
from tests.clock import Clock
from tests.samples import MODEL_ARN, REGION
from tunedrop.client import model as client
from tunedrop.errors import (
    ConfidenceUnavailableError,
    ModelNotReadyError,
    ModelUnavailableError,
    NothingPromotedError,
    PromptRefusedError,
    TransientError,
    TunedropError,
)

OTHER_ARN = f"{MODEL_ARN}-other"
HELLO = [{"role": "user", "content": [{"text": "Where is my card?"}]}]
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "card_arrival"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7},
    "metrics": {"latencyMs": 40},
}


@cache
def _client(service: str) -> Any:
    """Make a client once: that reads botocore's large models."""
    return boto3.client(service, region_name=REGION)


class Account:
    """A session whose clients expect the calls that they were told, in order."""

    def __init__(self) -> None:
        self._stubbers = {name: Stubber(_client(name)) for name in ("ssm", "bedrock", "bedrock-runtime")}
        for stubber in self._stubbers.values():
            stubber.activate()

    def client(self, service: str, config: Config | None = None) -> Any:
        assert config is None or config.retries == {"mode": "standard", "total_max_attempts": 1}
        return _client(service)

    def promotes(self, model_arn: str) -> None:
        asked = {"Name": "/tunedrop/models/banking77"}
        self._stubbers["ssm"].add_response("get_parameter", {"Parameter": {"Value": model_arn}}, asked)

    def promotes_nothing(self) -> None:
        self._stubbers["ssm"].add_client_error("get_parameter", "ParameterNotFound")

    def has_imported(self, model_arn: str, *, instruct_supported: bool = True) -> None:
        told = {
            "modelArn": model_arn,
            "modelName": "tunedrop-x",
            "modelDataSource": {"s3DataSource": {"s3Uri": "s3://runs/x/"}},
            "instructSupported": instruct_supported,
        }
        self._stubbers["bedrock"].add_response("get_imported_model", told, {"modelIdentifier": model_arn})

    def lacks(self, code: str = "ResourceNotFoundException") -> None:
        self._stubbers["bedrock"].add_client_error("get_imported_model", code, "made up", 404)

    def answers(self, **asked: Any) -> None:
        self._stubbers["bedrock-runtime"].add_response(
            "converse", ANSWER, {"modelId": MODEL_ARN, **asked} if asked else None
        )

    def completes(self, body: dict[str, Any], choice: dict[str, Any]) -> None:
        said = {"choices": [{"finish_reason": "stop", **choice}], "usage": {"prompt_tokens": 5, "completion_tokens": 2}}
        data = json.dumps(said).encode()
        answer = {
            "body": StreamingBody(io.BytesIO(data), len(data)),
            "contentType": "application/json",
            "ResponseMetadata": {},
        }
        kind = "application/json"
        asked = {"modelId": MODEL_ARN, "body": json.dumps(body), "contentType": kind, "accept": kind}
        self._stubbers["bedrock-runtime"].add_response("invoke_model", answer, asked)

    def fails(self, code: str, status: int) -> None:
        self._stubbers["bedrock-runtime"].add_client_error("converse", code, "made up", status)

    def is_over(self) -> None:
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()
            stubber.deactivate()


@pytest.fixture
def account() -> Iterator[Account]:
    account = Account()
    yield account
    account.is_over()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    return clock


def model(account: Account, **changes: Any) -> tunedrop.Model:
    return tunedrop.Model("banking77", session=account, **changes)  # type: ignore[arg-type]  # what is used of a session


def test_the_champion_is_asked_with_what_converse_takes_and_answers_what_converse_returns(account: Account) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    asked = {"messages": HELLO, "system": [{"text": "Be brief."}], "inferenceConfig": {"maxTokens": 16}}
    account.answers(**asked)
    answer = model(account).converse(**asked)
    assert answer["output"]["message"]["content"] == [{"text": "card_arrival"}]


def test_a_model_that_converse_does_not_take_answers_in_the_same_shape(account: Account) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN, instruct_supported=False)
    body = {
        "messages": [{"role": "user", "content": "Where is my card?"}],
        "max_tokens": 16,
        "top_p": 0.5,
        "stop": ["."],
    }
    account.completes(body, {"message": {"role": "assistant", "content": "card_arrival"}})
    sampling = {"maxTokens": 16, "topP": 0.5, "stopSequences": ["."]}
    answer = model(account).converse(HELLO, inferenceConfig=sampling)
    assert {name: answer[name] for name in ("output", "stopReason", "usage")} == {
        name: ANSWER[name] for name in ("output", "stopReason", "usage")
    }
    assert answer["metrics"]["latencyMs"] > 0


def test_the_confidence_is_the_geometric_mean_of_the_tokens_probabilities(account: Account) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    body = {"messages": [{"role": "user", "content": "Where is my card?"}], "logprobs": True, "top_logprobs": 1}
    told = [{"token": "card", "logprob": -0.5}, {"token": "_arrival", "logprob": -0.1}]
    account.completes(body, {"message": {"content": "card_arrival"}, "logprobs": {"content": told}})
    confidence = model(account).converse(HELLO, confidence=True)["confidence"]
    assert confidence["value"] == pytest.approx(0.7408182)  # e to the power of -0.3
    assert confidence["tokens"][0] == {"text": "card", "probability": pytest.approx(0.6065307)}


def test_a_model_that_tells_no_log_probabilities_says_so(account: Account) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    body = {"messages": [{"role": "user", "content": "Where is my card?"}], "logprobs": True, "top_logprobs": 1}
    account.completes(body, {"message": {"content": "card_arrival"}, "logprobs": None})
    with pytest.raises(ConfidenceUnavailableError, match="imported after 2025-11-11"):
        model(account).converse(HELLO, confidence=True)


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"document": {"name": "x", "source": {"text": "x"}}}, '"document" cannot be told'),
        ({"image": {"format": "png", "source": {"s3Location": {"uri": "s3://x"}}}}, "must come with its bytes"),
    ],
)
def test_what_the_chat_form_has_no_word_for_is_refused(account: Account, block: dict[str, Any], part: str) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    with pytest.raises(PromptRefusedError, match=part):
        model(account).converse([{"role": "user", "content": [block]}], confidence=True)


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ({"messages": [{"role": "user"}]}, 'Missing required parameter in messages\\[0\\]: "content"'),
        (
            {"messages": HELLO, "inferenceConfig": {"max_tokens": 3}},
            'Unknown parameter in inferenceConfig: "max_tokens"',
        ),
        ({"messages": HELLO, "system": "Be brief."}, "Invalid type for parameter system"),
    ],
)
def test_what_is_malformed_is_refused_before_any_call(account: Account, asked: dict[str, Any], part: str) -> None:
    with pytest.raises(PromptRefusedError, match=part):
        model(account).converse(**asked)
    with pytest.raises(PromptRefusedError, match=part):
        model(account).converse_stream(**asked)


def test_the_champion_is_looked_up_once_a_minute(account: Account, clock: Clock) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    for _ in range(3):
        account.answers()
    account.promotes(MODEL_ARN)
    asked = model(account)
    asked.converse(HELLO)
    clock.now += client.ALIAS_SECONDS - 1
    asked.converse(HELLO)
    clock.now += 1
    asked.converse(HELLO)


def test_a_rollback_is_followed_within_a_minute(account: Account, clock: Clock) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    account.promotes(OTHER_ARN)
    account.has_imported(OTHER_ARN)
    asked = model(account)
    assert asked.serving().model_arn == MODEL_ARN
    clock.now += client.ALIAS_SECONDS
    assert asked.serving().model_arn == OTHER_ARN


def test_a_champion_that_is_gone_is_looked_up_anew_at_once(account: Account) -> None:
    account.promotes(OTHER_ARN)
    account.has_imported(OTHER_ARN)
    account.fails("ResourceNotFoundException", 404)
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    account.answers(messages=HELLO)
    assert model(account).converse(HELLO)["stopReason"] == "end_turn"


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_a_champion_that_cannot_be_called_is_told(account: Account, code: str) -> None:
    for _ in range(2):
        account.promotes(MODEL_ARN)
        account.lacks(code)
    with pytest.raises(ModelUnavailableError, match=rf"{MODEL_ARN} cannot be called: made up"):
        model(account).converse(HELLO)


def test_a_dataset_without_a_champion_is_told(account: Account) -> None:
    account.promotes_nothing()
    with pytest.raises(NothingPromotedError, match='"banking77"'):
        model(account).converse(HELLO)


def test_a_cold_model_is_waited_for_and_so_is_a_throttled_call(account: Account, clock: Clock) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    account.fails("ModelNotReadyException", 429)
    account.fails("ThrottlingException", 429)
    account.answers()
    told: list[tuple[type[TunedropError], float]] = []
    answer = model(account, waiting=lambda error, waited: told.append((type(error), waited))).converse(HELLO)
    assert answer["stopReason"] == "end_turn"
    assert told == [(ModelNotReadyError, 0.0), (TransientError, client.RETRY_SECONDS)]
    assert clock.now == 1000 + 2 * client.RETRY_SECONDS


def test_a_model_that_stays_cold_is_given_up_with_the_limit_in_the_message(account: Account, clock: Clock) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    for _ in range(1 + int(120 / client.RETRY_SECONDS)):
        account.fails("ModelNotReadyException", 429)
    account.promotes(MODEL_ARN)  # it is still the champion
    account.promotes(MODEL_ARN)
    with pytest.raises(ModelNotReadyError, match=r"did not get ready in 120 seconds: made up"):
        model(account, patience=120).converse(HELLO)
    assert clock.now == 1120


def test_threads_that_share_a_model_look_its_champion_up_once(account: Account) -> None:
    account.promotes(MODEL_ARN)
    account.has_imported(MODEL_ARN)
    shared = model(account)
    with ThreadPoolExecutor(8) as pool:
        assert len({id(serving) for serving in pool.map(lambda _: shared.serving(), range(32))}) == 1


def test_nothing_is_asked_before_the_first_question(account: Account) -> None:
    assert model(account, stack="elsewhere")
