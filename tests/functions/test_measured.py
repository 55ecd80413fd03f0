"""What the functions measure while runs go on, read from what they print."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.deployment import Deployment
from tests.samples import NOW, run_in
from tests.stack import TEMPLATE, sample
from tunedrop.domain.budget import Ledger
from tunedrop.domain.measures import BY_STATUS, Measure
from tunedrop.domain.run import RunStatus

Measured = list[tuple[str, float, str | None]]


@pytest.fixture
def tunedrop(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "some-stack")
    return Deployment(monkeypatch)


@pytest.fixture
def measured(capsys: pytest.CaptureFixture[str]) -> Callable[[], Measured]:
    """Return what was measured since the last call: (metric, value, status)."""

    def read() -> Measured:
        found: Measured = []
        for line in capsys.readouterr().out.splitlines():
            record: dict[str, Any] = json.loads(line)
            if "_aws" not in record:
                continue
            [directive] = record["_aws"]["CloudWatchMetrics"]
            [metric] = directive["Metrics"]
            [dimensions] = directive["Dimensions"]
            assert directive["Namespace"] == "Tunedrop"
            assert record["service"] == "some-stack"
            status = {"status"} if Measure(metric["Name"]) in BY_STATUS else set()
            assert set(dimensions) == {"service"} | status
            assert set(record) == {"_aws", metric["Name"], *dimensions}
            found.append((metric["Name"], record[metric["Name"]][0], record.get("status")))
        return found

    return read


def test_a_stack_s_metrics_bear_its_name() -> None:
    variables = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert variables["POWERTOOLS_SERVICE_NAME"] == {"Ref": "AWS::StackName"}


def test_a_launch_is_counted_with_what_it_may_cost_and_the_time_before_it(
    tunedrop: Deployment, measured: Callable[[], Measured]
) -> None:
    tunedrop.clock.move(timedelta(seconds=30))
    tunedrop.store.create(run_in(RunStatus.LAUNCHING))
    tunedrop.invoke("launch_training", sample("tunedrop/run-status-changed.launching"))
    assert measured() == [
        ("CommittedUsd", 1.57, None),
        ("RunsEntered", 1.0, "TRAINING"),
        ("StepSeconds", 30.0, "LAUNCHING"),
    ]


def test_a_job_s_end_is_counted_with_what_it_has_cost(tunedrop: Deployment, measured: Callable[[], Measured]) -> None:
    tunedrop.store.create(run_in(RunStatus.LAUNCHING))
    tunedrop.invoke("launch_training", sample("tunedrop/run-status-changed.launching"))
    [job_name] = tunedrop.jobs.statuses
    tunedrop.jobs.finish(job_name, "Completed")
    measured()
    tunedrop.clock.move(timedelta(minutes=20))
    tunedrop.invoke("track_training", sample("aws.sagemaker/sagemaker-training-job-state-change.completed"))
    [entered, step, cost, committed] = measured()
    assert entered == ("RunsEntered", 1.0, "DEPLOYING")
    assert step == ("StepSeconds", 1200.0, "TRAINING")
    assert (cost[0], committed[0]) == ("TrainingUsd", "CommittedUsd")
    assert cost[1] == committed[1] > 0


def test_a_launch_without_room_under_the_cap_is_counted(tunedrop: Deployment, measured: Callable[[], Measured]) -> None:
    tunedrop.store.create(run_in(RunStatus.LAUNCHING))
    tunedrop.store.cap_cents = 100
    tunedrop.store.ledgers["2026-01"] = Ledger(month="2026-01", spent=90)
    tunedrop.invoke("launch_training", sample("tunedrop/run-status-changed.launching"))
    assert measured() == [("HeldByCap", 1.0, None)]


def test_who_imports_and_who_waits_for_it_is_counted_while_anybody_does(
    tunedrop: Deployment, measured: Callable[[], Measured]
) -> None:
    tunedrop.invoke("track_deployment", tunedrop.tick("every-minute"))
    assert measured() == []
    for letter in "ab":
        waiting = run_in(RunStatus.DEPLOYING)
        tunedrop.store.create(waiting.model_copy(update={"run_id": letter * 26}))
    tunedrop.invoke("track_deployment", tunedrop.tick("every-minute"))
    assert measured() == [("ImportsRunning", 0.0, None), ("ImportsWaiting", 2.0, None)]


def test_the_models_that_bedrock_keeps_are_counted_while_there_are_any(
    tunedrop: Deployment, measured: Callable[[], Measured]
) -> None:
    tunedrop.invoke("reconcile_runs", tunedrop.tick("every-five-minutes"))
    assert measured() == []
    tunedrop.imports.created = {"tunedrop-one": NOW, "tunedrop-two": NOW, "another-one": NOW}
    tunedrop.invoke("reconcile_runs", tunedrop.tick("every-five-minutes"))
    assert measured() == [("ImportedModels", 2.0, None)]
