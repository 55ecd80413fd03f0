"""What the steps ask of the outside; adapters answer on boto3, fakes in tests, and both pass the same tests."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

from tunedrop.domain.alias import Alias
from tunedrop.domain.budget import Ledger
from tunedrop.domain.endpoint_requests import EndpointRequests
from tunedrop.domain.jumpstart import HostingArtifacts, JumpStartModel, TrainingArtifacts
from tunedrop.domain.model import Record
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.plan import JudgeMetric, PinnedFile, PinnedObject
from tunedrop.domain.pricing import PriceList
from tunedrop.domain.quotas import Quota
from tunedrop.domain.run import Run, Tracked, Training
from tunedrop.domain.surroundings import Key, Subnet
from tunedrop.domain.tracking import TrackedRun


class Clock(Protocol):
    """Tell the time."""

    def now(self) -> datetime:
        """Return the time, in UTC."""


class RunStore(Protocol):
    """Keep the runs; reads are consistent."""

    def get(self, run_id: str) -> Run | None:
        """Return the run, or None when there is none."""

    def create(self, run: Run) -> bool:
        """Store a new run; False when it exists already, which is left as it is."""

    def commit(self, before: Run, after: Run) -> Run:
        """Replace `before` by `after`, with claims taken and given back, charges reserved and settled, in one write.

        A promotion that `after` brings makes the run the champion of its dataset, in the same write. Returns the run as
        stored, its version one higher. Raises VersionConflictError when somebody wrote since `before` was read,
        ClaimHeldError when another run holds a claim that `after` takes, CapReachedError when the month has no room for
        a charge that `after` opens, ChampionChangedError when the champion is not the one that `after` replaces.
        """

    def live(self) -> Iterator[Run]:
        """Yield the runs for which something is left to do, oldest first."""

    def tracked(self) -> Mapping[Tracked, Sequence[str]]:
        """Return the ids of the runs that a schedule looks at, oldest first; the newest may be missing for a moment."""

    def read(self, run_ids: Sequence[str]) -> Iterator[Run]:
        """Yield runs as they are now, in this order; those that there are not are left out."""

    def created_since(self, time: datetime) -> Iterator[str]:
        """Yield the ids of the runs made since; the newest may be missing for a moment."""

    def ledger(self, month: str) -> Ledger:
        """Return the account of a month, such as `2026-11`; an empty one when no job was launched in it."""

    def alias(self, dataset: str) -> Alias:
        """Return who is and was the champion of a dataset; an empty alias when nobody ever was."""

    def datasets(self) -> Iterator[str]:
        """Yield the datasets that have a champion; the newest may be missing for a moment."""


class DropListing(Record):
    """Name one version of an uploaded `tune.yaml`."""

    key: str
    version_id: str
    etag: str
    last_modified: datetime
    uploaded_by: str


class Drops(Protocol):
    """Read what users drop; nothing here can write."""

    bucket: str

    def files(self, dataset: str) -> list[PinnedObject]:
        """List the newest version of every object of a drop, by key."""

    def read(self, key: str, version_id: str, limit: int) -> bytes:
        """Return an object's bytes.

        Raises ObjectTooLargeError beyond `limit` bytes, SourceChangedError when the version is gone.
        """

    def head(self, file: PinnedObject, limit: int) -> bytes:
        """Return the first `limit` bytes of a pinned object, or all of a smaller one."""

    def blocks(self, file: PinnedFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Stream a pinned file from byte `start` up to `end` (exclusive; None for the file's end).

        Raises SourceChangedError when the pinned version is gone, as `read` does.
        """

    def specs(self) -> Iterator[DropListing]:
        """Yield every version of every `tune.yaml` that lies in the bucket, but of those that were deleted."""


class RunFiles(Protocol):
    """Write and read a run's own files, each whole, by key."""

    def uri(self, key: str) -> str:
        """Return the S3 URI of a key."""

    def link(self, key: str, seconds: int) -> str:
        """Return a link by which whoever has it may read an object until the signing credentials end."""

    def write(self, key: str, data: bytes) -> None:
        """Write a small object."""

    def write_once(self, key: str, data: bytes) -> bytes:
        """Write a small object unless there is one; returns what lies there then, whoever wrote it."""

    def writer(self, key: str) -> AbstractContextManager[Callable[[bytes], None]]:
        """Write an object of any size piece by piece; readers see all of it once the block has ended, or nothing."""

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None when there is none."""

    def sizes(self, prefix: str) -> Mapping[str, int]:
        """Return the bytes of every object under a prefix, by its name there."""

    def copy(self, bucket: str, source: PinnedObject, key: str) -> None:
        """Copy one version of an object of another bucket, without reading it."""


class ModelFiles(Protocol):
    """Read what lies beside a model's weights."""

    def read(self, uri: str, limit: int) -> bytes | None:
        """Return the bytes of an S3 URI; None when they are more than `limit`, or may not be read."""


