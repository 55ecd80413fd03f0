"""Import models: jobs that copy and check an artifact, and the imported models that come of them."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local.bedrock import artifact, records
from local.bedrock.artifact import UnsupportedModelError
from local.bedrock.chat_template import find_chat_template
from local.bedrock.settings import Settings
from local.engine.host import AwsError, Host
from local.s3_prefix import S3Prefix, UnsafeKeyError, cause, download

_PRINCIPAL = "bedrock.amazonaws.com"
_UNITS = {"customModelUnitsPerModelCopy": 1, "customModelUnitsVersion": "1.0"}


class ImportedModels:
    """Keep import jobs and imported models; what is listed is on disk, with the weights.

    Args:
        host: the engine.
        settings: quotas.
        folder: for the records and the models' files.
    """

    def __init__(self, host: Host, settings: Settings, folder: Path) -> None:
        self._host = host
        self._settings = settings
        self._jobs_folder, self._models_folder = folder / "model-import-jobs", folder / "imported-models"
        for part in (self._jobs_folder, self._models_folder):
            part.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._jobs = records.load(self._jobs_folder.glob("*.json"), "jobArn")
        self._models = records.load(self._models_folder.glob("*/imported-model.json"), "modelArn")
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        for job in self._jobs.values():
            if job["status"] == "InProgress":
                self._end(job, status="Failed", failureMessage="Internal error: the engine stopped during the import.")
        for path in self._models_folder.iterdir():
            if not (path / "imported-model.json").is_file():
                shutil.rmtree(path)

    def stop(self) -> None:
        """Interrupt running imports; the next start ends their jobs as Failed."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def create(self, parameters: Mapping[str, Any]) -> str:
        """Start an import job and return its ARN.

        Raises:
            AwsError: as CreateModelImportJob.
        """
        role = parameters["roleArn"]
        self._host.pass_role(role, _PRINCIPAL)
        uri = parameters["modelDataSource"].get("s3DataSource", {}).get("s3Uri")
        if not uri:
            raise AwsError("ValidationException", "The modelDataSource must contain an s3DataSource.")
        with self._lock:
            token = parameters.get("clientRequestToken")
            for job in self._jobs.values():
                if token and job["clientRequestToken"] == token:
                    return str(job["jobArn"])
            self._check_names(parameters)
            self._check_quotas()
            now, identifier = records.timestamp(), records.new_identifier()
            arn = self._arn("model-import-job", identifier)
            job = self._jobs[arn] = {
                "jobArn": arn,
                "jobName": parameters["jobName"],
                "importedModelName": parameters["importedModelName"],
                "roleArn": role,
                "modelDataSource": {"s3DataSource": {"s3Uri": uri}},
                "status": "InProgress",
                "creationTime": now,
                "lastModifiedTime": now,
                "clientRequestToken": token,
                "jobTags": records.tags_of(parameters.get("jobTags")),
                "importedModelTags": records.tags_of(parameters.get("importedModelTags")),
            }
            self._save(job)
            thread = threading.Thread(target=self._run, args=(job,), name=f"import-{job['jobName']}", daemon=True)
            self._threads.append(thread)
        thread.start()
        return arn

    def job(self, identifier: str) -> dict[str, Any] | None:
        """Return the import job of that ARN or name."""
        return records.find(self._jobs, identifier, "jobName")

    def jobs(self) -> list[dict[str, Any]]:
        """Return all import jobs."""
        return list(self._jobs.values())

    def model(self, identifier: str) -> dict[str, Any] | None:
        """Return the imported model of that ARN or name."""
        return records.find(self._models, identifier, "modelName")

    def models(self) -> list[dict[str, Any]]:
        """Return all imported models."""
        return list(self._models.values())

    def folder(self, model: Mapping[str, Any]) -> Path:
        """Return the folder with an imported model's files."""
        return self._models_folder / str(model["modelArn"]).rsplit("/", 1)[1]

    def delete(self, model: Mapping[str, Any]) -> None:
        """Delete an imported model and its files."""
        with self._lock:
            self._models.pop(model["modelArn"], None)
            shutil.rmtree(self.folder(model), ignore_errors=True)

    def _check_names(self, parameters: Mapping[str, Any]) -> None:
        if any(job["jobName"] == parameters["jobName"] for job in self._jobs.values()):
            raise AwsError("ConflictException", f"A model import job named {parameters['jobName']} already exists.")
        if any(model["modelName"] == parameters["importedModelName"] for model in self._models.values()):
            raise AwsError("ConflictException", f"An imported model named {parameters['importedModelName']} exists.")

    def _check_quotas(self) -> None:
        running = sum(job["status"] == "InProgress" for job in self._jobs.values())
        for name, used, quota in (
            ("Concurrent model import jobs", running, self._settings.import_jobs),
            ("Imported models per account", len(self._models) + running, self._settings.imported_models),
        ):
            if used >= quota:
                raise AwsError(
                    "ServiceQuotaExceededException",
                    f"You have exceeded the quota of {quota} for {name}. To continue, request a quota increase for "
                    f"{name}.",
                )

    def _run(self, job: dict[str, Any]) -> None:
        identifier = records.new_identifier()
        folder = self._models_folder / identifier
        try:
            self._copy(job, folder)
            architecture = artifact.check_files(folder)
            chats = find_chat_template(folder) is not None
            model = {
                "modelArn": self._arn("imported-model", identifier),
                "modelName": job["importedModelName"],
                "jobName": job["jobName"],
                "jobArn": job["jobArn"],
                "modelDataSource": job["modelDataSource"],
                "creationTime": records.timestamp(),
                "modelArchitecture": architecture,
                "instructSupported": chats and artifact.known_to_converse(architecture),
                "customModelUnits": _UNITS,
                "tags": job["importedModelTags"],
                "weightsSha256": artifact.weights_sha256(folder),
            }
        except UnsupportedModelError as error:
            shutil.rmtree(folder, ignore_errors=True)
            self._end(job, status="Failed", failureMessage=str(error))
        except (ClientError, BotoCoreError, UnsafeKeyError, OSError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            if not self._stopping.is_set():
                message = (
                    f"Amazon Bedrock could not read the model files with the role {job['roleArn']}: {cause(error)}"
                )
                self._end(job, status="Failed", failureMessage=message)
        else:
            with self._lock:
                records.write(folder / "imported-model.json", model)
                self._models[model["modelArn"]] = model
                self._end(job, status="Completed", importedModelArn=model["modelArn"])

    def _copy(self, job: Mapping[str, Any], folder: Path) -> None:
        s3 = self._host.client("s3", job["roleArn"])
        uri = job["modelDataSource"]["s3DataSource"]["s3Uri"]
        objects = S3Prefix.of(f"{uri.rstrip('/')}/").objects(s3)
        artifact.check_listing((str(each.path), each.size) for each in objects)
        # Small files first: what they say is checked before gigabytes are copied.
        for each in sorted(objects, key=lambda item: item.path.suffix == ".safetensors"):
            if self._stopping.is_set():
                msg = "the engine is stopping"
                raise OSError(msg)
            download(s3, each, folder / each.path)

    def _end(self, job: dict[str, Any], **members: str) -> None:
        with self._lock:
            now = records.timestamp()
            job.update(members, endTime=now, lastModifiedTime=now)
            self._save(job)

    def _save(self, job: Mapping[str, Any]) -> None:
        records.write(self._jobs_folder / f"{str(job['jobArn']).rsplit('/', 1)[1]}.json", job)

    def _arn(self, kind: str, identifier: str) -> str:
        return f"arn:aws:bedrock:{self._host.region}:{self._host.account_id}:{kind}/{identifier}"
