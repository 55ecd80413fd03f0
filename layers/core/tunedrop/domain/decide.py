"""The one pure core: what a run does next, given what was seen.

Every function of the application loops `decide` → effect → observation → `decide`; every write of a run's record is
the outcome of this function. It reads no clock and touches no network, so that a search can walk all of it.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from tunedrop.domain import approval, budget, capacity, judge, names
from tunedrop.domain.cost import job_cents
from tunedrop.domain.counted_estimate import with_counted_tokens
from tunedrop.domain.diagnosis import diagnose
from tunedrop.domain.observations import (
    AlarmRaised,
    AliasPublished,
    ApprovalRefused,
    Approved,
    BaseDeletionDenied,
    BaseGone,
    BaseMissing,
    BaseNamed,
    BaseSeen,
    CapReached,
    ChampionChanged,
    ClaimRefused,
    DatasetAccepted,
    DatasetRefused,
    DeletionDenied,
    EndpointNamed,
    EndpointSeen,
    ImportSeen,
    ImportSlotWanted,
    ImportStarted,
    JobAccepted,
    JobMissing,
    JobRefused,
    JobSeen,
    JudgeBusy,
    JudgeCalled,
    Judged,
    JudgeSilent,
    Looked,
    ModelDeleted,
    ModelLimitReached,
    NoticeClaimed,
    NoticeSent,
    Nudged,
    Observation,
    PlanMade,
    PlanRefused,
    PromotionRequested,
    PromotionWanted,
    Refused,
    ReportWritten,
    RetirementWanted,
    RolledBack,
    RoomMade,
    RoomWanted,
    Scored,
    ScoringPaused,
    Unavailable,
    WaitOver,
    WakeRequested,
)
from tunedrop.domain.plan import Plan, ServeTarget, TrainingPlan
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import (
    EDGES,
    TERMINAL,
    Approval,
    ApprovalAnswer,
    BaseEndpoint,
    Change,
    DatasetSummary,
    Deployment,
    Evaluation,
    FailedAttempt,
    Judgement,
    Notice,
    Promotion,
    PromotionRefused,
    Rollback,
    Run,
    RunStatus,
    Stage,
    Training,
)


class Effect(StrEnum):
    """Name the idempotent deeds; each function can do a few of them, as its permissions say."""

    PLAN = "plan"
    VALIDATE = "validate"
    RESERVE = "reserve"
    LAUNCH = "launch"
    SETTLE = "settle"
    DESCRIBE_TRAINING = "describe-training"
    MAKE_ROOM = "make-room"
    TAKE_IMPORT_SLOT = "take-import-slot"
    START_IMPORT = "start-import"
    DESCRIBE_IMPORT = "describe-import"
    NAME_ENDPOINT = "name-endpoint"
    BRING_UP = "bring-endpoint-up"
    TAKE_DOWN = "take-endpoint-down"
    NAME_BASE = "name-base-endpoint"
    BRING_BASE_UP = "bring-base-endpoint-up"
    TAKE_BASE_DOWN = "take-base-endpoint-down"
    SCORE = "score"
    CALL_JUDGE = "call-judge"
    HEAR_JUDGE = "hear-judge"
    PROMOTE = "promote"
    PUBLISH_ALIAS = "publish-alias"
    ROLL_BACK = "roll-back"
    RETIRE = "retire"
    DELETE_IMPORT = "delete-import"
    WRITE_REPORT = "write-report"
    CLAIM_NOTICE = "claim-notice"
    SEND_NOTICE = "send-notice"


class Decision(NamedTuple):
    """Hold the run as it shall be, and the effects then due, in order."""

    run: Run
    effects: tuple[Effect, ...]


NOTIFIED = frozenset(
    {
        RunStatus.AWAITING_APPROVAL,
        RunStatus.TRAINING,
        RunStatus.PROMOTED,
        RunStatus.NOT_PROMOTED,
        RunStatus.REJECTED,
        RunStatus.FAILED,
        RunStatus.STOPPED,
    }
)
"""The statuses that a person is told of."""

ROOM_MADE = timedelta(minutes=1)
"""How long a run waits for a former champion's model to be deleted."""

NOTICE_LEASE = timedelta(seconds=45)
"""How long one invocation may take to send a notice: longer than notify's timeout, shorter than a retry's delay."""

NO_WAKE = "It did not come back: "
"""Begins the reason why an endpoint that was to be woken is taken down again."""

LONGEST_WAKE = timedelta(hours=6)
"""How long AWS is asked for an instance of an endpoint that is to be woken."""

NEXT_TICK = timedelta(0)
"""The wait of a run that track_deployment's own schedule wakes."""

IDLE = timedelta(minutes=16)
"""A live run that nobody has written for so long is looked at again: longer than any function may run (15 min)."""

MISSING_JOB = timedelta(minutes=15)
"""How long a training job may be unknown to Describe after its creation before the run fails."""

LONGEST_BASE_WAIT = timedelta(hours=6)
"""How long AWS is asked for the base model's endpoint before the run is evaluated without it."""

LONGEST_WAIT = timedelta(hours=24)
"""How long a run waits in one status for capacity, quota or a slot before it fails."""

LONGEST_RIVAL_WAIT = LONGEST_WAIT - timedelta(hours=1)
"""How long a base or champion that is throttled or not ready is asked before the candidate is judged without it."""

DELETIONS = 24
"""How often a deletion is tried that a policy of the account forbids, or that fails, before it is left to a person."""

DELETION_PAUSE = timedelta(hours=1)
"""Between two of them, at most: they take about a day."""

PROBLEMS_ON_RECORD = 50
"""Problems that the record keeps, of all that are counted: a DynamoDB item holds 400 KB at most."""

ROOM_WAIT = timedelta(minutes=15)
"""How long a run that found no room under the monthly cap waits before it asks again."""

ENDED = frozenset({"Completed", "Failed", "Stopped"})
"""SageMaker's statuses of a training job that costs nothing more."""

