"""All that can become of a run: a search through `decide` itself, then examples status by status."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import pytest

from tests.samples import (
    ALIAS_PUBLISHED,
    APPROVAL_REFUSED,
    APPROVED,
    BASE_NAME,
    DATASET_ACCEPTED,
    DATASET_REFUSED,
    DEAR_PLAN,
    DEAR_PLAN_MADE,
    ENDPOINT_ARN,
    ENDPOINT_NAME,
    IMPORT_COMPLETED,
    IMPORT_STARTED,
    JOB_ACCEPTED,
    JOB_NAME,
    JUDGE,
    JUDGE_BUSY,
    JUDGE_CALLED,
    JUDGE_SILENT,
    JUDGED,
    MODEL_ARN,
    NOW,
    PERSON,
    PLAN,
    PLAN_MADE,
    PLAN_REFUSED,
    PROBLEM,
    PROMOTION_REQUESTED,
    PROMOTION_WANTED,
    REFUSED,
    ROOM_WANTED,
    RUN_ID,
    STACK,
    UNPRICED_PLAN_MADE,
    based_run,
    hosted_run,
    job_seen,
    judged_run,
    new_run,
    observed,
    run_in,
    scored,
)
from tunedrop.domain import names
from tunedrop.domain.alias import newly_promoted
from tunedrop.domain.budget import most_cents
from tunedrop.domain.capacity import GIVE_UP_AFTER, SHORTAGES, next_try
from tunedrop.domain.decide import (
    ALARM,
    BAKE_TIME,
    DELETION_PAUSE,
    DELETIONS,
    EVALUATED,
    EVALUATION,
    IDLE,
    LONGEST_BASE_WAIT,
    LONGEST_WAIT,
    LONGEST_WAKE,
    MISSING_JOB,
    NOTICE_LEASE,
    NOTIFIED,
    RETIRING,
    ROOM_WAIT,
    TRY_AGAIN,
    Effect,
    decide,
    effects_due,
    settled,
    wants_nudge,
)
from tunedrop.domain.judge import PATIENCE
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
    Looked,
    ModelDeleted,
    ModelLimitReached,
    NoticeClaimed,
    NoticeSent,
    Nudged,
    Observation,
    PlanMade,
    PromotionRequested,
    PromotionWanted,
    Refused,
    ReportWritten,
    RetirementWanted,
    RolledBack,
    RoomMade,
    RoomWanted,
    ScoringPaused,
    Unavailable,
    WaitOver,
    WakeRequested,
)
from tunedrop.domain.plan import ApprovalRule, InstanceChoice, ServeTarget
from tunedrop.domain.run import EDGES, TERMINAL, ApprovalAnswer, Change, Run, RunStatus

SOON = timedelta(minutes=2)
UNAVAILABLE = Unavailable(reason="No room.", retry_after=timedelta(minutes=5))
FULL = ModelLimitReached(former="an-older-run", reason="No place.", retry_after=timedelta(minutes=1))
FULL_FOR_GOOD = FULL.model_copy(update={"former": None})
CLAIM_REFUSED = ClaimRefused(claim=names.IMPORT_SLOT, holder="another-run")
CAP_REACHED = CapReached(committed_cents=96_00, cap_cents=100_00)
NOTICE_CLAIMED = NoticeClaimed(token="invocation")
REPORT_WRITTEN = ReportWritten(uri="s3://tunedrop-runs/runs/x/report.html")
GONE = PROMOTION_REQUESTED.model_copy(update={"missing": "Bedrock has no such model."})
DELETION_DENIED = DeletionDenied(reason="not authorized to perform: bedrock:DeleteImportedModel")
TIME_OVER = RetirementWanted(because="It has not been the champion for 7 days.")

UNUSED = RetirementWanted(because="Nobody had called it for 72 hours.", told=True)
FAILING = AlarmRaised(reason="12 calls failed.", former="an-older-run")
ALONE = FAILING.model_copy(update={"former": None})
COMING = EndpointSeen(in_service=False, reason="SageMaker is making the endpoint.")
IN_SERVICE = EndpointSeen(in_service=True, model_arn=ENDPOINT_ARN)
WAKE, WAKE_GONE = WakeRequested(by=PERSON), WakeRequested(by=PERSON, gone=True)

CAPACITY = "CapacityError: Unable to provision requested ML compute capacity."
AWS_FAULT = "InternalServerError: We encountered an internal error. Please try again."
QUOTA = "ResourceLimitExceeded: The account-level service limit 'ml.g5.2xlarge for training job usage' is {} Instances"
JOB_REFUSED = tuple(
    JobRefused(attempt=1, reason=reason)
    for reason in (QUOTA.format(0), QUOTA.format(2), "ThrottlingException: Rate exceeded")
)


def job_failed(reason: str) -> JobSeen:
    return job_seen("Failed").model_copy(update={"failure_reason": reason})


JOB_DESCRIBED: tuple[Observation, ...] = (
    job_seen("InProgress", "Starting"),
    job_seen("InProgress", "Training"),
    job_seen("Stopping"),
    job_seen("Completed"),
    job_seen("Failed"),
    *(job_failed(reason) for reason in (CAPACITY, AWS_FAULT)),
    job_seen("Stopped"),
    job_seen("Stopped", "MaxRuntimeExceeded"),
    JobMissing(),
)

POSSIBLE: dict[Effect, tuple[Observation, ...]] = {
    Effect.PLAN: (PLAN_MADE, DEAR_PLAN_MADE, UNPRICED_PLAN_MADE, PLAN_REFUSED),
    Effect.VALIDATE: (DATASET_ACCEPTED, DATASET_REFUSED, UNAVAILABLE, REFUSED),
    Effect.RESERVE: (ROOM_WANTED,),
    Effect.LAUNCH: (JOB_ACCEPTED, *JOB_REFUSED, UNAVAILABLE, REFUSED),
    Effect.DESCRIBE_TRAINING: JOB_DESCRIBED,
    Effect.SETTLE: JOB_DESCRIBED,
    Effect.TAKE_IMPORT_SLOT: (ImportSlotWanted(),),
    Effect.START_IMPORT: (IMPORT_STARTED, UNAVAILABLE, REFUSED, FULL, FULL_FOR_GOOD),
    Effect.MAKE_ROOM: (RoomMade(),),
    Effect.DESCRIBE_IMPORT: (ImportSeen(status="InProgress"), IMPORT_COMPLETED, ImportSeen(status="Failed")),
    Effect.NAME_ENDPOINT: (EndpointNamed(name=ENDPOINT_NAME),),
    Effect.BRING_UP: (COMING, IN_SERVICE, UNAVAILABLE, REFUSED),
    Effect.TAKE_DOWN: (ModelDeleted(), UNAVAILABLE, DELETION_DENIED),
    Effect.NAME_BASE: (BaseNamed(name=BASE_NAME),),
    Effect.BRING_BASE_UP: (
        BaseSeen(in_service=False, reason="It is coming."),
        BaseSeen(in_service=True, model_arn=ENDPOINT_ARN),
        BaseMissing(reason="SageMaker refused it."),
    ),
    Effect.ROLL_BACK: (RolledBack(request=f"{ALARM}-{RUN_ID}", outcome="The former champion answers again."),),
    Effect.TAKE_BASE_DOWN: (BaseGone(), UNAVAILABLE, BaseDeletionDenied(reason="not authorized")),
    Effect.SCORE: (scored(passed=True), scored(passed=False), ScoringPaused(answered=5), UNAVAILABLE, REFUSED),
    Effect.CALL_JUDGE: (JUDGE_CALLED, JUDGE_BUSY, JUDGE_SILENT),
    Effect.HEAR_JUDGE: (JUDGE_BUSY, JUDGED, JUDGE_SILENT),
    Effect.PROMOTE: (PROMOTION_WANTED,),
    Effect.PUBLISH_ALIAS: (ALIAS_PUBLISHED,),
    Effect.RETIRE: (RetirementWanted(because="It was not promoted."),),
    Effect.DELETE_IMPORT: (ModelDeleted(), UNAVAILABLE, DELETION_DENIED),
    Effect.WRITE_REPORT: (REPORT_WRITTEN,),
    Effect.CLAIM_NOTICE: (NOTICE_CLAIMED,),
    Effect.SEND_NOTICE: (Looked(), *(NoticeSent(status=status, message_id="m-1") for status in NOTIFIED)),
}
"""What the performers of each effect can see; for a notice, that another invocation is at it, too."""

TELLING = frozenset({Effect.WRITE_REPORT, Effect.CLAIM_NOTICE, Effect.SEND_NOTICE})
"""Effects that are due however long a run has to wait for others."""

DELETING = frozenset({Effect.DELETE_IMPORT, Effect.TAKE_DOWN})

LOOKS = frozenset(
    {
        *(Effect.DESCRIBE_TRAINING, Effect.SETTLE, Effect.DESCRIBE_IMPORT, Effect.BRING_UP, Effect.BRING_BASE_UP),
        Effect.SEND_NOTICE,
    }
)
"""Effects that may change nothing, and are due again at the next event."""


class Move(NamedTuple):
    """One step of the search: a run, at a moment, that saw something because of an effect (or of none)."""

    before: Run
    now: datetime
    effect: Effect | None
    observation: Observation
    after: Run


class Search(NamedTuple):
    """All that can be reached, by what tells one situation from another."""

    states: dict[object, tuple[Run, datetime]]
    moves: list[Move]
    ways: dict[object, set[object]]


def situation(run: Run, now: datetime) -> object:
    """Tell runs apart by all that `decide` reacts to: facts, and which limits of time are passed."""
    wait = None if run.next_try_at is None else run.next_try_at <= now
    told = run.notices.get(run.status)
    notice = told and (told.message_id, now - told.claimed_at >= NOTICE_LEASE)
    deployment = run.deployment and (
        run.deployment.model_arn,
        run.deployment.retirement,
        run.deployment.deleted,
        run.deployment.target,
        run.deployment.waking,
    )
    if run.deployment and run.deployment.waking and run.deployment.waking_since:
        deployment = (deployment, now - run.deployment.waking_since >= LONGEST_WAKE)
    promotion = run.promotion and (run.promotion.by, run.promotion.published)
    tried = run.deployment.denials if run.deployment else 0
    base = run.base and (run.base.model_arn, run.base.missing, run.base.deleted, run.base.denials > 0, run.base.left)
    base = base and (*base, run.base is not None and (run.base.denials > tried, run.base.over(now)))
    end = (run.status, run.change, run.claims, bool(run.reason), now - run.updated_at >= IDLE, wait, notice, deployment)
    end = (*end, run.charge and run.charge.attempt == run.attempt, promotion, run.promotion_refused is None)
    end = (*end, bool(run.report_uri), base, run.rollback and (run.rollback.of, run.rollback.outcome))
    if run.status.terminal:
        return (*end, run.charge is not None and now - run.entered_at >= MISSING_JOB)
    if run.status is RunStatus.DEPLOYING:
        end = (*end, run.plan and (run.plan.serve, run.plan.evaluation.base_endpoint is not None))
        end = (*end, run.base is not None and now - run.base.since >= LONGEST_BASE_WAIT)
    ages = (run.room_from, now - run.entered_at >= LONGEST_WAIT, now - run.entered_at >= MISSING_JOB)
    asks = run.plan and run.plan.approval if run.status is RunStatus.VALIDATING else None
    if run.status is RunStatus.AWAITING_APPROVAL:
        asks = run.approval and run.approval.lapses_at <= now
    unpriced = run.plan is not None and run.plan.usd_per_hour is None
    training = run.training and (run.training.status, run.training.secondary_status)
    evaluation = run.evaluation and run.evaluation.passed
    if judgement := run.judgement:
        evaluation = (evaluation, judgement.over, bool(judgement.jobs), now - judgement.since >= PATIENCE)
    attempts: object = None
    if run.status in (RunStatus.LAUNCHING, RunStatus.TRAINING):
        short = [each for each in run.failed_attempts if each.code in SHORTAGES]
        long_short = bool(short) and now - short[0].ended_at >= GIVE_UP_AFTER
        attempts = (len(run.failed_attempts) > len(short), long_short, run.attempt > 1)
    return (*end, ages, training, evaluation, run.evaluated_rows, attempts, asks, unpriced)


def fits(run: Run, effect: Effect, observation: Observation) -> bool:
    return not isinstance(observation, NoticeSent) or (
        effect is Effect.SEND_NOTICE and observation.status is run.status
    )


def of_attempt(observation: Observation, run: Run) -> Observation:
    """Tell of the run's current attempt what is known of the first."""
    match observation:
        case JobRefused():
            return observation.model_copy(update={"attempt": run.attempt})
        case JobAccepted():
            current = {"attempt": run.attempt, "job_name": names.training_job(STACK, run.run_id, run.attempt)}
            return observation.model_copy(update=current)
        case RoomWanted():
            current = {"attempt": run.attempt, "job_name": names.training_job(STACK, run.run_id, run.attempt)}
            return observation.model_copy(update=current)
        case JobSeen(training=training) if job := run.charge or run.training:
            current = {"attempt": job.attempt, "job_name": job.job_name}
            return observation.model_copy(update={"training": training.model_copy(update=current)})
    return observation


