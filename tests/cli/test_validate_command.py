"""`tunedrop validate` judges a folder as a drop of it would be judged, without AWS and without a network."""

import gzip
import json
import math
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from typer.testing import Result

from tests.validation.sample_reports import one, report
from tunedrop.domain.plan import FileRole, Technique
from tunedrop.errors import SourceChangedError
from tunedrop.validation import split
from tunedrop.validation.report import LabelCount, ValidationReport
from tunedrop.validation.sources import BLOCK_BYTES, DataFile
from tunedrop_cli import judging
from tunedrop_cli.__main__ import start
from tunedrop_cli.errors import CommandError
from tunedrop_cli.folder import Folder, FolderSource
from tunedrop_cli.report_view import ReportView

Command = Callable[..., Result]

ROOT = Path(__file__).parents[2]
WORDS = (
    *("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heron"),
    *("inlet", "jetty", "knoll", "lagoon", "marsh", "north", "ocean", "prairie"),
)


def rows(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "instruction": "Name the account of this transaction.",
            "context": " ".join(WORDS[(at * step + step) % len(WORDS)] for step in range(3, 15)) + f" {at}",
            "response": f"the {WORDS[at % len(WORDS)]} account, number {at}",
        }
        | changes
        for at in range(number)
    ]


def write(path: Path, content: list[dict[str, Any]]) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in content), encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "bank"
    data.mkdir()
    write(data / "train.jsonl", rows(400))
    return data


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the command must not need: credentials, a region, the network."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")

    def refuse(*_: Any) -> None:
        raise AssertionError("the command reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def as_json(result: Result) -> ValidationReport:
    return ValidationReport.model_validate_json(result.stdout)


# ------------------------------------------------------------------------------------------------------- the verdict


def test_a_good_folder_is_accepted(tunedrop: Command, folder: Path) -> None:
    result = tunedrop("validate", str(folder))

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("ACCEPTED  bank\n")
    assert "train.jsonl" in result.stdout


def test_a_faulty_row_refuses_it_and_is_located(tunedrop: Command, folder: Path) -> None:
    write(folder / "train.jsonl", [*rows(40), {"instruction": "a", "context": "b"}, *rows(40)])

    result = tunedrop("validate", str(folder))

    assert result.exit_code == 1
    assert result.stdout.startswith("REFUSED  bank\n")
    assert "ERROR  Fields missing: 1  data.missing-field" in result.stdout
    assert "train.jsonl:41" in result.stdout
    assert "Fix: Add the field" in result.stdout


def test_the_report_as_json_is_all_that_is_printed(tunedrop: Command, folder: Path) -> None:
    (folder / "notes.md").write_text("notes", encoding="utf-8")
    write(folder / "train.jsonl", rows(40, response=""))

    result = tunedrop("validate", str(folder), "--json")

    assert result.exit_code == 1
    assert as_json(result).counts["data.empty-completion"] == 40
    assert result.stdout == as_json(result).model_dump_json() + "\n"
    assert result.stderr == "Warning: notes.md is not part of the layout and is ignored.\n"


def test_the_page_is_written_beside_the_report(tunedrop: Command, folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"

    result = tunedrop("validate", str(folder), "--html", str(page))

    assert result.exit_code == 0, result.output
    assert "<title>Accepted: bank</title>" in page.read_text(encoding="utf-8")


def test_a_page_that_cannot_be_written_is_an_error(tunedrop: Command, folder: Path, tmp_path: Path) -> None:
    result = tunedrop("validate", str(folder), "--html", str(tmp_path / "no" / "such" / "report.html"))

    assert result.exit_code == 2
    assert "report.html" in result.output


# --------------------------------------------------------------------------------------------------- what it reads


def test_tune_yaml_tells_the_rules(tunedrop: Command, folder: Path) -> None:
    (folder / "tune.yaml").write_text(
        "model: meta-textgeneration-llama-3-1-8b-instruct\n"
        "technique: instruction\n"
        "instance_type: ml.g5.12xlarge\n"
        "hyperparameters: {max_input_length: 16, epoch: 2, per_device_train_batch_size: 3}\n"
        "evaluate: {held_out_ratio: 0.25}\n",
        encoding="utf-8",
    )

    seen = as_json(tunedrop("validate", str(folder), "--json"))

    assert (seen.technique_from, seen.model_id) == ("tune.yaml", "meta-textgeneration-llama-3-1-8b-instruct")
    assert seen.tokens
    assert seen.tokens.max_input_length == 16
    assert seen.tokens.truncated_rows
    assert 70 <= seen.held_out_rows <= 130
    assert seen.expected_steps
    learnt = seen.training_rows - math.ceil(seen.training_rows * 0.2)
    assert seen.expected_steps == 2 * math.ceil(learnt / (3 * 4)), "four GPUs, three rows each, a fifth to validate"


@pytest.mark.parametrize(
    ("spec", "batch_size"),
    [
        ("hyperparameters: {per_device_train_batch_size: 3}", None),
        ("hyperparameters: {per_device_train_batch_size: 3}\ninstance_type: ml.unknown.large", None),
        ("instance_type: ml.g5.2xlarge", None),
        ("hyperparameters: {per_device_train_batch_size: inf}\ninstance_type: ml.g5.2xlarge", None),
        ("hyperparameters: {per_device_train_batch_size: 0.5}\ninstance_type: ml.g5.2xlarge", None),
        ("hyperparameters: {per_device_train_batch_size: 1e308}\ninstance_type: ml.g5.2xlarge", None),
        ("hyperparameters: {per_device_train_batch_size: 3}\ninstance_type: ml.g5.2xlarge", 3),
        ("instance_type: ml.g5.12xlarge\nhyperparameters: {per_device_train_batch_size: 3}", 12),
    ],
)
def test_steps_are_expected_only_when_the_batch_is_known(
    monkeypatch: pytest.MonkeyPatch, folder: Path, spec: str, batch_size: int | None
) -> None:
    (folder / "tune.yaml").write_text(f"model: x\n{spec}\n", encoding="utf-8")
    targets = []

    def validate(_source: Any, _files: Any, rules: Any, **__: Any) -> ValidationReport:
        targets.append(rules.target)
        return report()

    monkeypatch.setattr(judging, "validate", validate)

    judging.judge(folder, None, None, None, None, lambda _: None)

    assert targets[0].batch_size == batch_size


def test_an_option_outdoes_tune_yaml(tunedrop: Command, folder: Path) -> None:
    (folder / "tune.yaml").write_text("model: x\nhyperparameters: {max_input_length: 16}\n", encoding="utf-8")

    tokens = as_json(tunedrop("validate", str(folder), "--json", "--max-input-length", "4096")).tokens

    assert tokens
    assert tokens.max_input_length == 4096
    assert not tokens.truncated_rows


def test_the_models_tokenizer_counts(tunedrop: Command, folder: Path, tmp_path: Path) -> None:
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "words.json"))

    tokens = as_json(tunedrop("validate", str(folder), "--json", "--tokenizer", str(tmp_path / "words.json"))).tokens

    assert tokens
    assert (tokens.basis, tokens.tokenizer) == ("tokenizer", "words.json")


