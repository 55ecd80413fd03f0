"""Executions of one state machine."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tunedrop.adapters import failures
from tunedrop.ports import Execution

if TYPE_CHECKING:
    from botocore.client import BaseClient


class StepFunctionsWorkflows:
    """Start and describe executions, which bear names of ours."""

    def __init__(self, client: "BaseClient", machine_arn: str) -> None:
        """Use a state machine of type STANDARD."""
        self._client: Any = client
        self._machine_arn = machine_arn

    def start(self, name: str, content: Mapping[str, str]) -> None:
        """Start an execution; a name is taken for 90 days after its execution has ended.

        https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
        """
        try:
            with failures.transient():
                self._client.start_execution(stateMachineArn=self._machine_arn, name=name, input=json.dumps(content))
        except ClientError as error:
            if failures.code(error) != "ExecutionAlreadyExists":
                raise

    def state(self, name: str) -> Execution | None:
        """Describe an execution."""
        arn = f"{self._machine_arn.replace(':stateMachine:', ':execution:')}:{name}"
        try:
            with failures.transient():
                answer = self._client.describe_execution(executionArn=arn)
        except ClientError as error:
            if failures.code(error) == "ExecutionDoesNotExist":
                return None
            raise
        return Execution(arn=arn, status=answer["status"], error=answer.get("error", ""), cause=answer.get("cause", ""))
