"""Every sample payload reaches the rules that it should and no other, and is read as what it is."""

import json
import re
from datetime import UTC, datetime

import pytest
from aws_lambda_powertools.utilities.parser import parse
from pydantic import TypeAdapter, ValidationError

from tests.samples import DROP, JOB_NAME, PERSON, RUN_ID
from tests.stack import ROOT, announcements, receivers, sample
from tunedrop.contracts.events import (
    AlarmStateChange,
    ApprovalEvent,
    ApprovalRefused,
    ChampionEvent,
    DeploymentEvent,
    ExecutionStatusChange,
    ModelPromoted,
    ObjectCreated,
    PlanEvent,
    PromotionRequested,
    RunStatusChanged,
    Tick,
    TrainingEvent,
    TrainingJobStateChange,
)
from tunedrop.domain.run import Change, RunStatus

DEPLOY = "deploy_model/Entered"
EVALUATE = "evaluate_model/Entered"
MLFLOW = "track_experiment/Entered"
LAUNCH = "launch_training/Entered"
NOTIFY = "notify/Entered"
REPORT = "write_report/Entered"
TRACK = "track_training/EnteredOrDue"

ROUTES = {
    "aws.events/scheduled-event.every-five-minutes": set(),
    "aws.events/scheduled-event.every-minute": set(),
    "aws.s3/object-created.other-bucket": set(),
    "aws.s3/object-created.training-file": set(),
    "aws.s3/object-created.tune-yaml": {"plan_run/Dropped"},
    "aws.s3/object-created.tune-yaml-in-subfolder": {"plan_run/Dropped"},
    "aws.sagemaker/sagemaker-training-job-state-change.completed": {"track_training/JobChanged"},
    "aws.sagemaker/sagemaker-training-job-state-change.failed": {"track_training/JobChanged"},
    "aws.sagemaker/sagemaker-endpoint-state-change.in-service": {"track_deployment/EndpointChanged"},
    "aws.sagemaker/sagemaker-endpoint-state-change.other-endpoint": set(),
    "aws.sagemaker/sagemaker-training-job-state-change.in-progress": {"track_training/JobChanged"},
    "aws.sagemaker/sagemaker-training-job-state-change.other-job": set(),
    "aws.sagemaker/sagemaker-training-job-state-change.stack-of-longer-name": {"track_training/JobChanged"},
    "aws.sagemaker/sagemaker-training-job-state-change.stopped-at-time-limit": {"track_training/JobChanged"},
    "aws.states/step-functions-execution-status-change.child": set(),
    "aws.states/step-functions-execution-status-change.evaluation-succeeded": {"evaluate_model/WorkflowEnded"},
    "aws.states/step-functions-execution-status-change.failed": {"validate_dataset/WorkflowEnded"},
    "aws.states/step-functions-execution-status-change.running": set(),
    "aws.states/step-functions-execution-status-change.succeeded": {"validate_dataset/WorkflowEnded"},
    "tunedrop.user/approval-given.by-role": {"record_approval/Answered"},
    "tunedrop.user/approval-refused.with-reason": {"record_approval/Answered"},
    "tunedrop.user/endpoint-wanted.by-role": {"promote_model/Requested"},
    "tunedrop/run-status-changed.awaiting-approval": {NOTIFY},
    "tunedrop/run-status-changed.awaiting-approval-due": {NOTIFY},
    "tunedrop/run-status-changed.deploying": {DEPLOY},
    "tunedrop/run-status-changed.deploying-due": {DEPLOY},
    "tunedrop/run-status-changed.evaluating": {EVALUATE},
    "tunedrop/run-status-changed.evaluating-due": {EVALUATE, "deploy_model/Judging"},
    "tunedrop/run-status-changed.failed": {DEPLOY, NOTIFY, TRACK, REPORT, MLFLOW},
    "tunedrop/run-status-changed.launching": {LAUNCH},
    "tunedrop/run-status-changed.launching-due": {LAUNCH},
    "tunedrop/run-status-changed.not-promoted": {DEPLOY, NOTIFY, REPORT, MLFLOW},
    "tunedrop/run-status-changed.not-promoted-due": {DEPLOY, NOTIFY, "promote_model/Due", REPORT},
    "tunedrop/run-status-changed.planning": set(),
    "tunedrop/run-status-changed.planning-due": {"plan_run/Due"},
    "tunedrop/run-status-changed.promoted": {DEPLOY, NOTIFY, REPORT, MLFLOW},
    "tunedrop/run-status-changed.promoted-due": {DEPLOY, NOTIFY, "promote_model/Due", REPORT},
    "tunedrop/run-status-changed.rejected": {NOTIFY, REPORT},
    "tunedrop/run-status-changed.stopped": {DEPLOY, NOTIFY, REPORT, MLFLOW},
    "tunedrop/run-status-changed.training": {TRACK, NOTIFY},
    "tunedrop/run-status-changed.validating": {"validate_dataset/Entered"},
    "tunedrop/model-promoted.first-champion": set(),
    "tunedrop/model-promoted.rollback": set(),
    "tunedrop.user/promotion-requested.first-champion": {"promote_model/Requested"},
    "tunedrop.user/promotion-requested.rollback": {"promote_model/Requested"},
    "aws.cloudwatch/cloudwatch-alarm-state-change.errors": {"promote_model/Failing"},
    "aws.cloudwatch/cloudwatch-alarm-state-change.errors-over": set(),
    "aws.cloudwatch/cloudwatch-alarm-state-change.from-zero": set(),
}
ANNOUNCED = {
    "aws.dynamodb/stream-record.claim-taken": False,
    "aws.dynamodb/stream-record.model-promoted": True,
    "aws.dynamodb/stream-record.run-due": True,
    "aws.dynamodb/stream-record.run-entered": True,
    "aws.dynamodb/stream-record.run-progress": False,
}
READERS = {
    "aws.cloudwatch": AlarmStateChange,
    "aws.events": Tick,
    "aws.s3": ObjectCreated,
    "aws.sagemaker": TrainingJobStateChange,
    "aws.states": ExecutionStatusChange,
    "tunedrop": RunStatusChanged,
    "tunedrop.user": PromotionRequested,
}
"""What reads the events of a source; `Model Promoted` is for users' own rules."""

