"""A world in which the functions live: its time, what happens in it, and the trouble that it makes.

Each invocation is a greenlet that gives way at every call to AWS. There one choice decides what becomes of it: nothing
special, an error, the worker's death before or after the effect, a lost answer, a call sent twice, a request that lands
after its sender died, or a pause in which everybody else goes on. Another choice decides what becomes of each event.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from heapq import heappop, heappush
from typing import Any, NamedTuple, NoReturn

from botocore.exceptions import ClientError, ReadTimeoutError
from greenlet import getcurrent, greenlet

from tests.fakes import (
    FakeConversation,
    FakeExperiments,
    FakeTrainingLog,
    FakeWorkflows,
    InMemoryDrops,
    InMemoryModelFiles,
    InMemoryRunFiles,
)
from tests.samples import NOW
from tests.simulation.aws import Bedrock, DynamoDB, ParameterStore, Topic, refusal
from tests.simulation.choices import Choices
from tests.simulation.hosting import CloudWatch, HostingSageMaker, Scaling
from tests.simulation.stage import TIMEOUTS, routes, stage
from tunedrop.domain.plan import ApprovalRule
from tunedrop.errors import ModelNotReadyError, RequestDeniedError, TransientError

FAULTS_OF_READS = (
    "fine",
    "throttled",
    "killed before it",
    "killed there at every try",
    "pause of 1 s",
    "pause of 50 s",
    "pause of 10 min",
)
FAULTS_OF_WRITES = (
    *FAULTS_OF_READS,
    "killed after it",
    "killed after it at every try",
    "answer lost",
    "sent twice",
    "lands 50 s after its sender's death",
    "meets another transaction",
)
PAUSES = {"pause of 1 s": 1.0, "pause of 50 s": 50.0, "pause of 10 min": 600.0}
FATES = ("delivered", "twice", "again 20 min later", "40 s late", "20 min late", "lost")
"""What becomes of an event; EventBridge delivers at least once, in any order, and gives up after a day."""

SKEWS = (0.0, 20.0, -20.0)
"""Seconds by which a worker's clock is wrong."""

RETRIES = (60.0, 120.0)
"""After how many seconds Lambda tries an event again, before it is kept in the dead-letter queue."""

CALL_SECONDS = 0.01
MOST_INVOCATIONS = 4000
LONGEST_LIFE = 60 * 86400.0

_READS = (
    *("get", "batch_get", "list", "describe", "query", "head", "read"),
    *("files", "blocks", "specs", "sizes", "state", "ask"),
)


class ViolationError(BaseException):
    """A promise was broken; no code of production may catch it."""


class DeathError(BaseException):
    """The worker's process dies; nothing of it runs any more."""


@dataclass(frozen=True)
class Trouble:
    """How much trouble a world makes: chances of a fault at a call, an event's fate, hardship in the story."""

    calls: float = 1.0
    events: float = 1.0
    story: float = 1.0
    faults: int = 1_000_000
    """How many calls and events may go wrong; after that everything goes well."""


@dataclass
class Worker:
    """An invocation."""

    title: str
    function: str
    event: dict[str, Any]
    request_id: str
    deadline: float
    skew: float
    tried: int
    body: greenlet = field(init=False)
    dead: bool = False
    ends: tuple[Callable[[Any], None], Callable[[bool], None]] | None = None
    """What follows when the function has answered, or failed: by dying, or not; None for an event, which Lambda tries
    again.
    """


class Context(NamedTuple):
    """What Lambda tells a handler about its invocation."""

    aws_request_id: str
    get_remaining_time_in_millis: Callable[[], float]


