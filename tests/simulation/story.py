"""What people, SageMaker and Bedrock do in a world: which drops come, how trainings, imports, endpoints and judges end.

Everything is a choice at a named site, 0 the simplest: one drop of good files, trained, imported and promoted.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import attrgetter
from typing import Any

from tests.deployment import BASE_MODEL, job_event
from tests.fakes import ARTIFACT, MODEL, FakeWorkflows
from tests.samples import RUN_BUCKET, STACK
from tests.simulation.aws import EvaluationJob, ImportJob, TrainingJob, refusal
from tests.simulation.hosting import Hosted
from tests.simulation.promises import Promises
from tests.simulation.world import LONGEST_LIFE, ViolationError, World, entered
from tests.stack import sample
from tunedrop.domain import names
from tunedrop.errors import ModelNotReadyError, ModelUnavailableError

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
TEMPLATE = json.dumps({"prompt": "{q}", "completion": "{a}"})
ANN = "arn:aws:iam::123456789012:user/ann"
APPROVAL_HOURS = 12.0
LATE_IN_A_MONTH = datetime(2026, 1, 31, 23, 45, tzinfo=UTC)

OUTCOMES = (
    ("Completed", "", ""),
    ("Failed", "", "CapacityError: Unable to provision requested ML compute capacity."),
    ("Failed", "", "AlgorithmError: ExecuteUserScriptError: exit code 1"),
    ("Failed", "", "InternalServerError: We encountered an internal error."),
    ("Stopped", "Stopped", ""),
    ("Stopped", "MaxRuntimeExceeded", ""),
)
"""How a training may end: status, secondary status, reason. It is stopped by hand, or at its time limit, at the end."""

REFUSALS = (
    (),
    ("ResourceLimitExceeded",),
    ("ResourceLimitExceeded", "ResourceLimitExceeded", "ResourceLimitExceeded"),
)
"""What the account's first training jobs are refused with."""

CAPACITY = "Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error."
NO_CAPACITY = (0.0, 3 * HOUR, 40 * HOUR)
"""Until when SageMaker has no instance for any training."""

STOP_GRACE = 120.0
"""What a job runs on after its time limit, and is billed for."""

COMING = {
    "Endpoint": ((6 * MINUTE, ""), (5 * MINUTE, CAPACITY), (50 * MINUTE, ""), (20 * MINUTE, "It could not be made.")),
    "InferenceComponent": (
        (5 * MINUTE, ""),
        (5 * MINUTE, CAPACITY),
        (30 * MINUTE, ""),
        (20 * MINUTE, "The container did not pass the ping health check."),
    ),
}
"""How long an endpoint, or its component, takes, and why it fails."""

NO_INSTANCES = ((0.0, 0.0), (0.0, 3 * HOUR), (0.0, 40 * HOUR), (30 * HOUR, 60 * DAY))
"""From when to when AWS has no instance for any endpoint."""

JUDGED = (
    *("Completed", "Failed", "Stopped", "Completed in no form that is known", "Completed after 30 hours"),
    "Completed after 2 hours",
)
"""How a judge's job may end."""
JUDGING = {JUDGED[4]: 30 * HOUR, JUDGED[5]: 2 * HOUR}
"""How long it takes, where that is not 20 minutes."""

FAILS_AT: tuple[tuple[int, ...], ...] = ((), (12,), (12, 13), (30,), (2, 12))
"""After how many hours the alarms of all champions ring that are on endpoints."""

SERVED = ("", "serve: endpoint\n", "serve: endpoint\nendpoint: {scale_to_zero: false}\n")
"""What a `tune.yaml` says of serving; an endpoint that keeps its instance is taken down after a day without calls."""

