"""AWS as the adapters see it: the calls of boto3's clients that the application makes, on state in memory.

What AWS documents of a call is imitated, errors included; what happens around a call (throttling, a lost answer, a
worker that dies) is `world.py`'s. The tests of the adapters run against these clients, too (`tests/adapters`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Protocol

from botocore.exceptions import ClientError

from tests.samples import ACCOUNT, REGION
from tests.simulation.expressions import Item, condition, updated

MOST_MODELS = 3
"""Imported models of an account, by default."""

UNSEEN = timedelta(minutes=1)
"""For how long SageMaker may not tell yet of a training job that it has taken."""


def refusal(code: str, message: str = "AWS says so.", **more: Any) -> ClientError:
    """Make the error that boto3 raises for one of AWS's codes."""
    answer = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": 400}, **more}
    return ClientError(answer, "Simulated")  # type: ignore[arg-type]  # the keys that are read


class Surroundings(Protocol):
    """What a service needs of the world around it."""

    def now(self) -> datetime:
        """Return the true time."""

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do something when so many seconds have passed."""

    def stale(self, what: str) -> bool:
        """Tell whether a read that may be stale is."""


@dataclass
class DynamoDB:
    """A table with one index and a stream; `written` is told of each new image, with its number."""

    world: Surroundings
    written: Callable[[Item, int], None] = lambda _image, _number: None
    items: dict[str, Item] = field(default_factory=dict)
    former: dict[str, Item | None] = field(default_factory=dict)
    """Each item as it was before its last write: what a stale read shows."""
    unseen: dict[str, Item] = field(default_factory=dict)
    """What was written since somebody looked, who takes it out."""
    writes: int = 0
    _indexed: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    """An index's key and its value → the items that have it."""

    def get_item(self, **request: Any) -> dict[str, Any]:
        identifier = request["Key"]["id"]["S"]
        item = self.items.get(identifier)
        if not request.get("ConsistentRead") and self.world.stale(f"get_item {identifier}"):
            item = self.former.get(identifier)
        return {"Item": item} if item else {}

    def batch_get_item(self, **request: Any) -> dict[str, Any]:
        ((table, wanted),) = request["RequestItems"].items()
        consistent = wanted.get("ConsistentRead", False)
        answers = [self.get_item(Key=key, ConsistentRead=consistent) for key in wanted["Keys"]]
        return {"Responses": {table: [each["Item"] for each in answers if each]}, "UnprocessedKeys": {}}

    def put_item(self, **request: Any) -> dict[str, Any]:
        if not self._holds(request):
            raise refusal("ConditionalCheckFailedException")
        self._write(request["Item"])
        return {}

    def update_item(self, **request: Any) -> dict[str, Any]:
        if not self._holds(request):
            raise refusal("ConditionalCheckFailedException")
        self._write(self._updated(request))
        return {}

    def transact_write_items(self, **request: Any) -> dict[str, Any]:
        writes = [next(iter(each.items())) for each in request["TransactItems"]]
        failed = [not self._holds(write) for _, write in writes]
        if any(failed):
            reasons = [
                self._reason(write) if bad else {"Code": "None"} for (_, write), bad in zip(writes, failed, strict=True)
            ]
            raise refusal("TransactionCanceledException", CancellationReasons=reasons)
        for image in [write["Item"] if kind == "Put" else self._updated(write) for kind, write in writes]:
            self._write(image)
        return {}

    def query(self, **request: Any) -> dict[str, Any]:
        values = dict(request["ExpressionAttributeValues"])
        since = values.pop(":since", {"S": ""})["S"]
        ((name, value),) = values.items()
        key = name.removeprefix(":"), value["S"]
        if self.world.stale(f"query {value['S']}"):
            seen = [item for item in map(self.former.get, self.items) if item and key in _keys(item)]
        else:
            having = self._indexed.get(key, ())
            seen = [item for identifier, item in self.items.items() if identifier in having]
        found = [item for item in seen if item["created_at"]["S"] >= since]
        return {"Items": sorted(found, key=_created)}

    def _updated(self, request: Mapping[str, Any]) -> Item:
        names, values = request.get("ExpressionAttributeNames", {}), request["ExpressionAttributeValues"]
        return {**request["Key"], **updated(self._item(request), request["UpdateExpression"], names, values)}

    def _item(self, request: Mapping[str, Any]) -> Item:
        key = request["Key"] if "Key" in request else request["Item"]
        return self.items.get(key["id"]["S"], {})

    def _holds(self, request: Mapping[str, Any]) -> bool:
        expression = request.get("ConditionExpression")
        values = request.get("ExpressionAttributeValues", {})
        return expression is None or condition(expression)(self._item(request), values)

    def _reason(self, request: Mapping[str, Any]) -> dict[str, Any]:
        told = request.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD" and self._item(request)
        return {"Code": "ConditionalCheckFailed", **({"Item": told} if told else {})}

    def _write(self, image: Item) -> None:
        identifier = image["id"]["S"]
        former = self.former[identifier] = self.items.get(identifier)
        self.items[identifier] = self.unseen[identifier] = image
        for key in _keys(former or {}):
            self._indexed[key].discard(identifier)
        for key in _keys(image):
            self._indexed.setdefault(key, set()).add(identifier)
        self.writes += 1
        self.written(image, self.writes)


