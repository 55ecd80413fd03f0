"""Launching, deploying, following and telling: each does its deed once more without harm, and says what it saw."""

from collections.abc import Mapping

import pytest

from tests.fakes import (
    ARTIFACT,
    FakeClock,
    FakeModelImports,
    FakeTrainingJobs,
    FakeTrainingLog,
    InMemoryRunFiles,
    InMemoryRunStore,
    RecordingNotifier,
)
from tests.samples import (
    ARTIFACT_URI,
    IMPORT_STARTED,
    JOB_ARN,
    JOB_NAME,
    MODEL_NAME,
    RUN_BUCKET,
    RUN_ID,
    STACK,
    job_seen,
    new_run,
    observed,
    run_in,
)
from tunedrop.domain import names
from tunedrop.domain.observations import (
    DeletionDenied,
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
    Refused,
    RetirementWanted,
    Unavailable,
)
from tunedrop.domain.plan import ServerlessTrainingPlan, Technique
from tunedrop.domain.run import Run, RunStatus
from tunedrop.domain.serverless import MERGED_WEIGHTS
from tunedrop.domain.training_request import REQUEST_HASH_TAG
from tunedrop.errors import (
    ForeignResourceError,
    QuotaExceededError,
    RequestDeniedError,
    RequestRefusedError,
    TransientError,
    UnavailableError,
)
from tunedrop.steps.champions import NOT_PROMOTED, FormerChampions, unwanted
from tunedrop.steps.deploy import DeleteImport, StartImport
from tunedrop.steps.launch import LaunchTraining
from tunedrop.steps.tell import ClaimNotice, SendNotice
from tunedrop.steps.track import DescribeImport, DescribeTraining

ARTIFACT_KEY = ARTIFACT_URI.removeprefix(f"s3://{RUN_BUCKET}/")


def launch(jobs: FakeTrainingJobs) -> object:
    step = LaunchTraining(jobs, STACK, "arn:aws:iam::123456789012:role/training", RUN_BUCKET)
    return step(run_in(RunStatus.LAUNCHING))


def test_launching_twice_makes_one_job() -> None:
    jobs = FakeTrainingJobs()
    first = launch(jobs)
    assert first == launch(jobs)
    assert isinstance(first, JobAccepted)
    assert (first.job_name, first.job_arn, first.attempt) == (JOB_NAME, JOB_ARN, 1)
    assert {"Key": REQUEST_HASH_TAG, "Value": first.request_hash} in jobs.requests[JOB_NAME]["Tags"]  # type: ignore[operator]
    assert list(jobs.requests) == [JOB_NAME]


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (QuotaExceededError("Quota is 0."), JobRefused),
        (TransientError("Rate exceeded"), JobRefused),
        (UnavailableError("It is being deleted."), Unavailable),
        (RequestRefusedError("Bad image."), Refused),
    ],
)
def test_what_sagemaker_will_not_do_is_seen_with_its_words(error: Exception, seen: type) -> None:
    class Refusing(FakeTrainingJobs):
        def create(self, request: Mapping[str, object]) -> str:
            del request
            raise error

    observation = launch(Refusing())
    assert isinstance(observation, seen)
    assert str(error) in repr(observation)


def test_each_attempt_has_a_job_of_its_own() -> None:
    jobs = FakeTrainingJobs()
    step = LaunchTraining(jobs, STACK, "arn:aws:iam::123456789012:role/training", RUN_BUCKET)
    seen = step(run_in(RunStatus.LAUNCHING).model_copy(update={"attempt": 2}))
    assert isinstance(seen, JobAccepted)
    assert (seen.attempt, seen.job_name) == (2, names.training_job(STACK, RUN_ID, 2))
    assert list(jobs.requests) == [seen.job_name]


def test_following_a_job_tells_what_sagemaker_knows() -> None:
    jobs = FakeTrainingJobs()
    run = run_in(RunStatus.TRAINING)
    describe = DescribeTraining(jobs, FakeTrainingLog({JOB_NAME: ["step 1", "Killed"], "another": ["step 2"]}))
    assert describe(run) == JobMissing()
    launch(jobs)
    going = describe(run)
    assert isinstance(going, JobSeen)
    assert going.log_tail == ()
    jobs.finish(JOB_NAME, "Failed")
    seen = describe(run)
    assert isinstance(seen, JobSeen)
    assert seen.log_tail == ("step 1", "Killed")
    assert (seen.training.status, seen.failure_reason) == ("Failed", "AlgorithmError: out of memory")


def start_import(imports: FakeModelImports, files: InMemoryRunFiles) -> StartImport:
    former = FormerChampions(InMemoryRunStore(), imports, FakeClock(), STACK)
    return StartImport(imports, files, former, STACK)


def start(imports: FakeModelImports, files: InMemoryRunFiles) -> object:
    return start_import(imports, files)(observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted()))


