"""What each handler makes of its events, beyond bringing the run forward."""

import io
import json
from datetime import timedelta

import pytest

from tests.deployment import Context, Deployment, job_event, load
from tests.fakes import ARTIFACT, MODEL
from tests.samples import (
    ACCOUNT,
    ARTIFACT_URI,
    JOB_NAME,
    MODEL_ARN,
    NOW,
    PERSON,
    RUN_ID,
    STACK,
    hosted_run,
    run_in,
)
from tests.stack import FUNCTIONS, environment, sample
from tunedrop.domain import names
from tunedrop.domain.pricing import PriceList
from tunedrop.domain.run import BaseEndpoint, Change, RunStatus
from tunedrop.domain.stack_parameters import StackParameterError
from tunedrop.observability import logger
from tunedrop.ports import ServedModel
from tunedrop.settings import Settings
from tunedrop.steps.executions import LOOK_AGAIN
from tunedrop.steps.plan_rules import rules_of

TUNE_YAML = f"model: {MODEL.model_id}\n"
ROWS = "".join(f'{{"instruction": "Say {n}", "context": "", "response": "{n}"}}\n' for n in range(40))


NOT_TOLD_OF_RUNS = {
    "plan_run",
    "record_approval",
    "scan_range",
    "merge_scans",
    "ask_range",
    "reconcile_runs",
    "track_deployment",
}
IMPORTED = ServedModel(arn=MODEL_ARN, name="model", source_uri=ARTIFACT_URI, instruct_supported=True)