def moves_of_base(run: Run, now: datetime) -> Iterator[Move]:
    """Yield what matters to the base model's endpoint, which has nothing to do with what people are told or wish."""
    seen: list[tuple[Effect | None, Observation]] = [(None, Looked()), (None, Nudged())]
    for effect in effects_due(run, now):
        if effect not in TELLING:
            seen += ((effect, each) for each in POSSIBLE[effect] if each != DELETION_DENIED)
    for effect, observation in seen:
        yield Move(run, now, effect, observation, decide(run, observation, now).run)


def moves_of_alarm(run: Run, now: datetime) -> Iterator[Move]:
    """Yield what becomes of a champion whose endpoint fails."""
    seen: list[tuple[Effect | None, Observation]] = [(None, each) for each in (Looked(), Nudged(), FAILING, ALONE)]
    for effect in effects_due(run, now):
        seen += ((effect, each) for each in POSSIBLE[effect] if fits(run, effect, each))
    for effect, observation in seen:
        yield Move(run, now, effect, observation, decide(run, observation, now).run)


def moves_from(run: Run, now: datetime) -> Iterator[Move]:
    seen: list[tuple[Effect | None, Observation]] = [
        (None, each) for each in (Looked(), Nudged(), WaitOver(), APPROVED, APPROVAL_REFUSED)
    ]
    if run.status in EVALUATED:
        seen += ((None, each) for each in (PROMOTION_REQUESTED, GONE))
        if run.promotion:  # the reconciler looks at former champions only
            seen += ((None, each) for each in (TIME_OVER, WAKE, WAKE_GONE))
            if run.plan and run.plan.serve is ServeTarget.ENDPOINT:
                seen.append((None, UNUSED))
    for effect in effects_due(run, now):
        seen += (
            (effect, of_attempt(observation, run)) for observation in POSSIBLE[effect] if fits(run, effect, observation)
        )
    for effect, observation in seen:
        after = decide(run, observation, now).run
        yield Move(run, now, effect, observation, after)
        if after.claims - run.claims:
            yield Move(run, now, effect, CLAIM_REFUSED, decide(run, CLAIM_REFUSED, now).run)
        if promotion := newly_promoted(run, after):
            changed = ChampionChanged(request=promotion.request, champion="another-run")
            yield Move(run, now, effect, changed, decide(run, changed, now).run)
        if len(after.charges) > len(run.charges):
            yield Move(run, now, effect, CAP_REACHED, decide(run, CAP_REACHED, now).run)


@pytest.fixture(scope="module")
def search() -> Search:
    # How a model is served matters to no run before it is trained: the second search begins there.
    return searched((new_run(), hosted_run(), judged_run()), moves_from)


@pytest.fixture(scope="module")
def base_search() -> Search:
    return searched((based_run(), based_run(judge=JUDGE)), moves_of_base)


@pytest.fixture(scope="module")
def alarm_search() -> Search:
    return searched((run_in(RunStatus.PROMOTED), run_in(RunStatus.EVALUATING)), moves_of_alarm)


def moments(run: Run, since: datetime) -> list[datetime]:
    """Return when a run is looked at: at the latest, and before as often as that is another situation."""
    found: dict[object, datetime] = {}
    for later in (LONGEST_WAIT, IDLE + SOON, SOON, timedelta(0)):
        now = since + later
        young = run.promotion is not None and now - run.promotion.at < BAKE_TIME
        found.setdefault((situation(run, now), young), now)
    return [*found.values()][::-1]


def searched(starts: Iterable[Run], moves_of: Callable[[Run, datetime], Iterator[Move]]) -> Search:
    states: dict[object, tuple[Run, datetime]] = {
        situation(run, run.updated_at): (run, run.updated_at) for run in starts
    }
    moves: list[Move] = []
    ways: dict[object, set[object]] = {}
    frontier = deque(states)
    while frontier:
        here = frontier.popleft()
        run, time = states[here]
        ways[here] = set()
        for now in moments(run, time):
            for move in moves_of(run, now):
                moves.append(move)
                there = situation(move.after, move.now)
                ways[here].add(there)
                if there not in states:
                    states[there] = (move.after, move.now)
                    frontier.append(there)
    return Search(states, moves, ways)


def test_the_search_knows_every_effect_and_every_observation() -> None:
    assert set(POSSIBLE) == set(Effect)
    known = {type(each) for observations in POSSIBLE.values() for each in observations}
    unasked = {Nudged, CapReached, ChampionChanged, ClaimRefused, WaitOver}
    asked = {PromotionRequested, Approved, ApprovalRefused, WakeRequested, AlarmRaised}
    assert known | unasked | asked == set(Observation.__subclasses__())


