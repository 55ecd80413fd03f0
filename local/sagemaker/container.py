"""Lay out a training container's `/opt/ml` in a folder, and describe it to the script.

The contract is SageMaker's: https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo.html, and
the training toolkit's variables: https://github.com/aws/sagemaker-training-toolkit/blob/master/ENVIRONMENT_VARIABLES.md
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

_HOST = "algo-1"
_OPT_ML = "/opt/ml/"


class ScriptMissingError(Exception):
    """Report that the job names no script, or one that its archive does not hold."""


class Container:
    """Hold the folder that stands for `/opt/ml` of one training job.

    Args:
        root: the folder, made here.
        job: CreateTrainingJob's parameters plus TrainingJobArn.
    """

    def __init__(self, root: Path, job: Mapping[str, Any]) -> None:
        self.root = root
        self._job = job
        for folder in (self.model, self.output_data, self.checkpoints, self._config, self._code, self._temporary):
            folder.mkdir(parents=True, exist_ok=True)
        self._write_config()

    @property
    def model(self) -> Path:
        """The folder that the script leaves its model in."""
        return self.root / "model"

    @property
    def output_data(self) -> Path:
        """The folder for anything else that the script wants to keep."""
        return self.root / "output" / "data"

    @property
    def checkpoints(self) -> Path:
        """The folder whose files SageMaker keeps in S3 for the job's next start."""
        return self.root / "checkpoints"

    @property
    def failure(self) -> Path:
        """The file in which the script may say why it failed."""
        return self.root / "output" / "failure"

    def channel(self, name: str) -> Path:
        """Return the folder of an input channel."""
        return self.root / "input" / "data" / name

    @property
    def _config(self) -> Path:
        return self.root / "input" / "config"

    @property
    def _code(self) -> Path:
        return self.root / "code"

    @property
    def _temporary(self) -> Path:
        return self.root / "tmp"

    @cached_property
    def hyperparameters(self) -> dict[str, Any]:
        """The hyperparameters as the toolkit decodes them: each value is JSON where it parses, else plain text."""
        return {name: _decoded(value) for name, value in self._job.get("HyperParameters", {}).items()}

    @property
    def _script_hyperparameters(self) -> dict[str, Any]:
        return {name: value for name, value in self.hyperparameters.items() if not name.startswith("sagemaker_")}

    def unpack(self) -> None:
        """Unpack the script's archive.

        Raises:
            ScriptMissingError: when there is no such archive or program.
        """
        submitted = str(self.hyperparameters.get("sagemaker_submit_directory", ""))
        program = str(self.hyperparameters.get("sagemaker_program", ""))
        archive = self.root / submitted.removeprefix(_OPT_ML)
        if not program or not submitted.startswith(_OPT_ML) or not archive.is_file():
            msg = f"sagemaker_submit_directory {submitted!r} and sagemaker_program {program!r} name no script"
            raise ScriptMissingError(msg)
        with tarfile.open(archive) as sources:
            sources.extractall(self._code, filter="data")
        if not (self._code / program).is_file():
            msg = f"{archive.name} holds no {program}"
            raise ScriptMissingError(msg)

    def command(self, interpreter: Sequence[str]) -> list[str]:
        """Return the command that runs the script, with its hyperparameters as arguments.

        Args:
            interpreter: the command that runs a Python program.
        """
        entrypoint = Path(__file__).with_name("entrypoint.py")
        isolation = _network_isolation() if self.isolated else []
        program = str(self.hyperparameters["sagemaker_program"])
        return [*isolation, sys.executable, str(entrypoint), *interpreter, program, *self._arguments()]

    @property
    def working_folder(self) -> Path:
        """Where the script runs: beside its own sources."""
        return self._code

    @property
    def isolated(self) -> bool:
        """Whether the job asked for a container without network."""
        return bool(self._job.get("EnableNetworkIsolation"))

    def notice(self) -> str:
        """Say what differs from the container on AWS."""
        image = self._job["AlgorithmSpecification"]["TrainingImage"]
        text = f"Local SageMaker: the image {image} is not run; the script runs on Python {sys.version.split()[0]}"
        if self.isolated:
            network = "without a network" if _network_isolation() else "network isolation is not possible here"
            text += f", without AWS credentials, {network}"
        return text

    def environment(self, credentials: Mapping[str, str]) -> dict[str, str]:
        """Return the script's whole environment.

        Args:
            credentials: the AWS_* variables of the job's role; left out of an isolated container, as on AWS.
        """
        resources, channels = self._job["ResourceConfig"], sorted(self._channels())
        values: dict[str, Any] = {
            "SM_MODEL_DIR": str(self.model),
            "SM_INPUT_DIR": str(self.root / "input"),
            "SM_INPUT_CONFIG_DIR": str(self._config),
            "SM_OUTPUT_DIR": str(self.root / "output"),
            "SM_OUTPUT_DATA_DIR": str(self.output_data),
            "SM_CHANNELS": channels,
            "SM_HPS": self._script_hyperparameters,
            "SM_FRAMEWORK_PARAMS": {
                name: value for name, value in self.hyperparameters.items() if name.startswith("sagemaker_")
            },
            "SM_USER_ARGS": self._arguments(),
            "SM_USER_ENTRY_POINT": str(self.hyperparameters.get("sagemaker_program", "")),
            "SM_RESOURCE_CONFIG": self._resource_config(),
            "SM_INPUT_DATA_CONFIG": self._channels(),
            "SM_HOSTS": [_HOST],
            "SM_CURRENT_HOST": _HOST,
            "SM_CURRENT_INSTANCE_TYPE": resources["InstanceType"],
            "SM_NUM_GPUS": 0,
            "SM_NUM_CPUS": os.cpu_count() or 1,
            "SM_LOG_LEVEL": self.hyperparameters.get("sagemaker_container_log_level", 20),
            "TRAINING_JOB_NAME": self._job["TrainingJobName"],
            "TRAINING_JOB_ARN": self._job["TrainingJobArn"],
        }
        values |= {f"SM_CHANNEL_{name.upper()}": str(self.channel(name)) for name in channels}
        values |= {f"SM_HP_{name.upper()}": value for name, value in self._script_hyperparameters.items()}
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            # Threads that spin while they wait starve the engine's other processes on the same cores.
            "OMP_WAIT_POLICY": "PASSIVE",
            # A script that reads somebody's home or cache here would find nothing of it on AWS.
            "HOME": str(self.root),
            "TMPDIR": str(self._temporary),
            **({} if self.isolated else credentials),
            **self._job.get("Environment", {}),
            **{name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()},
        }

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.root, ignore_errors=True)

    def _arguments(self) -> list[str]:
        return [
            part for name, value in sorted(self._script_hyperparameters.items()) for part in (f"--{name}", str(value))
        ]

    def _channels(self) -> dict[str, dict[str, str]]:
        return {
            channel["ChannelName"]: {
                "TrainingInputMode": channel.get("InputMode", "File"),
                "S3DistributionType": channel["DataSource"]["S3DataSource"].get(
                    "S3DataDistributionType", "FullyReplicated"
                ),
                "RecordWrapperType": channel.get("RecordWrapperType", "None"),
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
            }
            for channel in self._job.get("InputDataConfig", [])
        }

    def _resource_config(self) -> dict[str, Any]:
        return {
            "current_host": _HOST,
            "current_instance_type": self._job["ResourceConfig"]["InstanceType"],
            "current_group_name": "homogeneousCluster",
            "hosts": [_HOST],
            "network_interface_name": "eth0",
        }

    def _write_config(self) -> None:
        files = {
            "hyperparameters.json": self._job.get("HyperParameters", {}),
            "inputdataconfig.json": self._channels(),
            "resourceconfig.json": self._resource_config(),
        }
        for name, content in files.items():
            (self._config / name).write_text(json.dumps(content), encoding="utf-8")


def _decoded(value: str) -> Any:
    """Undo the SDK's encoding: version 2 sends every value as JSON, so that text arrives with quotes."""
    try:
        return json.loads(value)
    except ValueError:
        return value


@cache
def _network_isolation() -> list[str]:
    """Return the command prefix that takes the network away: a network namespace, where this machine allows it."""
    prefix = ["unshare", "--map-root-user", "--net"]
    try:
        subprocess.run([*prefix, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return prefix
