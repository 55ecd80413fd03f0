"""Executions are started once under their name, and described by it."""

import json

import pytest

from tests.adapters.conftest import Script
from tests.samples import WORKFLOW_ARN
from tunedrop.adapters.step_functions import StepFunctionsWorkflows
from tunedrop.errors import TransientError
from tunedrop.ports import Execution

SERVICE = "stepfunctions"

NAME = "run-1"
ARN = f"{WORKFLOW_ARN.replace(':stateMachine:', ':execution:')}:{NAME}"
STARTED = {"executionArn": ARN, "startDate": 0}
DESCRIBED = {"executionArn": ARN, "stateMachineArn": WORKFLOW_ARN, "startDate": 0, "input": "{}"}


def workflows(script: Script) -> StepFunctionsWorkflows:
    return StepFunctionsWorkflows(script.client, WORKFLOW_ARN)


def test_an_execution_is_started_with_its_name_and_input(script: Script) -> None:
    asked = {"stateMachineArn": WORKFLOW_ARN, "name": NAME, "input": json.dumps({"run_id": "run"})}
    script.answers("start_execution", STARTED, asked)
    workflows(script).start(NAME, {"run_id": "run"})


def test_an_execution_that_has_ended_counts_as_started(script: Script) -> None:
    script.fails("start_execution", "ExecutionAlreadyExists")
    workflows(script).start(NAME, {})


@pytest.mark.parametrize("code", ["ExecutionLimitExceeded", "ThrottlingException"])
def test_too_many_executions_pass(script: Script, code: str) -> None:
    script.fails("start_execution", code)
    with pytest.raises(TransientError):
        workflows(script).start(NAME, {})


def test_an_execution_is_described_by_its_name(script: Script) -> None:
    script.answers("describe_execution", {**DESCRIBED, "status": "RUNNING"}, {"executionArn": ARN})
    script.answers("describe_execution", {**DESCRIBED, "status": "FAILED", "error": "E", "cause": "c"})
    assert workflows(script).state(NAME) == Execution(arn=ARN, status="RUNNING")
    assert workflows(script).state(NAME) == Execution(arn=ARN, status="FAILED", error="E", cause="c")


def test_an_execution_that_was_never_started_is_none(script: Script) -> None:
    script.fails("describe_execution", "ExecutionDoesNotExist")
    assert workflows(script).state(NAME) is None