def test_an_import_starts_once_with_the_training_prompt_as_its_chat_template() -> None:
    imports, files = FakeModelImports(), trained()
    seen = start(imports, files)
    assert isinstance(seen, ImportStarted)
    assert start(imports, files) == seen
    assert (seen.job_name, seen.model_name) == (MODEL_NAME, MODEL_NAME)
    assert imports.sources == {MODEL_NAME: ARTIFACT_URI}
    assert b"### Response:" in files.objects[f"{ARTIFACT_KEY}chat_template.jinja"]


@pytest.mark.parametrize(
    ("changed", "code", "says"),
    [
        ({"config.json": None, "adapter_config.json": b"{}"}, "import.adapter", "adapter"),
        ({"config.json": b'{"architectures": ["GemmaForCausalLM"]}'}, "import.architecture", "GemmaForCausalLM"),
        ({"tokenizer_config.json": b"no json"}, "import.tokenizer", "tokenizer_config.json"),
        ({"model.safetensors": None}, "import.files", "*.safetensors"),
    ],
)
def test_an_artifact_that_bedrock_would_refuse_is_not_imported(
    changed: dict[str, bytes | None], code: str, says: str
) -> None:
    imports, files = FakeModelImports(), trained()
    for name, content in changed.items():
        files.objects.pop(ARTIFACT_KEY + name, None)
        if content is not None:
            files.write(ARTIFACT_KEY + name, content)
    refused = start(imports, files)
    assert isinstance(refused, Refused)
    assert (refused.problem.code, refused.problem.where) == (code, ARTIFACT_URI)
    assert says in refused.problem.message
    assert refused.problem.fix
    assert imports.states == {}


def tuned_by(technique: Technique, *, recipe: bool) -> Run:
    """Return a run that may import, trained by JumpStart's script or by a recipe."""
    run = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted())
    assert run.plan
    data = run.plan.data.model_copy(update={"technique": technique, "demarcation": not recipe})
    plan = run.plan.model_copy(update={"data": data, **({"training": RECIPE} if recipe else {})})
    return run.model_copy(update={"plan": plan})


RECIPE = ServerlessTrainingPlan(
    recipe="sft_lora",
    customization_technique="SFT",
    lora=True,
    sequence_length=None,
    accept_eula=False,
    hyperparameters={},
    max_runtime_seconds=3600,
    usage_type="tokens",
)
BRINGS_ONE = b'{"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": "{{ messages }}"}'


@pytest.mark.parametrize("technique", [Technique.CHAT, Technique.VISUAL_QA])
def test_a_model_trained_on_its_own_template_is_imported_with_it_or_not_at_all(technique: Technique) -> None:
    imports, files = FakeModelImports(), trained()
    run = tuned_by(technique, recipe=False)
    refused = start_import(imports, files)(run)
    assert isinstance(refused, Refused)
    assert (refused.problem.code, refused.problem.where) == ("import.chat-template", ARTIFACT_URI)
    assert imports.states == {}
    files.write(f"{ARTIFACT_KEY}tokenizer_config.json", BRINGS_ONE)
    assert isinstance(start_import(imports, files)(run), ImportStarted)
    assert f"{ARTIFACT_KEY}chat_template.jinja" not in files.objects


def test_a_recipe_s_prompts_are_rendered_by_the_model_s_template_or_as_they_are() -> None:
    folder = ARTIFACT_KEY + MERGED_WEIGHTS
    files = InMemoryRunFiles({folder + name: content for name, content in ARTIFACT.items()})
    run = tuned_by(Technique.INSTRUCTION, recipe=True)
    assert isinstance(start_import(FakeModelImports(), files)(run), ImportStarted)
    written = files.objects.pop(f"{folder}chat_template.jinja")
    assert b"message['content']" in written
    assert b"###" not in written
    files.write(f"{folder}tokenizer_config.json", BRINGS_ONE)
    assert isinstance(start_import(FakeModelImports(), files)(run), ImportStarted)
    assert f"{folder}chat_template.jinja" not in files.objects


def test_what_bedrock_may_yet_take_is_tried_for_the_training_is_paid() -> None:
    files = trained()
    files.write(f"{ARTIFACT_KEY}tokenizer_config.json", b'{"tokenizer_class": "NewestTokenizer"}')
    assert isinstance(start(FakeModelImports(), files), ImportStarted)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RequestDeniedError("not authorized to perform: sagemaker:CreateTrainingJob"), "launch.denied"),
        (ForeignResourceError("the job exists"), "launch.foreign-job"),
        (RequestRefusedError("Invalid value"), "launch.refused"),
    ],
)
def test_a_job_that_can_never_be_made_ends_the_run_with_the_reason(error: Exception, code: str) -> None:
    seen = launch(FakeTrainingJobs(refusals=[error]))
    assert isinstance(seen, Refused)
    assert seen.problem.code == code
    assert str(error) in seen.problem.message