class World:
    """Time, AWS, and the invocations under way."""

    def __init__(self, choose: Choices, trouble: Trouble, *, reconciled: bool = True) -> None:
        """Make an empty world; `reconciled` says whether the reconciler is alive."""
        self.choose = choose
        self.trouble = trouble
        self.reconciled = reconciled
        self.time = 0.0
        self.faults = 0
        self.chance = trouble.calls
        """That a call goes wrong: none any more when enough has."""
        self.worker: Worker | None = None
        self.invocations = 0
        self.activity = 0
        """Counts what changed anything."""
        self.dead_letters: list[Worker] = []
        self._said: list[tuple[float, str]] = []
        self.met: Counter[str] = Counter()
        """What happened, by its kind."""
        self.names: dict[str, str] = {}
        """Run id → the name that the history uses."""
        self.denied: frozenset[str] = frozenset()
        """Operations that a policy of the account denies."""
        self.failing: frozenset[str] = frozenset()
        """Operations that AWS never brings to an end."""
        self.disturbed: Counter[tuple[str, str, str]] = Counter()
        """Faults by function, run, and kind."""
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self._asleep: list[Worker] = []
        self.begin = NOW
        """When its time begins."""
        self._told, self._now = -1.0, NOW
        """The time that was last asked for, in seconds and as the world tells it."""
        self.dynamodb = DynamoDB(self, self._announce)
        self.sagemaker = HostingSageMaker(self)
        self.cloudwatch = CloudWatch()
        self.scaling = Scaling(self, self.sagemaker, self.cloudwatch)
        self.bedrock = Bedrock(self)
        self.ssm = ParameterStore()
        self.sns = Topic()
        self.drops = InMemoryDrops(clock=self)
        self.files = InMemoryRunFiles(drops=self.drops)
        self.models = InMemoryModelFiles()
        self.workflows = FakeWorkflows()
        self.evaluations = FakeWorkflows()
        self.experiments = FakeExperiments()
        self.training_log = FakeTrainingLog()
        self.conversation = FakeConversation(good=lambda _model: True)
        self.looks: Mapping[str, Callable[[], None]] = {}
        """Who is told, by operation, that a call was made."""

    # ------------------------------------------------------------------------------------------------ time
    def now(self) -> datetime:
        """Return the true time."""
        if self._told != self.time:
            self._told, self._now = self.time, self.begin + timedelta(seconds=self.time)
        return self._now

    def later(self, seconds: float, deed: Callable[[], None]) -> None:
        """Do something when so many seconds have passed."""
        self._numbers += 1
        heappush(self._queue, (self.time + seconds, self._numbers, deed))

    @property
    def idle(self) -> bool:
        """Whether nothing is under way or to come, but ticks."""
        return not self._queue

    def next_at(self) -> float:
        """Return when the next thing is due; infinity when nothing is."""
        return self._queue[0][0] if self._queue else float("inf")

    def live(self) -> None:
        """Do the next thing that is due, time passing to it."""
        time, _, deed = heappop(self._queue)
        self.pass_time(time)
        deed()

    def pass_time(self, time: float) -> None:
        """Let time pass."""
        self.time = max(self.time, time)

    def close(self) -> None:
        """End what is still under way, for nothing may reach into the next world."""
        for worker in self._asleep:
            worker.dead = True
            self.worker = worker
            worker.body.throw(DeathError)
        self.worker = None

    def sleep(self, seconds: float) -> None:
        """Let the worker of this greenlet wait while the world goes on; it dies when its time is over."""
        worker = self.worker
        if worker is None:
            raise AssertionError("nobody is there to sleep")
        left = worker.deadline - self.time
        self.later(min(seconds, left), lambda: self._resume(worker))
        self.worker = None
        self._asleep.append(worker)
        if worker.body.parent is None:
            raise AssertionError("a worker without a world")
        worker.body.parent.switch()
        self._asleep.remove(worker)
        if seconds >= left:
            self._dies(worker, "its time is over")

    # ------------------------------------------------------------------------------------------------ calls
    def call(self, service: str, operation: str, deed: Callable[[], Any]) -> Any:
        """Make a call to AWS for the worker at work, with what may go wrong about it."""
        worker = self.worker
        if worker is None:
            return deed()
        if worker.dead:
            raise DeathError  # what a dying process would still do in its `finally` blocks is not done
        self.time += CALL_SECONDS
        if operation in self.denied:
            raise refusal("AccessDeniedException", f"not authorized to perform {operation}")
        if operation in self.failing:
            raise refusal("InternalServerException", f"{operation} failed")
        options = _faults(operation)
        if not (self.chance and (number := self.choose(f"{worker.title}: {operation}", len(options), self.chance))):
            answer = deed()
            if operation in self.looks:
                self.looks[operation]()
            return answer
        fault = options[number]
        self._went_wrong(worker, f"{operation}: {fault}", fault)
        if fault in PAUSES:
            self.sleep(PAUSES[fault])
            return self._done(operation, deed)
        return self._badly(worker, service, operation, fault, deed)

    def _badly(self, worker: Worker, service: str, operation: str, fault: str, deed: Callable[[], Any]) -> Any:
        """Make a call that goes wrong."""
        match fault:
            case "throttled":
                raise self._throttled(service)
            case "meets another transaction":
                return self._met_another(service, operation, deed)
            case "killed before it" | "killed there at every try":
                self._dies(worker, fault)
            case "lands 50 s after its sender's death":
                self.later(50, lambda: self._lands(operation, deed))
                self._dies(worker, fault)
        answer = self._done(operation, deed)
        match fault:
            case "killed after it" | "killed after it at every try":
                self._dies(worker, fault)
            case "answer lost":
                raise ReadTimeoutError(endpoint_url=service) if service in _CLIENTS else TransientError(service)
        # botocore sends again what was not answered; DynamoDB knows a transaction by its token.
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html
        return answer if operation == "transact_write_items" else self._done(operation, deed)

    def _met_another(self, service: str, operation: str, deed: Callable[[], Any]) -> Any:
        if operation == "transact_write_items":
            reasons = [{"Code": "TransactionConflict"}]
            raise refusal("TransactionCanceledException", CancellationReasons=reasons)
        if service == "dynamodb":
            raise refusal("TransactionConflictException")
        return self._done(operation, deed)

    def stale(self, what: str) -> bool:
        """Tell whether a read that may be stale is."""
        worker = self.worker
        if worker is None or not self.chance:
            return False
        kind, _, identifier = what.partition("#")
        what = f"{kind} {self.names.get(identifier, identifier)}".rstrip()
        stale = self.choose(f"{worker.title}: stale {what}", 2, self.chance) == 1
        if stale:
            self._went_wrong(worker, f"{what}: stale", "stale read")
        return stale

    def _done(self, operation: str, deed: Callable[[], Any]) -> Any:
        answer = deed()
        if operation in self.looks:
            self.looks[operation]()
        return answer

    def _lands(self, operation: str, deed: Callable[[], Any]) -> None:
        try:
            self._done(operation, deed)
        except ClientError as error:
            self.say(f"{operation} lands in vain: {error}")

    def _went_wrong(self, worker: Worker, words: str, kind: str) -> None:
        self._count_fault()
        self.met[kind] += 1
        self.disturbed[worker.function, worker.title.partition(" ")[2], kind] += 1
        self.say(f"{worker.title}: {words}")

    def _count_fault(self) -> None:
        self.faults += 1
        if self.faults >= self.trouble.faults:
            self.chance = 0.0

    @staticmethod
    def _throttled(service: str) -> Exception:
        return refusal("ThrottlingException", service) if service in _CLIENTS else TransientError(service)

    # ------------------------------------------------------------------------------------------------ events
    def emit(self, event: dict[str, Any], subject: str) -> None:
        """Put an event on its bus; `subject` names it in the history."""
        for function in routes().receivers(event):
            self.deliver(function, event, subject)

    def deliver(self, function: str, event: dict[str, Any], subject: str) -> None:
        """Bring an event to a function, or fail to."""
        worker = self._worker(function, event, subject)
        fate = FATES[0]
        if self.faults < self.trouble.faults:
            fate = FATES[self.choose(f"{subject} to {function}", len(FATES), self.trouble.events)]
        if fate != FATES[0]:
            self._count_fault()
            self.met[f"event {fate}"] += 1
            self.disturbed[function, worker.title.partition(" ")[2], f"event {fate}"] += 1
            self.say(f"{subject} to {function}: {fate}")
        if fate == "lost":
            return
        delay = {"40 s late": 40.0, "20 min late": 1200.0}.get(fate, 1.0)
        self.later(delay, lambda: self.start(worker))
        if fate in ("twice", "again 20 min later"):
            again = self._worker(function, event, subject)
            self.later(1200.0 if "later" in fate else delay, lambda: self.start(again))

    def _worker(self, function: str, event: dict[str, Any], subject: str) -> Worker:
        self._numbers += 1
        run = subject.rpartition(" ")[2]
        return Worker(f"{function} {run}", function, event, f"request-{self._numbers}", 0, 0, 0)

    def start(self, worker: Worker) -> None:
        """Invoke a function."""
        self.invocations += 1
        if self.invocations > MOST_INVOCATIONS:
            raise ViolationError(f"S5: more than {MOST_INVOCATIONS} invocations")
        worker.deadline = self.time + TIMEOUTS[worker.function]
        if self.chance:
            worker.skew = SKEWS[self.choose(f"{worker.title}: clock", len(SKEWS), self.chance / 4)]
            if worker.skew:
                self._went_wrong(worker, f"its clock is wrong by {worker.skew:+g} s", "clock skew")
        handler = stage().handlers[worker.function]
        context = Context(worker.request_id, lambda: (worker.deadline - self.time) * 1000)
        worker.dead = False
        worker.body = _IDLE.pop() if _IDLE else greenlet(_work)
        self._resume(worker, partial(self._invoke, worker, partial(handler, worker.event, context)))

    def _resume(self, worker: Worker, *work: Callable[[], None]) -> None:
        self.worker = worker
        worker.body.parent = getcurrent()
        worker.body.switch(*work)
        self.worker = None

    def _invoke(self, worker: Worker, work: Callable[[], Any]) -> None:
        try:
            answer = work()
            if worker.ends:
                worker.ends[0](answer)
        except DeathError:
            self._failed(worker, "died")
        except Exception as error:
            if not self._foreseen(error):
                raise ViolationError(f"S9: {worker.title} raised {type(error).__name__}: {error}") from error
            self._failed(worker, f"{type(error).__name__}: {error}")

    def _foreseen(self, error: BaseException) -> bool:
        """Tell whether production raises such an error so that Lambda tries again."""
        if isinstance(error, ExceptionGroup):
            return all(map(self._foreseen, error.exceptions))
        denied = isinstance(error, RequestDeniedError) or (
            isinstance(error, ClientError) and error.response["Error"]["Code"] == "AccessDeniedException"
        )
        return isinstance(error, TransientError | ModelNotReadyError) or (denied and bool(self.denied))

    def _failed(self, worker: Worker, why: str) -> None:
        self.say(f"{worker.title} failed: {why}")
        if worker.ends:
            worker.ends[1](worker.dead)
        elif worker.tried < len(RETRIES):
            again = Worker(worker.title, worker.function, worker.event, worker.request_id, 0, 0, tried=worker.tried + 1)
            self.later(RETRIES[worker.tried], lambda: self.start(again))
        else:
            self.met["dead letter"] += 1
            self.say(f"{worker.title}: its event is kept in the dead-letter queue")
            self.dead_letters.append(worker)

    def _dies(self, worker: Worker, why: str) -> NoReturn:
        worker.dead = True
        if "every try" in why:
            worker.tried = len(RETRIES)
        raise DeathError(why)

    def synchronously(
        self, function: str, event: dict[str, Any], run: str, well: Callable[[Any], None], badly: Callable[[bool], None]
    ) -> None:
        """Invoke a function as a workflow does, which goes on when the function has ended."""
        worker = self._worker(function, event, f"workflow of {run}")
        worker.ends = well, badly
        self.later(1, lambda: self.start(worker))

    def redrive(self) -> None:
        """Deliver what the dead-letter queue holds, as `tunedrop redrive` does."""
        letters, self.dead_letters = self.dead_letters, []
        for each in letters:
            self.met["redrive"] += 1
            again = self._worker(each.function, each.event, each.title)
            self.later(1, lambda worker=again: self.start(worker))

    def _announce(self, image: dict[str, Any], number: int) -> None:
        for event in routes().announced(image, number):
            detail = event["detail"]
            run = self.names.get(detail["run_id"], detail["run_id"])
            what = f"{detail['status']} ({detail['change']})" if "status" in detail else event["detail-type"]
            self.say(f"{what} {run}")
            self.emit(event, f"{what} of {run}")

    def say(self, words: str) -> None:
        """Tell what happens now, in names that people read."""
        self._said.append((self.time, words))

    @property
    def log(self) -> list[str]:
        """The history, a line each."""
        return [f"{_hours(time)} {words}" for time, words in self._said]


def _hours(time: float) -> str:
    hours, seconds = divmod(time, 3600)
    return f"{hours:02.0f}:{seconds // 60:02.0f}:{seconds % 60:05.2f}"


@cache
def _faults(operation: str) -> tuple[str, ...]:
    return FAULTS_OF_READS if operation.startswith(_READS) else FAULTS_OF_WRITES


_IDLE: list[greenlet] = []
"""Greenlets that have done their work and wait for more."""


def _work(work: Callable[[], None]) -> None:
    """Do one piece of work after the other, each in the time between two switches."""
    body = getcurrent()
    while True:
        work()
        del work  # it holds a world that may be over
        _IDLE.append(body)
        if body.parent is None:
            raise AssertionError("a worker without a world")
        work = body.parent.switch()


_CLIENTS = frozenset({"dynamodb", "sagemaker", "bedrock", "ssm", "sns", "cloudwatch", "application-autoscaling"})


def entered(world: World, *, capped: bool = False, large: bool = False, hours: float | None = None) -> World:
    """Deploy the functions in a world; `hours` is how long people may answer who are always asked, None for never."""
    rule = None if hours is None else ApprovalRule(auto_approve_usd=0, hours=hours)
    stage().enter(world, capped=capped, large=large, approval=rule)
    return world