@pytest.fixture
def tunedrop(monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(monkeypatch)


def test_an_upload_makes_one_run_that_knows_who_uploaded_which_version(tunedrop: Deployment) -> None:
    event = tunedrop.upload("receipts", TUNE_YAML, **{"train.jsonl": ROWS})
    tunedrop.invoke("plan_run", event)
    tunedrop.invoke("plan_run", event)
    (run,) = tunedrop.runs()
    assert run.status is RunStatus.VALIDATING
    assert (run.drop.version_id, run.drop.uploaded_by) == (event["detail"]["object"]["version-id"], ACCOUNT)
    assert run.plan
    assert [file.name for file in run.plan.files] == ["train.jsonl"]


def test_a_run_is_priced_by_aws_s_price_list(tunedrop: Deployment) -> None:
    tunedrop.prices.listed = PriceList(read_on=NOW.date(), usd_per_hour={"ml.g5.2xlarge": 1.7})
    tunedrop.invoke("plan_run", tunedrop.upload("receipts", TUNE_YAML, **{"train.jsonl": ROWS}))
    (run,) = tunedrop.runs()
    assert run.plan
    assert (run.plan.training.place, run.plan.usd_per_hour) == ("1 x ml.g5.2xlarge", 1.7)


def test_a_run_is_planned_though_aws_tells_no_price(tunedrop: Deployment) -> None:
    tunedrop.prices.listed = PriceList(read_on=NOW.date(), unread="AccessDeniedException")
    tunedrop.invoke("plan_run", tunedrop.upload("receipts", TUNE_YAML, **{"train.jsonl": ROWS}))
    (run,) = tunedrop.runs()
    assert run.status is RunStatus.VALIDATING
    assert run.plan
    assert any("AWS's Price List could not be read" in each for each in run.plan.warnings)


def test_a_new_upload_of_the_same_key_is_another_run(tunedrop: Deployment) -> None:
    for rows in (ROWS, ROWS + ROWS):
        tunedrop.invoke("plan_run", tunedrop.upload("receipts", TUNE_YAML, **{"train.jsonl": rows}))
    assert [run.status for run in tunedrop.runs()] == [RunStatus.VALIDATING, RunStatus.VALIDATING]


def test_a_tune_yaml_in_a_subfolder_is_rejected_with_the_reason(tunedrop: Deployment) -> None:
    tunedrop.invoke("plan_run", sample("aws.s3/object-created.tune-yaml-in-subfolder"))
    (run,) = tunedrop.runs()
    assert run.status is RunStatus.REJECTED
    assert [problem.code for problem in run.problems] == ["drop.place"]


def test_a_run_is_planned_again_when_it_is_due(tunedrop: Deployment) -> None:
    event = tunedrop.upload("receipts", TUNE_YAML, **{"train.jsonl": ROWS})
    tunedrop.invoke("plan_run", event)
    (planned,) = tunedrop.runs()
    lost = planned.model_copy(update={"status": RunStatus.PLANNING, "plan": None, "claims": frozenset()})
    tunedrop.store.runs[lost.run_id] = lost.model_dump_json()
    due = sample("tunedrop/run-status-changed.planning-due")
    due["detail"]["run_id"] = lost.run_id
    tunedrop.invoke("plan_run", due)
    assert [run.status for run in tunedrop.runs()] == [RunStatus.VALIDATING]


@pytest.mark.parametrize("function", sorted(set(FUNCTIONS) - NOT_TOLD_OF_RUNS))
def test_an_event_of_a_run_that_is_gone_is_nothing_to_do(tunedrop: Deployment, function: str) -> None:
    tunedrop.invoke(function, sample("tunedrop/run-status-changed.training"))
    assert tunedrop.runs() == []


@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_an_event_of_another_kind_is_an_error_that_reaches_the_dead_letter_queue(
    tunedrop: Deployment, function: str
) -> None:
    with pytest.raises(Exception, match="validation error"):
        tunedrop.invoke(function, {"detail-type": "Something Else", "detail": {}})


@pytest.mark.parametrize(
    ("answer", "status"),
    [("approval-given.by-role", RunStatus.LAUNCHING), ("approval-refused.with-reason", RunStatus.REJECTED)],
)
def test_a_person_s_answer_is_recorded_and_launches_or_rejects(
    tunedrop: Deployment, answer: str, status: RunStatus
) -> None:
    tunedrop.clock.move(timedelta(hours=1))
    tunedrop.store.create(run_in(RunStatus.AWAITING_APPROVAL))
    tunedrop.invoke("record_approval", sample(f"tunedrop.user/{answer}"))
    (run,) = tunedrop.runs()
    assert run.status is status
    assert run.approval
    assert run.approval.answer
    assert (run.approval.answer.by, run.approval.answer.at) == (PERSON, tunedrop.clock.now())


def test_who_says_no_need_not_say_why(tunedrop: Deployment) -> None:
    tunedrop.store.create(run_in(RunStatus.AWAITING_APPROVAL))
    event = sample("tunedrop.user/approval-refused.with-reason")
    del event["detail"]["reason"]
    tunedrop.invoke("record_approval", event)
    assert [run.status for run in tunedrop.runs()] == [RunStatus.REJECTED]


@pytest.mark.parametrize("status", sorted(set(RunStatus) - {RunStatus.AWAITING_APPROVAL}))
def test_an_answer_that_nobody_asked_for_changes_nothing(tunedrop: Deployment, status: RunStatus) -> None:
    tunedrop.store.create(run_in(status))
    tunedrop.invoke("record_approval", sample("tunedrop.user/approval-given.by-role"))
    assert tunedrop.runs() == [run_in(status)]


def test_the_job_of_another_stack_is_nobody_s_business(tunedrop: Deployment) -> None:
    tunedrop.store.create(run_in(RunStatus.TRAINING))
    tunedrop.invoke("track_training", job_event(names.training_job(f"{STACK}-dev", RUN_ID, 1)))
    assert tunedrop.runs() == [run_in(RunStatus.TRAINING)]


def test_the_event_of_a_job_finds_its_run(tunedrop: Deployment) -> None:
    tunedrop.store.create(run_in(RunStatus.LAUNCHING))
    tunedrop.invoke("launch_training", sample("tunedrop/run-status-changed.launching"))
    tunedrop.jobs.finish(JOB_NAME, "Completed")
    tunedrop.invoke("track_training", sample("aws.sagemaker/sagemaker-training-job-state-change.completed"))
    assert [run.status for run in tunedrop.runs()] == [RunStatus.DEPLOYING]


def large(tunedrop: Deployment) -> str:
    """Plan a drop that is validated in parts; returns the name of the execution."""
    tunedrop.configure("validate_dataset", validate_at_once_megabytes=0.0, validation_range_megabytes=0.0005)
    tunedrop.invoke("plan_run", tunedrop.upload("receipts", TUNE_YAML, **{"train.jsonl": ROWS}))
    (planned,) = tunedrop.runs()
    event = sample("tunedrop/run-status-changed.validating")
    event["detail"]["run_id"] = planned.run_id
    tunedrop.invoke("validate_dataset", event)
    return names.validation_execution(planned.run_id, 1)


def test_the_end_of_the_workflow_ends_the_wait_of_its_run_at_once(tunedrop: Deployment) -> None:
    execution = large(tunedrop)
    (waiting,) = tunedrop.runs()
    assert (waiting.status, waiting.next_try_at) == (RunStatus.VALIDATING, tunedrop.clock.now() + LOOK_AGAIN)
    tunedrop.invoke("validate_dataset", tunedrop.validate_in_parts(execution))
    (launching,) = tunedrop.runs()
    assert (launching.status, launching.next_try_at) == (RunStatus.LAUNCHING, None)
    assert launching.data
    assert tunedrop.files.objects[names.report_key(launching.run_id)]


def test_a_workflow_that_fails_is_started_again_and_waited_for(tunedrop: Deployment) -> None:
    event = tunedrop.end_workflow(large(tunedrop), "FAILED")
    tunedrop.invoke("validate_dataset", event)
    (waiting,) = tunedrop.runs()
    assert waiting.status is RunStatus.VALIDATING
    assert waiting.next_try_at
    assert tunedrop.workflows.executions[names.validation_execution(waiting.run_id, 2)].status == "RUNNING"


def test_an_execution_that_a_person_started_is_nobody_s_business(tunedrop: Deployment) -> None:
    event = sample("aws.states/step-functions-execution-status-change.succeeded")
    event["detail"]["name"] = "trying-it-out"
    tunedrop.invoke("validate_dataset", event)
    assert tunedrop.runs() == []


def test_the_end_of_the_evaluation_s_workflow_ends_the_wait_of_its_run_at_once(tunedrop: Deployment) -> None:
    tunedrop.configure("evaluate_model", evaluate_at_once_rows=3, evaluation_range_rows=3)
    run = run_in(RunStatus.EVALUATING)
    tunedrop.store.create(run)
    tunedrop.imports.by_arn[MODEL_ARN] = IMPORTED
    tunedrop.conversation.good = lambda model_id: model_id == MODEL_ARN
    rows = [{"prompt": f"word {number}", "completion": f"WORD {number}"} for number in range(8)]
    tunedrop.files.write(names.held_out_key(run.run_id), "".join(json.dumps(row) + "\n" for row in rows).encode())
    tunedrop.invoke("evaluate_model", sample("tunedrop/run-status-changed.evaluating"))
    (waiting,) = tunedrop.runs()
    assert (waiting.status, waiting.next_try_at) == (RunStatus.EVALUATING, tunedrop.clock.now() + LOOK_AGAIN)
    (execution,) = tunedrop.evaluations.executions
    tunedrop.invoke("evaluate_model", tunedrop.ask_in_ranges(execution))
    (ended,) = tunedrop.runs()
    assert ended.status is RunStatus.PROMOTED
    assert ended.evaluation
    assert ended.evaluation.rows == len(rows)


@pytest.mark.parametrize("left", ["deployment", "base"])
def test_what_is_left_to_a_person_is_logged_as_an_error(
    tunedrop: Deployment, caplog: pytest.LogCaptureFixture, left: str
) -> None:
    run = run_in(RunStatus.NOT_PROMOTED)
    served = {
        "deployment": run.deployment and run.deployment.model_copy(update={"retirement": "nobody", "left": "denied"}),
        "base": BaseEndpoint(name=names.base_endpoint(STACK, RUN_ID), since=NOW, left="denied"),
    }
    tunedrop.store.create(run.model_copy(update={left: served[left]}))
    tunedrop.invoke("deploy_model", sample("tunedrop/run-status-changed.not-promoted"))
    assert [each.levelname for each in caplog.records if "is left" in each.message] == ["ERROR"]


class LittleTime(Context):
    """The end of an invocation."""

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


@pytest.mark.parametrize("at_once_rows", [8, 3])
def test_who_has_little_time_left_asks_nothing_and_is_called_again(tunedrop: Deployment, at_once_rows: int) -> None:
    tunedrop.configure("evaluate_model", evaluate_at_once_rows=at_once_rows, evaluation_range_rows=3)
    run = run_in(RunStatus.EVALUATING)
    tunedrop.store.create(run)
    tunedrop.imports.by_arn[MODEL_ARN] = IMPORTED
    rows = [{"prompt": f"word {number}", "completion": f"WORD {number}"} for number in range(8)]
    tunedrop.files.write(names.held_out_key(run.run_id), "".join(json.dumps(row) + "\n" for row in rows).encode())
    tunedrop.invoke("evaluate_model", sample("tunedrop/run-status-changed.evaluating"), LittleTime())
    (waiting,) = tunedrop.runs()
    assert waiting.status is RunStatus.EVALUATING
    for started in tunedrop.evaluations.contents.values():
        for part in json.loads(tunedrop.files.objects[started["ranges"]]):
            assert tunedrop.invoke("ask_range", part, LittleTime()) is False
    assert not [
        key for key in tunedrop.files.objects if key.startswith(names.answers_prefix(RUN_ID)) and ".jsonl" in key
    ]
    assert (waiting.change is Change.DUE) is (at_once_rows == len(rows))


def test_a_run_that_has_ended_is_told_to_mlflow_once(tunedrop: Deployment) -> None:
    run = run_in(RunStatus.NOT_PROMOTED)
    tunedrop.store.create(run)
    for _ in range(2):
        tunedrop.invoke("track_experiment", sample("tunedrop/run-status-changed.not-promoted"))
    assert [each.run_id for each in tunedrop.experiments.tracked.values()] == [run.run_id]
    assert tunedrop.runs() == [run]


def test_a_tick_follows_the_running_import_and_wakes_who_waits_for_the_slot(tunedrop: Deployment) -> None:
    first = run_in(RunStatus.DEPLOYING)
    for name, content in ARTIFACT.items():
        tunedrop.files.write(ARTIFACT_URI.removeprefix(tunedrop.files.uri("")) + name, content)
    tunedrop.store.create(first)
    tunedrop.store.create(first.model_copy(update={"run_id": "second", "claims": frozenset()}))
    for run_id in (RUN_ID, "second"):
        event = sample("tunedrop/run-status-changed.deploying")
        event["detail"]["run_id"] = run_id
        tunedrop.invoke("deploy_model", event)
    importing, waiting = tunedrop.runs()
    assert importing.deployment
    assert waiting.next_try_at
    tunedrop.imports.finish(importing.deployment.import_job_name, "Completed")
    tunedrop.clock.time = waiting.next_try_at
    tunedrop.invoke("track_deployment", tunedrop.tick("every-minute"))
    evaluating, woken = tunedrop.runs()
    assert evaluating.status is RunStatus.EVALUATING
    assert (woken.status, woken.change) == (RunStatus.DEPLOYING, Change.DUE)


def test_of_many_that_wait_for_the_slot_the_oldest_are_woken_and_none_while_a_model_is_imported(
    tunedrop: Deployment,
) -> None:
    for name, content in ARTIFACT.items():
        tunedrop.files.write(ARTIFACT_URI.removeprefix(tunedrop.files.uri("")) + name, content)
    first = run_in(RunStatus.DEPLOYING)
    tunedrop.store.create(first)
    tunedrop.invoke("deploy_model", sample("tunedrop/run-status-changed.deploying"))
    waiting = first.model_copy(update={"claims": frozenset(), "next_try_at": tunedrop.clock.now()})
    for number in range(9):
        later = first.created_at + timedelta(seconds=number)
        tunedrop.store.create(waiting.model_copy(update={"run_id": f"waiting-{number}", "created_at": later}))

    def due() -> list[str]:
        return [run.run_id for run in tunedrop.runs() if run.change is Change.DUE]

    tunedrop.invoke("track_deployment", tunedrop.tick("every-minute"))
    assert due() == []
    (job,) = tunedrop.imports.states
    tunedrop.imports.finish(job, "Completed")
    tunedrop.invoke("track_deployment", tunedrop.tick("every-minute"))
    assert due() == ["waiting-0", "waiting-1", "waiting-2"]


@pytest.mark.parametrize(("dataset", "heard"), [("receipts", True), ("tickets", False)])
def test_a_wish_is_heard_of_a_run_of_the_dataset_that_it_names(
    tunedrop: Deployment, dataset: str, *, heard: bool
) -> None:
    run = run_in(RunStatus.NOT_PROMOTED)
    tunedrop.store.create(run)
    tunedrop.imports.by_arn[MODEL_ARN] = IMPORTED
    event = sample("tunedrop.user/promotion-requested.first-champion")
    event["detail"] |= {"run_id": run.run_id, "dataset": dataset}
    tunedrop.invoke("promote_model", event)
    (after,) = tunedrop.runs()
    assert (after.promotion is not None) is heard
    assert (tunedrop.store.alias("receipts").champion is not None) is heard
    assert tunedrop.store.alias("tickets").champion is None


def test_a_tick_looks_at_endpoints_while_a_model_is_imported(tunedrop: Deployment) -> None:
    for name, content in ARTIFACT.items():
        tunedrop.files.write(ARTIFACT_URI.removeprefix(tunedrop.files.uri("")) + name, content)
    tunedrop.store.create(run_in(RunStatus.DEPLOYING))
    tunedrop.invoke("deploy_model", sample("tunedrop/run-status-changed.deploying"))
    tunedrop.store.create(hosted_run().model_copy(update={"run_id": "hosted", "next_try_at": tunedrop.clock.now()}))
    tunedrop.invoke("track_deployment", tunedrop.tick("every-minute"))
    assert [run.run_id for run in tunedrop.runs() if run.change is Change.DUE] == ["hosted"]


def test_a_notice_is_sent_once_however_often_its_event_comes(tunedrop: Deployment) -> None:
    tunedrop.store.create(run_in(RunStatus.REJECTED))
    event = sample("tunedrop/run-status-changed.rejected")
    for _ in range(3):
        tunedrop.invoke("notify", event)
    assert len(tunedrop.notifier.sent) == 1


def test_a_retry_of_the_invocation_that_claimed_a_notice_sends_it_at_once(
    tunedrop: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    tunedrop.store.create(run_in(RunStatus.REJECTED))
    event = sample("tunedrop/run-status-changed.rejected")
    context = Context()
    with monkeypatch.context() as patch:
        patch.setattr(tunedrop.notifier, "publish", _unreachable)
        with pytest.raises(ConnectionError):
            tunedrop.invoke("notify", event, context)
    tunedrop.invoke("notify", event)  # another invocation leaves it to the one that claimed it
    assert tunedrop.notifier.sent == []
    tunedrop.invoke("notify", event, context)
    assert len(tunedrop.notifier.sent) == 1


def _unreachable(*_arguments: object) -> str:
    raise ConnectionError


def test_every_line_of_the_log_names_the_run(tunedrop: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(logger.registered_handler, "stream", log)
    tunedrop.store.create(run_in(RunStatus.LAUNCHING))
    tunedrop.invoke("launch_training", sample("tunedrop/run-status-changed.launching"))
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["message"], line["correlation_id"]) for line in lines] == [("Run written", RUN_ID)] * 2


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("base_models", '{"a": '),
        ("instance_prices", '{"a": '),
        ("policy", '{"a": '),
        ("instance_types", "ml.g5.[12]xlarge"),
    ],
)
def test_a_stack_parameter_that_cannot_be_read_ends_the_run_with_what_is_wrong(
    tunedrop: Deployment, monkeypatch: pytest.MonkeyPatch, parameter: str, value: str
) -> None:
    settings = Settings.from_environment({**environment("plan_run"), parameter.upper(): value})
    with pytest.raises(StackParameterError) as refused:
        rules_of(settings)
    monkeypatch.setattr(load("plan_run"), "rules", refused.value.problems)
    tunedrop.invoke("plan_run", tunedrop.upload("receipts", "model: any\n"))
    (run,) = tunedrop.runs()
    assert run.status is RunStatus.REJECTED
    assert run.problems[0].where == f"stack parameter {parameter.title().replace('_', '')}"
    assert run.problems[0].fix.startswith("Deploy with a value such as ")