def test_every_edge_is_taken_and_no_other(search: Search) -> None:
    taken = {
        (move.before.status, move.after.status) for move in search.moves if move.before.status != move.after.status
    }
    assert taken == {(status, following) for status, all_following in EDGES.items() for following in all_following}


def test_of_a_base_model_nothing_is_left_when_all_is_done_and_it_goes_at_no_other_time(base_search: Search) -> None:
    ends = [
        run
        for run, now in base_search.states.values()
        if run.status.terminal and not set(effects_due(run, now + LONGEST_WAIT)) - TELLING
    ]
    assert {run.status for run in ends} == {RunStatus.PROMOTED, RunStatus.NOT_PROMOTED, RunStatus.FAILED}
    for run in ends:
        assert run.base is None or run.base.deleted or run.base.left
    for move in base_search.moves:
        if move.effect is Effect.TAKE_BASE_DOWN:
            judged = move.before.judgement and not move.before.judgement.over
            assert judged or move.before.status in TERMINAL or (move.before.base and move.before.base.over(move.now))
    for here, (run, _) in base_search.states.items():
        assert run in ends or base_search.ways[here] - {here}, run


def test_a_base_model_is_asked_only_once_it_is_up_or_given_up(base_search: Search) -> None:
    evaluating = [run for run, _ in base_search.states.values() if run.status is RunStatus.EVALUATING]
    assert {bool(run.base and run.base.model_arn) for run in evaluating} == {True, False}
    for run in evaluating:
        assert run.base
        assert bool(run.base.model_arn) is not bool(run.base.missing)


def test_an_alarm_rolls_a_new_champion_back_once_and_people_are_told(alarm_search: Search) -> None:
    rung = [move for move in alarm_search.moves if move.observation in (FAILING, ALONE)]
    assert any(move.after.rollback for move in rung)
    for move in rung:
        young = move.before.promotion and move.now - move.before.promotion.at < BAKE_TIME
        if move.before.status is not RunStatus.PROMOTED or not young or move.before.rollback:
            assert move.after == move.before
            continue
        assert move.after.rollback
        assert move.after.change is Change.DUE
        due = effects_due(move.after, move.now)
        assert (Effect.ROLL_BACK in due) is (move.observation == FAILING)
    for move in alarm_search.moves:
        if move.effect is Effect.ROLL_BACK:
            assert move.after.failed_champion
            # Whoever was told of the promotion is told of its end.
            assert Effect.CLAIM_NOTICE in effects_due(move.after, move.now + NOTICE_LEASE)
    ends = [run for run, _ in alarm_search.states.values() if settled(run)]
    assert {run.rollback is None for run in ends} == {True, False}
    assert all(run.rollback is None or run.rollback.outcome for run in ends)


def test_an_alarm_takes_back_a_promotion_that_is_young_however_long_ago_the_run_ended() -> None:
    back = observed(run_in(RunStatus.PROMOTED), PROMOTION_REQUESTED, after=2 * BAKE_TIME)
    assert observed(back, FAILING, after=SOON).rollback
    assert observed(back, FAILING, after=BAKE_TIME).rollback is None


def test_a_rollback_by_an_alarm_is_not_taken_back_by_another_alarm() -> None:
    promotion = PROMOTION_REQUESTED.model_copy(update={"by": ALARM})
    run = observed(run_in(RunStatus.PROMOTED), promotion)
    assert run.promotion
    assert run.promotion.by == ALARM
    assert observed(run, FAILING) == run


def test_no_run_leaves_an_end(search: Search) -> None:
    ends = [move for move in search.moves if move.before.status in TERMINAL]
    assert {move.before.status for move in ends} == TERMINAL
    assert all(move.after.status is move.before.status for move in ends)
    assert all(move.after.change is not Change.ENTERED for move in ends if move.after != move.before)


def test_a_new_status_is_announced_as_entered_and_remembers_the_one_before(search: Search) -> None:
    for move in search.moves:
        if move.after.status is not move.before.status:
            assert move.after.change is Change.ENTERED
            assert move.after.previous_status is move.before.status
            assert move.after.entered_at == move.after.updated_at == move.now


def test_what_says_that_the_same_status_is_due(search: Search) -> None:
    due = {
        type(move.observation) for move in search.moves if move.after != move.before and move.after.change is Change.DUE
    }
    # The last three: what was to be woken is given up.
    given_up = {Refused, Unavailable, EndpointSeen}
    assert due == {Nudged, ScoringPaused, ChampionChanged, RetirementWanted, WakeRequested, *given_up}


def test_a_judge_changes_no_verdict_and_costs_no_run(search: Search) -> None:
    judging = [
        move
        for move in search.moves
        if move.before.judgement and move.before.evaluation and not move.before.judgement.over
    ]
    ends = {move.after.status for move in judging} & TERMINAL
    assert ends == {RunStatus.NOT_PROMOTED}
    for move in judging:
        assert move.after.evaluation == move.before.evaluation
        if move.after.status in ends:
            assert move.after.evaluation
            assert not move.after.evaluation.passed


def test_a_run_waits_for_its_judge_before_it_ends_and_not_for_ever(search: Search) -> None:
    waiting = [(run, now) for run, now in search.states.values() if run.judgement and run.evaluation]
    unheard = [(run, now) for run, now in waiting if not run.judgement.over and run.status is RunStatus.EVALUATING]
    assert unheard
    for run, now in unheard:
        assert not {Effect.PROMOTE, Effect.PUBLISH_ALIAS} & set(effects_due(run, now))
        late = max(now, run.judgement.since + PATIENCE)
        after = decide(run, Nudged(), late + IDLE).run
        assert after.judgement
        assert after.judgement.over
        assert "12 hours" in after.judgement.failure


def test_answers_are_graded_anew_for_another_champion_and_once_for_the_base() -> None:
    judged = observed(judged_run(), scored(passed=True), JUDGE_CALLED, JUDGED)
    changed = ChampionChanged(request=judged.run_id, champion="another-run")
    again = observed(judged, changed, scored(passed=False))
    assert (again.status, again.judgement) == (RunStatus.NOT_PROMOTED, judged.judgement)

    against_champion = JUDGE_CALLED.model_copy(update={"rival": "champion"})
    judged = observed(judged_run(), scored(passed=True), against_champion, JUDGED)
    again = observed(judged, changed, scored(passed=False))
    assert again.status is RunStatus.EVALUATING
    assert again.judgement
    assert (again.judgement.attempt, again.judgement.jobs, again.judgement.scores) == (2, (), {})


def test_a_run_that_did_not_change_is_not_written(search: Search) -> None:
    assert all(move.after == move.before for move in search.moves if isinstance(move.observation, Looked))


def test_for_a_settled_run_nothing_is_ever_due(search: Search) -> None:
    runs = [(run, now) for run, now in search.states.values() if settled(run)]
    assert {run.status for run, _ in runs} == TERMINAL
    for run, now in runs:
        for later in (timedelta(0), IDLE, LONGEST_WAIT):
            assert effects_due(run, now + later) == ()
            assert not wants_nudge(run, now + later)


def test_a_settled_run_has_told_of_its_end_and_left_no_import_but_a_promoted_one_s(search: Search) -> None:
    for run, _ in search.states.values():
        if settled(run):
            assert run.notices[run.status].message_id
            assert run.report_uri
            if run.promotion:
                assert run.promotion.published
                assert run.deployment
                assert run.deployment.deleted == bool(run.deployment.retirement)
            else:
                assert run.status is not RunStatus.PROMOTED
                assert run.deployment is None or run.deployment.deleted


def test_who_is_not_settled_is_nudged_in_the_end(search: Search) -> None:
    for run, now in search.states.values():
        assert settled(run) or wants_nudge(run, now + LONGEST_WAIT)


def test_from_everywhere_there_is_a_way_to_a_settled_end(search: Search) -> None:
    good = {here for here, (run, _) in search.states.items() if settled(run)}
    came_from: dict[object, set[object]] = {}
    for here, there in search.ways.items():
        for each in there:
            came_from.setdefault(each, set()).add(here)
    frontier = deque(good)
    while frontier:
        for here in came_from.get(frontier.popleft(), set()) - good:
            good.add(here)
            frontier.append(here)
    assert [run.status for here, (run, _) in search.states.items() if here not in good] == []


def test_what_was_done_is_not_due_again_at_once(search: Search) -> None:
    for move in search.moves:
        if move.effect and move.effect not in LOOKS and move.effect in effects_due(move.after, move.now):
            assert isinstance(move.observation, ScoringPaused | ClaimRefused)


def test_an_end_after_which_the_files_may_be_dropped_again_holds_no_claim(search: Search) -> None:
    assert {run.status for run, _ in search.states.values() if run.status in TRY_AGAIN and not run.claims} == TRY_AGAIN
    assert all(run.claims == frozenset() for run, _ in search.states.values() if run.status in TRY_AGAIN)


