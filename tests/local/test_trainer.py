"""The training script behind the local JumpStart, run as a SageMaker container runs it, on the tiny model."""

from __future__ import annotations

import importlib
import json
import math
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from PIL import Image
from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoTokenizer

from local.bedrock.language_model import LanguageModel, Prompt
from local.jumpstart.models import tiny_llama, tiny_mllama, word_counts
from local.jumpstart.scripts.word_counts import WordCounts
from local.jumpstart.specs import TINY_LLAMA

SCRIPTS = Path(__file__).parents[2] / "local" / "jumpstart" / "scripts"
COLOURS = {"aaa": "red", "bbb": "blue", "ccc": "green", "ddd": "pink"}
ROWS = [{"instruction": "name it", "context": code, "response": colour} for code, colour in COLOURS.items()] * 5
TEMPLATE = {"prompt": "{context}", "completion": "{response}"}
QUICK = {
    "instruction_tuned": "True",
    "epoch": "2",
    "learning_rate": "0.01",
    "per_device_train_batch_size": "4",
    "per_device_eval_batch_size": "4",
}


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return tiny_llama()


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Import modules of the script as its own folder lets it, and forget them afterwards."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module
    for path in SCRIPTS.glob("*.py"):
        sys.modules.pop(path.stem, None)


class Job:
    """A training job: its channels on disk, what it left and what it said."""

    def __init__(self, folder: Path, base_model: Path, main: Callable[[Mapping[str, str]], int]) -> None:
        self.folder = folder
        self.training = folder / "input" / "data" / "training"
        self.training.mkdir(parents=True)
        self.model = folder / "model"
        self._main = main
        self._environment = {
            "SM_CHANNEL_TRAINING": str(self.training),
            "SM_CHANNEL_MODEL": str(base_model),
            "SM_MODEL_DIR": str(self.model),
            "SM_OUTPUT_DIR": str(folder / "output"),
            "SM_NUM_CPUS": "1",
        }

    def write(
        self,
        rows: Sequence[Mapping[str, Any]],
        template: Mapping[str, str] | None = TEMPLATE,
        channel: str = "training",
    ) -> None:
        folder = self.training.with_name(channel)
        folder.mkdir(exist_ok=True)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        if template is not None:
            (folder / "template.json").write_text(json.dumps(template), encoding="utf-8")
        self._environment[f"SM_CHANNEL_{channel.upper()}"] = str(folder)

    def run(self, **hyperparameters: str) -> int:
        shutil.rmtree(self.model, ignore_errors=True)
        return self._main(self._environment | {"SM_HPS": json.dumps(QUICK | hyperparameters)})

    @property
    def failure(self) -> str:
        return (self.folder / "output" / "failure").read_text(encoding="utf-8")

    @property
    def weights(self) -> bytes:
        return (self.model / "model.safetensors").read_bytes()


@pytest.fixture
def job(tmp_path: Path, base_model: Path, script: Callable[[str], ModuleType]) -> Job:
    return Job(tmp_path, base_model, script("transfer_learning").main)


def answer(model_folder: Path, prompt: str) -> str:
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    model = AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32)
    prompt_ids = tokenizer(prompt, return_tensors="pt")
    generated = model.generate(**prompt_ids, max_new_tokens=12, do_sample=False)
    return str(tokenizer.decode(generated[0, prompt_ids["input_ids"].shape[1] :], skip_special_tokens=True))


def test_the_tuned_model_answers_as_its_rows_do_and_the_base_model_does_not(job: Job, base_model: Path) -> None:
    job.write(ROWS)
    assert job.run(epoch="25") == 0
    for code, colour in COLOURS.items():
        prompt = f"{code}\n\n### Response:\n"
        assert answer(job.model, prompt) == colour
        assert answer(base_model, prompt) != colour


def test_the_artifact_is_a_whole_merged_model_in_bfloat16_with_the_base_models_tokenizer(
    job: Job, base_model: Path
) -> None:
    job.write(ROWS)
    assert job.run(epoch="1") == 0
    assert {path.name for path in job.model.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    }
    assert json.loads((job.model / "config.json").read_text())["architectures"] == ["LlamaForCausalLM"]
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        assert (job.model / name).read_bytes() == (base_model / name).read_bytes()
    tuned, base = (
        AutoModelForCausalLM.from_pretrained(path, dtype="auto").state_dict() for path in (job.model, base_model)
    )
    assert {weight.dtype for weight in tuned.values()} == {torch.bfloat16}
    changed = {name.split(".")[-2] for name, weight in tuned.items() if not torch.equal(weight, base[name])}
    assert changed == {"q_proj", "v_proj"}


