"""Step Functions: every call in the name of the machine's role, and every change of status an event.

https://docs.aws.amazon.com/step-functions/latest/dg/welcome.html
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import stepfunctions
from ministack.services.cloudformation import provisioners

from local.engine.destinations import put_event
from local.engine.iam import Iam
from local.engine.settings import REGION

if TYPE_CHECKING:
    from botocore.client import BaseClient

logger = logging.getLogger("local.engine.step_functions")

# What a state takes, and what it gives: https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
MAX_PAYLOAD_BYTES = 256 << 10

_PRINCIPAL = "states.amazonaws.com"
_UNTRUSTED = (
    f"Neither the global service principal {_PRINCIPAL}, nor the regional one is authorized to assume the provided role"
)
_INVOKE = "arn:aws:states:::lambda:invoke"
_NO_NAME = re.compile(r'[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f]')
# https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
_MAX_EVENT_BYTES = 248 << 10
_INVOKE_SECONDS = 930
_CONNECTIONS = 64
_ENGINE_ENDED = {
    "error": "Local.EngineEnded",
    "cause": "The embedded AWS ended while the execution was in flight",
}


class Ended(BaseException):
    """Unwind the thread of a workflow that is over, past every Retry and Catch of it."""


class Run:
    """Tell the threads of a workflow, and of the Map Runs under it, whether it is over."""

    def __init__(self, role_arn: str) -> None:
        """Begin a run whose calls are made by the role."""
        self.role_arn = role_arn
        self._over = threading.Event()
        self._nested: list[Run] = []

    def nest(self) -> Run:
        """Begin a run that ends with this one, at the latest."""
        nested = Run(self.role_arn)
        self._nested.append(nested)
        if self.over:
            nested.end()
        return nested

    @property
    def over(self) -> bool:
        """Whether nothing more may be done."""
        return self._over.is_set()

    def end(self) -> None:
        """End it, and what is nested in it."""
        self._over.set()
        for nested in self._nested:
            nested.end()

    def wait(self, seconds: float | None = None) -> None:
        """Return when it is over, or after so many seconds."""
        self._over.wait(seconds)

    def check(self) -> None:
        """Raise Ended when it is over."""
        if self.over:
            raise Ended


current: contextvars.ContextVar[Run] = contextvars.ContextVar("current")


class StepFunctions:
    """Run ministack's state machines as AWS does, as far as the application needs it.

    A task may invoke a Lambda function; another integration fails with States.Runtime, for its permissions could not
    be checked. An execution does not outlive the engine: one in flight is ABORTED with its event, at once when the
    engine stops in order, at the next start when it was killed. (On AWS executions do not end so; repeating one from
    its beginning would run tasks twice, which AWS never does.) If it was killed within a snapshot's delay of the
    execution's end, both that end and ABORTED are announced, and DescribeExecution says ABORTED.
    """

    def __init__(self, iam: Iam, endpoint_url: str, changed: Callable[[], None]) -> None:
        """Take over from ministack.

        Args:
            iam: decides about the machines' roles, and opens their sessions.
            endpoint_url: where every service of the engine listens.
            changed: told when an execution's status changed.
        """
        self._iam = iam
        self._endpoint_url = endpoint_url
        self._changed = changed
        self._clients: dict[tuple[str, str], BaseClient] = {}
        self._making_client = threading.Lock()
        self._ending = threading.Lock()
        self._runs: dict[str, Run] = {}
        self._lost: list[dict[str, Any]] = []
        self._restore_state = stepfunctions._restore_state
        self._create_machine = stepfunctions._create_state_machine
        self._update_machine = stepfunctions._update_state_machine
        self._start_execution = stepfunctions._start_execution
        self._run_execution = stepfunctions._run_execution
        self._stop_execution = stepfunctions._stop_execution
        stepfunctions._restore_state = self._restore
        stepfunctions._create_state_machine = self._create
        stepfunctions._update_state_machine = self._update
        stepfunctions._start_execution = self._start_once
        stepfunctions._run_execution = self._run
        stepfunctions._stop_execution = self._stop
        stepfunctions._fail_execution = self._fail
        stepfunctions._emit_execution_status_event = self.announce
        stepfunctions._invoke_resource = self._call
        stepfunctions._invoke_with_callback = self._call_back
        stepfunctions._scaled_sleep = _pause
        _read_yaml_definitions()
        handler = provisioners._RESOURCE_HANDLERS["AWS::StepFunctions::StateMachine"]
        self._provision_machine = provisioners._sfn_state_machine_create
        handler["create"] = self._provision

    def start(self) -> None:
        """Announce the end of what was in flight when an earlier engine was killed."""
        for execution in self._lost:
            self.announce(execution)
        self._lost.clear()

    def stop(self) -> None:
        """Abort what is in flight."""
        for execution in list(stepfunctions._executions.all_values()):
            self.end(execution, "ABORTED", **_ENGINE_ENDED)
        for run in list(self._runs.values()):
            run.end()

    def idle(self) -> bool:
        """Tell whether no execution is in flight."""
        return not self._runs

    def client(self, service: str, role_arn: str) -> BaseClient:
        """Return a boto3 client that speaks to the engine as the role, and tries once."""
        if not self._iam.trusts(role_arn, _PRINCIPAL):
            raise stepfunctions._ExecutionError("States.Permissions", f"{_UNTRUSTED} {role_arn}")
        with self._making_client:
            client = self._clients.get((service, role_arn))
            if client is None:
                keys = self._iam.session(role_arn, "states")
                client = boto3.session.Session().client(
                    service,
                    region_name=REGION,
                    endpoint_url=self._endpoint_url,
                    config=Config(
                        # Retries are for the state machine to define; each attempt of its own counts.
                        retries={"total_max_attempts": 1},
                        read_timeout=_INVOKE_SECONDS,
                        max_pool_connections=_CONNECTIONS,
                    ),
                    **{name.lower(): value for name, value in keys.items()},
                )
                self._clients[service, role_arn] = client
            return client

    def end(self, execution: dict[str, Any], status: str, *, announced: bool = True, **fields: Any) -> bool:
        """End an execution that is running; returns False, and does nothing, when it is not."""
        with self._ending:
            if execution["status"] != "RUNNING":
                return False
            execution.update(status=status, stopDate=now_iso(), **fields)
        if announced:
            self.announce(execution)
        return True

    def announce(self, execution: dict[str, Any]) -> None:
        """Send the event of an execution's status to the default bus."""
        put_event(
            "default",
            "aws.states",
            "Step Functions Execution Status Change",
            json.dumps(_detail(execution)),
            [execution["executionArn"]],
            from_aws=True,
        )
        self._changed()

    def _restore(self, data: Any) -> None:
        self._restore_state(data)
        for execution in stepfunctions._executions.all_values():
            # ministack fails what the engine left in flight, so that it would look like the workflow's own failure.
            if execution.get("error") == "States.ServiceRestart":
                execution.update(status="ABORTED", **_ENGINE_ENDED)
                self._lost.append(execution)
        for map_run in stepfunctions._map_runs.all_values():
            if map_run["status"] == "RUNNING":
                map_run.update(status="ABORTED", stopDate=now_iso())

    def _create(self, data: dict[str, Any]) -> Any:
        return self._refused(data) or self._create_machine(data)

    def _update(self, data: dict[str, Any]) -> Any:
        return self._refused(data) or self._update_machine(data)

    def _refused(self, data: dict[str, Any]) -> Any:
        role_arn = data.get("roleArn")
        if role_arn is None or self._iam.trusts(role_arn, _PRINCIPAL):
            return None
        return error_response_json("AccessDeniedException", f"{_UNTRUSTED} {role_arn}", 400)

    def _provision(self, logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        if not self._iam.trusts(props["RoleArn"], _PRINCIPAL):
            raise ValueError(f"{_UNTRUSTED} {props['RoleArn']}")
        return self._provision_machine(logical_id, props, stack_name)

    def _start_once(self, data: dict[str, Any]) -> Any:
        """Start an execution; a name that runs with the same input is answered as if it had just been started."""
        machine_arn = stepfunctions._resolve_state_machine_arn(data.get("stateMachineArn", ""))
        name, text = data.get("name"), data.get("input", "{}")
        if name and _NO_NAME.search(name):
            return error_response_json("InvalidName", f"Invalid Name: '{name}'", 400)
        try:
            json.loads(text)
        except ValueError as error:
            return error_response_json("InvalidExecutionInput", f"Invalid State Machine Execution Input: {error}", 400)
        if name and machine_arn:
            arn = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
            execution = stepfunctions._executions.get(arn)
            if execution and execution["status"] == "RUNNING" and execution["input"] == text:
                return json_response({"executionArn": arn, "startDate": execution["startDate"]})
        return self._start_execution(data)

    def _run(self, execution_arn: str) -> None:
        """Walk the machine, on a thread of the execution's own."""
        execution = stepfunctions._executions[execution_arn]
        machine = stepfunctions._state_machines.get(execution["stateMachineArn"])
        run = Run(machine["roleArn"] if machine else "")
        self._runs[execution_arn] = run
        current.set(run)
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None
        timer = threading.Timer(seconds or 0, self._time_out, (execution, run))
        timer.daemon = True
        if seconds:
            timer.start()
        try:
            self._run_execution(execution_arn)
        except Ended:
            logger.info("Execution %s is %s", execution_arn, execution["status"])
        finally:
            timer.cancel()
            run.end()
            del self._runs[execution_arn]

    def _time_out(self, execution: dict[str, Any], run: Run) -> None:
        if self.end(execution, "TIMED_OUT", error="States.Timeout", cause=None):
            run.end()
            stepfunctions._add_event(execution, "ExecutionTimedOut")

    def _stop(self, data: dict[str, Any]) -> Any:
        answer = self._stop_execution(data)
        run = self._runs.get(data.get("executionArn", ""))
        if run is not None and stepfunctions._executions[data["executionArn"]]["status"] == "ABORTED":
            run.end()
        return answer

    def _fail(self, execution: dict[str, Any], error: str, cause: str) -> None:
        details = {"executionFailedEventDetails": {"error": error, "cause": cause}}
        if self.end(execution, "FAILED", error=error, cause=cause):
            stepfunctions._add_event(execution, "ExecutionFailed", details)

    def _call(self, resource: str, data: dict[str, Any]) -> Any:
        run = current.get()
        run.check()
        if resource != _INVOKE:
            raise stepfunctions._ExecutionError("States.Runtime", f"The embedded AWS cannot run {resource}")
        try:
            return limited(self._invoke(run.role_arn, data), "The state's output")
        finally:
            # What a call gave, or raised, after the end is nobody's.
            run.check()

    def _call_back(self, resource: str, *_: Any) -> Any:
        return self._call(resource, {})

    def _invoke(self, role_arn: str, parameters: dict[str, Any]) -> dict[str, Any]:
        client = self.client("lambda", role_arn)
        try:
            answer = client.invoke(**{**parameters, "Payload": json.dumps(parameters.get("Payload", {}))})
            content = answer["Payload"].read()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            # https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html: an error that Lambda's
            # model does not name, such as a denial, has the name of them all.
            named = client.exceptions.from_code(code) is not ClientError
            raise stepfunctions._ExecutionError(
                f"Lambda.{code}" if named else "Lambda.AWSLambdaException", error.response["Error"]["Message"]
            ) from error
        except ParamValidationError as error:
            raise stepfunctions._ExecutionError("States.Runtime", str(error)) from error
        except BotoCoreError as error:
            raise stepfunctions._ExecutionError("Lambda.SdkClientException", str(error)) from error
        payload = json.loads(content or b"null")
        if "FunctionError" in answer:
            raise stepfunctions._ExecutionError(payload.get("errorType", "Lambda.Unknown"), json.dumps(payload))
        return {
            "ExecutedVersion": answer.get("ExecutedVersion"),
            "Payload": payload,
            "StatusCode": answer["StatusCode"],
        }


def limited(value: Any, what: str) -> Any:
    """Return the value, or fail the state when it is more than Step Functions hands from one state to the next."""
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_PAYLOAD_BYTES:
        raise stepfunctions._ExecutionError(
            "States.DataLimitExceeded", f"{what} exceeds the maximum number of bytes service limit"
        )
    return value


def _detail(execution: dict[str, Any]) -> dict[str, Any]:
    status = execution["status"]
    succeeded, redrivable = status == "SUCCEEDED", status in {"FAILED", "TIMED_OUT", "ABORTED"}
    text, output = execution["input"], execution["output"] if succeeded else None
    sizes = [len(json.dumps(value)) if value is not None else 0 for value in (text, output)]
    keep_output, keep_input = sizes[1] <= _MAX_EVENT_BYTES, sum(sizes) <= _MAX_EVENT_BYTES
    return {
        "executionArn": execution["executionArn"],
        "stateMachineArn": execution["stateMachineArn"],
        "name": execution["name"],
        "status": status,
        "startDate": stepfunctions._iso_to_epoch_ms(execution["startDate"]),
        "stopDate": stepfunctions._iso_to_epoch_ms(execution["stopDate"]),
        "input": text if keep_input else None,
        "output": output if keep_output else None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "REDRIVABLE" if redrivable else "NOT_REDRIVABLE",
        "redriveStatusReason": None if redrivable else f"Execution is {status} and cannot be redriven",
        "inputDetails": {"included": keep_input},
        "outputDetails": {"included": keep_output} if succeeded else None,
        "error": execution.get("error"),
        "cause": execution.get("cause"),
    }


def _pause(seconds: float) -> None:
    """Let a state wait, but no longer than its workflow lasts."""
    run = current.get()
    run.wait(seconds)
    run.check()


def _read_yaml_definitions() -> None:
    """Let a definition be YAML, as CloudFormation does; ministack stores it as it is, and runs only JSON."""
    read = provisioners._sfn_definition

    def read_as_json(props: dict[str, Any]) -> str:
        definition = str(read(props))
        return definition if definition.lstrip().startswith("{") else json.dumps(yaml.safe_load(definition))

    provisioners._sfn_definition = read_as_json
