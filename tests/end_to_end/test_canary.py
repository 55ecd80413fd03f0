"""Text of a user's rows stays in the buckets: it stands in no log, message, event, record, metric, tag or name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from local.bedrock.grader import correctness
from tests.deployed import COLOURS, QUICK, TEMPLATE, Application, lines, rows
from tests.samples import ACCOUNT
from tunedrop.domain import names
from tunedrop.domain.run import Run, RunStatus

CANARY = "canary7c1f"
BROKEN_FEELING = 3
TRAINING_LOG = "/aws/sagemaker/TrainingJobs"
EVERYTHING = "everything"
JUDGE = {"evaluator_model": "amazon.nova-pro-v1:0", "metrics": ["Correctness", "Completeness"]}

HOLDS_ROWS = (
    r"channels/(training|validation)/.+\.jsonl",
    r"held-out\.jsonl",
    r"answers/.+",
    r"answers\.jsonl",
    r"judge/.+\.jsonl",
    r"evaluation\.json",
    r"validation-report\.(json|html)",
    r"report\.html",
)
"""Where in `runs/<run_id>/` text of rows may stand: what docs/security.md says."""


def marked(first: int, count: int) -> list[dict[str, Any]]:
    """Make rows whose prompt, answer, segment and unread field hold the canary."""
    return [
        {
            "colour": f"{row['colour']} {CANARY}prompt",
            "feeling": f"{row['feeling']} {CANARY}answer",
            "segment": f"{CANARY}segment",
            "note": f"{CANARY}note",
        }
        for row in rows(first, count, {feeling: felt[:2] for feeling, felt in COLOURS.items()})
    ]


def drop(application: Application, dataset: str, training: list[dict[str, Any]], ends: bytes = b"") -> str:
    application.upload(
        dataset,
        {
            "train.jsonl": lines(training) + ends,
            "held-out.jsonl": lines(marked(3900, 2)),
            "template.json": json.dumps(TEMPLATE).encode(),
        },
    )
    return application.start(dataset, hyperparameters=QUICK, evaluate={"judge": JUDGE})


@pytest.fixture(scope="module")
def events(application: Application) -> Iterator[list[str]]:
    """Listen to both buses from before the drops; the list is filled when `ended` is."""
    sqs, bridge = application.engine.client("sqs"), application.engine.client("events")
    url = sqs.create_queue(QueueName=EVERYTHING)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    buses = ("default", application.outputs["EventBusName"])
    for bus in buses:
        pattern = json.dumps({"account": [ACCOUNT]})
        bridge.put_rule(Name=EVERYTHING, EventBusName=bus, EventPattern=pattern)
        bridge.put_targets(Rule=EVERYTHING, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
    heard: list[str] = []
    yield heard
    for bus in buses:
        bridge.remove_targets(Rule=EVERYTHING, EventBusName=bus, Ids=["queue"])
        bridge.delete_rule(Name=EVERYTHING, EventBusName=bus)


@pytest.fixture(scope="module")
def ended(application: Application, events: list[str]) -> list[Run]:
    """Run good rows to the evaluation, faulty ones in one function, and faulty ones in many."""
    faulty = lines([{"colour": f"{CANARY}faulty", "feeling": BROKEN_FEELING}])  # type: ignore[dict-item]  # that is it
    torn = f'{{"colour": "{CANARY}torn" "feeling"\n'.encode()
    started = [
        drop(application, "canary-good", marked(3000, 10)),
        drop(application, "canary-bad", marked(3100, 3), faulty + torn),
        drop(application, "canary-large", marked(3200, 60), faulty + torn),
    ]
    application.hear_judge(started[0])
    runs = [application.wait(run_id) for run_id in started]
    for run_id in started:
        application.wait_for(run_id, lambda run: bool(run.report_uri))
    application.engine.settle(120)
    queue = application.engine.client("sqs")
    url = queue.get_queue_url(QueueName=EVERYTHING)["QueueUrl"]
    while batch := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        for message in batch:
            events.append(message["Body"])
            queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return runs


def test_the_runs_saw_what_they_should(ended: list[Run]) -> None:
    good, bad, large = ended
    assert good.status in (RunStatus.PROMOTED, RunStatus.NOT_PROMOTED), good.reason
    for run in (bad, large):
        assert run.status is RunStatus.REJECTED
        assert {problem.code for problem in run.problems} == {"data.not-text", "data.not-json"}


def test_a_judge_graded_the_answers_of_both_models_and_that_is_told(application: Application, ended: list[Run]) -> None:
    run = ended[0]
    judgement = run.judgement
    assert judgement
    assert (judgement.over, judgement.failure, judgement.rival, judgement.rows) == (True, "", "base", 8)
    answers = application.s3.get_object(Bucket=application.outputs["RunBucketName"], Key=names.answers_key(run.run_id))[
        "Body"
    ].read()
    graded: dict[str, list[float]] = {"candidate": [], "base": []}
    for line in answers.splitlines():
        each = json.loads(line)
        graded[each["side"]].append(correctness(each["answer"]["text"], each["expected"])[0])
    score = judgement.scores["Correctness"]
    assert score.candidate == pytest.approx(sum(graded["candidate"]) / 8)
    assert score.rival == pytest.approx(sum(graded["base"]) / 8)
    shown = application.command("show", run.run_id)
    (notice,) = [each for each in application.notices(run.run_id) if each["MessageAttributes"]["status"] == _text(run)]
    page = application.s3.get_object(Bucket=application.outputs["RunBucketName"], Key=names.run_page_key(run.run_id))[
        "Body"
    ].read()
    for place in (shown.stdout, notice["Message"], page.decode()):
        assert "amazon.nova-pro-v1:0" in place
        assert f"{score.candidate:.3f}" in place


def _text(run: Run) -> dict[str, str]:
    return {"Type": "String", "Value": run.status}


def test_no_text_of_a_row_leaves_the_buckets(application: Application, ended: list[Run], events: list[str]) -> None:
    assert {run.run_id for run in ended} <= set(re.findall(r"[a-z2-7]{26}", " ".join(events))), "the events were heard"
    for place, text in told(application, ended):
        assert CANARY not in text, f"{place}: {text[:2000]}"
    assert not [event for event in events if CANARY in event]


def told(application: Application, runs: list[Run]) -> Iterator[tuple[str, str]]:
    """Yield all that is told outside the objects of the two buckets, by place."""
    client = application.engine.client
    yield from logged(client("logs"))
    for page in client("dynamodb").get_paginator("scan").paginate(TableName=application.outputs["RunsTableName"]):
        yield "table", json.dumps(page["Items"])
    for run in runs:
        yield "inbox", json.dumps(application.notices(run.run_id))
        yield from asked_of_aws(application, run.run_id)
    yield "dead letters", json.dumps(application.dead_letters())
    yield "metrics", json.dumps(client("cloudwatch").list_metrics()["Metrics"])
    yield "parameters", json.dumps(client("ssm").get_parameters_by_path(Path="/", Recursive=True), default=str)
    yield from executed(client("stepfunctions"))
    for bucket in (application.outputs["RunBucketName"], application.outputs["DropBucketName"]):
        for key in keys(application, bucket, ""):
            head = application.s3.head_object(Bucket=bucket, Key=key)
            tags = application.s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
            yield key, json.dumps([key, head["Metadata"], tags])


def logged(logs: Any) -> Iterator[tuple[str, str]]:
    for group in logs.describe_log_groups()["logGroups"]:
        # What third-party scripts print there is not ours to choose: docs/security.md.
        if group["logGroupName"] != TRAINING_LOG:
            for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"]):
                yield group["logGroupName"], "\n".join(event["message"] for event in page["events"])


def asked_of_aws(application: Application, run_id: str) -> Iterator[tuple[str, str]]:
    sagemaker, bedrock = application.engine.client("sagemaker"), application.engine.client("bedrock")
    for job in application.training_jobs(run_id):
        described = sagemaker.describe_training_job(TrainingJobName=job)
        yield "training job", json.dumps(described, default=str)
        yield "tags", json.dumps(sagemaker.list_tags(ResourceArn=described["TrainingJobArn"])["Tags"])
    for job in application.imports(run_id):
        yield "import", json.dumps(bedrock.get_model_import_job(jobIdentifier=job), default=str)
    for each in bedrock.list_evaluation_jobs(nameContains=run_id)["jobSummaries"]:
        yield "evaluation", json.dumps(bedrock.get_evaluation_job(jobIdentifier=each["jobArn"]), default=str)


def executed(workflows: Any) -> Iterator[tuple[str, str]]:
    for machine in workflows.list_state_machines()["stateMachines"]:
        for execution in workflows.list_executions(stateMachineArn=machine["stateMachineArn"])["executions"]:
            arn = execution["executionArn"]
            yield "execution", json.dumps(workflows.describe_execution(executionArn=arn), default=str)
            yield "history", json.dumps(workflows.get_execution_history(executionArn=arn), default=str)


def test_in_the_run_bucket_only_the_rows_and_the_reports_hold_rows(application: Application, ended: list[Run]) -> None:
    good, bad, large = (holding(application, run) for run in ended)
    for place in HOLDS_ROWS:
        assert any(re.fullmatch(place, key) for key in good | bad | large), f"{place} holds none"
    for key in good | bad | large:
        assert any(re.fullmatch(place, key) for place in HOLDS_ROWS), key
    assert "validation-report.html" in bad & large


def holding(application: Application, run: Run) -> set[str]:
    """Name the files of a run that hold the canary."""
    bucket, prefix = application.outputs["RunBucketName"], names.run_prefix(run.run_id)
    found = set()
    for key in keys(application, bucket, prefix):
        if CANARY.encode() in application.s3.get_object(Bucket=bucket, Key=key)["Body"].read():
            found.add(key.removeprefix(prefix))
    return found


def keys(application: Application, bucket: str, prefix: str) -> list[str]:
    pages = application.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [each["Key"] for page in pages for each in page.get("Contents", [])]
