"""The whole application on the embedded AWS while everything goes wrong, and what must hold when it is over.

The model counts words (`local/jumpstart/scripts/word_counts.py`): it is trained, imported and asked as any other, in
milliseconds. The rest is what users deploy: the template, the functions, the command.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from local.application import INBOX_NAME, furnish, settings
from local.engine import Engine
from local.engine.settings import FaultSettings
from local.jumpstart.specs import WORD_COUNTS
from local.sagemaker.account import Account
from tests.deployed import COLOURS, TEMPLATE, Application, lines, rows
from tunedrop.adapters.dynamodb import NOBODY
from tunedrop.domain import names
from tunedrop.domain.decide import NOTIFIED, settled
from tunedrop.domain.plan import Plan
from tunedrop.domain.run import Run, RunStatus

STACK = "tunedrop"
USUAL = "ml.g5.2xlarge"
AT_ONCE_MEGABYTES, RANGE_MEGABYTES = "0.02", "0.008"
TROUBLE = FaultSettings(lose=0.03, duplicate=0.15, delay=0.15, throttle=0.004, lost_response=0.006, kill=0.003)
LOOK_SECONDS = 1.0
TICK_SECONDS = 15.0
IDLE_MINUTES = 17
"""More than the reconciler lets a run lie idle."""
FARTHEST_MINUTES = 20 * 60
"""A tick that is said to come later than this would end runs that have waited for a day."""
AWS_S_OWN = frozenset({"import.failed", "training.aws", "training.internal"})
"""What a run may fail of when the engine stopped under its job: on AWS that is a fault of AWS."""


@dataclass(frozen=True)
class Kind:
    """A kind of drop, and how its runs end where AWS itself does not fail."""

    name: str
    ends: tuple[RunStatus, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    training_rows: int = 4
    template: dict[str, str] = field(default_factory=lambda: dict(TEMPLATE))
    measured: dict[str, tuple[str, ...]] = field(default_factory=lambda: dict(COLOURS))


LEARNS = Kind("learns", (RunStatus.PROMOTED,))
KINDS = (
    LEARNS,
    Kind("no-better", (RunStatus.NOT_PROMOTED,), measured={"cold": COLOURS["warm"], "warm": COLOURS["cold"]}),
    Kind("large", (RunStatus.PROMOTED,), training_rows=90),
    Kind("bad-rows", (RunStatus.REJECTED,), template={"prompt": "{hue}", "completion": "{feeling}"}),
    Kind("twice", (RunStatus.PROMOTED, RunStatus.REJECTED)),
    Kind("bad-spec", (RunStatus.REJECTED,), {"hyperparameters": {"epoch": 5000}}),
    Kind("fails", (RunStatus.FAILED,), {"hyperparameters": {"max_train_samples": 0}}),
)


@dataclass
class Dropped:
    """What was dropped, and the runs that it makes."""

    kind: Kind
    run_ids: list[str]


class World(Application):
    """The deployed application, what was dropped into it, and its records read together."""

    def __init__(self, engine: Engine, outputs: dict[str, str], say: Callable[[str], None] = print) -> None:
        super().__init__(engine, outputs)
        self.say = say
        self.dropped: list[Dropped] = []
        self.met: Counter[str] = Counter()
        """What went wrong, by fault and site."""
        self.restarts = 0
        self.redriven = 0
        self._ahead = IDLE_MINUTES
        self._faults = FaultSettings()
        self._inbox: dict[str, dict[str, Any]] = {}

    @cached_property
    def s3(self) -> Any:
        """Return an S3 client: one for all, as making one takes longer than an upload."""
        return self.engine.client("s3")

    def trouble(self, faults: FaultSettings) -> None:
        """Let this go wrong from now on."""
        self._faults = faults
        self.engine.go_wrong(faults)

    def drop_kind(self, kind: Kind) -> Dropped:
        """Drop a dataset of a kind, with rows that no other one has."""
        number = len(self.dropped)
        dataset = f"{kind.name}-{number}"
        files = {
            "train.jsonl": lines(rows(1000 * number, kind.training_rows)),
            "held-out.jsonl": lines(rows(1000 * number + 500, 2, kind.measured)),
            "template.json": json.dumps(kind.template).encode(),
        }
        self.upload(dataset, files)
        spec = {"model": WORD_COUNTS.model_id, "evaluate": {"against": ["base"]}, **kind.spec}
        made = Dropped(kind, [self.start(dataset, **spec) for _ in kind.ends])
        self.dropped.append(made)
        return made

    def restart(self) -> None:
        """Stop the engine under whatever runs, and start it again."""
        self.met.update(self.engine.went_wrong())
        self.engine.restart()
        self.engine.go_wrong(self._faults)
        self.restarts += 1

    def tick_reconciler(self) -> None:
        """Wake the reconciler as if time had passed, more each time: what was put off until then is due, too."""
        event = {
            "detail-type": "Scheduled Event",
            "time": (datetime.now(UTC) + timedelta(minutes=self._ahead)).isoformat(),
        }
        self._ahead = self._ahead % FARTHEST_MINUTES + IDLE_MINUTES
        self.engine.client("lambda").invoke(
            FunctionName=self._reconciler, InvocationType="Event", Payload=json.dumps(event).encode()
        )

    @cached_property
    def _reconciler(self) -> str:
        return self.function_name("ReconcileRuns")

    def items(self) -> list[dict[str, Any]]:
        """Read the whole table."""
        table = self._dynamodb
        pages = table.get_paginator("scan").paginate(TableName=self.outputs["RunsTableName"], ConsistentRead=True)
        return [item for page in pages for item in page["Items"]]

    def runs(self) -> dict[str, Run]:
        """Read every run."""
        documents = [item["document"]["S"] for item in self.items() if item["kind"]["S"] == "run"]
        return {run.run_id: run for run in map(Run.model_validate_json, documents)}

    def live_on(self, seconds: float, *, hasten: bool = True) -> None:
        """Let time pass until each run that was dropped is settled; hastened, the reconciler believes that hours do.

        Raises:
            AssertionError: some are not after so many seconds; it names them.
        """
        wanted = {run_id for each in self.dropped for run_id in each.run_ids}
        deadline, next_tick = time.monotonic() + seconds, time.monotonic() + TICK_SECONDS
        while True:
            looked = time.monotonic()
            runs = self.runs()
            left = {run_id: runs.get(run_id) for run_id in wanted if run_id not in runs or not settled(runs[run_id])}
            if not left:
                return
            if time.monotonic() > deadline:
                stuck = {run_id: (run.status, run.reason) if run else "no run" for run_id, run in left.items()}
                raise AssertionError(f"not settled after {seconds:.0f} s: {stuck}")
            if hasten and time.monotonic() > next_tick:
                next_tick = time.monotonic() + TICK_SECONDS
                self.tick_reconciler()
            # Reading every run is work of the engine's, too: no more than a fiftieth of it.
            time.sleep(max(LOOK_SECONDS, 50 * (time.monotonic() - looked)))

    def calm_down(self) -> None:
        """Let nothing go wrong any more, hand on what functions gave up, as a person does, and reconcile once more."""
        self.met.update(self.engine.went_wrong())
        self.engine.go_wrong(FaultSettings())
        self.engine.settle(120)
        while waiting := len(self.dead_letters()):
            self.redriven += waiting
            answer = self.command("redrive")
            assert answer.returncode == 0, answer.stdout + answer.stderr
            self.engine.settle(120)
        for _ in range(2):
            self.tick_reconciler()
            self.engine.settle(120)

    def inbox(self) -> list[tuple[str, str]]:
        """Take all notices out of the inbox; returns the run and the status of each that ever came."""
        queue = self.engine.client("sqs")
        url = queue.get_queue_url(QueueName=INBOX_NAME)["QueueUrl"]
        while batch := queue.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
            for message in batch:
                self._inbox[message["MessageId"]] = json.loads(message["Body"])["MessageAttributes"]
                queue.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return [(told["run_id"]["Value"], told["status"]["Value"]) for told in self._inbox.values()]


@contextmanager
def world(
    folder: Path, say: Callable[[str], None] = print, parameters: Mapping[str, str] | None = None, **changes: Any
) -> Iterator[World]:
    """Deploy the application, with other parameters if need be, on an engine of its own, with other settings."""
    chosen = settings(
        say,
        models=[WORD_COUNTS],
        imported_models=10_000,
        **{"seconds_per_minute": 2.0, "snapshot_seconds": 5.0, **changes},
    )
    with Engine(folder, chosen, say) as engine:
        Account(quotas={USUAL: 10_000}).write(engine.data_dir)
        usual = {"ValidateAtOnceMegabytes": AT_ONCE_MEGABYTES, "ValidationRangeMegabytes": RANGE_MEGABYTES}
        yield World(engine, furnish(engine, say, models=[WORD_COUNTS], **usual, **(parameters or {})), say)


def violations(world: World) -> list[str]:
    """Name all that does not hold, now that every run is settled and nothing goes wrong any more."""
    runs = world.runs()
    return [
        *_ends(world, runs),
        *_notices(world, runs),
        *_jobs(world, runs),
        *_models(world, runs),
        *_account(world, runs),
        *(f"in the dead-letter queue: {letter[:300]}" for letter in world.dead_letters()),
        *(f"denied: {each}" for each in world.engine.decisions() if not each.allowed),
        *(line for line in _engine_log(world) if "defect of the engine" in line),
    ]


def _ends(world: World, runs: dict[str, Run]) -> Iterator[str]:
    wanted = {run_id for each in world.dropped for run_id in each.run_ids}
    yield from (f"a run that nobody dropped: {run_id}" for run_id in runs.keys() - wanted)
    for each in world.dropped:
        ended = [runs[run_id] for run_id in each.run_ids]
        unexpected = sorted(run.status for run in ended) != sorted(each.kind.ends)
        if unexpected and not (world.restarts and any(_failed_of_aws(run) for run in ended)):
            yield f"{each.kind.name} ended {[(run.run_id, run.status, run.reason) for run in ended]}"
        yield from (f"{run.run_id} {run.status} without a cause" for run in ended if not (run.reason or run.problems))


def _failed_of_aws(run: Run) -> bool:
    return run.status is RunStatus.FAILED and {each.code for each in run.problems} <= AWS_S_OWN


def _notices(world: World, runs: dict[str, Run]) -> Iterator[str]:
    told = Counter(world.inbox())
    for run in runs.values():
        passed = {run.status, *(stage.status for stage in run.history)} & NOTIFIED
        heard = {status for run_id, status in told if run_id == run.run_id}
        if not {run.status} <= heard <= passed:
            yield f"{run.run_id} passed {sorted(passed)}, told of {sorted(heard)}"
    # Between SNS's yes and the record of it lies what no one can close: a notice may be sent again then.
    died = sum(
        count for site, count in world.met.items() if " tunedrop-NotifyFunction " in site and "throttle" not in site
    )
    again = sum(told.values()) - len(told)
    if again > died + world.restarts:
        yield f"{again} notices came again, though notify died only {died} times"


def _jobs(world: World, runs: dict[str, Run]) -> Iterator[str]:
    sagemaker = world.engine.client("sagemaker")
    pages = sagemaker.get_paginator("list_training_jobs").paginate(NameContains=f"{STACK}-")
    jobs = [job for page in pages for job in page["TrainingJobSummaries"]]
    completed = Counter[str | None]()
    for job in jobs:
        name, status = job["TrainingJobName"], job["TrainingJobStatus"]
        run = runs.get(str(names.run_of_training_job(STACK, name)))
        completed[run and run.run_id] += status == "Completed"
        if status not in {"Completed", "Failed", "Stopped"}:
            yield f"{name} is {status}"
        if run is None or (names.attempt_of_training_job(name) or 0) > run.attempt:
            yield f"{name} belongs to no run"
    yield from (f"{run_id} was trained {count} times" for run_id, count in completed.items() if count > 1)
    charged = {charge.job_name for run in runs.values() for charge in run.charges}
    for name in {job["TrainingJobName"] for job in jobs} - charged:
        run = runs.get(str(names.run_of_training_job(STACK, name)))
        instance = sagemaker.describe_training_job(TrainingJobName=name)["ResourceConfig"]["InstanceType"]
        # A job whose price nobody knows has no charge.
        if not run or not run.plan or (instance, None) not in _prices(run.plan):
            yield f"{name} on {instance} is not accounted for"


def _prices(plan: Plan) -> set[tuple[str, float | None]]:
    return {(each.instance_type, each.usd_per_hour) for each in plan.choices}


def _models(world: World, runs: dict[str, Run]) -> Iterator[str]:
    bedrock = world.engine.client("bedrock")
    pages = bedrock.get_paginator("list_imported_models").paginate()
    left = {
        str(names.run_of_imported_model(STACK, each["modelName"])) for page in pages for each in page["modelSummaries"]
    }
    wanted = {run.run_id for run in runs.values() if run.promotion and run.deployment and not run.deployment.deleted}
    if left != wanted:
        yield f"models left over: {left - wanted}, missing: {wanted - left}"
    pages = bedrock.get_paginator("list_model_import_jobs").paginate()
    imports = [each for page in pages for each in page["modelImportJobSummaries"]]
    yield from (f"{each['jobName']} is {each['status']}" for each in imports if each["status"] == "InProgress")
    parameters = world.engine.client("ssm").get_paginator("get_parameters_by_path")
    pages = parameters.paginate(Path=f"/{STACK}/models/")
    aliases = {each["Name"].rpartition("/")[2]: each["Value"] for page in pages for each in page["Parameters"]}
    champions = {
        run.dataset: run.deployment.model_arn
        for run in runs.values()
        if run.status is RunStatus.PROMOTED and run.deployment
    }
    if aliases != champions:
        yield f"aliases {aliases} are not the champions {champions}"


def _account(world: World, runs: dict[str, Run]) -> Iterator[str]:
    charges = [charge for run in runs.values() for charge in run.charges]
    for item in world.items():
        match item["kind"]["S"]:
            case "ledger":
                reserved = {name: amount["N"] for name, amount in item["reserved"]["M"].items()}
                if reserved:
                    yield f"still reserved: {reserved}"
                month = item["id"]["S"].removeprefix("ledger#")
                spent = sum(each.cents or 0 for each in charges if each.month == month)
                if int(item["committed"]["N"]) != spent:
                    yield f"the ledger of {month} says {item['committed']['N']}, the runs {spent}"
            case "claim" if item["id"]["S"] == f"claim#{names.IMPORT_SLOT}" and item["holder"]["S"] != NOBODY:
                yield f"the import slot is held by {item['holder']['S']}"
    yield from (f"open charge: {each}" for each in charges if each.cents is None)


def _engine_log(world: World) -> list[str]:
    return (world.engine.data_dir / "engine.log").read_text(encoding="utf-8").splitlines()


def final_state(world: World, run: Run) -> dict[str, Any]:
    """Tell what became of a run, in words that are the same for each run of its kind."""
    return {
        "statuses": [stage.status for stage in run.history],
        "problems": [problem.code for problem in run.problems],
        "attempts": run.attempt,
        "jobs": len(world.training_jobs(run.run_id)),
        "imports": len(world.imports(run.run_id)),
        "claims": sorted(claim.partition("-")[0] for claim in run.claims),
        "charges": len(run.charges),
        "scores": run.evaluation and (run.evaluation.candidate.value, run.evaluation.passed),
        "published": run.promotion and run.promotion.published,
        "deleted": run.deployment and run.deployment.deleted,
        "report": bool(run.report_uri),
        # That it trains is told while it does, which is over here before a function that died is back.
        "told": run.status in run.notices,
    }


def some_kinds(seed: int, count: int) -> Sequence[Kind]:
    """Choose kinds of drops: each in turn, in an order of the seed's."""
    chosen = [KINDS[number % len(KINDS)] for number in range(count)]
    Random(seed).shuffle(chosen)  # noqa: S311 - a seed makes it repeatable
    return chosen
