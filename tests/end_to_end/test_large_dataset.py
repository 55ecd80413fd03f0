"""A dataset of many ranges goes through the Distributed Map, and comes to what one pass over the same files does."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.deployed import QUICK, TEMPLATE, Application, lines, rows
from tunedrop.adapters.s3 import S3Drops, S3ModelFiles
from tunedrop.domain import names
from tunedrop.domain.evaluation_report import EvaluationReport
from tunedrop.domain.plan import FileRole, Plan
from tunedrop.domain.run import Run, RunStatus
from tunedrop.evaluation.partial import partial_result
from tunedrop.evaluation.results import results
from tunedrop.evaluation.rows import HeldOut, StoredAnswer
from tunedrop.steps.drop_source import DropSource, data_files
from tunedrop.steps.judging import rules_of, template_of, tokenizer_of
from tunedrop.steps.scan_ranges import ranges_of
from tunedrop.validation.dataset import validate
from tunedrop.validation.report import ValidationReport

ROWS = rows(0, 80)
DUPLICATES = [ROWS[400], ROWS[7]]
"""Of another range, and of another file."""
LEAKED = ROWS[3]
NEAR = {"colour": "a long and windy road of pale amber stones by the sea 41", "feeling": "warm"}
TWIN = {**NEAR, "colour": NEAR["colour"].replace("pale", "bright")}
RANGE_BYTES = int(0.004 * (1 << 20))


class KeptRows:
    """Keep what a scan hands on."""

    def __init__(self) -> None:
        self.trained: list[dict[str, str]] = []
        self.measured: list[Mapping[str, object]] = []

    def rows(self, role: FileRole, text: bytes) -> None:
        assert role is FileRole.TRAINING
        self.trained += map(json.loads, text.splitlines())

    def held_out(self, row: Mapping[str, object]) -> None:
        self.measured.append(row)


def files(training: bytes) -> dict[str, bytes]:
    return {
        "train.jsonl": training,
        "more.jsonl": lines([TWIN, *rows(200, 5), *DUPLICATES]),
        "held-out.jsonl": lines([*rows(100, 5), LEAKED]),
        "template.json": json.dumps(TEMPLATE).encode(),
    }


@pytest.fixture(scope="module")
def accepted(application: Application) -> Iterator[Run]:
    application.upload("many", files(lines([NEAR, *ROWS])))
    run_id = application.start("many", hyperparameters=QUICK, evaluate={"against": ["base"]})
    yield application.wait_for(run_id, lambda run: run.status not in (RunStatus.PLANNING, RunStatus.VALIDATING))
    ended = application.wait(run_id)
    assert ended.status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED), ended.reason


def read_at_once(application: Application, run: Run) -> tuple[ValidationReport, KeptRows]:
    plan = planned(run)
    drops = S3Drops(application.s3, application.outputs["DropBucketName"])
    counter = tokenizer_of(plan.data.tokenizer_uri, S3ModelFiles(application.s3))
    sink = KeptRows()
    report = validate(
        DropSource(drops, run.dataset, plan.files),
        data_files(plan.files),
        rules_of(plan, template_of(plan, drops)),
        counter=counter,
        sink=sink,
    )
    return report, sink


def planned(run: Run) -> Plan:
    assert run.plan
    return run.plan


def read(application: Application, key: str) -> bytes:
    answer: Any = application.s3.get_object(Bucket=application.outputs["RunBucketName"], Key=key)
    return bytes(answer["Body"].read())


def test_the_report_of_many_ranges_is_that_of_one_pass(application: Application, accepted: Run) -> None:
    assert len(ranges_of(accepted.run_id, planned(accepted).files, RANGE_BYTES)) > 5
    expected, _ = read_at_once(application, accepted)
    merged = json.loads(read(application, names.report_key(accepted.run_id)))
    assert merged == json.loads(expected.model_dump_json())


def test_what_only_the_whole_shows_is_found_across_ranges(application: Application, accepted: Run) -> None:
    report = ValidationReport.model_validate_json(read(application, names.report_key(accepted.run_id)))
    assert report.duplicates.exact == len(DUPLICATES)
    assert report.duplicates.leaked == 1
    assert report.duplicates.near == 1
    assert report.tokens
    assert report.tokens.basis == "tokenizer"
    assert accepted.data
    assert (accepted.data.duplicates, accepted.data.leaked_rows) == (len(DUPLICATES), 1)
    assert accepted.data.tokens == report.tokens.total


def test_the_channel_holds_the_rows_of_one_pass_in_order(application: Application, accepted: Run) -> None:
    _, expected = read_at_once(application, accepted)
    prefix = names.channel_prefix(accepted.run_id, "training")
    listed = application.s3.list_objects_v2(Bucket=application.outputs["RunBucketName"], Prefix=prefix)["Contents"]
    keys = sorted(each["Key"] for each in listed)
    assert keys[-1] == f"{prefix}template.json"
    content = b"".join(read(application, key) for key in keys[:-1])
    assert [json.loads(line) for line in content.splitlines()] == expected.trained
    held_out = read(application, names.held_out_key(accepted.run_id))
    assert [json.loads(line) for line in held_out.splitlines()] == expected.measured


def test_many_held_out_rows_are_asked_in_ranges_and_come_to_what_one_pass_does(
    application: Application, accepted: Run
) -> None:
    run = application.wait(accepted.run_id)
    assert run.evaluation
    assert run.evaluation.rows == 31
    assert application.called("AskRange", "bedrock:InvokeModel", "imported-model")
    assert not application.called("EvaluateModel", "s3:PutObject", f"{run.run_id}/answers/candidate")

    held_out = HeldOut.of(read(application, names.held_out_key(run.run_id)))
    answers: dict[str, list[StoredAnswer]] = {}
    for line in read(application, names.answers_key(run.run_id)).splitlines():
        answer = StoredAnswer.model_validate_json(line)
        answers.setdefault(answer.side, []).append(answer)
    assert [each.row for each in answers["candidate"]] == list(range(31))
    plan = planned(run).evaluation
    labels = run.data is not None and run.data.labels is not None
    whole = partial_result(plan.metric, 0, list(held_out), answers, {}, labels=labels)
    expected = results(plan, held_out, whole, lambda _model, _latency: None)

    report = EvaluationReport.model_validate_json(read(application, names.evaluation_report_key(run.run_id)))
    unpriced = {side: score.model_copy(update={"price": None}) for side, score in report.sides.items()}
    assert report.model_copy(update={"sides": unpriced}) == expected


def test_a_fault_in_a_later_range_is_told_with_its_line_in_the_notice_and_on_a_page(application: Application) -> None:
    number = 300
    broken = [*lines(ROWS).splitlines(keepends=True)]
    secret = "do not repeat this"
    broken[number - 1] = json.dumps({"colour": secret}).encode() + b"\n"
    assert 2 * RANGE_BYTES < sum(map(len, broken[: number - 1])) < 3 * RANGE_BYTES
    application.upload("many-broken", files(b"".join(broken)))

    run = application.wait(application.start("many-broken"), RunStatus.REJECTED)

    [problem] = run.problems
    assert (problem.code, problem.where) == ("data.missing-field", f"train.jsonl:{number}")
    page = read(application, names.report_page_key(run.run_id)).decode()
    assert "train.jsonl" in page
    [notice] = application.notices(run.run_id)
    assert run.data
    assert run.data.page_uri in notice["Message"]
    assert names.console_url(planned(run).region, run.data.page_uri) in notice["Message"]
    assert secret not in notice["Message"]
    assert secret not in run.model_dump_json()
    assert application.training_jobs(run.run_id) == []
