"""The training script behind the local JumpStart, run as a SageMaker container runs it, on the tiny model."""

from __future__ import annotations

import importlib
import json
import random
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from local.jumpstart.models import tiny_llama
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
        ({"chat_dataset": "True", "instruction_tuned": "False"}, "instruction rows only"),
        ({"instruction_tuned": "False"}, "instruction rows only"),
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
        return tokenizer.decode(example.prompt), tokenizer.decode(example.completion), tokenizer

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
    instructions = script("instructions")
    examples = [instructions.Example((1,) * length, (2,)) for length in range(1, 101)]
    orders = [random.Random(seed) for seed in (1, 2)]  # noqa: S311 - repeatable, not secret
    first, second = (instructions.batches(examples, 8, order) for order in orders)
    assert sorted((example for batch in first for example in batch), key=lambda example: example.length) == examples
    assert all(batch[-1].length - batch[0].length < 8 for batch in first)
    assert first != second


def test_padding_changes_no_loss(base_model: Path, script: Callable[[str], ModuleType]) -> None:
    lora, instructions = script("lora"), script("instructions")
    model = AutoModelForCausalLM.from_pretrained(base_model, dtype=torch.float32)
    adapted = get_peft_model(model, LoraConfig(target_modules=["q_proj"], task_type="CAUSAL_LM"))
    short, long = instructions.Example((5, 6), (7, 2)), instructions.Example((5,) * 40, (8, 9, 2))
    (alone_short, _), (alone_long, _) = lora.batch_loss(adapted, [short]), lora.batch_loss(adapted, [long])
    together, targets = lora.batch_loss(adapted, [short, long])
    assert targets == len(short.completion) + len(long.completion)
    assert together.item() == pytest.approx((2 * alone_short.item() + 3 * alone_long.item()) / 5, rel=1e-5)