JUDGE = "judge: {evaluator_model: amazon.nova-pro-v1:0}"
DENIED = (
    *("", "create_training_job", "create_model_import_job", "delete_imported_model", "stop_training_job"),
    *("create_endpoint", "delete_endpoint", "create_evaluation_job"),
)
FAILING = ("", "delete_imported_model", "delete_endpoint")
FILES = ("its own", "the first drop's", "a row that is not JSON", "a hyperparameter out of range")
DROPPED = (0.0, 20 * MINUTE, 3 * HOUR, 3 * DAY)
"""After how long each drop comes."""
RIVALS = ("base, champion", "base", "champion")
ANSWERS = ("approval-given.by-role", "nobody answers", "approval-refused.with-reason", "an hour too late", "both")
NEXT_CHAMPION = {"story: more drops": 1, "story: when r2 is dropped": 2, "story: rivals of r2": 1}
UNUSED = {"story: how r1 is served": 2, "story: endpoints are wanted again": 1}
BETWEEN_CHAMPIONS = {
    "story: how good r1 is": 1,
    "story: who hears of r1 wants it": 1,
    "story: more drops": 2,
    "NOT_PROMOTED (entered) of r1 to deploy_model": 3,
    "story: when r2 is dropped": 2,
    "story: rivals of r2": 2,
    "story: when r3 is dropped": 2,
}
"""A champion that only a person wanted; and while another is compared with it, a third one takes its place."""
THEMES: tuple[dict[str, int], ...] = (
    {**NEXT_CHAMPION, "story: how r1 is served": 1, "story: how r2 is served": 1, "story: the champion fails": 1},
    {**NEXT_CHAMPION, "story: more drops": 2, "story: when r3 is dropped": 2, "story: models of others": 1},
    UNUSED,
    {**UNUSED, "story: no instances for endpoints": 3},
    {"story: who grades r1": 1, "story: how a judge of r1 ends, c1": 4},
    {"story: how r1 is served": 1, "story: validated and evaluated in parts": 1},
    {**BETWEEN_CHAMPIONS, "story: who grades r2": 1, "story: how a judge of r2 ends, c1": 4},
    {"story: how r1 is served": 1, "story: where the base of r1 answers": 1, "story: a quota of one endpoint": 1},
)
"""What chance alone brings about too seldom, each in some of the histories of the seeds."""
WORKFLOW_TRIES, WORKFLOW_PATIENCE = 4, 20
"""How often a workflow tries a function that dies, and one that says that it cannot do its work now."""
SETTLE_TICKS = 2
"""Ticks that found nothing to do, after which a world is at rest whose runs have ended."""
LESS_OFTEN = 4
"""By how much a schedule's pause grows while nothing happens."""
LONGEST_PAUSE, LONGEST_PAUSE_AT_THE_END = 2 * HOUR, DAY
"""How long it grows, before and after the runs have ended."""
HOPELESS_TICKS = 100
"""Ticks that changed nothing, after which nothing ever will."""


@dataclass(frozen=True)
class DropMade:
    """One drop, as its user knows it."""

    name: str
    dataset: str
    files: str
    first_row: int
    poor: bool
    """Whether its model answers wrong."""
    run_id: str
    budget_usd: float | None
    endpoint: bool
    """Whether an endpoint is to serve its model."""
    based: bool
    """Whether the base model is to answer on an endpoint, too."""
    foreign: bool = False
    """Whether somebody else's training job has the name of the run's first one."""