OTHER_READERS: dict[str, type] = {
    "Model Promoted": ModelPromoted,
    "SageMaker Endpoint State Change": DeploymentEvent,
    "Endpoint Wanted": ChampionEvent,
    "Approval Given": ApprovalEvent,
    "Approval Refused": ApprovalEvent,
}


def test_every_sample_has_its_route_here() -> None:
    files = {str(file.relative_to(ROOT / "events").with_suffix("")) for file in (ROOT / "events").glob("*/*")}
    assert files == set(ROUTES) | set(ANNOUNCED)


@pytest.mark.parametrize("name", ROUTES)
def test_a_sample_lies_under_its_source_and_detail_type(name: str) -> None:
    event = sample(name)
    folder, _, file = name.partition("/")
    assert folder == event["source"]
    assert re.fullmatch(r"[a-z-]+\.[a-z-]+", file)
    assert file.partition(".")[0] == event["detail-type"].lower().replace(" ", "-")


@pytest.mark.parametrize(("name", "rules"), ROUTES.items())
def test_an_event_reaches_exactly_the_rules_that_it_should(name: str, rules: set[str]) -> None:
    assert {f"{rule.function}/{rule.name}" for rule in receivers(sample(name))} == rules


@pytest.mark.parametrize(("name", "announced"), ANNOUNCED.items())
def test_the_pipes_announce_runs_that_are_new_in_a_status_or_due_and_champions(name: str, *, announced: bool) -> None:
    assert len(announcements(sample(name))) == announced


def test_a_stream_record_becomes_the_announcement_that_the_next_function_reads() -> None:
    (event,) = announcements(sample("aws.dynamodb/stream-record.run-entered"))
    assert event["detail"] == sample("tunedrop/run-status-changed.validating")["detail"]
    assert {rule.function for rule in receivers(event)} == {"validate_dataset"}


def test_a_champion_s_stream_record_becomes_the_announcement_for_users_rules() -> None:
    (event,) = announcements(sample("aws.dynamodb/stream-record.model-promoted"))
    expected = sample("tunedrop/model-promoted.first-champion")
    assert (event["detail-type"], event["source"]) == (expected["detail-type"], expected["source"])
    assert ModelPromoted.model_validate(event) == ModelPromoted.model_validate(expected)