class Execution(Record):
    """Say how an execution of the workflow stands."""

    arn: str
    status: str
    """As Step Functions says: RUNNING, SUCCEEDED, FAILED, TIMED_OUT, ABORTED or PENDING_REDRIVE."""
    error: str = ""
    cause: str = ""


class Workflows(Protocol):
    """Start and follow executions of one workflow."""

    def start(self, name: str, content: Mapping[str, str]) -> None:
        """Start an execution; one that exists under the name counts as started."""

    def state(self, name: str) -> Execution | None:
        """Return how the execution stands; None when there is none of the name."""


class Catalogue(Protocol):
    """Look JumpStart models up."""

    def model(self, model_id: str, version: str | None = None) -> JumpStartModel:
        """Return the model; raises UnknownModelError with the nearest names."""

    def artifacts(self, model: JumpStartModel, instance_type: str) -> TrainingArtifacts:
        """Locate what a training job on the instance type runs; raises UnreadableModelError when it is not told."""

    def hosting(self, model: JumpStartModel, instance_type: str) -> HostingArtifacts:
        """Say what an endpoint on the instance type serves the model with; raises UnreadableModelError as above."""


class Network(Protocol):
    """Know the account's subnets and security groups; raises RequestDeniedError where its policies hide them."""

    def subnets(self, ids: Sequence[str]) -> Mapping[str, Subnet]:
        """Return those that exist, by id."""

    def security_groups(self, ids: Sequence[str]) -> Mapping[str, str]:
        """Return the VPC of each that exists, by id."""


class Keys(Protocol):
    """Know KMS keys."""

    def key(self, arn: str) -> Key | None:
        """Describe the key; None when there is none that this account may see."""


class Prices(Protocol):
    """Know what training instances cost in the stack's Region."""

    def price_list(self) -> PriceList:
        """Return the Region's newest prices that AWS told; none, and the reason, where it told none."""


class Quotas(Protocol):
    """Know what the account may use; by their names, quotas are SageMaker's."""

    def quotas(self, names: Collection[str]) -> Mapping[str, Quota]:
        """Return quotas by name; those that AWS does not tell are left out."""

    def quota(self, service: str, code: str) -> float | None:
        """Return the value of one quota of any service; None when AWS does not tell."""


class TrainingJobs(Protocol):
    """Start and describe training jobs."""

    def create(self, request: Mapping[str, object]) -> str:
        """Create the job and return its ARN; an equal one that exists already counts as created.

        Raises TransientError (throttled), QuotaExceededError, UnavailableError (the name is not free yet),
        RequestRefusedError (never so) and ForeignResourceError (the name belongs to somebody else).
        """

    def describe(self, job_name: str, attempt: int) -> tuple[Training, str] | None:
        """Return what SageMaker knows of the job and its failure reason; None when it knows nothing."""

    def in_progress(self, name_prefix: str) -> Iterator[str]:
        """Yield the names of running jobs that begin so."""

    def stop(self, job_name: str) -> None:
        """Stop a job; one that has ended stays as it is."""


class TrainingLog(Protocol):
    """Read what training scripts print."""

    def lines(self, job_name: str) -> Iterator[str]:
        """Yield the lines that a job's first host wrote, oldest first; none when it has no log."""

    def tail(self, job_name: str, lines: int) -> tuple[str, ...]:
        """Return the last lines of a job's log, oldest first; none when it has none. They may hold users' rows."""


class ImportState(Record):
    """Say how an import job stands."""

    job_arn: str
    status: str
    failure_message: str = ""
    model_arn: str | None = None


class ServedModel(Record):
    """Describe a tuned model as Bedrock or SageMaker does."""

    arn: str
    name: str
    source_uri: str
    instruct_supported: bool
    """Whether Converse can call it: never one on an endpoint."""
    units_per_copy: int | None = None
    """Custom model units that Bedrock bills for each copy that answers; None when it does not say."""