class Story:
    """A world with all that happens in it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.drops: list[DropMade] = []
        self.causes: dict[str, set[str]] = {}
        """Run id → what may end it otherwise than well."""
        self.wished: dict[str, str | None] = {}
        """A person's request → the champion in whose place it asks for another."""
        self.called_back: set[str] = set()
        """The runs whose endpoints were gone and are wanted back, until one hears of it."""
        self.rung: set[str] = set()
        """The requests of promotions whose champions failed within a day, and were not an alarm's own choice."""
        self.neighbours: set[str] = set()
        """What is another stack's, whose name begins as this one's."""
        self._tries: Counter[tuple[str, str]] = Counter()
        """How often each endpoint and component was made."""
        self.schedules = [Schedule("track_deployment", "every-minute", MINUTE)]
        large = self._choose("validated and evaluated in parts", 2) == 1
        capped = self._choose("a monthly cap", 2) == 1
        self.asked = self._choose("approval asked", 2) == 1
        self.capped = capped
        if self._choose("the month is about to end", 2):
            world.begin = LATE_IN_A_MONTH
        entered(world, capped=capped, large=large, hours=APPROVAL_HOURS if self.asked else None)
        self.promises = Promises(world, self)
        if world.reconciled:
            looks = self.promises.looked_at
            self.schedules.append(Schedule("reconcile_runs", "every-five-minutes", 5 * MINUTE, looks=looks))
        world.looks = self.promises.looks
        world.sagemaker.launched = self._trains
        world.sagemaker.changed = self._announces
        world.sagemaker.coming = self._comes
        world.sagemaker.stands = self._stands
        world.bedrock.launched = self._imports
        world.bedrock.called = self._judges
        world.conversation.good = self._answers_well
        self._be_workflows(world.workflows, "scan_range", "merge_scans", "succeeded")
        self._be_workflows(world.evaluations, "ask_range", None, "evaluation-succeeded")
        self._shape_account()
        for number in range(1, 2 + self._choose("more drops", 4)):
            delay = DROPPED[self._choose(f"when r{number} is dropped", len(DROPPED))]
            world.later(delay, lambda number=number: self._drop(number))  # type: ignore[misc]
        for number in range(1, 1 + self._choose("wishes", 3)):
            world.later(9 * HOUR + number * MINUTE, lambda number=number: self._wish(number))  # type: ignore[misc]
        if self._choose("a redrive", 2):
            world.later(11 * HOUR, world.redrive)
        if self._choose("a week passes", 2):
            world.later(9 * DAY, lambda: None)
        for hour in FAILS_AT[self._choose("the champion fails", len(FAILS_AT))]:
            world.later(hour * HOUR, self._rings)
        wanted = self._choose("endpoints are wanted again", 3)
        if wanted == 1:
            world.later(80 * HOUR, self._wake)
        self._wakes_at_once = wanted == 2

    def _choose(self, what: str, options: int) -> int:
        return self.world.choose(f"story: {what}", options, self.world.trouble.story)

    # ------------------------------------------------------------------------------------------------ AWS
    def _shape_account(self) -> None:
        world = self.world
        world.sagemaker.refusals += map(refusal, REFUSALS[self._choose("no quota at first", len(REFUSALS))])
        self.short = bool(world.sagemaker.refusals)
        # Each history of many tries takes long: a few are enough.
        tries = world.choose("story: no capacity for training", len(NO_CAPACITY), world.trouble.story / 5)
        self.no_capacity = NO_CAPACITY[tries]
        self.others = self._choose("models of others", 3)
        for number in range(self.others):
            job = ImportJob(f"other-{number}", "s3://other/", "", world.now(), "Completed")
            world.bedrock.models[job.name] = job, world.now()
        self.slot_taken = (0.0, 2 * HOUR, 30 * HOUR)[self._choose("somebody else imports", 3)]
        if self.slot_taken:
            world.bedrock.others_import = True
            world.later(self.slot_taken, lambda: setattr(world.bedrock, "others_import", False))
        self._leave_remains()
        self.denied = DENIED[self._choose("a policy denies", len(DENIED))]
        world.denied = frozenset({self.denied} - {""})
        # Each is tried seventy times: a few histories are enough.
        failing = world.choose("story: deletions fail", len(FAILING), world.trouble.story / 10)
        world.failing = frozenset({FAILING[failing]} - {""})
        # An endpoint, too, is asked for a hundred times.
        waits = world.choose("story: no instances for endpoints", len(NO_INSTANCES), world.trouble.story / 5)
        self.no_instances = NO_INSTANCES[waits]
        self.one_endpoint = self._choose("a quota of one endpoint", 2) == 1
        if self.one_endpoint:
            world.sagemaker.endpoint_quota = 1

    def _leave_remains(self) -> None:
        """Leave a model, an endpoint or a job that runs on, of a run that the table does not know: it was restored."""
        nobody = "a" * 26
        match self._choose("remains of an unknown run", 6):
            case 1:
                job = ImportJob(f"{STACK}-{nobody}", "s3://gone/", "", self.world.now(), "Completed")
                self.world.bedrock.models[job.name] = job, self.world.now()
            case 2:
                name = f"{STACK}-{nobody}-a1"
                self.world.sagemaker.jobs[name] = TrainingJob(name, {}, self.world.now())
            case 3:
                self._leave_endpoint(f"{STACK}-{nobody}")
            case 4:
                name = f"{STACK}-{nobody}-c1"
                self.world.bedrock.evaluations[name] = EvaluationJob(name, {}, self.world.now())
            case 5:
                self._have_neighbours(f"{STACK}-two-{nobody}")

    def _have_neighbours(self, name: str) -> None:
        """Leave what is another stack's: a job, a judge, a model, and an endpoint of the same name."""
        world, now = self.world, self.world.now()
        world.sagemaker.jobs[f"{name}-a1"] = TrainingJob(f"{name}-a1", {}, now)
        world.bedrock.evaluations[f"{name}-c1"] = EvaluationJob(f"{name}-c1", {}, now)
        world.bedrock.models[name] = ImportJob(name, "s3://theirs/", "", now, "Completed"), now
        self._leave_endpoint(name)
        self.neighbours |= {name, f"{name}-a1", f"{name}-c1"}

    def _leave_endpoint(self, name: str) -> None:
        self.world.sagemaker.leave(name)
        self.world.scaling.register_scalable_target(ResourceId=f"inference-component/{name}", MinCapacity=0)
        self.world.cloudwatch.put_metric_alarm(AlarmName=f"{name}-errors")

    def _trains(self, job: TrainingJob) -> None:
        run_id = names.run_of_training_job(STACK, job.name) or ""
        run = self.world.names.get(run_id, run_id)
        attempt = names.attempt_of_training_job(job.name)
        self.promises.launched(job)
        seconds = (30 * MINUTE, 3 * MINUTE, 59 * MINUTE)[self._choose(f"how long {run} trains, {attempt}", 3)]
        ending = OUTCOMES[self._choose(f"how {run} ends training, {attempt}", len(OUTCOMES))]
        longest = job.request["StoppingCondition"]["MaxRuntimeInSeconds"]
        if self.world.time < self.no_capacity:
            seconds, ending = 3 * MINUTE, OUTCOMES[1]
        if seconds > longest:
            seconds, ending = longest + STOP_GRACE, OUTCOMES[-1]
        self._announces(job)
        self.world.later(seconds, lambda: self._ends_training(job, run_id, ending))

    def _ends_training(self, job: TrainingJob, run_id: str, ending: tuple[str, str, str]) -> None:
        status, secondary_status, reason = ending
        if job.live and status != "Completed":
            self._cause(run_id, "training")
        if job.live and status == "Completed":
            key = job.artifact_uri.removeprefix(f"s3://{RUN_BUCKET}/")
            for file, content in ARTIFACT.items():
                self.world.files.objects[f"{key}{file}"] = content
        self.world.sagemaker.end(job.name, status, secondary_status, reason)

    def _announces(self, job: TrainingJob) -> None:
        self.world.activity += 1
        run = names.run_of_training_job(STACK, job.name) or ""
        self.world.say(f"SageMaker: job of {self.world.names.get(run, run)} {job.status}")
        self.world.emit(_job_event(job.name), f"job {job.status} of {self.world.names.get(run, run)}")

    def _imports(self, job: ImportJob) -> None:
        run_id = names.run_of_imported_model(STACK, job.name) or ""
        run = self.world.names.get(run_id, run_id)
        self.promises.imports(run_id)
        seconds = (15 * MINUTE, 3 * MINUTE, 2 * HOUR, 30 * HOUR)[self._choose(f"how long {run} is imported", 4)]
        if seconds > DAY:
            self.slot_taken = seconds
        status = ("Completed", "Failed")[self._choose(f"how {run} ends its import", 2)]
        self.world.later(seconds, lambda: self._ends_import(job, run_id, status))

    def _ends_import(self, job: ImportJob, run_id: str, status: str) -> None:
        if status != "Completed":
            self._cause(run_id, "import")
        self.world.activity += 1
        self.world.say(f"Bedrock: import of {self.world.names.get(run_id, run_id)} {status}")
        self.world.bedrock.end(job.name, status)

    def _comes(self, hosted: Hosted) -> tuple[float, str]:
        """Say how long an endpoint or a component takes, and why it fails."""
        own = names.run_of_endpoint(STACK, hosted.name)
        run_id = own or names.run_of_base_endpoint(STACK, hosted.name) or ""
        self.promises.hosts(run_id, hosted)
        self.world.activity += 1
        self._tries[hosted.kind, hosted.name] += 1
        what = f"{'' if own else 'base '}{'endpoint' if hosted.kind == 'Endpoint' else 'component'}"
        site = f"how {self.world.names[run_id]}'s {what} comes, {self._tries[hosted.kind, hosted.name]}"
        seconds, reason = COMING[hosted.kind][self._choose(site, len(COMING[hosted.kind]))]
        first, last = self.no_instances
        if first <= self.world.time < last:
            reason = CAPACITY
        if reason or seconds > HOUR / 2:
            self._cause(run_id, ("shortage" if reason == CAPACITY else "endpoint") if own else "base")
        return seconds, reason

    def _stands(self, hosted: Hosted) -> None:
        """Announce an endpoint; of components SageMaker says nothing."""
        world = self.world
        world.activity += 1
        for schedule in self.schedules:
            schedule.at = min(schedule.at, world.time + schedule.period)
        world.met[f"{hosted.kind} {hosted.status}"] += 1
        run_id = names.run_of_endpoint(STACK, hosted.name.removesuffix("-b")) or ""
        run = world.names.get(run_id, run_id)
        world.say(f"SageMaker: {hosted.kind} of {run} {hosted.status}")
        if hosted.kind == "Endpoint":
            told = {"EndpointName": hosted.name, "EndpointStatus": hosted.status.upper()}
            world.emit(
                _event("aws.sagemaker/sagemaker-endpoint-state-change.in-service", told),
                f"endpoint {hosted.status} of {run}",
            )

    def _judges(self, job: EvaluationJob) -> None:
        run_id = names.run_of_judge_job(STACK, job.name) or ""
        run = self.world.names.get(run_id, run_id)
        self.promises.judges(run_id)
        ending = JUDGED[self._choose(f"how a judge of {run} ends, {job.name[-2:]}", len(JUDGED))]
        self.world.met[f"judge: {ending}"] += 1
        self._cause(run_id, "judge" if ending in JUDGED[1:5] else "")
        self.world.later(JUDGING.get(ending, 20 * MINUTE), lambda: self._ends_judging(job, ending))

    def _ends_judging(self, job: EvaluationJob, ending: str) -> None:
        """Grade the answers as they were handed over, unless the job was stopped."""
        if job.status != "InProgress":
            return
        self.world.activity += 1
        job.status = ending.partition(" ")[0]
        (graded,) = job.request["evaluationConfig"]["automated"]["datasetMetricConfigs"]
        own = f"s3://{RUN_BUCKET}/"
        answers = self.world.files.objects[graded["dataset"]["datasetLocation"]["s3Uri"].removeprefix(own)]
        lines = [json.loads(line) for line in answers.splitlines()]
        grades = [float(each["modelResponses"][0]["response"] == each["referenceResponse"]) for each in lines]
        output = "".join(
            json.dumps(
                {
                    "inputRecord": each,
                    "automatedEvaluationResult": {
                        "scores": [{"metricName": metric, "result": grade} for metric in graded["metricNames"]]
                    },
                }
            )
            + "\n"
            for each, grade in zip(lines, grades, strict=True)
        )
        key = job.request["outputDataConfig"]["s3Uri"].removeprefix(own)
        if job.status == "Completed":
            known = ending != JUDGED[3]
            self.world.files.objects[f"{key}{job.name}/x_output.jsonl"] = output.encode() if known else b"{}\n"

    def _answers_well(self, model_id: str) -> bool:
        """Answer, where the model can be asked now."""
        name = model_id.rpartition("/")[2]
        if names.endpoint_of(model_id):
            component = self.world.scaling.called(name)
            if component is None:
                raise ModelUnavailableError(name)
            if not component.copies:
                self.world.met["called at zero copies"] += 1
                self.world.activity += 1
                raise ModelNotReadyError(name)
        poor = {names.imported_model(STACK, drop.run_id) for drop in self.drops if drop.poor}
        return model_id != BASE_MODEL and not name.endswith("-b") and name not in poor

    def _be_workflows(self, executions: FakeWorkflows, function: str, then: str | None, ended: str) -> None:
        """Run what is started: `function` for each range, `then` once for all; `ended` is the event of the end."""
        start = executions.start

        def starts(name: str, content: Mapping[str, str]) -> None:
            if name not in executions.executions:
                ranges = json.loads(self.world.files.objects[content["ranges"]])
                steps = [(function, each) for each in ranges] + ([(then, dict(content))] if then else [])
                self.world.later(30, lambda: self._works(executions, name, steps, ended))
            start(name, content)

        executions.start = starts  # type: ignore[method-assign]

    def _works(self, executions: FakeWorkflows, name: str, steps: list[tuple[str, Any]], ended: str) -> None:
        """Be Step Functions: do one step after the other, and try again what died."""
        run = self.world.names[names.run_of_execution(name) or ""]

        def ends(status: str) -> None:
            executions.finish(name, status, error="" if status == "SUCCEEDED" else "States.TaskFailed")
            event = f"aws.states/step-functions-execution-status-change.{ended}"
            self.world.emit(_event(event, {"name": name, "status": status}), f"workflow {status} of {run}")

        def step(number: int, died: int = 0, raised: int = 0) -> None:
            if number == len(steps):
                ends("SUCCEEDED")
            elif died >= WORKFLOW_TRIES or raised >= WORKFLOW_PATIENCE:
                ends("FAILED")
            else:
                function, event = steps[number]
                goes_on = function == "ask_range"  # it says whether all is answered
                self.world.synchronously(
                    function,
                    event,
                    run,
                    lambda answer: step(number if goes_on and not answer else number + 1),
                    lambda dead: self.world.later(
                        5 if dead else 60, lambda: step(number, died + dead, raised + (not dead))
                    ),
                )

        step(0)

    # ------------------------------------------------------------------------------------------------ people
    def _drop(self, number: int) -> None:
        world, name = self.world, f"r{number}"
        dataset = ("receipts", "tickets")[self._choose(f"dataset of {name}", 2)]
        files = FILES[self._choose(f"files of {name}", len(FILES))]
        first = 0 if files == FILES[1] else 100 * (number - 1)
        against = RIVALS[self._choose(f"rivals of {name}", len(RIVALS))]
        budget = (None, 2.0)[self._choose(f"budget of {name}", 2)]
        poor = self._choose(f"how good {name} is", 2) == 1
        serve = SERVED[self._choose(f"how {name} is served", len(SERVED))]
        based = self._choose(f"where the base of {name} answers", 2) == 1 and against != RIVALS[2]
        judge = self._choose(f"who grades {name}", 2) == 1
        evaluate = ", ".join([f"against: [{against}]", *(["base: endpoint"] * based), *([JUDGE] * judge)])
        tune_yaml = f"model: {MODEL.model_id}\nevaluate: {{{evaluate}}}\n{serve}"
        tune_yaml += "hyperparameters: {epoch: 5000}\n" if files == FILES[3] else ""
        tune_yaml += f"budget_usd: {budget:g}\n" if budget else ""
        rows = training_rows(first) + ("no json\n" if files == FILES[2] else "")
        folder = f"datasets/{dataset}/"
        for file, content in (
            ("train.jsonl", rows),
            ("held-out.jsonl", held_out_rows()),
            ("template.json", TEMPLATE),
        ):
            world.drops.put(folder + file, content.encode())
        version = world.drops.put(f"{folder}tune.yaml", tune_yaml.encode())
        run_id = names.run_id(world.drops.bucket, f"{folder}tune.yaml", version)
        world.names[run_id] = name
        foreign = self._choose(f"somebody's job is called as that of {name}", 2) == 1
        self.drops.append(DropMade(name, dataset, files, first, poor, run_id, budget, bool(serve), based, foreign))
        if foreign:
            self._precede(f"{STACK}-{run_id}-a1")
        world.activity += 1
        world.say(f"drop {name} in {dataset}")
        dropped = {**_sample("aws.s3/object-created.tune-yaml")["detail"]["object"], "key": f"{folder}tune.yaml"}
        event = _event("aws.s3/object-created.tune-yaml", {"object": {**dropped, "version-id": version}})
        world.emit(event, f"drop of {name}")
        if self._choose(f"{name} is overwritten", 2):
            world.later(15, lambda: self._overwrite(folder))

    def _precede(self, job_name: str) -> None:
        """Have a training job under the name of a run's first one, of another request than the run will make."""
        request = {"Tags": [], "OutputDataConfig": {"S3OutputPath": "s3://theirs"}}
        self.world.sagemaker.jobs[job_name] = TrainingJob(job_name, request, self.world.now())
        self.world.later(30 * MINUTE, lambda: self.world.sagemaker.end(job_name, "Completed"))

    def _overwrite(self, folder: str) -> None:
        """Put other rows in the place of a drop's own, as somebody does who is about to drop the next."""
        self.world.drops.put(f"{folder}train.jsonl", training_rows(900).encode())

    def told(self, run_id: str, status: str) -> None:
        """Let people hear of a run; one that waits for approval is answered, as the story has it."""
        name = self.world.names[run_id]
        heard = f"request-at-once-{name}" in self.wished
        if status == "NOT_PROMOTED" and not heard and self._choose(f"who hears of {name} wants it", 2):
            self._ask(f"at-once-{name}", next(each for each in self.drops if each.run_id == run_id))
        if status != "AWAITING_APPROVAL":
            return
        answer = ANSWERS[self._choose(f"who answers for {name}", len(ANSWERS))]
        self._cause(run_id, "approval" if answer != ANSWERS[0] else "")
        match answer:
            case "nobody answers":
                return
            case "an hour too late":
                self.world.later((APPROVAL_HOURS + 1) * HOUR, lambda: self._say(run_id, ANSWERS[0]))
            case "both":
                self.world.later(HOUR, lambda: self._say(run_id, ANSWERS[0]))
                self.world.later(HOUR, lambda: self._say(run_id, ANSWERS[2]))
            case _:
                self.world.later(HOUR, lambda: self._say(run_id, answer))

    def _say(self, run_id: str, answer: str) -> None:
        self.world.emit(
            _event(f"tunedrop.user/{answer}", {"run_id": run_id}), f"{answer} of {self.world.names[run_id]}"
        )

    def _wish(self, number: int) -> None:
        """Ask to promote one of the runs in the place of the champion that is seen."""
        if self.drops:
            self._ask(f"{number}", self.drops[self._choose(f"wish {number}", len(self.drops))])

    def _ask(self, wish: str, chosen: DropMade) -> None:
        champion = self.promises.champion(chosen.dataset)
        asked = {"request_id": f"request-{wish}", "dataset": chosen.dataset, "run_id": chosen.run_id}
        asked |= {"instead_of": champion or "", "requested_by": ANN}
        self.world.activity += 1
        self.wished[f"request-{wish}"] = champion
        self.world.emit(_event("tunedrop.user/promotion-requested.rollback", asked), f"wish {wish} of {chosen.name}")

    def gives_up(self, reason: str) -> None:
        """Let people hear that an endpoint goes: whoever wants it after all says so before it is gone."""
        if self._wakes_at_once and reason.startswith("Nobody had called it"):
            self._wakes_at_once = False
            for seconds in (15, 45, 10 * MINUTE):
                self.world.later(seconds, self._wake)

    def _wake(self) -> None:
        """Ask for every run's endpoint, whether it was taken down or not."""
        runs = self.promises.runs()
        for drop in self.drops:
            self.world.activity += 1
            run = runs.get(drop.run_id)
            if run and run.promotion and drop.endpoint and run.deployment and run.deployment.deleted:
                self.called_back.add(drop.run_id)
            event = _event("tunedrop.user/endpoint-wanted.by-role", {"run_id": drop.run_id, "requested_by": ANN})
            self.world.emit(event, f"endpoint wanted of {drop.name}")

    def _rings(self) -> None:
        """Let the alarms of all champions ring that have any."""
        for dataset in ("receipts", "tickets"):
            run_id = self.promises.champion(dataset)
            alarm = f"{STACK}-{run_id}-errors"
            if run_id and alarm in self.world.cloudwatch.alarms:
                event = _event("aws.cloudwatch/cloudwatch-alarm-state-change.errors", {"alarmName": alarm})
                self.world.activity += 1
                self.world.met["alarm"] += 1
                self._fails(run_id)
                self.world.emit(event, f"alarm of {self.world.names[run_id]}")

    def _fails(self, run_id: str) -> None:
        promotion = self.promises.runs()[run_id].promotion
        if promotion and promotion.by != "alarm" and self.world.now() - promotion.at < timedelta(days=1):
            self.rung.add(promotion.request)

    def _cause(self, run_id: str, cause: str) -> None:
        self.causes.setdefault(run_id, set()).add(cause)

    # ------------------------------------------------------------------------------------------------ life
    def live(self) -> None:
        """Let time pass until everything is at rest, then look at what is left."""
        world = self.world
        while not (world.idle and self._at_rest()):
            due = min(self.schedules, key=_at)
            if world.next_at() <= due.at:
                world.live()
            else:
                world.pass_time(due.at)
                due.tick(world, LONGEST_PAUSE_AT_THE_END if self.promises.terminal() else LONGEST_PAUSE)
            if world.time > LONGEST_LIFE:
                raise ViolationError(f"L1: no rest after {LONGEST_LIFE / DAY:g} days")
        world.close()
        self.promises.final()

    def _at_rest(self) -> bool:
        idle = min(each.idle if each.seen == self.world.activity else 0 for each in self.schedules)
        return idle >= SETTLE_TICKS and (self.promises.terminal() or idle >= HOPELESS_TICKS)