def test_a_file_that_is_no_tokenizer_is_an_error(tunedrop: Command, folder: Path) -> None:
    result = tunedrop("validate", str(folder), "--tokenizer", str(folder / "train.jsonl"))

    assert result.exit_code == 2
    assert "cannot be validated" in result.stderr


def problems(result: Result) -> list[tuple[str, str]]:
    return [(each.code, each.where) for each in as_json(result).findings if not each.code.startswith("data.")]


def test_a_faulty_tune_yaml_is_told_with_all_its_problems_beside_those_of_the_rows(
    tunedrop: Command, folder: Path
) -> None:
    (folder / "tune.yaml").write_text("modle: x\nbudget_usd: -1\n", encoding="utf-8")
    write(folder / "train.jsonl", [*rows(40), {"instruction": "a", "context": "b"}])

    result = tunedrop("validate", str(folder), "--json")

    assert result.exit_code == 1
    assert problems(result) == [
        ("spec.missing-key", "tune.yaml"),
        ("spec.unknown-key", "tune.yaml:1"),
        ("spec.value", "tune.yaml:2"),
    ]
    assert as_json(result).errors["data.missing-field"] == 1
    assert json.loads(result.stdout)["accepted"] is False


def test_each_problem_of_tune_yaml_is_printed_with_its_fix(tunedrop: Command, folder: Path) -> None:
    (folder / "tune.yaml").write_text("model: x\nbudgte_usd: 1\nserv: none\n", encoding="utf-8")

    text = " ".join(tunedrop("validate", str(folder)).stdout.split())

    assert "ERROR Problems with tune.yaml: 2 spec.unknown-key" in text
    assert "tune.yaml:2 budgte_usd is not a key of tune.yaml. Did you mean budget_usd?" in text
    assert "tune.yaml:3 serv is not a key of tune.yaml. Did you mean serve?" in text


