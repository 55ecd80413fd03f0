"""The adapter of the port Conversation on the local Bedrock: whichever call it is, the model is asked the same."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from local.bedrock.service import Bedrock
from local.jumpstart.models import tiny_llama, tiny_mllama, tiny_qwen3
from tests.local.fake_host import BUCKET, ROLE, FakeHost, connect, eventually, fake_host
from tunedrop.adapters.bedrock import BedrockConversation, BedrockModelImports
from tunedrop.domain.model_call import ModelCall, call_of_imported
from tunedrop.errors import ModelNotReadyError, PromptRefusedError
from tunedrop.ports import Answer, Picture, Question, ServedModel, Turn

READS, SEES = "tunedrop.tiny-random-llama", "tunedrop.tiny-random-mllama"
SAID = Question(
    turns=(Turn(role="user", text="hello"), Turn(role="assistant", text="yes?"), Turn(role="user", text="more")),
    system="be brief",
)


def page() -> Picture:
    content = io.BytesIO()
    Image.new("RGB", (64, 64), "white").save(content, "PNG")
    return Picture(format="png", data=content.getvalue())


@pytest.fixture(scope="module")
def conversation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BedrockConversation]:
    folder = tmp_path_factory.mktemp("bedrock")
    service = Bedrock({READS: tiny_llama(), SEES: tiny_mllama()})
    service.start(FakeHost(folder, folder))
    yield BedrockConversation(connect(service, "bedrock-runtime"))
    service.stop()


@pytest.mark.parametrize(
    ("model_id", "question"),
    [
        (READS, SAID),
        (SEES, Question(turns=(Turn(role="user", text="which company?"),), picture=page())),
    ],
)
def test_both_calls_give_the_same_answer(conversation: BedrockConversation, model_id: str, question: Question) -> None:
    answers = [conversation.ask(model_id, call, question, 6) for call in ModelCall]
    told = {answer.model_copy(update={"latency_ms": 0}) for answer in answers}
    assert len(told) == 1
    assert answers[0].stop_reason in {"end_turn", "max_tokens"}
    assert answers[0].input_tokens > answers[0].output_tokens > 0


@pytest.mark.parametrize("call", ModelCall)
def test_a_prompt_beyond_the_context_is_refused_by_both(conversation: BedrockConversation, call: ModelCall) -> None:
    with pytest.raises(PromptRefusedError, match="too long"):
        conversation.ask(READS, call, Question(turns=(Turn(role="user", text="x" * 5000),)), 6)


@contextmanager
def imported(tmp_path: Path, weights: Path) -> Iterator[tuple[ServedModel, BedrockConversation]]:
    """Import weights, and ask them as the application does."""
    with fake_host(tmp_path) as host:
        for file in weights.iterdir():
            host.client("s3").upload_file(str(file), BUCKET, f"model/{file.name}")
        service = Bedrock({})
        service.start(host)
        imports = BedrockModelImports(connect(service, "bedrock"), ROLE)
        job = imports.start("tuned", f"s3://{BUCKET}/model/", "run")

        def arn() -> str | None:
            state = imports.state(job)
            assert state is not None
            assert state.status != "Failed", state.failure_message
            return state.model_arn

        try:
            yield imports.model(eventually(arn)), BedrockConversation(connect(service, "bedrock-runtime"))
        finally:
            service.stop()


@pytest.mark.parametrize(("weights", "taken"), [(tiny_llama, ModelCall.CONVERSE), (tiny_qwen3, ModelCall.INVOKE_MODEL)])
def test_an_imported_model_is_called_as_its_family_allows(
    tmp_path: Path, weights: Callable[[], Path], taken: ModelCall
) -> None:
    with imported(tmp_path, weights()) as (model, conversation):
        assert call_of_imported(instruct_supported=model.instruct_supported, pictures=False) is taken

        def answer() -> Answer | None:
            try:
                return conversation.ask(model.arn, taken, SAID, 6)
            except ModelNotReadyError:
                return None

        assert eventually(answer, 120).output_tokens > 0
        if taken is ModelCall.INVOKE_MODEL:
            with pytest.raises(PromptRefusedError, match="doesn't support the model"):
                conversation.ask(model.arn, ModelCall.CONVERSE, SAID, 6)
