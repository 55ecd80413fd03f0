"""What AWS lacks is waited for or taken elsewhere, and what fails for good is explained by the job's own log."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from local.sagemaker.account import Account
from tests.deployed import QUICK, Application, lines, rows
from tunedrop.adapters.dynamodb import DynamoDBRunStore, _item
from tunedrop.domain.run import Run, RunStatus

USUAL = "ml.g5.2xlarge"
NEVER_GOOD_ENOUGH = {"min_gain": 1.0}


@pytest.fixture
def account(application: Application) -> Iterator[Application]:
    yield application
    Account().write(application.engine.data_dir)


def hurry(application: Application, run_id: str) -> None:
    """Let the wait of a run be over, as it is minutes later."""
    table = application.engine.client("dynamodb")
    run = DynamoDBRunStore(table, application.outputs["RunsTableName"]).get(run_id)
    assert run
    soon = run.model_copy(update={"next_try_at": datetime.now(UTC), "version": run.version + 1})
    table.put_item(TableName=application.outputs["RunsTableName"], Item=_item(soon))


def test_pain_11_a_run_without_capacity_trains_on_another_instance_type(account: Application) -> None:
    Account(no_capacity=frozenset({USUAL})).write(account.engine.data_dir)
    run_id = account.drop("scarce", seed=21, hyperparameters=QUICK, evaluate=NEVER_GOOD_ENOUGH)

    waiting = account.wait_for(run_id, lambda run: run.attempt == 2)
    hurry(account, run_id)
    run = account.wait(run_id)

    assert (waiting.status, waiting.training) == (RunStatus.LAUNCHING, None)
    assert waiting.next_try_at
    assert [(each.instance_type, each.code) for each in run.failed_attempts] == [(USUAL, "training.capacity")]
    assert run.status is RunStatus.NOT_PROMOTED, run.reason
    jobs = account.training_jobs(run_id)
    assert sorted(status_and_type(account, job) for job in jobs) == [
        ("Completed", used(run)),
        ("Failed", USUAL),
    ]
    assert used(run) != USUAL


def test_pain_9_a_quota_of_zero_is_found_before_the_launch(account: Application) -> None:
    Account(quotas={USUAL: 0}).write(account.engine.data_dir)

    named = account.wait(account.drop("zero", seed=22, instance_type=USUAL), RunStatus.REJECTED)
    left_open = account.drop("other", seed=23, hyperparameters=QUICK)
    training = account.wait(left_open, RunStatus.TRAINING)

    assert [each.code for each in named.problems] == ["quota.zero"]
    assert "aws service-quotas request-service-quota-increase" in named.problems[0].fix
    assert account.training_jobs(named.run_id) == []
    assert used(training) != USUAL
    account.wait(left_open)


def test_the_log_of_a_failed_job_is_read(account: Application) -> None:
    account.upload("astray", {"train.jsonl": lines(rows(2300, 10)), "held-out.jsonl": lines(rows(2350, 2))})
    template = {"prompt": "{colour}", "completion": "{feeling}"}
    account.upload("astray", {"template.json": json.dumps(template).encode()})
    run_id = account.start("astray", hyperparameters={**QUICK, "target_modules": "no_such_module"})

    run = account.wait(run_id, RunStatus.FAILED)

    assert run.problems[0].code == "training.script"
    assert account.called("TrackTraining", "logs:GetLogEvents", run_id)


def used(run: Run) -> str:
    assert run.plan
    return run.plan.training.instance_type


def status_and_type(application: Application, job_name: str) -> tuple[str, str]:
    job = application.engine.client("sagemaker").describe_training_job(TrainingJobName=job_name)
    return job["TrainingJobStatus"], job["ResourceConfig"]["InstanceType"]