@pytest.mark.parametrize("name", ["tune.yml", "Tune.yaml", "tune.yaml.txt", "tune.json"])
def test_a_tune_yaml_of_another_name_is_told(tunedrop: Command, folder: Path, name: str) -> None:
    (folder / name).write_text("model: x\n", encoding="utf-8")

    result = tunedrop("validate", str(folder), "--json")

    assert result.exit_code == 1
    assert problems(result) == [("spec.file-name", name)]
    assert as_json(result).findings[0].fix == "Rename it to tune.yaml."

    (folder / "tune.yaml").write_text("model: x\n", encoding="utf-8")
    result = tunedrop("validate", str(folder), "--json")
    assert result.exit_code == 0
    assert f"{name} is not part of the layout" in result.stderr


def test_what_only_aws_knows_of_tune_yaml_is_named_and_contradictions_are_refused(
    tunedrop: Command, folder: Path
) -> None:
    (folder / "tune.yaml").write_text("model: llama\nhyperparameters: {epoch: 2, lora_q: 4}\n", encoding="utf-8")
    assert any("epoch, lora_q" in each for each in as_json(tunedrop("validate", str(folder), "--json")).not_checked)

    (folder / "tune.yaml").write_text("model: x\nhyperparameters:\n  fp16: True\n  bf16: True\n", encoding="utf-8")
    assert problems(tunedrop("validate", str(folder), "--json")) == [("hyperparameter.precision", "tune.yaml:4")]


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ("max_wait_hours: 12", "spot.wait-without-spot"),
        ("evaluate: {base: endpoint, against: [champion]}", "evaluate.base-not-asked"),
        ("serve: bedrock\nendpoint: {ttl_hours: 72}", "endpoint.not-asked"),
        ("hyperparameters: {chat_dataset: true}", "hyperparameter.contradiction"),
    ],
)
def test_a_tune_yaml_that_contradicts_itself_or_the_files_is_refused(
    tunedrop: Command, folder: Path, keys: str, code: str
) -> None:
    (folder / "tune.yaml").write_text(f"model: x\n{keys}\n", encoding="utf-8")
    (problem,) = problems(tunedrop("validate", str(folder), "--json"))
    assert problem == (code, f"tune.yaml:{2 + keys.count(chr(10))}")


@pytest.mark.parametrize(
    "keys",
    [
        "spot: true\nmax_wait_hours: 672",
        "evaluate: {base: endpoint, against: [base]}",
        "endpoint: {ttl_hours: 72}",
        "hyperparameters: {chat_dataset: false, instruction_tuned: True}",
    ],
)
def test_a_tune_yaml_that_contradicts_nothing_is_accepted(tunedrop: Command, folder: Path, keys: str) -> None:
    (folder / "tune.yaml").write_text(f"model: x\n{keys}\n", encoding="utf-8")
    assert problems(tunedrop("validate", str(folder), "--json")) == []


