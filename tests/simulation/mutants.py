"""Faults planted in production's code, each of which some history must show.

A mutant is a text of a file and what stands there instead. Planting compiles the changed file and gives the module's
own functions the code that came of it, so that whoever holds one of them runs the fault. Where the reconciler would
heal what a mutant does, the mutant lives in a world without it.
"""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from tests.simulation.story import BETWEEN_CHAMPIONS

ROOT = Path(__file__).parents[2]
CORE = "layers/core/tunedrop/"


@dataclass(frozen=True)
class Mutant:
    """One fault, planted in one file."""

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    reconciled: bool = True
    """Whether the reconciler lives."""
    shown_by: Mapping[str, int] = field(default_factory=dict)
    """The schedule of a short history that shows it, as the search found it; empty for the simplest history."""

    @property
    def story(self) -> dict[str, int] | None:
        """What happens in the histories that look for it once more; None for anything."""
        return {site: choice for site, choice in self.shown_by.items() if site.startswith("story: ")} or None

    def source(self) -> str:
        """Return the file's text with the fault in it."""
        source = (ROOT / self.file).read_text()
        for old, new in self.changes:
            if source.count(old) != 1:
                raise LookupError(f"{self.name}: {self.file} has {source.count(old)} times {old!r}")
            source = source.replace(old, new)
        return source

    @property
    def module(self) -> str:
        return self.file.removeprefix("layers/core/").removesuffix(".py").replace("/", ".")


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Let production run with the fault; its modules must have been imported before."""
    codes = dict(_codes(compile(mutant.source(), mutant.file, "exec", dont_inherit=True)))
    functions = {each.__qualname__: each for each in _functions(sys.modules[mutant.module])}
    before = {name: function.__code__ for name, function in functions.items()}
    for name, function in functions.items():
        function.__code__ = codes[name]
    _forget(mutant.module)
    try:
        yield
    finally:
        for name, code in before.items():
            functions[name].__code__ = code
        _forget(mutant.module)


def _forget(module: str) -> None:
    """Forget what a module's functions have answered, and plans, which are made with the functions of many."""
    for name in (module, "tunedrop.steps.plan"):
        for each in vars(sys.modules[name]).values():
            if hasattr(each, "cache_clear"):
                each.cache_clear()


def _codes(code: CodeType) -> Iterator[tuple[str, CodeType]]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each.co_qualname, each
            yield from _codes(each)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions and methods that a module's own source defines by name."""
    own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
    for each in own:
        methods = vars(each).values() if isinstance(each, type) else ()
        for found in map(_bare, (each, *methods)):
            if isinstance(found, FunctionType) and found.__code__.co_filename == module.__file__:
                yield found


def _bare(found: Any) -> Any:
    """Take off what decorators put around a function."""
    for inside in ("__func__", "fget", "func", "__wrapped__"):
        while hasattr(found, inside):
            found = getattr(found, inside)
    return found