def test_the_files_are_claimed_from_the_plan_to_a_verdict(search: Search) -> None:
    claim = names.drop_claim(PLAN.fingerprint)
    for run, _ in search.states.values():
        assert (claim in run.claims) == (run.status is not RunStatus.PLANNING and run.status not in TRY_AGAIN)


def test_the_import_slot_is_held_only_while_an_import_runs_or_is_about_to(search: Search) -> None:
    holders = {run.status for run, _ in search.states.values() if names.IMPORT_SLOT in run.claims}
    assert holders == {RunStatus.DEPLOYING}
    for run, _ in search.states.values():
        if run.deployment and run.status is RunStatus.DEPLOYING:
            assert (names.IMPORT_SLOT in run.claims) == (run.deployment.target is ServeTarget.BEDROCK)


def test_room_is_reserved_before_the_launch_and_until_the_cost_is_known(search: Search) -> None:
    holders = {run.status for run, _ in search.states.values() if run.charge}
    assert holders == {RunStatus.LAUNCHING, RunStatus.TRAINING, RunStatus.FAILED}
    for run, now in search.states.values():
        unpriced = run.plan is not None and run.plan.usd_per_hour is None
        assert not (unpriced and run.charge)
        assert run.status is not RunStatus.TRAINING or run.charge or unpriced
        assert Effect.LAUNCH not in effects_due(run, now) or run.charge or unpriced
        assert not settled(run) or run.charge is None
        assert len({each.job_name for each in run.charges}) == len(run.charges)


def test_who_waits_says_why_and_until_when(search: Search) -> None:
    waiting = [move for move in search.moves if move.after != move.before and move.after.next_try_at]
    assert {move.after.status for move in waiting} == {
        RunStatus.VALIDATING,
        RunStatus.LAUNCHING,
        RunStatus.DEPLOYING,
        RunStatus.EVALUATING,
        RunStatus.PROMOTED,
        *RETIRING - {RunStatus.STOPPED},
    }
    for move in waiting:
        assert move.after.reason
        if isinstance(move.observation, ClaimRefused):
            assert move.after.next_try_at == move.now
        if isinstance(move.observation, Unavailable):
            assert move.after.next_try_at
            assert move.after.next_try_at > move.now
            assert set(effects_due(move.after, move.now)) <= TELLING


def test_promotion_follows_a_passing_score_and_a_published_alias_only(search: Search) -> None:
    promoted = [move for move in search.moves if move.after.status is RunStatus.PROMOTED is not move.before.status]
    assert promoted
    for move in promoted:
        assert isinstance(move.observation, AliasPublished)
        assert move.before.promotion
        assert move.after.promotion
        assert move.after.promotion.published


def test_a_model_becomes_champion_by_a_passing_score_or_by_a_person_who_asks_once_it_is_evaluated(
    search: Search,
) -> None:
    promotions = [move for move in search.moves if newly_promoted(move.before, move.after)]
    assert {type(move.observation) for move in promotions} == {PromotionWanted, PromotionRequested}
    for move in promotions:
        assert move.before.evaluation
        assert move.before.deployment
        assert move.before.deployment.model_arn
        assert not move.before.deployment.retirement
        if isinstance(move.observation, PromotionWanted):
            assert move.before.evaluation.passed
        else:
            assert move.before.status in EVALUATED
            assert not move.observation.missing


def test_a_model_that_is_given_up_is_deleted_and_never_promoted_again(search: Search) -> None:
    given_up = [(run, now) for run, now in search.states.values() if run.deployment and run.deployment.retirement]
    assert {run.status for run, _ in given_up} == {RunStatus.PROMOTED, *RETIRING - {RunStatus.STOPPED}}
    for run, now in given_up:
        assert run.deployment
        assert run.deployment.deleted or DELETING & set(effects_due(run, now + LONGEST_WAIT))
        assert not newly_promoted(run, decide(run, PROMOTION_REQUESTED, now).run)
    for run, now in search.states.values():
        if deletion := DELETING & set(effects_due(run, now)):
            assert run.deployment
            assert run.deployment.retirement
            of_an_endpoint = run.deployment.target is ServeTarget.ENDPOINT
            assert deletion == {Effect.TAKE_DOWN if of_an_endpoint else Effect.DELETE_IMPORT}


def test_an_endpoint_is_named_before_anything_of_it_is_made(search: Search) -> None:
    for run, now in search.states.values():
        if Effect.BRING_UP in effects_due(run, now):
            assert run.deployment
            assert run.deployment.model_name == ENDPOINT_NAME


def test_only_an_endpoint_of_a_promoted_run_that_was_taken_down_or_deleted_by_hand_is_woken(search: Search) -> None:
    woken = [move for move in search.moves if move.observation in (WAKE, WAKE_GONE) and move.after != move.before]
    assert {move.observation for move in woken} == {WAKE, WAKE_GONE}
    for move in woken:
        deployment = move.before.deployment
        assert deployment
        kept = not deployment.retirement or deployment.left
        by_hand = move.observation == WAKE_GONE and kept and not deployment.waking
        assert deployment.deleted or by_hand
        assert move.before.promotion
        assert move.before.deployment.target is ServeTarget.ENDPOINT
        assert Effect.BRING_UP in effects_due(move.after, move.now)


def test_a_champion_neither_fails_nor_is_given_up_before_its_alias_is_published(search: Search) -> None:
    for move in search.moves:
        if move.before.promotion and not move.before.promotion.published:
            assert move.after.status is not RunStatus.FAILED
            assert move.after.deployment
            assert not move.after.deployment.retirement


def test_a_refusal_that_comes_late_fails_no_champion() -> None:
    run = observed(run_in(RunStatus.EVALUATING), scored(passed=True), PROMOTION_WANTED)
    assert observed(run, REFUSED) == run


def test_only_statuses_that_people_want_to_hear_of_are_told(search: Search) -> None:
    noticed = {status for run, _ in search.states.values() for status in run.notices}
    assert noticed == NOTIFIED
    for run, now in search.states.values():
        notices = {Effect.CLAIM_NOTICE, Effect.SEND_NOTICE} & set(effects_due(run, now))
        told = run.status in run.notices and run.notices[run.status].message_id is not None
        assert len(notices) == (run.status in NOTIFIED and not told)


def test_what_comes_too_late_changes_nothing(search: Search) -> None:
    work: dict[RunStatus, set[Effect | None]] = {status: set() for status in RunStatus}
    for move in search.moves:
        work[move.before.status].add(move.effect)
    for run, now in search.states.values():
        for observation in _judged_by_status(frozenset(work[run.status])):
            assert decide(run, observation, now).run == run


def test_what_is_not_due_moves_no_run(search: Search) -> None:
    for run, now in search.states.values():
        for observation in _judged_by_status(frozenset(effects_due(run, now + LONGEST_WAIT))):
            assert decide(run, observation, now).run.status is run.status


@cache
def _judged_by_status(done: frozenset[Effect | None]) -> list[Observation]:
    """Return what none of these effects can have seen, but for what counts in every status."""
    own = [each for effect in POSSIBLE if effect in done for each in POSSIBLE[effect]]
    effects = set(POSSIBLE) - set(done)
    anywhere = (Looked, Unavailable, Refused, NoticeClaimed, NoticeSent, RetirementWanted, ModelDeleted)
    seen = [each for effect in effects for each in POSSIBLE[effect] if not isinstance(each, anywhere)]
    return [each for each in seen if each not in own]


def test_an_attempt_that_was_given_up_moves_no_run(search: Search) -> None:
    others = [run for run, _ in search.states.values() if run.attempt > 1 and not run.status.terminal]
    assert {run.status for run in others} >= {RunStatus.LAUNCHING, RunStatus.TRAINING}
    for run in others:
        for observation in (
            JOB_ACCEPTED,
            *JOB_REFUSED,
            job_seen("Completed"),
            job_seen("Failed"),
            job_failed(CAPACITY),
        ):
            # What was reserved for the first attempt may still have to be settled.
            if not {job.attempt for job in (run.training, run.charge) if job} & {1}:
                assert decide(run, observation, run.updated_at).run == run


def test_an_attempt_follows_what_may_come_and_nothing_else(search: Search) -> None:
    again = [move for move in search.moves if move.after.failed_attempts != move.before.failed_attempts]
    assert {move.before.status for move in again} == {RunStatus.LAUNCHING, RunStatus.TRAINING}
    for move in again:
        assert move.after.status is RunStatus.LAUNCHING
        assert move.after.training is None
        assert move.after.next_try_at
        assert move.after.next_try_at > move.now
        code = move.after.failed_attempts[-1].code
        assert code in {*SHORTAGES, "training.aws-fault"}
        assert move.after.attempt == move.before.attempt + (code != "training.throttled")


# ---------------------------------------------------------------- examples


