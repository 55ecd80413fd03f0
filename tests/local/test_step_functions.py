"""State machines with a Distributed Map behave as on AWS where the application depends on it."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.deploy import DeploymentError
from local.engine import Engine, Settings

TEMPLATE = Path(__file__).parent / "fixture_app" / "workflow.yaml"


@dataclass
class Stack:
    """The fixture's state machines, deployed."""

    engine: Engine
    outputs: dict[str, str]
    heard: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.states = self.engine.client("stepfunctions")
        self.s3 = self.engine.client("s3")
        self.sqs = self.engine.client("sqs")

    def start(self, kind: str, *items: dict[str, Any], name: str = "", function: str = "Worker") -> str:
        """Store the items and start the flow over them; return the execution's ARN."""
        name = name or f"n{uuid.uuid4().hex[:12]}"
        text = json.dumps(items) if kind == "batches" else "\n".join(map(json.dumps, items))
        self.s3.put_object(Bucket=self.outputs["Bucket"], Key=f"items/{name}", Body=text.encode())
        given = {"kind": kind, "key": f"items/{name}", "note": "n", "function": self.outputs[function]}
        answer = self.states.start_execution(stateMachineArn=self.outputs["Flow"], name=name, input=json.dumps(given))
        return str(answer["executionArn"])

    def ended(self, arn: str) -> dict[str, Any]:
        """Wait for the end of an execution and describe it."""
        return wait_for(lambda: (found := self.described(arn))["status"] != "RUNNING" and found)

    def described(self, arn: str) -> dict[str, Any]:
        return self.states.describe_execution(executionArn=arn)

    def children(self, arn: str) -> list[dict[str, Any]]:
        """Describe the children of the execution's Map Run, when that has begun."""
        runs = self.states.list_map_runs(executionArn=arn)["mapRuns"]
        listed = [self.states.list_executions(mapRunArn=run["mapRunArn"])["executions"] for run in runs]
        return [self.described(child["executionArn"]) for children in listed for child in children]

    def is_stored(self, arn: str) -> bool:
        """Tell whether the engine's last snapshot holds the execution and its children."""
        with closing(sqlite3.connect(self.engine.data_dir / "engine.sqlite3")) as connection:
            stored = b"".join(state for (state,) in connection.execute("SELECT state FROM snapshot"))
        return all(each.encode() in stored for each in (arn, *(child["executionArn"] for child in self.children(arn))))

    def events(self, arn: str, number: int) -> list[dict[str, Any]]:
        """Wait until the rule's target heard so many events of an execution."""
        return wait_for(lambda: len(found := self._heard(arn)) >= number and found)

    def _heard(self, arn: str) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(QueueUrl=self.outputs["Heard"], MaxNumberOfMessages=10)
        self.heard += [json.loads(message["Body"]) for message in answer.get("Messages", [])]
        return [event for event in self.heard if event["resources"] == [arn]]

    def read(self, key: str) -> Any:
        body = self.s3.get_object(Bucket=self.outputs["Bucket"], Key=key)["Body"]
        return json.loads(body.read())

    def decisions(self, role: str) -> set[tuple[str, bool]]:
        return {(one.action, one.allowed) for one in self.engine.decisions() if one.role == self.outputs[role]}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with Engine(tmp_path_factory.mktemp("engine"), Settings(), lambda _: None) as engine:
        yield Stack(engine, engine.deploy(TEMPLATE, {}, "workflow"))


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)
    return found


def item(do: str, name: str = "", **more: Any) -> dict[str, Any]:
    return {"do": do, "name": name or do, **more}