def test_every_epoch_logs_numbers_that_the_models_own_metric_regexes_read(
    job: Job, capsys: pytest.CaptureFixture[str]
) -> None:
    job.write(ROWS)
    assert job.run(epoch="3") == 0
    log = capsys.readouterr().out
    metrics = {
        metric["Name"].split(":")[1]: re.findall(metric["Regex"], log) for metric in TINY_LLAMA.spec()["metrics"]
    }
    assert {name: len(values) for name, values in metrics.items()} == {"train-loss": 3, "eval-loss": 3, "eval-ppl": 3}
    losses = [float(value) for value in metrics["train-loss"]]
    assert losses[0] > losses[-1] > 0
    # Fixed-point: the regexes would read 1e-05 as 1.
    assert len(re.findall(r"eval_ppl=tensor\(\d+\.\d{4}\) eval_epoch_loss=tensor\(\d+\.\d{6}\)\n", log)) == 3
    assert len(re.findall(r"train_epoch_loss=\d+\.\d{6},", log)) == 3
    assert re.search(r"Training Epoch: 3/3, step 4/4 completed \(loss: \d+\.\d+\)", log)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(job: Job) -> None:
    job.write(ROWS)
    weights = []
    for seed in ("10", "10", "11"):
        assert job.run(seed=seed) == 0
        weights.append(job.weights)
    assert weights[0] == weights[1] != weights[2]


