"""What users of such systems suffer at launch and import, by number: prevented, or explained with cause and fix."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from tests.adapters.conftest import Script
from tests.domain.test_planning import EULA, GATED, MODEL, RULES, plan, refusal, refusals
from tests.fakes import ARTIFACT, FakeClock, FakeModelImports, InMemoryRunFiles, InMemoryRunStore
from tests.samples import (
    ARTIFACT_URI,
    DATASET_ACCEPTED,
    PLAN,
    ROOM_WANTED,
    RUN_BUCKET,
    RUN_ID,
    STACK,
    job_seen,
    new_run,
    observed,
    run_in,
)
from tests.stack import FUNCTIONS
from tunedrop.adapters.bedrock import BedrockConversation
from tunedrop.bootstrap import CONVERSATION
from tunedrop.domain import names
from tunedrop.domain.diagnosis import diagnose
from tunedrop.domain.import_compatibility import ModelFacts, artifact_compatibility, compatibility
from tunedrop.domain.model_call import ModelCall
from tunedrop.domain.notice import notice
from tunedrop.domain.observations import ImportSlotWanted, JobRefused, PlanMade, Refused, Unavailable
from tunedrop.domain.plan import Plan, TrainingPlan
from tunedrop.domain.problem import Problem
from tunedrop.domain.quotas import Quota, quota_names, within_quotas
from tunedrop.domain.run import Run, RunStatus
from tunedrop.domain.surroundings import Key, key_problems
from tunedrop.errors import ModelNotReadyError, UnavailableError
from tunedrop.ports import Question, Turn
from tunedrop.steps.champions import FormerChampions
from tunedrop.steps.deploy import StartImport

QUOTA = "ResourceLimitExceeded: The account-level service limit 'ml.g5.2xlarge for training job usage' is {} Instances"
CAPACITY = "CapacityError: Unable to provision requested ML compute capacity. Please retry using another instance type."
OUT_OF_MEMORY = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.96 GiB"
SCRIPT_FAILED = "AlgorithmError: ExecuteUserScriptError:\nExitCode 1"
WEIGHTS = {name: len(content) for name, content in ARTIFACT.items()}


def start_import(imports: FakeModelImports, files: InMemoryRunFiles) -> StartImport:
    former = FormerChampions(InMemoryRunStore(), imports, FakeClock(), STACK)
    return StartImport(imports, files, former, STACK)


def training_of(made: Plan) -> TrainingPlan:
    assert isinstance(made.training, TrainingPlan)
    return made.training


def launching() -> Run:
    return observed(new_run(), PlanMade(plan=plan()), DATASET_ACCEPTED, ROOM_WANTED)


def told(problem: Problem, code: str, *words: str) -> None:
    """Check that a person learns the cause, and what to do."""
    assert problem.code == code
    assert problem.fix
    for word in words:
        assert word in problem.message + problem.fix


def artifact_codes(config: bytes, files: dict[str, int] | None = None) -> set[str]:
    found = artifact_compatibility(files or WEIGHTS, config, ARTIFACT["tokenizer_config.json"], "us-east-1")
    return {each.code for each in (*found.problems, *found.warnings)}


def test_pain_09_a_training_quota_of_zero_is_found_before_the_launch() -> None:
    made = plan()
    refused = within_quotas(made, {name: Quota(name=name, code="L-1", value=0) for name in quota_names(made)})
    assert isinstance(refused, tuple)
    told(refused[0], "quota.zero", "L-1", "aws service-quotas request-service-quota-increase", "https://")


def test_pain_10_a_quota_in_use_is_waited_for() -> None:
    run = observed(launching(), JobRefused(attempt=1, reason=QUOTA.format(2)))
    assert run.status is RunStatus.LAUNCHING
    assert run.next_try_at
    assert "quota" in run.reason


def test_pain_11_without_capacity_the_next_instance_type_is_tried() -> None:
    seen = job_seen("Failed").model_copy(update={"failure_reason": CAPACITY})
    run = observed(run_in(RunStatus.TRAINING).model_copy(update={"plan": plan()}), seen)
    assert (run.status, run.attempt) == (RunStatus.LAUNCHING, 2)
    assert run.plan
    assert training_of(run.plan).instance_type != training_of(plan()).instance_type


def test_pain_12_a_gated_model_names_its_agreement_and_the_line_to_write() -> None:
    told(refusal(model=GATED), "model.eula", EULA, "accept_eula: true")
    assert training_of(plan("accept_eula: true", model=GATED)).environment["accept_eula"] == "true"


def test_pain_13_nobody_accepts_an_agreement_unasked() -> None:
    assert plan(model=MODEL).eula is None
    assert "accept_eula" not in training_of(plan(model=MODEL)).environment
    accepted = plan("accept_eula: true", model=GATED).eula
    assert accepted
    assert accepted.accepted_by


def test_pain_14_each_instance_family_has_its_own_artifacts() -> None:
    made = plan()
    assert len(made.choices) > 1
    for choice in made.choices:
        assert choice.environment["FAMILY"] == choice.instance_type.split(".")[1]
    told(
        diagnose("ClientError: No S3 objects found under s3://jumpstart-cache-prod-x/g6/a", (), PLAN),
        "training.artifact",
    )


def test_pain_15_the_instance_type_that_was_asked_for_is_the_one_used() -> None:
    made = plan("instance_type: ml.g5.48xlarge")
    assert [each.instance_type for each in made.choices] == ["ml.g5.48xlarge"]
    assert training_of(made).instance_type == "ml.g5.48xlarge"
    told(refusal("instance_type: ml.g4dn.xlarge"), "instance.unsupported", "ml.g5.2xlarge")


@pytest.mark.parametrize("value", ["true", "false"])
def test_pain_16_int8_and_fsdp_are_never_both_on_nor_both_off(value: str) -> None:
    both = refusals(f"hyperparameters: {{int8_quantization: {value}, enable_fsdp: {value}}}")
    assert both
    assert all(each.fix for each in both)


def test_pain_17_out_of_memory_names_the_line_that_saves_memory() -> None:
    settings = {"per_device_train_batch_size": "4"}
    training = training_of(PLAN).model_copy(update={"hyperparameters": settings})
    problem = diagnose(SCRIPT_FAILED, (OUT_OF_MEMORY,), PLAN.model_copy(update={"training": training}))
    told(problem, "training.gpu-memory", "per_device_train_batch_size: 1")


def test_pain_18_the_longest_stack_s_job_names_suit_sagemaker() -> None:
    name = names.training_job("s" * names.STACK_NAME_LIMIT, RUN_ID, 99)
    assert len(name) <= 63
    assert name.replace("-", "").isalnum()


def test_pain_19_the_launch_may_tag_its_jobs() -> None:
    assert "sagemaker:AddTags" in yaml.safe_dump(FUNCTIONS["launch_training"]["Policies"])


def test_pain_20_a_key_that_cannot_be_used_is_found_before_the_launch() -> None:
    problems = key_problems("arn:aws:kms:us-east-1:1:key/1", Key(state="Enabled", symmetric=True, usable=False))
    assert problems
    assert all(each.fix for each in problems)
    told(diagnose("ClientError: not authorized to perform: kms:GenerateDataKey on key", (), PLAN), "training.kms")


def test_pain_21_a_throttled_launch_is_repeated_under_its_own_name() -> None:
    run = observed(launching(), JobRefused(attempt=1, reason="ThrottlingException: Rate exceeded"))
    assert (run.status, run.attempt) == (RunStatus.LAUNCHING, 1)
    assert run.next_try_at


def test_pain_22_a_job_that_ran_out_of_time_is_no_success() -> None:
    run = observed(run_in(RunStatus.TRAINING), job_seen("Stopped", "MaxRuntimeExceeded"))
    assert run.status is RunStatus.STOPPED
    told(run.problems[0], "training.time-limit")


@pytest.mark.parametrize(
    ("config", "code"),
    [
        (b'{"architectures": ["LlamaForCausalLM"], "torch_dtype": "float32"}', "import.float32"),
        (b'{"architectures": ["LlamaForCausalLM"], "torch_dtype": "float8_e4m3fn"}', "import.quantised"),
    ],
)
def test_pain_30_a_precision_that_bedrock_may_not_load_is_told(config: bytes, code: str) -> None:
    assert code in artifact_codes(config)


def imported(files: dict[str, bytes], imports: FakeModelImports | None = None) -> object:
    folder = ARTIFACT_URI.removeprefix(f"s3://{RUN_BUCKET}/")
    stored = InMemoryRunFiles({folder + name: content for name, content in files.items()})
    run = observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted())
    return start_import(imports or FakeModelImports(), stored)(run)


def test_pain_31_an_adapter_is_not_sent_to_bedrock() -> None:
    refused = imported({"adapter_config.json": b"{}", "adapter_model.safetensors": b"x"})
    assert isinstance(refused, Refused)
    told(refused.problem, "import.adapter", "Merge")


def test_pain_33_a_model_that_converse_cannot_call_is_told_before_the_launch() -> None:
    found = compatibility(ModelFacts(model_id="huggingface-llm-qwen2-7b-instruct"), "us-east-1")
    told(found.warnings[0], "import.converse", "InvokeModel")
    elsewhere = refusals(rules=replace(RULES, region="eu-north-1"))
    assert "import.region" in {each.code for each in elsewhere}


def test_pain_34_the_template_of_the_training_goes_with_the_weights() -> None:
    folder = ARTIFACT_URI.removeprefix(f"s3://{RUN_BUCKET}/")
    files = InMemoryRunFiles({folder + name: content for name, content in ARTIFACT.items()})
    start_import(FakeModelImports(), files)(observed(run_in(RunStatus.DEPLOYING), ImportSlotWanted()))
    assert files.objects[f"{folder}chat_template.jinja"]
    assert "import.chat-template" in artifact_codes(ARTIFACT["config.json"])


def test_pain_35_who_reads_of_a_model_reads_its_family() -> None:
    run = run_in(RunStatus.PROMOTED)
    assert run.plan
    told_of = notice(run, run.updated_at)
    assert told_of.attributes["model_id"] == run.plan.model_id
    assert run.plan.model_id in told_of.body


def test_pain_36_bedrock_s_quotas_are_waited_for() -> None:
    class Full(FakeModelImports):
        def start(self, *_arguments: Any) -> str:
            raise UnavailableError("You have reached the quota of imported models.")

    waiting = imported(ARTIFACT, Full())
    assert isinstance(waiting, Unavailable)
    assert "quota of imported models" in waiting.reason


def test_pain_32_a_model_that_warms_up_is_asked_again_later() -> None:
    script = Script("bedrock-runtime").fails("converse", "ModelNotReadyException", status=429)
    question = Question(turns=(Turn(role="user", text="Hello"),))
    with pytest.raises(ModelNotReadyError):
        BedrockConversation(script.client).ask("model", ModelCall.CONVERSE, question, 10)
    assert CONVERSATION.retries["total_max_attempts"] > 4
