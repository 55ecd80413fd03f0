"""A plan is made, or everything that keeps it from being made is told at once."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from tests.samples import BASE_ENDPOINT, DROP
from tunedrop.contracts.tune_spec import TuneSpecError, parse_tune_yaml
from tunedrop.domain.base_endpoint import BaseChoice
from tunedrop.domain.budget import cents as budget_cents
from tunedrop.domain.budget import most_cents
from tunedrop.domain.drop_files import FILE_LIMIT, NAMES_SHOWN
from tunedrop.domain.jumpstart import HyperparameterSpec, JumpStartModel, MetricDefinition, TrainingArtifacts
from tunedrop.domain.plan import FileRole, PinnedObject, Plan, Technique, VpcConfig
from tunedrop.domain.planning import (
    LONGEST_TRAINING,
    PlanRules,
    make_plan,
    unknown_model,
    unknown_model_version,
)
from tunedrop.domain.policy import Policy
from tunedrop.domain.pricing import PriceList
from tunedrop.domain.problem import Problem

NOW = datetime(2026, 1, 5, 9, tzinfo=UTC)
RULES = PlanRules(region="us-east-1", base_models={"example-llama": "example.base-v1"})
ON_OFF = ("True", "False")
INSTRUCTION_ROW = b'{"instruction": "a", "context": "b", "response": "c"}\n'
CHAT_ROW = b'{"messages": [{"role": "user", "content": "a"}]}\n'
PICTURE_ROW = b'{"file_name": "images/a.png", "prompt": "b", "completion": "c"}\n'
EULA = "https://example.com/eula.txt"

MODEL = JumpStartModel(
    model_id="example-llama",
    version="1.2.0",
    training_supported=True,
    gated=False,
    hyperparameters=(
        HyperparameterSpec(name="epoch", type="int", default="5", minimum=1, maximum=1000),
        HyperparameterSpec(name="learning_rate", type="float", default="0.0001", minimum=1e-8, maximum=1),
        HyperparameterSpec(name="dropout", type="float", default="0.1", minimum=0, exclusive_maximum=1),
        HyperparameterSpec(name="target_modules", type="text", default="q_proj,v_proj"),
        HyperparameterSpec(name="label", type="text", default="abc", minimum=2, maximum=4),
        HyperparameterSpec(name="packing", type="bool", default="False"),
        HyperparameterSpec(name="instruction_tuned", type="text", default="False", options=ON_OFF),
        HyperparameterSpec(name="chat_dataset", type="text", default="True", options=ON_OFF),
        HyperparameterSpec(name="int8_quantization", type="text", default="True", options=ON_OFF),
        HyperparameterSpec(name="enable_fsdp", type="text", default="False", options=ON_OFF),
        HyperparameterSpec(name="sagemaker_program", type="text", default="transfer_learning.py", container=True),
    ),
    instance_types=("ml.g5.2xlarge", "ml.g5.48xlarge", "ml.p4d.24xlarge", "ml.m5.xlarge"),
    default_instance_type="ml.g5.2xlarge",
    metrics=(MetricDefinition(name="loss", regex="loss=([0-9.]+)"),),
    volume_size_gb=256,
    max_runtime_seconds=360_000,
)
GATED = MODEL.model_copy(update={"gated": True, "eula_uri": EULA})


def objects(*names: str, size: int = 100) -> list[PinnedObject]:
    return [
        PinnedObject(key=f"datasets/receipts/{name}", version_id=f"v-{name}", etag=f"e-{name}", size=size)
        for name in names
    ]


def artifacts_for(instance_type: str, model: JumpStartModel = MODEL) -> TrainingArtifacts:
    family = instance_type.split(".")[1]
    return TrainingArtifacts(
        image_uri="registry/image:1",
        script_uri="s3://jumpstart/script.tar.gz",
        model_uri=f"s3://jumpstart/{family}/weights.tar.gz",
        environment={"FAMILY": family},
        hyperparameters={each.name: each.default for each in model.hyperparameters},
    )


def outcome(
    text: str = "",
    model: JumpStartModel = MODEL,
    files: Sequence[PinnedObject] | None = None,
    rules: PlanRules = RULES,
    head: bytes = INSTRUCTION_ROW,
) -> Plan | tuple[Problem, ...]:
    spec = parse_tune_yaml(f"model: {model.model_id}\n{text}".encode())
    found = objects("train.jsonl") if files is None else files
    artifacts = partial(artifacts_for, model=model)
    return make_plan(spec, model, artifacts, DROP, found, lambda _file: head, rules, NOW)


def plan(*args: Any, **kwargs: Any) -> Plan:
    made = outcome(*args, **kwargs)
    assert isinstance(made, Plan), made
    return made


def refusals(*args: Any, **kwargs: Any) -> tuple[Problem, ...]:
    refused = outcome(*args, **kwargs)
    assert not isinstance(refused, Plan)
    return refused


def refusal(*args: Any, **kwargs: Any) -> Problem:
    (problem,) = refusals(*args, **kwargs)
    return problem


def test_a_plan_freezes_the_models_own_answers() -> None:
    made = plan()

    assert (made.model_id, made.model_version, made.region) == ("example-llama", "1.2.0", "us-east-1")
    assert made.data.technique is Technique.INSTRUCTION
    assert made.training.instance_type == "ml.g5.2xlarge"
    assert made.training.model_uri == "s3://jumpstart/g5/weights.tar.gz"
    assert made.training.volume_size_gb == 256
    assert made.training.metrics == MODEL.metrics
    assert made.usd_per_hour == 1.515
    assert made.evaluation.base_model_id == "example.base-v1"
    assert made.eula is None


def test_artifacts_are_those_of_the_instance_type_asked_for() -> None:
    made = plan("instance_type: ml.p4d.24xlarge")

    assert made.training.environment == {"FAMILY": "p4d"}
    assert made.usd_per_hour is None


def test_what_the_stack_decides_reaches_the_job() -> None:
    vpc = VpcConfig(subnets=("subnet-1",), security_group_ids=("sg-1",))
    made = plan(rules=PlanRules(region="us-east-1", kms_key_arn="key", vpc=vpc, isolated=True))

    assert (made.training.kms_key_arn, made.training.vpc) == ("key", vpc)
    assert made.training.network_isolation
    assert made.training.encrypt_inter_container_traffic
    assert made.evaluation.base_model_id is None


def test_defaults_are_filled_in_and_the_users_values_win() -> None:
    chosen = plan("hyperparameters: {epoch: 3, learning_rate: 1e-4, packing: true}").training.hyperparameters

    assert (chosen["epoch"], chosen["learning_rate"], chosen["packing"]) == ("3", "1e-4", "True")
    assert chosen["target_modules"] == "q_proj,v_proj"
    assert chosen["sagemaker_program"] == "transfer_learning.py"


def test_the_technique_sets_the_switches_of_the_script() -> None:
    chosen = plan().training.hyperparameters

    assert (chosen["instruction_tuned"], chosen["chat_dataset"]) == ("True", "False")


@pytest.mark.parametrize("setting", ["instruction_tuned: false", "chat_dataset: 'True'"])
def test_a_switch_that_contradicts_the_technique_is_refused(setting: str) -> None:
    problem = refusal(f"hyperparameters: {{{setting}}}")

    assert (problem.code, problem.where) == ("hyperparameter.contradiction", "tune.yaml:2")


def test_a_switch_that_repeats_the_technique_is_fine() -> None:
    assert plan("hyperparameters: {instruction_tuned: True}")


def test_a_model_whose_script_takes_no_instructions_is_refused() -> None:
    classifier = MODEL.model_copy(update={"hyperparameters": MODEL.hyperparameters[:1]})

    assert refusal(model=classifier).code == "model.technique"


def test_a_model_without_a_training_script_is_refused_with_what_is_wrong_with_the_files() -> None:
    recipe_only = MODEL.model_copy(
        update={"training_supported": False, "instance_types": (), "default_instance_type": None}
    )

    refused = refusals(model=recipe_only, files=[])

    assert [each.code for each in refused] == ["model.not-trainable", "drop.no-training-file"]
    assert "no recipe" in refused[0].message


def test_a_gated_model_needs_its_licence_accepted() -> None:
    problem = refusal(model=GATED)

    assert problem.code == "model.eula"
    assert EULA in problem.message
    assert "accept_eula: true" in problem.fix


def test_who_accepted_the_licence_is_recorded_and_told_to_the_script() -> None:
    made = plan("accept_eula: true", model=GATED)

    assert made.eula is not None
    assert (made.eula.eula_uri, made.eula.accepted_by, made.eula.accepted_at) == (EULA, DROP.uploaded_by, NOW)
    assert made.training.environment["accept_eula"] == "true"


def test_an_open_model_has_no_licence_to_accept() -> None:
    assert "accept_eula" not in plan("accept_eula: true").training.environment


def test_an_unsupported_instance_type_is_told_with_those_that_are() -> None:
    problem = refusal("instance_type: ml.g6.2xlarge")

    assert (problem.code, problem.where) == ("instance.unsupported", "tune.yaml:2")
    assert all(each in problem.fix for each in MODEL.instance_types)


@pytest.mark.parametrize("limit", [{"max_budget_usd": 10.0}, {"monthly_cap_usd": 100.0}])
def test_an_unsupported_instance_type_whose_price_is_unknown_is_one_problem(limit: dict[str, float]) -> None:
    problem = refusal("instance_type: ml.trn1.32xlarge\nbudget_usd: 5", rules=replace(RULES, **limit))

    assert problem.code == "instance.unsupported"


def test_an_unknown_hyperparameter_is_told_with_the_nearest() -> None:
    problem = refusal("hyperparameters:\n  epochs: 3")

    assert (problem.code, problem.where) == ("hyperparameter.unknown", "tune.yaml:3")
    assert problem.fix.startswith("Did you mean epoch?")
    assert "sagemaker_program" not in problem.fix


def test_the_containers_own_settings_are_not_the_users() -> None:
    assert refusal("hyperparameters: {sagemaker_program: mine.py}").code == "hyperparameter.container"


@pytest.mark.parametrize(
    ("setting", "allowed"),
    [
        ("epoch: 5000", "at least 1 and at most 1000"),
        ("epoch: 0", "a whole number at least 1"),
        ("epoch: true", "a whole number"),
        ("epoch: 2.5", "a whole number"),
        ("epoch: 010", "a whole number"),
        ("epoch: '١٢'", "a whole number"),
        ("epoch: '1_0'", "a whole number"),
        ("epoch: ' 1'", "a whole number"),
        ("epoch: " + "9" * 5000, "a whole number"),
        ("learning_rate: .inf", "a number at least 1e-08"),
        ("learning_rate: nan", "a number"),
        ("learning_rate: 1e999", "a number"),
        ("learning_rate: 2", "at most 1"),
        ("learning_rate: fast", "a number"),
        ("dropout: 1", "below 1"),
        ("packing: no", "True or False"),
        ("int8_quantization: yes", "True or False"),
        ("label: a", "a text whose length is at least 2 and at most 4"),
        ("target_modules: 'q_proj\tv_proj'", "such as q_proj,v_proj"),
        ("target_modules: é", "ASCII"),
        ("target_modules: " + "q" * 3000, "2498 characters"),
    ],
)
def test_a_value_out_of_type_bounds_or_options_is_told_with_what_is_allowed(setting: str, allowed: str) -> None:
    problem = refusal(f"hyperparameters: {{{setting}}}")

    assert (problem.code, problem.where) == ("hyperparameter.value", "tune.yaml:2")
    assert allowed in problem.fix
    assert len(problem.message) < 150


@pytest.mark.parametrize(
    ("setting", "int8", "fsdp"),
    [
        ("", "True", "False"),
        ("int8_quantization: true", "True", "False"),
        ("int8_quantization: false", "False", "True"),
        ("enable_fsdp: true", "False", "True"),
        ("enable_fsdp: false", "True", "False"),
        ("enable_fsdp: true, int8_quantization: false", "False", "True"),
    ],
)
def test_exactly_one_way_to_save_memory_is_on(setting: str, int8: str, fsdp: str) -> None:
    chosen = plan(f"hyperparameters: {{{setting}}}").training.hyperparameters

    assert (chosen["int8_quantization"], chosen["enable_fsdp"]) == (int8, fsdp)


@pytest.mark.parametrize("both", ["true", "false"])
def test_both_ways_to_save_memory_or_neither_are_refused(both: str) -> None:
    problem = refusal(f"hyperparameters: {{enable_fsdp: {both}, int8_quantization: {both}}}")

    assert (problem.code, problem.where) == ("hyperparameter.memory-mode", "tune.yaml:2")


@pytest.mark.parametrize(
    ("setting", "int8", "fsdp"),
    [("int8_quantization: false", "False", "False"), ("enable_fsdp: true", "False", "True")],
)
def test_a_model_that_saves_no_memory_by_default_need_not(setting: str, int8: str, fsdp: str) -> None:
    small = MODEL.model_copy(
        update={
            "hyperparameters": tuple(
                each.model_copy(update={"default": "False"}) if each.name == "int8_quantization" else each
                for each in MODEL.hyperparameters
            )
        }
    )
    chosen = plan(f"hyperparameters: {{{setting}}}", model=small).training.hyperparameters

    assert plan(model=small)
    assert (chosen["int8_quantization"], chosen["enable_fsdp"]) == (int8, fsdp)


def test_a_retired_default_instance_type_gives_way_to_another_that_the_model_supports() -> None:
    old = MODEL.model_copy(
        update={
            "default_instance_type": "ml.p3.2xlarge",
            "instance_types": ("ml.p3.2xlarge", "ml.g5.48xlarge", "ml.g5.2xlarge"),
        }
    )

    assert plan(model=old).training.instance_type == "ml.g5.2xlarge"
    assert plan("instance_type: ml.p3.2xlarge", model=old).training.instance_type == "ml.p3.2xlarge"
    assert refusal("instance_type: ml.m5.xlarge", model=old).fix.endswith(
        "or leave instance_type out for ml.g5.2xlarge."
    )


PRECISION = MODEL.model_copy(
    update={
        "hyperparameters": (
            *MODEL.hyperparameters,
            HyperparameterSpec(name="fp16", type="bool", default="False"),
            HyperparameterSpec(name="bf16", type="bool", default="True"),
            HyperparameterSpec(name="peft_type", type="text", default="None"),
        )
    }
)


def test_a_setting_that_contradicts_a_default_is_refused() -> None:
    problem = refusal("hyperparameters:\n  fp16: true", model=PRECISION)

    assert (problem.code, problem.where) == ("hyperparameter.precision", "tune.yaml")
    assert plan("hyperparameters: {fp16: true, bf16: false}", model=PRECISION)


def test_a_model_that_bedrock_does_not_import_is_refused_before_it_is_trained() -> None:
    problem = refusal(model=MODEL.model_copy(update={"model_id": "huggingface-llm-falcon-7b-bf16"}))

    assert (problem.code, problem.where) == ("import.architecture", "serve")


def test_a_stack_whose_name_has_capitals_makes_no_endpoints() -> None:
    hosted = MODEL.model_copy(
        update={"hosting_instance_types": ("ml.g5.xlarge",), "default_hosting_instance_type": "ml.g5.xlarge"}
    )
    problem = refusal("serve: endpoint", model=hosted, rules=PlanRules(region="us-east-1", stack="Tunedrop"))

    assert problem.code == "endpoint.stack-name"
    assert "Tunedrop" in problem.message
    assert plan("serve: endpoint", model=hosted)
    assert plan(rules=PlanRules(region="us-east-1", stack="Tunedrop"))


def test_a_region_where_bedrock_imports_nothing_is_refused() -> None:
    assert refusal(rules=PlanRules(region="eu-west-1")).code == "import.region"


@pytest.mark.parametrize(
    ("model_id", "warning"),
    [
        ("example-text", "Whether Bedrock imports example-text is not known. Compare its config.json"),
        (
            "huggingface-text2text-flan-t5-xl",
            "Converse may not call an imported T5ForConditionalGeneration; where instructSupported",
        ),
    ],
)
def test_what_bedrock_may_refuse_is_a_warning(model_id: str, warning: str) -> None:
    (told,) = plan(model=MODEL.model_copy(update={"model_id": model_id})).warnings

    assert told.startswith(warning)


def test_full_fine_tuning_is_warned_of() -> None:
    (warning,) = plan(model=PRECISION).warnings

    assert warning.startswith("peft_type is None: full fine-tuning.")
    assert plan("hyperparameters: {peft_type: lora}", model=PRECISION).warnings == ()


@pytest.mark.parametrize(
    ("policy", "code", "where"),
    [
        (Policy(models=("meta-*",)), "policy.model", "tune.yaml:1"),
        (Policy(instance_types=("ml.p4d.*",)), "policy.instance-type", "tune.yaml:2"),
        # JumpStart's specs do not tell them: what nobody knows is not allowed.
        (Policy(providers=("meta",)), "policy.provider", "tune.yaml:1"),
        (Policy(licences=("Apache 2.0",)), "policy.licence", "tune.yaml:1"),
    ],
)
def test_what_the_policy_does_not_allow_is_refused(policy: Policy, code: str, where: str) -> None:
    problem = refusal("instance_type: ml.g5.2xlarge", rules=PlanRules(region="us-east-1", policy=policy))

    assert (problem.code, problem.where) == (code, where)


def test_what_the_policy_allows_is_planned_within_its_time() -> None:
    policy = Policy(models=("example-*",), instance_types=("ml.g5.*",))
    rules = PlanRules(region="us-east-1", policy=policy, longest_training=timedelta(hours=2))

    assert plan(rules=rules).training.max_runtime_seconds == 7200


def test_training_is_limited_to_a_day() -> None:
    assert plan().training.max_runtime_seconds == LONGEST_TRAINING.total_seconds() == 86_400


def test_a_specs_own_shorter_limit_holds() -> None:
    short = MODEL.model_copy(update={"max_runtime_seconds": 3600})

    assert plan(model=short).training.max_runtime_seconds == 3600


def test_a_budget_stops_the_job_where_it_is_spent() -> None:
    made = plan("budget_usd: 3.03")

    # SageMaker lets a job run 120 seconds more after it has asked it to stop: they are paid, too.
    assert made.training.max_runtime_seconds == 2 * 3600 - 120
    assert made.budget_usd == 3.03


def test_a_run_without_a_budget_has_the_stack_s_and_none_may_have_more() -> None:
    rules = replace(RULES, max_budget_usd=3.03)
    assert plan(rules=rules).budget_usd == 3.03
    assert plan("budget_usd: 2", rules=rules).budget_usd == 2
    problem = refusal("budget_usd: 3.04", rules=rules)
    assert (problem.code, problem.where) == ("budget.above-limit", "tune.yaml:2")
    assert "3.03" in problem.fix
    plain = refusal("budget_usd: 12345678", rules=replace(RULES, max_budget_usd=1234567)).message
    assert "budget_usd is 12345678, and this stack lets a run spend 1234567 US dollars" in plain


def test_a_run_that_no_month_has_room_for_is_refused_with_the_budget_that_would_do() -> None:
    rules = replace(RULES, monthly_cap_usd=10)
    problem = refusal(rules=rules)
    assert problem.code == "cap.too-small"
    assert "budget_usd: 10" in problem.fix
    made = plan("budget_usd: 10", rules=rules)
    assert most_cents(1.515, timedelta(seconds=made.training.max_runtime_seconds)) == 10_00


def test_a_cap_is_held_to_the_whole_cent_to_which_the_account_holds_it() -> None:
    # For 10.01 dollars the job would pass the plan, and wait in vain for room under the account's 10.00.
    problem = refusal("budget_usd: 10.009", rules=replace(RULES, monthly_cap_usd=10.009))
    assert problem.code == "cap.too-small"
    assert "budget_usd: 10.00" in problem.fix
    assert plan("budget_usd: 10.00", rules=replace(RULES, monthly_cap_usd=10.009)).budget_usd == 10


def test_under_a_cap_a_price_must_be_known() -> None:
    problem = refusal("instance_type: ml.p4d.24xlarge", rules=replace(RULES, monthly_cap_usd=10_000))
    assert problem.code == "cap.unknown-price"
    assert "InstancePrices" in problem.fix


def test_a_generous_budget_does_not_lengthen_the_limit() -> None:
    assert plan("budget_usd: 1e300").training.max_runtime_seconds == 86_400


def test_a_budget_that_cannot_be_kept_is_refused() -> None:
    problem = refusal("budget_usd: 40\ninstance_type: ml.p4d.24xlarge")

    assert (problem.code, problem.where) == ("budget.unknown-price", "tune.yaml:2")


def test_a_price_of_the_stacks_own_goes_before_the_table_and_makes_a_budget_possible() -> None:
    rules = PlanRules(region="us-east-2", instance_prices={"ml.g5.2xlarge": 2.0})
    made = plan("budget_usd: 3", rules=rules)

    assert (made.usd_per_hour, made.training.max_runtime_seconds) == (2.0, 5280)


def listed(**usd_per_hour: float) -> PriceList:
    prices = {f"ml.{name.replace('_', '.')}": usd for name, usd in usd_per_hour.items()}
    return PriceList(read_on=NOW.date(), usd_per_hour=prices)


UNREAD = PriceList(read_on=NOW.date(), unread="not authorized to perform: pricing:GetProducts")


def test_aws_s_own_price_goes_before_the_table_and_the_stack_s_before_both() -> None:
    by_list = plan(rules=replace(RULES, price_list=listed(g5_2xlarge=1.7)))
    own = plan(rules=replace(RULES, price_list=listed(g5_2xlarge=1.7), instance_prices={"ml.g5.2xlarge": 1.2}))
    by_table = plan(rules=replace(RULES, price_list=listed(p5_48xlarge=60)))

    assert (by_list.usd_per_hour, by_list.price_source) == (1.7, f"AWS's Price List of {NOW.date()}, on demand")
    assert (own.usd_per_hour, own.price_source) == (1.2, "the stack parameter InstancePrices")
    assert (by_table.usd_per_hour, by_table.price_source) == (
        1.515,
        "Tunedrop's table of 2026-10, us-east-1, on demand",
    )


def test_aws_s_prices_make_a_budget_and_a_cap_possible_in_any_region() -> None:
    rules = PlanRules(region="eu-central-1", monthly_cap_usd=100, price_list=listed(g5_2xlarge=1.9))
    large = MODEL.model_copy(update={"model_id": "example-llama-8b"})
    made = plan("budget_usd: 19", model=large, rules=rules)

    assert most_cents(1.9, timedelta(seconds=made.training.max_runtime_seconds)) <= 19_00
    assert made.estimate
    assert made.estimate.usd
    assert f"1.9 USD an hour: AWS's Price List of {NOW.date()}, on demand" in made.estimate.basis


def test_each_attempt_has_the_price_and_the_source_of_its_own_type() -> None:
    prices = listed(g5_2xlarge=1.7, p4d_24xlarge=25.0)
    made = plan(rules=replace(RULES, price_list=prices, instance_prices={"ml.p4d.24xlarge": 20.0}))
    told = {
        each.training.instance_type: (each.usd_per_hour, each.price_source)
        for each in (made.for_attempt(attempt) for attempt in range(1, len(made.choices) + 1))
    }

    assert told["ml.g5.2xlarge"] == (1.7, f"AWS's Price List of {NOW.date()}, on demand")
    assert told["ml.p4d.24xlarge"] == (20.0, "the stack parameter InstancePrices")


def test_a_list_that_cannot_be_read_leaves_the_table_with_a_warning() -> None:
    made = plan("budget_usd: 40", rules=replace(RULES, price_list=UNREAD))

    assert made.usd_per_hour == 1.515
    (warning,) = [each for each in made.warnings if "Price List" in each]
    assert "pricing:GetProducts" in warning
    assert "table of 2026-10, us-east-1" in warning
    silent = replace(RULES, price_list=UNREAD, instance_prices={"ml.g5.2xlarge": 2})
    assert not [each for each in plan(rules=silent).warnings if "Price List" in each]


def test_without_list_and_table_a_run_is_planned_and_its_price_told_as_unknown() -> None:
    rules = PlanRules(region="eu-central-1", price_list=UNREAD)
    large = MODEL.model_copy(update={"model_id": "example-llama-8b"})
    made = plan(model=large, rules=rules)

    assert (made.usd_per_hour, made.price_source) == (None, None)
    assert made.estimate
    assert made.estimate.hours
    assert made.estimate.usd is None
    assert "The price of ml.g5.2xlarge is not known" in made.estimate.basis
    assert any("so the price is not known" in each for each in made.warnings)


@pytest.mark.parametrize("limit", [{"max_budget_usd": 10.0}, {"monthly_cap_usd": 100.0}])
def test_a_limit_that_cannot_be_kept_says_that_the_list_was_not_read(limit: dict[str, float]) -> None:
    problem = refusal(rules=PlanRules(region="eu-central-1", price_list=UNREAD, **limit))

    assert problem.code in {"budget.unknown-price", "cap.unknown-price"}
    assert "pricing:GetProducts" in problem.message
    assert "Drop it again" in problem.fix
    assert "InstancePrices" in problem.fix


def test_a_plan_estimates_what_the_training_takes() -> None:
    large = MODEL.model_copy(update={"model_id": "example-llama-8b"})
    made = plan(files=objects("train.jsonl", "validation.jsonl", size=4_000_000), model=large).estimate

    assert made is not None
    assert made.usd is not None
    assert made.usd_per_hour == 1.515
    assert 0 < made.usd.low < made.usd.likely < made.usd.high
    assert made.tokens.likely == 1_000_000
    assert plan(files=objects("train.jsonl.gz"), model=large).estimate is None


def test_the_estimate_counts_the_pictures_to_train_on() -> None:
    made = plan(files=objects("metadata.jsonl", *IMAGES), model=VISION).estimate

    assert made is not None
    assert "and 2 images" in made.tokens.basis


def test_a_budget_that_buys_less_than_a_start_is_refused_with_the_least_that_does() -> None:
    problem = refusal("budget_usd: 1e-9\ninstance_type: ml.g5.48xlarge")

    assert problem.code == "budget.too-small"
    assert "4.08" in problem.fix
    assert plan("budget_usd: 4.08\ninstance_type: ml.g5.48xlarge")


def test_all_problems_are_told_at_once() -> None:
    refused = refusals(
        "instance_type: ml.g6.2xlarge\nbudget_usd: 4\nhyperparameters: {epochs: 1, learning_rate: 9}",
        model=GATED,
        files=[],
    )

    assert [each.code for each in refused] == [
        "model.eula",
        "instance.unsupported",
        "hyperparameter.unknown",
        "hyperparameter.value",
        "drop.no-training-file",
    ]


def test_nothing_is_located_for_a_drop_that_is_refused() -> None:
    def unreachable(instance_type: str) -> TrainingArtifacts:
        raise AssertionError(instance_type)

    spec = parse_tune_yaml(b"model: example-llama\nhyperparameters: {epoch: 0}")

    assert make_plan(spec, MODEL, unreachable, DROP, objects("train.jsonl"), lambda _file: b"", RULES, NOW)


def test_files_have_the_roles_of_their_names() -> None:
    made = plan(
        files=objects(
            "tune.yaml",
            "train.jsonl",
            "more.jsonl",
            "training/a.jsonl",
            "train/b.jsonl",
            "validation.jsonl",
            "validation/c.jsonl",
            "held-out.jsonl",
            "held-out/d.jsonl",
            "template.json",
        )
    )
    roles: dict[FileRole, set[str]] = {}
    for each in made.files:
        roles.setdefault(each.role, set()).add(each.name)

    assert roles == {
        FileRole.TRAINING: {"train.jsonl", "more.jsonl", "training/a.jsonl", "train/b.jsonl"},
        FileRole.VALIDATION: {"validation.jsonl", "validation/c.jsonl"},
        FileRole.HELD_OUT: {"held-out.jsonl", "held-out/d.jsonl"},
        FileRole.TEMPLATE: {"template.json"},
    }
    assert made.warnings == ()


IMAGES = ("images/a.png", "images/deep/b.jpg")
SFT = MODEL.model_copy(
    update={
        "hyperparameters": (
            *MODEL.hyperparameters,
            HyperparameterSpec(name="peft_type", type="text", default="lora"),
            HyperparameterSpec(name="max_input_length", type="int", default="-1", minimum=-1),
            HyperparameterSpec(name="per_device_train_batch_size", type="int", default="2"),
            HyperparameterSpec(name="gradient_accumulation_steps", type="int", default="4"),
        )
    }
)
LLAMA = MODEL.model_copy(
    update={
        "hyperparameters": (
            *MODEL.hyperparameters,
            HyperparameterSpec(name="max_input_length", type="int", default="-1", minimum=-1),
            HyperparameterSpec(name="per_device_train_batch_size", type="int", default="2"),
            HyperparameterSpec(
                name="add_input_output_demarcation_key", type="text", default="True", options=("True", "False")
            ),
        )
    }
)
VISION = MODEL.model_copy(update={"vision": True, "hyperparameters": MODEL.hyperparameters[:1]})


@pytest.mark.parametrize(
    ("files", "head", "model", "technique", "switches"),
    [
        (["train.jsonl"], INSTRUCTION_ROW, MODEL, Technique.INSTRUCTION, ("True", "False")),
        (["train.jsonl.gz"], CHAT_ROW, MODEL, Technique.CHAT, ("False", "True")),
        (["train.jsonl"], b"{", MODEL, Technique.INSTRUCTION, ("True", "False")),
        (["train.txt", "validation.csv"], b"", MODEL, Technique.DOMAIN_ADAPTATION, ("False", "False")),
        (["metadata.jsonl", *IMAGES], b"", VISION, Technique.VISUAL_QA, (None, None)),
    ],
)
def test_the_files_tell_the_technique_when_tune_yaml_is_silent(
    files: list[str], head: bytes, model: JumpStartModel, technique: Technique, switches: tuple[str | None, str | None]
) -> None:
    made = plan(files=objects(*files), head=head, model=model)
    said = plan(f"technique: {technique}", files=objects(*files), head=head, model=model)

    assert (made.data.technique, made.data.technique_from) == (technique, "files")
    assert (said.data.technique, said.data.technique_from) == (technique, "tune.yaml")
    chosen = made.training.hyperparameters
    assert (chosen.get("instruction_tuned"), chosen.get("chat_dataset")) == switches
    assert made.warnings == ()
    text = technique is Technique.DOMAIN_ADAPTATION
    assert made.evaluation.metric == ("token_f1" if text else "exact_match")


@pytest.mark.parametrize(
    ("asked", "files", "head", "seen"),
    [
        ("chat", ["train.jsonl"], INSTRUCTION_ROW, "instruction"),
        ("chat", ["train.jsonl", "template.json"], INSTRUCTION_ROW, "instruction"),
        ("instruction", ["train.jsonl"], CHAT_ROW, "chat"),
        ("instruction", ["train.txt"], b"", "domain-adaptation"),
        ("instruction", ["metadata.jsonl", *IMAGES], PICTURE_ROW, "visual-qa"),
        ("domain-adaptation", ["train.jsonl"], CHAT_ROW, "chat"),
        ("visual-qa", ["train.jsonl"], INSTRUCTION_ROW, "instruction"),
        ("visual-qa", ["metadata.jsonl"], INSTRUCTION_ROW, "instruction"),
        ("visual-qa", ["train.csv", *IMAGES], b"", "domain-adaptation"),
    ],
)
def test_a_technique_that_the_files_contradict_is_refused_with_both_ways_to_mend_it(
    asked: str, files: list[str], head: bytes, seen: str
) -> None:
    model = MODEL.model_copy(update={"vision": True})
    problem = refusal(f"technique: {asked}", files=objects(*files), head=head, model=model)

    assert (problem.code, problem.where) == ("drop.technique", "tune.yaml:2")
    assert f"technique is {asked}, but the files look like {seen}" in problem.message
    assert f"`technique: {seen}`" in problem.fix
    assert f"the data of {asked}" in problem.fix


@pytest.mark.parametrize(
    ("asked", "files", "head", "ignored"),
    [
        ("chat", ["train.jsonl", "template.json"], CHAT_ROW, ["template.json"]),
        ("instruction", ["train.jsonl", "template.json"], CHAT_ROW, []),
        ("domain-adaptation", ["train.csv", "notes.jsonl"], CHAT_ROW, ["notes.jsonl"]),
        ("chat", ["train.jsonl", "notes.txt"], CHAT_ROW, ["notes.txt"]),
        ("chat", ["train.jsonl"], b"", []),
    ],
)
def test_a_technique_that_has_its_files_is_taken_at_its_word(
    asked: str, files: list[str], head: bytes, ignored: list[str]
) -> None:
    made = plan(f"technique: {asked}", files=objects(*files), head=head)

    assert made.data.technique == asked
    assert made.warnings == tuple(f"{name} is not part of the layout and is ignored." for name in ignored)


@pytest.mark.parametrize(
    ("switches", "files", "head", "offered"),
    [
        (["instruction_tuned"], ["train.jsonl"], CHAT_ROW, "instruction and domain-adaptation"),
        (["chat_dataset"], ["train.jsonl"], INSTRUCTION_ROW, "chat and domain-adaptation"),
        ([], ["train.txt"], b"", "none"),
        (["chat_dataset"], ["metadata.jsonl", *IMAGES], b"", "chat and domain-adaptation"),
    ],
)
def test_a_technique_that_the_script_does_not_offer_is_refused_with_those_it_does(
    switches: list[str], files: list[str], head: bytes, offered: str
) -> None:
    all_switches = {"instruction_tuned", "chat_dataset"}
    kept = [each for each in MODEL.hyperparameters if each.name in switches or each.name not in all_switches]
    model = MODEL.model_copy(update={"hyperparameters": tuple(kept)})
    problem = refusal(files=objects(*files), head=head, model=model)

    assert (problem.code, problem.where) == ("model.technique", "tune.yaml:1")
    assert f"it offers {offered}" in problem.message


def test_a_switch_of_another_technique_is_refused() -> None:
    problem = refusal("hyperparameters: {chat_dataset: false}", head=CHAT_ROW)

    assert problem.code == "hyperparameter.contradiction"
    assert "technique chat means chat_dataset: True" in problem.message


def test_images_are_pinned_together_and_part_of_the_fingerprint() -> None:
    made = plan(files=objects("metadata.jsonl", *IMAGES), model=VISION)
    (images,) = made.images
    changed = [each.model_copy(update={"etag": "other"}) for each in objects(IMAGES[0])]

    assert [each.name for each in made.files] == ["metadata.jsonl"]
    assert (images.metadata, images.count, images.bytes) == ("metadata.jsonl", 2, 200)
    again = plan(files=[*objects("metadata.jsonl", IMAGES[1]), *changed], model=VISION)
    assert again.images[0].digest != images.digest
    assert again.fingerprint != made.fingerprint


def test_images_that_were_uploaded_again_unchanged_are_the_same_content() -> None:
    first = objects("metadata.jsonl", *IMAGES)
    again = plan(files=[each.model_copy(update={"version_id": "again"}) for each in first], model=VISION)

    assert again.fingerprint == plan(files=first, model=VISION).fingerprint


def test_rows_of_pictures_without_pictures_are_refused() -> None:
    problem = refusal(files=objects("metadata.jsonl"), head=PICTURE_ROW, model=VISION)

    assert (problem.code, problem.where) == ("drop.no-images", "metadata.jsonl")


def test_the_data_must_suit_a_llama_script() -> None:
    data = plan(model=LLAMA).data

    assert (data.model_id, data.message_key, data.demarcation) == ("example-llama", "dialog", True)
    assert (data.max_input_length, data.epochs, data.batch_size) == (1024, 5.0, 2)


def test_the_data_must_suit_a_trainer_script() -> None:
    data = plan("instance_type: ml.g5.48xlarge\nhyperparameters: {epoch: 2}", model=SFT).data

    assert (data.message_key, data.max_input_length, data.epochs, data.batch_size) == ("messages", None, 2.0, 64)


def test_what_the_user_sets_counts() -> None:
    text = "hyperparameters: {max_input_length: 2048, add_input_output_demarcation_key: false}"
    data = plan(text, model=LLAMA).data

    assert (data.max_input_length, data.demarcation) == (2048, False)


def test_what_the_script_does_not_say_is_not_known() -> None:
    data = plan().data

    assert (data.max_input_length, data.batch_size, data.tokenizer_uri) == (None, None, None)


def test_the_tokenizer_lies_beside_open_weights_that_are_no_archive() -> None:
    def folder(instance_type: str) -> TrainingArtifacts:
        return artifacts_for(instance_type).model_copy(update={"model_uri": "s3://jumpstart/weights/"})

    def made(text: str, model: JumpStartModel) -> Plan:
        spec = parse_tune_yaml(f"model: example-llama\n{text}".encode())
        found = make_plan(spec, model, folder, DROP, objects("train.jsonl"), lambda _file: b"", RULES, NOW)
        assert isinstance(found, Plan)
        return found

    assert made("", MODEL).data.tokenizer_uri == "s3://jumpstart/weights/tokenizer.json"
    assert made("accept_eula: true", GATED).data.tokenizer_uri is None


def test_a_file_is_pinned_to_the_version_that_was_there() -> None:
    (file,) = plan().files

    assert (file.key, file.version_id, file.etag) == ("datasets/receipts/train.jsonl", "v-train.jsonl", "e-train.jsonl")


@pytest.mark.parametrize(
    "name",
    ["README.md", "data.csv", "training/deep/a.jsonl", "other/a.jsonl", "../a.jsonl", "%2e%2e/a.jsonl", "//a.jsonl"],
)
def test_what_is_not_part_of_the_layout_is_ignored_with_a_warning(name: str) -> None:
    made = plan(files=objects("train.jsonl", name))

    assert [each.name for each in made.files] == ["train.jsonl"]
    assert made.warnings == (f"{name} is not part of the layout and is ignored.",)


def test_many_ignored_files_are_counted() -> None:
    made = plan(files=objects("train.jsonl", *(f"{number:03}.png" for number in range(100))))

    assert len(made.warnings) == NAMES_SHOWN + 1
    assert made.warnings[-1] == "90 more files are ignored."


def test_a_folder_marker_of_the_console_and_other_datasets_are_not_worth_a_word() -> None:
    foreign = [PinnedObject(key="datasets/receipts2/train.jsonl", version_id="v", etag="e", size=1)]

    made = plan(files=[*objects("train.jsonl"), *objects("training/", "", size=0), *foreign])

    assert ([each.name for each in made.files], made.warnings) == (["train.jsonl"], ())


@pytest.mark.parametrize(
    "name",
    [
        "caf\u00e9.jsonl",
        "cafe\u0301.jsonl",
        "\u202elnosj.jsonl",
        "a\nb.jsonl",
        "\U0001f4b8.jsonl",
        "..jsonl",
        ".hidden.jsonl",
        "%2e.jsonl",
        "\ud800.jsonl",
        "training/a\x00.jsonl",
        "x" * 1020 + ".jsonl",
    ],
)
def test_a_file_name_that_is_not_plain_is_refused(name: str) -> None:
    problem = refusal(files=objects("train.jsonl", name))

    assert problem.code == "drop.file-name"
    assert str(problem).isascii()
    assert "\n" not in str(problem)


@pytest.mark.parametrize("name", ["my data+1 a.jsonl", "x" * 1000 + ".jsonl", "A-1_b.jsonl"])
def test_a_plain_file_name_is_fine(name: str) -> None:
    assert [each.name for each in plan(files=objects(name)).files] == [name]


def test_an_empty_file_is_refused() -> None:
    problem = refusal(files=[*objects("train.jsonl"), *objects("validation.jsonl", size=0)])

    assert (problem.code, problem.where) == ("drop.empty-file", "validation.jsonl")


def test_two_templates_are_refused() -> None:
    assert refusal(files=objects("train.jsonl", "template.json", "training/template.json")).code == "drop.two-templates"


def test_more_files_than_a_record_holds_are_refused() -> None:
    names = [f"{number:04}.jsonl" for number in range(FILE_LIMIT + 1)]

    assert plan(files=objects(*names[:-1]))
    assert refusal(files=objects(*names)).code == "drop.too-many-files"


def test_the_same_drop_has_the_same_fingerprint_whatever_its_comments() -> None:
    assert plan("budget_usd: 5").fingerprint == plan("# again\nbudget_usd: 5.0").fingerprint


@pytest.mark.parametrize(
    ("text", "files"),
    [("hyperparameters: {epoch: 4}", ["train.jsonl"]), ("", ["other.jsonl"]), ("", ["train.jsonl", "b.jsonl"])],
)
def test_another_spec_or_another_file_is_another_fingerprint(text: str, files: list[str]) -> None:
    assert plan(text, files=objects(*files)).fingerprint != plan().fingerprint


def test_a_deprecated_or_vulnerable_model_is_warned_of() -> None:
    old = MODEL.model_copy(update={"deprecated": True, "vulnerabilities": ("CVE-1", "CVE-2")})

    deprecated, vulnerable = plan(model=old).warnings

    assert "deprecated" in deprecated
    assert "2 known vulnerabilities" in vulnerable


def test_what_is_not_in_the_private_hub_is_refused_by_the_hubs_name() -> None:
    problem = unknown_model(parse_tune_yaml(b"model: exmaple-llama"), ("example-llama",), "curated")

    assert problem.code == "model.not-in-hub"
    assert "private hub curated" in problem.message
    assert "Did you mean example-llama?" in problem.fix


def test_an_unknown_model_is_told_with_the_nearest() -> None:
    problem = unknown_model(parse_tune_yaml(b"model: exmaple-llama"), ("example-llama", "example-llama-2"))

    assert (problem.code, problem.where) == ("model.unknown", "tune.yaml:1")
    assert "Did you mean example-llama or example-llama-2?" in problem.fix


def test_an_unknown_version_is_told_with_those_that_exist() -> None:
    problem = unknown_model_version(parse_tune_yaml(b"model: example-llama\nmodel_version: 9.9.9"), ("1.2.0", "1.1.0"))

    assert (problem.code, problem.where) == ("model.unknown-version", "tune.yaml:2")
    assert "1.2.0, 1.1.0" in problem.fix


def test_a_longer_limit_is_the_stacks_to_allow() -> None:
    rules = PlanRules(region="us-east-1", longest_training=timedelta(hours=48))

    assert plan(rules=rules).training.max_runtime_seconds == 48 * 3600


def test_spot_waits_beyond_the_training_s_own_time() -> None:
    made = plan("spot: true\nmax_wait_hours: 5")

    assert made.training.max_wait_seconds == made.training.max_runtime_seconds + 5 * 3600
    assert plan("spot: true").training.max_wait_seconds == LONGEST_TRAINING.total_seconds() + 12 * 3600
    assert plan().training.max_wait_seconds is None


def test_spot_is_planned_with_a_warning_that_promises_nothing() -> None:
    (warning,) = set(plan("spot: true").warnings) - set(plan().warnings)

    assert "expect an interrupted job to start over" in warning


def test_only_the_low_end_of_the_price_counts_on_spot() -> None:
    text = "hyperparameters: {epoch: 1}"
    model = MODEL.model_copy(update={"model_id": "meta-textgeneration-llama-3-1-8b"})
    on_demand, spot = (plan(each, model=model).estimate for each in (text, f"{text}\nspot: true"))

    assert on_demand
    assert on_demand.usd
    assert spot
    assert spot.usd
    assert spot.usd.low == pytest.approx(on_demand.usd.low / 10)
    assert (spot.usd.likely, spot.usd.high) == (on_demand.usd.likely, on_demand.usd.high)
    assert "nobody promises" in spot.notes[0]


def test_a_wait_for_spot_without_spot_is_refused() -> None:
    problem = refusal("max_wait_hours: 5")

    assert (problem.code, problem.where) == ("spot.wait-without-spot", "tune.yaml:2")


def test_a_wait_that_no_job_lasts_for_is_refused_and_the_usual_one_kept_within() -> None:
    problem = refusal("spot: true\nmax_wait_hours: 649")
    assert (problem.code, problem.where) == ("spot.wait-too-long", "tune.yaml:3")
    assert "`max_wait_hours: 648` or less" in problem.fix
    assert isinstance(outcome("spot: true\nmax_wait_hours: 648"), Plan)
    days = PlanRules(region="us-east-1", longest_training=timedelta(days=28))
    long = MODEL.model_copy(update={"max_runtime_seconds": 28 * 24 * 3600})
    assert plan("spot: true", rules=days, model=long).training.max_wait_seconds == 28 * 24 * 3600


def test_spot_and_a_warm_pool_cannot_be_asked_for_together() -> None:
    with pytest.raises(TuneSpecError, match="keep_alive_minutes is not a key"):
        parse_tune_yaml(b"model: example-llama\nspot: true\nkeep_alive_minutes: 30")


def test_a_script_that_runs_on_no_instance_type_here_is_not_said_to_be_missing() -> None:
    nowhere = MODEL.model_copy(update={"instance_types": (), "default_instance_type": None})

    problem = refusal(model=nowhere)

    assert (problem.code, problem.where) == ("model.no-instance-type", "tune.yaml:1")
    assert "no training script" not in problem.message


def test_what_the_base_model_s_endpoint_may_cost_is_left_to_it_of_the_budget() -> None:
    base = replace(RULES, base=BaseChoice(endpoint=BASE_ENDPOINT))
    made, alone = plan("budget_usd: 40", rules=base), plan("budget_usd: 40")
    assert (made.evaluation.base_endpoint, made.evaluation.base_model_id) == (BASE_ENDPOINT, None)
    most = BASE_ENDPOINT.most_usd
    assert most
    assert (made.budget_usd, made.training_budget_usd, alone.training_budget_usd) == (40, 40 - most, 40)
    assert made.usd_per_hour
    longest = timedelta(seconds=made.training.max_runtime_seconds)
    assert most_cents(made.usd_per_hour, longest) <= budget_cents(40 - most)
    assert made.training.max_runtime_seconds < alone.training.max_runtime_seconds


def test_why_the_base_is_not_compared_is_told_or_refuses_the_drop() -> None:
    assert "Not compared." in plan(rules=replace(RULES, base=BaseChoice(warnings=("Not compared.",)))).warnings
    problem = Problem(code="evaluate.base", message="No.", where="", fix="")
    assert refusal(rules=replace(RULES, base=BaseChoice(problems=(problem,)))) == problem