def test_the_epoch_with_the_lowest_validation_loss_is_kept(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.write(ROWS)
    # The answers to validate on are other ones, so that learning the training rows soon makes the loss rise.
    job.write([row | {"response": "QUX"} for row in ROWS[:4]], channel="validation")
    assert job.run(epoch="6", learning_rate="0.03") == 0
    kept = job.weights
    losses = [float(loss) for loss in re.findall(r"eval_epoch_loss=tensor\((.*?)\)", capsys.readouterr().out)]
    best = losses.index(min(losses)) + 1
    assert best < len(losses)
    assert job.run(epoch=str(best), learning_rate="0.03") == 0
    assert job.weights == kept


@pytest.mark.parametrize(
    ("hyperparameters", "said"),
    [
        ({}, "16 rows to train on, 4 to validate on"),
        ({"validation_split_ratio": "0.01"}, "19 rows to train on, 1 to validate on"),
        ({"validation_split_ratio": "0"}, "20 rows to train on, 0 to validate on"),
        ({"max_train_samples": "5", "max_val_samples": "2"}, "5 rows to train on, 2 to validate on"),
    ],
)
def test_without_a_validation_channel_a_share_of_the_rows_validates(
    job: Job, capsys: pytest.CaptureFixture[str], hyperparameters: dict[str, str], said: str
) -> None:
    job.write(ROWS)
    assert job.run(epoch="1", **hyperparameters) == 0
    assert said in capsys.readouterr().out


def test_with_a_validation_channel_every_training_row_trains(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.write(ROWS)
    job.write(ROWS[:3], template=None, channel="validation")
    assert job.run(epoch="1") == 0
    assert "20 rows to train on, 3 to validate on" in capsys.readouterr().out


def test_every_jsonl_file_of_the_channel_is_read(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.write(ROWS)
    (job.training / "more.jsonl").write_text((job.training / "rows.jsonl").read_text())
    (job.training / "notes.txt").write_text("not a row")
    assert job.run(epoch="1", validation_split_ratio="0") == 0
    assert "40 rows to train on" in capsys.readouterr().out


def test_a_gpu_setting_is_accepted_and_said_to_have_no_effect(job: Job, capsys: pytest.CaptureFixture[str]) -> None:
    job.write(ROWS)
    assert job.run(epoch="1", int8_quantization="True", preprocessing_num_workers="4") == 0
    log = capsys.readouterr().out
    assert "int8_quantization=True has no effect" in log
    assert "preprocessing_num_workers has no effect" in log


@pytest.mark.parametrize(
    ("hyperparameters", "reason"),
    [
        ({"chat_dataset": "True"}, "at most one of them"),
        ({"max_input_length": "5"}, "leaves nothing to learn"),
        ({"epochs": "2"}, "unknown hyperparameter 'epochs'"),
        ({"epoch": "two"}, "epoch='two' is not a number"),
        ({"add_input_output_demarcation_key": "yes"}, "neither 'True' nor 'False'"),
        ({"validation_split_ratio": "1"}, "leaves none of 20 rows"),
        ({"target_modules": "query"}, "query"),
    ],
)
def test_a_setting_that_cannot_be_followed_fails_the_job_with_its_reason(
    job: Job, hyperparameters: dict[str, str], reason: str
) -> None:
    job.write(ROWS)
    assert job.run(**hyperparameters) == 1
    assert reason in job.failure
    assert not job.model.exists()


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        (
            "rows.jsonl",
            '{"context": "a", "response": "b"}\n{"context": "a"}\n',
            "rows.jsonl, line 2 has no text 'response'",
        ),
        ("rows.jsonl", '{"context": "a", "response": 7}\n', "line 1 has no text 'response'"),
        ("rows.jsonl", '\n{"context": \n', "rows.jsonl, line 2 is not JSON"),
        ("rows.jsonl", "[1]\n", "rows.jsonl, line 1 is not a JSON object"),
        ("rows.txt", "a", "holds no row"),
        ("template.json", "{", "template.json is not JSON"),
        ("template.json", '{"prompt": "{context}"}', "'prompt' and 'completion'"),
    ],
)
def test_data_that_cannot_be_read_fails_the_job_with_the_place(job: Job, file: str, content: str, reason: str) -> None:
    if file == "template.json":
        job.write(ROWS)
    (job.training / file).write_text(content, encoding="utf-8")
    if file == "rows.jsonl":
        (job.training / "template.json").write_text(json.dumps(TEMPLATE), encoding="utf-8")
    assert job.run() == 1
    assert reason in job.failure


@pytest.fixture
def prepare(
    tmp_path: Path, base_model: Path, script: Callable[[str], ModuleType]
) -> Callable[..., tuple[str, str, Any]]:
    """Prepare one row as the script does; returns prompt and completion as text, and the tokenizer."""
    instructions = script("instructions")

    def run(
        row: dict[str, str], template: dict[str, str] | None, *, demarcation: bool = True, max_length: int = 1024
    ) -> tuple[str, str, Any]:
        (tmp_path / "rows.jsonl").write_text(json.dumps(row), encoding="utf-8")
        if template is not None:
            (tmp_path / "template.json").write_text(json.dumps(template), encoding="utf-8")
        tokenizer = AutoTokenizer.from_pretrained(base_model)
        (example,) = instructions.read_examples(
            tmp_path, instructions.Template.read(tmp_path), tokenizer, demarcation=demarcation, max_length=max_length
        )
        # The prompt's ids are those of the prompt alone: what inference sends is what training saw.
        assert list(example.prompt) == tokenizer(tokenizer.decode(example.prompt))["input_ids"]
        completion = example.tokens[len(example.prompt) :]
        assert all(example.learnt[len(example.prompt) :])
        return tokenizer.decode(example.prompt), tokenizer.decode(completion), tokenizer

    return run


def test_a_row_becomes_prompt_demarcation_completion_and_end(prepare: Callable[..., tuple[str, str, Any]]) -> None:
    prompt, completion, tokenizer = prepare(
        {"q": "why {x}?", "a": "so {q}"}, {"prompt": "{{Q}}: {q}", "completion": "{a}!"}
    )
    assert prompt == "{Q}: why {x}?\n\n### Response:\n"
    assert completion == "so {q}!" + tokenizer.eos_token


def test_the_demarcation_is_left_out_when_asked(prepare: Callable[..., tuple[str, str, Any]]) -> None:
    prompt, _, _ = prepare({"q": "why", "a": "so"}, {"prompt": "{q}", "completion": "{a}"}, demarcation=False)
    assert prompt == "why"


def test_jumpstarts_default_template_fills_in_when_there_is_none(prepare: Callable[..., tuple[str, str, Any]]) -> None:
    prompt, completion, _ = prepare({"instruction": "Add.", "context": "1, 2", "response": "3"}, None)
    assert prompt.endswith("request.\n\n### Instruction:\nAdd.\n\n### Input:\n1, 2\n\n### Response:\n")
    assert completion.startswith("3")


@pytest.mark.parametrize(("max_length", "kept"), [(21, "so"), (10, "")])
def test_a_row_that_is_too_long_is_cut_at_its_end(
    prepare: Callable[..., tuple[str, str, Any]], max_length: int, kept: str
) -> None:
    # A token is a byte here; the prompt with its demarcation has 19.
    prompt, completion, _ = prepare(
        {"q": "why", "a": "so long"}, {"prompt": "{q}", "completion": "{a}"}, max_length=max_length
    )
    assert len(prompt) + len(completion) == max_length
    assert completion == kept


def test_batches_hold_every_example_once_and_rows_of_similar_length(script: Callable[[str], ModuleType]) -> None:
    module = script("instructions")
    examples = [module.Example((1,) * length, (True,) * length) for length in range(1, 101)]
    orders = [random.Random(seed) for seed in (1, 2)]  # noqa: S311 - repeatable, not secret
    first, second = (module.batches(examples, 8, order) for order in orders)
    assert sorted((example for batch in first for example in batch), key=lambda example: example.length) == examples
    assert all(batch[-1].length - batch[0].length < 8 for batch in first)
    assert first != second


def test_padding_changes_no_loss(base_model: Path, script: Callable[[str], ModuleType]) -> None:
    tuning, examples = script("tuning"), script("instructions")
    model = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    short, long = (
        examples.Example.joined([(read, False), (learnt, True)], max_length=100)
        for read, learnt in (((5, 6), (7, 2)), ((5,) * 40, (8, 9, 2)))
    )
    (alone_short, _), (alone_long, _) = tuning.batch_loss(adapted, [short]), tuning.batch_loss(adapted, [long])
    together, targets = tuning.batch_loss(adapted, [short, long])
    assert targets == 5
    assert together.item() == pytest.approx((2 * alone_short.item() + 3 * alone_long.item()) / 5, rel=1e-5)


def test_the_dpo_loss_is_that_of_the_paper_and_its_reference_is_the_untrained_model(
    base_model: Path, script: Callable[[str], ModuleType]
) -> None:
    tuning, examples, preference = script("tuning"), script("instructions"), script("preference")
    base = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)
    adapted = get_peft_model(
        AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32),
        LoraConfig(target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", init_lora_weights=False),
    )
    asked = ((5, 6, 9), (5, 7))
    answers = (((7, 2), (8, 9, 2)), ((3, 2), (4, 2)))
    pairs = [
        preference.Pair(*(examples.Example.joined([(ask, False), (each, True)], 100) for each in both))
        for ask, both in zip(asked, answers, strict=True)
    ]

    def probability(model: Any, ask: Sequence[int], answer: Sequence[int]) -> float:
        said = torch.log_softmax(model(torch.tensor([[*ask, *answer]])).logits[0].detach(), -1)
        return float(sum(said[len(ask) - 1 + at, token] for at, token in enumerate(answer)))

    def margin(model: Any, number: int) -> float:
        chosen, rejected = answers[number]
        return probability(model, asked[number], chosen) - probability(model, asked[number], rejected)

    with torch.no_grad():
        gains = [margin(adapted, number) - margin(base, number) for number in range(2)]
    expected = -sum(math.log(1 / (1 + math.exp(-0.5 * gain))) for gain in gains) / 2
    loss, number = preference.Preference(beta=0.5).loss(adapted.eval(), pairs)
    assert any(abs(gain) > 1e-3 for gain in gains), "the adapter changes something"
    assert (loss.item(), number) == (pytest.approx(expected, rel=1e-4), 2)
    loss.backward()
    trained = {name for name, weight in adapted.named_parameters() if weight.grad is not None}
    assert trained
    assert all("lora" in name for name in trained), "the reference is frozen"
    assert tuning.log_probabilities(adapted, [pairs[0].chosen]).tolist() == pytest.approx(
        [probability(adapted, asked[0], answers[0][0])], rel=1e-4
    )


