"""Answer the SageMaker API: training jobs, hubs, endpoints and their invocation."""

from __future__ import annotations

import base64
import binascii
import json
import shutil
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from local.constraints import service_model
from local.engine.host import AwsError, Host, IamCheck, Request, Response
from local.s3_prefix import S3Prefix, UnsafeKeyError
from local.sagemaker import inference, requests, serverless
from local.sagemaker.account import Account
from local.sagemaker.channels import ArtifactCache
from local.sagemaker.endpoints import Endpoints
from local.sagemaker.hubs import Hubs
from local.sagemaker.inference import Inference
from local.sagemaker.job import TERMINAL, TrainingJob, TrainingJobs
from local.sagemaker.run import TrainingRun
from local.sagemaker.settings import Settings

_PRINCIPAL = "sagemaker.amazonaws.com"
_DEFAULT_PAGE = 10
_HOSTING = ("Model", "EndpointConfig", "Endpoint", "InferenceComponent")
_SORT_KEYS = {"Name": "TrainingJobName", "CreationTime": "CreationTime", "Status": "TrainingJobStatus"}


class SageMaker:
    """Serve SageMaker's API, and its runtime's, inside the engine.

    Args:
        settings: quotas and times.
        jumpstart_bucket: where the models lie that can be customised serverless; none can be without it.
    """

    signing_name = "sagemaker"
    target_prefix = requests.TARGET_PREFIX

    def __init__(self, settings: Settings | None = None, jumpstart_bucket: str = "") -> None:
        self._settings = settings or Settings()
        self._jumpstart_bucket = jumpstart_bucket
        self._runs: dict[str, TrainingRun] = {}
        self._runs_lock = threading.Lock()
        self._operations: dict[str, Callable[[dict[str, Any]], dict[str, Any] | None]] = {
            "CreateTrainingJob": self._create,
            "DescribeTrainingJob": self._describe,
            "StopTrainingJob": self._stop,
            "ListTrainingJobs": self._list,
            "AddTags": self._add_tags,
            "ListTags": self._list_tags,
        }

    def start(self, host: Host) -> None:
        """Load the jobs, and end those that ran when the engine died."""
        self._host = host
        folder = host.data_dir / "sagemaker"
        self._records, self._scratch = folder / "training-jobs", folder / "containers"
        shutil.rmtree(self._scratch, ignore_errors=True)
        for part in (self._records, self._scratch):
            part.mkdir(parents=True, exist_ok=True)
        self._hubs = hubs = Hubs(folder / "hubs", f"{host.region}:{host.account_id}")
        self._operations |= {
            "CreateHub": hubs.create,
            "ImportHubContent": hubs.import_content,
            "DescribeHubContent": hubs.describe,
            "ListHubContents": lambda parameters: _page("HubContentSummaries", hubs.summaries(parameters), parameters),
        }
        self._endpoints = Endpoints(host, folder, self._settings)
        self._inference = Inference(host, self._endpoints)
        self._operations |= self._endpoints.operations()
        self._operations |= {f"List{kind}s": self._lister(kind) for kind in _HOSTING}
        self._cache = ArtifactCache(folder / "artifacts")
        self._jobs = TrainingJobs(TrainingJob.load(host, self._records, self._settings.event_copies))
        for job in self._jobs.all():
            if job.status not in TERMINAL:
                job.enter("Failed", "InternalServerError: The engine stopped while this job was running.")

    def stop(self) -> None:
        """Kill the running scripts; the next start ends their jobs as Failed."""
        with self._runs_lock:
            runs = list(self._runs.values())
        for run in runs:
            run.abandon()
        for run in runs:
            run.join()
        self._endpoints.stop()

    def iam(self, request: Request) -> list[IamCheck]:
        """Name the permissions that the request needs, with the tags of the job that it is about."""
        place = self._host.region, self._host.account_id
        if inference.is_invocation(request):
            return inference.permissions(request, *place)
        checks = requests.permissions(request, *place)
        return [
            (action, resource, {**self._resource_tags(resource), **context}) for action, resource, context in checks
        ]

    async def handle(self, request: Request) -> Response:
        """Answer one request.

        Raises:
            AwsError: as SageMaker would.
        """
        if inference.is_invocation(request):
            return self._inference.answer(request)
        operation, parameters = requests.parse(request)
        answer = self._operations.get(operation)
        if answer is None:
            raise AwsError("UnknownOperationException", f"The local SageMaker has no {operation}")
        result = answer(parameters)
        body = json.dumps(result).encode() if result is not None else b""
        return Response(200, body, {"content-type": "application/x-amz-json-1.1"})

    def _create(self, parameters: dict[str, Any]) -> dict[str, Any]:
        name, role = parameters["TrainingJobName"], parameters["RoleArn"]
        self._host.pass_role(role, _PRINCIPAL)
        self._refuse_duplicate(name)
        self._check_channels(parameters)
        self._check_network(parameters)
        base_model = self._base_model(parameters)
        with self._jobs.admission() as jobs:
            self._refuse_duplicate(name)
            if base_model is None:
                self._check_quota(parameters["ResourceConfig"]["InstanceType"])
            job = TrainingJob.create(self._host, self._records, self._settings.event_copies, parameters)
            work = job.describe()
            if base_model is not None:
                work = serverless.as_script(work, base_model, self._jumpstart_bucket)
            run = TrainingRun(self._host, self._settings, job, work, self._scratch, self._cache, self._forget)
            with self._runs_lock:
                self._runs[name] = run
            jobs[name] = job
        run.start()
        return {"TrainingJobArn": job.arn}

    def _base_model(self, parameters: dict[str, Any]) -> dict[str, Any] | None:
        """Return the spec of the model that is customised serverless; None for a job on an instance."""
        config = parameters.get("ServerlessJobConfig")
        return serverless.check(self._host.client("s3"), self._jumpstart_bucket, config) if config else None

    def _forget(self, run: TrainingRun) -> None:
        with self._runs_lock:
            del self._runs[run.job.name]

    def _refuse_duplicate(self, name: str) -> None:
        if existing := self._jobs.get(name):
            raise AwsError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job with this "
                f"name already exists ({existing.arn})",
            )

    def _check_quota(self, instance_type: str) -> None:
        used = sum(
            job.status not in TERMINAL and job.describe().get("ResourceConfig", {}).get("InstanceType") == instance_type
            for job in self._jobs.all()
        )
        quota = Account.read(self._host.data_dir).quotas.get(instance_type, self._settings.instance_quota)
        if used >= quota:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit '{instance_type} for training job usage' is "
                f"{quota} Instances, with current utilization of {used} Instances and a "
                "request delta of 1 Instances. Please use AWS Service Quotas to request an increase for this quota. If "
                "AWS Service Quotas is not available, contact AWS support to request an increase for this quota.",
            )

    def _check_channels(self, parameters: dict[str, Any]) -> None:
        """Refuse a channel without objects, as SageMaker does before it accepts the job."""
        role = parameters["RoleArn"]
        for channel in parameters.get("InputDataConfig", []):
            source = channel["DataSource"]["S3DataSource"]
            uri, access = source["S3Uri"], source.get("HubAccessConfig")
            if access and not self._hubs.has(access["HubContentArn"]):
                raise AwsError("ValidationException", f"Hub content {access['HubContentArn']} does not exist.")
            # The weights of a gated model lie where SageMaker alone may read.
            s3 = self._host.client("s3", None if source.get("ModelAccessConfig") else role)
            prefix = S3Prefix.of(uri)
            reason = ""
            try:
                if prefix.objects(s3):
                    continue
            except (ClientError, UnsafeKeyError) as error:
                reason = f" Error message from S3: {error}"
            raise AwsError(
                "ValidationException",
                f'No S3 objects found under S3 URL "{uri}" given in input data source. Please ensure that the bucket '
                f"exists in the selected region ({self._host.region}), that objects exist under that S3 prefix, and "
                f'that the role "{role}" has "s3:ListBucket" permissions on bucket "{prefix.bucket}".{reason}',
            )

    def _check_network(self, parameters: dict[str, Any]) -> None:
        """Refuse a VPC that does not exist, or that the job's role may not put an interface into."""
        vpc, role = parameters.get("VpcConfig"), parameters["RoleArn"]
        if not vpc:
            return
        ec2 = self._host.client("ec2", role)
        try:
            subnets = ec2.describe_subnets(SubnetIds=vpc["Subnets"])["Subnets"]
            groups = ec2.describe_security_groups(GroupIds=vpc["SecurityGroupIds"])["SecurityGroups"]
            interface = ec2.create_network_interface(SubnetId=vpc["Subnets"][0], Groups=vpc["SecurityGroupIds"])
            # The script runs as a process here, without one; on AWS it goes when the job ends.
            ec2.delete_network_interface(NetworkInterfaceId=interface["NetworkInterface"]["NetworkInterfaceId"])
        except ClientError as error:
            reason = f"{error.response['Error']['Code']}: {error.response['Error']['Message']}"
            raise AwsError("ValidationException", f"Cannot use the VPC with the role {role}: {reason}") from error
        if len({each["VpcId"] for each in (*subnets, *groups)}) > 1:
            raise AwsError("ValidationException", "The subnets and security groups must belong to one VPC.")

    def _describe(self, parameters: dict[str, Any]) -> dict[str, Any]:
        return self._existing(parameters["TrainingJobName"]).describe()

    def _stop(self, parameters: dict[str, Any]) -> None:
        job = self._existing(parameters["TrainingJobName"])
        if not job.request_stop():
            raise AwsError(
                "ValidationException",
                f"The request was rejected because the training job is in status {job.status}.",
            )
        with self._runs_lock:
            run = self._runs.get(job.name)
        if run:
            run.stop()

    def _existing(self, name: str) -> TrainingJob:
        job = self._jobs.get(name)
        if job is None:
            # SageMaker has no ResourceNotFound here.
            raise AwsError("ValidationException", "Requested resource not found.")
        return job

    def _list(self, parameters: dict[str, Any]) -> dict[str, Any]:
        for name in ("WarmPoolStatusEquals", "TrainingPlanArnEquals"):
            if name in parameters:
                raise AwsError("ValidationException", f"The local SageMaker does not filter by {name}")
        jobs = [job.describe() for job in self._jobs.all()]
        if "NameContains" in parameters:
            jobs = [job for job in jobs if parameters["NameContains"].lower() in job["TrainingJobName"].lower()]
        if "StatusEquals" in parameters:
            jobs = [job for job in jobs if job["TrainingJobStatus"] == parameters["StatusEquals"]]
        for member in ("CreationTime", "LastModifiedTime"):
            if after := parameters.get(f"{member}After"):
                jobs = [job for job in jobs if job[member] > _seconds(after)]
            if before := parameters.get(f"{member}Before"):
                jobs = [job for job in jobs if job[member] < _seconds(before)]
        key = _SORT_KEYS[parameters.get("SortBy", "CreationTime")]
        jobs.sort(key=lambda job: job[key], reverse=parameters.get("SortOrder", "Descending") == "Descending")
        members = service_model("sagemaker").shape_for("TrainingJobSummary").members
        summaries = [{name: job[name] for name in members if name in job} for job in jobs]
        return _page("TrainingJobSummaries", summaries, parameters)

    def _lister(self, kind: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
        def summaries(parameters: dict[str, Any]) -> dict[str, Any]:
            members = service_model("sagemaker").shape_for(f"{kind}Summary").members
            found = [
                {name: each[name] for name in members if name in each}
                for each in self._endpoints.summaries(kind, parameters)
            ]
            return _page(f"{kind}s", found, parameters)

        return summaries

    def _add_tags(self, parameters: dict[str, Any]) -> dict[str, Any]:
        job = self._tagged(parameters["ResourceArn"])
        tags = {tag["Key"]: tag["Value"] for tag in parameters["Tags"]}
        if len({*job.tags, *tags}) > requests.MAX_TAGS:
            raise AwsError(
                "ValidationException", f"Too many tags: at most {requests.MAX_TAGS} tags are allowed on a resource"
            )
        job.tag(tags)
        return {"Tags": _tag_list(job.tags)}

    def _list_tags(self, parameters: dict[str, Any]) -> dict[str, Any]:
        tags = self._endpoints.tags(parameters["ResourceArn"]) or self._tagged(parameters["ResourceArn"]).tags
        return _page("Tags", _tag_list(tags), parameters, requests.MAX_TAGS)

    def _tagged(self, arn: str) -> TrainingJob:
        job = self._jobs.by_arn(arn)
        if job is None:
            raise AwsError("ValidationException", f"Resource {arn} does not exist.")
        return job

    def _resource_tags(self, arn: str) -> dict[str, str]:
        job = self._jobs.by_arn(arn)
        tags = job.tags if job else self._endpoints.tags(arn)
        return {f"aws:ResourceTag/{key}": value for key, value in tags.items()}


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _seconds(timestamp: float | str) -> float:
    return datetime.fromisoformat(timestamp).timestamp() if isinstance(timestamp, str) else timestamp


def _page(name: str, items: list[Any], parameters: dict[str, Any], size: int = _DEFAULT_PAGE) -> dict[str, Any]:
    """Cut one page out of a list; the token is the position of the next one."""
    try:
        start = int(base64.b64decode(parameters.get("NextToken", ""), validate=True) or 0)
    except (binascii.Error, ValueError) as error:
        raise AwsError("ValidationException", "The provided pagination token is invalid.") from error
    end = start + parameters.get("MaxResults", size)
    token = {"NextToken": base64.b64encode(str(end).encode()).decode()} if end < len(items) else {}
    return {name: items[start:end], **token}
