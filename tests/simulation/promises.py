"""The promises of `docs/reliability.md`, looked at after every call of every history, and at its end.

They are stated on what AWS holds, and in their own words: nothing here asks production's code what is right.
"""

import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from tests.samples import RUN_BUCKET, STACK
from tests.simulation.aws import MOST_MODELS, TrainingJob
from tests.simulation.expressions import Item
from tests.simulation.hosting import Hosted
from tests.simulation.stage import CAP_USD
from tests.simulation.world import ViolationError, World
from tunedrop.domain.run import Evaluation, Judgement, Run

if TYPE_CHECKING:
    from tests.simulation.story import Story

WAYS = {
    "": {"PLANNING"},
    "PLANNING": {"VALIDATING", "REJECTED", "FAILED"},
    "VALIDATING": {"AWAITING_APPROVAL", "LAUNCHING", "REJECTED", "FAILED"},
    "AWAITING_APPROVAL": {"LAUNCHING", "REJECTED"},
    "LAUNCHING": {"TRAINING", "FAILED"},
    "TRAINING": {"LAUNCHING", "DEPLOYING", "FAILED", "STOPPED"},
    "DEPLOYING": {"EVALUATING", "FAILED"},
    "EVALUATING": {"PROMOTED", "NOT_PROMOTED", "FAILED"},
}
"""From status to status; what is not named here is an end."""

ENDS = {"PROMOTED", "NOT_PROMOTED", "REJECTED", "FAILED", "STOPPED"}
FREED = {"REJECTED", "FAILED", "STOPPED"}
"""The ends after which the same files may be dropped again."""
TOLD = ENDS | {"AWAITING_APPROVAL", "TRAINING"}
ANSWERED_LATE = timedelta(seconds=20)
"""By how much a clock may be wrong that says whether an answer came in time."""

JUDGE_TIME = timedelta(hours=12)
"""How long a judge may take."""

TIME_TO_ANSWER = timedelta(hours=12)
"""How long people may answer, as the stack's parameters say here."""

NEWS_OF_ENDPOINTS = {"Nobody had called it": 2, "It did not come back": 3}
"""As the reasons begin why a champion's endpoint is taken down → the notices of its run's end that there are by then:
the second one is of its first end.
"""

ROUNDING = 1e-6

HELD_UP = timedelta(minutes=15)
"""How long a worker may live that decides now and writes later."""

LONGEST_IDLE = timedelta(minutes=16)
"""After how long the next tick of the reconciler looks at a run that nobody wrote."""

SHORTEST_PAUSE = timedelta(minutes=3)
"""Before another job follows one that found no capacity."""

TRIES_IN_3_HOURS = 8
"""Jobs of one run, at most: the pauses between them grow."""

LONGEST_SEARCH = timedelta(hours=24 + 5)
"""How long a run may look for capacity, with the time until somebody looks again in this world."""

SHORTEST_PATIENCE = timedelta(hours=24)
"""For how long a run waits for room at Bedrock, or under the cap, before it fails for it."""

KEPT = timedelta(days=7)
"""How long a former champion's model is kept, unless another one needs its place."""

LONGEST_WAITS = {
    "the base model's endpoint": timedelta(hours=6 + 5),
    "an endpoint that was to come back": timedelta(hours=6 + 5),
    "the judge": timedelta(hours=12 + 5),
    "the end of the base model's endpoint": timedelta(hours=2 + 5),
}
"""How long a run may wait for what it can do without, with the time until somebody looks again in this world."""

TELL_AGAIN = (
    *("throttled", "killed before it", "killed there at every try", "killed after it", "killed after it at every try"),
    *(
        "answer lost",
        "sent twice",
        "lands 50 s after its sender's death",
        "pause of 50 s",
        "pause of 10 min",
        "clock skew",
    ),
)
"""What may make a notice come twice: its sender did not live to remember it, or was not believed to live."""

_NUMBERED = re.compile(r'"word (\d+)"')

CAUSES = {
    "drop.duplicate": "files",
    "data.": "files",
    "spec.": "files",
    "plan.": "files",
    "hyperparameter.": "files",
    "approval.": "approval",
    "training.capacity": "training",
    "training.": "training",
    "launch.denied": "denied",
    "launch.foreign-job": "foreign",
    "import.failed": "import",
    "import.denied": "denied",
    "wait.too-long": "shortage",
    "run.stuck": "shortage",  # who waits for a day, and whose worker dies as the day is over
    "budget.spent": "budget",
    "endpoint.": "endpoint",
    "evaluate.base": "base",
}
"""Code of a problem, or how it begins → what must have happened for a run to end so."""