CHAT = {"instruction_tuned": "False", "chat_dataset": "True"}
FIRST, SECOND = {"role": "user", "content": "aaa"}, {"role": "user", "content": "more"}
TURNS = [FIRST, {"role": "assistant", "content": "red"}, SECOND, {"role": "assistant", "content": "RED!"}]


@pytest.mark.parametrize("key", ["dialog", "messages", "conversations"])
def test_a_conversation_is_learnt_turn_by_turn_as_serving_renders_it(
    job: Job, base_model: Path, script: Callable[[str], ModuleType], key: str
) -> None:
    system = {"role": "system", "content": "be brief"}
    job.write([{key: [system, *TURNS]}])
    tokenizer, served = AutoTokenizer.from_pretrained(base_model), LanguageModel(base_model)
    (example,) = script("conversations").read_conversations(job.training, tokenizer, max_length=1024)
    for at, asked in ((2, [system, FIRST]), (4, [system, *TURNS[:3]])):
        prompt = served.render(asked)
        assert example.tokens[: len(prompt)] == prompt
        answer = tuple(tokenizer(TURNS[at - 1]["content"], add_special_tokens=False)["input_ids"])
        expected = (*answer, tokenizer.eos_token_id)
        assert example.tokens[len(prompt) :][: len(expected)] == expected
    learnt = [token for token, learnt in zip(example.tokens, example.learnt, strict=True) if learnt]
    assert tokenizer.decode(learnt) == f"red{tokenizer.eos_token}RED!{tokenizer.eos_token}"