RETIRING = frozenset({RunStatus.NOT_PROMOTED, RunStatus.FAILED, RunStatus.STOPPED})
"""The ends after which the import is deleted, unless a person promotes the model before."""

EVALUATED = frozenset({RunStatus.PROMOTED, RunStatus.NOT_PROMOTED})
"""The ends after which a person may promote the model, while Bedrock has it."""

EVALUATION = "evaluation"
"""Who promotes a candidate that passed."""

ALARM = "alarm"
"""Who puts the former champion back when the new one fails."""

BAKE_TIME = timedelta(hours=24)
"""How long after a promotion an alarm on the champion's endpoint puts the former one back."""

TRY_AGAIN = frozenset({RunStatus.REJECTED, RunStatus.FAILED, RunStatus.STOPPED})
"""The ends after which the same files may be dropped again."""


def decide(run: Run, observation: Observation, now: datetime) -> Decision:
    """Decide what becomes of a run that was seen so; an observation that no longer fits the status changes nothing."""
    after = _after(run, observation, now)
    return Decision(run=after, effects=effects_due(after, now))


def effects_due(run: Run, now: datetime) -> tuple[Effect, ...]:
    """List what there is to do for a run as it stands, in order."""
    return (*_work_due(run, now), *_report_due(run), *_notice_due(run, now))


def settled(run: Run) -> bool:
    """Tell whether nothing is left to do for a run, ever."""
    told = run.status not in NOTIFIED or _told(run)
    waking = run.deployment is not None and run.deployment.waking
    gone = not (_retirement_due(run) or _base_due_down(run))
    left = _rollback_due(run) or _publication_due(run) or _report_due(run) or run.charge or waking
    return run.status.terminal and told and gone and not left


def wants_nudge(run: Run, now: datetime) -> bool:
    """Tell whether the run waits for a moment that has come, or lies idle though there is something to do."""
    if settled(run):
        return False
    if run.status is RunStatus.AWAITING_APPROVAL:
        # Nothing moves until a person answers, or has not: but the person must have been told.
        return _lapses(run, now) or (not _told(run) and now - run.updated_at >= IDLE)
    return run.next_try_at <= now if run.next_try_at else now - run.updated_at >= _idle(run)


def _idle(run: Run) -> timedelta:
    """Return how long a run may lie untouched: longer where a deletion has come to nothing before."""
    due = _deletion_due(run)
    return _growing(IDLE, due[1].denials) if due else IDLE


def _growing(pause: timedelta, tries: int) -> timedelta:
    return max(pause, min(DELETION_PAUSE, pause * 2.0 ** min(tries, DELETIONS)))


def _work_due(run: Run, now: datetime) -> tuple[Effect, ...]:
    if run.next_try_at and run.next_try_at > now:
        return ()
    match run.status:
        case RunStatus.PLANNING:
            return (Effect.PLAN,)
        case RunStatus.VALIDATING:
            return (Effect.VALIDATE,)
        case RunStatus.LAUNCHING:
            if _refused_before(run):
                return (Effect.SETTLE,)
            return (Effect.RESERVE if _room_due(run) else Effect.LAUNCH,)
        case RunStatus.TRAINING:
            return (Effect.DESCRIBE_TRAINING,)
        case RunStatus.DEPLOYING:
            return (_deployment_due(run),)
        case RunStatus.EVALUATING:
            return tuple(_evaluation_due(run, now))
        case _:
            return tuple(_left_over(run))


def _deployment_due(run: Run) -> Effect:
    if run.deployment and run.deployment.model_arn:
        return Effect.BRING_BASE_UP if run.base else Effect.NAME_BASE
    if run.on_endpoint:
        return Effect.BRING_UP if run.deployment else Effect.NAME_ENDPOINT
    if run.deployment:
        return Effect.DESCRIBE_IMPORT
    if run.room_from:
        return Effect.MAKE_ROOM
    return Effect.START_IMPORT if names.IMPORT_SLOT in run.claims else Effect.TAKE_IMPORT_SLOT


def _evaluation_due(run: Run, now: datetime) -> Iterator[Effect]:
    if not run.evaluation:
        # The others may be waited for, for a day; the base's hours are paid for, and it is not asked any more.
        if _base_due_down(run) and run.base and run.base.over(now) and not run.base.denials:
            yield Effect.TAKE_BASE_DOWN
        yield Effect.SCORE
    elif judgement := _awaited(run):
        # A judge reads for hours what the base model has answered. Who may not delete is asked again after the end.
        if _base_due_down(run) and not (run.base and run.base.denials):
            yield Effect.TAKE_BASE_DOWN
        yield Effect.HEAR_JUDGE if judgement.jobs else Effect.CALL_JUDGE
    else:
        yield Effect.PUBLISH_ALIAS if run.promotion else Effect.PROMOTE


def _awaited(run: Run) -> Judgement | None:
    """Return the judgement that the run waits for before it ends, if it waits for one."""
    return run.judgement if run.evaluation and run.judgement and not run.judgement.over else None


def _left_over(run: Run) -> Iterator[Effect]:
    if _publication_due(run):
        yield Effect.PUBLISH_ALIAS
    if _rollback_due(run):
        yield Effect.ROLL_BACK
    # What has come to nothing is tried again after all else: the wait for it must not hold the rest up.
    tried = run.deployment.denials if run.deployment and _retirement_due(run) else 0
    denied = run.base is not None and run.base.denials > tried
    if _base_due_down(run) and not denied:
        yield Effect.TAKE_BASE_DOWN
    if run.deployment and _retirement_due(run):
        yield _deletion(run.deployment) if run.deployment.retirement else Effect.RETIRE
    elif run.deployment and run.deployment.waking:
        yield Effect.BRING_UP
    if _base_due_down(run) and denied:
        yield Effect.TAKE_BASE_DOWN
    if run.charge:
        # A run that ended while its launch was tried does not know whether there is a job that costs something.
        yield Effect.SETTLE