_at = attrgetter("at")


@dataclass
class Schedule:
    """A schedule that ticks less and less often while nothing happens: those ticks would find nothing to do."""

    function: str
    name: str
    period: float
    at: float = 30.0
    pause: float = 0.0
    seen: int = -1
    idle: int = 0
    looks: Callable[[datetime], None] | None = None
    """Told of each tick when the next one comes."""
    last: datetime | None = None

    def tick(self, world: World, longest: float) -> None:
        """Invoke the function; the next pause is `longest` at most."""
        event = _sample(f"aws.events/scheduled-event.{self.name}") | {"time": world.now().isoformat()}
        if self.looks and self.last:
            self.looks(self.last)
        self.last = world.now()
        world.deliver(self.function, event, "tick")
        if world.activity == self.seen:
            self.idle += 1
            self.pause = min(LESS_OFTEN * self.pause, longest)
        else:
            self.idle, self.pause = 0, self.period
        self.seen = world.activity
        self.at = world.time + self.pause


_sample, _job_event = cache(sample), cache(job_event)
"""Read, and not changed, by whoever gets them."""


def _event(name: str, detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return a payload of `events/` with other words in its detail."""
    event = _sample(name)
    return {**event, "detail": {**event["detail"], **detail}}


@cache
def training_rows(first: int) -> str:
    return "".join(json.dumps({"q": f"word {n}", "a": f"WORD {n}"}) + "\n" for n in range(first, first + 10))


@cache
def held_out_rows() -> str:
    return "".join(json.dumps({"q": f"word {n}", "a": f"WORD {n}"}) + "\n" for n in range(1000, 1008))
