"""Events come twice, workers die, things are in use: one job, one import, and an end that is told once."""

import time
from collections.abc import Callable
from datetime import timedelta

from tests.deployed import LEARNS, PATIENCE, QUICK, Application
from tunedrop.adapters.dynamodb import DynamoDBRunStore, _claim, _item
from tunedrop.domain import names
from tunedrop.domain.run import Change, Run, RunStatus

NEVER_GOOD_ENOUGH = {"min_gain": 1.0}


def test_every_event_three_times_and_the_spec_twice_make_one_job_and_one_import(application: Application) -> None:
    application.engine.deliver(3)
    try:
        first = application.drop("thrice", seed=1)
        second = application.start("thrice", hyperparameters=LEARNS)
        ended = {application.wait(first).status, application.wait(second).status}
        application.engine.settle(120)
    finally:
        application.engine.deliver(1)

    assert ended == {RunStatus.PROMOTED, RunStatus.REJECTED}
    assert len(application.training_jobs(first) + application.training_jobs(second)) == 1
    assert len(application.imports(first) + application.imports(second)) == 1
    for run_id in (first, second):
        statuses = [each["MessageAttributes"]["status"]["Value"] for each in application.notices(run_id)]
        assert len(statuses) == len(set(statuses))
    assert not application.dead_letters()


def test_a_worker_killed_while_it_launches_still_makes_one_job(application: Application) -> None:
    run_id = application.drop("killed", seed=2, hyperparameters=QUICK, evaluate=NEVER_GOOD_ENOUGH)
    application.await_call("LaunchTraining", "sagemaker:CreateTrainingJob", run_id)
    killed = application.engine.kill_worker(application.function_name("LaunchTraining"))

    run = application.wait(run_id)

    assert killed
    assert run.status is RunStatus.NOT_PROMOTED, run.reason
    assert len(application.training_jobs(run_id)) == 1


def test_a_launch_whose_record_was_lost_adopts_the_job_that_it_made(application: Application) -> None:
    run_id = application.drop("forgotten", seed=3, hyperparameters=QUICK, evaluate=NEVER_GOOD_ENOUGH)
    application.wait(run_id, RunStatus.TRAINING)
    table = application.engine.client("dynamodb")
    store = DynamoDBRunStore(table, application.outputs["RunsTableName"])
    # Between CreateTrainingJob and the commit lies only the death of the worker: the record still says LAUNCHING.
    training = store.get(run_id)
    assert training is not None
    update = {
        "status": RunStatus.LAUNCHING,
        "training": None,
        "change": Change.ENTERED,
        "version": training.version + 1,
    }
    table.put_item(TableName=application.outputs["RunsTableName"], Item=_item(training.model_copy(update=update)))

    run = application.wait(run_id)

    assert run.status is RunStatus.NOT_PROMOTED, run.reason
    assert len(application.training_jobs(run_id)) == 1
    assert application.called("LaunchTraining", "sagemaker:ListTags", run_id)


def test_two_datasets_at_once_both_finish_and_the_second_import_waits(application: Application) -> None:
    table = application.engine.client("dynamodb")
    put = {"TableName": application.outputs["RunsTableName"]}
    table.put_item(**put, Item=_claim(names.IMPORT_SLOT, "a-third-run"))
    one = application.drop("left", seed=4, hyperparameters=QUICK, evaluate=NEVER_GOOD_ENOUGH)
    other = application.drop("right", seed=5, hyperparameters=QUICK, evaluate=NEVER_GOOD_ENOUGH)
    for run_id in (one, other):
        application.wait_for(run_id, lambda run: "Waits for run a-third-run" in run.reason)
    table.put_item(**put, Item=_claim(names.IMPORT_SLOT, "-"))

    runs = [application.wait(run_id) for run_id in (one, other)]

    assert [run.status for run in runs] == [RunStatus.NOT_PROMOTED] * 2
    spans = sorted(application.import_span(run_id) for run_id in (one, other))
    assert spans[0][1] <= spans[1][0]


def test_a_model_that_is_no_better_is_not_promoted_and_its_import_is_deleted(application: Application) -> None:
    run_id = application.drop("no-better", seed=6, hyperparameters=QUICK, evaluate=NEVER_GOOD_ENOUGH)

    run = application.wait(run_id)
    application.wait_for(run_id, lambda run: run.deployment is not None and run.deployment.deleted)

    assert run.status is RunStatus.NOT_PROMOTED
    models = application.engine.client("bedrock").list_imported_models(nameContains=run_id)["modelSummaries"]
    assert models == []
    aliases = application.engine.client("ssm").get_parameters_by_path(Path="/tunedrop/models")["Parameters"]
    assert not [each for each in aliases if each["Name"].endswith("/no-better")]


