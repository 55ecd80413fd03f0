"""Evaluation jobs are started once under their names, by adapter and fake alike; and AWS's codes are told apart."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.bedrock.service import Bedrock
from local.bedrock.settings import Settings
from tests.adapters.conftest import Script
from tests.fakes import FakeJudgeJobs
from tests.local.fake_host import BUCKET, ROLE, connect, fake_host
from tests.samples import RUN_ID, STACK
from tunedrop.adapters.judge_jobs import BedrockJudgeJobs
from tunedrop.domain import names
from tunedrop.errors import RequestDeniedError, RequestRefusedError, TransientError, UnavailableError
from tunedrop.ports import JudgeJobs, JudgeRequest

SERVICE = "bedrock"
ANSWER = (
    b'{"prompt": "2 + 2", "referenceResponse": "4", '
    b'"modelResponses": [{"response": "4", "modelIdentifier": "candidate"}]}\n'
)
NOWHERE = "arn:aws:bedrock:us-east-1:123456789012:evaluation-job/abcdefghijkl"


@pytest.fixture(params=["adapter", "fake"])
def judges(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JudgeJobs]:
    """Jobs that go on until they are stopped."""
    if request.param == "fake":
        yield FakeJudgeJobs()
        return
    with fake_host(tmp_path) as host:
        host.client("s3").put_object(Bucket=BUCKET, Key="answers.jsonl", Body=ANSWER)
        service = Bedrock({}, Settings(grade_seconds=600))
        service.start(host)
        yield BedrockJudgeJobs(connect(service, "bedrock"), ROLE)
        service.stop()


def wanted(attempt: int = 1) -> JudgeRequest:
    return JudgeRequest(
        name=names.judge_job(STACK, RUN_ID, "candidate", attempt),
        run_id=RUN_ID,
        side="candidate",
        answers_uri=f"s3://{BUCKET}/answers.jsonl",
        output_uri=f"s3://{BUCKET}/output/",
        evaluator_model="us.amazon.nova-pro-v1:0",
        metrics=("Correctness", "Completeness"),
    )


def test_a_job_is_started_once_under_its_name_and_runs(judges: JudgeJobs) -> None:
    arn = judges.start(wanted())
    assert judges.start(wanted()) == arn
    state = judges.state(arn)
    assert state
    assert (state.status, state.failure_message) == ("InProgress", "")
    assert judges.start(wanted(2)) != arn


def test_a_job_whose_name_only_begins_so_is_another_one(judges: JudgeJobs) -> None:
    tenth = judges.start(wanted(10))
    assert judges.start(wanted(1)) != tenth


def test_the_running_ones_are_listed_by_the_beginning_of_their_names(judges: JudgeJobs) -> None:
    started = {wanted(attempt).name: judges.start(wanted(attempt)) for attempt in range(1, 8)}
    assert dict(judges.running(f"{STACK}-")) == started
    assert list(judges.running("another-")) == []


def test_a_job_that_is_stopped_runs_no_more_and_may_be_stopped_again(judges: JudgeJobs) -> None:
    arn = judges.start(wanted())
    for _ in range(2):
        judges.stop(arn)
        state = judges.state(arn)
        assert state
        assert state.status in {"Stopping", "Stopped"}
    assert list(judges.running(f"{STACK}-")) == []


def test_a_job_that_there_is_not_has_no_state_and_need_not_be_stopped(judges: JudgeJobs) -> None:
    assert judges.state(NOWHERE) is None
    judges.stop(NOWHERE)


@pytest.mark.parametrize(
    ("code", "status", "cause"),
    [
        ("ConflictException", 409, TransientError),
        ("ThrottlingException", 429, TransientError),
        ("ServiceQuotaExceededException", 400, UnavailableError),
        ("ValidationException", 400, RequestRefusedError),
        ("ResourceNotFoundException", 404, RequestRefusedError),
        ("AccessDeniedException", 403, RequestDeniedError),
    ],
)
def test_what_bedrock_says_is_told_apart_by_what_to_do(
    script: Script, code: str, status: int, cause: type[Exception]
) -> None:
    script.answers("list_evaluation_jobs", {})
    script.fails("create_evaluation_job", code, "AWS says so.", status)
    with pytest.raises(cause, match="AWS says so"):
        BedrockJudgeJobs(script.client, ROLE).start(wanted())