def test_a_failed_job_is_diagnosed_from_its_log_of_which_nothing_is_kept() -> None:
    seen = job_failed("AlgorithmError: ExecuteUserScriptError:\nExitCode 1").model_copy(
        update={"log_tail": ("CANARY 4111 my doctor says", "torch.OutOfMemoryError: CUDA out of memory. CANARY")}
    )
    run = observed(run_in(RunStatus.TRAINING), seen)
    assert [problem.code for problem in run.problems] == ["training.gpu-memory"]
    assert "CANARY" not in run.model_dump_json()


def test_pain_11_without_capacity_the_run_goes_on_with_the_plan_s_next_instance_type() -> None:
    run = observed(launched(), job_failed(CAPACITY))
    assert (run.status, run.attempt, run.training) == (RunStatus.LAUNCHING, 2, None)
    assert run.plan
    assert run.plan.training.instance_type == "ml.g5.12xlarge"
    assert (run.plan.training.image_uri, run.plan.usd_per_hour) == ("image:ml.g5.12xlarge", 7.09)
    assert run.next_try_at == run.updated_at + next_try(run.run_id, 1)
    assert run.reason.endswith("The next try is on ml.g5.12xlarge.")
    assert effects_due(run, run.updated_at) == ()
    assert effects_due(run, run.next_try_at) == (Effect.RESERVE,)
    third = observed(
        run, of_attempt(ROOM_WANTED, run), of_attempt(JOB_ACCEPTED, run), JobRefused(attempt=1, reason=QUOTA.format(2))
    )
    assert (third.status, third.attempt) == (RunStatus.TRAINING, 2)


def test_pain_10_a_quota_in_use_is_waited_for_with_another_type() -> None:
    launching = observed(new_run(), PlanMade(plan=SEVERAL), DATASET_ACCEPTED, ROOM_WANTED)
    run = observed(launching, JobRefused(attempt=1, reason=QUOTA.format(2)))
    assert (run.status, run.attempt) == (RunStatus.LAUNCHING, 2)
    assert run.entered_at == launching.entered_at
    assert run.failed_attempts[0].code == "training.quota"


def test_pain_21_a_throttled_launch_tries_the_same_job_again() -> None:
    launching = observed(new_run(), PlanMade(plan=SEVERAL), DATASET_ACCEPTED, ROOM_WANTED)
    run = observed(launching, JobRefused(attempt=1, reason="ThrottlingException: Rate exceeded"))
    assert (run.status, run.attempt, run.plan) == (RunStatus.LAUNCHING, 1, launching.plan)
    assert run.next_try_at


def test_after_a_day_without_capacity_the_run_fails_and_says_what_was_tried() -> None:
    run = launched()
    for _ in range(2):
        run = observed(run, of_attempt(job_failed(CAPACITY), run), after=GIVE_UP_AFTER)
        if run.status is RunStatus.LAUNCHING:
            run = observed(run, of_attempt(ROOM_WANTED, run), of_attempt(JOB_ACCEPTED, run))
    assert run.status is RunStatus.FAILED
    assert run.problems[0].code == "training.capacity"
    assert "Tried 2 times within 24.0 hours, on ml.g5.2xlarge, ml.g5.12xlarge." in run.problems[0].message


def test_a_quota_of_zero_on_every_type_ends_the_run_at_once() -> None:
    run = observed(new_run(), PlanMade(plan=SEVERAL), DATASET_ACCEPTED, ROOM_WANTED)
    for attempt in (1, 2):
        assert run.status is RunStatus.LAUNCHING
        run = observed(run, JobMissing(), of_attempt(ROOM_WANTED, run))
        run = observed(run, JobRefused(attempt=attempt, reason=QUOTA.format(0)))
    assert (run.status, run.problems[0].code) == (RunStatus.FAILED, "training.no-quota")


def choice(instance_type: str, usd_per_hour: float) -> InstanceChoice:
    return InstanceChoice(
        instance_type=instance_type,
        image_uri=f"image:{instance_type}",
        script_uri=PLAN.training.script_uri,
        model_uri=PLAN.training.model_uri,
        environment={},
        hyperparameters=PLAN.training.hyperparameters,
        max_runtime_seconds=600,
        max_wait_seconds=None,
        usd_per_hour=usd_per_hour,
        estimate=None,
    )


CHOICES = (choice("ml.g5.2xlarge", 1.515), choice("ml.g5.12xlarge", 7.09))
SEVERAL = PLAN.model_copy(update={"choices": CHOICES}).for_attempt(1)


def launched() -> Run:
    return observed(new_run(), PlanMade(plan=SEVERAL), DATASET_ACCEPTED, ROOM_WANTED, JOB_ACCEPTED)


def test_a_new_run_is_planned() -> None:
    assert effects_due(new_run(), NOW) == (Effect.PLAN,)


def test_a_plan_claims_the_files_and_lets_them_be_validated() -> None:
    run = run_in(RunStatus.VALIDATING)
    assert run.plan == PLAN
    assert run.claims == {"drop-0123456789abcdef0123456789abcdef"}
    assert effects_due(run, NOW) == (Effect.VALIDATE,)


def test_the_same_files_dropped_again_are_rejected_and_the_first_run_is_named() -> None:
    run = observed(new_run(), ClaimRefused(claim=names.drop_claim(PLAN.fingerprint), holder="first-run"))
    assert run.status is RunStatus.REJECTED
    assert [problem.code for problem in run.problems] == ["drop.duplicate"]
    assert "first-run" in run.reason
    assert run.claims == frozenset()


def test_a_refused_dataset_keeps_the_first_problems_and_the_count_of_all() -> None:
    run = observed(run_in(RunStatus.VALIDATING), DATASET_REFUSED)
    assert run.status is RunStatus.REJECTED
    assert run.problems == (PROBLEM,)
    assert run.problem_counts == {"sample": 3}
    assert run.reason == "train.jsonl:1: It is wrong. Fix: Mend it."


def test_a_run_reserves_the_most_that_its_job_may_cost_and_is_launched_then() -> None:
    run = run_in(RunStatus.LAUNCHING)
    assert effects_due(run, NOW) == (Effect.RESERVE,)
    reserved = observed(run, ROOM_WANTED)
    (charge,) = reserved.charges
    # An hour and 120 seconds of ml.g5.2xlarge at 1.515 US dollars.
    assert (charge.month, charge.job_name, charge.most_cents, charge.cents) == ("2026-01", JOB_NAME, 157, None)
    assert effects_due(reserved, NOW) == (Effect.LAUNCH,)


def test_a_run_whose_price_nobody_knows_is_launched_without_a_reservation() -> None:
    unpriced = PLAN.model_copy(update={"usd_per_hour": None})
    run = run_in(RunStatus.LAUNCHING).model_copy(update={"plan": unpriced})
    assert effects_due(run, NOW) == (Effect.LAUNCH,)
    assert observed(run, JOB_ACCEPTED, job_seen("Completed")).charges == ()


def test_a_month_without_room_is_waited_for_with_the_reason_and_the_next_try() -> None:
    waiting = observed(run_in(RunStatus.LAUNCHING), CAP_REACHED)
    assert waiting.status is RunStatus.LAUNCHING
    assert waiting.reason == "Waits for room under the monthly cap of $100: $96 are committed."
    assert waiting.next_try_at == NOW + ROOM_WAIT
    assert decide(waiting, Nudged(), NOW + ROOM_WAIT).effects == (Effect.RESERVE,)
    failed = observed(waiting, CAP_REACHED, after=LONGEST_WAIT)
    assert (failed.status, failed.problems[0].code) == (RunStatus.FAILED, "wait.too-long")


def test_who_waits_for_a_quota_keeps_the_room_that_is_reserved() -> None:
    waiting = observed(run_in(RunStatus.LAUNCHING), ROOM_WANTED, UNAVAILABLE)
    assert waiting.charge
    assert decide(waiting, Nudged(), NOW + SOON + SOON + SOON).effects == (Effect.LAUNCH,)


@pytest.mark.parametrize("status", ["Completed", "Failed", "Stopped"])
def test_the_end_of_a_job_settles_what_it_has_cost(status: str) -> None:
    seen = job_seen(status)
    seen = seen.model_copy(update={"training": seen.training.model_copy(update={"billable_seconds": 1000})})
    (charge,) = observed(run_in(RunStatus.TRAINING), seen).charges
    assert charge.cents == 43  # 1,000 seconds at 1.515 US dollars an hour are 42.08 cents


def test_a_job_that_was_never_billed_or_never_was_gives_its_room_back() -> None:
    run = run_in(RunStatus.TRAINING)
    assert [each.cents for each in observed(run, job_seen("Failed")).charges] == [0]
    assert [each.cents for each in observed(run, JobMissing(), after=MISSING_JOB).charges] == [0]