def _keys(item: Item) -> list[tuple[str, str]]:
    """Return the keys of the table's indices, and their values, that an item has."""
    return [(name, item[name]["S"]) for name in ("shelf", "tracked") if name in item]


def _created(item: Item) -> str:
    return str(item["created_at"]["S"])


@dataclass
class TrainingJob:
    """One training job."""

    name: str
    request: Mapping[str, Any]
    created_at: datetime
    status: str = "InProgress"
    secondary_status: str = "Training"
    reason: str = ""
    billable_seconds: int | None = None
    ended_at: datetime | None = None

    @property
    def arn(self) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{self.name}"

    @property
    def artifact_uri(self) -> str:
        return f"{self.request['OutputDataConfig']['S3OutputPath']}/{self.name}/output/model/"

    @property
    def live(self) -> bool:
        return self.status in ("InProgress", "Stopping")


@dataclass
class SageMaker:
    """Training jobs; `launched` begins a training, `changed` is told of each change of a job's status."""

    world: Surroundings
    launched: Callable[[TrainingJob], None] = lambda _job: None
    changed: Callable[[TrainingJob], None] = lambda _job: None
    refusals: list[ClientError] = field(default_factory=list)
    """What the next jobs are refused with."""
    jobs: dict[str, TrainingJob] = field(default_factory=dict)

    def create_training_job(self, **request: Any) -> dict[str, Any]:
        name = request["TrainingJobName"]
        if name in self.jobs:
            raise refusal("ResourceInUse")
        if self.refusals:
            raise self.refusals.pop(0)
        job = self.jobs[name] = TrainingJob(name, request, self.world.now())
        self.launched(job)
        return {"TrainingJobArn": job.arn}

    def describe_training_job(self, **request: Any) -> dict[str, Any]:
        job = self._job(request["TrainingJobName"])
        if self.world.now() - job.created_at < UNSEEN and self.world.stale("describe_training_job"):
            raise refusal("ValidationException", "Requested resource not found.")
        answer: dict[str, Any] = {
            "TrainingJobArn": job.arn,
            "TrainingJobStatus": job.status,
            "SecondaryStatus": job.secondary_status,
            "TrainingStartTime": job.created_at,
            "FailureReason": job.reason,
        }
        if job.ended_at:
            answer |= {"TrainingEndTime": job.ended_at, "BillableTimeInSeconds": job.billable_seconds}
        if job.status in ("Completed", "Stopped"):  # what a job had made that was stopped is uploaded, too
            answer["ModelArtifacts"] = {"S3ModelArtifacts": job.artifact_uri}
        return answer

    def list_training_jobs(self, **request: Any) -> dict[str, Any]:
        return {
            "TrainingJobSummaries": [
                {"TrainingJobName": job.name}
                for job in self.jobs.values()
                if request["NameContains"] in job.name and job.status == request["StatusEquals"]
            ]
        }

    def stop_training_job(self, **request: Any) -> dict[str, Any]:
        job = self._job(request["TrainingJobName"])
        if job.status != "InProgress":
            raise refusal("ValidationException", "The request was rejected because the training job is not running.")
        job.status = job.secondary_status = "Stopping"
        self.world.later(100, lambda: self.end(job.name, "Stopped"))
        return {}

    def list_tags(self, **request: Any) -> dict[str, Any]:
        return {"Tags": next(job.request["Tags"] for job in self.jobs.values() if job.arn == request["ResourceArn"])}

    def end(self, name: str, status: str, secondary_status: str = "", reason: str = "") -> None:
        """End a job that lives, as SageMaker does."""
        job = self.jobs[name]
        if job.live:
            job.status, job.secondary_status, job.reason = status, secondary_status or status, reason
            job.ended_at = self.world.now()
            job.billable_seconds = round((job.ended_at - job.created_at).total_seconds())
            self.changed(job)

    def _job(self, name: str) -> TrainingJob:
        if name not in self.jobs:
            raise refusal("ValidationException", "Requested resource not found.")
        return self.jobs[name]


