"""`tunedrop drop` uploads a folder, its tune.yaml last, and tells which run that starts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.cli.conftest import Account
from tests.domain.sample_runs import run
from tunedrop.domain import names
from tunedrop.domain.run import RunStatus
from tunedrop_cli.upload import Drop

Command = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "banking77"
    data.mkdir()
    (data / "tune.yaml").write_text("model: meta-textgeneration-llama-3-2-1b-instruct\n", encoding="utf-8")
    (data / "train.jsonl").write_text('{"instruction": "a", "context": "b", "response": "c"}\n', encoding="utf-8")
    (data / "template.json").write_text('{"prompt": "{instruction}", "completion": "{response}"}', encoding="utf-8")
    (data / ".DS_Store").write_text("hidden", encoding="utf-8")
    return data


def test_the_folder_is_uploaded_with_its_tune_yaml_last(
    account: Account, tunedrop: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, there = Drop.start, []

    def started(drop: Drop, local: Path) -> str:
        there.extend(account.dropped("banking77"))
        return start(drop, local)

    monkeypatch.setattr(Drop, "start", started)
    result = tunedrop("drop", str(folder), "--no-watch")
    assert result.exit_code == 0, result.output
    assert sorted(account.dropped("banking77")) == ["template.json", "train.jsonl", "tune.yaml"]
    assert sorted(there) == ["template.json", "train.jsonl"]
    body = account.client("s3").get_object(Bucket="drops", Key="datasets/banking77/train.jsonl")["Body"].read()
    assert body == (folder / "train.jsonl").read_bytes()


def test_the_run_is_named_as_the_application_will_name_it(account: Account, tunedrop: Command, folder: Path) -> None:
    output = tunedrop("drop", str(folder), "--no-watch").output
    version = account.client("s3").head_object(Bucket="drops", Key="datasets/banking77/tune.yaml")["VersionId"]
    run_id = names.run_id("drops", "datasets/banking77/tune.yaml", version)
    assert f"Run {run_id}\n" in output
    assert f"tunedrop watch {run_id}" in output


def test_a_dataset_can_be_named_otherwise(account: Account, tunedrop: Command, folder: Path) -> None:
    assert tunedrop("drop", str(folder), "--name", "intents", "--no-watch").exit_code == 0
    assert "tune.yaml" in account.dropped("intents")
    assert not account.dropped("banking77")


def test_files_in_folders_keep_their_paths(account: Account, tunedrop: Command, folder: Path) -> None:
    (folder / "images").mkdir()
    (folder / "images" / "1.png").write_bytes(b"png")
    tunedrop("drop", str(folder), "--no-watch")
    assert "images/1.png" in account.dropped("banking77")


@pytest.mark.usefixtures("account")
def test_files_left_from_before_are_reported(tunedrop: Command, folder: Path) -> None:
    tunedrop("drop", str(folder), "--no-watch")
    (folder / "train.jsonl").rename(folder / "new.jsonl")
    output = tunedrop("drop", str(folder), "--no-watch").output
    assert "aws s3 rm s3://drops/datasets/banking77/train.jsonl" in output
    assert "rm s3://drops/datasets/banking77/tune.yaml" not in output
    assert "template.json. The run" not in output


@pytest.mark.parametrize("name", ["../x", "a b", "-x", "x.", "", "é", "x" * 65, "a/b"])
def test_a_name_that_no_run_could_have_is_refused(account: Account, tunedrop: Command, folder: Path, name: str) -> None:
    result = tunedrop("drop", str(folder), f"--name={name}", "--no-watch")
    if name:
        assert result.exit_code == 2
        assert "cannot name a dataset" in result.output
        assert account.client("s3").list_objects_v2(Bucket="drops")["KeyCount"] == 0
    else:
        assert sorted(account.dropped("banking77")), "an empty name is none"


def test_a_folder_with_a_link_that_would_be_left_out_is_refused(
    account: Account, tunedrop: Command, folder: Path
) -> None:
    (folder / "training").symlink_to("/tmp")  # noqa: S108
    result = tunedrop("drop", str(folder), "--no-watch")
    assert result.exit_code == 2
    assert "training is a link to a folder, or to nothing" in result.output
    assert account.client("s3").list_objects_v2(Bucket="drops")["KeyCount"] == 0


def test_a_folder_without_tune_yaml_is_refused(account: Account, tunedrop: Command, folder: Path) -> None:
    (folder / "tune.yaml").unlink()
    result = tunedrop("drop", str(folder), "--no-watch")
    assert result.exit_code == 2
    assert "tune.yaml is missing" in result.output
    assert not account.dropped("banking77")


def test_every_problem_of_tune_yaml_is_told_before_anything_is_uploaded(
    account: Account, tunedrop: Command, folder: Path
) -> None:
    (folder / "tune.yaml").write_text("modle: x\nbudget_usd: -1\n", encoding="utf-8")
    result = tunedrop("drop", str(folder), "--no-watch")
    assert result.exit_code == 2
    assert "tune.yaml:1: modle" in result.output
    assert "tune.yaml:2: budget_usd" in result.output
    assert not account.dropped("banking77")


def test_a_missing_folder_is_a_wrong_argument(tunedrop: Command, folder: Path) -> None:
    shutil.rmtree(folder)
    assert tunedrop("drop", str(folder)).exit_code == 2


@pytest.mark.parametrize(("status", "exit_code"), [(RunStatus.PROMOTED, 0), (RunStatus.REJECTED, 1)])
def test_the_run_is_followed_to_its_end(
    account: Account,
    tunedrop: Command,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: RunStatus,
    exit_code: int,
) -> None:
    def application(_seconds: float) -> None:
        version = account.client("s3").head_object(Bucket="drops", Key="datasets/banking77/tune.yaml")["VersionId"]
        run_id = names.run_id("drops", "datasets/banking77/tune.yaml", version)
        account.store(run(status, run_id=run_id))

    monkeypatch.setattr("tunedrop_cli.watching.time.sleep", application)
    result = tunedrop("drop", str(folder))
    assert result.exit_code == exit_code
    assert status in result.output


@pytest.mark.usefixtures("account")
def test_the_stack_is_named_in_suggestions_when_it_had_to_be_named(
    tunedrop: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments: Any = ("drop", str(folder), "--no-watch")
    assert "tunedrop watch" in tunedrop("--stack", "tunedrop", *arguments).output
    monkeypatch.setenv("TUNEDROP_STACK", "other")
    assert "tunedrop --stack tunedrop watch" in tunedrop("--stack", "tunedrop", *arguments).output
