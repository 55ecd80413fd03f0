"""A good dataset becomes a model that answers, and the model is this very run's."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from local.bedrock.language_model import LanguageModel
from local.engine.settings import REGION
from local.jumpstart.scripts.instructions import Template, read_examples
from tests.deployed import COLOURS, MLFLOW_SERVER_ARN, TEMPLATE, Application, rows
from tunedrop.adapters.mlflow import MlflowExperiments, mlflow_client
from tunedrop.bootstrap import CALLS
from tunedrop.domain import names
from tunedrop.domain.run import Run, RunStatus


def feeling(colour: str) -> str:
    return next(feeling for feeling, colours in COLOURS.items() if colour.split(maxsplit=1)[0] in colours)


def test_the_tuned_model_beats_the_base_on_the_same_rows(promoted: Run) -> None:
    evaluation = promoted.evaluation
    assert evaluation is not None
    assert evaluation.base is not None
    assert evaluation.base.rows == evaluation.candidate.rows == 24
    assert evaluation.candidate.value >= evaluation.base.value + 0.5


def test_the_alias_s_model_answers_through_converse(application: Application, promoted: Run) -> None:
    alias = application.engine.client("ssm").get_parameter(Name="/tunedrop/models/colours")["Parameter"]["Value"]
    assert promoted.deployment is not None
    assert alias == promoted.deployment.model_arn
    for row in rows(50, 1):
        answer = application.converse(alias, row["colour"])
        assert answer["output"]["message"]["content"][0]["text"].strip() == feeling(row["colour"])
        assert answer["stopReason"] == "end_turn"


def test_chat_speaks_with_the_tuned_weights(application: Application, promoted: Run) -> None:
    spoken = application.command("chat", promoted.dataset, "--message", "teal 50")
    assert spoken.returncode == 0, spoken.stderr
    assert spoken.stdout.strip().endswith("cold")


def test_chat_tells_how_sure_the_model_is(application: Application, promoted: Run) -> None:
    spoken = application.command("chat", promoted.dataset, "--message", "teal 50", "--confidence")
    assert spoken.returncode == 0, spoken.stderr
    assert spoken.stdout.strip().endswith("cold")
    told = re.search(r"Confidence ([01]\.\d{3}); the least sure token is", spoken.stderr)
    assert told
    assert float(told[1]) > 0.5


README = Path(__file__).parents[2] / "README.md"


def caller(application: Application, dataset: str) -> dict[str, str]:
    """Make a role of the permissions that the README names for callers, and return a session of it as variables."""
    _, _, section = README.read_text(encoding="utf-8").partition("\n## Call your model from a program\n")
    rows = [line.split("|")[1:3] for line in section.partition("\n## ")[0].splitlines() if line.startswith("| `")]
    statements = [
        {"Effect": "Allow", "Action": re.findall(r"`(\w+:\w+)`", actions), "Resource": re.findall(r"`(arn:.+?)`", on)}
        for actions, on in rows
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    for name, value in {"<region>": "*", "<account>": "*", "<dataset>": dataset}.items():
        policy = policy.replace(name, value)
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    iam = application.engine.client("iam")
    role = iam.create_role(RoleName="caller", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]
    iam.put_role_policy(RoleName="caller", PolicyName="calls", PolicyDocument=policy)
    keys = application.engine.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="program")["Credentials"]
    return {
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
        "AWS_SESSION_TOKEN": keys["SessionToken"],
    }


def test_the_readme_s_program_runs_with_the_readme_s_permissions(application: Application, promoted: Run) -> None:
    (program,) = re.findall(r"```python\n(import tunedrop\n.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    for written, here in (
        ("bank-transactions", promoted.dataset),
        (r"Name the account.\nDEBIT CASA LUMEN | $222.80 | Sat 03 Oct", "teal 50"),
    ):
        assert written in program
        program = program.replace(written, here)
    environment = {**os.environ, **application.engine.environment(), **caller(application, promoted.dataset)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    answer, facts, streamed = ran.stdout.strip().splitlines()
    assert answer.strip() == streamed.strip() == "cold"
    assert re.fullmatch(r"end_turn \d+ 0\.\d+", facts)


def test_training_and_serving_see_the_same_tokens(application: Application, promoted: Run, tmp_path: Path) -> None:
    """Compare a training row's token ids, as the training script makes them, with what Converse renders."""
    channel = names.channel_prefix(promoted.run_id, "training")
    for name in ("train.jsonl", "template.json"):
        application.s3.download_file(application.outputs["RunBucketName"], channel + name, str(tmp_path / name))
    weights = application.imported_weights(promoted)
    tokenizer = AutoTokenizer.from_pretrained(weights)
    examples = read_examples(tmp_path, Template.read(tmp_path), tokenizer, demarcation=True, max_length=1024)
    trained_on = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    served_by = LanguageModel(weights)
    for example, row in zip(examples, trained_on, strict=True):
        prompt = TEMPLATE["prompt"].format(**row)
        assert served_by.render([{"role": "user", "content": prompt}]) == example.prompt
    assert promoted.deployment is not None
    answer = application.converse(str(promoted.deployment.model_arn), TEMPLATE["prompt"].format(**trained_on[0]))
    assert answer["usage"]["inputTokens"] == len(examples[0].prompt)