def test_a_faulty_template_is_told_with_all_its_problems(tunedrop: Command, folder: Path) -> None:
    (folder / "template.json").write_text('{"prompt": "{0}", "complete": ""}', encoding="utf-8")

    result = tunedrop("validate", str(folder), "--json")

    assert result.exit_code == 1
    assert len(problems(result)) >= 3
    assert {where for _, where in problems(result)} == {"template.json"}
    assert as_json(result).training_rows == 0
    assert as_json(result).not_checked


def test_the_template_names_the_fields(tunedrop: Command, folder: Path) -> None:
    write(folder / "train.jsonl", [{"q": row["context"], "a": row["response"]} for row in rows(60)])
    (folder / "template.json").write_text('{"prompt": "{q}", "completion": "{a}"}', encoding="utf-8")

    assert tunedrop("validate", str(folder)).exit_code == 0


def completions(number: int, **changes: Any) -> list[dict[str, Any]]:
    return [{"prompt": row["context"], "completion": row["response"], **changes} for row in rows(number)]


@pytest.mark.parametrize("first", ['{"prompt": \n', '{"prompt": "a"}\n', '{"messages": []}\n'])
def test_a_faulty_first_row_is_the_only_one_that_is_told(tunedrop: Command, folder: Path, first: str) -> None:
    write(folder / "train.jsonl", completions(120))
    (folder / "train.jsonl").write_text(first + (folder / "train.jsonl").read_text())
    found = as_json(tunedrop("validate", str(folder), "--json"))
    assert [each.line for each in found.findings if each.severity == "error"] == [1]


def test_prompts_and_completions_are_a_recipe_s_rows_and_what_is_assumed_is_said(
    tunedrop: Command, folder: Path
) -> None:
    (folder / "tune.yaml").write_text("model: openai-reasoning-gpt-oss-20b\n", encoding="utf-8")
    write(folder / "train.jsonl", completions(60, segment="gold"))

    seen = as_json(tunedrop("validate", str(folder), "--json"))
    assert seen.accepted, seen.findings
    assert seen.training_rows + seen.held_out_rows == 60
    assert any("one with a training script needs a template.json" in each for each in seen.not_checked)

    write(folder / "train.jsonl", rows(60))
    seen = as_json(tunedrop("validate", str(folder), "--json"))
    assert seen.accepted
    assert any("instruction, context and response then" in each for each in seen.not_checked)


def test_prompts_and_completions_with_other_fields_are_nobody_s_rows(tunedrop: Command, folder: Path) -> None:
    write(folder / "train.jsonl", completions(60, context="x"))

    assert as_json(tunedrop("validate", str(folder), "--json")).errors["data.missing-field"] == 60


def test_pairs_of_answers_are_judged_as_dpo(tunedrop: Command, folder: Path) -> None:
    pairs = [{**row, "chosen": row.pop("completion"), "rejected": "No idea."} for row in completions(60)]
    pairs[30]["rejected"] = pairs[30]["chosen"]
    write(folder / "train.jsonl", pairs)

    seen = as_json(tunedrop("validate", str(folder), "--json"))

    assert seen.technique == "dpo"
    assert [(each.code, each.line, each.path) for each in seen.findings if each.severity == "error"] == [
        ("data.same-answers", 31, "rejected")
    ]
    assert not any("training script" in each for each in seen.not_checked)


def test_what_is_no_part_of_the_layout_is_listed(tunedrop: Command, folder: Path) -> None:
    (folder / "notes.md").write_text("notes", encoding="utf-8")

    assert "notes.md is not part of the layout" in tunedrop("validate", str(folder)).stdout


