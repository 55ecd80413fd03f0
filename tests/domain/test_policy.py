"""A policy says what is allowed, and a refusal says which rule refused and what it allows instead."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.jumpstart import JumpStartModel
from tunedrop.domain.policy import EXAMPLE, INSTANCE_TYPES_EXAMPLE, Policy, parse_policy, problems
from tunedrop.domain.stack_parameters import StackParameterError

UNTOLD = JumpStartModel(
    model_id="example-untold",
    version="1.2.3",
    training_supported=True,
    gated=False,
    hyperparameters=(),
    instance_types=(),
    default_instance_type=None,
    volume_size_gb=30,
    max_runtime_seconds=3600,
)
LLAMA = UNTOLD.model_copy(
    update={
        "model_id": "meta-textgeneration-llama-3-1-8b",
        "provider": "meta",
        "licence": "Llama 3.1 Community License",
    }
)


def codes(
    text: str,
    model: JumpStartModel = LLAMA,
    instance_type: str = "ml.g5.12xlarge",
    instance_types: tuple[str, ...] | None = None,
) -> list[str]:
    found = problems(parse_policy(text, instance_types), model, instance_type, lambda key: f"tune.yaml:{key}")
    return [each.code for each in found]


def test_an_empty_policy_allows_everything() -> None:
    assert codes("{}") == []


@pytest.mark.parametrize(
    "text",
    [
        '{"models": ["meta-*"]}',
        '{"models": ["openai-*", "meta-textgeneration-llama-3-?-8b"]}',
        '{"providers": ["Meta"]}',
        '{"licences": ["apache 2.0", "llama 3.1 community license"]}',
    ],
)
def test_what_a_rule_names_is_allowed(text: str) -> None:
    assert codes(text) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"models": ["meta-textgeneration-llama-3-1-8"]}', "policy.model"),
        ('{"providers": ["openai"]}', "policy.provider"),
        ('{"licences": ["Apache 2.0"]}', "policy.licence"),
    ],
)
def test_what_a_rule_does_not_name_is_refused(text: str, code: str) -> None:
    assert codes(text) == [code]


@pytest.mark.parametrize(
    ("globs", "refused"), [(("ml.*",), []), (("ml.g5.2xlarge", "ml.p4d.*"), ["policy.instance-type"])]
)
def test_instance_types_have_a_parameter_of_their_own(globs: tuple[str, ...], refused: list[str]) -> None:
    assert codes("{}", instance_types=globs) == refused


def test_every_rule_that_refuses_is_told_with_what_it_allows() -> None:
    policy = Policy(models=("openai-*",), licences=("Apache 2.0", "MIT"), instance_types=("ml.p5.*",))
    model, licence, instance = problems(policy, LLAMA, "ml.g5.12xlarge", lambda key: f"at {key}")
    assert "meta-textgeneration-llama-3-1-8b" in model.message
    assert "openai-*" in model.fix
    assert "Llama 3.1 Community License" in licence.message
    assert "Apache 2.0, MIT" in licence.fix
    assert (licence.where, instance.where) == ("at model", "at instance_type")
    assert "ml.p5.*" in instance.fix
    assert "parameter InstanceTypes" in instance.fix
    assert "parameter Policy" in model.fix


def test_a_licence_that_nobody_knows_is_not_an_allowed_one() -> None:
    policy = parse_policy('{"licences": ["MIT"], "providers": ["meta"]}')
    provider, licence = problems(policy, UNTOLD, "ml.g5.2xlarge", lambda key: f"tune.yaml:{key}")
    assert (provider.code, licence.code) == ("policy.provider", "policy.licence")
    assert "JumpStart does not tell the licence of example-untold 1.2.3" in licence.message
    assert "(MIT)" in licence.fix


def test_the_example_of_the_messages_is_a_policy() -> None:
    assert parse_policy(EXAMPLE).models == ("meta-textgeneration-*",)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "parameter.not-json"),
        ("[]", "parameter.not-an-object"),
        ('{"models": ["a"], "models": ["b"]}', "parameter.duplicate-key"),
        ('{"models": NaN}', "parameter.not-finite"),
        ('{"instance_types": ["ml.g5.*"]}', "parameter.value"),
        ('{"longest_training_hours": 8}', "parameter.value"),
        ('{"models": []}', "parameter.value"),
        ('{"models": "meta-*"}', "parameter.value"),
        ('{"models": ["[a-z]*"]}', "parameter.value"),
        ('{"model": ["meta-*"]}', "parameter.value"),
        ('{"models": ["\\ud800"]}', "parameter.value"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(text: str, code: str) -> None:
    with pytest.raises(StackParameterError) as caught:
        parse_policy(text)
    problem = caught.value.problems[0]
    assert problem.code == code
    assert problem.where == "stack parameter Policy"
    assert EXAMPLE in problem.fix


def test_all_that_is_wrong_with_a_policy_is_told_at_once() -> None:
    with pytest.raises(StackParameterError, match=r"models.*providers"):
        parse_policy('{"models": [1], "providers": []}')


@given(st.text())
def test_reading_a_policy_is_total(text: str) -> None:
    with suppress(StackParameterError):
        parse_policy(text)


@pytest.mark.parametrize("globs", [(), ("ml.g5.[12]xlarge",), ("ml.g5.*", "")])
def test_instance_types_that_are_no_globs_are_told_like_a_wrong_policy(globs: tuple[str, ...]) -> None:
    with pytest.raises(StackParameterError) as wrong:
        parse_policy("{}", globs)
    assert {each.where for each in wrong.value.problems} == {"stack parameter InstanceTypes"}
    assert parse_policy("{}", tuple(INSTANCE_TYPES_EXAMPLE.split(","))).allows_instance_type("ml.g5.2xlarge")