def test_a_job_stopped_by_hand_ends_the_run_as_stopped(application: Application) -> None:
    run_id = application.drop("stopped", seed=7, hyperparameters={**LEARNS, "epoch": 1000})
    run = application.wait(run_id, RunStatus.TRAINING)
    assert run.training is not None
    application.engine.client("sagemaker").stop_training_job(TrainingJobName=run.training.job_name)

    ended = application.wait(run_id)

    assert ended.status is RunStatus.STOPPED
    assert "by hand" in ended.reason


def test_a_job_that_fails_ends_the_run_and_says_where_the_reason_is_read(application: Application) -> None:
    # The plan cannot know how many modules a name matches; the script does.
    broken = {**QUICK, "target_modules": "no_such_proj"}
    run = application.wait(application.drop("broken", seed=8, hyperparameters=broken))

    assert run.status is RunStatus.FAILED
    # What a script says may quote a row: it is read in the job's log, and told nowhere else.
    assert [problem.code for problem in run.problems] == ["training.script"]
    [*_, notice] = application.notices(run.run_id)
    assert "The training script failed" in notice["Message"]
    assert "/aws/sagemaker/TrainingJobs" in notice["Message"]


def test_the_reconciler_starts_a_drop_whose_event_was_lost(application: Application) -> None:
    """Take the run away that the event made: what is left is an upload that nobody knows of."""
    run_id = application.start_with("lost", b"model: [")
    application.wait(run_id, RunStatus.REJECTED)
    application.engine.settle()
    table = application.engine.client("dynamodb")
    table.delete_item(TableName=application.outputs["RunsTableName"], Key={"id": {"S": f"run#{run_id}"}})

    application.tick("ReconcileRuns", ahead=timedelta(minutes=12))

    run = application.wait(run_id, RunStatus.REJECTED)
    assert run.drop.key == "datasets/lost/tune.yaml"


def test_the_reconciler_deletes_a_model_without_a_run(application: Application) -> None:
    name = "tunedrop-" + "a" * 26
    donor = application.wait(application.drop("donor", seed=10, hyperparameters=QUICK, evaluate=NEVER_GOOD_ENOUGH))
    assert donor.training is not None
    application.wait_for(donor.run_id, lambda run: run.deployment is not None and run.deployment.deleted)
    bedrock = application.engine.client("bedrock")
    bedrock.create_model_import_job(
        jobName=name,
        importedModelName=name,
        roleArn=application.role_arn("ImportRole"),
        modelDataSource={"s3DataSource": {"s3Uri": donor.training.artifact_uri}},
    )
    wait_until(lambda: bedrock.list_imported_models(nameContains=name)["modelSummaries"])

    application.tick("ReconcileRuns", ahead=timedelta(minutes=12))

    assert not bedrock.list_imported_models(nameContains=name)["modelSummaries"]
    assert application.called("ReconcileRuns", "bedrock:DeleteImportedModel", "imported-model/")


def test_the_reconciler_mends_an_alias_that_a_dead_worker_left_wrong(application: Application, promoted: Run) -> None:
    ssm = application.engine.client("ssm")
    name = names.alias("tunedrop", promoted.dataset)
    ssm.put_parameter(Name=name, Value="arn:of:a:former:champion", Overwrite=True)

    application.tick("ReconcileRuns", ahead=timedelta())

    assert promoted.deployment is not None
    assert ssm.get_parameter(Name=name)["Parameter"]["Value"] == promoted.deployment.model_arn
    assert application.called("ReconcileRuns", "ssm:PutParameter", name)


def test_the_reconciler_stops_and_deletes_what_no_live_run_owns(application: Application) -> None:
    """End a run behind its job's back, as a zombie worker does that wakes up too late."""
    run_id = application.drop("zombie", seed=9, hyperparameters={**LEARNS, "epoch": 1000})
    run = application.wait(run_id, RunStatus.TRAINING)
    table = application.engine.client("dynamodb")
    # A version that no worker has read: one that is about to write must not find the version that it expects.
    dead = run.model_copy(
        update={"status": RunStatus.FAILED, "change": Change.PROGRESS, "version": run.version + 1000, "reason": "gone"}
    )
    table.put_item(TableName=application.outputs["RunsTableName"], Item=_item(dead))

    sagemaker = application.engine.client("sagemaker")
    job_name = names.training_job("tunedrop", run_id, 1)
    wait_until(lambda: sagemaker.describe_training_job(TrainingJobName=job_name)["TrainingJobStatus"] == "Stopped")
    assert application.called("ReconcileRuns", "sagemaker:StopTrainingJob", run_id)


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
