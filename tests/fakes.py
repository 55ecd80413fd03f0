"""The ports in memory. Those that hold state pass the very tests that their adapters pass (`tests/adapters`)."""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Literal

from tests.samples import ACCOUNT, DROP_BUCKET, NOW, REGION, RUN_BUCKET, WORKFLOW_ARN
from tunedrop.domain import budget
from tunedrop.domain.alias import Alias, newly_promoted
from tunedrop.domain.budget import Ledger
from tunedrop.domain.decide import settled
from tunedrop.domain.endpoint_requests import EndpointRequests
from tunedrop.domain.jumpstart import HostingArtifacts, HyperparameterSpec, JumpStartModel, TrainingArtifacts
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.plan import PinnedFile, PinnedObject
from tunedrop.domain.pricing import PriceList
from tunedrop.domain.quotas import Quota
from tunedrop.domain.run import Run, Tracked, Training
from tunedrop.domain.surroundings import Key, Subnet
from tunedrop.domain.tracking import TrackedRun
from tunedrop.domain.training_request import REQUEST_HASH_TAG
from tunedrop.errors import (
    CapReachedError,
    ChampionChangedError,
    ClaimHeldError,
    ForeignResourceError,
    ModelLimitError,
    ModelUnavailableError,
    ObjectTooLargeError,
    SourceChangedError,
    UnavailableError,
    UnknownModelError,
    VersionConflictError,
)
from tunedrop.ports import (
    Answer,
    Clock,
    DropListing,
    EndpointState,
    Execution,
    ImportState,
    JudgeRequest,
    JudgeState,
    Question,
    ServedModel,
)


@dataclass
class FakeClock:
    """A clock that stands still until it is moved."""

    time: datetime = NOW

    def now(self) -> datetime:
        return self.time

    def move(self, delta: timedelta) -> None:
        self.time += delta


@dataclass
class InMemoryRunStore:
    """Runs and aliases as JSON, who holds which claim, what is spent; `written` is told of writes, as the stream is."""

    written: Callable[[Run | Alias], None] = lambda _item: None
    runs: dict[str, str] = field(default_factory=dict)
    holders: dict[str, str] = field(default_factory=dict)
    ledgers: dict[str, Ledger] = field(default_factory=dict)
    cap_cents: int | None = None
    all_aliases: dict[str, str] = field(default_factory=dict)

    def get(self, run_id: str) -> Run | None:
        document = self.runs.get(run_id)
        return Run.model_validate_json(document) if document else None

    def create(self, run: Run) -> bool:
        if run.run_id in self.runs:
            return False
        self._store(run)
        return True

    def commit(self, before: Run, after: Run) -> Run:
        current = self.get(before.run_id)
        if current is None or current.version != before.version:
            raise VersionConflictError
        for claim in sorted(after.claims - before.claims):
            holder = self.holders.get(claim, after.run_id)
            if holder != after.run_id:
                raise ClaimHeldError(claim, holder)
        promotion, alias = newly_promoted(before, after), self.alias(after.dataset)
        if promotion and not alias.allows(promotion):
            raise ChampionChangedError(alias.champion.run_id if alias.champion else None)
        ledgers = self._accounted(before, after)
        for claim in after.claims - before.claims:
            self.holders[claim] = after.run_id
        for claim in before.claims - after.claims:
            self.holders.pop(claim, None)
        self.ledgers = ledgers
        stored = after.model_copy(update={"version": before.version + 1})
        if promotion:
            alias = alias.with_champion(after)
            self.all_aliases[after.dataset] = alias.model_dump_json()
        self._store(stored)
        if promotion:
            self.written(alias)
        return stored

    def alias(self, dataset: str) -> Alias:
        document = self.all_aliases.get(dataset)
        return Alias.model_validate_json(document) if document else Alias(dataset=dataset)

    def datasets(self) -> Iterator[str]:
        yield from list(self.all_aliases)

    def ledger(self, month: str) -> Ledger:
        return self.ledgers.get(month, Ledger(month=month))

    def _accounted(self, before: Run, after: Run) -> dict[str, Ledger]:
        ledgers = dict(self.ledgers)
        for charge in budget.opened(before.charges, after.charges):
            ledger = ledgers.get(charge.month, Ledger(month=charge.month))
            if self.cap_cents is not None and ledger.committed + charge.most_cents > self.cap_cents:
                raise CapReachedError(ledger.committed, self.cap_cents)
            reserved = {**ledger.reserved, charge.job_name: charge.most_cents}
            ledgers[charge.month] = ledger.model_copy(update={"reserved": reserved})
        for charge, actual in budget.settled(before.charges, after.charges):
            ledger = ledgers[charge.month]
            reserved = {name: amount for name, amount in ledger.reserved.items() if name != charge.job_name}
            update = {"reserved": reserved, "spent": ledger.spent + actual}
            ledgers[charge.month] = ledger.model_copy(update=update)
        return ledgers

    def live(self) -> Iterator[Run]:
        runs = [Run.model_validate_json(document) for document in self.runs.values()]
        yield from (run for run in sorted(runs, key=lambda each: each.created_at) if not settled(run))

    def tracked(self) -> Mapping[Tracked, Sequence[str]]:
        return {each: [run.run_id for run in self.live() if run.tracked is each] for each in Tracked}

    def read(self, run_ids: Sequence[str]) -> Iterator[Run]:
        yield from filter(None, map(self.get, run_ids))

    def created_since(self, time: datetime) -> Iterator[str]:
        runs = [Run.model_validate_json(document) for document in self.runs.values()]
        yield from (run.run_id for run in runs if run.created_at >= time)

    def _store(self, run: Run) -> None:
        self.runs[run.run_id] = run.model_dump_json()
        self.written(run)