class TestDistributedMap:
    def test_batches_of_a_json_array_are_children_and_their_results_lie_in_s3(self, stack: Stack) -> None:
        arn = stack.start("batches", *(item("pass", f"i{number}") for number in range(5)))
        ended = stack.ended(arn)
        assert ended["status"] == "SUCCEEDED", ended
        output = json.loads(ended["output"])
        details = output["ResultWriterDetails"]
        manifest = stack.read(details["Key"])
        assert details["Key"] == f"results/{output['MapRunArn'].rsplit(':', 1)[-1]}/manifest.json"
        assert manifest["MapRunArn"] == output["MapRunArn"]
        assert manifest["ResultFiles"]["FAILED"] == manifest["ResultFiles"]["PENDING"] == []
        [file] = manifest["ResultFiles"]["SUCCEEDED"]
        rows = stack.read(file["Key"])
        inputs = sorted(json.loads(row["Input"])["Items"][0]["name"] for row in rows)
        assert inputs == ["i0", "i2", "i4"]
        assert sorted(json.loads(row["Output"])["names"] for row in rows) == [["i0", "i1"], ["i2", "i3"], ["i4"]]
        assert {json.loads(row["Output"])["note"] for row in rows} == {"n"}
        children = stack.children(arn)
        assert {child["stateMachineArn"] for child in children} == {stack.outputs["Flow"] + "/Batches"}
        assert sorted(child["executionArn"] for child in children) == sorted(row["ExecutionArn"] for row in rows)
        assert all(sum(one["StartDate"] <= row["StartDate"] < one["StopDate"] for one in rows) <= 2 for row in rows)
        counts = stack.states.describe_map_run(mapRunArn=output["MapRunArn"])
        assert (counts["itemCounts"]["succeeded"], counts["executionCounts"]["succeeded"]) == (5, 3)

    def test_lines_are_selected_retried_and_caught(self, stack: Stack) -> None:
        ended = stack.ended(stack.start("lines", item("pass"), item("flake"), item("catch")))
        assert ended["status"] == "SUCCEEDED", ended
        assert json.loads(ended["output"]) == [
            {"names": ["pass"], "attempt": 0, "note": "n"},
            {"names": ["flake"], "attempt": 1, "note": "n"},
            {"caught": "CaughtError", "index": 2},
        ]

    def test_a_failure_that_is_tolerated_is_told_in_the_results(self, stack: Stack) -> None:
        ended = stack.ended(stack.start("batches", item("pass"), item("pass"), item("fail"), item("pass")))
        assert ended["status"] == "SUCCEEDED", ended
        files = stack.read(json.loads(ended["output"])["ResultWriterDetails"]["Key"])["ResultFiles"]
        [row] = stack.read(files["FAILED"][0]["Key"])
        assert row["Error"] == "UselessError"
        assert json.loads(row["Cause"])["errorMessage"] == "fail"

    def test_a_failure_too_many_fails_the_execution(self, stack: Stack) -> None:
        ended = stack.ended(stack.start("lines", item("fail"), item("pass")))
        assert (ended["status"], ended["error"]) == ("FAILED", "States.ExceedToleratedFailureThreshold")

    def test_an_array_without_items_succeeds(self, stack: Stack) -> None:
        ended = stack.ended(stack.start("batches"))
        assert ended["status"] == "SUCCEEDED", ended

    def test_items_that_are_missing_fail_the_reader(self, stack: Stack) -> None:
        given = json.dumps({"kind": "lines", "key": "items/none", "note": "n"})
        started = stack.states.start_execution(stateMachineArn=stack.outputs["Flow"], input=given)
        assert stack.ended(started["executionArn"])["error"] == "States.ItemReaderFailed"

    def test_an_output_beyond_the_limit_fails_the_child(self, stack: Stack) -> None:
        arn = stack.start("lines", item("grow"))
        stack.ended(arn)
        [child] = stack.children(arn)
        assert child["error"] == "States.DataLimitExceeded"

    def test_a_function_that_times_out_and_one_that_is_throttled_have_their_own_errors(self, stack: Stack) -> None:
        late = stack.start("lines", item("sleep", seconds=5), function="Hurried")
        stack.ended(late)
        concurrency = {"FunctionName": stack.outputs["Hurried"], "ReservedConcurrentExecutions": 0}
        stack.engine.client("lambda").put_function_concurrency(**concurrency)
        throttled = stack.start("lines", item("pass"), function="Hurried")
        stack.ended(throttled)
        errors = [child["error"] for arn in (late, throttled) for child in stack.children(arn)]
        assert errors == ["Sandbox.Timedout", "Lambda.TooManyRequestsException"]