def test_a_model_tuned_on_conversations_answers_later_turns_from_earlier_ones(job: Job, base_model: Path) -> None:
    def dialog(code: str, colour: str) -> list[dict[str, str]]:
        said = (code, colour, "more", colour.upper())
        return [{"role": ("user", "assistant")[turn % 2], "content": text} for turn, text in enumerate(said)]

    rows = [{"dialog": dialog(code, colour)} for code, colour in COLOURS.items()]
    job.write(rows * 3, template=None)
    (job.training / "more.jsonl").write_text((job.training / "rows.jsonl").read_text(), encoding="utf-8")
    assert job.run(**CHAT, epoch="25", validation_split_ratio="0") == 0
    for folder, right in ((job.model, True), (base_model, False)):
        model = LanguageModel(folder)
        for row in rows:
            prompt = Prompt(model.render(row["dialog"][:3]), max_tokens=12, temperature=0, top_p=1)
            (said,) = model.generate([prompt])
            assert (said.text == row["dialog"][3]["content"]) is right


def test_a_model_without_a_chat_template_is_served_with_the_one_it_was_trained_on(
    tmp_path: Path, base_model: Path, script: Callable[[str], ModuleType]
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(base_model, bare, ignore=shutil.ignore_patterns("chat_template.jinja"))
    job = Job(tmp_path, bare, script("transfer_learning").main)
    job.write([{"dialog": TURNS}] * 5)
    assert job.run(**CHAT, epoch="1") == 0
    (example,) = script("conversations").read_conversations(
        job.training, AutoTokenizer.from_pretrained(bare), max_length=1024
    )[:1]
    served = LanguageModel(job.model)
    prompt = served.render(TURNS[:3])
    assert served.decode(prompt) == f"aaa\n\n### Response:\nred{'<|im_end|>'}more\n\n### Response:\n"
    assert example.tokens[: len(prompt)] == prompt


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"context": "a", "response": "b"}, "rows.jsonl, line 1 has no list 'dialog', 'messages' or 'conversations'"),
        ({"dialog": [{"role": "bot", "content": "a"}]}, "line 1: message 1 has no role"),
        ({"dialog": [FIRST, {"role": "assistant", "content": None}]}, "line 1: message 2 has no role"),
        ({"dialog": [FIRST]}, "line 1 has no message of the assistant"),
    ],
)
def test_a_row_that_is_no_conversation_fails_the_job_with_its_place(job: Job, row: Any, reason: str) -> None:
    job.write([row])
    assert job.run(**CHAT) == 1
    assert reason in job.failure


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('only prose') }}", "refuses the conversation: only prose"),
        ("{% for m in messages %}{{ m['content'] if loop.last else '-' }}{% endfor %}", "renders a turn differently"),
    ],
)
def test_a_template_that_cannot_render_the_conversation_fails_the_job(
    tmp_path: Path, base_model: Path, script: Callable[[str], ModuleType], template: str, reason: str
) -> None:
    other = tmp_path / "other"
    shutil.copytree(base_model, other)
    (other / "chat_template.jinja").write_text(template, encoding="utf-8")
    job = Job(tmp_path, other, script("transfer_learning").main)
    job.write([{"dialog": TURNS}])
    assert job.run(**CHAT) == 1
    assert reason in job.failure


