"""Make the records and AWS agree, in both directions: events are lost, workers die, and somebody has to notice."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from tunedrop.domain import names
from tunedrop.domain.observations import Nudged
from tunedrop.domain.run import Change, Drop, Run
from tunedrop.ports import (
    Aliases,
    Clock,
    DropListing,
    Drops,
    Endpoints,
    JudgeJobs,
    ModelImports,
    RunStore,
    TrainingJobs,
)
from tunedrop.steps.advance import tell
from tunedrop.steps.champions import FormerChampions, Served, publish

LOST_AFTER = timedelta(minutes=10)
"""How old an uploaded `tune.yaml` without a run must be before its event counts as lost."""

FORGOTTEN_AFTER = timedelta(days=2)
"""How old it may be at most: EventBridge itself tries for 24 hours."""

ORPHAN_AFTER = timedelta(minutes=10)
"""How old an imported model without a run must be before it is deleted."""

UNNAMED = "unnamed"
"""The dataset of a `tune.yaml` that lies where none belongs."""


@dataclass(frozen=True)
class Nudge:
    """Announce the runs whose wait is over, or that lie idle."""

    runs: RunStore
    clock: Clock

    def __call__(self, run: Run) -> bool:
        """Nudge a run that wants it; somebody who wrote it meanwhile has done as much."""
        return tell(run, Nudged(), self.runs, self.clock)


class Listed:
    """Know what was there of one way to serve when it was first asked: one list serves all parts of a look."""

    def __init__(self, served: Served) -> None:
        """Ask the port once."""
        self._served = served
        self._found: dict[str, list[tuple[str, datetime]]] = {}

    def models(self, name_prefix: str) -> Iterator[tuple[str, datetime]]:
        """Yield names, and when each was made."""
        if name_prefix not in self._found:
            self._found[name_prefix] = list(self._served.models(name_prefix))
        yield from self._found[name_prefix]


@dataclass(frozen=True)
class Reconcile:
    """Look at all that lives, on both sides."""

    runs: RunStore
    drops: Drops
    jobs: TrainingJobs
    imports: ModelImports
    judges: JudgeJobs
    endpoints: Endpoints
    aliases: Aliases
    clock: Clock
    stack: str
    keep_champions: timedelta
    """How long the model of a former champion is kept."""

    @cached_property
    def imported(self) -> Listed:
        """The imported models."""
        return Listed(self.imports)

    @cached_property
    def hosted(self) -> Listed:
        """The endpoints."""
        return Listed(self.endpoints)

    def __call__(self) -> dict[str, list[str]]:
        """Nudge runs, stop, delete and retire what nobody needs, mend aliases, start lost drops; return what was done.

        Each part, and each deletion in it, is done whatever becomes of the others; raises an ExceptionGroup of what
        failed, at the end.
        """
        parts = {
            "nudged": self._nudge_runs,
            "stopped": self._stop_jobs,
            "silenced": self._stop_judges,
            "deleted": self._delete_models,
            "taken down": self._take_endpoints_down,
            "unused": self._retire_unused,
            "retired": self._retire_champions,
            "published": self._publish_aliases,
            "started": self._start_drops,
        }
        done: dict[str, list[str]] = {}
        failed: list[Exception] = []
        for name, part in parts.items():
            try:
                done[name] = list(part())
            except Exception as error:  # noqa: BLE001 - it is raised below, when the other parts are done
                failed.append(error)
        if failed:
            raise ExceptionGroup("the reconciliation is incomplete", failed)
        return done

    def _nudge_runs(self) -> Iterator[str]:
        nudge = Nudge(self.runs, self.clock)
        yield from (run.run_id for run in self.runs.live() if nudge(run))

    def _stop_jobs(self) -> Iterator[str]:
        yield from _each(filter(self._is_stray, self.jobs.in_progress(f"{self.stack}-")), self.jobs.stop)

    def _stop_judges(self) -> Iterator[str]:
        """Stop the evaluation jobs that no run waits for any more."""
        running = dict(self.judges.running(f"{self.stack.lower()}-"))
        yield from _each(filter(self._is_unheard, running), lambda name: self.judges.stop(running[name]))

    def _delete_models(self) -> Iterator[str]:
        yield from _each(self._orphans(self.imported, self._is_unknown_import), self.imports.delete)

    def _take_endpoints_down(self) -> Iterator[str]:
        yield from _each(self._orphans(self.hosted, self._is_unknown_endpoint), self.endpoints.take_down)

    def _orphans(self, served: Listed, unknown: Callable[[str], bool]) -> Iterator[str]:
        """Yield what nobody knows, though whoever made it has had the time to say so."""
        for name, created_at in served.models(f"{self.stack}-"):
            if self.clock.now() - created_at >= ORPHAN_AFTER and unknown(name):
                yield name

    def _retire_unused(self) -> Iterator[str]:
        """Give up the endpoints that nobody has called for the time that their plans name."""
        (_, former), now = self._former(), self.clock.now()
        for name, created_at in self.hosted.models(f"{self.stack}-"):
            run_id = names.run_of_endpoint(self.stack, name)
            run = self.runs.get(run_id) if run_id else None
            hours = run.plan.hosting.ttl_hours if run and run.plan and run.plan.hosting else None
            if run is None or run.deployment is None or hours is None or not run.status.terminal:
                continue
            since = now - timedelta(hours=hours)
            begun = max(created_at, run.deployment.waking_since or created_at)
            unused = begun <= since and not self.endpoints.called_since(name, since, now)
            if unused and former.retire(run, f"Nobody had called it for {hours:g} hours.", told=True):
                yield run.run_id

    def _retire_champions(self) -> Iterator[str]:
        days = self.keep_champions / timedelta(days=1)
        for former in self._former():
            for ended, run in former.kept():
                over = self.clock.now() - ended >= self.keep_champions
                if over and former.retire(run, f"It has not been the champion for {days:g} days."):
                    yield run.run_id

    def _former(self) -> tuple[FormerChampions, FormerChampions]:
        """Return those that Bedrock serves, and those that endpoints serve."""
        return (
            FormerChampions(self.runs, self.imported, self.clock, self.stack),
            FormerChampions(self.runs, self.hosted, self.clock, self.stack),
        )

    def _is_unknown_import(self, name: str) -> bool:
        run_id = names.run_of_imported_model(self.stack, name)
        return run_id is not None and self._is_unknown(run_id)

    def _is_unknown_endpoint(self, name: str) -> bool:
        run_id, based = names.run_of_endpoint(self.stack, name), names.run_of_base_endpoint(self.stack, name)
        return bool((run_id and self._is_unknown(run_id)) or (based and self._asks_no_base(based)))

    def _is_unknown(self, run_id: str) -> bool:
        """Tell whether no run keeps the model or deletes it: what comes after that is a dead worker's."""
        run = self.runs.get(run_id)
        return run is None or (run.status.terminal and (run.deployment is None or run.deployment.deleted))

    def _asks_no_base(self, run_id: str) -> bool:
        """Tell the same of the endpoint of the run's base model."""
        run = self.runs.get(run_id)
        return run is None or (run.status.terminal and (run.base is None or run.base.deleted))

    def _publish_aliases(self) -> Iterator[str]:
        for dataset in self.runs.datasets():
            if publish(self.runs, self.aliases, self.stack, dataset):
                yield dataset

    def _start_drops(self) -> Iterator[str]:
        now = self.clock.now()
        recent = [each for each in self.drops.specs() if LOST_AFTER <= now - each.last_modified <= FORGOTTEN_AFTER]
        known = set(self.runs.created_since(now - FORGOTTEN_AFTER)) if recent else set()
        for spec in recent:
            run_id = names.run_id(self.drops.bucket, spec.key, spec.version_id)
            if run_id not in known and self.runs.create(new_run(self._drop(spec), self.clock, Change.DUE)):
                yield run_id

    def _drop(self, spec: DropListing) -> Drop:
        return Drop(
            bucket=self.drops.bucket,
            key=spec.key,
            version_id=spec.version_id,
            etag=spec.etag,
            uploaded_by=spec.uploaded_by,
        )

    def _is_stray(self, job_name: str) -> bool:
        """Tell whether nobody follows the job; read after the job was listed, an attempt only ever gets older."""
        run_id = names.run_of_training_job(self.stack, job_name)
        run = self.runs.get(run_id) if run_id else None
        followed = run and not run.status.terminal and run.attempt == names.attempt_of_training_job(job_name)
        return run_id is not None and not followed

    def _is_unheard(self, job_name: str) -> bool:
        run_id = names.run_of_judge_job(self.stack, job_name)
        run = self.runs.get(run_id) if run_id else None
        awaited = run and not run.status.terminal and run.judgement and not run.judgement.over
        return run_id is not None and not awaited


def _each(found: Iterable[str], deed: Callable[[str], object]) -> Iterator[str]:
    """Do something with each, whatever becomes of the others; raises an ExceptionGroup of what failed, at the end."""
    failed: list[Exception] = []
    for name in found:
        try:
            deed(name)
        except Exception as error:  # noqa: BLE001 - it is raised below, when the others are done
            failed.append(error)
        else:
            yield name
    if failed:
        raise ExceptionGroup("some could not be stopped or deleted", failed)


def new_run(drop: Drop, clock: Clock, change: Change) -> Run:
    """Make the run of a drop; one that lies where none belongs is planned all the same, and refused with the reason."""
    now = clock.now()
    return Run(
        run_id=names.run_id(drop.bucket, drop.key, drop.version_id),
        dataset=names.dataset_of(drop.key) or UNNAMED,
        change=change,
        created_at=now,
        updated_at=now,
        entered_at=now,
        drop=drop,
    )