class TestExecutions:
    def test_the_same_start_again_is_the_same_execution(self, stack: Stack) -> None:
        name = f"n{uuid.uuid4().hex[:12]}"
        arn = stack.start("lines", item("sleep", seconds=1), name=name)
        assert stack.start("lines", item("sleep", seconds=1), name=name) == arn
        with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
            stack.start("batches", item("pass"), name=name)
        stack.ended(arn)
        with pytest.raises(ClientError, match="ExecutionAlreadyExists"):
            stack.start("lines", item("sleep", seconds=1), name=name)
        with pytest.raises(ClientError, match="InvalidName"):
            stack.start("lines", item("pass"), name="a/b")

    def test_its_beginning_and_its_end_are_events(self, stack: Stack) -> None:
        arn = stack.start("lines", item("pass"))
        described = stack.ended(arn)
        running, succeeded = sorted(stack.events(arn, 2), key=lambda event: event["detail"]["stopDate"] or 0)
        assert running["detail-type"] == succeeded["detail-type"] == "Step Functions Execution Status Change"
        assert (running["detail"]["status"], running["detail"]["output"]) == ("RUNNING", None)
        detail = succeeded["detail"]
        assert (detail["status"], detail["output"]) == ("SUCCEEDED", described["output"])
        assert (detail["input"], detail["inputDetails"]) == (described["input"], {"included": True})
        assert abs(detail["stopDate"] / 1000 - described["stopDate"].timestamp()) < 1
        assert {event["detail"]["stateMachineArn"] for event in stack.heard} <= {
            stack.outputs["Flow"],
            stack.outputs["Hasty"],
        }

    def test_stopping_it_aborts_its_children(self, stack: Stack) -> None:
        arn = stack.start("lines", item("sleep", seconds=1), item("sleep", seconds=1))
        wait_for(lambda: len(stack.children(arn)) == 2)
        stack.states.stop_execution(executionArn=arn, error="Mine", cause="enough")
        wait_for(lambda: {child["status"] for child in stack.children(arn)} == {"ABORTED"})
        assert stack.ended(arn)["status"] == "ABORTED"
        stack.engine.settle()
        assert stack.ended(arn)["status"] == "ABORTED"
        statuses = {event["detail"]["status"]: event["detail"] for event in stack.events(arn, 2)}
        assert (statuses["ABORTED"]["error"], statuses["ABORTED"]["cause"]) == ("Mine", "enough")

    def test_the_machines_timeout_ends_it(self, stack: Stack) -> None:
        arn = stack.states.start_execution(stateMachineArn=stack.outputs["Hasty"])["executionArn"]
        assert stack.ended(arn)["status"] == "TIMED_OUT"
        assert "TIMED_OUT" in {event["detail"]["status"] for event in stack.events(arn, 2)}


class TestRole:
    def test_what_it_lacks_is_denied_and_recorded(self, stack: Stack) -> None:
        arn = stack.states.start_execution(stateMachineArn=stack.outputs["Powerless"])["executionArn"]
        ended = stack.ended(arn)
        assert (ended["status"], ended["error"]) == ("FAILED", "Lambda.AWSLambdaException")
        assert "lambda:InvokeFunction" in ended["cause"]
        assert stack.decisions("PowerlessRole") == {("lambda:InvokeFunction", False)}

    def test_what_it_needs_is_recorded(self, stack: Stack) -> None:
        stack.ended(stack.start("batches"))
        stack.ended(stack.start("lines", item("pass")))
        assert stack.decisions("FlowRole") == {
            ("lambda:InvokeFunction", True),
            ("s3:GetObject", True),
            ("s3:PutObject", True),
            ("states:StartExecution", True),
        }

    def test_one_that_does_not_trust_step_functions_is_refused(self, stack: Stack, tmp_path: Path) -> None:
        trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        role = stack.engine.client("iam").create_role(
            RoleName="other", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        )["Role"]["Arn"]
        definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
        with pytest.raises(ClientError, match="AccessDeniedException"):
            stack.states.create_state_machine(name="untrusted", definition=definition, roleArn=role)
        template = tmp_path / "template.yaml"
        properties = {"RoleArn": role, "DefinitionString": definition}
        machine = {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}
        template.write_text(json.dumps({"Resources": {"Machine": machine}}))
        with pytest.raises(DeploymentError, match=r"states\.amazonaws\.com"):
            stack.engine.deploy(template, {}, "untrusted")


def test_what_the_engine_cannot_run_fails_and_is_named(stack: Stack) -> None:
    iam = stack.engine.client("iam")
    task = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Parameters": {"Message": "m"}, "End": True}
    machine = stack.states.create_state_machine(
        name="unknown",
        definition=json.dumps({"StartAt": "Tell", "States": {"Tell": task}}),
        roleArn=iam.get_role(RoleName=stack.outputs["FlowRole"])["Role"]["Arn"],
    )["stateMachineArn"]
    ended = stack.ended(stack.states.start_execution(stateMachineArn=machine)["executionArn"])
    assert (ended["error"], "sns:publish" in ended["cause"]) == ("States.Runtime", True)


# These two end the engine, so they are last.
@pytest.mark.parametrize("killed", [True, False])
def test_what_is_in_flight_when_the_engine_ends_is_aborted_with_its_event(stack: Stack, *, killed: bool) -> None:
    arn = stack.start("lines", item("sleep", seconds=5))
    wait_for(lambda: stack.children(arn))
    if killed:
        # A crash loses what the last snapshot does not hold, here as everywhere in the engine.
        wait_for(lambda: stack.is_stored(arn))
        stack.engine.kill()
    stack.engine.restart()
    ended = stack.described(arn)
    assert (ended["status"], ended["error"]) == ("ABORTED", "Local.EngineEnded")
    assert {child["status"] for child in stack.children(arn)} == {"ABORTED"}
    assert "ABORTED" in {event["detail"]["status"] for event in stack.events(arn, 2)}
