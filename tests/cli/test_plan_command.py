"""`tunedrop plan` shows the plan that a drop would be given, and launches nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from tests.adapters.test_prices import product
from tests.catalogue import GATED, OPEN, RECIPE_ONLY
from tests.cli.conftest import Account, Bedrock, CloudFormation
from tests.cli.test_validate_command import completions, rows, write
from tests.stack import FUNCTIONS, TEMPLATE
from tunedrop_cli.rules import variable

Command = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("quotas", "bedrock")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "bank"
    data.mkdir()
    write(data / "train.jsonl", rows(60))
    return data


def tune(folder: Path, text: str = "accept_eula: true", model: str = GATED) -> None:
    (folder / "tune.yaml").write_text(f"model: {model}\nserve: bedrock\n{text}\n")


def as_json(result: Result) -> dict[str, Any]:
    found = json.loads(result.stdout)
    assert isinstance(found, dict)
    return found


def in_one_line(result: Result) -> str:
    return " ".join(result.stdout.split())


def test_the_whole_plan_is_shown_and_nothing_is_launched(
    account: Account, catalogue: Account, tunedrop: Command, folder: Path
) -> None:
    assert catalogue
    tune(folder, "accept_eula: true\nbudget_usd: 5\nhyperparameters: {epoch: 3}")

    result = tunedrop("plan", str(folder))

    assert result.exit_code == 0, result.output
    shown = in_one_line(result)
    for value in (
        "READY",
        f"{GATED} 1.10.0",
        "example, Example Community License",
        "eula/example.txt",
        "instruction (told by the files)",
        "1 x ml.g5.2xlarge",
        "MaxRuntimeInSeconds: 360000 -> 11761",
        "epoch: 5 -> 3 tune.yaml",
        "instruction_tuned: False -> True technique",
        "USD an hour: Tunedrop's table",
        "at most 5.00 USD",
        "48 rows to train on",
        "judged on held-out rows by exact_match",
    ):
        assert value in shown
    assert account.dropped("bank") == []


@pytest.mark.usefixtures("account", "catalogue")
def test_the_price_is_that_of_aws_s_price_list(tunedrop: Command, cloudformation: CloudFormation, folder: Path) -> None:
    tune(folder, "accept_eula: true\nbudget_usd: 5")
    without = in_one_line(tunedrop("plan", str(folder)))
    cloudformation.price_list = [product("ml.g5.2xlarge", "1.75")]

    shown = in_one_line(tunedrop("plan", str(folder)))

    assert "1.75 USD an hour: AWS's Price List of" in shown
    assert "Price List could not be read" not in shown
    assert "AWS's Price List could not be read, so the price is from Tunedrop's table" in without


@pytest.mark.usefixtures("account", "catalogue")
def test_all_problems_are_told_at_once(tunedrop: Command, folder: Path) -> None:
    tune(folder, "instance_type: ml.m5.xlarge\nhyperparameters: {epochs: 3, lora_dropout: 7}")
    write(folder / "more.jsonl", [{"instruction": "a", "context": "b"}])

    result = tunedrop("plan", str(folder))

    assert result.exit_code == 1
    shown = in_one_line(result)
    for value in (
        "REFUSED",
        "model.eula",
        "instance.unsupported",
        "Did you mean epoch?",
        "lora_dropout cannot be 7",
        "Fields missing: 1 first at more.jsonl:1",
    ):
        assert value in shown


@pytest.mark.usefixtures("account", "catalogue")
def test_programs_are_given_the_plan_that_would_be_stored_beside_the_run(tunedrop: Command, folder: Path) -> None:
    tune(folder)

    document = as_json(tunedrop("plan", str(folder), "--name", "receipts", "--json"))

    assert (document["accepted"], document["dataset"], document["problems"]) == (True, "receipts", [])
    assert document["plan"]["training"]["environment"]["accept_eula"] == "true"
    assert document["plan"]["eula"]["accepted_by"] == "whoever uploads tune.yaml"
    assert document["data"]["training_rows"] == 48
    epoch = next(each for each in document["hyperparameters"] if each["name"] == "epoch")
    assert epoch == {"name": "epoch", "value": "5", "default": "5", "set_by": "default"}


@pytest.mark.usefixtures("account", "catalogue")
def test_the_rows_are_judged_by_the_models_own_defaults(tunedrop: Command, folder: Path) -> None:
    tune(folder)

    data = as_json(tunedrop("plan", str(folder), "--json"))["data"]

    # Epochs and batch size are JumpStart's: `tunedrop validate`, which asks nobody, cannot count the steps.
    assert data["model_id"] == GATED


@pytest.mark.usefixtures("account", "catalogue")
def test_the_stacks_policy_refuses_here_as_it_would_there(
    tunedrop: Command, folder: Path, cloudformation: CloudFormation
) -> None:
    cloudformation.parameters = {
        "Policy": '{"providers": ["other"]}',
        "LongestTrainingSeconds": "7200",
        "InstanceTypes": "ml.p4d.*, ml.p5.48xlarge",
    }
    tune(folder)

    document = as_json(tunedrop("plan", str(folder), "--json"))

    assert [each["code"] for each in document["problems"]] == ["policy.provider", "policy.instance-type"]


@pytest.mark.usefixtures("account", "catalogue")
def test_a_quota_of_zero_refuses_here_as_it_would_there(
    tunedrop: Command, folder: Path, quotas: dict[str, float]
) -> None:
    for name in quotas:
        quotas[name] = 0.0
    tune(folder)

    document = as_json(tunedrop("plan", str(folder), "--json"))

    assert not document["accepted"]
    assert any("quota" in each["code"] for each in document["problems"])


@pytest.mark.usefixtures("account", "catalogue")
def test_a_quota_that_nobody_tells_is_not_known(tunedrop: Command, folder: Path, quotas: dict[str, float]) -> None:
    quotas.clear()
    tune(folder)

    result = tunedrop("plan", str(folder))

    assert result.exit_code == 0, result.output
    assert "These quotas of the account are not known: ml.g5.2xlarge" in in_one_line(result)


@pytest.mark.usefixtures("account", "catalogue")
def test_rows_are_judged_as_the_models_own_trainer_reads_them(tunedrop: Command, folder: Path) -> None:
    tune(folder, "", RECIPE_ONLY)
    write(folder / "train.jsonl", completions(60))

    result = tunedrop("plan", str(folder))

    assert result.exit_code == 0, result.output
    assert "serverless" in in_one_line(result)

    write(folder / "train.jsonl", rows(60))
    assert "Fields missing: 60" in in_one_line(tunedrop("plan", str(folder)))


@pytest.mark.usefixtures("account", "catalogue")
def test_pairs_of_answers_are_planned_as_dpo(tunedrop: Command, folder: Path) -> None:
    pairs = [{"prompt": f"{row['context']}", "chosen": row["response"], "rejected": "No idea."} for row in rows(60)]
    write(folder / "train.jsonl", pairs)

    tune(folder, "", RECIPE_ONLY)
    planned = tunedrop("plan", str(folder))
    tune(folder, "accept_eula: true", GATED)
    refused = as_json(tunedrop("plan", str(folder), "--json"))

    assert planned.exit_code == 0, planned.output
    assert "dpo (told by the files)" in in_one_line(planned)
    assert [each["code"] for each in refused["problems"]] == ["model.technique"]


@pytest.mark.usefixtures("catalogue")
def test_without_a_stack_the_plan_says_what_is_not_known(tunedrop: Command, folder: Path) -> None:
    tune(folder, "", OPEN)

    result = tunedrop("plan", str(folder))

    assert result.exit_code == 0, result.output
    assert "What the stack allows, and its prices, are not known" in in_one_line(result)


def test_without_a_network_the_rows_are_judged_and_the_rest_is_not_known(
    tunedrop: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    tune(folder)

    result = tunedrop("plan", str(folder))

    assert result.exit_code == 2
    shown = in_one_line(result)
    for value in ("NOT PLANNED", "48 rows to train on", "Model, hyperparameters, instance and price are not known"):
        assert value in shown


@pytest.mark.usefixtures("account", "catalogue")
@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"model: {GATED}\nbudget: 3\n", "spec.unknown-key"),
        ("model: example-textgeneration-gated-2b\n", "model.unknown"),
        (f"model: {GATED}\nmodel_version: 7.0.0\n", "model.unknown-version"),
        ("model: example-too-new\n", "model.unreadable"),
        ("model: example-classifier\n", "model.technique"),
    ],
)
def test_what_a_drop_would_be_refused_for_is_refused(tunedrop: Command, folder: Path, text: str, code: str) -> None:
    (folder / "tune.yaml").write_text(text)

    result = tunedrop("plan", str(folder), "--json")

    assert result.exit_code == 1
    assert code in [each["code"] for each in as_json(result)["problems"]]


@pytest.mark.usefixtures("account", "catalogue")
def test_a_wrong_template_is_a_problem_of_the_plan(tunedrop: Command, folder: Path) -> None:
    tune(folder)
    (folder / "template.json").write_text('{"prompt": 7}')

    result = tunedrop("plan", str(folder), "--json")

    assert result.exit_code == 1
    document = as_json(result)
    assert not document["accepted"]
    assert any("template" in code for code in document["data"]["counts"])


@pytest.mark.usefixtures("account", "catalogue")
def test_a_folder_without_tune_yaml_is_refused_for_people_and_for_programs(tunedrop: Command, folder: Path) -> None:
    result = tunedrop("plan", str(folder))

    assert result.exit_code == 1
    assert "spec.missing" in result.output
    document = as_json(tunedrop("plan", str(folder), "--json"))
    assert not document["accepted"]
    assert [each["code"] for each in document["problems"]] == ["spec.missing"]


def test_every_parameter_that_planning_reads_is_found_by_its_name() -> None:
    variables = FUNCTIONS["plan_run"]["Environment"]["Variables"]
    by_parameter = {
        value["Ref"]: name for name, value in variables.items() if isinstance(value, dict) and "Ref" in value
    }
    parameters = {name: by_parameter[name] for name in by_parameter.keys() & TEMPLATE["Parameters"].keys()}

    assert {"Policy", "InstancePrices", "PrivateHub"} <= parameters.keys()
    assert {name: variable(name) for name in parameters} == parameters


@pytest.mark.usefixtures("account", "catalogue")
def test_a_full_bedrock_is_told_here_as_it_would_be_there(tunedrop: Command, folder: Path, bedrock: Bedrock) -> None:
    tune(folder)
    bedrock.models, bedrock.importing = ["a", "b", "c"], ["theirs"]

    result = tunedrop("plan", str(folder))

    assert result.exit_code == 0, result.output
    shown = in_one_line(result)
    for value in ("3 of 3 imported models of the account; theirs is being imported now", "the import waits"):
        assert value in shown


@pytest.mark.usefixtures("catalogue")
def test_the_stacks_network_is_looked_at_here_as_there(
    account: Account, tunedrop: Command, folder: Path, cloudformation: CloudFormation
) -> None:
    ec2 = account.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.0.0/28")["Subnet"]["SubnetId"]
    cloudformation.parameters = {"TrainingSubnets": subnet, "TrainingSecurityGroups": "sg-0"}
    tune(folder)

    document = as_json(tunedrop("plan", str(folder), "--json"))

    codes = [each["code"] for each in document["problems"]]
    assert codes == ["vpc.security-group-missing", "vpc.no-way-to-s3"]


@pytest.mark.usefixtures("catalogue")
def test_the_stacks_key_is_looked_at_here_as_there(
    account: Account, tunedrop: Command, folder: Path, cloudformation: CloudFormation
) -> None:
    kms = account.client("kms")
    key = kms.create_key()["KeyMetadata"]
    cloudformation.parameters = {"KmsKeyArn": key["Arn"]}
    tune(folder)

    usable = as_json(tunedrop("plan", str(folder), "--json"))
    kms.disable_key(KeyId=key["KeyId"])
    disabled = as_json(tunedrop("plan", str(folder), "--json"))
    cloudformation.parameters = {"KmsKeyArn": key["Arn"][:-1]}
    hidden = as_json(tunedrop("plan", str(folder), "--json"))

    assert (usable["problems"], usable["unknown"]) == ([], [])
    assert [each["code"] for each in disabled["problems"]] == ["kms.unavailable"]
    assert hidden["problems"] == []
    assert any("with the credentials at hand" in each for each in hidden["unknown"])


@pytest.mark.usefixtures("account", "catalogue")
def test_a_faulty_tune_yaml_does_not_keep_the_rows_from_being_judged(tunedrop: Command, folder: Path) -> None:
    (folder / "tune.yaml").write_text("model: a model\nbudgt_usd: 3\n")
    write(folder / "more.jsonl", [{"instruction": "a", "context": "b"}])

    result = tunedrop("plan", str(folder))
    document = as_json(tunedrop("plan", str(folder), "--json"))

    assert result.exit_code == 1
    shown = in_one_line(result)
    for value in ("spec.value", "Did you mean budget_usd?", "Fields missing: 1 first at more.jsonl:1", "for 3 reasons"):
        assert value in shown
    assert document["accepted"] is False
    assert [each["code"] for each in document["problems"]] == ["spec.value", "spec.unknown-key"]
    assert "data.missing-field" in document["data"]["counts"]

    (folder / "more.jsonl").unlink()
    document = as_json(tunedrop("plan", str(folder), "--json"))
    assert document["data"]["accepted"] is True, "what is wrong with tune.yaml is not wrong with the rows"
    assert document["accepted"] is False


def test_what_is_not_known_is_neither_accepted_nor_refused(
    tunedrop: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    tune(folder)

    assert as_json(tunedrop("plan", str(folder), "--json"))["accepted"] is None


@pytest.mark.parametrize("command", [("plan",), ("models",), ("runs",)])
def test_an_unknown_region_is_told_with_those_that_will_do(
    tunedrop: Command, folder: Path, command: tuple[str, ...]
) -> None:
    tune(folder)
    result = tunedrop("--region", "us-east-11", *command, *([str(folder)] if command == ("plan",) else []))

    assert result.exit_code == 2
    for value in ("no AWS Region us-east-11", "us-east-1, us-east-2, us-west-2, eu-central-1"):
        assert value in " ".join(result.stderr.split())