def _deletion_due(run: Run) -> tuple[str, Deployment | BaseEndpoint] | None:
    """Return what deploy_model would delete first of a run that has ended, after the name of its field."""
    effects = _left_over(run) if run.status.terminal else ()
    first = next((each for each in effects if each in _DEPLOYERS), None)
    if run.base and first is Effect.TAKE_BASE_DOWN:
        return "base", run.base
    if run.deployment and first in (Effect.DELETE_IMPORT, Effect.TAKE_DOWN):
        return "deployment", run.deployment
    return None


_DEPLOYERS = frozenset({Effect.RETIRE, Effect.DELETE_IMPORT, Effect.TAKE_DOWN, Effect.TAKE_BASE_DOWN, Effect.BRING_UP})
"""What deploy_model does for a run that has ended."""


def _deletion(deployment: Deployment) -> Effect:
    return Effect.TAKE_DOWN if deployment.target is ServeTarget.ENDPOINT else Effect.DELETE_IMPORT


def _room_due(run: Run) -> bool:
    """Tell whether the attempt's job may not be created yet: its price is known, and nothing is reserved."""
    priced = run.plan is not None and run.plan.usd_per_hour is not None
    return priced and not (run.charge and run.charge.attempt == run.attempt)


def _refused_before(run: Run) -> bool:
    """Tell whether room is reserved for a job that AWS refused: another invocation may have created it all the same."""
    return run.charge is not None and run.charge.attempt != run.attempt


def _retirement_due(run: Run) -> bool:
    if run.deployment is None or run.deployment.deleted or run.deployment.left:
        return False
    unwanted = run.status in RETIRING and run.promotion is None
    return unwanted or run.deployment.retirement != ""


def _base_due_down(run: Run) -> bool:
    return run.base is not None and not run.base.deleted and not run.base.left


def _rollback_due(run: Run) -> bool:
    return run.rollback is not None and not run.rollback.outcome


def _publication_due(run: Run) -> bool:
    return run.promotion is not None and not run.promotion.published


def _report_due(run: Run) -> tuple[Effect, ...]:
    return (Effect.WRITE_REPORT,) if run.status.terminal and not run.report_uri else ()


def _lapses(run: Run, now: datetime) -> bool:
    return run.approval is not None and now >= run.approval.lapses_at


def _told(run: Run) -> bool:
    notice = run.notices.get(run.status)
    return notice is not None and notice.message_id is not None


def _notice_due(run: Run, now: datetime) -> tuple[Effect, ...]:
    if run.status not in NOTIFIED or _told(run):
        return ()
    notice = run.notices.get(run.status)
    if notice is None or now - notice.claimed_at >= NOTICE_LEASE:
        return (Effect.CLAIM_NOTICE,)
    return (Effect.SEND_NOTICE,)