def test_a_folder_without_data_is_refused_and_one_that_is_not_there_cannot_be_read(
    tunedrop: Command, tmp_path: Path
) -> None:
    result = tunedrop("validate", str(tmp_path), "--json")

    assert result.exit_code == 1
    assert problems(result) == [("drop.no-training-file", "")]
    assert tunedrop("validate", str(tmp_path)).stdout.startswith("REFUSED")
    assert tunedrop("validate", str(tmp_path / "nowhere")).exit_code == 2


def test_data_in_another_folder_is_told_with_where_it_should_lie(tunedrop: Command, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "train.jsonl").rename(folder / "data" / "train.jsonl")

    text = " ".join(tunedrop("validate", str(folder)).stdout.split())

    assert "Fix: Move data/train.jsonl up, beside tune.yaml, or into training/" in text


def test_a_technique_that_the_files_contradict_is_refused(tunedrop: Command, folder: Path) -> None:
    result = tunedrop("validate", str(folder), "--technique", "chat", "--json")

    assert result.exit_code == 1
    assert problems(result) == [("drop.technique", "")]
    assert "the files look like instruction" in as_json(result).findings[0].message

    (folder / "tune.yaml").write_text("model: x\ntechnique: chat\n", encoding="utf-8")
    assert problems(tunedrop("validate", str(folder), "--json")) == [("drop.technique", "tune.yaml:2")]


