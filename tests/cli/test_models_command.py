"""`tunedrop models` reads JumpStart's public catalogue, under the stack's rules where there is a stack."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from tests.adapters.test_prices import product
from tests.catalogue import CLASSIFIER, GATED, GATED_RECIPE, OPEN, RECIPE_ONLY, VISION
from tests.cli.conftest import Account, CloudFormation

Command = Callable[..., Result]

NO_STACK = 'There is no stack "tunedrop"'


def line(output: str, model_id: str) -> str:
    (found,) = [each for each in output.splitlines() if each.startswith(f"{model_id} ")]
    return found


@pytest.mark.usefixtures("account", "catalogue")
def test_models_that_can_be_tuned_are_listed(tunedrop: Command) -> None:
    result = tunedrop("models")

    assert result.exit_code == 0
    gated = line(result.stdout, GATED)
    for value in (
        "1B",
        "Example Community License (EULA)",
        "instruction, chat, domain-adaptation",
        "ml.g5.2xlarge",
        "1.51",
        "yes",
    ):
        assert value in gated
    assert "visual-qa" in line(result.stdout, VISION)
    assert "serverless" in line(result.stdout, RECIPE_ONLY)
    assert "instruction, chat, dpo" in line(result.stdout, RECIPE_ONLY), "the techniques of its recipes"
    assert "dpo" not in line(result.stdout, GATED_RECIPE)
    for absent in (CLASSIFIER, OPEN):  # no technique, deprecated
        assert absent not in result.stdout
    assert "4 of 6 models" in result.stdout


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.usefixtures("account", "catalogue")
def test_a_narrow_terminal_and_a_pipe_tell_as_much(
    tunedrop: Command, monkeypatch: pytest.MonkeyPatch, *, terminal: bool
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    lines = tunedrop("models").stdout.splitlines()

    (first,) = [number for number, each in enumerate(lines) if each.startswith(GATED)]
    told = " ".join(" ".join(lines[first : first + 5 if terminal else first + 1]).split())
    for value in ("1B", "Example Community License (EULA)", "domain-adaptation", "ml.g5.2xlarge", "1.51", "unknown"):
        assert value in told
    assert all(len(each) <= 80 for each in lines) is terminal


@pytest.mark.usefixtures("account", "catalogue")
def test_all_models_are_listed_with_why_they_cannot_be_tuned(tunedrop: Command) -> None:
    assert "6 of 6 models" in tunedrop("models", "--all").stdout
    found = json.loads(tunedrop("models", "--all", "--json").stdout)
    assert {each["model_id"]: each["untunable"] for each in found if each["untunable"]} == {
        CLASSIFIER: "its training script offers no technique that Tunedrop knows"
    }
    assert "no technique that Tunedrop knows" in tunedrop("models", CLASSIFIER).stdout


@pytest.mark.usefixtures("account", "catalogue")
def test_models_are_searched_by_words(tunedrop: Command) -> None:
    assert "1 of 6 models" in tunedrop("models", "VLM", "open").stdout
    nothing = tunedrop("models", "classifier")
    assert "none can be tuned here" in nothing.stdout
    assert "None of 6 models has these words" in tunedrop("models", "no-such-word").stdout


@pytest.mark.usefixtures("account", "catalogue")
def test_programs_are_given_the_same(tunedrop: Command) -> None:
    found = json.loads(tunedrop("models", "textgeneration-gated", "--json").stdout)

    assert [(each["model_id"], each["usd_per_hour"], each["bedrock_imports"]) for each in found] == [
        (GATED, 1.515, "unknown")
    ]


@pytest.mark.usefixtures("account", "catalogue")
def test_one_model_is_shown_in_full(tunedrop: Command) -> None:
    output = tunedrop("models", GATED).stdout

    for value in (
        f"{GATED} 1.10.0",
        "https://jumpstart-cache-prod-us-east-1.s3.us-east-1.amazonaws.com/eula/example.txt",
        "ml.g5.2xlarge (default)",
        ">= 1, <= 1000",
        ">= 0, < 1",
        "True | False",
        "epoch=2",  # on p4d
    ):
        assert value in output
    assert "sagemaker_program" not in output


@pytest.mark.usefixtures("account", "catalogue")
def test_the_stacks_policy_and_prices_are_told(tunedrop: Command, cloudformation: CloudFormation) -> None:
    cloudformation.parameters = {
        "Policy": '{"licences": ["Apache 2.0"]}',
        "InstancePrices": '{"ml.g5.2xlarge": 1.99}',
        "LongestTrainingSeconds": "86400",
        "InstanceTypes": "*",
    }

    output = tunedrop("models", GATED).stdout

    assert "1.99 USD an hour: the stack parameter InstancePrices" in output
    assert "no: licence" in output
    assert "Example Community License" in output


@pytest.mark.usefixtures("catalogue")
def test_prices_are_those_of_aws_s_price_list(tunedrop: Command, cloudformation: CloudFormation) -> None:
    unread = tunedrop("models", "gated")
    cloudformation.price_list = [product("ml.g5.2xlarge", "1.75")]
    listed = tunedrop("models", "gated")

    assert "AWS's Price List could not be read" in unread.stderr
    assert "USD/h: Tunedrop's table of" in unread.stdout
    assert "AWS's Price List" not in listed.stderr
    assert "1.75" in line(listed.stdout, GATED)
    assert "USD/h: AWS's Price List of" in listed.stdout


@pytest.mark.usefixtures("catalogue")
def test_without_a_stack_what_it_allows_is_not_known(tunedrop: Command) -> None:
    result = tunedrop("models", "gated")

    assert result.exit_code == 0
    assert NO_STACK in result.stderr
    assert line(result.stdout, GATED).rstrip().endswith("?")


@pytest.mark.usefixtures("catalogue")
def test_a_stack_that_was_named_must_be_there(tunedrop: Command) -> None:
    result = tunedrop("--stack", "other", "models")

    assert result.exit_code == 2
    assert 'There is no stack "other"' in result.stderr


@pytest.mark.usefixtures("catalogue")
def test_the_public_catalogue_needs_no_credentials(tunedrop: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    result = tunedrop("models", "gated")

    assert GATED in result.stdout, result.stderr
    assert "No usable AWS credentials were found" in result.stderr


@pytest.mark.usefixtures("account")
def test_a_spec_is_read_once(catalogue: Account, tunedrop: Command) -> None:
    first = tunedrop("models", "gated").stdout
    catalogue.client("s3").delete_object(
        Bucket="jumpstart-cache-prod-us-east-1", Key=f"community_models/{GATED}/specs_v1.10.0.json"
    )
    assert tunedrop("models", "gated").stdout == first, "a spec never changes"


def test_no_network_and_nothing_read_before_is_an_error(tunedrop: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")

    result = tunedrop("models")

    assert result.exit_code == 2
    assert "AWS cannot be reached" in result.stderr


@pytest.mark.usefixtures("cloudformation")
def test_a_region_without_a_catalogue_is_an_error(tunedrop: Command) -> None:
    result = tunedrop("--region", "eu-north-1", "models")

    assert result.exit_code == 2
    assert "There is no JumpStart catalogue here" in result.stderr


@pytest.mark.usefixtures("account", "catalogue")
def test_the_cache_lies_where_the_user_keeps_caches(tunedrop: Command) -> None:
    tunedrop("models", "textgeneration-gated")

    kept = Path(os.environ["XDG_CACHE_HOME"]) / "tunedrop" / "jumpstart-cache-prod-us-east-1"
    assert sorted(path.name for path in kept.rglob("*") if path.is_file()) == [
        "models_manifest.json",
        "models_manifest.json.etag",
        "specs_v1.10.0.json",
    ]