def trained() -> InMemoryRunFiles:
    """Return the files of a run whose training has left its artifact."""
    return InMemoryRunFiles({ARTIFACT_KEY + name: content for name, content in ARTIFACT.items()})


def test_an_import_has_to_wait_while_another_runs() -> None:
    imports = FakeModelImports()
    imports.start("another", "s3://x/", "another-run")
    assert isinstance(start(imports, trained()), Unavailable)


def test_an_import_has_to_wait_while_the_account_holds_as_many_models_as_it_may() -> None:
    imports = FakeModelImports(most=0)
    seen = start(imports, trained())
    assert isinstance(seen, ModelLimitReached)
    assert seen.former is None
    assert "as many imported models" in seen.reason
    assert "No former champion" in seen.reason


def test_the_model_of_a_run_that_was_not_promoted_is_given_up_first() -> None:
    assert unwanted(run_in(RunStatus.NOT_PROMOTED)) == RetirementWanted(because=NOT_PROMOTED)


def test_a_job_without_an_artifact_cannot_be_imported() -> None:
    seen = job_seen("Completed")
    without = seen.model_copy(update={"training": seen.training.model_copy(update={"artifact_uri": None})})
    run = observed(run_in(RunStatus.TRAINING), without)
    assert run.status is RunStatus.DEPLOYING
    refused = start_import(FakeModelImports(), InMemoryRunFiles())(run)
    assert isinstance(refused, Refused)
    assert refused.problem.code == "import.no-artifact"


def test_following_an_import_tells_what_bedrock_knows() -> None:
    imports = FakeModelImports()
    run = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted(), IMPORT_STARTED)
    missing = DescribeImport(imports)(run)
    assert isinstance(missing, ImportSeen)
    assert missing.status == "Failed"
    imports.start(MODEL_NAME, ARTIFACT_URI, RUN_ID)
    assert DescribeImport(imports)(run) == ImportSeen(status="InProgress")
    imports.finish(MODEL_NAME, "Completed")
    seen = DescribeImport(imports)(run)
    assert isinstance(seen, ImportSeen)
    assert seen.model_arn in imports.by_arn


def test_an_import_is_deleted_when_it_has_ended_and_not_before() -> None:
    imports = FakeModelImports()
    run = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted(), IMPORT_STARTED)
    imports.start(MODEL_NAME, ARTIFACT_URI, RUN_ID)
    assert isinstance(DeleteImport(imports)(run), Unavailable)
    imports.finish(MODEL_NAME, "Completed")
    assert DeleteImport(imports)(run) == DeleteImport(imports)(run) == ModelDeleted()
    assert imports.deleted == [MODEL_NAME]


def test_an_import_that_a_policy_denies_ends_the_run_with_cause_and_fix() -> None:
    class Denied(FakeModelImports):
        def start(self, *_asked: str) -> str:
            raise RequestDeniedError("not authorized to perform: bedrock:CreateModelImportJob")

    seen = start(Denied(), trained())
    assert isinstance(seen, Refused)
    assert seen.problem.code == "import.denied"
    assert "bedrock:CreateModelImportJob" in seen.problem.message
    assert "permissions boundary" in seen.problem.fix


def test_a_deletion_that_a_policy_denies_is_told() -> None:
    class Denied(FakeModelImports):
        def delete(self, *_asked: str) -> None:
            raise RequestDeniedError("not authorized to perform: bedrock:DeleteImportedModel")

    run = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted(), IMPORT_STARTED)
    assert DeleteImport(Denied())(run) == DeletionDenied(
        reason="not authorized to perform: bedrock:DeleteImportedModel"
    )


def test_a_run_without_an_import_has_none_to_delete() -> None:
    assert DeleteImport(FakeModelImports())(new_run()) == ModelDeleted()


def test_a_notice_is_sent_by_who_claimed_it() -> None:
    notifier = RecordingNotifier()
    run = observed(run_in(RunStatus.REJECTED), ClaimNotice("first")(new_run()))

    def send(token: str) -> SendNotice:
        return SendNotice(notifier, InMemoryRunFiles(), FakeClock(), "us-east-1", token)

    assert send("second")(run) == Looked()
    assert notifier.sent == []
    sent = send("first")(run)
    assert sent == NoticeSent(status=RunStatus.REJECTED, message_id="message-1")
    ((subject, body, attributes),) = notifier.sent
    assert RUN_ID in subject
    assert "It is wrong." in body
    assert f"/runs/{RUN_ID}/report.html\n" in body
    assert attributes["status"] == RunStatus.REJECTED


def test_a_claim_bears_the_invocation_s_token() -> None:
    assert ClaimNotice("first")(new_run()) == NoticeClaimed(token="first")