@dataclass
class ImportJob:
    """One import job, and the model that it makes."""

    name: str
    source_uri: str
    token: str
    created_at: datetime
    status: str = "InProgress"
    message: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-import-job/{self.name}"

    @property
    def model_arn(self) -> str:
        return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:imported-model/{self.name}"


@dataclass
class EvaluationJob:
    """One evaluation job, by which a model grades another one's answers."""

    name: str
    request: Mapping[str, Any]
    created_at: datetime
    status: str = "InProgress"

    @property
    def arn(self) -> str:
        return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:evaluation-job/{self.name}"


@dataclass
class Bedrock:
    """Import jobs, one at a time, at most three models, and judges; `launched` begins an import, `called` a judge."""

    world: Surroundings
    launched: Callable[[ImportJob], None] = lambda _job: None
    called: Callable[[EvaluationJob], None] = lambda _job: None
    jobs: dict[str, ImportJob] = field(default_factory=dict)
    evaluations: dict[str, EvaluationJob] = field(default_factory=dict)
    models: dict[str, tuple[ImportJob, datetime]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    others_import: bool = False
    """Whether the account's one import is somebody else's."""

    def create_model_import_job(self, **request: Any) -> dict[str, Any]:
        name, token = request["jobName"], request["clientRequestToken"]
        if made := next((job for job in self.jobs.values() if job.token == token), None):
            return {"jobArn": made.arn}  # a token that comes again is the same request, whatever it names
        if name in self.jobs:
            raise refusal("ConflictException")
        if self.others_import or any(job.status == "InProgress" for job in self.jobs.values()):
            raise refusal("ServiceQuotaExceededException", "One import at a time.")
        if len(self.models) >= MOST_MODELS:
            raise refusal("ServiceQuotaExceededException", "No more imported models.")
        source = request["modelDataSource"]["s3DataSource"]["s3Uri"]
        job = self.jobs[name] = ImportJob(name, source, token, self.world.now())
        self.launched(job)
        return {"jobArn": job.arn}

    def get_model_import_job(self, **request: Any) -> dict[str, Any]:
        job = next((job for job in self.jobs.values() if job.arn == request["jobIdentifier"]), None)
        if job is None:
            raise refusal("ResourceNotFoundException")
        answer = {"status": job.status, "failureMessage": job.message}
        return answer | ({"importedModelArn": job.model_arn} if job.status == "Completed" else {})

    def list_model_import_jobs(self, **request: Any) -> dict[str, Any]:
        found = [
            {"jobName": job.name, "jobArn": job.arn}
            for job in self.jobs.values()
            if request.get("nameContains", "") in job.name and request.get("statusEquals", job.status) == job.status
        ]
        if self.others_import and not request.get("nameContains"):
            found.append({"jobName": "somebody-else-s", "jobArn": "arn"})
        return {"modelImportJobSummaries": found}

    def get_imported_model(self, **request: Any) -> dict[str, Any]:
        name = request["modelIdentifier"].rpartition("/")[2]
        if name not in self.models:
            raise refusal("ResourceNotFoundException")
        job, _ = self.models[name]
        source = {"s3DataSource": {"s3Uri": job.source_uri}}
        return {"modelArn": job.model_arn, "modelName": name, "modelDataSource": source, "instructSupported": True}

    def list_imported_models(self, **request: Any) -> dict[str, Any]:
        return {
            "modelSummaries": [
                {"modelName": name, "creationTime": made_at}
                for name, (_, made_at) in self.models.items()
                if request.get("nameContains", "") in name
            ]
        }

    def delete_imported_model(self, **request: Any) -> dict[str, Any]:
        name = request["modelIdentifier"].rpartition("/")[2]
        if name not in self.models:
            raise refusal("ResourceNotFoundException")
        del self.models[name]
        self.deleted.append(name)
        return {}

    def create_evaluation_job(self, **request: Any) -> dict[str, Any]:
        name, token = request["jobName"], request["clientRequestToken"]
        known = self.evaluations.values()
        if made := next((job for job in known if job.request.get("clientRequestToken") == token), None):
            return {"jobArn": made.arn}
        if name in self.evaluations:
            raise refusal("ConflictException")
        job = self.evaluations[name] = EvaluationJob(name, request, self.world.now())
        self.called(job)
        return {"jobArn": job.arn}

    def get_evaluation_job(self, **request: Any) -> dict[str, Any]:
        job = self._evaluation(request["jobIdentifier"])
        return {"status": job.status, "failureMessages": ["The judge failed."] if job.status == "Failed" else []}

    def list_evaluation_jobs(self, **request: Any) -> dict[str, Any]:
        return {
            "jobSummaries": [
                {"jobName": job.name, "jobArn": job.arn}
                for job in self.evaluations.values()
                if request.get("nameContains", "") in job.name and request.get("statusEquals", job.status) == job.status
            ]
        }

    def stop_evaluation_job(self, **request: Any) -> dict[str, Any]:
        job = self._evaluation(request["jobIdentifier"])
        if job.status != "InProgress":
            raise refusal("ConflictException", f"The evaluation job is {job.status}.")
        job.status = "Stopping"
        self.world.later(60, lambda: setattr(job, "status", "Stopped"))
        return {}

    def _evaluation(self, arn: str) -> EvaluationJob:
        job = next((job for job in self.evaluations.values() if job.arn == arn), None)
        if job is None:
            raise refusal("ResourceNotFoundException")
        return job

    def end(self, name: str, status: str) -> None:
        """End an import, as Bedrock does."""
        job = self.jobs[name]
        job.status = status
        if status == "Completed":
            self.models[name] = job, self.world.now()
        else:
            job.message = "The model could not be read."


@dataclass
class ParameterStore:
    """Parameters, without conditions."""

    values: dict[str, str] = field(default_factory=dict)

    def get_parameter(self, **request: Any) -> dict[str, Any]:
        if request["Name"] not in self.values:
            raise refusal("ParameterNotFound")
        return {"Parameter": {"Value": self.values[request["Name"]]}}

    def put_parameter(self, **request: Any) -> dict[str, Any]:
        self.values[request["Name"]] = request["Value"]
        return {}


@dataclass
class Topic:
    """What people were told, oldest first."""

    notices: list[dict[str, str]] = field(default_factory=list)

    def publish(self, **request: Any) -> dict[str, Any]:
        attributes = request["MessageAttributes"].items()
        self.notices.append({name: value["StringValue"] for name, value in attributes})
        return {"MessageId": f"message-{len(self.notices)}"}


class Client:
    """One service as boto3 offers it: each operation goes through `call`, paginators included."""

    def __init__(self, service: Any = None, call: Callable[[str, Callable[[], Any]], Any] = lambda _, do: do()) -> None:
        self.lead_to(service, call)

    def lead_to(self, service: Any, call: Callable[[str, Callable[[], Any]], Any]) -> None:
        """Lead to another world's service from now on."""
        vars(self).clear()  # the operations of the former one
        self._service = service
        self._call = call

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        call, deed = self._call, getattr(self._service, operation)

        def called(**request: Any) -> Any:
            return call(operation, partial(deed, **request))

        vars(self)[operation] = called
        return called

    def get_paginator(self, operation: str) -> "Paginator":
        return Paginator(getattr(self, operation))


@dataclass
class Paginator:
    """All of a list, on one page."""

    page: Callable[..., dict[str, Any]]

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        yield self.page(**request)
