"""The page is gathered from what lies beside the run, as far as the run came to it."""

import json

import pytest
from sagemaker.core.shapes.model_card_shapes import ModelCardContent

from tests.fakes import FakeClock, FakeTrainingLog, InMemoryRunFiles
from tests.markup_page import Page
from tests.reporting.sample_run_reports import JUDGEMENT, LOG, ended, evaluation
from tests.validation import sample_reports
from tunedrop.domain import names
from tunedrop.domain.observations import ReportWritten
from tunedrop.domain.run import Run, RunStatus
from tunedrop.steps.report import WriteReport


def written(run: Run, files: InMemoryRunFiles, log: FakeTrainingLog) -> Page:
    seen = WriteReport(files, log, FakeClock())(run)
    key = names.run_page_key(run.run_id)
    assert seen == ReportWritten(uri=files.uri(key))
    return Page(files.objects[key].decode())


def test_the_page_holds_what_lies_beside_the_run_and_in_the_job_s_log() -> None:
    run, files = ended(RunStatus.PROMOTED), InMemoryRunFiles()
    assert run.training
    files.write(names.evaluation_report_key(run.run_id), evaluation().model_dump_json().encode())
    files.write(names.report_key(run.run_id), sample_reports.report().model_dump_json().encode())

    text = written(run, files, FakeTrainingLog({run.training.job_name: LOG})).text

    for told in ("+0.502 to +0.712", "Fields missing: 12", "validation: from 0.61 to 0.22"):
        assert told in text


def test_a_run_that_came_to_nothing_has_a_page_too() -> None:
    text = written(ended(RunStatus.REJECTED, plan=None), InMemoryRunFiles(), FakeTrainingLog()).text

    assert text.startswith("Rejected")
    assert "Training" not in text.split("What to try next")[0]


def test_a_file_of_another_version_is_left_out() -> None:
    run, files = ended(RunStatus.PROMOTED), InMemoryRunFiles()
    files.write(names.evaluation_report_key(run.run_id), b'{"format": 99}')

    assert "Side by side" not in written(run, files, FakeTrainingLog()).text


def test_the_model_s_card_is_one_that_sagemaker_takes_and_quotes_no_row() -> None:
    run, files = ended(RunStatus.PROMOTED, judgement=JUDGEMENT), InMemoryRunFiles()
    answers = evaluation()
    files.write(names.evaluation_report_key(run.run_id), answers.model_dump_json().encode())
    written(run, files, FakeTrainingLog())

    content = files.objects[names.model_card_key(run.run_id, "json")].decode()
    text = files.objects[names.model_card_key(run.run_id, "md")].decode()
    card = json.loads(content)
    read = ModelCardContent.model_validate(card).model_dump(exclude_none=True, mode="json")
    assert {name: part for name, part in read.items() if part} == card
    assert len(content) <= 100_000
    for told in (run.run_id, run.dataset, answers.verdict, "Gain over the base model", JUDGEMENT.evaluator_model):
        assert told in content
        assert told in text
    quoted = [*answers.side_by_side[0].expected, answers.side_by_side[0].prompt]
    assert not [each for each in quoted if each in content]


@pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.REJECTED, RunStatus.STOPPED])
def test_a_model_that_was_never_evaluated_has_no_card(status: RunStatus) -> None:
    run, files = ended(status), InMemoryRunFiles()
    written(run, files, FakeTrainingLog())
    assert names.model_card_key(run.run_id, "json") not in files.objects


def test_writing_it_twice_leaves_one_page() -> None:
    run, files = ended(RunStatus.FAILED), InMemoryRunFiles()
    written(run, files, FakeTrainingLog())
    before = dict(files.objects)
    written(run, files, FakeTrainingLog())

    assert files.objects == before
