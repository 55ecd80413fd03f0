"""A service that plugs into the engine: it accepts training jobs, asks about the role, and sends one event."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from local.engine.host import AwsError, Response

if TYPE_CHECKING:
    from local.engine.host import Host, IamCheck, Request


class Training:
    """Accept CreateTrainingJob and DescribeTrainingJob."""

    signing_name = "sagemaker"
    target_prefix = "SageMaker."

    def start(self, host: Host) -> None:
        self._host = host
        self._jobs: dict[str, dict[str, str]] = {}

    def stop(self) -> None:
        self._host.put_logs("/fixture/training", "stopped", [(1, "stopped")])

    def iam(self, request: Request) -> list[IamCheck]:
        name = json.loads(request.body)["TrainingJobName"]
        action = request.headers["x-amz-target"].removeprefix(self.target_prefix)
        return [(f"sagemaker:{action}", f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}", {})]

    async def handle(self, request: Request) -> Response:
        wanted = json.loads(request.body)
        name = wanted["TrainingJobName"]
        if request.headers["x-amz-target"].endswith("DescribeTrainingJob"):
            if name not in self._jobs:
                raise AwsError("ValidationException", "Requested resource not found.")
            return self._answer(self._jobs[name])
        self._host.pass_role(wanted["RoleArn"], "sagemaker.amazonaws.com")
        # Through the endpoint, which a handler must be able to do, in the name of the job's role.
        self._host.client("sts", wanted["RoleArn"]).get_caller_identity()
        self._host.put_logs("/fixture/training", name, [(1_700_000_000_000, "epoch 1"), (1_700_000_001_000, "epoch 2")])
        self._host.put_metric("Fixture", "loss", 0.5, {"job": name})
        self._jobs[name] = {
            "TrainingJobName": name,
            "TrainingJobStatus": "InProgress",
            "RoleArn": self._host.caller_arn(),
        }
        self._host.emit("aws.sagemaker", "SageMaker Training Job State Change", {"TrainingJobName": name}, [name])
        return self._answer({"TrainingJobArn": f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"})

    def _answer(self, content: dict[str, str]) -> Response:
        return Response(200, json.dumps(content).encode(), {"Content-Type": "application/x-amz-json-1.1"})