@dataclass
class InMemoryDrops:
    """A versioned bucket; `put` is the user."""

    bucket: str = DROP_BUCKET
    clock: Clock = field(default_factory=FakeClock)
    versions: dict[tuple[str, str], tuple[bytes, datetime]] = field(default_factory=dict)
    newest: dict[str, str] = field(default_factory=dict)

    def put(self, key: str, data: bytes) -> str:
        version = f"v{len(self.versions) + 1}"
        self.versions[key, version] = (data, self.clock.now())
        self.newest[key] = version
        return version

    def delete(self, key: str) -> None:
        del self.newest[key]

    def files(self, dataset: str) -> list[PinnedObject]:
        found = []
        for key, version in sorted(self.newest.items()):
            if key.startswith(f"datasets/{dataset}/"):
                data, _ = self.versions[key, version]
                found.append(PinnedObject(key=key, version_id=version, etag=_etag(data), size=len(data)))
        return found

    def read(self, key: str, version_id: str, limit: int) -> bytes:
        data = self._version(key, version_id)
        if len(data) > limit:
            raise ObjectTooLargeError(key)
        return data

    def head(self, file: PinnedObject, limit: int) -> bytes:
        data, _ = self.versions[file.key, file.version_id]
        return data[:limit]

    def blocks(self, file: PinnedFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        data = self._version(file.key, file.version_id)[start:end]
        if data:
            yield data[: len(data) // 2]
            yield data[len(data) // 2 :]

    def _version(self, key: str, version_id: str) -> bytes:
        if (key, version_id) not in self.versions:
            raise SourceChangedError(key)
        return self.versions[key, version_id][0]

    def specs(self) -> Iterator[DropListing]:
        for (key, version), (data, time) in sorted(self.versions.items()):
            if key in self.newest and key.startswith("datasets/") and key.endswith("/tune.yaml"):
                yield _listing(key, version, data, time)


@cache
def _listing(key: str, version: str, data: bytes, time: datetime) -> DropListing:
    return DropListing(key=key, version_id=version, etag=_etag(data), last_modified=time, uploaded_by=ACCOUNT)


@cache
def _etag(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@dataclass
class InMemoryRunFiles:
    """Objects by key, each whole or not there."""

    objects: dict[str, bytes] = field(default_factory=dict)
    drops: InMemoryDrops = field(default_factory=InMemoryDrops)

    def uri(self, key: str) -> str:
        return f"s3://{RUN_BUCKET}/{key}"

    def link(self, key: str, seconds: int) -> str:
        return f"https://{RUN_BUCKET}.s3.amazonaws.com/{key}?X-Amz-Expires={seconds}"

    def write(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def write_once(self, key: str, data: bytes) -> bytes:
        return self.objects.setdefault(key, data)

    @contextmanager
    def writer(self, key: str) -> Iterator[Callable[[bytes], None]]:
        pieces: list[bytes] = []
        yield pieces.append
        self.objects[key] = b"".join(pieces)

    def read(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def sizes(self, prefix: str) -> dict[str, int]:
        return {key.removeprefix(prefix): len(data) for key, data in self.objects.items() if key.startswith(prefix)}

    def copy(self, bucket: str, source: PinnedObject, key: str) -> None:
        assert bucket == self.drops.bucket
        self.objects[key] = self.drops.read(source.key, source.version_id, source.size)


@dataclass
class InMemoryModelFiles:
    """What lies beside the models' weights, by its URI."""

    contents: dict[str, bytes] = field(default_factory=dict)

    def read(self, uri: str, limit: int) -> bytes | None:
        content = self.contents.get(uri)
        return content if content is not None and len(content) <= limit else None


@dataclass
class FakeWorkflows:
    """Executions of a state machine; `finish` is Step Functions."""

    contents: dict[str, Mapping[str, str]] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)

    def start(self, name: str, content: Mapping[str, str]) -> None:
        self.contents.setdefault(name, content)
        arn = f"{WORKFLOW_ARN.replace(':stateMachine:', ':execution:')}:{name}"
        self.executions.setdefault(name, Execution(arn=arn, status="RUNNING"))

    def finish(self, name: str, status: str, error: str = "", cause: str = "") -> None:
        running = self.executions[name]
        self.executions[name] = Execution(arn=running.arn, status=status, error=error, cause=cause)

    def state(self, name: str) -> Execution | None:
        return self.executions.get(name)


@dataclass
class FakeExperiments:
    """What each run was told to MLflow as."""

    tracked: dict[str, TrackedRun] = field(default_factory=dict)

    def track(self, run: TrackedRun) -> None:
        self.tracked.setdefault(run.run_id, run)


@dataclass
class InMemoryAliases:
    """What each alias names."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str | None:
        return self.values.get(name)

    def put(self, name: str, model_arn: str) -> None:
        self.values[name] = model_arn


BILLABLE_SECONDS = 3000

ARTIFACT = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"], "max_position_embeddings": 2048}',
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b'{"tokenizer_class": "PreTrainedTokenizerFast"}',
}
"""What a training job leaves that Bedrock imports."""


@dataclass
class FakeTrainingJobs:
    """SageMaker's training jobs; `finish` is the training."""

    requests: dict[str, Mapping[str, object]] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    refusals: list[Exception] = field(default_factory=list)
    """Raised by the next calls of `create`, in order."""
    stopped: list[str] = field(default_factory=list)
    files: InMemoryRunFiles = field(default_factory=InMemoryRunFiles)

    def create(self, request: Mapping[str, object]) -> str:
        name = str(request["TrainingJobName"])
        if self.refusals and name not in self.requests:
            raise self.refusals.pop(0)
        known = self.requests.setdefault(name, request)
        if _request_hash(known) != _request_hash(request):
            raise ForeignResourceError(name)
        self.statuses.setdefault(name, "InProgress")
        return self._arn(name)

    def finish(self, name: str, status: str, reason: str = "AlgorithmError: out of memory") -> None:
        self.statuses[name], self.reasons[name] = status, reason
        if status != "Completed":
            return
        key = self._artifact(name).removeprefix(self.files.uri(""))
        for file, content in ARTIFACT.items():
            self.files.write(f"{key}{file}", content)

    def describe(self, job_name: str, attempt: int) -> tuple[Training, str] | None:
        status = self.statuses.get(job_name)
        if status is None:
            return None
        training = Training(
            job_name=job_name,
            job_arn=self._arn(job_name),
            attempt=attempt,
            status=status,
            secondary_status="Training" if status == "InProgress" else status,
            billable_seconds=None if status == "InProgress" else BILLABLE_SECONDS,
            artifact_uri=self._artifact(job_name) if status == "Completed" else None,
        )
        return training, self.reasons[job_name] if status == "Failed" else ""

    def in_progress(self, name_prefix: str) -> Iterator[str]:
        names = [name for name, status in self.statuses.items() if status == "InProgress"]
        yield from (name for name in names if name.startswith(name_prefix))

    def stop(self, job_name: str) -> None:
        if self.statuses[job_name] == "InProgress":
            self.statuses[job_name] = "Stopped"
            self.stopped.append(job_name)

    def _artifact(self, name: str) -> str:
        output = self.requests[name]["OutputDataConfig"]
        assert isinstance(output, dict)
        return f"{output['S3OutputPath']}/{name}/output/model/"

    @staticmethod
    def _arn(name: str) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:training-job/{name}"


@dataclass
class FakeTrainingLog:
    """What jobs have printed."""

    printed: dict[str, list[str]] = field(default_factory=dict)

    def lines(self, job_name: str) -> Iterator[str]:
        yield from self.printed.get(job_name, ())

    def tail(self, job_name: str, lines: int) -> tuple[str, ...]:
        return tuple(self.printed.get(job_name, ())[-lines:])


def _request_hash(request: Mapping[str, object]) -> str:
    tags = request["Tags"]
    assert isinstance(tags, list)
    return str({each["Key"]: each["Value"] for each in tags}[REQUEST_HASH_TAG])


@dataclass
class FakeModelImports:
    """Bedrock's imports, one at a time, and no more models than `most`; `finish` is Bedrock."""

    clock: FakeClock = field(default_factory=FakeClock)
    states: dict[str, ImportState] = field(default_factory=dict)
    by_arn: dict[str, ServedModel] = field(default_factory=dict)
    created: dict[str, datetime] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    most: int = 3

    def start(self, name: str, artifact_uri: str, run_id: str) -> str:
        if name not in self.states:
            if any(state.status == "InProgress" for state in self.states.values()):
                raise UnavailableError(f"one import at a time; {run_id} has to wait")
            if len(self.created) >= self.most:
                raise ModelLimitError(f"{self.most} models at most")
            job_arn = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:model-import-job/{name}"
            self.states[name] = ImportState(job_arn=job_arn, status="InProgress")
            self.sources[name] = artifact_uri
        return self.states[name].job_arn

    def finish(self, name: str, status: str) -> None:
        arn = f"arn:aws:bedrock:{REGION}:{ACCOUNT}:imported-model/{name}" if status == "Completed" else None
        self.states[name] = self.states[name].model_copy(update={"status": status, "model_arn": arn})
        if arn:
            self.by_arn[arn] = ServedModel(arn=arn, name=name, source_uri=self.sources[name], instruct_supported=True)
            self.created[name] = self.clock.now()

    def state(self, job_arn: str) -> ImportState | None:
        return next((state for state in self.states.values() if state.job_arn == job_arn), None)

    def model(self, model_arn: str) -> ServedModel:
        if model_arn not in self.by_arn:
            raise ModelUnavailableError("The provided model identifier could not be found.")
        return self.by_arn[model_arn]

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        yield from [(name, time) for name, time in self.created.items() if name.startswith(name_prefix)]

    def occupancy(self) -> tuple[int, str | None]:
        running = (name for name, state in self.states.items() if state.status == "InProgress")
        return len(self.created), next(running, None)

    def delete(self, name: str) -> None:
        if self.created.pop(name, None):
            self.by_arn = {arn: model for arn, model in self.by_arn.items() if model.name != name}
            self.deleted.append(name)


@dataclass
class FakeJudgeJobs:
    """Bedrock's evaluation jobs; `finish` is the judge."""

    requests: dict[str, JudgeRequest] = field(default_factory=dict)
    states: dict[str, JudgeState] = field(default_factory=dict)
    """By ARN."""
    refusals: list[Exception] = field(default_factory=list)
    """Raised by the next calls of `start` that would make a job, in order."""
    stopped: list[str] = field(default_factory=list)

    def start(self, wanted: JudgeRequest) -> str:
        if wanted.name not in self.requests:
            if self.refusals:
                raise self.refusals.pop(0)
            self.requests[wanted.name] = wanted
            self.states[self.arn(wanted.name)] = JudgeState(status="InProgress")
        return self.arn(wanted.name)

    def finish(self, name: str, status: str, failure_message: str = "") -> None:
        self.states[self.arn(name)] = JudgeState(status=status, failure_message=failure_message)

    def state(self, job_arn: str) -> JudgeState | None:
        return self.states.get(job_arn)

    def running(self, name_prefix: str) -> Iterator[tuple[str, str]]:
        for name in self.requests:
            if name.startswith(name_prefix) and self.states[self.arn(name)].status == "InProgress":
                yield name, self.arn(name)

    def stop(self, job_arn: str) -> None:
        if job_arn in self.states and self.states[job_arn].status == "InProgress":
            self.states[job_arn] = JudgeState(status="Stopped")
            self.stopped.append(job_arn)

    @staticmethod
    def arn(name: str) -> str:
        identifier = hashlib.sha256(name.encode()).hexdigest()[:12]
        return f"arn:aws:bedrock:{REGION}:{ACCOUNT}:evaluation-job/{identifier}"


@dataclass
class FakeEndpoints:
    """SageMaker's endpoints; `finish` is SageMaker, which makes an endpoint and then loads its component."""

    clock: FakeClock = field(default_factory=FakeClock)
    requests: dict[str, EndpointRequests] = field(default_factory=dict)
    stages: dict[str, Literal["making", "made", "loading", "loaded", "failed"]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    created: dict[str, datetime] = field(default_factory=dict)
    called: dict[str, datetime] = field(default_factory=dict)
    scaled: set[str] = field(default_factory=set)
    refusals: list[Exception] = field(default_factory=list)
    """Raised by the next calls of `bring_up`, in order."""

    def bring_up(self, wanted: EndpointRequests) -> EndpointState:
        name = wanted.name
        if self.refusals:
            raise self.refusals.pop(0)
        match self.stages.get(name):
            case None:
                self.requests[name], self.created[name], self.stages[name] = wanted, self.clock.now(), "making"
            case "failed":
                return EndpointState(status="failed", reason=self.reasons[name])
            case "made":
                self.stages[name] = "loading"
            case "loaded":
                self.scaled.add(name)
                return EndpointState(status="in-service", model_arn=self.arn(name))
        return EndpointState(status="coming", reason="SageMaker is at it.")

    def finish(self, name: str, failure: str = "") -> None:
        if failure:
            self.stages[name], self.reasons[name] = "failed", failure
        else:
            self.stages[name] = "made" if self.stages[name] == "making" else "loaded"

    def clear(self, name: str) -> None:
        if self.stages.get(name) == "failed":
            del self.stages[name]

    def take_down(self, name: str) -> bool:
        self.scaled.discard(name)
        if self.stages.get(name) in ("making", "loading"):
            return False
        for known in (self.stages, self.requests, self.created):
            known.pop(name, None)
        return True

    def model(self, model_arn: str) -> ServedModel:
        name = model_arn.rpartition("/")[2]
        if self.stages.get(name) not in ("loading", "loaded"):
            raise ModelUnavailableError(f"There is no inference component {name}.")
        source = self.requests[name].model["PrimaryContainer"]["ModelDataSource"]["S3DataSource"]["S3Uri"]
        return ServedModel(arn=model_arn, name=name, source_uri=source, instruct_supported=False)

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        yield from [(name, time) for name, time in self.created.items() if name.startswith(name_prefix)]

    def called_since(self, name: str, since: datetime, now: datetime) -> bool:
        return name in self.called and since <= self.called[name] <= now

    @staticmethod
    def arn(name: str) -> str:
        return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:inference-component/{name}"


@dataclass
class FakeConversation:
    """Models that answer by a rule; `good` know the row's completion, which is its prompt in capitals."""

    good: Callable[[str], bool]
    asked: list[tuple[str, str]] = field(default_factory=list)
    calls: dict[str, ModelCall] = field(default_factory=dict)
    """How each model was last called."""

    def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
        prompt = question.turns[-1].text
        self.asked.append((model_id, prompt))
        self.calls[model_id] = call
        text = prompt.upper()[:max_tokens] if self.good(model_id) else "?"
        return Answer(text=text, stop_reason="end_turn", latency_ms=5.0, input_tokens=3, output_tokens=1)


@dataclass
class RecordingNotifier:
    """Keep what people would read."""

    sent: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)

    def publish(self, subject: str, body: str, attributes: Mapping[str, str]) -> str:
        self.sent.append((subject, body, attributes))
        return f"message-{len(self.sent)}"


MODEL = JumpStartModel(
    model_id="sample-textgeneration-model",
    version="1.0.0",
    training_supported=True,
    gated=False,
    hyperparameters=(
        HyperparameterSpec(name="epoch", type="int", default="1", minimum=1, maximum=1000),
        HyperparameterSpec(name="instruction_tuned", type="text", default="False", options=("True", "False")),
    ),
    instance_types=("ml.g5.2xlarge",),
    default_instance_type="ml.g5.2xlarge",
    volume_size_gb=30,
    max_runtime_seconds=3600,
    hosting_instance_types=("ml.g5.xlarge",),
    default_hosting_instance_type="ml.g5.xlarge",
)


@dataclass
class FakeNetwork:
    """An account's subnets and security groups."""

    all_subnets: dict[str, Subnet] = field(default_factory=dict)
    all_security_groups: dict[str, str] = field(default_factory=dict)

    def subnets(self, ids: Sequence[str]) -> dict[str, Subnet]:
        return {each: self.all_subnets[each] for each in ids if each in self.all_subnets}

    def security_groups(self, ids: Sequence[str]) -> dict[str, str]:
        return {each: self.all_security_groups[each] for each in ids if each in self.all_security_groups}


@dataclass
class FakeKeys:
    """KMS keys, by ARN."""

    keys: dict[str, Key] = field(default_factory=dict)

    def key(self, arn: str) -> Key | None:
        return self.keys.get(arn)


@dataclass
class FakeQuotas:
    """What the account may use; all that is not told is unknown."""

    values: dict[str, float] = field(default_factory=dict)

    def quotas(self, names: Collection[str]) -> dict[str, Quota]:
        return {each: Quota(name=each, code="L-1", value=self.values[each]) for each in names if each in self.values}

    def quota(self, service: str, code: str) -> float | None:
        return self.values.get(f"{service} {code}")


@dataclass
class FakePrices:
    """AWS's Price List, which it tells or not."""

    listed: PriceList = field(default_factory=lambda: PriceList(read_on=NOW.date()))

    def price_list(self) -> PriceList:
        return self.listed


class OneModelCatalogue:
    """A catalogue of `MODEL` alone."""

    def model(self, model_id: str, version: str | None = None) -> JumpStartModel:
        if model_id != MODEL.model_id or version not in (None, MODEL.version):
            raise UnknownModelError(model_id, (MODEL.model_id,))
        return MODEL

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        return TrainingArtifacts(
            image_uri=f"images/{instance_type}",
            script_uri="s3://jumpstart/sourcedir.tar.gz",
            model_uri=f"s3://jumpstart/{model.model_id}/",
            environment={},
            hyperparameters={"epoch": "1", "instruction_tuned": "False"},
        )

    def hosting(self, model: JumpStartModel, instance_type: str) -> HostingArtifacts:
        environment = {"HF_MODEL_ID": f"/opt/ml/model/{model.model_id}"}
        return HostingArtifacts(image_uri=f"hosting/{instance_type}", environment=environment)