class ModelImports(Protocol):
    """Import models into Bedrock."""

    def start(self, name: str, artifact_uri: str, run_id: str) -> str:
        """Start the import job and return its ARN; one that exists under the name counts as started.

        Raises TransientError, UnavailableError (another import runs), ModelLimitError (the account holds as many models
        as it may), RequestDeniedError (the account's policies forbid it), RequestRefusedError (never so).
        """

    def state(self, job_arn: str) -> ImportState | None:
        """Return how the job stands; None when there is none."""

    def model(self, model_arn: str) -> ServedModel:
        """Describe an imported model; raises ModelUnavailableError when there is none."""

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names of imported models that begin so, and when each was made."""

    def occupancy(self) -> tuple[int, str | None]:
        """Return how many imported models the account has, anybody's, and the name of the import job that runs.

        Raises RequestDeniedError.
        """

    def delete(self, name: str) -> None:
        """Delete an imported model; one that is gone counts as deleted. Raises RequestDeniedError."""


class EndpointState(Record):
    """Say how far an endpoint is."""

    status: Literal["coming", "in-service", "failed"]
    reason: str = ""
    """What it waits for, or SageMaker's own words of why it failed."""
    model_arn: str | None = None


class Endpoints(Protocol):
    """Serve models on SageMaker, each by one component of an endpoint of the same name."""

    def bring_up(self, wanted: EndpointRequests) -> EndpointState:
        """Make what is missing next, and say how far it is; what was made before, by whomever, is found.

        Raises TransientError, QuotaExceededError, RequestRefusedError.
        """

    def clear(self, name: str) -> None:
        """Delete the endpoint or the component that has failed, and nothing else: `bring_up` makes it anew.

        Raises TransientError, RequestDeniedError.
        """

    def take_down(self, name: str) -> bool:
        """Delete all that there is under the name, as far as that can be done now; tell whether nothing is left.

        Raises TransientError, RequestDeniedError.
        """

    def model(self, model_arn: str) -> ServedModel:
        """Describe the model of a component; raises ModelUnavailableError when there is none."""

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield the names of endpoints that begin so, all or part of which is there, and when each was begun."""

    def called_since(self, name: str, since: datetime, now: datetime) -> bool:
        """Tell whether anybody called the component in that time."""


class Turn(Record):
    """Hold what one side said."""

    role: Literal["user", "assistant"]
    text: str


class Picture(Record):
    """Hold an image that a question is about."""

    format: Literal["png", "jpeg", "gif", "webp"]
    data: bytes


class Question(Record):
    """Hold what a model is asked: the turns so far, the last of them the user's."""

    turns: tuple[Turn, ...]
    system: str | None = None
    picture: Picture | None = None
    """Shown before the last turn's text."""


class Answer(Record):
    """Hold a model's answer to one question."""

    text: str
    stop_reason: str
    latency_ms: float
    input_tokens: int
    output_tokens: int


class Conversation(Protocol):
    """Ask a model on Bedrock or SageMaker."""

    def ask(self, model_id: str, call: ModelCall, question: Question, max_tokens: int) -> Answer:
        """Return the greedy answer; whichever call it is, the same answer is told in the same words.

        Raises ModelNotReadyError while it warms up, ModelUnavailableError when the account may not call it,
        PromptRefusedError when this prompt is not taken, TransientError when throttled.
        """


class JudgeRequest(Record):
    """Say whose answers are to be graded, by whom, for what."""

    name: str
    """The job's."""
    run_id: str
    side: str
    """Names the model whose answers they are, in the answers as well."""
    answers_uri: str
    output_uri: str
    evaluator_model: str
    metrics: tuple[JudgeMetric, ...]


class JudgeState(Record):
    """Say how an evaluation job stands."""

    status: str
    """As Bedrock says: InProgress, Completed, Failed, Stopping, Stopped or Deleting."""
    failure_message: str = ""


class JudgeJobs(Protocol):
    """Have answers graded by a model on Bedrock."""

    def start(self, wanted: JudgeRequest) -> str:
        """Start the evaluation job and return its ARN; one that exists under the name counts as started.

        Raises TransientError, UnavailableError (too many jobs run), RequestDeniedError (the account's policies forbid
        it), RequestRefusedError (never so).
        """

    def state(self, job_arn: str) -> JudgeState | None:
        """Return how the job stands; None when there is none."""

    def running(self, name_prefix: str) -> Iterator[tuple[str, str]]:
        """Yield name and ARN of the jobs that begin so and have not ended."""

    def stop(self, job_arn: str) -> None:
        """Stop a job; one that has ended, or is gone, stays as it is."""


class Experiments(Protocol):
    """Track runs where people compare them."""

    def track(self, run: TrackedRun) -> None:
        """Keep all that is told of the run, once however often it is told; raises TransientError."""


class Aliases(Protocol):
    """Tell users which model is a dataset's champion."""

    def get(self, name: str) -> str | None:
        """Return the model's ARN, or None when nothing is promoted."""

    def put(self, name: str, model_arn: str) -> None:
        """Name the model."""


class Notifier(Protocol):
    """Tell people."""

    def publish(self, subject: str, body: str, attributes: Mapping[str, str]) -> str:
        """Send a notice and return its message id."""