def test_the_training_channel_holds_training_files_only(application: Application, promoted: Run) -> None:
    prefix = names.run_prefix(promoted.run_id) + "channels/"
    listed = application.s3.list_objects_v2(Bucket=application.outputs["RunBucketName"], Prefix=prefix)["Contents"]
    assert {each["Key"].removeprefix(prefix) for each in listed} == {"training/template.json", "training/train.jsonl"}


def test_two_notices_tell_of_the_start_and_of_the_end(application: Application, promoted: Run) -> None:
    start, end = application.notices(promoted.run_id)
    assert "training started" in start["Subject"]
    assert "promoted" in end["Subject"]
    assert end["MessageAttributes"]["status"]["Value"] == "PROMOTED"


def test_the_same_drop_again_starts_nothing(application: Application, promoted: Run) -> None:
    again = application.wait(application.drop("colours"), RunStatus.REJECTED)
    assert [problem.code for problem in again.problems] == ["drop.duplicate"]
    assert promoted.run_id in again.reason
    assert application.training_jobs(again.run_id) == []


def test_the_run_s_report_is_written_and_fetched_with_its_losses(
    application: Application, promoted: Run, tmp_path: Path
) -> None:
    reported = application.wait_for(promoted.run_id, lambda run: bool(run.report_uri))
    assert reported.report_uri.endswith(f"/runs/{promoted.run_id}/report.html")
    fetched = application.command("report", promoted.run_id, "--output", str(tmp_path / "run.html"))
    assert fetched.returncode == 0, fetched.stderr
    page = (tmp_path / "run.html").read_text(encoding="utf-8")
    for told in (">Promoted<", ">Side by side<", ">Lineage<", reported.request_hash, "<polyline", "validation: from"):
        assert told in page
    (_, end) = application.notices(promoted.run_id)
    assert reported.report_uri in end["Message"]
    (link,) = re.findall(r"http\S+X-Amz-Signature=\S+", end["Message"])
    with urllib.request.urlopen(link) as answer:  # noqa: S310 - the embedded AWS's own address
        assert answer.read() == (tmp_path / "run.html").read_bytes()


def test_the_run_is_tracked_in_mlflow(application: Application, promoted: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    application.await_call("TrackExperiment", "sagemaker-mlflow:UpdateRun", MLFLOW_SERVER_ARN)
    for name, value in application.engine.environment().items():
        monkeypatch.setenv(name, value)
    experiments = MlflowExperiments(mlflow_client(REGION, CALLS), MLFLOW_SERVER_ARN)
    experiment = experiments.experiment("tunedrop/colours")
    assert experiment
    found = experiments.find(experiment, promoted.run_id)
    assert found
    assert found["status"] == "FINISHED"


def test_the_dashboard_and_the_alarms_have_the_run_s_metrics(application: Application, promoted: Run) -> None:
    cloudwatch: Any = application.engine.client("cloudwatch")
    since, until = promoted.created_at - timedelta(minutes=1), datetime.now(UTC) + timedelta(minutes=1)

    def total(metric: str, *dimensions: tuple[str, str]) -> float:
        answer = cloudwatch.get_metric_statistics(
            Namespace="Tunedrop",
            MetricName=metric,
            Dimensions=[{"Name": name, "Value": value} for name, value in (("service", "tunedrop"), *dimensions)],
            StartTime=since,
            EndTime=until,
            Period=86400,
            Statistics=["Sum"],
        )
        return sum(float(each["Sum"]) for each in answer["Datapoints"])

    assert total("RunsEntered", ("status", "PROMOTED")) >= 1
    assert total("StepSeconds", ("status", "TRAINING")) > 0
    assert total("ImportsRunning") >= 1
    body = json.loads(cloudwatch.get_dashboard(DashboardName="tunedrop")["DashboardBody"])
    assert "tunedrop" in json.dumps(body)
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    assert {"RunsEntered", "ImportsWaiting", "ApproximateNumberOfMessagesVisible"} <= {
        alarm["MetricName"] for alarm in alarms
    }