def test_a_run_that_failed_while_it_was_launched_settles_when_it_is_known_what_became_of_the_job() -> None:
    failed = observed(run_in(RunStatus.LAUNCHING), ROOM_WANTED, REFUSED)
    assert failed.status is RunStatus.FAILED
    assert failed.charge
    assert Effect.SETTLE in effects_due(failed, NOW)
    # Another invocation may be creating it at this moment.
    assert observed(failed, JobMissing(), job_seen("InProgress")) == failed
    assert [each.cents for each in observed(failed, JobMissing(), after=MISSING_JOB).charges] == [0]
    zombie = job_seen("Stopped")
    zombie = zombie.model_copy(update={"training": zombie.training.model_copy(update={"billable_seconds": 60})})
    assert [each.cents for each in observed(failed, zombie).charges] == [3]


def test_room_for_a_job_that_aws_refused_is_kept_until_it_is_known_that_there_is_none() -> None:
    refused = observed(new_run(), PlanMade(plan=SEVERAL), DATASET_ACCEPTED, ROOM_WANTED, JOB_REFUSED[0])
    assert (refused.attempt, refused.charge and refused.charge.attempt) == (2, 1)
    due = decide(refused, Nudged(), NOW + timedelta(hours=1))
    assert due.effects == (Effect.SETTLE,)
    none = observed(due.run, JobMissing())
    assert ([each.cents for each in none.charges], effects_due(none, none.updated_at)) == ([0], (Effect.RESERVE,))
    # Another invocation had created it: it is stopped by the reconciler, and paid for.
    running = observed(due.run, job_seen("InProgress"))
    assert (running.status, running.charge) == (RunStatus.LAUNCHING, refused.charge)
    assert running.next_try_at
    zombie = job_seen("Stopped")
    zombie = zombie.model_copy(update={"training": zombie.training.model_copy(update={"billable_seconds": 60})})
    stopped = observed(running, Nudged(), zombie, after=ROOM_WAIT)
    assert ([each.cents for each in stopped.charges], stopped.attempt) == ([3], 2)


def test_a_full_quota_is_waited_for_and_tried_again_on_a_nudge() -> None:
    waiting = observed(run_in(RunStatus.LAUNCHING), ROOM_WANTED, UNAVAILABLE)
    assert (waiting.status, waiting.reason) == (RunStatus.LAUNCHING, "No room.")
    assert effects_due(waiting, NOW + SOON) == ()
    assert not wants_nudge(waiting, NOW + SOON)
    nudged = decide(waiting, Nudged(), NOW + timedelta(minutes=5))
    assert nudged.effects == (Effect.LAUNCH,)
    assert nudged.run.change is Change.DUE


@pytest.mark.parametrize("status", [RunStatus.LAUNCHING, RunStatus.DEPLOYING, RunStatus.EVALUATING])
def test_a_wait_of_a_day_is_a_failure(status: RunStatus) -> None:
    run = run_in(status)
    assert observed(run, UNAVAILABLE, after=LONGEST_WAIT - SOON).status is status
    failed = observed(run, UNAVAILABLE, after=LONGEST_WAIT)
    assert failed.status is RunStatus.FAILED
    assert "No room." in failed.reason


def test_a_status_in_which_nothing_moves_for_a_day_is_a_failure() -> None:
    assert observed(run_in(RunStatus.VALIDATING), Nudged(), after=LONGEST_WAIT).status is RunStatus.FAILED


def test_training_may_take_its_time_limit_besides() -> None:
    training = observed(run_in(RunStatus.TRAINING), Nudged(), after=LONGEST_WAIT)
    assert (training.status, training.change) == (RunStatus.TRAINING, Change.DUE)
    longest = timedelta(seconds=PLAN.training.max_runtime_seconds)
    assert observed(run_in(RunStatus.TRAINING), Nudged(), after=LONGEST_WAIT + longest).status is RunStatus.FAILED


def job_failed_after(seconds: int) -> JobSeen:
    seen = job_failed(AWS_FAULT)
    return seen.model_copy(update={"training": seen.training.model_copy(update={"billable_seconds": seconds})})


def launched_with(budget_usd: float) -> Run:
    choices = tuple(each.model_copy(update={"max_runtime_seconds": 3600}) for each in SEVERAL.choices)
    plan = SEVERAL.model_copy(update={"budget_usd": budget_usd, "choices": choices}).for_attempt(1)
    return observed(new_run(), PlanMade(plan=plan), DATASET_ACCEPTED, ROOM_WANTED, JOB_ACCEPTED)


def test_another_attempt_costs_what_the_former_ones_left_of_the_budget() -> None:
    run = observed(launched_with(2), job_failed_after(1000))
    assert (run.status, run.attempt) == (RunStatus.LAUNCHING, 2)
    assert run.plan
    assert run.plan.usd_per_hour
    spent = sum(each.cents or 0 for each in run.charges)
    assert spent
    most = most_cents(run.plan.usd_per_hour, timedelta(seconds=run.plan.training.max_runtime_seconds))
    assert spent + most <= 200 < spent + most + 2


def test_an_attempt_that_the_budget_cannot_pay_is_not_made() -> None:
    run = observed(launched_with(1), job_failed_after(1000))
    assert (run.status, [each.code for each in run.problems]) == (RunStatus.FAILED, ["budget.spent"])


def test_an_accepted_job_is_followed() -> None:
    run = run_in(RunStatus.TRAINING)
    assert run.training
    assert (run.training.status, run.training.attempt) == ("InProgress", 1)
    assert Effect.DESCRIBE_TRAINING in effects_due(run, NOW)


def test_progress_of_a_job_is_kept_and_announced_to_nobody() -> None:
    seen = job_seen("InProgress", "Downloading")
    run = observed(run_in(RunStatus.TRAINING), seen)
    assert run.training == seen.training
    assert run.change is Change.PROGRESS


def test_a_completed_job_is_deployed() -> None:
    run = run_in(RunStatus.DEPLOYING)
    assert run.training
    assert run.training.artifact_uri
    assert effects_due(run, NOW) == (Effect.TAKE_IMPORT_SLOT,)


@pytest.mark.parametrize(
    ("reason", "code", "where"),
    [
        ("AlgorithmError: CUDA out of memory", "training.gpu-memory", "tune.yaml: instance_type"),
        ("ClientError: we do not know", "training.failed", "tunedrop-26bcheuva3pxye4gnfjf36hhxw-a1"),
    ],
)
def test_a_failed_job_fails_the_run_with_a_diagnosis(reason: str, code: str, where: str) -> None:
    seen = job_seen("Failed").model_copy(update={"failure_reason": reason})
    run = observed(run_in(RunStatus.TRAINING), seen)
    assert run.status is RunStatus.FAILED
    (problem,) = run.problems
    assert (problem.code, problem.where) == (code, where)


@pytest.mark.parametrize(
    ("seen", "code"),
    [
        (job_seen("Stopped"), "training.stopped"),
        (job_seen("Stopped", "MaxRuntimeExceeded"), "training.time-limit"),
        (job_seen("Stopped", "MaxWaitTimeExceeded"), "training.interrupted"),
    ],
)
def test_a_stopped_job_is_never_a_success(seen: JobSeen, code: str) -> None:
    run = observed(run_in(RunStatus.TRAINING), seen)
    assert run.status is RunStatus.STOPPED
    assert [problem.code for problem in run.problems] == [code]


def test_a_job_may_be_unknown_for_a_while_but_not_for_ever() -> None:
    run = run_in(RunStatus.TRAINING)
    assert observed(run, JobMissing(), after=MISSING_JOB - SOON) == run
    assert observed(run, JobMissing(), after=MISSING_JOB).status is RunStatus.FAILED


def test_the_import_starts_once_the_slot_is_taken() -> None:
    run = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted())
    assert names.IMPORT_SLOT in run.claims
    assert effects_due(run, NOW) == (Effect.START_IMPORT,)


def test_a_taken_slot_is_waited_for_and_the_holder_is_named() -> None:
    run = observed(run_in(RunStatus.DEPLOYING), CLAIM_REFUSED)
    assert run.status is RunStatus.DEPLOYING
    assert "another-run" in run.reason
    assert wants_nudge(run, NOW)  # at the next tick of track_deployment


def test_who_cannot_import_now_gives_the_slot_back() -> None:
    run = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted(), UNAVAILABLE)
    assert names.IMPORT_SLOT not in run.claims


def test_who_finds_no_place_writes_down_who_is_to_make_room_before_asking() -> None:
    starting = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted())
    chosen = observed(starting, FULL)
    assert chosen.room_from == "an-older-run"
    assert effects_due(chosen, NOW) == (Effect.MAKE_ROOM,)
    waiting = observed(chosen, RoomMade())
    assert (waiting.room_from, waiting.reason) == (None, "No place.")
    assert names.IMPORT_SLOT not in waiting.claims
    assert effects_due(waiting, NOW) == ()
    assert observed(starting, FULL_FOR_GOOD).next_try_at