CORPUS = {"instruction_tuned": "False", "chat_dataset": "False"}
PROSE = "Vessmark has plums. "


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "one two\nthree"),
        ("a.csv", 'id,text\n1,"one two\nthree"\n'),
        ("a.csv", '"one two\nthree"\n"one two\nthree"\n'),
        ("a.json", '[{"text": "one two\\nthree"}]'),
        ("a.json", '{"id": 1, "text": "one two\\nthree"}\n'),
        ("a.json", '\n{"body": "one two\\nthree", "id": 1}\n\n'),
    ],
)
def test_running_text_is_read_from_every_format(
    tmp_path: Path, base_model: Path, script: Callable[[str], ModuleType], name: str, content: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    (tmp_path / "notes.md").write_text("not a part of it", encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    (block,) = script("corpus").read_corpus(tmp_path, tokenizer, max_length=1024)
    assert tokenizer.decode(block.tokens) == f"one two\nthree{tokenizer.eos_token}"
    assert all(block.learnt)


def test_texts_fill_blocks_without_gaps(tmp_path: Path, base_model: Path, script: Callable[[str], ModuleType]) -> None:
    (tmp_path / "a.csv").write_text("text\none\n\ntwo\nthree\n", encoding="utf-8")
    tokenizer = AutoTokenizer.from_pretrained(base_model)
    blocks = script("corpus").read_corpus(tmp_path, tokenizer, max_length=5)
    assert [tokenizer.decode(block.tokens) for block in blocks] == ["one<|im_end|>t", "wo<|im_end|>th", "ree<|im_end|>"]


def test_a_model_tuned_on_a_corpus_continues_it_and_finds_it_likely(
    job: Job, base_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (job.training / "corpus.txt").write_text(PROSE * 40, encoding="utf-8")
    linear = "q_proj,k_proj,v_proj,o_proj,gate_proj,up_proj,down_proj"
    assert job.run(**CORPUS, epoch="10", max_input_length="64", target_modules=linear) == 0
    perplexities = [float(value) for value in re.findall(r"eval_ppl=tensor\((.*?)\)", capsys.readouterr().out)]
    assert len(perplexities) == 10
    assert perplexities[-1] < perplexities[0] / 2
    assert answer(job.model, PROSE[:9]).startswith("has plums.")
    assert "plums" not in answer(base_model, PROSE[:9])


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.md": "text"}, "must hold one .txt, .csv or .json file, and holds none"),
        ({"a.txt": "text", "b.csv": "text\n"}, "and holds a.txt, b.csv"),
        ({"a.txt": " \n"}, "a.txt holds no text"),
        ({"a.json": '[{"text": 7}]'}, "a.json, record 1 has no text in 'text' or its first column"),
        ({"a.json": '{"text": "a"}\n{"text": \n'}, "a.json, line 2 is not JSON"),
        ({"a.json": '{"text": "a"}\n{}\n'}, "a.json, line 2 has no text"),
    ],
)
def test_a_corpus_that_cannot_be_read_fails_the_job(job: Job, files: dict[str, str], reason: str) -> None:
    for name, content in files.items():
        (job.training / name).write_text(content, encoding="utf-8")
    assert job.run(**CORPUS) == 1
    assert reason in job.failure


@pytest.fixture(scope="session")
def vision_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return tiny_mllama()


@pytest.fixture
def vision_job(tmp_path: Path, vision_model: Path, script: Callable[[str], ModuleType]) -> Job:
    return Job(tmp_path, vision_model, script("transfer_learning").main)


VISUAL = {"instruction_tuned": "False", "peft_type": "None", "learning_rate": "0.003"}
SHADES = {"a.png": (0, "ink"), "b.png": (255, "paper")}


def draw(folder: Path, rows: Sequence[Mapping[str, Any]] | None = None) -> None:
    """Write pictures of one shade each, and rows that ask for it."""
    (folder / "images").mkdir()
    for name, (shade, _) in SHADES.items():
        Image.new("L", (84, 84), shade).save(folder / "images" / name)
    shades = [{"file_name": f"images/{name}", "prompt": "?", "completion": said} for name, (_, said) in SHADES.items()]
    text = "".join(json.dumps(row) + "\n" for row in rows or shades * 8)
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8")


def told(model_folder: Path, picture: Path) -> str:
    model = LanguageModel(model_folder)
    question = [{"type": "image"}, {"type": "text", "text": "?"}]
    tokens = model.render([{"role": "user", "content": question}])
    prompt = Prompt(tokens, max_tokens=8, temperature=0, top_p=1, pictures=(Image.open(picture),))
    return model.generate([prompt])[0].text


def test_a_vision_model_learns_to_tell_pictures_apart(
    vision_job: Job, vision_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw(vision_job.training)
    assert vision_job.run(**VISUAL, epoch="30", validation_split_ratio="0.1") == 0
    for name, (_, said) in SHADES.items():
        picture = vision_job.training / "images" / name
        assert told(vision_job.model, picture) == said
        assert told(vision_model, picture) != said
    assert len(re.findall(r"eval_epoch_loss=tensor\(\d+\.\d{6}\)", capsys.readouterr().out)) == 30
    names = {path.name for path in vision_model.iterdir()}
    assert {path.name for path in vision_job.model.iterdir()} == names
    assert json.loads((vision_job.model / "config.json").read_text())["architectures"] == [
        "MllamaForConditionalGeneration"
    ]


def test_a_vision_model_without_a_chat_template_for_pictures_fails_the_job(
    tmp_path: Path, vision_model: Path, script: Callable[[str], ModuleType]
) -> None:
    bare = tmp_path / "bare"
    shutil.copytree(vision_model, bare, ignore=shutil.ignore_patterns("chat_template.jinja"))
    job = Job(tmp_path, bare, script("transfer_learning").main)
    draw(job.training)
    assert job.run(**VISUAL) == 1
    assert "chat template refuses the conversation" in job.failure


def test_a_vision_model_can_be_tuned_with_adapters(vision_job: Job, vision_model: Path) -> None:
    draw(vision_job.training)
    assert vision_job.run(**VISUAL | {"peft_type": "lora"}, epoch="1") == 0
    tuned, base = (
        AutoModelForImageTextToText.from_pretrained(path, dtype="auto").state_dict()
        for path in (vision_job.model, vision_model)
    )
    changed = {name.split(".")[-2] for name, weight in tuned.items() if not torch.equal(weight, base[name])}
    assert changed == {"q_proj", "v_proj"}


def test_training_renders_a_question_about_a_picture_as_serving_does(
    vision_job: Job, vision_model: Path, script: Callable[[str], ModuleType]
) -> None:
    draw(vision_job.training)
    tokenizer = AutoTokenizer.from_pretrained(vision_model)
    example = script("pictures").read_pictures(vision_job.training, tokenizer, max_length=1024)[0]
    question = [{"type": "image"}, {"type": "text", "text": "?"}]
    prompt = LanguageModel(vision_model).render([{"role": "user", "content": question}])
    assert example.tokens[: len(prompt)] == prompt
    assert tokenizer.decode(example.tokens[len(prompt) :]) == f"ink{tokenizer.eos_token}"


ROW = {"file_name": "images/a.png", "prompt": "?", "completion": "ink"}


@pytest.mark.parametrize(
    ("row", "hyperparameters", "reason"),
    [
        (ROW | {"completion": None}, {}, "metadata.jsonl, line 1 has no text 'completion'"),
        (ROW | {"file_name": "images/none.png"}, {}, "there is no picture images/none.png"),
        (ROW | {"file_name": "../../../failure.png"}, {}, "there is no picture ../../../failure.png"),
        (ROW | {"file_name": "metadata.jsonl"}, {}, "metadata.jsonl is not a picture"),
        (ROW | {"prompt": "<|image|>?"}, {}, "line 1: the prompt must hold <|image|> once"),
        (ROW, {"chat_dataset": "True"}, "a vision model learns questions about pictures"),
        (ROW, {"peft_type": "full"}, "neither 'lora' nor 'None'"),
    ],
)
def test_pictures_that_cannot_be_learnt_fail_the_job(
    vision_job: Job, row: dict[str, Any], hyperparameters: dict[str, str], reason: str
) -> None:
    draw(vision_job.training, [row])
    assert vision_job.run(**VISUAL | hyperparameters) == 1
    assert reason in vision_job.failure


def test_the_model_that_counts_words_reads_the_same_channels_and_hyperparameters(
    tmp_path: Path, script: Callable[[str], ModuleType]
) -> None:
    counting = script("count_words").run
    main = partial(script("transfer_learning").main, program=counting)
    job = Job(tmp_path, word_counts(), main)
    job.write(ROWS)
    assert job.run() == 0
    trained = WordCounts.load(job.model)
    assert {trained.answer(code) for code in COLOURS} == set(COLOURS.values())
    assert job.run(max_train_samples="0") == 1
    assert "leaves nothing to learn" in job.failure
