"""Run one training job from its first download to its artifact."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from local import prefork
from local.engine.host import Host
from local.s3_prefix import S3Prefix, UnsafeKeyError, cause, upload, upload_folder
from local.sagemaker.account import Account
from local.sagemaker.channels import ArtifactCache, download_channel, with_gated_model
from local.sagemaker.container import Container, ScriptMissingError
from local.sagemaker.job import TrainingJob
from local.sagemaker.logs import TrainingLog
from local.sagemaker.settings import Settings

_POLL_SECONDS = 0.1
_DEFAULT_MAX_RUNTIME_SECONDS = 86400
_NO_CAPACITY = (
    "CapacityError: Unable to provision requested ML compute capacity. Please retry using a different ML instance type."
)
_S3_ERRORS = (ClientError, BotoCoreError, S3UploadFailedError, UnsafeKeyError)


class JobFailedError(Exception):
    """End a job as Failed, with this FailureReason."""


class EngineStoppedError(Exception):
    """Leave a job as it is, because the engine is shutting down."""


class TrainingRun(threading.Thread):
    """Run one training job on a thread of its own.

    Args:
        host: the engine.
        settings: times.
        job: a job that has just been created.
        work: what it asks for; of a serverless job, what it comes to.
        folder: scratch, on the file system of the cache.
        cache: model artifacts that earlier jobs downloaded.
        ended: called once the job holds no instance any more.
    """

    def __init__(
        self,
        host: Host,
        settings: Settings,
        job: TrainingJob,
        work: Mapping[str, Any],
        folder: Path,
        cache: ArtifactCache,
        ended: Callable[[TrainingRun], None],
    ) -> None:
        super().__init__(name=f"training-{job.name}", daemon=True)
        self.job = job
        self._host = host
        self._settings = settings
        self._description = with_gated_model(work)
        self._container = Container(folder / job.name, self._description)
        self._cache = cache
        self._ended = ended
        self._log = TrainingLog(host, job)
        self._stop_requested = threading.Event()
        self._engine_stopping = threading.Event()

    def stop(self) -> None:
        """End the script as StopTrainingJob does; its model so far is kept."""
        self._stop_requested.set()

    def abandon(self) -> None:
        """End the script at once and leave the record as a crash of the engine would."""
        self._engine_stopping.set()

    def run(self) -> None:
        """Take the job to one of its ends."""
        try:
            self._train()
        except EngineStoppedError:
            pass
        except JobFailedError as failure:
            self.job.enter("Failed", str(failure))
        except Exception as error:  # noqa: BLE001 - whatever breaks in the service itself is its internal error
            self._log.write(f"{type(error).__name__}: {error}")
            self.job.enter("Failed", "InternalServerError: We encountered an internal error. Please try again.")
        finally:
            self._log.flush()
            self._container.remove()
            self._ended(self)

    def _train(self) -> None:
        if self._description["ResourceConfig"]["InstanceType"] in Account.read(self._host.data_dir).no_capacity:
            raise JobFailedError(_NO_CAPACITY)
        self._log.write(self._container.notice())
        self.job.enter("Downloading")
        self._download()
        end = "Stopped"
        if not self._stop_requested.is_set():
            self.job.enter("Training")
            end = self._run_script()
        if end == "Completed":
            self.job.enter("Uploading")
        self.job.enter(end, **self._upload())

    def _download(self) -> None:
        for channel in self._description["InputDataConfig"]:
            name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
            access, uri = source.get("ModelAccessConfig"), source["S3Uri"]
            if access and not access["AcceptEula"]:
                msg = f"ClientError: Data download failed:the EULA of the gated model {uri} was not accepted"
                raise JobFailedError(msg)
            # A gated model lies where no role of the account may read: SageMaker itself fetches it.
            s3 = self._host.client("s3", None if access else self._description["RoleArn"])
            try:
                download_channel(s3, S3Prefix.of(uri), self._container.channel(name), self._cache_for(name))
            except _S3_ERRORS as error:
                msg = f"ClientError: Data download failed:{cause(error)} ({uri})"
                raise JobFailedError(msg) from error
            if self._engine_stopping.is_set():
                raise EngineStoppedError

        if "CheckpointConfig" in self._description:
            s3 = self._host.client("s3", self._description["RoleArn"])
            try:
                download_channel(s3, self._checkpoints_prefix(), self._container.checkpoints, None)
            except _S3_ERRORS as error:
                msg = f"ClientError: Data download failed:{cause(error)} (checkpoints)"
                raise JobFailedError(msg) from error

    def _checkpoints_prefix(self) -> S3Prefix:
        return S3Prefix.of(f"{self._description['CheckpointConfig']['S3Uri'].rstrip('/')}/")

    def _cache_for(self, channel: str) -> ArtifactCache | None:
        return self._cache if channel == "model" else None

    def _run_script(self) -> str:
        """Run the script and return the secondary status that the job ends in."""
        role = self._description["RoleArn"]
        try:
            self._container.unpack()
        except (ScriptMissingError, tarfile.TarError, OSError) as error:
            msg = f"AlgorithmError: {error}, exit code: 1"
            raise JobFailedError(msg) from error
        credentials = {} if self._container.isolated else self._host.session_environment(role, "SageMaker")
        with prefork.interpreter() as (interpreter, descriptors):
            process = subprocess.Popen(
                self._container.command(interpreter),
                cwd=self._container.working_folder,
                env=self._container.environment(credentials),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                process_group=0,
                pass_fds=descriptors,
            )
        follower = threading.Thread(target=self._log.follow, args=(process.stdout,), daemon=True)
        follower.start()
        try:
            ended_by = self._wait(process)
        finally:
            # Also ends processes that the script left behind; they would hold its output open.
            _kill(process, signal.SIGKILL)
            process.wait()
            follower.join()
        if ended_by == "Completed" and process.returncode != 0:
            raise JobFailedError(self._algorithm_error(process.returncode))
        return ended_by

    def _wait(self, process: subprocess.Popen[str]) -> str:
        limit = self._description["StoppingCondition"].get("MaxRuntimeInSeconds", _DEFAULT_MAX_RUNTIME_SECONDS)
        deadline = time.monotonic() + limit
        while process.poll() is None:
            time.sleep(_POLL_SECONDS)
            if self._engine_stopping.is_set():
                raise EngineStoppedError
            if self._stop_requested.is_set() or time.monotonic() > deadline:
                self._terminate(process)
                return "Stopped" if self._stop_requested.is_set() else "MaxRuntimeExceeded"
        return "Completed"

    def _terminate(self, process: subprocess.Popen[str]) -> None:
        process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._settings.stop_grace_seconds
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            if self._engine_stopping.is_set():
                raise EngineStoppedError

    def _algorithm_error(self, exit_code: int) -> str:
        """Word the failure as SageMaker does: the script's failure file, else the end of its output."""
        failure = self._container.failure
        if failure.is_file():
            reason = failure.read_text(encoding="utf-8", errors="replace").strip()
        else:
            program = self._container.hyperparameters["sagemaker_program"]
            ending = "\n".join(self._log.tail)[-700:]
            reason = (
                f'ExecuteUserScriptError:\nExitCode {exit_code}\nErrorMessage "{ending}"\nCommand "python {program}"'
            )
        return f"AlgorithmError: {reason[:950]}, exit code: {exit_code}"

    def _upload(self) -> dict[str, Any]:
        """Store what the script left, and return the members of DescribeTrainingJob that say where."""
        output = self._description["OutputDataConfig"]
        base = S3Prefix.of(f"{output['S3OutputPath'].rstrip('/')}/{self.job.name}/output/")
        key = output.get("KmsKeyId")
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        s3 = self._host.client("s3", self._description["RoleArn"])
        compress = output.get("CompressionType", "GZIP") == "GZIP"
        stored = {}
        try:
            for folder, label in ((self._container.model, "model"), (self._container.output_data, "data")):
                if not any(folder.iterdir()):
                    continue
                if compress:
                    archive = _archive(folder, self._container.root / ("model" if label == "model" else "output"))
                    target = S3Prefix(base.bucket, base.prefix + archive.name)
                    upload(s3, archive, target, extra)
                else:
                    target = S3Prefix(base.bucket, f"{base.prefix}{label}/")
                    upload_folder(s3, folder, target, extra)
                if label == "model":
                    stored["ModelArtifacts"] = {"S3ModelArtifacts": f"s3://{target.bucket}/{target.prefix}"}
            if "CheckpointConfig" in self._description:
                # SageMaker uploads them while the script runs; here nothing takes the instance away in between.
                upload_folder(s3, self._container.checkpoints, self._checkpoints_prefix(), extra)
        except _S3_ERRORS as error:
            msg = f"ClientError: Artifact upload failed:{cause(error)}"
            raise JobFailedError(msg) from error
        return stored


def _archive(folder: Path, stem: Path) -> Path:
    path = stem.with_name(f"{stem.name}.tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        for entry in sorted(folder.iterdir()):
            archive.add(entry, arcname=entry.name)
    return path


def _kill(process: subprocess.Popen[str], signum: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signum)