def test_the_slot_is_free_when_the_import_has_ended() -> None:
    importing = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted(), IMPORT_STARTED)
    assert effects_due(importing, NOW) == (Effect.DESCRIBE_IMPORT,)
    for end, status in ((IMPORT_COMPLETED, RunStatus.EVALUATING), (ImportSeen(status="Failed"), RunStatus.FAILED)):
        ended = observed(importing, end)
        assert ended.status is status
        assert names.IMPORT_SLOT not in ended.claims


def test_an_import_is_complete_when_bedrock_names_the_model() -> None:
    importing = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted(), IMPORT_STARTED)
    assert observed(importing, ImportSeen(status="Completed")) == importing
    evaluating = observed(importing, IMPORT_COMPLETED)
    assert evaluating.deployment
    assert evaluating.deployment.model_arn == MODEL_ARN


def test_an_import_started_twice_is_one() -> None:
    importing = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted(), IMPORT_STARTED)
    again = ImportStarted(job_name="other", job_arn="other", model_name="other")
    assert observed(importing, again) == importing


def test_a_candidate_that_passes_is_promoted_after_the_alias_is_written() -> None:
    passed = observed(run_in(RunStatus.EVALUATING), scored(passed=True))
    assert passed.status is RunStatus.EVALUATING
    assert effects_due(passed, NOW) == (Effect.PROMOTE,)
    champion = observed(passed, PromotionWanted(instead_of="an-older-run"))
    assert champion.status is RunStatus.EVALUATING
    assert champion.promotion
    assert (champion.promotion.by, champion.promotion.instead_of) == (EVALUATION, "an-older-run")
    assert effects_due(champion, NOW) == (Effect.PUBLISH_ALIAS,)
    promoted = observed(champion, ALIAS_PUBLISHED)
    assert promoted.status is RunStatus.PROMOTED
    assert effects_due(promoted, NOW) == (Effect.WRITE_REPORT, Effect.CLAIM_NOTICE)


def test_a_candidate_whose_champion_changed_meanwhile_is_compared_again() -> None:
    passed = observed(run_in(RunStatus.EVALUATING), scored(passed=True))
    again = observed(passed, ChampionChanged(request=RUN_ID, champion="a-quicker-run"))
    assert (again.status, again.change, again.evaluation) == (RunStatus.EVALUATING, Change.DUE, None)
    assert "a-quicker-run" in again.reason
    assert effects_due(again, NOW) == (Effect.SCORE,)


def test_a_person_promotes_a_former_champion_once_however_often_the_wish_comes() -> None:
    run = observed(run_in(RunStatus.PROMOTED), PROMOTION_REQUESTED)
    assert run.promotion
    assert (run.promotion.request, run.promotion.by) == (PROMOTION_REQUESTED.request, PROMOTION_REQUESTED.by)
    assert run.status is RunStatus.PROMOTED
    assert Effect.PUBLISH_ALIAS in effects_due(run, NOW)
    assert observed(run, PROMOTION_REQUESTED) == run


def test_a_person_may_promote_what_the_evaluation_did_not_while_its_import_is_there() -> None:
    run = observed(run_in(RunStatus.NOT_PROMOTED), PROMOTION_REQUESTED, ALIAS_PUBLISHED)
    assert run.status is RunStatus.NOT_PROMOTED
    assert effects_due(run, NOW) == (Effect.WRITE_REPORT, Effect.CLAIM_NOTICE)
    given_up = observed(run_in(RunStatus.NOT_PROMOTED), *POSSIBLE[Effect.RETIRE], PROMOTION_REQUESTED)
    assert given_up.promotion is None
    assert given_up.promotion_refused
    assert "is deleted" in given_up.promotion_refused.reason


@pytest.mark.parametrize(
    ("status", "asked", "reason"),
    [
        (RunStatus.FAILED, PROMOTION_REQUESTED, "ended FAILED"),
        (RunStatus.STOPPED, PROMOTION_REQUESTED, "ended STOPPED"),
        (RunStatus.PROMOTED, GONE, "no such model"),
        (RunStatus.PROMOTED, ChampionChanged(request="request-1", champion="another-run"), "is run another-run"),
    ],
)
def test_a_wish_that_cannot_be_granted_is_answered_with_the_reason(
    status: RunStatus, asked: Observation, reason: str
) -> None:
    run = run_in(status)
    refused = observed(run, asked)
    assert refused.promotion == run.promotion
    assert refused.promotion_refused
    assert refused.promotion_refused.request == "request-1"
    assert reason in refused.promotion_refused.reason
    assert observed(refused, asked, after=SOON) == refused


def test_a_former_champion_is_given_up_and_then_deleted() -> None:
    run = observed(run_in(RunStatus.PROMOTED), TIME_OVER)
    assert run.change is Change.DUE
    assert effects_due(run, NOW)[0] is Effect.DELETE_IMPORT
    assert Effect.DELETE_IMPORT not in effects_due(observed(run, ModelDeleted()), NOW)


def test_a_model_that_nobody_may_delete_is_tried_again_for_a_day_and_then_left_to_a_person() -> None:
    run = observed(run_in(RunStatus.NOT_PROMOTED), *POSSIBLE[Effect.RETIRE])
    for _ in range(DELETIONS - 1):
        run = observed(run, DELETION_DENIED, after=DELETION_PAUSE)
        assert Effect.DELETE_IMPORT not in effects_due(run, run.updated_at)
        assert Effect.DELETE_IMPORT in effects_due(run, run.updated_at + DELETION_PAUSE)
    run = observed(run, DELETION_DENIED, after=DELETION_PAUSE)
    assert run.deployment
    assert (run.deployment.left, run.deployment.deleted) == (DELETION_DENIED.reason, False)
    assert Effect.DELETE_IMPORT not in effects_due(run, run.updated_at + LONGEST_WAIT)
    assert observed(run, DELETION_DENIED) == run
    assert run.change is Change.DUE  # who sends notices hears of it
    assert settled(observed(run, REPORT_WRITTEN, NOTICE_CLAIMED, NoticeSent(status=run.status, message_id="m-1")))


@pytest.mark.parametrize("seen", [Looked(), UNAVAILABLE], ids=["by workers that die", "though it never ends"])
def test_a_deletion_is_tried_at_growing_pauses_for_a_day_and_then_left_to_a_person(seen: Observation) -> None:
    run = observed(run_in(RunStatus.NOT_PROMOTED), REPORT_WRITTEN, NOTICE_CLAIMED)
    run = observed(run, NoticeSent(status=run.status, message_id="m-1"), *POSSIBLE[Effect.RETIRE])
    now, tries = run.updated_at, [run.updated_at]
    run = decide(run, seen, now).run
    while run.deployment and not run.deployment.left and len(tries) <= DELETIONS:
        now += timedelta(minutes=5)
        nudged = decide(run, Nudged(), now).run
        if nudged != run:
            tries.append(now)
            run = decide(nudged, seen, now).run
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[-1] <= DELETION_PAUSE + timedelta(minutes=5)
    assert timedelta(hours=18) < now - run.entered_at < timedelta(hours=30)
    assert run.deployment
    assert run.deployment.left
    assert not run.deployment.deleted
    # Who was told of the end is told once more, of what is left.
    assert not settled(run)
    assert effects_due(run, now) == (Effect.CLAIM_NOTICE,)
    assert settled(observed(run, NOTICE_CLAIMED, NoticeSent(status=run.status, message_id="m-2")))


def test_of_two_deletions_that_fail_the_one_tried_less_comes_first() -> None:
    world = observed(based_run(), IMPORT_COMPLETED, BaseNamed(name=BASE_NAME), BaseMissing(reason="It is refused."))
    run = observed(world, REFUSED, *POSSIBLE[Effect.RETIRE])
    firsts = []
    for _ in range(4):
        firsts.append(effects_due(run, run.updated_at)[0])
        run = observed(observed(run, UNAVAILABLE), Nudged(), after=DELETION_PAUSE)
    assert firsts == [Effect.TAKE_BASE_DOWN, Effect.DELETE_IMPORT] * 2


def test_a_candidate_that_does_not_pass_is_deleted() -> None:
    run = observed(run_in(RunStatus.EVALUATING), scored(passed=False))
    assert (run.status, run.reason) == (RunStatus.NOT_PROMOTED, "It is no better.")
    assert effects_due(run, NOW) == (Effect.RETIRE, Effect.WRITE_REPORT, Effect.CLAIM_NOTICE)
    given_up = observed(run, *POSSIBLE[Effect.RETIRE])
    assert effects_due(given_up, NOW) == (Effect.DELETE_IMPORT, Effect.WRITE_REPORT, Effect.CLAIM_NOTICE)
    assert effects_due(observed(given_up, ModelDeleted()), NOW) == (Effect.WRITE_REPORT, Effect.CLAIM_NOTICE)
    assert effects_due(observed(given_up, ModelDeleted(), REPORT_WRITTEN), NOW) == (Effect.CLAIM_NOTICE,)


