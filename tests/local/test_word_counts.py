"""The model that counts words, which chaos trains by the hundred, learns from rows and answers from its weights."""

from pathlib import Path

from local.bedrock.artifact import check_files
from local.bedrock.model_server import ModelServer
from local.bedrock.settings import Settings
from local.jumpstart.models import word_counts
from local.jumpstart.scripts.word_counts import WordCounts

ROWS = [("red 1", "warm"), ("red 2", "warm"), ("blue 1", "cold"), ("blue 3", "cold")]


def test_it_tells_answers_apart_by_their_words() -> None:
    model = WordCounts.of(ROWS)
    assert [model.answer(prompt) for prompt in ("red 7", "blue 7")] == ["warm", "cold"]


def test_it_has_no_answer_before_it_is_trained() -> None:
    assert WordCounts.load(word_counts()).answer("red 1") == ""


def test_bedrock_imports_it_and_answers_from_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in word_counts().iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    WordCounts.of(ROWS).save(folder)
    server = ModelServer(Settings(), tmp_path / "log")
    question = {"messages": [{"role": "user", "content": "blue 9"}]}

    said = list(server.ask(folder, question, wait=False))
    piece, _ = server.ask(folder, {**question, "stream": True}, wait=False)
    before = list(server.ask(word_counts(), question, wait=False))
    server.stop()

    assert check_files(folder) == "LlamaForCausalLM"
    assert [each["text"] for each in said + before] == ["cold", ""]
    assert piece["piece"]["text"] == "cold"