MUTANTS = (
    Mutant(
        "the job's name comes from the clock",
        CORE + "domain/names.py",
        (
            (
                'return f"{stack}-{run}-a{attempt}"',
                "return f\"{stack}-{run}-a{__import__('time').time_ns()}\"",
            ),
        ),
    ),
    Mutant(
        "a run is written without its version",
        CORE + "adapters/dynamodb.py",
        (
            (
                '            "ConditionExpression": "version = :version",\n',
                '            "ConditionExpression": "version > :version OR attribute_exists(id)",\n',
            ),
        ),
        shown_by={"write_report r1: write": 4},
    ),
    Mutant(
        "money is reserved outside the transaction",
        CORE + "adapters/dynamodb.py",
        (
            ('            *({"Update": self._reserve(charge)} for charge in reserved),\n', ""),
            (
                "        for pause in (*CONFLICT_PAUSES, None):\n",
                "        for charge in reserved:\n"
                "            self._open_month(charge.month)\n"
                "            self._client.update_item(**self._reserve(charge))\n"
                "        for pause in (*CONFLICT_PAUSES, None):\n",
            ),
        ),
    ),
    Mutant(
        "nobody looks for models without a run",
        CORE + "steps/reconcile.py",
        (('            "deleted": self._delete_models,\n', ""),),
        shown_by={"story: remains of an unknown run": 1},
    ),
    Mutant(
        "nobody looks for jobs without a run",
        CORE + "steps/reconcile.py",
        (('            "stopped": self._stop_jobs,\n', ""),),
        shown_by={"story: remains of an unknown run": 2},
    ),
    Mutant(
        "the alias is written before the evaluation",
        "functions/evaluate_model/app.py",
        (
            (
                "    publish = PublishAlias(",
                "    model = application.runs.get(run_id)\n"
                "    if model and model.deployment and model.deployment.model_arn:\n"
                '        application.aliases.put(f"/{application.settings.stack}/models/{model.dataset}", '
                "model.deployment.model_arn)\n"
                "    publish = PublishAlias(",
            ),
        ),
    ),
    Mutant(
        "a notice is sent by whoever comes",
        CORE + "steps/tell.py",
        (("if run.notices[run.status].claimed_by != self.token:", "if not self.token:"),),
        shown_by={"TRAINING (entered) of r1 to notify": 1, "notify r1: publish": 4},
    ),
    Mutant(
        "a claimed notice is not claimed again",
        CORE + "domain/decide.py",
        (("if notice is None or now - notice.claimed_at >= NOTICE_LEASE:", "if notice is None:"),),
        shown_by={"story: files of r1": 2, "notify r1: put_item": 8},
    ),
    Mutant(
        "a new status is not announced",
        CORE + "domain/decide.py",
        (('        "change": Change.ENTERED,\n', '        "change": Change.PROGRESS,\n'),),
        reconciled=False,
    ),
    Mutant(
        "the import slot is kept",
        CORE + "domain/decide.py",
        (
            (
                "model_arn, now, claims=run.claims - {names.IMPORT_SLOT})",
                "model_arn, now, claims=run.claims)",
            ),
        ),
    ),
    Mutant(
        "the files of a run that failed stay claimed",
        CORE + "domain/decide.py",
        (
            (
                "    claims = frozenset[str]() if status in TRY_AGAIN else run.claims - {names.IMPORT_SLOT}\n",
                "    claims = run.claims - {names.IMPORT_SLOT}\n",
            ),
        ),
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 2,
            "story: how r1 ends training, 1": 2,
            "story: files of r2": 1,
        },
    ),
    Mutant(
        "an import is started without the slot",
        CORE + "domain/decide.py",
        (
            (
                "    return Effect.START_IMPORT if names.IMPORT_SLOT in run.claims else Effect.TAKE_IMPORT_SLOT\n",
                "    return Effect.START_IMPORT\n",
            ),
        ),
    ),
    Mutant(
        "a claim is taken whoever holds it",
        CORE + "adapters/dynamodb.py",
        (
            (
                '            "Item": _claim(claim, run_id),\n            "ConditionExpression": "attribute_not_exists(id) OR holder IN (:run, :nobody)",\n',
                '            "Item": _claim(claim, run_id),\n            "ConditionExpression": "attribute_not_exists(id) OR attribute_exists(holder)",\n',
            ),
        ),
        shown_by={"story: more drops": 2},
    ),
    Mutant(
        "a job that completed keeps its reservation",
        CORE + "domain/decide.py",
        (
            (
                "return _enter(run, RunStatus.DEPLOYING, now, training=training, charges=charges)",
                "return _enter(run, RunStatus.DEPLOYING, now, training=training)",
            ),
        ),
    ),
    Mutant(
        "a run that failed forgets the job that it may have",
        CORE + "domain/decide.py",
        (
            (
                "    if run.charge:\n        # A run that ended",
                "    if run.charge and not run.charge:\n        # A run that ended",
            ),
        ),
        shown_by={"story: a policy denies": 1},
    ),
    Mutant(
        "a champion's model is given up like a former one's",
        CORE + "domain/alias.py",
        (
            (
                "        if self.champion is None or self.champion.run_id == run_id:\n",
                "        if self.champion is None:\n",
            ),
        ),
        shown_by={"story: models of others": 2, "story: more drops": 2, "story: dataset of r2": 1},
    ),
    Mutant(
        "a promotion does not ask who is champion",
        CORE + "domain/alias.py",
        (
            (
                "        return champion == promotion.instead_of and promotion.request not in",
                "        return bool(champion or True) and promotion.request not in",
            ),
        ),
        shown_by={
            "story: more drops": 2,
            "story: wishes": 2,
            "story: rivals of r2": 1,
            "wish 1 of r1 to promote_model": 4,
        },
    ),
    Mutant(
        "an approval is honoured after its lapse",
        CORE + "domain/decide.py",
        (
            (
                "        case Approved() | ApprovalRefused() if _lapses(run, now):\n",
                "        case Approved() | ApprovalRefused() if not run.approval:\n",
            ),
        ),
        shown_by={"story: approval asked": 1, "story: who answers for r1": 3},
    ),
    Mutant(
        "another attempt has the whole budget",
        CORE + "domain/decide.py",
        (
            (
                "        left = _within_budget(plan.for_attempt(attempt), charges)\n",
                "        left: Plan | None = plan.for_attempt(attempt)\n",
            ),
        ),
        shown_by={"story: budget of r1": 1, "story: how r1 ends training, 1": 3},
    ),
    Mutant(
        "an attempt that was refused is not looked after",
        CORE + "domain/decide.py",
        (("            if _refused_before(run):\n                return (Effect.SETTLE,)\n", ""),),
        shown_by={"story: no quota at first": 1},
    ),
    Mutant(
        "a job that exists already ends the run",
        CORE + "adapters/sagemaker.py",
        (
            (
                "                    return self._adopt(request)\n",
                "                    raise RequestRefusedError(failures.message(error)) from error\n",
            ),
        ),
        shown_by={"launch_training r1: put_item #2": 3},
    ),
    Mutant(
        "rows are read from the newest version",
        CORE + "steps/drop_source.py",
        (
            (
                "        return self._drops.blocks(self._files[file.name], start, end)\n",
                "        pinned = self._files[file.name]\n"
                "        newest = next(each for each in self._drops.files(self._dataset) if each.key == pinned.key)\n"
                "        return self._drops.blocks(newest, start, end)\n",
            ),
        ),
        shown_by={"story: validated and evaluated in parts": 1, "story: more drops": 3, "story: r4 is overwritten": 1},
    ),
    Mutant(
        "a drop whose event is lost stays lost",
        CORE + "steps/reconcile.py",
        (('            "started": self._start_drops,\n', ""),),
        shown_by={"drop of r1 to plan_run": 5},
    ),
    Mutant(
        "a run that lies idle is left alone",
        CORE + "domain/decide.py",
        (
            (
                "    return run.next_try_at <= now if run.next_try_at else now - run.updated_at >= _idle(run)\n",
                "    return bool(run.next_try_at and run.next_try_at <= now)\n",
            ),
        ),
        shown_by={"story: more drops": 2, "story: dataset of r2": 1, "launch_training r2: transact_write_items": 8},
    ),
    Mutant(
        "a wait never ends",
        CORE + "domain/decide.py",
        (
            (
                "    return run.next_try_at <= now if run.next_try_at else now - run.updated_at >= _idle(run)\n",
                "    return not run.next_try_at and now - run.updated_at >= _idle(run)\n",
            ),
        ),
        shown_by={"evaluate_model r1: write #3": 1},
    ),
    Mutant(
        "who meets another writer gives up",
        CORE + "steps/advance.py",
        (
            (
                "        except VersionConflictError:\n            continue\n",
                "        except VersionConflictError:\n            return None\n",
            ),
        ),
        reconciled=False,
        shown_by={"plan_run r1: transact_write_items": 3},
    ),
    Mutant(
        "a refused drop is told twice, a second status by the first one's notice",
        CORE + "domain/decide.py",
        (
            (
                "    notice = run.notices.get(run.status)\n    return notice is not None and notice.message_id is not None\n",
                "    return any(notice.message_id for notice in run.notices.values())\n",
            ),
        ),
    ),
    Mutant(
        "a settled account is settled again",
        CORE + "domain/budget.py",
        (("each.job_name in open_before and each.cents is not None)", "each.cents is not None)"),),
    ),
    Mutant(
        "a model of a run that was not promoted stays",
        CORE + "domain/decide.py",
        (
            (
                "    unwanted = run.status in RETIRING and run.promotion is None\n",
                "    unwanted = run.status is RunStatus.FAILED and run.promotion is None\n",
            ),
        ),
        shown_by={"story: how good r1 is": 1},
    ),
    Mutant(
        "a deletion that fails is tried for ever",
        CORE + "domain/decide.py",
        (("    if denials < DELETIONS:\n", "    if denials:\n"),),
        shown_by={"story: how good r1 is": 1, "story: deletions fail": 1},
    ),
    Mutant(
        "who was told of the end is not told what is left",
        CORE + "domain/decide.py",
        (
            (
                "**{name: left}, next_try_at=None, notices=_untold(run))\n",
                "**{name: left}, next_try_at=None)\n",
            ),
        ),
        shown_by={"story: how good r1 is": 1, "story: deletions fail": 1},
    ),
    Mutant(
        "a deletion that fails is not counted",
        CORE + "domain/decide.py",
        (
            (
                "    if run.next_try_at is None and (due := _deletion_due(run)):\n",
                "    if run.next_try_at and (due := _deletion_due(run)):\n",
            ),
        ),
        shown_by={"story: how good r1 is": 1, "story: deletions fail": 1},
    ),
    Mutant(
        "nobody looks for endpoints without a run",
        CORE + "steps/reconcile.py",
        (('            "taken down": self._take_endpoints_down,\n', ""),),
        shown_by={"story: remains of an unknown run": 3},
    ),
    Mutant(
        "nobody stops judges without a run",
        CORE + "steps/reconcile.py",
        (('            "silenced": self._stop_judges,\n', ""),),
        shown_by={"story: remains of an unknown run": 4},
    ),
    Mutant(
        "endpoints outlive their time",
        CORE + "steps/reconcile.py",
        (('            "unused": self._retire_unused,\n', ""),),
        shown_by={"story: how r1 is served": 2, "story: a week passes": 1},
    ),
    Mutant(
        "the configuration goes last",
        CORE + "adapters/endpoints.py",
        (
            (
                '        for kind in ("EndpointConfig", "Model"):\n',
                '        for kind in ("Model", "EndpointConfig"):\n',
            ),
        ),
        shown_by={"story: remains of an unknown run": 3, "reconcile_runs tick: delete_endpoint_config": 2},
    ),
    Mutant(
        "an endpoint that is in service is not scaled",
        CORE + "adapters/endpoints.py",
        (("        self._scale(wanted)\n", ""),),
        shown_by={"story: how r1 is served": 1},
    ),
    Mutant(
        "the alarms of an endpoint stay",
        CORE + "adapters/endpoints.py",
        (
            (
                "            for alarm in (wake_alarm_name(name), error_alarm_name(name)):\n",
                "            for alarm in (wake_alarm_name(name),):\n",
            ),
        ),
        shown_by={"story: how r1 is served": 1, "story: how good r1 is": 1},
    ),
    Mutant(
        "a component counts as in service while it comes",
        CORE + "adapters/endpoints.py",
        (
            (
                '        if component["InferenceComponentStatus"] != "InService":\n',
                '        if component["InferenceComponentStatus"] == "Failed":\n',
            ),
        ),
        shown_by={
            "story: how r1 is served": 1,
            "story: how r1's component comes, 1": 2,
            "DEPLOYING (due) of r1 to deploy_model": 2,
        },
    ),
    Mutant(
        "an instance that AWS lacks ends the run",
        CORE + "steps/endpoint.py",
        (("        if problem.code != CAPACITY:\n", "        if problem.code:\n"),),
        shown_by={"story: how r1 is served": 1, "story: how r1's endpoint comes, 1": 1},
    ),
    Mutant(
        "who clears what failed takes all of it down",
        CORE + "steps/endpoint.py",
        (("        endpoints.clear(name)\n", "        endpoints.take_down(name)\n"),),
        shown_by={
            "story: how r1 is served": 1,
            "story: how r1's endpoint comes, 1": 1,
            "DEPLOYING (due) of r1 to deploy_model": 1,
            "endpoint Deleting of r1 to track_deployment": 3,
            "deploy_model r1: delete_endpoint_config": 5,
        },
    ),
    Mutant(
        "the base model's endpoint stays",
        CORE + "domain/decide.py",
        (
            (
                "    return run.base is not None and not run.base.deleted and not run.base.left\n",
                "    return run.base is not None and run.base.deleted and not run.base.left\n",
            ),
        ),
        shown_by={"story: where the base of r1 answers": 1},
    ),
    Mutant(
        "a base model is waited for whatever comes",
        CORE + "domain/decide.py",
        (
            (
                "retry_after=delay) if run.base and now - run.base.since < LONGEST_BASE_WAIT:\n",
                "retry_after=delay) if run.base:\n",
            ),
        ),
        shown_by={"story: where the base of r1 answers": 1, "story: no instances for endpoints": 2},
    ),
    Mutant(
        "an endpoint is woken for ever",
        CORE + "domain/decide.py",
        (("    if since is None or now - since < LONGEST_WAKE:\n", "    if since is None or now >= since:\n"),),
        shown_by={
            "story: how r1 is served": 2,
            "story: endpoints are wanted again": 1,
            "story: no instances for endpoints": 3,
        },
    ),
    Mutant(
        "whoever is woken stays given up",
        CORE + "domain/decide.py",
        (('    again = {"retirement": "", "deleted": False,', '    again = {"retirement": "", "deleted": True,'),),
        shown_by={"story: how r1 is served": 2, "story: endpoints are wanted again": 1},
    ),
    Mutant(
        "an alarm takes back what has stood for long",
        CORE + "domain/decide.py",
        (("or promotion.by == ALARM or now - promotion.at >= BAKE_TIME:", "or promotion.by == ALARM:"),),
        shown_by={"story: how r1 is served": 1, "story: the champion fails": 3},
    ),
    Mutant(
        "what an alarm has put there is taken back by another",
        CORE + "domain/decide.py",
        (("    if promotion is None or promotion.by == ALARM or now", "    if promotion is None or now"),),
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 2,
            "story: rivals of r2": 1,
            "story: how r1 is served": 1,
            "story: how r2 is served": 1,
            "story: the champion fails": 2,
        },
    ),
    Mutant(
        "a champion that fails is told to nobody",
        CORE + "domain/decide.py",
        (
            (
                "    return {status: each for status, each in run.notices.items() if status not in again}\n",
                "    return {**run.notices, **dict.fromkeys(())} if again else run.notices\n",
            ),
        ),
        shown_by={"story: how r1 is served": 1, "story: the champion fails": 1},
    ),
    Mutant(
        "a judge that is silent costs the promotion",
        CORE + "domain/decide.py",
        (
            (
                "            return _judged(run, run.evaluation, now, failure=reason)\n",
                '            return _judged(run, run.evaluation.model_copy(update={"passed": False}), now, failure=reason)\n',
            ),
        ),
        shown_by={"story: who grades r1": 1, "story: how a judge of r1 ends, c1": 1},
    ),
    Mutant(
        "a judge is waited for whatever comes",
        CORE + "domain/decide.py",
        ((" or now - judgement.since < judge.PATIENCE:\n", " or now >= judgement.since:\n"),),
        shown_by={"story: who grades r1": 1, "story: how a judge of r1 ends, c1": 4},
    ),
    Mutant(
        "a judge's job is called anew at each try",
        CORE + "domain/names.py",
        (
            (
                "return f\"{stack.lower()}-{run}-{'c' if side == 'candidate' else 'r'}{attempt}\"",
                "return f\"{stack.lower()}-{run}-{'c' if side == 'candidate' else 'r'}{__import__('time').time_ns()}\"",
            ),
        ),
        shown_by={
            "story: who grades r1": 1,
            "evaluate_model r1: create_evaluation_job": 7,
            "evaluate_model r1: create_evaluation_job #2": 7,
        },
    ),
    Mutant(
        "nobody is asked for approval",
        CORE + "domain/decide.py",
        (("    if cheap or plan.approval is None:\n", "    if cheap or plan:\n"),),
        shown_by={"story: approval asked": 1},
    ),
    Mutant(
        "jobs are settled as if they had cost nothing",
        CORE + "domain/decide.py",
        (('{"cents": job_cents(training, each.usd_per_hour, now)}', '{"cents": 0}'),),
    ),
    Mutant(
        "a job is charged to the month in which its run was made",
        CORE + "domain/decide.py",
        (("        month=budget.month_of(now),\n", "        month=budget.month_of(run.created_at),\n"),),
        shown_by={"story: the month is about to end": 1, "story: approval asked": 1},
    ),
    Mutant(
        "a job is charged to the month in which it ends",
        CORE + "domain/decide.py",
        (
            (
                '{"cents": job_cents(training, each.usd_per_hour, now)}',
                '{"month": budget.month_of(now), "cents": job_cents(training, each.usd_per_hour, now)}',
            ),
        ),
        shown_by={"story: the month is about to end": 1},
    ),
    Mutant(
        "tries for capacity follow at once",
        CORE + "domain/capacity.py",
        (
            (
                "    return timedelta(seconds=round(wait.total_seconds() * (0.75 + share / 4)))\n",
                "    return timedelta(seconds=round(wait.total_seconds() * (0.75 + share / 4) * 0))\n",
            ),
        ),
        shown_by={"story: no capacity for training": 1},
    ),
    Mutant(
        "the pauses between tries do not grow",
        CORE + "domain/capacity.py",
        (
            (
                "    wait = min(FIRST_PAUSE * 2**doublings, LONGEST_PAUSE)\n",
                "    wait = min(FIRST_PAUSE * 1**doublings, LONGEST_PAUSE)\n",
            ),
        ),
        shown_by={"story: no capacity for training": 1},
    ),
    Mutant(
        "what a run waits for is tried all the same",
        CORE + "domain/decide.py",
        (("    if run.next_try_at and run.next_try_at > now:\n", "    if run.next_try_at and not run.status:\n"),),
        shown_by={"story: no capacity for training": 1},
    ),
    Mutant(
        "capacity is looked for as long as there is none",
        CORE + "domain/capacity.py",
        (
            (
                "    return latest.ended_at - first.ended_at < GIVE_UP_AFTER\n",
                "    return first.ended_at <= latest.ended_at\n",
            ),
        ),
        shown_by={"story: no capacity for training": 2},
    ),
    Mutant(
        "AWS is forgiven every failure of its own",
        CORE + "domain/capacity.py",
        ((" <= FAULTS_FORGIVEN\n", " <= len(failed)\n"),),
        shown_by={"story: how r1 ends training, 1": 3, "story: how r1 ends training, 2": 3},
    ),
    Mutant(
        "a refused attempt is settled while its job runs",
        CORE + "domain/decide.py",
        (
            (
                "    if training.status in ENDED:\n        return _change(run, now, charges=_settled(run, training, now))\n    return _waited(",
                "    if training.status:\n        return _change(run, now, charges=_settled(run, training, now))\n    return _waited(",
            ),
        ),
        shown_by={
            "story: no quota at first": 1,
            "LAUNCHING (entered) of r1 to launch_training": 1,
            "launch_training r1: create_training_job": 5,
        },
    ),
    Mutant(
        "the cap is not looked at",
        CORE + "adapters/dynamodb.py",
        (
            (
                '"ConditionExpression": "committed <= :room",',
                '"ConditionExpression": "attribute_exists(id) OR committed <= :room",',
            ),
        ),
        shown_by={
            "story: a monthly cap": 1,
            "story: more drops": 2,
            "story: dataset of r2": 1,
            "story: when r3 is dropped": 1,
        },
    ),
    Mutant(
        "a wish is granted whoever is champion by now",
        "functions/promote_model/app.py",
        (
            (
                "            asked.instead_of or None,\n",
                "            (application.runs.alias(asked.dataset).champion or run).run_id,\n",
            ),
        ),
        shown_by={
            "story: more drops": 2,
            "story: wishes": 2,
            "story: rivals of r2": 1,
            "wish 1 of r1 to promote_model": 4,
        },
    ),
    Mutant(
        "the jobs of runs that go on are stopped, too",
        CORE + "steps/reconcile.py",
        (
            (
                "        followed = run and not run.status.terminal and run.attempt == names.attempt_of_training_job(job_name)\n",
                '        followed = run and run.status == "TRAINING" and run.attempt == names.attempt_of_training_job(job_name)\n',
            ),
        ),
        shown_by={"launch_training r1: put_item #2": 6},
    ),
    Mutant(
        "the job of an attempt that was given up runs on",
        CORE + "steps/reconcile.py",
        (
            (
                "        followed = run and not run.status.terminal and run.attempt == names.attempt_of_training_job(job_name)\n",
                "        followed = run and not run.status.terminal\n",
            ),
        ),
        shown_by={
            "story: no quota at first": 1,
            "LAUNCHING (entered) of r1 to launch_training": 1,
            "launch_training r1: create_training_job": 5,
            "story: how long r1 trains, 1": 2,
        },
    ),
    Mutant(
        "the same files are nobody's",
        CORE + "domain/decide.py",
        (
            (
                "            claims = run.claims | {names.drop_claim(plan.fingerprint)}\n",
                "            claims = run.claims\n",
            ),
        ),
        shown_by={"story: more drops": 1, "story: files of r2": 1},
    ),
    *(
        Mutant(
            f"that a run is {status} is not announced",
            CORE + "domain/decide.py",
            (
                (
                    '        "change": Change.ENTERED,\n',
                    f'        "change": Change.PROGRESS if status == "{status}" else Change.ENTERED,\n',
                ),
            ),
            shown_by=story,
        )
        for status, story in {
            "VALIDATING": {},
            "LAUNCHING": {},
            "TRAINING": {},
            "DEPLOYING": {"story: how r1 is served": 1},
            "EVALUATING": {},
            "PROMOTED": {},
        }.items()
    ),
    Mutant(
        "who runs out of time says so to nobody",
        CORE + "domain/decide.py",
        (
            (
                "            return _change(run, now, change=Change.DUE, evaluated_rows=answered)\n",
                "            return _change(run, now, evaluated_rows=answered)\n",
            ),
        ),
        reconciled=False,
        shown_by={
            "evaluate_model r1: ask": 6,
            **{f"evaluate_model r1: ask #{number}": 5 for number in range(2, 6)},
        },
    ),
    Mutant(
        "that there is another champion is announced to nobody",
        CORE + "domain/decide.py",
        (
            (
                "            return _change(run, now, change=Change.DUE, reason=reason, **again)\n",
                "            return _change(run, now, reason=reason, **again)\n",
            ),
        ),
        reconciled=False,
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 1,
            "story: how long r1 is imported": 2,
            "story: how long r2 is imported": 1,
            "evaluate_model r1: ask": 6,
        },
    ),
    Mutant(
        "a former champion makes room that users are still led to",
        CORE + "steps/champions.py",
        (("        return ended if published else None\n", "        return ended if published or ended else ended\n"),),
        shown_by={
            "story: models of others": 1,
            "story: more drops": 2,
            "story: when r3 is dropped": 2,
            "story: rivals of r2": 1,
            "story: how long r2 is imported": 2,
            "evaluate_model r2: put_parameter": 3,
        },
    ),
    Mutant(
        "what earlier attempts have cost is forgotten",
        CORE + "domain/decide.py",
        (("    return sum(each.cents or 0 for each in charges)\n", "    return sum(0 for each in charges)\n"),),
        shown_by={"story: budget of r1": 1, "story: how r1 ends training, 1": 3},
    ),
    Mutant(
        "what a job runs on after its limit is not reserved",
        CORE + "domain/budget.py",
        (
            (
                "    return cents(usd_per_hour * ((max_runtime + STOP_GRACE) / timedelta(hours=1)))\n",
                "    return cents(usd_per_hour * (max_runtime / timedelta(hours=1)))\n",
            ),
        ),
        shown_by={
            "story: budget of r1": 1,
            "story: how r1 ends training, 1": 3,
            "story: how long r1 trains, 2": 2,
        },
    ),
    Mutant(
        "a budget buys time up to its last cent",
        CORE + "domain/budget.py",
        (
            (
                "    return max(timedelta(0), timedelta(seconds=seconds) - STOP_GRACE)\n",
                "    return max(timedelta(0), timedelta(seconds=seconds))\n",
            ),
        ),
        shown_by={"story: budget of r1": 1, "story: how r1 ends training, 1": 3},
    ),
    Mutant(
        "a launch that was throttled is another attempt",
        CORE + "domain/decide.py",
        (("    if problem.code != capacity.THROTTLED:\n", "    if problem.code:\n"),),
        shown_by={"launch_training r1: create_training_job": 9},
    ),
    Mutant(
        "tune.yaml is read as it is now",
        CORE + "steps/plan.py",
        (
            (
                "self.drops.read(run.drop.key, run.drop.version_id, SIZE_LIMIT)",
                "self.drops.read(run.drop.key, next(each.version_id for each in self.drops.files(run.dataset) if each.key == run.drop.key), SIZE_LIMIT)",
            ),
        ),
        shown_by={"story: more drops": 1, "story: budget of r2": 1},
    ),
    Mutant(
        "the slot is given back as the import begins",
        CORE + "domain/decide.py",
        (
            (
                '            return _change(run, now, deployment=deployment, reason="", next_try_at=None)\n',
                '            return _change(run, now, deployment=deployment, reason="", next_try_at=None, claims=run.claims - {names.IMPORT_SLOT})\n',
            ),
        ),
        shown_by={"story: more drops": 1, "story: dataset of r2": 1},
    ),
    Mutant(
        "an alias is written over whatever was written meanwhile",
        CORE + "adapters/dynamodb.py",
        (
            (
                '            "ConditionExpression": "attribute_not_exists(id) OR version = :version",\n            "ExpressionAttributeValues": {":version": {"N": str(alias.version)}},\n',
                '            "ConditionExpression": "attribute_not_exists(id) OR version >= :version",\n            "ExpressionAttributeValues": {":version": {"N": str(0 * alias.version)}},\n',
            ),
        ),
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 1,
            "story: how long r1 is imported": 2,
            "story: how long r2 is imported": 1,
            "evaluate_model r1: transact_write_items": 6,
        },
    ),
    Mutant(
        "runs are read as they may have been",
        CORE + "adapters/dynamodb.py",
        (('Key=_key(f"{RUN}{run_id}"), ConsistentRead=True)', 'Key=_key(f"{RUN}{run_id}"))'),),
        reconciled=False,
        shown_by={"validate_dataset r1: stale get_item run r1": 1},
    ),
    Mutant(
        "aliases are read as they may have been",
        CORE + "adapters/dynamodb.py",
        (
            (
                '        key = _key(f"alias#{dataset}")\n        with failures.transient():\n            answer = self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)\n',
                '        key = _key(f"alias#{dataset}")\n        with failures.transient():\n            answer = self._client.get_item(TableName=self._table, Key=key)\n',
            ),
        ),
        reconciled=False,
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 2,
            "story: rivals of r2": 1,
            "evaluate_model r2: stale get_item alias receipts #3": 1,
            "evaluate_model r2: stale get_item alias receipts #4": 1,
        },
    ),
    Mutant(
        "a wish is granted for a model that is about to go",
        CORE + "domain/decide.py",
        (("    if run.deployment.retirement:\n        return f", "    if run.deployment.deleted:\n        return f"),),
        shown_by={
            "story: how good r1 is": 1,
            "story: who hears of r1 wants it": 1,
            "deploy_model r1: delete_imported_model": 5,
        },
    ),
    Mutant(
        "a wait counts from the run's beginning",
        CORE + "domain/decide.py",
        (
            (
                "    if now - run.entered_at < LONGEST_WAIT:\n        return _wait(",
                "    if now - run.created_at < LONGEST_WAIT:\n        return _wait(",
            ),
        ),
        shown_by={"story: approval asked": 1, "story: somebody else imports": 2},
    ),
    Mutant(
        "who has made room makes it again",
        CORE + "domain/decide.py",
        (
            (
                '            return _unavailable(run.model_copy(update={"room_from": None}), wait, now)\n',
                "            return _unavailable(run, wait, now)\n",
            ),
        ),
        shown_by={
            "story: models of others": 1,
            "story: more drops": 2,
            "story: when r3 is dropped": 2,
            "story: rivals of r2": 1,
        },
    ),
    Mutant(
        "the base model's endpoint stays while the judge reads",
        CORE + "domain/decide.py",
        (
            (
                "        if _base_due_down(run) and not (run.base and run.base.denials):\n"
                "            yield Effect.TAKE_BASE_DOWN\n        yield Effect.HEAR_JUDGE",
                "        yield Effect.HEAR_JUDGE",
            ),
        ),
        shown_by={
            "story: where the base of r1 answers": 1,
            "story: who grades r1": 1,
            "story: how a judge of r1 ends, c1": 4,
        },
    ),
    Mutant(
        "candidate and rival are graded by one job",
        CORE + "domain/names.py",
        (
            (
                "return f\"{stack.lower()}-{run}-{'c' if side == 'candidate' else 'r'}{attempt}\"",
                "return f\"{stack.lower()}-{run}-{side and 'c'}{attempt}\"",
            ),
        ),
        shown_by={"story: who grades r1": 1},
    ),
    Mutant(
        "grades are read when one of two judges is ready",
        CORE + "steps/judge.py",
        (("        if any(state and state.status ==", "        if all(state and state.status =="),),
        shown_by={"story: who grades r1": 1, "story: how a judge of r1 ends, r1": 5},
    ),
    Mutant(
        "another judgement has the jobs of the first",
        CORE + "domain/decide.py",
        (
            (
                '"over": False, "jobs": (), "attempt": run.judgement.attempt + 1}',
                '"over": False, "jobs": (), "attempt": run.judgement.attempt}',
            ),
        ),
        shown_by={**BETWEEN_CHAMPIONS, "story: who grades r2": 1},
    ),
    Mutant(
        "a judgement stands though the champion is another",
        CORE + "domain/decide.py",
        (('"judgement": _judged_anew(run)}', '"judgement": run.judgement}'),),
        shown_by={**BETWEEN_CHAMPIONS, "story: who grades r2": 1},
    ),
    Mutant(
        "stored answers are a side's, whichever model gave them",
        CORE + "steps/ask_rows.py",
        (
            (
                'return f"{side}-{hashlib.sha256(model_id.encode()).hexdigest()[:8]}-"',
                'return f"{side}-{model_id and hashlib.sha256(side.encode()).hexdigest()[:8]}-"',
            ),
        ),
        shown_by={**BETWEEN_CHAMPIONS, "story: who grades r2": 1},
    ),
    Mutant(
        "the comparison names who is champion at its end",
        CORE + "steps/evaluate.py",
        (
            (
                "        if isinstance(seen, Scored) and champion:\n",
                "        champion = self.runs.alias(run.dataset).champion if champion else None\n"
                "        if isinstance(seen, Scored) and champion:\n",
            ),
        ),
        shown_by={
            "story: more drops": 2,
            "story: when r2 is dropped": 2,
            "story: when r3 is dropped": 2,
            "story: rivals of r3": 1,
            "story: how long r3 is imported": 1,
            "evaluate_model r2: ask": 6,
        },
    ),
    Mutant(
        "a former champion is kept from its promotion on",
        CORE + "steps/champions.py",
        (
            (
                "                yield max(ended, run.deployment.waking_since or ended), run\n",
                "                yield (run.promotion.at if run.promotion else ended), run\n",
            ),
        ),
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 3,
            "story: rivals of r2": 1,
            "story: a week passes": 1,
        },
    ),
    Mutant(
        "all former champions make room for one model",
        CORE + "steps/champions.py",
        (("            if kept.run_id == run.room_from:\n", "            if run.room_from:\n"),),
        shown_by={
            "story: more drops": 3,
            "story: when r3 is dropped": 2,
            "story: when r4 is dropped": 3,
            "story: rivals of r2": 1,
            "story: rivals of r3": 1,
        },
    ),
    Mutant(
        "the same files in another dataset are the same drop",
        CORE + "domain/names.py",
        (("    lines = [dataset, *(", "    lines = [*("),),
        shown_by={"story: more drops": 1, "story: dataset of r2": 1, "story: files of r2": 1},
    ),
    Mutant(
        "that an endpoint is unused is told to nobody",
        CORE + "steps/reconcile.py",
        (('for {hours:g} hours.", told=True)', 'for {hours:g} hours.", told=False)'),),
        shown_by={"story: how r1 is served": 2, "story: a week passes": 1},
    ),
    Mutant(
        "that an endpoint does not come back is told to nobody",
        CORE + "domain/decide.py",
        (('{NO_WAKE}{problem}", now, told=True)', '{NO_WAKE}{problem}", now, told=False)'),),
        shown_by={
            "story: how r1 is served": 2,
            "story: endpoints are wanted again": 1,
            "story: how r1's component comes, 2": 3,
        },
    ),
    Mutant(
        "who cannot be woken is waited for",
        CORE + "domain/decide.py",
        (
            (
                "            if run.deployment and run.deployment.waking:\n",
                "            if run.deployment and not run.deployment:\n",
            ),
        ),
        shown_by={
            "story: how r1 is served": 2,
            "story: endpoints are wanted again": 1,
            "story: how r1's component comes, 2": 3,
        },
    ),
    Mutant(
        "an endpoint that was never promoted is woken",
        CORE + "domain/decide.py",
        ((" is not ServeTarget.ENDPOINT or run.promotion is None:\n", " is not ServeTarget.ENDPOINT:\n"),),
        shown_by={"story: how r1 is served": 2, "story: endpoints are wanted again": 1, "story: how good r1 is": 1},
    ),
    Mutant(
        "a workflow that failed is not started again",
        CORE + "steps/executions.py",
        (
            (
                "        if not failed(execution) or (hopeless and execution.error == hopeless):\n",
                "        if not failed(execution) or execution.error != hopeless:\n",
            ),
        ),
        shown_by={
            "story: validated and evaluated in parts": 1,
            "scan_range r1: read": 2,
            "scan_range r1: read #2": 2,
            "scan_range r1: read #3": 2,
            "scan_range r1: read #4": 2,
        },
    ),
    Mutant(
        "a person's champion is retired as one that was not promoted",
        CORE + "domain/decide.py",
        (
            (
                "    unwanted = run.status in RETIRING and run.promotion is None\n",
                "    unwanted = run.status in RETIRING and not (run.promotion and not run.promotion.published)\n",
            ),
        ),
        shown_by={
            "story: how good r1 is": 1,
            "story: who hears of r1 wants it": 1,
            "NOT_PROMOTED (entered) of r1 to deploy_model": 3,
        },
    ),
    Mutant(
        "what a stopped job left is deployed",
        CORE + "domain/decide.py",
        (
            (
                '                case "Completed":\n',
                '                case "Completed" | "Stopped" if training.artifact_uri:\n',
            ),
        ),
        shown_by={"story: how r1 ends training, 1": 5},
    ),
    Mutant(
        "the jobs of another stack are stopped whose name begins as this one's",
        CORE + "domain/names.py",
        (
            (
                "    match = _JOB_NAME.fullmatch(job_name)\n"
                '    return match["run_id"] if match and match["stack"] == stack else None\n',
                "    match = _JOB_NAME.fullmatch(job_name)\n"
                '    return match["run_id"] if match and match["stack"].startswith(stack) else None\n',
            ),
        ),
        shown_by={"story: remains of an unknown run": 5},
    ),
    Mutant(
        "a job that Describe does not know yet is missing",
        CORE + "domain/decide.py",
        (("        case JobMissing() if now - run.entered_at >= MISSING_JOB:", "        case JobMissing():"),),
        shown_by={"track_training r1: stale describe_training_job": 1},
    ),
    Mutant(
        "a job of another request under our name is taken for ours",
        CORE + "adapters/sagemaker.py",
        ((".get(REQUEST_HASH_TAG) != wanted:", ".get(REQUEST_HASH_TAG, wanted) == '':"),),
        shown_by={"story: somebody's job is called as that of r1": 1},
    ),
    Mutant(
        "who waits for a job's name to be free loses the room that is reserved",
        CORE + "domain/decide.py",
        (
            (
                "    return _waited(run, observation.reason, observation.retry_after, now, claims=claims)\n",
                "    charges = tuple(each for each in run.charges if each.cents is not None)\n"
                "    return _waited(\n"
                "        run, observation.reason, observation.retry_after, now, claims=claims, charges=charges\n"
                "    )\n",
            ),
        ),
        shown_by={"launch_training r1: create_training_job": 10, "launch_training r1: stale describe_training_job": 1},
    ),
    Mutant(
        "a month that somebody has opened is opened anew",
        CORE + "adapters/dynamodb.py",
        (('Item=item, ConditionExpression="attribute_not_exists(id)"', "Item=item"),),
        shown_by={"story: more drops": 1, "story: dataset of r2": 1, "launch_training r1: put_item": 4},
    ),
    Mutant(
        "a model is deleted before its import has ended",
        CORE + "steps/deploy.py",
        (('if state and state.status == "InProgress":', 'if state and state.status == "Starting":'),),
        shown_by={"story: how long r1 is imported": 3},
    ),
    Mutant(
        "a second promotion of the same run is not written to the alias",
        CORE + "domain/alias.py",
        (
            (
                "    return after.promotion if after.promotion and after.promotion.request != known else None\n",
                "    return after.promotion if after.promotion and known is None else None\n",
            ),
        ),
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 2,
            "story: rivals of r2": 1,
            "story: how r2 is served": 1,
            "story: the champion fails": 1,
        },
    ),
    Mutant(
        "a promotion is over before its alias is written",
        CORE + "domain/decide.py",
        (
            (
                "    left = _rollback_due(run) or _publication_due(run) or _report_due(run)",
                "    left = _rollback_due(run) or _report_due(run)",
            ),
        ),
        shown_by={
            "story: more drops": 1,
            "story: rivals of r2": 1,
            "story: wishes": 1,
            "promote_model r1: put_parameter": 3,
        },
    ),
    Mutant(
        "the first champion comes back instead of the former one",
        CORE + "domain/alias.py",
        (
            (
                "        return self.history[-2] if len(self.history) > 1 else None",
                "        return self.history[0] if len(self.history) > 1 else None",
            ),
        ),
        shown_by={
            "story: more drops": 2,
            "story: when r3 is dropped": 2,
            "story: rivals of r2": 1,
            "story: rivals of r3": 1,
            "story: how r3 is served": 1,
            "story: the champion fails": 1,
        },
    ),
    Mutant(
        "a champion that failed comes back for one that fails",
        CORE + "steps/champions.py",
        (
            (
                "fit = former is not None and former.rollback is None and former.run_id != run.run_id",
                "fit = former is not None and former.run_id != run.run_id",
            ),
        ),
        shown_by={
            "story: more drops": 1,
            "story: when r2 is dropped": 2,
            "story: rivals of r2": 1,
            "story: how r1 is served": 1,
            "story: how r2 is served": 1,
            "story: the champion fails": 4,
        },
    ),
    Mutant(
        "a champion is young by the end of its run, not by its promotion",
        CORE + "domain/decide.py",
        (("or now - promotion.at >= BAKE_TIME", "or now - run.entered_at >= BAKE_TIME"),),
        shown_by={"story: how r1 is served": 1, "story: wishes": 1, "story: the champion fails": 3},
    ),
    Mutant(
        "the time without calls begins before an endpoint was wanted again",
        CORE + "steps/reconcile.py",
        (("begun = max(created_at, run.deployment.waking_since or created_at)", "begun = created_at"),),
        shown_by={"story: a policy denies": 6, "story: how r1 is served": 2, "story: endpoints are wanted again": 1},
    ),
    Mutant(
        "of the former champions the newest makes room",
        CORE + "steps/champions.py",
        (
            (
                "oldest = min(self.kept(), key=lambda each: each[0], default=None)",
                "oldest = max(self.kept(), key=lambda each: each[0], default=None)",
            ),
        ),
        shown_by={
            "story: more drops": 3,
            "story: when r3 is dropped": 2,
            "story: when r4 is dropped": 3,
            "story: rivals of r2": 1,
            "story: rivals of r3": 1,
        },
    ),
    Mutant(
        "a judge's time begins with the evaluation that came before",
        CORE + "domain/decide.py",
        (
            (
                "run.evaluation is None or now - judgement.since < judge.PATIENCE:",
                "run.evaluation is None or now - run.entered_at < judge.PATIENCE:",
            ),
        ),
        shown_by={
            **{site: choice for site, choice in BETWEEN_CHAMPIONS.items() if site != "story: when r2 is dropped"},
            "story: who grades r2": 1,
            "story: how a judge of r2 ends, c1": 4,
        },
    ),
    Mutant(
        "who wants an endpoint back is not listened to",
        "functions/promote_model/app.py",
        (("first = wanted(served, ", "wanted(served, "),),
        shown_by={"story: how r1 is served": 2, "story: endpoints are wanted again": 1},
    ),
    Mutant(
        "a wish is refused while AWS is busy",
        CORE + "steps/endpoint.py",
        (
            (
                "        except ModelUnavailableError as error:\n            return str(error)\n",
                "        except (ModelUnavailableError, TransientError) as error:\n            return str(error)\n",
            ),
        ),
        shown_by={"story: wishes": 1, "promote_model r1: get_imported_model": 1},
    ),
    Mutant(
        "who is to be compared with the base alone is compared with the champion, too",
        CORE + "steps/evaluate.py",
        (
            (
                'champion = self.runs.alias(run.dataset).champion if "champion" in run.plan.evaluation.against else None',
                "champion = self.runs.alias(run.dataset).champion",
            ),
        ),
        shown_by={"story: more drops": 1, "story: when r2 is dropped": 2, "story: rivals of r2": 1},
    ),
    Mutant(
        "a champion that does not answer is forgotten",
        CORE + "steps/evaluate.py",
        (
            (
                "        if isinstance(seen, Scored) and champion:\n",
                "        if isinstance(seen, Scored) and champion and seen.evaluation.champion:\n",
            ),
        ),
        shown_by={"story: how r1 is served": 2, "story: more drops": 1, "story: when r2 is dropped": 3},
    ),
)
