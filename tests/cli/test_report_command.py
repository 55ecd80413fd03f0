"""`tunedrop report`: links, a file, the browser, and why there is no report."""

import webbrowser
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.cli.conftest import OUTPUTS, Account
from tests.domain.sample_runs import RUN_ID, run
from tunedrop.domain import names
from tunedrop.domain.run import RunStatus

Command = Callable[..., Result]

PAGE = b"<!doctype html>\n<html><body>Promoted</body></html>\n"


@pytest.fixture
def reported(account: Account) -> Account:
    account.store(run(RunStatus.PROMOTED))
    key = names.run_page_key(RUN_ID)
    account.client("s3").put_object(Bucket=OUTPUTS["RunBucketName"], Key=key, Body=PAGE)
    return account


@pytest.mark.usefixtures("reported")
def test_links_are_told_one_for_anybody_and_one_for_the_console(tunedrop: Command) -> None:
    output = tunedrop("report").output

    assert f"/runs/{RUN_ID}/report.html?" in output
    assert "X-Amz-Expires=3600" in output
    assert "console.aws.amazon.com/s3/object/run-files" in output


@pytest.mark.usefixtures("reported")
def test_the_page_is_written_to_a_file(tunedrop: Command, tmp_path: Path) -> None:
    result = tunedrop("report", RUN_ID[:6], "--output", str(tmp_path / "run.html"))

    assert result.exit_code == 0
    assert (tmp_path / "run.html").read_bytes() == PAGE


@pytest.mark.usefixtures("reported")
def test_the_page_is_opened_in_the_browser(tunedrop: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: opened.append(uri) or True)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    assert tunedrop("report", RUN_ID, "--open").exit_code == 0
    (uri,) = opened
    assert Path(uri.removeprefix("file://")).read_bytes() == PAGE


@pytest.mark.usefixtures("reported")
def test_without_a_browser_the_file_is_named(
    tunedrop: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(webbrowser, "open", lambda _uri: False)
    result = tunedrop("report", "--open", "--output", str(tmp_path / "run.html"))

    assert result.exit_code == 2
    assert "run.html" in result.output


@pytest.mark.usefixtures("reported")
def test_a_file_that_cannot_be_written_is_said(tunedrop: Command, tmp_path: Path) -> None:
    result = tunedrop("report", "--output", str(tmp_path))

    assert result.exit_code == 2
    assert "cannot be written" in result.output


def test_a_run_that_goes_on_has_no_report(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.TRAINING))
    result = tunedrop("report")

    assert result.exit_code == 2
    assert f"tunedrop watch {RUN_ID}" in result.output


def test_an_ended_run_without_a_report_is_told_what_else_to_look_at(account: Account, tunedrop: Command) -> None:
    account.store(run(RunStatus.FAILED))
    result = tunedrop("report")

    assert result.exit_code == 2
    assert f"tunedrop show {RUN_ID}" in result.output


@pytest.mark.usefixtures("account")
def test_a_run_that_is_not_there_is_said(tunedrop: Command) -> None:
    result = tunedrop("report", RUN_ID)

    assert result.exit_code == 2
    assert f"There is no run {RUN_ID}" in result.output
