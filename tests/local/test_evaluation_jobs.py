"""The local Bedrock grades answers that are there already, as an evaluation job with a judge does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.bedrock.grader import completeness, correctness
from local.bedrock.service import Bedrock
from local.bedrock.settings import Settings
from tests.local.fake_host import BUCKET, ROLE, UNTRUSTING_ROLE, FakeHost, connect, eventually, fake_host

ANSWERS = [
    {
        "prompt": f"prompt {number}",
        "referenceResponse": "blue sky",
        "modelResponses": [{"response": response, "modelIdentifier": "candidate"}],
    }
    for number, response in enumerate(["Blue sky.", "a blue sky", "green"])
]


@pytest.fixture
def host(tmp_path: Path) -> Iterator[FakeHost]:
    with fake_host(tmp_path) as host:
        upload(host, ANSWERS)
        yield host


@pytest.fixture
def service(host: FakeHost) -> Iterator[Bedrock]:
    service = Bedrock({}, Settings())
    service.start(host)
    yield service
    service.stop()


@pytest.fixture
def bedrock(service: Bedrock) -> Any:
    return connect(service, "bedrock")


def upload(host: FakeHost, records: list[Any]) -> None:
    body = "".join(json.dumps(each) + "\n" for each in records)
    host.client("s3").put_object(Bucket=BUCKET, Key="answers.jsonl", Body=body.encode())


def job(name: str = "job-1", metrics: tuple[str, ...] = ("Correctness",), **changes: Any) -> dict[str, Any]:
    graded = {
        "taskType": changes.pop("task_type", "General"),
        "dataset": {"name": "held-out", "datasetLocation": {"s3Uri": f"s3://{BUCKET}/answers.jsonl"}},
        "metricNames": [f"Builtin.{each}" for each in metrics],
    }
    judge = {"bedrockEvaluatorModels": [{"modelIdentifier": changes.pop("judge", "amazon.nova-pro-v1:0")}]}
    return {
        "jobName": name,
        "roleArn": ROLE,
        "evaluationConfig": {"automated": {"datasetMetricConfigs": [graded], "evaluatorModelConfig": judge}},
        "inferenceConfig": {"models": [{"precomputedInferenceSource": {"inferenceSourceIdentifier": "candidate"}}]},
        "outputDataConfig": {"s3Uri": f"s3://{BUCKET}/output/"},
        **changes,
    }


def ended(bedrock: Any, arn: str) -> dict[str, Any]:
    def state() -> Any:
        answer = bedrock.get_evaluation_job(jobIdentifier=arn)
        return answer if answer["status"] not in {"InProgress", "Stopping"} else None

    return eventually(state)


def failure(bedrock: Any, **changes: Any) -> str:
    state = ended(bedrock, bedrock.create_evaluation_job(**job(**changes))["jobArn"])
    assert state["status"] == "Failed"
    return str(state["failureMessages"])


def test_grades_lie_where_bedrock_puts_them_beside_what_was_graded(bedrock: Any, host: FakeHost) -> None:
    arn = bedrock.create_evaluation_job(**job(metrics=("Correctness", "Completeness")))["jobArn"]
    state = ended(bedrock, arn)
    assert (state["status"], state["jobType"], state["jobArn"]) == ("Completed", "Automated", arn)
    s3 = host.client("s3")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=BUCKET, Prefix="output/")["Contents"]]
    (key,) = [key for key in keys if key.endswith("_output.jsonl")]
    output, name, _, *rest, _ = key.split("/")
    assert (output, name) == ("output", "job-1")
    assert rest == ["models", "candidate", "taskTypes", "General", "datasets", "held-out"]
    lines = s3.get_object(Bucket=BUCKET, Key=key)["Body"].read().splitlines()
    records = [json.loads(line) for line in lines]
    assert [each["inputRecord"] for each in records] == ANSWERS
    graded = [[score["result"] for score in each["automatedEvaluationResult"]["scores"]] for each in records]
    assert graded == [[1.0, 1.0], [0.5, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    ("response", "correct", "complete"),
    [
        ("the blue sky", 1.0, 1.0),
        ("sky blue the", 1.0, 1.0),
        ("the sky", 0.5, 0.5),
        ("a very long tale about the blue sea", 0.0, 0.5),
        ("", 0.0, 0.0),
    ],
)
def test_grades_are_of_the_words_that_answer_and_reference_share(
    response: str, correct: float, complete: float
) -> None:
    assert correctness(response, "The blue sky.")[0] == correct
    assert completeness(response, "The blue sky.")[0] == complete


def test_what_takes_a_language_model_to_grade_is_not_graded(bedrock: Any) -> None:
    assert "no language model" in failure(bedrock, metrics=("Helpfulness",))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompt": " "}, "empty text"),
        ({"referenceResponse": ""}, "empty text"),
        ({"modelResponses": []}, "not valid"),
        ({"modelResponses": ANSWERS[0]["modelResponses"] * 2}, "not valid"),
        ({"modelResponses": [{"response": "x", "modelIdentifier": "base"}]}, "not of the model candidate"),
    ],
    ids=["no prompt", "no reference", "no answer", "two answers", "another's answer"],
)
def test_one_faulty_record_fails_the_job_and_is_named_by_its_number(
    bedrock: Any, host: FakeHost, change: dict[str, Any], message: str
) -> None:
    upload(host, [*ANSWERS, {**ANSWERS[0], **change}])
    told = failure(bedrock)
    assert "Record 4" in told
    assert message in told


def test_a_job_takes_a_thousand_prompts_and_no_more(bedrock: Any, host: FakeHost) -> None:
    upload(host, ANSWERS[:1] * 1001)
    assert "1001 prompts" in failure(bedrock)


@pytest.mark.parametrize("operation", ["GetObject", "PutObject", "ListObjectsV2"])
def test_what_the_role_may_not_do_fails_the_job(bedrock: Any, host: FakeHost, operation: str) -> None:
    host.denied.add((ROLE, operation))
    assert "Access Denied" in failure(bedrock)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"task_type": "QuestionAndAnswer"}, "ValidationException"),
        ({"task_type": "Anything"}, "ValidationException"),
        ({"judge": "amazon.titan-text-express-v1"}, "ValidationException"),
        ({"roleArn": UNTRUSTING_ROLE}, "ValidationException"),
        ({"jobName": "Not-Lower"}, "ValidationException"),
        ({"inferenceConfig": {"models": [{"bedrockModel": {"modelIdentifier": "a.b"}}]}}, "ValidationException"),
    ],
)
def test_what_bedrock_would_refuse_is_refused(bedrock: Any, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(ClientError) as refused:
        bedrock.create_evaluation_job(**job(**changes))
    assert refused.value.response["Error"]["Code"] == code
    assert bedrock.list_evaluation_jobs()["jobSummaries"] == []


def test_a_name_is_given_once_and_a_token_finds_its_job(bedrock: Any) -> None:
    token = "a-token-of-the-name"
    arn = bedrock.create_evaluation_job(**job(clientRequestToken=token))["jobArn"]
    assert bedrock.create_evaluation_job(**job(clientRequestToken=token))["jobArn"] == arn
    with pytest.raises(ClientError, match="ConflictException"):
        bedrock.create_evaluation_job(**job(clientRequestToken="another-token"))
    ended(bedrock, arn)
    with pytest.raises(ClientError, match="ConflictException"):
        bedrock.stop_evaluation_job(jobIdentifier=arn)


def test_jobs_outlive_the_engine_and_those_it_interrupts_have_failed(host: FakeHost) -> None:
    first = Bedrock({}, Settings(grade_seconds=600))
    first.start(host)
    arn = connect(first, "bedrock").create_evaluation_job(**job())["jobArn"]
    second = Bedrock({}, Settings())
    second.start(host)
    state = connect(second, "bedrock").get_evaluation_job(jobIdentifier=arn)
    assert state["status"] == "Failed"
    first.stop()
    second.stop()