def test_a_paused_evaluation_is_due_again_with_its_progress() -> None:
    run = observed(run_in(RunStatus.EVALUATING), ScoringPaused(answered=64))
    assert (run.change, run.evaluated_rows) == (Change.DUE, 64)
    assert effects_due(run, NOW) == (Effect.SCORE,)


def test_a_failed_run_keeps_its_reason_while_its_import_cannot_be_deleted_yet() -> None:
    failed = observed(run_in(RunStatus.EVALUATING), REFUSED, *POSSIBLE[Effect.RETIRE])
    waiting = observed(failed, UNAVAILABLE)
    assert (waiting.status, waiting.reason) == (RunStatus.FAILED, failed.reason)
    assert effects_due(waiting, NOW) == (Effect.WRITE_REPORT, Effect.CLAIM_NOTICE)
    assert Effect.DELETE_IMPORT in effects_due(waiting, NOW + timedelta(minutes=5))


def test_a_claimed_notice_may_be_claimed_anew_when_its_sender_is_dead_for_sure() -> None:
    run = observed(run_in(RunStatus.REJECTED), REPORT_WRITTEN, NOTICE_CLAIMED)
    assert effects_due(run, NOW) == (Effect.SEND_NOTICE,)
    assert effects_due(run, NOW + NOTICE_LEASE) == (Effect.CLAIM_NOTICE,)
    told = observed(run, NoticeSent(status=RunStatus.REJECTED, message_id="m-1"))
    assert effects_due(told, NOW + NOTICE_LEASE) == ()


def test_a_run_remembers_when_it_came_to_each_status() -> None:
    run = run_in(RunStatus.PROMOTED)
    assert [each.status for each in run.history] == [
        RunStatus.VALIDATING,
        RunStatus.LAUNCHING,
        RunStatus.TRAINING,
        RunStatus.DEPLOYING,
        RunStatus.EVALUATING,
        RunStatus.PROMOTED,
    ]
    assert run.history[-1].entered_at == run.entered_at


def test_a_report_is_written_of_a_run_that_has_ended_and_of_no_other() -> None:
    training = run_in(RunStatus.TRAINING)
    assert observed(training, REPORT_WRITTEN) == training
    assert Effect.WRITE_REPORT not in effects_due(training, NOW)
    ended = observed(run_in(RunStatus.STOPPED), REPORT_WRITTEN)
    assert ended.report_uri == REPORT_WRITTEN.uri
    assert Effect.WRITE_REPORT not in effects_due(ended, NOW)


@pytest.mark.parametrize("status", [status for status in RunStatus if status not in TERMINAL])
def test_a_live_run_that_lies_idle_wants_a_nudge(status: RunStatus) -> None:
    run = run_in(status)
    assert not wants_nudge(run, run.updated_at + IDLE - SOON)
    assert wants_nudge(run, run.updated_at + IDLE)


def test_a_nudge_that_is_not_wanted_changes_nothing() -> None:
    run = run_in(RunStatus.LAUNCHING)
    assert decide(run, Nudged(), NOW + SOON).run == run


@pytest.mark.parametrize(
    ("status", "effect"), [(RunStatus.VALIDATING, Effect.VALIDATE), (RunStatus.EVALUATING, Effect.SCORE)]
)
def test_the_end_of_a_workflow_ends_the_wait_for_it(status: RunStatus, effect: Effect) -> None:
    waiting = observed(run_in(status), UNAVAILABLE)
    assert effects_due(waiting, waiting.updated_at) == ()
    over = decide(waiting, WaitOver(), waiting.updated_at)
    assert (over.run.next_try_at, over.effects) == (None, (effect,))


def test_the_end_of_a_workflow_ends_no_other_wait() -> None:
    launching = observed(run_in(RunStatus.LAUNCHING), UNAVAILABLE)
    assert decide(launching, WaitOver(), launching.updated_at).run == launching


def test_a_refused_dataset_keeps_its_report_and_its_counts() -> None:
    rejected = observed(run_in(RunStatus.VALIDATING), DATASET_REFUSED)
    assert rejected.data == DATASET_REFUSED.summary
    assert rejected.problem_counts == DATASET_REFUSED.counts


def test_what_may_cost_more_than_the_stack_launches_by_itself_waits_for_a_person() -> None:
    run = run_in(RunStatus.AWAITING_APPROVAL)
    assert run.approval
    assert (run.approval.most_cents, run.approval.limit_cents) == (157, 156)
    assert run.reason == "It may cost $1.57, and without asking this stack launches what may cost $1.56 at most."
    assert run.approval.lapses_at == run.entered_at + timedelta(hours=12)
    assert effects_due(run, NOW) == (Effect.CLAIM_NOTICE,)
    assert run.charges == ()


def test_what_costs_the_limit_or_less_is_launched_without_asking() -> None:
    rule = ApprovalRule(auto_approve_usd=1.57, hours=12)
    run = observed(new_run(), PlanMade(plan=PLAN.model_copy(update={"approval": rule})), DATASET_ACCEPTED)
    assert (run.status, run.approval) == (RunStatus.LAUNCHING, None)


def test_what_nobody_knows_the_price_of_needs_approval() -> None:
    plan = DEAR_PLAN.model_copy(update={"usd_per_hour": None})
    run = observed(new_run(), PlanMade(plan=plan), DATASET_ACCEPTED)
    assert (run.status, run.approval and run.approval.most_cents) == (RunStatus.AWAITING_APPROVAL, None)
    assert run.reason.startswith("What it may cost is not known")


def test_an_approved_run_is_launched_and_says_who_let_it() -> None:
    run = observed(run_in(RunStatus.AWAITING_APPROVAL), APPROVED, after=SOON)
    assert (run.status, run.reason) == (RunStatus.LAUNCHING, "")
    assert run.approval
    assert run.approval.answer == ApprovalAnswer(approved=True, by=PERSON, at=run.entered_at)
    assert effects_due(run, run.updated_at) == (Effect.RESERVE,)


def test_a_refused_run_is_rejected_with_who_and_why_and_its_files_may_be_dropped_again() -> None:
    run = observed(run_in(RunStatus.AWAITING_APPROVAL), APPROVAL_REFUSED)
    assert (run.status, run.claims) == (RunStatus.REJECTED, frozenset())
    assert [each.code for each in run.problems] == ["approval.refused"]
    assert run.problems[0].message == f"{PERSON} refused the training: Try the small model first."
    assert run.approval
    assert run.approval.answer
    assert not run.approval.answer.approved


@pytest.mark.parametrize("late", [Nudged(), APPROVED, APPROVAL_REFUSED], ids=lambda late: type(late).__name__)
def test_an_approval_that_nobody_gave_in_time_has_lapsed(late: Observation) -> None:
    waiting = run_in(RunStatus.AWAITING_APPROVAL)
    run = observed(waiting, late, after=timedelta(hours=12))
    assert (run.status, [each.code for each in run.problems]) == (RunStatus.REJECTED, ["approval.lapsed"])
    assert run.approval == waiting.approval
    assert "`budget_usd: 1.56`" in run.problems[0].fix


def test_who_answers_first_decides() -> None:
    waiting = run_in(RunStatus.AWAITING_APPROVAL)
    for first, second in ((APPROVED, APPROVAL_REFUSED), (APPROVAL_REFUSED, APPROVED), (APPROVED, APPROVED)):
        answered = observed(waiting, first)
        assert observed(answered, second) == answered


def test_a_run_that_waits_for_approval_is_nudged_until_a_person_is_told_and_then_when_it_lapses() -> None:
    waiting = run_in(RunStatus.AWAITING_APPROVAL)
    untold = observed(waiting, Nudged(), after=IDLE)
    assert (untold.status, untold.change) == (RunStatus.AWAITING_APPROVAL, Change.DUE)
    told = observed(waiting, NOTICE_CLAIMED, NoticeSent(status=RunStatus.AWAITING_APPROVAL, message_id="m-1"))
    assert effects_due(told, told.updated_at + LONGEST_WAIT) == ()
    assert not wants_nudge(told, NOW + timedelta(hours=12) - SOON)
    assert wants_nudge(told, NOW + timedelta(hours=12))


def test_a_wait_for_approval_may_be_longer_than_any_other() -> None:
    rule = ApprovalRule(auto_approve_usd=0, hours=72)
    waiting = observed(new_run(), PlanMade(plan=PLAN.model_copy(update={"approval": rule})), DATASET_ACCEPTED)
    due = observed(waiting, Nudged(), after=LONGEST_WAIT)
    assert (due.status, due.change) == (RunStatus.AWAITING_APPROVAL, Change.DUE)
    lapsed = observed(due, Nudged(), after=timedelta(hours=72) - LONGEST_WAIT)
    assert lapsed.status is RunStatus.REJECTED
    assert "budget_usd" not in lapsed.problems[0].fix, "nothing is launched without asking"
