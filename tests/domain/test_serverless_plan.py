"""A model without a training script is customised serverless: what is planned, asked of SageMaker, and refused."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.validate import ParamValidator

from tests.adapters.test_jumpstart_documents import PLACE
from tests.captured_specs import real, real_catalogue
from tests.catalogue import GATED_RECIPE, OPEN, RECIPE_ONLY, reader, write_catalogue
from tests.samples import DATA, DROP, RUN_ID
from tunedrop.adapters.jumpstart_documents import SpecCatalogue
from tunedrop.contracts.tune_spec import parse_tune_yaml
from tunedrop.domain import names
from tunedrop.domain.artifact import weights_uri
from tunedrop.domain.jumpstart import JumpStartModel, TrainingArtifacts
from tunedrop.domain.plan import PinnedObject, Plan, ServerlessTrainingPlan, Technique, TrainingPlan, VpcConfig
from tunedrop.domain.planning import PlanRules, make_plan
from tunedrop.domain.problem import Problem
from tunedrop.domain.run import Run, Training
from tunedrop.domain.training_request import create_training_job_request

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
RULES = PlanRules(region="us-east-1")
ROW = b'{"prompt": "a", "completion": "b"}\n'
PAIR = b'{"prompt": "a", "chosen": "b", "rejected": "c"}\n'
CHAT_ROW = b'{"messages": [{"role": "user", "content": "a"}]}\n'
ROLE = "arn:aws:iam::123456789012:role/training"


@pytest.fixture
def catalogue(tmp_path: Path) -> SpecCatalogue:
    return SpecCatalogue(PLACE, reader(write_catalogue(tmp_path)))


def no_artifacts(instance_type: str) -> TrainingArtifacts:
    raise AssertionError(f"nobody needs a script on {instance_type}")


def outcome(
    model: JumpStartModel, text: str = "", rules: PlanRules = RULES, head: bytes = ROW
) -> Plan | tuple[Problem, ...]:
    spec = parse_tune_yaml(f"model: {model.model_id}\n{text}".encode())
    files = [PinnedObject(key="datasets/receipts/train.jsonl", version_id="v", etag="e", size=4000)]
    return make_plan(spec, model, no_artifacts, DROP, files, lambda _file: head, rules, NOW)


def plan(*args: Any, **kwargs: Any) -> Plan:
    made = outcome(*args, **kwargs)
    assert isinstance(made, Plan), made
    return made


def refused(*args: Any, **kwargs: Any) -> tuple[Problem, ...]:
    problems = outcome(*args, **kwargs)
    assert not isinstance(problems, Plan)
    return problems


def codes(*args: Any, **kwargs: Any) -> list[str]:
    return [each.code for each in refused(*args, **kwargs)]


def run_of(made: Plan) -> Run:
    return Run(run_id=RUN_ID, dataset="receipts", created_at=NOW, updated_at=NOW, entered_at=NOW, drop=DROP, plan=made)


def request_of(made: Plan) -> dict[str, Any]:
    run = Run(
        run_id=RUN_ID,
        dataset="receipts",
        created_at=NOW,
        updated_at=NOW,
        entered_at=NOW,
        drop=DROP,
        plan=made,
        data=DATA,
    )
    return create_training_job_request(run, stack="tunedrop", role_arn=ROLE, run_bucket="runs")


def test_a_model_of_a_private_hub_is_named_by_its_entry_there_and_a_reference_is_refused(
    catalogue: SpecCatalogue,
) -> None:
    entry = f"arn:aws:sagemaker:us-east-1:123456789012:hub-content/ours/{{}}/{RECIPE_ONLY}/3.0.0"
    own, reference = (
        catalogue.model(RECIPE_ONLY).model_copy(update={"hub_content_arn": entry.format(kind)})
        for kind in ("Model", "ModelReference")
    )

    assert request_of(plan(own))["ServerlessJobConfig"]["BaseModelArn"] == entry.format("Model")
    assert codes(reference) == ["serverless.hub"]


def test_the_request_is_the_one_of_the_sdks_trainers(catalogue: SpecCatalogue) -> None:
    request = request_of(plan(catalogue.model(RECIPE_ONLY), "hyperparameters: {max_epochs: 2}"))

    assert {tag["Key"] for tag in request.pop("Tags")} >= {"tunedrop:run-id", "sagemaker-sdk:jumpstart-model-id"}
    assert request == {
        "TrainingJobName": names.training_job("tunedrop", RUN_ID, 1),
        "RoleArn": ROLE,
        "ServerlessJobConfig": {
            "BaseModelArn": f"arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/Model/{RECIPE_ONLY}/3.0.0",
            "JobType": "FineTuning",
            "CustomizationTechnique": "SFT",
            "Peft": "LORA",
            "AcceptEula": False,
            "SequenceLength": "4K",
        },
        "HyperParameters": {"max_epochs": "2", "learning_rate": "0.0002", "global_batch_size": "16"},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://runs/{names.channel_prefix(RUN_ID, 'training')}",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://runs/runs/{RUN_ID}/training", "CompressionType": "NONE"},
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
        "ModelPackageConfig": {
            "ModelPackageGroupArn": "arn:aws:sagemaker:us-east-1:123456789012:model-package-group/tunedrop-customised"
        },
    }


def test_pairs_of_answers_are_a_request_for_dpo_and_nothing_else_differs(catalogue: SpecCatalogue) -> None:
    model = catalogue.model(RECIPE_ONLY)
    tuned = request_of(plan(model, "hyperparameters: {max_epochs: 2}"))
    preferring = request_of(plan(model, "hyperparameters: {max_epochs: 2}", head=PAIR))

    accepted(preferring)
    assert preferring.pop("ServerlessJobConfig") == {**tuned["ServerlessJobConfig"], "CustomizationTechnique": "DPO"}
    assert preferring.pop("HyperParameters") == {**tuned["HyperParameters"], "beta": "0.01"}
    assert {**tuned, **preferring}.keys() == tuned.keys()
    assert all(preferring[key] == tuned[key] for key in preferring.keys() - {"Tags"})


def test_dpo_is_told_from_the_rows_and_judged_by_likeness_to_the_chosen_answer(catalogue: SpecCatalogue) -> None:
    made = plan(catalogue.model(RECIPE_ONLY), head=PAIR)

    assert (made.data.technique, made.data.technique_from) == (Technique.DPO, "files")
    assert (made.data.template_applied, made.data.max_input_length) == (False, None)
    assert made.evaluation.metric == "token_f1"
    assert isinstance(made.training, ServerlessTrainingPlan)
    assert made.training.recipe == "dpo_lora"
    assert codes(catalogue.model(RECIPE_ONLY), "technique: dpo") == ["drop.technique"]
    assert codes(catalogue.model(RECIPE_ONLY), "technique: chat", head=PAIR) == ["drop.technique"]


def test_dpo_is_refused_where_the_model_has_no_recipe_of_it(catalogue: SpecCatalogue) -> None:
    (only_sft,) = refused(catalogue.model(GATED_RECIPE), "accept_eula: true", head=PAIR)
    script = next(each for each in refused(catalogue.model(OPEN), head=PAIR) if each.code == "model.technique")
    elsewhere = refused(catalogue.model(RECIPE_ONLY), rules=PlanRules(region="eu-central-1"), head=PAIR)

    assert only_sft.code == "model.technique"
    assert "does not offer the technique dpo; it offers instruction and chat" in only_sft.message
    assert "JumpStart's training scripts know no dpo" in script.message
    for problem in (only_sft, script):
        assert "openai-reasoning-gpt-oss-20b" in problem.fix
        assert "tunedrop models" in problem.fix
    assert elsewhere[0].code == "model.region"


def test_botocores_own_model_accepts_the_request(catalogue: SpecCatalogue) -> None:
    rules = PlanRules(
        region="us-east-1",
        kms_key_arn="arn:aws:kms:us-east-1:123456789012:key/1",
        vpc=VpcConfig(subnets=("subnet-1",), security_group_ids=("sg-1",)),
    )
    request = request_of(plan(catalogue.model(RECIPE_ONLY), rules=rules))

    accepted(request)
    assert request["VpcConfig"]["Subnets"] == ["subnet-1"]
    assert request["OutputDataConfig"]["KmsKeyId"] == rules.kms_key_arn


def accepted(request: dict[str, Any]) -> None:
    client = boto3.client("sagemaker", region_name="us-east-1")
    shape = client.meta.service_model.operation_model("CreateTrainingJob").input_shape
    report = ParamValidator().validate(request, shape)
    assert not report.has_errors(), report.generate_report()


def test_the_plan_says_who_trains_and_what_is_billed(catalogue: SpecCatalogue) -> None:
    made = plan(catalogue.model(RECIPE_ONLY))

    assert isinstance(made.training, ServerlessTrainingPlan)
    assert made.training.usage_type == f"USE1-ServerlessTraining:FineTuning-SFT-LORA-{RECIPE_ONLY}"
    assert any("serverless" in warning for warning in made.warnings)
    assert made.usd_per_hour is None
    assert made.estimate is not None
    assert made.training.usage_type in made.estimate.basis[-1]
    assert Plan.model_validate_json(made.model_dump_json()) == made


def test_a_plan_stored_before_there_were_recipes_is_a_scripts() -> None:
    stored = {
        "image_uri": "i",
        "script_uri": "s",
        "model_uri": None,
        "environment": {},
        "hyperparameters": {},
        "instance_type": "ml.g5.2xlarge",
        "volume_size_gb": 1,
        "max_runtime_seconds": 1,
        "metrics": [],
        "compress_output": False,
        "encrypt_inter_container_traffic": True,
        "network_isolation": True,
    }
    assert TrainingPlan.model_validate(stored).trainer == "script"


def test_the_rows_are_those_of_the_recipe(catalogue: SpecCatalogue) -> None:
    instruction = plan(catalogue.model(RECIPE_ONLY)).data
    chat = plan(catalogue.model(RECIPE_ONLY), head=CHAT_ROW).data

    assert (instruction.template_applied, instruction.demarcation, instruction.max_input_length) == (True, False, 4096)
    assert (chat.message_key, chat.template_applied) == ("messages", False)


def test_the_merged_weights_are_what_is_imported(catalogue: SpecCatalogue) -> None:
    made = plan(catalogue.model(RECIPE_ONLY))
    training = Training(
        job_name="j", job_arn="a", attempt=1, status="Completed", artifact_uri="s3://runs/job/output/model"
    )
    run = run_of(made).model_copy(update={"training": training})
    assert weights_uri(run) == "s3://runs/job/output/model/checkpoints/hf_merged/"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("instance_type: ml.g5.2xlarge", "serverless.setting"),
        ("spot: true", "serverless.setting"),
        ("budget_usd: 10", "budget.unknown-price"),
        ("technique: domain-adaptation", "model.technique"),
        ("hyperparameters: {epoch: 3}", "hyperparameter.unknown"),
        ("hyperparameters: {max_epochs: 0}", "hyperparameter.value"),
        ("hyperparameters: {global_batch_size: 17}", "hyperparameter.value"),
    ],
)
def test_what_makes_no_sense_without_instances_is_refused(catalogue: SpecCatalogue, text: str, code: str) -> None:
    assert code in codes(catalogue.model(RECIPE_ONLY), text)


def test_a_region_without_the_recipe_is_refused_with_those_that_have_it(catalogue: SpecCatalogue) -> None:
    (problem, *_) = refused(catalogue.model(RECIPE_ONLY), rules=PlanRules(region="eu-central-1"))

    assert problem.code == "model.region"
    assert "us-east-1, us-west-2" in problem.message


def test_the_platform_team_may_forbid_it(catalogue: SpecCatalogue) -> None:
    model = catalogue.model(RECIPE_ONLY)

    assert codes(model, rules=PlanRules(region="us-east-1", serverless=False)) == ["policy.serverless"]
    assert codes(model, rules=PlanRules(region="us-east-1", isolated=True)) == ["serverless.isolation"]
    short = plan(model, rules=PlanRules(region="us-east-1", longest_training=timedelta(hours=2)))
    assert short.training.max_runtime_seconds == 7200


def test_a_gated_model_needs_its_eula_accepted(catalogue: SpecCatalogue) -> None:
    model = catalogue.model(GATED_RECIPE)

    assert codes(model) == ["model.eula"]
    made = plan(model, "accept_eula: true")
    assert made.eula is not None
    assert request_of(made)["ServerlessJobConfig"]["AcceptEula"] is True


def test_without_the_recipes_list_what_is_asked_is_handed_on_with_a_warning(catalogue: SpecCatalogue) -> None:
    made = plan(catalogue.model(GATED_RECIPE), "accept_eula: true\nhyperparameters: {max_epochs: 2}")

    assert made.training.hyperparameters == {"max_epochs": "2"}
    assert any("could not be read" in warning for warning in made.warnings)
    asked = 'accept_eula: true\nhyperparameters: {max_epochs: "$(rm)"}'
    assert codes(catalogue.model(GATED_RECIPE), asked) == ["hyperparameter.value"]


def test_a_model_with_a_script_has_no_use_for_recipes(catalogue: SpecCatalogue) -> None:
    assert catalogue.model(OPEN).recipes == ()


@real
def test_gpt_oss_is_customised_serverless(tmp_path: Path) -> None:
    model = SpecCatalogue(PLACE, reader(real_catalogue(tmp_path))).model("openai-reasoning-gpt-oss-20b")
    request = request_of(plan(model, "hyperparameters: {max_epochs: 2}"))

    accepted(request)
    hub = "arn:aws:sagemaker:us-east-1:aws:hub-content/SageMakerPublicHub/Model"
    assert request["ServerlessJobConfig"] == {
        "BaseModelArn": f"{hub}/openai-reasoning-gpt-oss-20b/{model.version}",
        "JobType": "FineTuning",
        "CustomizationTechnique": "SFT",
        "Peft": "LORA",
        "AcceptEula": False,
        "SequenceLength": "4K",
    }
    assert request["HyperParameters"] == {"max_epochs": "2"}
    preferring = request_of(plan(model, head=PAIR))
    accepted(preferring)
    assert preferring["ServerlessJobConfig"] == {**request["ServerlessJobConfig"], "CustomizationTechnique": "DPO"}
    assert not {"AlgorithmSpecification", "ResourceConfig", "Environment"} & request.keys()
    assert json.dumps(request, sort_keys=True)
    elsewhere = outcome(model, rules=PlanRules(region="eu-central-1"))
    assert not isinstance(elsewhere, Plan)
    assert elsewhere[0].code == "model.region"