def test_no_more_rows_are_set_apart_than_an_evaluation_reads(
    tunedrop: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(split, "HELD_OUT_BYTES", 1_000)

    seen = as_json(tunedrop("validate", str(folder), "--json"))

    assert seen.held_out_rows < 20
    assert any("10.0% asked for" in each for each in seen.not_checked)


@pytest.mark.parametrize("name", ["more.jsonl", "tune.yaml", "notes.md"])
def test_a_link_that_leaves_the_folder_is_refused(tunedrop: Command, folder: Path, tmp_path: Path, name: str) -> None:
    write(tmp_path / "secret.jsonl", rows(3))
    (folder / name).symlink_to(tmp_path / "secret.jsonl")

    result = tunedrop("validate", str(folder))

    assert result.exit_code == 2
    assert f"{name} is a link to a file outside" in result.stderr


@pytest.mark.parametrize(
    ("name", "target"),
    [("more.jsonl", "nothing.jsonl"), ("tune.yaml", "tune.yaml"), ("training", "/tmp"), ("self", ".")],  # noqa: S108
)
def test_a_link_that_would_be_left_out_is_refused(tunedrop: Command, folder: Path, name: str, target: str) -> None:
    (folder / ".hidden").symlink_to("nothing")
    (folder / name).symlink_to(target)

    result = tunedrop("validate", str(folder))

    assert result.exit_code == 2
    assert f"{name} is a link to a folder, or to nothing" in result.stderr


def test_a_link_within_the_folder_is_read(folder: Path) -> None:
    (folder / "more.jsonl").symlink_to("train.jsonl")

    assert "more.jsonl" in Folder.open(folder).objects


def test_a_name_that_is_not_utf8_is_refused(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.jsonl")).write_text("{}", encoding="utf-8")

    with pytest.raises(CommandError, match="not UTF-8"):
        Folder.open(folder)


def test_gzip_is_read(tunedrop: Command, folder: Path) -> None:
    data = (folder / "train.jsonl").read_bytes()
    (folder / "train.jsonl").unlink()
    (folder / "train.jsonl.gz").write_bytes(gzip.compress(data))

    seen = as_json(tunedrop("validate", str(folder), "--json"))

    assert seen.accepted
    assert seen.training_rows + seen.held_out_rows == 400


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_number_of_processes_changes_nothing(tunedrop: Command, folder: Path, jobs: str) -> None:
    write(folder / "held-out.jsonl", rows(45))

    result = tunedrop("validate", str(folder), "--json", "--jobs", jobs)

    assert as_json(result) == as_json(tunedrop("validate", str(folder), "--json"))
    assert as_json(result).duplicates.leaked == 45


# ------------------------------------------------------------------------------------------------------- the source


@pytest.fixture
def file(folder: Path) -> DataFile:
    (folder / "big.jsonl").write_bytes(os.urandom(2 * BLOCK_BYTES + 17))
    return DataFile(name="big.jsonl", role=FileRole.TRAINING, bytes=2 * BLOCK_BYTES + 17)


@pytest.mark.parametrize(
    ("start", "end"), [(0, None), (5, None), (0, 5), (BLOCK_BYTES - 1, BLOCK_BYTES + 1), (7, 7), (9, 10**9)]
)
def test_any_range_of_a_file_is_read_in_blocks(folder: Path, file: DataFile, start: int, end: int | None) -> None:
    blocks = list(FolderSource(folder).blocks(file, start, end))

    assert b"".join(blocks) == (folder / "big.jsonl").read_bytes()[start:end]
    assert all(0 < len(block) <= BLOCK_BYTES for block in blocks)


def test_a_file_that_changed_is_noticed(folder: Path, file: DataFile) -> None:
    with (folder / "big.jsonl").open("ab") as changed:
        changed.write(b"x")
    with pytest.raises(SourceChangedError):
        list(FolderSource(folder).blocks(file))


def test_a_file_that_is_gone_is_noticed(folder: Path, file: DataFile) -> None:
    (folder / "big.jsonl").unlink()
    with pytest.raises(SourceChangedError):
        list(FolderSource(folder).blocks(file))


def test_a_file_that_shrinks_while_it_is_read_is_noticed(folder: Path, file: DataFile) -> None:
    blocks = FolderSource(folder).blocks(file)
    next(blocks)
    os.truncate(folder / "big.jsonl", 1)
    with pytest.raises(SourceChangedError):
        list(blocks)


def test_pictures_are_found_beside_their_metadata(tmp_path: Path) -> None:
    (tmp_path / "validation" / "images").mkdir(parents=True)
    for name in ("metadata.jsonl", "1.png", "validation/metadata.jsonl", "validation/images/2.png"):
        (tmp_path / name).write_bytes(name.encode())
    folder = Folder.open(tmp_path)
    files = [
        DataFile(name=each.name, role=each.role, bytes=each.size) for each in folder.files(Technique.VISUAL_QA).files
    ]
    source = FolderSource.of(folder, files, Technique.VISUAL_QA)
    found = {(file.name, image.name): source.image(file, image) for file in files for image in source.images(file)}

    assert found == {
        ("metadata.jsonl", "1.png"): b"1.png",
        ("validation/metadata.jsonl", "images/2.png"): b"validation/images/2.png",
    }


# ------------------------------------------------------------------------------------------------------ the terminal


def shown(judged: ValidationReport, encoding: str = "utf-8", *, terminal: bool = False) -> str:
    class Encoded(StringIO):
        @property
        def encoding(self) -> str:  # type: ignore[override]
            return encoding

    stream = Encoded()
    console = Console(file=stream, width=80, force_terminal=terminal, markup=False, highlight=False, emoji=False)
    ReportView(console).print(judged, "bank", ["notes.md is ignored."])
    return stream.getvalue()


def test_findings_are_grouped_and_five_of_each_are_shown() -> None:
    text = shown(report())

    assert text.count("The row lacks response.") == 5
    assert "ERROR  Fields missing: 12  data.missing-field" in text
    assert "  and 7 more\n" in text
    assert text.index("Lines that are not JSON") < text.index("Rows that stand twice")
    assert "  train.jsonl:3  byte 507  response\n" in text


def test_no_line_is_wider_than_eighty_columns_or_ends_in_blanks() -> None:
    long = one(file="training/" + "x" * 100 + ".jsonl", message="word " * 40, excerpt="y" * 80)
    lines = shown(report(findings=(long,))).splitlines()

    assert max(map(len, lines)) <= 80
    assert not any(line.endswith(" ") for line in lines)


def test_another_encoding_gets_ascii() -> None:
    text = shown(report(labels=(LabelCount(label="Überweisung", rows=3),)), "ascii")

    assert text.isascii()
    assert "\\xdcberweisung" in text
    assert re.search(r"16 to 31 +600 +#{32}\n", text)


def test_the_histogram_marks_where_training_stops_to_read() -> None:
    assert re.search(r"16 to 31 +600 +█{32}\n", shown(report()))
    assert re.search(r"64 to 127 +5 +\S+ < max_input_length 64\n", shown(report()))


def test_only_a_terminal_gets_colours_and_none_obeys_the_data() -> None:
    hostile = report(findings=(one(message="\x1b[2J\u202eevil"),))

    assert "\x1b" not in shown(hostile)
    assert "\\x1b[2J\\u202eevil" in shown(hostile)
    assert "\x1b[1;31m" in shown(hostile, terminal=True)


# ------------------------------------------------------------------------------------------------- a process of its own


def test_it_runs_in_a_shell_without_any_of_aws(folder: Path) -> None:
    write(folder / "train.jsonl", rows(40, response=""))
    done = subprocess.run(
        [sys.executable, "-c", "from tunedrop_cli.main import app; app()", "validate", str(folder)],
        env={"PYTHONPATH": f"{ROOT / 'cli'}{os.pathsep}{ROOT / 'layers' / 'core'}", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 1
    assert done.stdout.startswith(b"REFUSED  bank\n")
    assert done.stderr == b"", "no progress bar where there is no terminal"


def test_ctrl_c_ends_it_without_a_traceback(tunedrop: Command, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt  # what Python makes of SIGINT, unless the process was started to ignore it

    monkeypatch.setattr(judging, "validate", interrupted)

    result = tunedrop("validate", str(folder))

    assert result.exit_code == 130
    assert result.stderr == "Interrupted.\n"


def test_ctrl_c_while_the_command_is_imported_leaves_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting:
        def find_spec(self, name: str, *_: Any) -> None:
            if name == "tunedrop_cli.main":
                raise KeyboardInterrupt

    monkeypatch.delitem(sys.modules, "tunedrop_cli.main")
    monkeypatch.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])

    with pytest.raises(SystemExit, match="130"):
        start()

    assert capsys.readouterr().err == "Interrupted.\n"


def test_the_model_of_a_tune_yaml_that_could_not_be_read_is_not_said_to_be_missing(
    tunedrop: Command, folder: Path
) -> None:
    (folder / "tune.yaml").write_text("model: a-model\nbudgt_usd: 3\n")

    assert "Model: not known, for tune.yaml could not be read." in " ".join(
        tunedrop("validate", str(folder)).stdout.split()
    )


def test_numbers_that_no_training_has_are_told_without_an_exception(tunedrop: Command, folder: Path) -> None:
    given = "{epoch: 1e308, per_device_train_batch_size: 0.5, gradient_accumulation_steps: 1e308}"
    (folder / "tune.yaml").write_text(f"model: x\ninstance_type: ml.g5.2xlarge\nhyperparameters: {given}\n")
    result = tunedrop("validate", str(folder), "--json")
    assert "hyperparameter.value" in as_json(result).counts


def test_text_where_every_script_wants_a_number_is_told_without_aws(tunedrop: Command, folder: Path) -> None:
    given = "{epoch: three, lora_r: 8.5, learning_rate: 1e-4, lora_dropout: none, name_of_no_number: text}"
    (folder / "tune.yaml").write_text(f"model: a-model\nhyperparameters: {given}\n")

    report = as_json(tunedrop("validate", str(folder), "--json"))

    assert report.counts == {"hyperparameter.value": 3} | {
        code: number for code, number in report.counts.items() if code.startswith("data.")
    }
    told = [each.message for each in report.findings if each.code == "hyperparameter.value"]
    assert told == ["epoch cannot be three.", "lora_dropout cannot be none.", "lora_r cannot be 8.5."]