class Promises:
    """Watch a world, and raise ViolationError as soon as a promise is broken."""

    def __init__(self, world: World, story: "Story") -> None:
        self._world = world
        self._story = story
        self._known: dict[str, Run] = {}
        """Each run as it was looked at last."""
        self._runs: dict[str, Run] = {}
        """Each run as it was read last."""
        self._aliases_now: dict[str, Item] = {}
        self._changed: set[str] = set()
        """The kinds of items, and the fields of runs, that have changed since they were last looked at."""
        self.looks: dict[str, Callable[[], None]] = {
            **dict.fromkeys(("put_item", "update_item", "transact_write_items"), self._written),
            "create_training_job": self._jobs,
            **dict.fromkeys(
                ("put_parameter", "delete_imported_model", "delete_inference_component"), self._gone_or_named
            ),
            "publish": self._told,
        }
        """What is looked at after each operation: what it may have changed."""
        self._slot: set[str] = set()
        self._records: dict[str, dict[str, dict[str, str]]] = {}
        self._notices = 0
        self._crowned: dict[str, datetime] = {}
        """Run id → when it became the champion, first."""
        self._crowns: dict[str, tuple[str, str | None]] = {}
        """Request of a promotion → who became the champion, and in whose place."""
        self._taken: set[str] = set()
        """Requests of promotions that an alarm took back, or would have."""
        self._refused: set[str] = set()
        """Requests of promotions that were refused."""
        self._replaced: dict[str, datetime] = {}
        """Run id → when another run took its place, last."""
        self._news: Counter[str] = Counter()
        """How often something became known of a run that had ended, which people are to be told of."""
        self._waiting: dict[tuple[str, str], datetime] = {}
        """Run id, and what it waits for → since when, as it was seen here."""

    def _gone_or_named(self) -> None:
        self._world.activity += 1
        self._aliases()

    # ------------------------------------------------------------------------------------------------ each write
    def runs(self) -> dict[str, Run]:
        """Read what was written since it was last read, and return all runs."""
        written = self._world.dynamodb.unseen
        for identifier, item in written.items():
            kind = item["kind"]["S"]
            self._changed.add(kind)
            if kind == "run":
                self._runs[item["run_id"]["S"]] = Run.model_validate_json(item["document"]["S"])
            elif kind == "alias":
                self._aliases_now[identifier] = item
        written.clear()
        return self._runs

    def champion(self, dataset: str) -> str | None:
        item = self._world.dynamodb.items.get(f"alias#{dataset}")
        return item["run_id"]["S"] if item else None

    def terminal(self) -> bool:
        """Tell whether every drop's run has ended, and nothing is left to do for it."""
        items = [self._world.dynamodb.items.get(f"run#{each.run_id}") for each in self._story.drops]
        return all(item and item["status"]["S"] in ENDS and item["shelf"]["S"] == "settled" for item in items)

    def _written(self) -> None:
        runs = self.runs()
        if not self._changed:
            return
        for run_id, run in runs.items():
            before = self._known.get(run_id)
            if run is not before:
                self._one(before, run)
        self._known = dict(runs)
        changed, self._changed = self._changed, set()
        if "alias" in changed:
            self._succession()
        if changed & {"promotion", "promotion_refused"}:
            self._granted()
        if changed & {"ledger", "charges"}:
            self._accounts(runs)
        if changed & {"claim", "claims"}:
            self._claims(runs)
        self._aliases()

    def _one(self, before: Run | None, run: Run) -> None:
        name, status = self._name(run), str(run.status)
        self._world.met[f"status {status}"] += 1
        was = str(before.status) if before else ""
        self._world.activity += status != was
        if status != was and status not in WAYS.get(was, ()):
            raise ViolationError(f"S4: {name} went from {was} to {status}")
        if before and run.version != before.version + 1:
            raise ViolationError(f"S4: {name} was written at version {run.version} after {before.version}")
        for field, none in (("charges", ()), ("claims", set()), ("promotion", None), ("promotion_refused", None)):
            if getattr(run, field) != (getattr(before, field) if before else none):
                self._changed.add(field)
        if status != was and run.change == "progress":
            raise ViolationError(f"L1: that {name} is {status} is announced to nobody")
        self._holds_slot(run)
        if run.plan and was == "PLANNING":
            self._planned(run)
        self._announced(before, run)
        self._served(before, run)
        self._evaluated(before, run)
        if before and status != was and status in ENDS:
            self._ended(before, run)
        if status == "DEPLOYING" and was == "TRAINING":
            self._completed(run)
        if status == "LAUNCHING" and was in ("VALIDATING", "AWAITING_APPROVAL") and self._story.asked:
            self._approved(run)
        self._charged(before, run)

    def _completed(self, run: Run) -> None:
        """S1: what is deployed comes from a job that completed: one that was stopped leaves half a model."""
        job = self._world.sagemaker.jobs.get(run.training.job_name) if run.training else None
        if job is None or job.status != "Completed":
            raise ViolationError(f"S1: {self._name(run)} is deployed, and its job is {job and job.status}")

    def _ended(self, before: Run, run: Run) -> None:
        """S8: who ends otherwise than evaluated says why, and what to do about it."""
        if run.judgement and run.evaluation:
            self._judged(run, run.judgement, run.evaluation)
        if run.status not in FREED:
            return
        problem = run.problems[0] if run.problems else None
        if not (problem and problem.code and problem.message and problem.fix):
            raise ViolationError(f"S8: {self._name(run)} ended {run.status} without a cause and a fix")
        if problem.code == "drop.duplicate":
            self._claimed_by_another(run, problem.message)
        if problem.code == "wait.too-long":
            self._waited_long(run, run.entered_at - before.entered_at)

    def _waited_long(self, run: Run, waited: timedelta) -> None:
        """S8: who fails for waiting has waited long, and not for a place at Bedrock that is free."""
        if waited < SHORTEST_PATIENCE:
            raise ViolationError(f"S8: {self._name(run)} waits no longer after {waited}")
        bedrock = self._world.bedrock
        free = len(bedrock.models) < MOST_MODELS and not bedrock.others_import
        importing = any(job.status == "InProgress" for job in bedrock.jobs.values())
        if run.training and run.plan and run.plan.serve == "bedrock" and not run.deployment and free and not importing:
            raise ViolationError(f"S8: {self._name(run)} waits in vain, and Bedrock has a place for it")

    def _evaluated(self, before: Run | None, run: Run) -> None:
        """Look at what has become known of the run's model."""
        if run.evaluation and not (before and before.evaluation is run.evaluation):
            self._compared(run, run.evaluation)
        if run.judgement and not (before and before.judgement is run.judgement):
            self._graded(run, run.judgement)

    def _compared(self, run: Run, evaluation: Evaluation) -> None:
        """S6: the answers that decide are those of the models that are named, the champion's those of that champion.

        No other model stands in a candidate's way than those that its tune.yaml names.
        """
        asked = run.plan.evaluation.against if run.plan else ()
        for side, score in (("base", evaluation.base), ("champion", evaluation.champion)):
            if score and side not in asked:
                raise ViolationError(f"S6: {self._name(run)} is compared with the {side}, and was not to be")
        poor = {each.run_id: each.poor for each in self._story.drops}
        sides = {run.run_id: evaluation.candidate}
        if evaluation.champion:
            champion = self._known.get(evaluation.champion_run or "")
            served = champion and champion.deployment
            if champion is None or served is None or served.model_arn != evaluation.champion.model_id:
                raise ViolationError(f"S6: {self._name(run)} was compared with another champion than is named")
            sides[champion.run_id] = evaluation.champion
        for run_id, score in sides.items():
            if score.value != (0 if poor[run_id] else 1):
                name = self._world.names[run_id]
                raise ViolationError(f"S6: {name} has {score.value}, which its own answers do not come to")

    def _judged(self, run: Run, judgement: Judgement, evaluation: Evaluation) -> None:
        """S6: what a judge says beside the champion's answers is said of the one that the run is compared with.

        S8: a judge that takes too long was waited for.
        """
        if "took more than" in judgement.failure and self._world.now() - judgement.since < JUDGE_TIME - ANSWERED_LATE:
            raise ViolationError(f"S8: the judge of {self._name(run)} has no time, asked at {judgement.since}")
        champion = self._crowned.get(evaluation.champion_run or "")
        if judgement.rival == "champion" and champion and judgement.since < champion - ANSWERED_LATE:
            raise ViolationError(f"S6: {self._name(run)} was graded beside a champion of before")

    def _graded(self, run: Run, judgement: Judgement) -> None:
        """S6: a judge is handed the answers that were compared, of each model by a job of its own."""
        for each in judgement.jobs:
            job = self._world.bedrock.evaluations.get(each.name)
            if job is None or job.arn != each.arn:
                raise ViolationError(f"S6: the {each.side} of {self._name(run)} is graded by no job of its own")
            (graded,) = job.request["inferenceConfig"]["models"]
            if graded["precomputedInferenceSource"]["inferenceSourceIdentifier"] != each.side:
                raise ViolationError(f"S6: the {each.side} of {self._name(run)} is graded by another model's answers")
            if job.created_at < judgement.since - ANSWERED_LATE:
                raise ViolationError(f"S6: {self._name(run)} is graded by answers of before")

    def _holds_slot(self, run: Run) -> None:
        """S2: who imports holds the slot until Bedrock has the model."""
        if "import-slot" in run.claims:
            self._slot.add(run.run_id)
        elif run.status == "DEPLOYING" and _imported(run) == "":
            raise ViolationError(f"S2: {self._name(run)} is imported, and does not hold the slot any more")

    def _planned(self, run: Run) -> None:
        """S7: a run is planned as its own tune.yaml says, whatever lies there by now."""
        drop = next((each for each in self._story.drops if each.run_id == run.run_id), None)
        if (
            drop
            and run.plan
            and (run.plan.budget_usd, run.plan.serve == "endpoint") != (drop.budget_usd, drop.endpoint)
        ):
            raise ViolationError(f"S7: {self._name(run)} is planned by another tune.yaml than its own")

    def _announced(self, before: Run | None, run: Run) -> None:
        """L1: where nothing goes wrong each step is announced by the one before; schedules need not remind of it.

        Apart from what takes long at AWS, which they look at, too: a job, an import, a deletion.
        """
        worker, world = self._world.worker, self._world
        ticks = worker and worker.function in ("reconcile_runs", "track_deployment")
        if (
            not (ticks and before and run.change == "due")
            or before.status != run.status
            or before.next_try_at
            or world.faults
        ):
            return
        importing = run.status == "DEPLOYING" and before.deployment and not before.deployment.model_arn
        going = run.status in ENDS and (run.base or (run.deployment and run.deployment.retirement))
        training = (run.status == "TRAINING" and "TRAINING" in run.notices) or (run.status in ENDS and run.charge)
        if not (training or importing or going or world.denied or world.failing):
            raise ViolationError(f"L1: nobody but a schedule looks at {self._name(run)}, which is {run.status}")

    def _served(self, before: Run | None, run: Run) -> None:
        """Look at what serves a run, and count what became of endpoints that were to come back."""
        was = before and before.deployment and before.deployment.waking
        if run.deployment and run.deployment.waking:
            self._story.called_back.discard(run.run_id)
        if was and run.deployment and not run.deployment.waking:
            self._world.met["not woken" if run.deployment.retirement else "woken"] += 1
            excused = self._story.causes.get(run.run_id) or self._world.denied or self._story.one_endpoint
            if run.deployment.retirement and not excused:
                raise ViolationError(f"S8: {self._name(run)} does not come back, and nothing of the kind happened")
        if run.rollback and not (before and before.rollback == run.rollback):
            self._taken_back(run)
        self._deleted(before, run)
        self._waits(run)
        given_up = _given_up(run)
        if given_up[0] != (before and _given_up(before)[0]):
            self._given_up(before, run, given_up[0])
            self._story.gives_up(given_up[0])
        self._news[run.run_id] += any(given_up) and given_up != (before and _given_up(before))

    def _given_up(self, before: Run | None, run: Run, reason: str) -> None:
        """L3: a former champion is kept for its time, unless it makes room."""
        if reason.endswith("needed its place."):
            self._makes_room(run, reason)
        if reason.startswith("Nobody had called it"):
            self._unused(before, run)
        if not reason.startswith("It has not been the champion"):
            return
        # From when another one took its place, or it was woken.
        woken = run.deployment.waking_since if run.deployment else None
        since = [each for each in (self._replaced.get(run.run_id), woken) if each]
        if not since or self._world.now() - max(since) < KEPT - ANSWERED_LATE:
            raise ViolationError(f"L3: {self._name(run)} is given up, though it was a champion since {since}")

    def _makes_room(self, run: Run, reason: str) -> None:
        """L3: of former champions one at a time makes room, the one that has been one for the longest time."""
        for other in self._known.values():
            served = other.deployment if other.run_id != run.run_id else None
            if not served or served.deleted or served.left or self.champion(other.dataset) == other.run_id:
                continue
            if served.retirement == reason:
                raise ViolationError(f"L3: {self._name(run)} and {self._name(other)} make room for one model")
            longer = other.run_id in self._replaced and self._replaced[other.run_id] < self._replaced[run.run_id]
            if longer and served.target == "bedrock" and not served.retirement and not self._world.faults:
                raise ViolationError(f"L3: {self._name(run)} makes room before {self._name(other)}")

    def _unused(self, before: Run | None, run: Run) -> None:
        """L3: what somebody has called, or has had brought back, stays for its time."""
        hours = run.plan.hosting.ttl_hours if run.plan and run.plan.hosting else None
        woken = before.deployment.waking_since if before and before.deployment else None
        calls = self._world.cloudwatch.calls.get(f"{STACK}-{run.run_id}", ())
        last = max((each for each in (woken, *calls) if each), default=None)
        if hours is None or (last and self._world.now() - last < timedelta(hours=hours) - HELD_UP):
            raise ViolationError(f"L3: {self._name(run)} is taken down as unused, and was wanted at {last}")

    def _deleted(self, before: Run | None, run: Run) -> None:
        """L3: what a record calls deleted is gone, and is not on its way; a slow worker may make an endpoint again."""
        for served, was in ((run.deployment, before and before.deployment), (run.base, before and before.base)):
            if served is None or not served.deleted or (was and was.deleted):
                continue
            name = f"{STACK}-{run.run_id}" + ("-b" if served is run.base else "")
            importing = self._world.bedrock.jobs.get(name)
            there = name in self._world.bedrock.models or (importing and importing.status == "InProgress")
            hosted = any(name in each for each in self._world.sagemaker.hosted.values())
            if there or (hosted and not self._world.faults):
                raise ViolationError(f"L3: what serves {self._name(run)} is called deleted, and AWS has it")

    def _waits(self, run: Run) -> None:
        """L1: nobody waits for long for what a run can do without."""
        waits = {
            "the base model's endpoint": run.base is not None and run.status == "DEPLOYING",
            "an endpoint that was to come back": run.deployment is not None and run.deployment.waking,
            "the judge": run.evaluation is not None and run.judgement is not None and not run.judgement.over,
        }
        now, since = self._world.now(), {"the end of the base model's endpoint": self._base_up(run)}
        for what, waiting in waits.items():
            # What the record says of its beginning may be what is wrong.
            if not waiting:
                self._waiting.pop((run.run_id, what), None)
            since[what] = self._waiting.setdefault((run.run_id, what), now) if waiting else None
        for what, began in since.items():
            if began and now - began > LONGEST_WAITS[what]:
                raise ViolationError(f"L1: {self._name(run)} waits for {what} since {began}")

    def _base_up(self, run: Run) -> datetime | None:
        """Return since when the base model can be asked, while the run is evaluated, and it could be deleted."""
        base = run.base
        if base is None or base.denials or run.status != "EVALUATING":
            return None
        component = self._world.sagemaker.hosted["InferenceComponent"].get(base.name)
        return component.created_at if component else None

    def _taken_back(self, run: Run) -> None:
        """S6: an alarm takes a promotion back that is young, and none that an alarm has brought about."""
        rollback, promotion = run.rollback, run.promotion
        if rollback is None or promotion is None or rollback.of != promotion.request:
            return
        if promotion.by == "alarm":
            raise ViolationError(f"S6: {self._name(run)} is taken back, whom an alarm has put there")
        self._taken.add(promotion.request)
        _, former = self._crowns[promotion.request]
        if rollback.to not in (None, former):
            raise ViolationError(f"S6: in the place of {self._name(run)} another one comes than the champion before it")
        if rollback.to and self._known[rollback.to].rollback:
            raise ViolationError(f"S6: in the place of {self._name(run)} one comes that failed as a champion itself")
        if rollback.at - promotion.at > timedelta(hours=24):
            raise ViolationError(f"S6: {self._name(run)} is taken back long after its promotion")
        self._world.met["taken back"] += bool(rollback.to and rollback.outcome)

    def _charged(self, before: Run | None, run: Run) -> None:
        """S2: room is reserved within the run's budget, in the month in which it is reserved."""
        if before and run.charges is before.charges and run.plan is before.plan:
            return
        committed = sum(each.most_cents if each.cents is None else each.cents for each in run.charges)
        if run.plan and run.plan.budget_usd is not None and committed > run.plan.budget_usd * 100:
            raise ViolationError(f"S2: {self._name(run)} may spend {committed} cents, more than its budget")
        known = {each.job_name for each in before.charges} if before else set()
        now = self._world.now()
        for charge in run.charges:
            if charge.job_name in known:
                continue
            if charge.month not in {f"{now + by:%Y-%m}" for by in (-HELD_UP, timedelta(0), ANSWERED_LATE)}:
                raise ViolationError(f"S2: {charge.job_name} is charged to {charge.month} on {now:%Y-%m-%d %H:%M}")

    def _claimed_by_another(self, run: Run, message: str) -> None:
        holder = next((each for each in self._known.values() if each.run_id in message), None)
        theirs = holder and holder.run_id != run.run_id and holder.dataset == run.dataset
        if holder is None or not theirs or holder.status in FREED:
            raise ViolationError(f"S8: {self._name(run)} is refused for files that nobody has")

    def _approved(self, run: Run) -> None:
        answer = run.approval and run.approval.answer
        if not (run.approval and answer and answer.approved and answer.by):
            raise ViolationError(f"S10: {self._name(run)} is launched without approval")
        asked = next(stage.entered_at for stage in run.history if stage.status == "AWAITING_APPROVAL")
        lapses = min(run.approval.lapses_at, asked + TIME_TO_ANSWER)
        if max(answer.at, self._world.now() - ANSWERED_LATE) > lapses + ANSWERED_LATE:
            raise ViolationError(f"S10: {self._name(run)} is launched after its approval lapsed")

    def _accounts(self, runs: dict[str, Run]) -> None:
        charges = [charge for run in runs.values() for charge in run.charges]
        ledgers = [item for item in self._world.dynamodb.items.values() if item["kind"]["S"] == "ledger"]
        for item in ledgers:
            of_month = [each for each in charges if f"ledger#{each.month}" == item["id"]["S"]]
            reserved = {job: int(amount["N"]) for job, amount in item["reserved"]["M"].items()}
            spent, committed = int(item["spent"]["N"]), int(item["committed"]["N"])
            open_now = {each.job_name: each.most_cents for each in of_month if each.cents is None}
            if reserved != open_now:
                raise ViolationError(f"S2: the account reserves {reserved}, and the runs {open_now}")
            if spent != sum(each.cents for each in of_month if each.cents is not None):
                raise ViolationError(f"S2: the account has spent {spent} cents, and the runs something else")
            if committed != spent + sum(reserved.values()):
                raise ViolationError("S2: what is committed is not what is reserved and spent")
            if self._story.capped and committed > CAP_USD * 100:
                raise ViolationError(f"S2: {committed} cents are committed, more than the cap")
        if sum(len(item["reserved"]["M"]) for item in ledgers) != sum(each.cents is None for each in charges):
            raise ViolationError("S2: a charge is in no month's account")

    def _claims(self, runs: dict[str, Run]) -> None:
        items = self._world.dynamodb.items
        held = {
            (item["id"]["S"].removeprefix("claim#"), item["holder"]["S"])
            for item in items.values()
            if item["kind"]["S"] == "claim" and item["holder"]["S"] != "-"
        }
        listed = {(claim, run.run_id) for run in runs.values() for claim in run.claims}
        if held != listed:
            raise ViolationError(f"S2: claims are held as {sorted(held)}, and listed as {sorted(listed)}")

    def looked_at(self, tick: datetime) -> None:
        """L1: by a tick of the reconciler that went well, no run is due that it did not look at."""
        if any(function == "reconcile_runs" for function, *_ in self._world.disturbed):
            return
        for run_id, run in self.runs().items():
            served = [each for each in (run.deployment, run.base) if each]
            waits = run.status == "AWAITING_APPROVAL" or any(each.denials for each in served)
            if waits or self._world.dynamodb.items[f"run#{run_id}"]["shelf"]["S"] == "settled":
                continue
            due = run.next_try_at or run.updated_at + LONGEST_IDLE
            if due < tick - ANSWERED_LATE:
                raise ViolationError(f"L1: nobody looks at {self._name(run)}, which lies idle since {run.updated_at}")

    # ------------------------------------------------------------------------------------------------ jobs
    def launched(self, job: TrainingJob) -> None:
        """Look at a training job that SageMaker takes."""
        run = self._run_of(job)
        if run is None:
            raise ViolationError(f"S3: the job {job.name} has no run")
        if run.status in ENDS and run.entered_at < self._world.now() - timedelta(minutes=20):
            raise ViolationError(f"S3: a job is made for {self._name(run)}, which ended {run.status} long before")
        if job.name not in {each.job_name for each in run.charges}:
            raise ViolationError(f"S2: the job {job.name} runs on no reserved money")
        self._tried_again(run, job)
        self._trained_once(run)
        self._trained_on(run, job)

    def _trained_once(self, run: Run) -> None:
        """S1: the same files are trained once, unless the run that had them ended without a model."""
        jobs = self._world.sagemaker.jobs.values()
        held = {self._run_id(each) for each in jobs if each.live or each.status == "Completed"}
        for other in self._known.values():
            same = run.plan and other.plan and other.plan.fingerprint == run.plan.fingerprint
            if same and other is not run and other.run_id in held and not {run.status, other.status} & FREED:
                raise ViolationError(f"S1: {self._name(run)} is trained on the files of {self._name(other)}")

    def _tried_again(self, run: Run, job: TrainingJob) -> None:
        """S1, S5: another job follows what AWS lacked or broke, not what stays wrong; after a pause, and for a day."""
        name, now = self._name(run), self._world.now()
        jobs = [each for each in self._world.sagemaker.jobs.values() if self._run_id(each) == run.run_id]
        failed = [each for each in jobs if each is not job and each.status == "Failed"]
        if any(not each.reason.startswith(("CapacityError", "InternalServerError")) for each in failed):
            raise ViolationError(f"S1: {name} is trained again after what stays wrong")
        if sum(each.reason.startswith("InternalServerError") for each in failed) > 1:
            raise ViolationError(f"S1: {name} is trained again after AWS has failed it twice")
        if any(each.status == "Stopped" for each in jobs) and not self._story.short:
            raise ViolationError(f"S1: {name} is trained again, though SageMaker has taken its job")
        ends = [each.ended_at for each in failed if each.ended_at]
        if ends and now - max(ends) < SHORTEST_PAUSE:
            raise ViolationError(f"S5: {name} is trained again {now - max(ends)} after it failed")
        if ends and now - min(ends) > LONGEST_SEARCH:
            raise ViolationError(f"S5: {name} looks for capacity since {min(ends)}")
        if sum(now - each.created_at < timedelta(hours=3) for each in jobs) > TRIES_IN_3_HOURS:
            raise ViolationError(f"S5: {name} is trained more than {TRIES_IN_3_HOURS} times in 3 hours")

    def _trained_on(self, run: Run, job: TrainingJob) -> None:
        """S7: the rows in the job's channel are those of the drop, all of them, and no others."""
        (channel,) = (each for each in job.request["InputDataConfig"] if each["ChannelName"] == "training")
        prefix = channel["DataSource"]["S3DataSource"]["S3Uri"].removeprefix(f"s3://{RUN_BUCKET}/")
        files = {key: data for key, data in self._world.files.objects.items() if key.startswith(prefix)}
        text = b"".join(data for key, data in sorted(files.items()) if key.endswith(".jsonl")).decode()
        pinned = next(each for each in run.plan.files if each.name == "train.jsonl") if run.plan else None
        content, _ = self._world.drops.versions[(pinned.key, pinned.version_id)] if pinned else (b"", None)
        wanted = sorted(int(number) for number in _NUMBERED.findall(content.decode()))
        found = sorted(int(number) for number in _NUMBERED.findall(text))
        if found != wanted:
            raise ViolationError(f"S7: {self._name(run)} trains on the rows {found}, not on what was validated")

    def _jobs(self) -> None:
        per_run = Counter(
            self._run_id(job) for job in self._world.sagemaker.jobs.values() if job.live or job.status == "Completed"
        )
        twice = [run_id for run_id, jobs in per_run.items() if jobs > 1]
        if twice:
            raise ViolationError(f"S1: {self._world.names.get(twice[0])} has two jobs that live or completed")
        for job in self._world.sagemaker.jobs.values():
            run = self._run_of(job)
            if run and job.name not in {f"{STACK}-{run.run_id}-a{attempt + 1}" for attempt in range(run.attempt)}:
                raise ViolationError(f"S1: the job {job.name} belongs to none of the attempts of {self._name(run)}")

    def imports(self, run_id: str) -> None:
        """Look at an import job that Bedrock takes."""
        if run_id not in self._known:
            raise ViolationError(f"S3: an import has no run: {run_id}")
        if run_id not in self._slot:
            raise ViolationError(f"S3: {self._world.names[run_id]} is imported without the slot")

    def hosts(self, run_id: str, hosted: Hosted) -> None:
        """Look at an endpoint, or a component, that SageMaker makes."""
        run = self._known.get(run_id)
        if run is None:
            raise ViolationError(f"S3: the {hosted.kind} {hosted.name} has no run")
        serving = run.base if hosted.name.endswith("-b") else run.deployment
        if serving is None:
            raise ViolationError(f"S3: the {hosted.kind} {hosted.name} is made before its run knows of it")
        if serving.deleted and run.updated_at < self._world.now() - timedelta(minutes=20):
            raise ViolationError(f"S3: the {hosted.kind} {hosted.name} is made long after it was given up")

    def judges(self, run_id: str) -> None:
        """Look at a judge's job that Bedrock takes."""
        run = self._known.get(run_id)
        if run is None or run.judgement is None:
            raise ViolationError(f"S3: a judge's job has no run: {run_id}")
        if run.status in ENDS and run.entered_at < self._world.now() - timedelta(minutes=20):
            raise ViolationError(f"S3: a judge is called for {self._name(run)}, which ended {run.status} long before")
        jobs = [name for name in self._world.bedrock.evaluations if name.startswith(f"{STACK}-{run_id}-")]
        if len(jobs) > 2 * run.judgement.attempt:
            raise ViolationError(f"S1: {self._name(run)} has the judge's jobs {jobs}, more than it asked for")

    def _run_id(self, job: TrainingJob) -> str:
        return job.name.removeprefix(f"{STACK}-").partition("-")[0]

    def _run_of(self, job: TrainingJob) -> Run | None:
        return self._known.get(self._run_id(job))

    # ------------------------------------------------------------------------------------------------ champions
    def _succession(self) -> None:
        """S6: a champion takes the place of the one whose place it was to take."""
        for item in self._aliases_now.values():
            former = self._records.get(item["id"]["S"])
            if item is not former:
                run, before = self._known[item["run_id"]["S"]], former["run_id"]["S"] if former else None
                if run.promotion is None or run.promotion.instead_of != before:
                    raise ViolationError(f"S6: {self._name(run)} takes a place that was not {before}'s any more")
                if self._story.wished.get(run.promotion.request, before) != before:
                    raise ViolationError(f"S6: {self._name(run)} takes another place than the one that was asked for")
                evaluated = run.evaluation and run.plan and "champion" in run.plan.evaluation.against
                if run.promotion.by == "evaluation" and evaluated and run.evaluation.champion_run != before:
                    raise ViolationError(f"S6: {self._name(run)} was compared with another champion than {before}")
                failed = self._known[before].rollback if before else None
                if run.promotion.by == "alarm" and not (failed and failed.request == run.promotion.request):
                    raise ViolationError(f"S6: an alarm puts {self._name(run)} in the place of one that did not fail")
                if run.promotion.request in self._refused:
                    raise ViolationError(f"S6: {self._name(run)} is promoted by a wish that was refused before")
                self._records[item["id"]["S"]] = item
                self._crowns[run.promotion.request] = run.run_id, before
                self._crowned.setdefault(run.run_id, self._world.now())
                if before:
                    self._replaced[before] = self._world.now()

    def _granted(self) -> None:
        """S6: who is promoted is the champion, or has been: the alias is written together with the run.

        S8: who is refused since its model is gone has none; what is imported once comes back no more.
        """
        imported = {job.model_arn for job, _ in self._world.bedrock.models.values()}
        for run in self._known.values():
            if refused := run.promotion_refused:
                there = run.deployment is not None and run.deployment.model_arn in imported
                now = refused.request not in self._refused and refused.reason.startswith("Its model cannot be asked")
                if now and there:
                    raise ViolationError(f"S8: the wish for {self._name(run)} is refused, and its model is there")
                self._refused.add(refused.request)
            if run.promotion and run.promotion.request not in self._crowns:
                raise ViolationError(f"S6: {self._name(run)} is promoted, and the alias does not know of it")

    def _aliases(self) -> None:
        records = self._aliases_now.values()
        if not (records or self._world.ssm.values):
            return
        models = {job.model_arn: name for name, (job, _) in self._world.bedrock.models.items()}
        components = self._world.sagemaker.hosted["InferenceComponent"].values()
        models |= {each.arn: each.name for each in components if each.status != "Deleting"}
        models |= self._taken_down()
        named = {item["model_arn"]["S"]: item["promoted_by"]["S"] for item in records}
        for arn in (*named, *self._world.ssm.values.values()):
            if arn not in models:
                raise ViolationError(f"S6: an alias names {arn}, which AWS does not have")
            run = self._known.get(models[arn].removeprefix(f"{STACK}-"))
            evaluated = run and run.evaluation and run.deployment and run.deployment.model_arn == arn
            if not (run and run.evaluation and evaluated):
                raise ViolationError(f"S6: an alias names {arn}, whose evaluation nobody has seen")
            if named.get(arn) == "evaluation" and not run.evaluation.passed:
                raise ViolationError(f"S6: {self._name(run)} is the champion and did not pass")

    def _taken_down(self) -> dict[str, str]:
        """Return what was a champion's, and can be brought back: its record says why it is not there."""
        down = {}
        for run in self._known.values():
            served = run.deployment
            if run.promotion and served and served.target == "endpoint" and (served.retirement or served.waking):
                down[str(served.model_arn)] = served.model_name
        return down

    # ------------------------------------------------------------------------------------------------ people
    def _told(self) -> None:
        for notice in self._world.sns.notices[self._notices :]:
            run = self._known[notice["run_id"]]
            statuses = {"PLANNING", *(stage.status for stage in run.history)}
            if notice["status"] not in statuses & TOLD:
                raise ViolationError(f"L2: told {notice['status']} of {self._name(run)}, which never was")
            self._story.told(notice["run_id"], notice["status"])
        self._notices = len(self._world.sns.notices)
        told = Counter((notice["run_id"], notice["status"]) for notice in self._world.sns.notices)
        for (run_id, status), times in told.items():
            excuses = sum(self._world.disturbed["notify", self._world.names[run_id], kind] for kind in TELL_AGAIN)
            if times > 1 + excuses + (self._news[run_id] if status in ENDS else 0):
                raise ViolationError(f"L2: {self._world.names[run_id]} is told {status} {times} times")

    # ------------------------------------------------------------------------------------------------ the end
    def final(self) -> None:
        """Look at what is left when everything is at rest."""
        runs = self.runs()
        for drop in self._story.drops:
            if drop.run_id not in runs:
                raise ViolationError(f"L1: the drop {drop.name} is lost")
            run = runs[drop.run_id]
            if run.status not in ENDS:
                raise ViolationError(f"L1: {drop.name} stands at {run.status} for ever")
            self._justified(run)
        times = Counter((notice["run_id"], notice["status"]) for notice in self._world.sns.notices)
        left = {notice["run_id"] for notice in self._world.sns.notices if "left" in notice}
        for run in runs.values():
            if not times[run.run_id, run.status]:
                raise ViolationError(f"L2: nobody was told that {self._name(run)} ended {run.status}")
            if run.rollback and run.rollback.outcome and times[run.run_id, run.status] < 2:
                raise ViolationError(f"L2: nobody was told that {self._name(run)} failed as a champion")
            self._told_of_endpoint(run, times[run.run_id, run.status])
            self._called_back(run)
            self._succeeded(run)
            if any((run.deployment and run.deployment.left, run.base and run.base.left)) and run.run_id not in left:
                raise ViolationError(f"L2: nobody was told what {self._name(run)} has left to a person")
            self._paid(run)
            if not run.report_uri:
                raise ViolationError(f"L2: {self._name(run)} has no report")
        if (unanswered := self._story.rung - self._taken) and not self._world.faults:
            raise ViolationError(f"L1: a champion failed soon after {sorted(unanswered)}, and nobody heard the alarm")
        self._nothing_left(runs)

    def _succeeded(self, run: Run) -> None:
        """L1, L3: a promotion comes to its end, and a former champion's time does; here a day passes between ticks."""
        if run.promotion and not run.promotion.published:
            raise ViolationError(f"L1: {self._name(run)} is promoted, and its alias is not written")
        served, champion = run.deployment, self.champion(run.dataset) == run.run_id
        if run.run_id not in self._replaced or champion or served is None or served.retirement:
            return
        last = max(each for each in (self._replaced[run.run_id], served.waking_since) if each)
        if self._world.now() - last > KEPT + timedelta(days=1, hours=2) and self._world.reconciled:
            raise ViolationError(f"L3: {self._name(run)} is no champion since {last}, and its model is there")

    def _called_back(self, run: Run) -> None:
        """L1: who wants an endpoint back that is gone is heard; a wish that is lost is missed by who sent it."""
        lost = any(key[:2] == ("promote_model", self._name(run)) for key in self._world.disturbed)
        if run.run_id in self._story.called_back and not lost:
            raise ViolationError(f"L1: the endpoint of {self._name(run)} is wanted back, and nobody heard")

    def _told_of_endpoint(self, run: Run, times: int) -> None:
        """L2: people hear that an endpoint is gone; where nothing goes wrong, that is a notice more than before."""
        gone = run.deployment.retirement if run.deployment and run.promotion else ""
        wanted = next((number for reason, number in NEWS_OF_ENDPOINTS.items() if gone.startswith(reason)), 1)
        if times < wanted and not self._world.faults:
            raise ViolationError(f"L2: nobody was told that the endpoint of {self._name(run)} is gone")

    def _paid(self, run: Run) -> None:
        """S2: the account has for each job what the job has cost, and that is no more than was reserved."""
        for charge in run.charges:
            job = self._world.sagemaker.jobs.get(charge.job_name)
            cost = ((job and job.billable_seconds) or 0) * charge.usd_per_hour / 36
            if charge.cents is not None and not cost - ROUNDING <= charge.cents < cost + 1:
                raise ViolationError(
                    f"S2: {charge.job_name} has cost {cost:.2f} cents, and the account has {charge.cents}"
                )
            if charge.cents is not None and charge.cents > charge.most_cents:
                raise ViolationError(f"S2: {charge.job_name} has cost more than the {charge.most_cents} cents reserved")

    def _justified(self, run: Run) -> None:
        """S8: who ends otherwise than promoted has a cause that really happened."""
        story, name = self._story, self._name(run)
        drop = next(each for each in story.drops if each.run_id == run.run_id)
        happened = story.causes.get(run.run_id, set()) | {
            # A drop is what lies in its folder when it is planned: another one there may have changed it.
            *({"files"} if drop.files != "its own" or self._shared(drop.dataset) else ()),
            # An answer that is lost is missed by the person who gave it, and by nobody else.
            *({"approval"} if any(key[:2] == ("record_approval", name) for key in self._world.disturbed) else ()),
            *({"denied"} if story.denied.startswith("create") else ()),
            *({"shortage"} if story.capped or story.others or story.slot_taken or story.short else ()),
            *({"shortage"} if self._world.failing else ()),  # a former champion makes no room
            *({"shortage"} if story.one_endpoint or story.neighbours else ()),
            *({"endpoint"} if story.denied == "create_endpoint" else ()),
            *({"base"} if drop.based and (story.capped or drop.budget_usd) else ()),
            *({"training"} if story.short else ()),
            *({"budget"} if drop.budget_usd else ()),
            *({"foreign"} if drop.foreign else ()),
        }
        if run.status in ("FAILED", "REJECTED", "STOPPED"):
            code = run.problems[0].code
            cause = next((cause for begin, cause in CAUSES.items() if code.startswith(begin)), None)
            if cause is None or cause not in happened:
                raise ViolationError(f"S8: {name} ended {run.status} ({code}), and nothing of the kind happened")
        late = drop.based and ("base" in happened or self._world.faults or story.one_endpoint or story.denied)
        if run.status == "NOT_PROMOTED" and not drop.poor and len(story.drops) < 2 and not late:
            raise ViolationError(f"S8: {name} is not promoted, though it is better")
        silent = run.judgement.failure if run.judgement else ""
        if silent and not ("judge" in happened or story.denied == "create_evaluation_job"):
            raise ViolationError(f"S8: {name} has no judgement ({silent}), and nothing of the kind happened")
        if run.status == "PROMOTED" and drop.poor:
            raise ViolationError(f"S6: {name} is promoted, though it answers wrong")

    def _shared(self, dataset: str) -> bool:
        return sum(each.dataset == dataset for each in self._story.drops) > 1

    def _nothing_left(self, runs: dict[str, Run]) -> None:
        world = self._world
        undeletable, unstoppable = (
            each in world.denied | world.failing for each in ("delete_imported_model", "stop_training_job")
        )
        self._left_alone()
        for job in world.sagemaker.jobs.values():
            if job.live and not unstoppable and job.name not in self._story.neighbours:
                raise ViolationError(f"L3: the job {job.name} still runs")
        for judging in world.bedrock.evaluations.values():
            if judging.status in ("InProgress", "Stopping") and judging.name not in self._story.neighbours:
                raise ViolationError(f"L3: the judge's job {judging.name} still runs")
        self._no_endpoint_left(runs)
        for importing in world.bedrock.jobs.values():
            if importing.status == "InProgress":
                raise ViolationError(f"L3: the import {importing.name} still runs")
        kept = {
            f"{STACK}-{run.run_id}"
            for run in runs.values()
            if run.promotion and run.deployment and not run.deployment.deleted and run.deployment.target == "bedrock"
        }
        left = {name for name in world.bedrock.models if name.startswith(STACK)} - self._story.neighbours
        if left != kept and not (undeletable and left >= kept):
            raise ViolationError(f"L3: Bedrock has the models {sorted(left)}, and {sorted(kept)} are wanted")
        for item in world.dynamodb.items.values():
            self._settled_item(item)
        tried_in_vain = sum(times for kind, times in world.met.items() if "every try" in kind)
        hopeless = world.denied or world.failing or tried_in_vain
        if world.dead_letters and world.faults <= 2 and not hopeless:
            raise ViolationError("L5: an event is in the dead-letter queue, though little went wrong")

    def _left_alone(self) -> None:
        """L3: what is another stack's stays as it is, though its name begins as this one's."""
        world = self._world
        jobs = {each.name for each in world.sagemaker.jobs.values() if each.status == "InProgress"}
        judges = {each.name for each in world.bedrock.evaluations.values() if each.status == "InProgress"}
        alarms = {name.removesuffix("-errors") for name in world.cloudwatch.alarms}
        there = {*jobs, *judges, *(world.bedrock.models.keys() & world.scaling.targets & alarms)}
        for hosted in world.sagemaker.hosted.values():
            there -= {name for name in self._story.neighbours & world.bedrock.models.keys() if name not in hosted}
        if gone := self._story.neighbours - there:
            raise ViolationError(f"L3: {sorted(gone)} is another stack's, and was touched")

    def _no_endpoint_left(self, runs: dict[str, Run]) -> None:
        """L3: what serves is wanted, and what is wanted is whole: it scales, and its alarms would ring."""
        world = self._world
        kept = {
            f"{STACK}-{run.run_id}"
            for run in runs.values()
            if run.promotion
            and run.deployment
            and run.deployment.target == "endpoint"
            and not run.deployment.retirement
        }
        for kind, hosted in world.sagemaker.hosted.items():
            self._just(kind, set(hosted), kept)
        self._just("scaling target", set(world.scaling.targets), kept)
        self._just(
            "alarm", {name.removesuffix("-errors").removesuffix("-from-zero") for name in world.cloudwatch.alarms}, kept
        )
        for run in runs.values():
            hours = run.plan.hosting.ttl_hours if run.plan and run.plan.hosting else None
            if run.judgement and not run.judgement.over:
                raise ViolationError(f"L1: {self._name(run)} waits for its judge for ever")
            if hours and f"{STACK}-{run.run_id}" in kept:
                self._in_its_time(run, timedelta(hours=hours))
        world.met["no quota for an endpoint"] += world.sagemaker.refused

    def _in_its_time(self, run: Run, hours: timedelta) -> None:
        """L3: what nobody calls is taken down; a schedule ticks once a day here when nothing happens."""
        name = f"{STACK}-{run.run_id}"
        called = self._world.cloudwatch.calls.get(name, ())
        # What a policy forbids to delete is as old as it was, when a person has it brought back.
        woken = [run.deployment.waking_since] if run.deployment and run.deployment.waking_since else []
        last = max([self._world.sagemaker.hosted["Model"][name].created_at, *woken, *called])
        if self._world.now() - last > hours + timedelta(days=1, hours=2):
            raise ViolationError(f"L3: nobody has called {self._name(run)} since {last}, and its endpoint is there")

    def _just(self, kind: str, left: set[str], kept: set[str]) -> None:
        undeletable = "delete_endpoint" in self._world.denied | self._world.failing
        left = left - self._story.neighbours
        if left != kept and not (undeletable and left >= kept):
            raise ViolationError(f"L3: of the kind {kind} there are {sorted(left)}, and {sorted(kept)} are wanted")

    def _settled_item(self, item: dict[str, dict[str, str]]) -> None:
        match item["kind"]["S"]:
            case "ledger" if item["reserved"]["M"]:
                raise ViolationError(f"L4: {item['id']['S']} keeps {item['reserved']['M']} reserved")
            case "run" if item["shelf"]["S"] != "settled":
                raise ViolationError(f"L5: {self._world.names.get(item['run_id']['S'])} is looked at for ever")
            case "alias":
                parameter = f"/{STACK}/models/{item['dataset']['S']}"
                if self._world.ssm.values.get(parameter) != item["model_arn"]["S"]:
                    raise ViolationError(f"L5: the parameter {parameter} does not name the champion")
            case "claim" if item["id"]["S"] == "claim#import-slot" and item["holder"]["S"] != "-":
                raise ViolationError("L4: the import slot is never given back")

    def _name(self, run: Run) -> str:
        return self._world.names.get(run.run_id, run.run_id)


def _imported(run: Run) -> str | None:
    """Return the model that a run's import has made, empty while it goes on; None where there is none."""
    served = run.deployment
    return (served.model_arn or "") if served and served.target == "bedrock" else None


def _given_up(run: Run) -> tuple[str, str, bool, bool]:
    """Return why a champion's model is given up, which promotion was taken back, and what is a person's to delete."""
    retirement = run.deployment.retirement if run.deployment and run.promotion else ""
    left = (bool(served and served.left) for served in (run.deployment, run.base))
    # A champion that fails once more, since it was promoted once more, is news in the same words.
    back = run.rollback.of if run.rollback and run.rollback.outcome else ""
    return retirement, back, *left