@pytest.mark.parametrize("requested_by", ["", 'ann", "version": 9', "ann\n", "a" * 513])
def test_a_wish_of_an_odd_name_is_refused(requested_by: str) -> None:
    event = sample("tunedrop.user/promotion-requested.rollback")
    event["detail"]["requested_by"] = requested_by
    with pytest.raises(ValidationError, match="requested_by"):
        TypeAdapter(PromotionRequested).validate_python(event)


@pytest.mark.parametrize("name", ROUTES)
def test_an_event_is_read_as_what_it_is_and_as_nothing_else(name: str) -> None:
    event = sample(name)
    own = OTHER_READERS.get(event["detail-type"], READERS[event["source"]])
    assert parse(event=event, model=own)
    for reader in READERS.values():
        if reader is not own:
            with pytest.raises(ValidationError):
                TypeAdapter(reader).validate_python(event)


def test_an_upload_says_which_version_of_which_object() -> None:
    seen = parse(event=sample("aws.s3/object-created.tune-yaml"), model=PlanEvent).root
    assert isinstance(seen, ObjectCreated)
    assert (seen.detail.bucket.name, seen.detail.object.key) == (DROP.bucket, DROP.key)
    assert (seen.detail.object.version_id, seen.detail.object.etag) == (DROP.version_id, DROP.etag)
    assert seen.detail.requester == DROP.uploaded_by


def test_an_upload_without_a_version_is_refused() -> None:
    event = sample("aws.s3/object-created.tune-yaml")
    del event["detail"]["object"]["version-id"]
    with pytest.raises(ValidationError, match="version-id"):
        TypeAdapter(ObjectCreated).validate_python(event)


def test_an_announcement_says_which_run_stands_where_and_why_it_is_announced() -> None:
    for reader in (PlanEvent, TrainingEvent):
        seen = parse(event=sample("tunedrop/run-status-changed.evaluating-due"), model=reader).root
        assert isinstance(seen, RunStatusChanged)
        assert (seen.detail.run_id, seen.detail.status) == (RUN_ID, RunStatus.EVALUATING)
        assert (seen.detail.change, seen.detail.version) == (Change.DUE, 12)


def test_a_training_job_s_event_names_the_job() -> None:
    seen = parse(event=sample("aws.sagemaker/sagemaker-training-job-state-change.failed"), model=TrainingEvent).root
    assert isinstance(seen, TrainingJobStateChange)
    assert seen.detail.training_job_name == JOB_NAME


@pytest.mark.parametrize(
    "told",
    [
        {"requested_by": "arn:aws:iam::123456789012:user/jo\n"},
        {"requested_by": ""},
        {"run_id": "26bcheuva3pxye4gnfjf36hhxw/../x"},
        {"reason": "\x1b[2J"},
        {"reason": "x" * 301},
    ],
    ids=lambda told: next(iter(told)),
)
def test_an_answer_that_could_break_what_shows_it_is_refused(told: dict[str, str]) -> None:
    event = sample("tunedrop.user/approval-refused.with-reason")
    event["detail"] |= told
    with pytest.raises(ValidationError):
        TypeAdapter(ApprovalEvent).validate_python(event)


def test_a_refusal_says_who_and_why() -> None:
    seen = parse(event=sample("tunedrop.user/approval-refused.with-reason"), model=ApprovalEvent).root
    assert isinstance(seen, ApprovalRefused)
    assert (seen.detail.requested_by, seen.detail.reason) == (PERSON, "Try the small model first.")


def test_a_tick_tells_its_time() -> None:
    seen = parse(event=sample("aws.events/scheduled-event.every-minute"), model=Tick)
    assert seen.time == datetime(2026, 1, 5, 9, 1, tzinfo=UTC)


def test_events_with_fields_of_a_later_day_are_read_all_the_same() -> None:
    event = json.loads(json.dumps(sample("aws.s3/object-created.tune-yaml")))
    event["detail"]["object"]["checksum"] = "new"
    event["trace-header"] = "new"
    assert parse(event=event, model=ObjectCreated) == parse(
        event=sample("aws.s3/object-created.tune-yaml"), model=ObjectCreated
    )