def _after(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case Looked():
            return run
        case Nudged():
            return _nudged(run, now)
        case NoticeClaimed(token=token):
            notice = Notice(claimed_by=token, claimed_at=now)
            return _change(run, now, notices={**run.notices, run.status: notice})
        case NoticeSent(status=status, message_id=message_id) if status in run.notices:
            sent = run.notices[status].model_copy(update={"message_id": message_id})
            return _change(run, now, notices={**run.notices, status: sent})
        case ReportWritten(uri=uri) if run.status.terminal:
            return _change(run, now, report_uri=uri)
        case Unavailable():
            return _unavailable(run, observation, now)
        case Refused(problem=problem):
            # A champion does not fail: what is left to do is to write its alias.
            fails = RunStatus.FAILED in EDGES[run.status] and not run.promotion
            if run.deployment and run.deployment.waking:
                return _retiring(run, f"{NO_WAKE}{problem}", now, told=True)
            return _end(run, RunStatus.FAILED, now, (problem,)) if fails else run
    return _JUDGES[run.status](run, observation, now)


def _planning(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case PlanMade(plan=plan):
            claims = run.claims | {names.drop_claim(plan.fingerprint)}
            return _enter(run, RunStatus.VALIDATING, now, plan=plan, claims=claims)
        case PlanRefused(problems=problems):
            return _end(run, RunStatus.REJECTED, now, problems)
        case ClaimRefused(holder=holder):
            return _end(run, RunStatus.REJECTED, now, (_same_files(holder),))
    return run


def _same_files(holder: str) -> Problem:
    return Problem(
        code="drop.duplicate",
        message=f"The same files are already the subject of run {holder}; nothing was started.",
        where="tune.yaml",
        fix=f"Follow that run with `tunedrop show {holder}`; to train anew, change something, for example the seed.",
    )


def _validating(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case DatasetAccepted(summary=summary):
            return _accepted(run, summary, now)
        case DatasetRefused(problems=problems, counts=counts, summary=summary):
            return _end(run, RunStatus.REJECTED, now, problems, problem_counts=counts, data=summary)
        case WaitOver() if run.next_try_at:
            return _change(run, now, next_try_at=None)
    return run


def _accepted(run: Run, summary: DatasetSummary, now: datetime) -> Run:
    plan = with_counted_tokens(_plan_of(run), summary)
    cheap = approval.without_asking(plan)
    if cheap or plan.approval is None:
        return _enter(run, RunStatus.LAUNCHING, now, data=summary, plan=cheap or plan)
    question = approval.question(plan, plan.approval, now)
    asked = {"data": summary, "plan": plan, "approval": question, "reason": approval.question_words(question)}
    return _enter(run, RunStatus.AWAITING_APPROVAL, now, **asked)


def _awaiting_approval(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case Approved() | ApprovalRefused() if _lapses(run, now):
            return _lapsed(run, now)
        case Approved(by=by):
            answer = ApprovalAnswer(approved=True, by=by, at=now)
            return _enter(run, RunStatus.LAUNCHING, now, approval=_answered(run, answer))
        case ApprovalRefused(by=by, reason=reason):
            answer = ApprovalAnswer(approved=False, by=by, at=now, reason=reason)
            problem = approval.refused(answer)
            return _end(run, RunStatus.REJECTED, now, (problem,), approval=_answered(run, answer))
    return run


def _answered(run: Run, answer: ApprovalAnswer) -> Approval:
    return _question_of(run).model_copy(update={"answer": answer})


def _lapsed(run: Run, now: datetime) -> Run:
    return _end(run, RunStatus.REJECTED, now, (approval.lapsed(_question_of(run)),))


def _question_of(run: Run) -> Approval:
    if run.approval is None:
        raise AssertionError(f"run {run.run_id} is {run.status} without a question")
    return run.approval


def _launching(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case RoomWanted(job_name=job_name, attempt=attempt) if attempt == run.attempt and _room_due(run):
            charge = _charge(run, job_name, now)
            return _change(run, now, charges=(*run.charges, charge), reason="", next_try_at=None)
        case CapReached(committed_cents=committed, cap_cents=cap) if _room_due(run):
            reason = (
                f"Waits for room under the monthly cap of {budget.words(cap)}: {budget.words(committed)} are committed."
            )
            return _waited(run, reason, ROOM_WAIT, now)
        case JobSeen() | JobMissing() if _refused_before(run):
            return _earlier_settled(run, observation, now)
        # A job of an attempt that was given up meanwhile is the reconciler's to stop.
        case JobAccepted(job_name=job_name, job_arn=job_arn, attempt=attempt, request_hash=request_hash) if (
            attempt == run.attempt and not _room_due(run)
        ):
            training = Training(job_name=job_name, job_arn=job_arn, attempt=attempt, status="InProgress")
            return _enter(run, RunStatus.TRAINING, now, training=training, request_hash=request_hash)
        case JobRefused(attempt=attempt, reason=reason) if attempt == run.attempt and not _room_due(run):
            return _attempt_failed(run, diagnose(reason, (), _plan_of(run)), now)
    return run


def _charge(run: Run, job_name: str, now: datetime) -> budget.Charge:
    if run.plan is None or run.plan.usd_per_hour is None:
        raise AssertionError(f"run {run.run_id} has no price to reserve")
    longest = timedelta(seconds=run.plan.training.max_runtime_seconds)
    return budget.Charge(
        month=budget.month_of(now),
        job_name=job_name,
        attempt=run.attempt,
        usd_per_hour=run.plan.usd_per_hour,
        most_cents=budget.most_cents(run.plan.usd_per_hour, longest),
    )


def _settled(run: Run, training: Training | None, now: datetime) -> tuple[budget.Charge, ...]:
    """Settle the open charge with what the job has cost: nothing, when there is none."""
    return tuple(
        each.model_copy(update={"cents": job_cents(training, each.usd_per_hour, now)}) if each.cents is None else each
        for each in run.charges
    )


def _earlier_settled(run: Run, observation: JobSeen | JobMissing, now: datetime) -> Run:
    """Settle a job that AWS refused, once it is known whether there is one; the pause before has outlived its maker."""
    if isinstance(observation, JobMissing):
        return _change(run, now, charges=_settled(run, None, now))
    training = observation.training
    if run.charge is None or training.job_name != run.charge.job_name:
        return run
    if training.status in ENDED:
        return _change(run, now, charges=_settled(run, training, now))
    return _waited(run, f"Waits for the training job {training.job_name} to be stopped.", ROOM_WAIT, now)


def _settled_late(run: Run, observation: JobSeen | JobMissing, now: datetime) -> Run:
    if run.charge is None:
        return run
    if isinstance(observation, JobMissing):
        return _change(run, now, charges=_settled(run, None, now)) if now - run.entered_at >= MISSING_JOB else run
    training = observation.training
    if training.job_name != run.charge.job_name or training.status not in ENDED:
        return run
    return _change(run, now, training=training, charges=_settled(run, training, now))


def _training(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case JobSeen(training=training) if run.training and training.job_name == run.training.job_name:
            if training == run.training:
                return run
            charges = _settled(run, training, now) if training.status in ENDED else run.charges
            match training.status:
                case "Completed":
                    return _enter(run, RunStatus.DEPLOYING, now, training=training, charges=charges)
                case "Failed":
                    problem = _diagnosed(run, training, observation.failure_reason, observation.log_tail)
                    return _attempt_failed(run, problem, now, training)
                case "Stopped":
                    # Time limits end as Stopped, possibly with a partial artifact: never a success.
                    # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html
                    problem = _stopped(run, training)
                    return _end(run, RunStatus.STOPPED, now, (problem,), training=training, charges=charges)
            return _change(run, now, training=training)
        case JobMissing() if now - run.entered_at >= MISSING_JOB:
            problem = Problem(
                code="training.missing",
                message="SageMaker does not know the training job that it accepted.",
                where=run.training.job_name if run.training else "",
                fix="Drop the dataset again.",
            )
            return _end(run, RunStatus.FAILED, now, (problem,), charges=_settled(run, None, now))
    return run


def _stopped(run: Run, training: Training) -> Problem:
    if training.secondary_status in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        return _diagnosed(run, training, training.secondary_status)
    return Problem(
        code="training.stopped",
        message="The training job was stopped by hand.",
        where=training.job_name,
        fix="Drop the dataset again when you want it trained.",
    )


def _diagnosed(run: Run, training: Training, reason: str, log_tail: tuple[str, ...] = ()) -> Problem:
    problem = diagnose(reason, log_tail, _plan_of(run))
    return problem if problem.where else problem.model_copy(update={"where": training.job_name})


def _attempt_failed(run: Run, problem: Problem, now: datetime, training: Training | None = None) -> Run:
    """Wait and try again what AWS may have later, on the plan's next instance type; end what stays wrong."""
    plan = _plan_of(run)
    failed = FailedAttempt(
        attempt=run.attempt,
        instance_type=plan.training.instance_type,
        code=problem.code,
        ended_at=now,
        billable_seconds=(training and training.billable_seconds) or 0,
        usd_per_hour=plan.usd_per_hour,
    )
    attempts = (*run.failed_attempts, failed)
    # Whether there is a job that was refused, only Describe tells.
    charges = _settled(run, training, now) if training else run.charges
    types = {each.instance_type for each in plan.choices} or {failed.instance_type}
    if not capacity.worth_another(attempts, types):
        problem = capacity.gave_up(problem, attempts)
        return _end(run, RunStatus.FAILED, now, (problem,), training=training, charges=charges)
    # A throttled call may have reached SageMaker all the same: only its own name finds out.
    attempt = run.attempt
    if problem.code != capacity.THROTTLED:
        attempt += 1
        left = _within_budget(plan.for_attempt(attempt), charges)
        if left is None:
            problem = _budget_spent(problem, plan, charges)
            return _end(run, RunStatus.FAILED, now, (problem,), training=training, charges=charges)
        plan = left
    reason = f"{problem.message} The next try is on {plan.training.instance_type}."
    delay = capacity.next_try(run.run_id, len(attempts))
    update = {"attempt": attempt, "failed_attempts": attempts, "plan": plan, "charges": charges}
    if run.status is RunStatus.LAUNCHING:
        return _wait(run, reason, delay, now, **update)
    launching = {"training": None, "reason": reason, "next_try_at": now + delay}
    return _enter(run, RunStatus.LAUNCHING, now, **launching, **update)


def _within_budget(plan: Plan, charges: tuple[budget.Charge, ...]) -> Plan | None:
    """Shorten an attempt to what the former ones have left of the budget; None when that is too little to train."""
    spent = _spent_cents(charges)
    if plan.training_budget_usd is None or not plan.usd_per_hour or not spent:
        return plan
    longest = budget.longest_runtime(max(0, plan.training_budget_usd - spent / 100), plan.usd_per_hour)
    return plan.stopped_after(int(longest.total_seconds())) if longest >= budget.SHORTEST_TRAINING else None


def _spent_cents(charges: tuple[budget.Charge, ...]) -> int:
    return sum(each.cents or 0 for each in charges)


def _budget_spent(problem: Problem, plan: Plan, charges: tuple[budget.Charge, ...]) -> Problem:
    spent = budget.words(_spent_cents(charges))
    return Problem(
        code="budget.spent",
        message=f"{problem.message} Of the budget of {plan.budget_usd:,.2f} US dollars {spent} are spent: "
        "too little is left for another try.",
        where="tune.yaml",
        fix="Drop the dataset again with a larger budget_usd.",
    )


def _plan_of(run: Run) -> Plan:
    if run.plan is None:
        raise AssertionError(f"run {run.run_id} is {run.status} without a plan")
    return run.plan


def _deploying(run: Run, observation: Observation, now: datetime) -> Run:
    if run.deployment and run.deployment.model_arn:
        return _base_coming(run, observation, now)
    return (_going_into_service if run.on_endpoint else _going_to_bedrock)(run, observation, now)


def _going_to_bedrock(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case ImportSlotWanted() if not run.deployment:
            return _change(run, now, claims=run.claims | {names.IMPORT_SLOT}, next_try_at=None)
        case ClaimRefused(holder=holder) if not run.deployment:
            reason = f"Waits for run {holder}: Bedrock imports one model at a time."
            return _wait(run, reason, NEXT_TICK, now)
        case ModelLimitReached() if _deployment_due(run) is Effect.START_IMPORT:
            if observation.former:
                return _change(run, now, room_from=observation.former, reason=observation.reason)
            wait = Unavailable(reason=observation.reason, retry_after=observation.retry_after)
            return _unavailable(run, wait, now)
        case RoomMade() if run.room_from:
            wait = Unavailable(reason=run.reason, retry_after=ROOM_MADE)
            return _unavailable(run.model_copy(update={"room_from": None}), wait, now)
        case ImportStarted(job_name=job_name, job_arn=job_arn, model_name=model_name) if not run.deployment:
            deployment = Deployment(import_job_name=job_name, import_job_arn=job_arn, model_name=model_name)
            return _change(run, now, deployment=deployment, reason="", next_try_at=None)
        case ImportSeen(status="Completed", model_arn=model_arn) if run.deployment and model_arn:
            return _deployed(run, run.deployment, model_arn, now, claims=run.claims - {names.IMPORT_SLOT})
        case ImportSeen(status="Failed", failure_message=message) if run.deployment:
            problem = Problem(
                code="import.failed",
                message=f"Bedrock could not import the model: {message or 'no reason given'}",
                where=run.deployment.import_job_name,
                fix="Choose a model that Bedrock Custom Model Import supports; the trained artifact is kept.",
            )
            return _end(run, RunStatus.FAILED, now, (problem,))
    return run


def _going_into_service(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case EndpointNamed(name=name) if not run.deployment:
            deployment = Deployment(target=ServeTarget.ENDPOINT, model_name=name)
            return _change(run, now, deployment=deployment, next_try_at=None)
        case EndpointSeen(in_service=True, model_arn=model_arn) if run.deployment and model_arn:
            return _deployed(run, run.deployment, model_arn, now)
        case EndpointSeen(reason=reason) if run.deployment:
            return _waited(run, reason, NEXT_TICK, now)
    return run


def _deployed(run: Run, deployment: Deployment, model_arn: str, now: datetime, **update: object) -> Run:
    """Go on to the evaluation, or first to the base model's endpoint: it costs something while the other comes."""
    update["deployment"] = deployment.model_copy(update={"model_arn": model_arn})
    if _plan_of(run).evaluation.base_endpoint is None:
        return _enter(run, RunStatus.EVALUATING, now, **update)
    return _wait(run, "The base model is next.", NEXT_TICK, now, change=Change.DUE, **update)


def _base_coming(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case BaseNamed(name=name) if not run.base:
            return _change(run, now, base=BaseEndpoint(name=name, since=now), next_try_at=None)
        case BaseSeen(in_service=True, model_arn=model_arn) if run.base and model_arn:
            base = run.base.model_copy(update={"model_arn": model_arn, "up_at": now})
            return _enter(run, RunStatus.EVALUATING, now, base=base)
        case BaseSeen(reason=reason, retry_after=delay) if run.base and now - run.base.since < LONGEST_BASE_WAIT:
            return _wait(run, f"The base model's endpoint: {reason}", delay, now)
        case BaseSeen(reason=reason) | BaseMissing(reason=reason) if run.base:
            return _enter(
                run, RunStatus.EVALUATING, now, base=run.base.model_copy(update={"missing": reason or "It never came."})
            )
    return run


def _evaluating(run: Run, observation: Observation, now: datetime) -> Run:
    match observation:
        case Scored(evaluation=evaluation) if not run.evaluation:
            return _scored(run, evaluation, now)
        case JudgeCalled() | JudgeBusy() | Judged() | JudgeSilent():
            return _heard(run, observation, now)
        case BaseGone() if run.base and (_awaited(run) or not run.evaluation):
            return _change(run, now, base=run.base.model_copy(update={"deleted": True}))
        case BaseDeletionDenied() if run.base and (_awaited(run) or not run.evaluation):
            return _change(run, now, base=run.base.model_copy(update={"denials": run.base.denials + 1}))
        case ScoringPaused(answered=answered) if not run.evaluation:
            return _change(run, now, change=Change.DUE, evaluated_rows=answered)
        case WaitOver() if run.next_try_at and not run.evaluation:
            return _change(run, now, next_try_at=None)
        case PromotionWanted(instead_of=instead_of) if run.evaluation and not run.promotion:
            promotion = Promotion(request=run.run_id, by=EVALUATION, at=now, instead_of=instead_of)
            return _change(run, now, promotion=promotion)
        case ChampionChanged(champion=champion) if run.evaluation and not run.promotion:
            reason = f"Run {champion} became the champion meanwhile: the answers are compared with its own."
            again = {"evaluation": None, "evaluated_rows": 0, "judgement": _judged_anew(run)}
            return _change(run, now, change=Change.DUE, reason=reason, **again)
        case AliasPublished() if run.evaluation and run.promotion:
            promotion = run.promotion.model_copy(update={"published": True})
            return _enter(run, RunStatus.PROMOTED, now, promotion=promotion, reason=run.evaluation.verdict)
    return run


def _scored(run: Run, evaluation: Evaluation, now: datetime) -> Run:
    """Have the answers graded where the plan says so, once for the same rivals; then go on by the metrics' verdict."""
    plan = _plan_of(run).evaluation.judge
    if plan is None or (run.judgement and run.judgement.over):
        return _decided(run, evaluation, now)
    attempt = run.judgement.attempt if run.judgement else 1
    judgement = Judgement(evaluator_model=plan.evaluator_model, attempt=attempt, since=now)
    change = Change.DUE if _base_due_down(run) else Change.PROGRESS
    return _change(run, now, change=change, evaluation=evaluation, judgement=judgement, next_try_at=None)


def _decided(run: Run, evaluation: Evaluation, now: datetime, **update: object) -> Run:
    update = {"evaluation": evaluation, "reason": evaluation.verdict, **update}
    if evaluation.passed:
        return _change(run, now, next_try_at=None, **update)
    return _enter(run, RunStatus.NOT_PROMOTED, now, **update)


def _heard(run: Run, seen: JudgeCalled | JudgeBusy | Judged | JudgeSilent, now: datetime) -> Run:
    """Follow the judge, whose word changes no verdict and whose silence costs no run."""
    judgement = _awaited(run)
    if judgement is None or run.evaluation is None:
        return run
    match seen:
        case JudgeCalled(jobs=jobs, rival=rival, rows=rows, of_rows=of_rows) if not judgement.jobs:
            called = {"jobs": jobs, "rival": rival, "rows": rows, "of_rows": of_rows}
            return _change(run, now, judgement=judgement.model_copy(update=called), next_try_at=None)
        case JudgeBusy(reason=reason, retry_after=retry_after):
            return _unjudged(run, now) or _wait(run, reason, retry_after, now)
        case Judged(scores=scores) if judgement.jobs:
            return _judged(run, run.evaluation, now, scores=scores)
        case JudgeSilent(reason=reason):
            return _judged(run, run.evaluation, now, failure=reason)
    return run


def _judged(run: Run, evaluation: Evaluation, now: datetime, **heard: object) -> Run:
    judgement = run.judgement and run.judgement.model_copy(update={"over": True, **heard})
    return _decided(run, evaluation, now, judgement=judgement)


def _unjudged(run: Run, now: datetime) -> Run | None:
    """Return the run as it goes on without its judge, once it has waited long enough."""
    judgement = _awaited(run)
    if judgement is None or run.evaluation is None or now - judgement.since < judge.PATIENCE:
        return None
    hours = judge.PATIENCE.total_seconds() / 3600
    return _judged(run, run.evaluation, now, failure=f"{judgement.evaluator_model} took more than {hours:.0f} hours.")


def _judged_anew(run: Run) -> Judgement | None:
    """Return what a judgement is worth to a run that is to be compared with another champion."""
    if run.judgement is None or run.judgement.rival != "champion":
        return run.judgement
    return run.judgement.model_copy(update={"over": False, "jobs": (), "attempt": run.judgement.attempt + 1})


def _asked_for(run: Run, asked: PromotionRequested | ChampionChanged, now: datetime) -> Run:
    """Grant or refuse what a person asked for, once."""
    if asked.request in {
        run.promotion and run.promotion.request,
        run.promotion_refused and run.promotion_refused.request,
    }:
        return run
    reason = _unpromotable(run, asked)
    if isinstance(asked, ChampionChanged) or reason:
        refused = PromotionRefused(request=asked.request, reason=reason, at=now)
        return _change(run, now, promotion_refused=refused)
    promotion = Promotion(request=asked.request, by=asked.by, at=now, instead_of=asked.instead_of)
    return _change(run, now, promotion=promotion, promotion_refused=None)


def _unpromotable(run: Run, asked: PromotionRequested | ChampionChanged) -> str:
    """Say why the run's model cannot become the champion; empty when it can."""
    if run.status not in EVALUATED or run.deployment is None or run.deployment.model_arn is None:
        return f"The run ended {run.status}: its model was not evaluated."
    if run.deployment.target is ServeTarget.ENDPOINT and (run.deployment.retirement or run.deployment.waking):
        wake = f"Wait until `tunedrop wake {run.run_id}` has brought it back."
        return f"Its endpoint was taken down. {run.deployment.retirement} {wake}".replace("  ", " ")
    if run.deployment.retirement:
        return f"Its imported model is deleted. {run.deployment.retirement}"
    if isinstance(asked, ChampionChanged):
        champion = f"is run {asked.champion}" if asked.champion else "was none"
        return f"The champion {champion} when the request came, another one than was to be replaced."
    return asked.missing


def _over(run: Run, observation: Observation, now: datetime) -> Run:
    """Do what is left to do for a run that ended: no status is entered any more."""
    match observation:
        case JobSeen() | JobMissing():
            return _settled_late(run, observation, now)
        case RetirementWanted(because=because, told=told):
            return _retiring(run, because, now, told=told)
        case ModelDeleted():
            return _retired(run, now)
        case DeletionDenied(reason=reason) if run.deployment and _retirement_due(run):
            return _in_vain(run, ("deployment", run.deployment), reason, now, DELETION_PAUSE)
        case WakeRequested(gone=gone):
            return _woken(run, now, gone=gone)
        case EndpointSeen() if run.deployment and run.deployment.waking:
            if not observation.in_service:
                return _still_waking(run, observation.reason, NEXT_TICK, now)
            awake = run.deployment.model_copy(update={"waking": False})
            return _change(run, now, deployment=awake, next_try_at=None)
        case PromotionRequested() | ChampionChanged():
            return _asked_for(run, observation, now)
        case AliasPublished() if run.promotion:
            published = run.promotion.model_copy(update={"published": True})
            return _change(run, now, promotion=published, next_try_at=None)
    return run


def _after_end(run: Run, observation: Observation, now: datetime) -> Run:
    """Do what is left to do about the base model's endpoint and about a champion that fails, or else for the run."""
    match observation:
        case AlarmRaised():
            return _failing(run, observation, now)
        case RolledBack(request=request, outcome=outcome) if run.rollback and run.rollback.request == request:
            rollback = run.rollback.model_copy(update={"outcome": outcome})
            return _change(run, now, change=Change.DUE, rollback=rollback, notices=_untold(run), next_try_at=None)
        case BaseGone() if run.base:
            return _change(run, now, base=run.base.model_copy(update={"deleted": True}), next_try_at=None)
        case BaseDeletionDenied(reason=reason) if run.base and _base_due_down(run):
            return _in_vain(run, ("base", run.base), reason, now, DELETION_PAUSE)
    return _over(run, observation, now)


def _failing(run: Run, alarm: AlarmRaised, now: datetime) -> Run:
    """Put the former champion back, once for each promotion that has not stood for long; a rollback itself stands."""
    promotion = run.promotion
    if promotion is None or promotion.by == ALARM or now - promotion.at >= BAKE_TIME:
        return run
    if run.rollback and run.rollback.of == promotion.request:
        return run
    rollback = Rollback(
        request=f"{ALARM}-{promotion.request}",
        of=promotion.request,
        because=alarm.reason,
        at=now,
        to=alarm.former,
        outcome="" if alarm.former else "There is no former champion that could take its place: it still answers.",
    )
    notices = run.notices if alarm.former else _untold(run)
    return _change(run, now, change=Change.DUE, rollback=rollback, notices=notices, next_try_at=None)


def _untold(run: Run) -> dict[RunStatus, Notice]:
    """Forget a notice of the status that was sent, so that another one follows, which says what has changed."""
    again = {run.status} if _told(run) else set[RunStatus]()
    return {status: each for status, each in run.notices.items() if status not in again}


_JUDGES: dict[RunStatus, Callable[[Run, Observation, datetime], Run]] = {
    RunStatus.PLANNING: _planning,
    RunStatus.VALIDATING: _validating,
    RunStatus.AWAITING_APPROVAL: _awaiting_approval,
    RunStatus.LAUNCHING: _launching,
    RunStatus.TRAINING: _training,
    RunStatus.DEPLOYING: _deploying,
    RunStatus.EVALUATING: _evaluating,
    **dict.fromkeys(TERMINAL, _after_end),
}


def _nudged(run: Run, now: datetime) -> Run:
    if not wants_nudge(run, now):
        return run
    if run.status is RunStatus.AWAITING_APPROVAL:
        return _lapsed(run, now) if _lapses(run, now) else _change(run, now, change=Change.DUE)
    if unjudged := _unjudged(run, now):
        return unjudged if unjudged.status.terminal else _change(unjudged, now, change=Change.DUE)
    # Every status is short, unless the run waits: then what it waits for says when that is too long.
    waits = run.next_try_at or run.promotion or _awaited(run)
    stuck = not run.status.terminal and not waits
    if stuck and now - run.entered_at >= LONGEST_WAIT + _time_of_others(run):
        problem = Problem(
            code="run.stuck",
            message=f"Nothing moved in {run.status} for {LONGEST_WAIT.total_seconds() / 3600:.0f} hours.",
            fix="Look for the cause in the dead-letter queue and the functions' logs, then drop the dataset again.",
        )
        return _end(run, RunStatus.FAILED, now, (problem,))
    if run.next_try_at is None and (due := _deletion_due(run)):
        # Nobody said what came of it: who tried has failed, or its event was lost.
        reason = f"Its deletion failed {DELETIONS} times: the log of deploy_model says why."
        run = _in_vain(run, due, reason, now, timedelta(0))
    return _change(run, now, change=Change.DUE, next_try_at=None)


def _time_of_others(run: Run) -> timedelta:
    """Return how long the run's status lasts by what others do: SageMaker's job, until it is ended, and the judge."""
    if run.status is RunStatus.EVALUATING and run.judgement:
        return judge.PATIENCE
    if run.status is not RunStatus.TRAINING:
        return timedelta(0)
    training = _plan_of(run).training
    waits = training.max_wait_seconds if isinstance(training, TrainingPlan) else None
    return timedelta(seconds=waits or training.max_runtime_seconds)


def _unavailable(run: Run, observation: Unavailable, now: datetime) -> Run:
    if due := _deletion_due(run):
        pause = _growing(observation.retry_after, due[1].denials)
        return _in_vain(run, due, observation.reason, now, pause)
    if run.status.terminal:
        return _still_waking(run, observation.reason, observation.retry_after, now)
    if run.status is RunStatus.AWAITING_APPROVAL:
        return run  # nothing is tried there: the answer comes from a status that the run has left
    if _awaited(run):
        return _wait(run, observation.reason, observation.retry_after, now)  # a run does not fail for a judgement
    # Who waits for Bedrock before an import exists gives the slot to whoever can use it. Who waits for SageMaker keeps
    # the room that is reserved: another invocation may have created the job.
    claims = run.claims if run.deployment else run.claims - {names.IMPORT_SLOT}
    return _waited(run, observation.reason, observation.retry_after, now, claims=claims)


def _waited(run: Run, reason: str, delay: timedelta, now: datetime, **update: object) -> Run:
    """Let the run wait once more, unless it has waited too long."""
    if now - run.entered_at < LONGEST_WAIT:
        return _wait(run, reason, delay, now, **update)
    problem = Problem(
        code="wait.too-long",
        message=f"Waited {LONGEST_WAIT.total_seconds() / 3600:.0f} hours: {reason}",
        fix="Clear the cause, then drop the dataset again.",
    )
    return _end(run, RunStatus.FAILED, now, (problem,))


def _retiring(run: Run, because: str, now: datetime, *, told: bool = False) -> Run:
    """Give the model up, which cannot be taken back; the write fails when a promotion was first.

    A notice of the status that was sent is forgotten where people are to be told: another one follows, which says so.
    """
    if run.deployment is None or run.deployment.retirement or _publication_due(run):
        return run
    deployment = run.deployment.model_copy(update={"retirement": because, "waking": False, "waking_since": None})
    # Who retires a former champion does not delete it himself.
    change = Change.DUE if run.promotion else Change.PROGRESS
    notices = _untold(run) if told else run.notices
    return _change(run, now, change=change, deployment=deployment, next_try_at=None, notices=notices)


def _retired(run: Run, now: datetime) -> Run:
    if not run.deployment:
        return run
    deployment = run.deployment.model_copy(update={"deleted": True})
    return _change(run, now, deployment=deployment, next_try_at=None)


def _in_vain(run: Run, due: tuple[str, Deployment | BaseEndpoint], reason: str, now: datetime, pause: timedelta) -> Run:
    """Count a deletion that came to nothing; after about a day of them it is a person's to do, who is told."""
    name, what = due
    denials = what.denials + 1
    if denials < DELETIONS:
        return _change(run, now, **{name: what.model_copy(update={"denials": denials})}, next_try_at=now + pause)
    left = what.model_copy(update={"denials": denials, "left": reason})
    return _change(run, now, change=Change.DUE, **{name: left}, next_try_at=None, notices=_untold(run))


def _woken(run: Run, now: datetime, *, gone: bool) -> Run:
    """Bring an endpoint back that was taken down, of a run that was promoted once: others are judged anew."""
    deployment = run.deployment
    if deployment is None or deployment.target is not ServeTarget.ENDPOINT or run.promotion is None:
        return run
    # What could not be taken down is a person's to delete.
    by_hand = not deployment.waking and (not deployment.retirement or deployment.left != "")
    if not (deployment.deleted or (gone and by_hand)):
        return run
    again = {"retirement": "", "deleted": False, "denials": 0, "left": "", "waking": True, "waking_since": now}
    awake = deployment.model_copy(update=again)
    return _change(run, now, change=Change.DUE, deployment=awake, next_try_at=None)


def _still_waking(run: Run, reason: str, delay: timedelta, now: datetime) -> Run:
    """Let a run that has ended wait for AWS, but not for ever where it is to be woken: then people are told."""
    since = run.deployment.waking_since if run.deployment and run.deployment.waking else None
    if since is None or now - since < LONGEST_WAKE:
        return _wait(run, run.reason, delay, now)
    hours = LONGEST_WAKE.total_seconds() / 3600
    return _retiring(run, f"{NO_WAKE}it was tried for {hours:.0f} hours. {reason}".rstrip(), now, told=True)


def _wait(run: Run, reason: str, delay: timedelta, now: datetime, **update: object) -> Run:
    return _change(run, now, reason=reason, next_try_at=now + delay, **update)


def _end(run: Run, status: RunStatus, now: datetime, problems: tuple[Problem, ...], **update: object) -> Run:
    claims = frozenset[str]() if status in TRY_AGAIN else run.claims - {names.IMPORT_SLOT}
    counts = dict(Counter(problem.code for problem in problems))
    ended: dict[str, object] = {
        "problems": problems[:PROBLEMS_ON_RECORD],
        "problem_counts": counts,
        "reason": str(problems[0]),
        "claims": claims,
    }
    return _enter(run, status, now, **{**ended, **update})


def _enter(run: Run, status: RunStatus, now: datetime, **update: object) -> Run:
    if status not in EDGES[run.status]:
        raise AssertionError(f"no way from {run.status} to {status}")
    entered: dict[str, object] = {
        "status": status,
        "previous_status": run.status,
        "change": Change.ENTERED,
        "entered_at": now,
        "history": (*run.history, Stage(status=status, entered_at=now)),
        "next_try_at": None,
        "reason": "",
    }
    return run.model_copy(update={**entered, **update, "updated_at": now})


def _change(run: Run, now: datetime, **update: object) -> Run:
    return run.model_copy(update={"change": Change.PROGRESS, **update, "updated_at": now})
