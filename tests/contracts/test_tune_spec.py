"""`tune.yaml` is read strictly and totally: a spec, or every problem with its line and what to do."""

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.contracts.tune_spec import DEPTH_LIMIT, SIZE_LIMIT, TuneSpec, TuneSpecError, parse_tune_yaml
from tunedrop.domain.plan import ServeTarget, Technique
from tunedrop.domain.problem import Problem

FULL = b"""\
model: meta-textgeneration-llama-3-1-8b-instruct
model_version: 2.16.2
technique: instruction
hyperparameters:
  epoch: 3
  learning_rate: 1e-4
  instruction_tuned: true
  target_modules: q_proj,v_proj
instance_type: ml.g5.12xlarge
accept_eula: true
budget_usd: 40
serve: bedrock
evaluate: {metric: exact_match, against: [base, champion], min_gain: 0.1, held_out_ratio: 0.2}
"""


def problems(text: str | bytes) -> tuple[Problem, ...]:
    with pytest.raises(TuneSpecError) as refused:
        parse_tune_yaml(text if isinstance(text, bytes) else text.encode())
    return refused.value.problems


def only_problem(text: str | bytes) -> Problem:
    (problem,) = problems(text)
    return problem


def test_every_key_is_read() -> None:
    spec = parse_tune_yaml(FULL)

    assert spec.model == "meta-textgeneration-llama-3-1-8b-instruct"
    assert spec.model_version == "2.16.2"
    assert spec.technique is Technique.INSTRUCTION
    assert spec.instance_type == "ml.g5.12xlarge"
    assert spec.accept_eula is True
    assert spec.budget_usd == 40
    assert spec.serve is ServeTarget.BEDROCK
    assert spec.evaluate.against == ("base", "champion")
    assert (spec.evaluate.min_gain, spec.evaluate.held_out_ratio) == (0.1, 0.2)


def test_hyperparameters_are_kept_as_they_were_written() -> None:
    assert parse_tune_yaml(FULL).hyperparameters == {
        "epoch": "3",
        "learning_rate": "1e-4",
        "instruction_tuned": "true",
        "target_modules": "q_proj,v_proj",
    }


def test_a_model_alone_is_enough() -> None:
    spec = parse_tune_yaml(b"model: a-model")

    assert (spec.technique, spec.instance_type, spec.budget_usd, spec.accept_eula) == (None, None, None, False)
    assert (spec.serve, spec.endpoint) == (None, None)
    assert spec.evaluate.model_dump() == {
        "metric": None,
        "against": ("base", "champion"),
        "base": None,
        "min_gain": 0.05,
        "held_out_ratio": 0.1,
        "judge": None,
    }


def test_a_spec_knows_the_lines_of_its_keys() -> None:
    spec = parse_tune_yaml(FULL)

    assert spec.where("hyperparameters.learning_rate") == "tune.yaml:6"
    assert spec.where("hyperparameters.lora_r") == "tune.yaml"


def test_all_problems_are_told_at_once_in_the_order_of_the_file() -> None:
    found = problems("modle: x\nserve: elsewhere\nbudget_usd: -1\nevaluate:\n  min_gain: 3\n")

    assert [(each.code, each.where) for each in found] == [
        ("spec.missing-key", "tune.yaml"),
        ("spec.unknown-key", "tune.yaml:1"),
        ("spec.value", "tune.yaml:2"),
        ("spec.value", "tune.yaml:3"),
        ("spec.value", "tune.yaml:5"),
    ]


@pytest.mark.parametrize(
    ("line", "fix"),
    [
        ("technique: Chat", "instruction or chat or dpo or domain-adaptation or visual-qa"),
        ("technique: rlhf", "left out, the files tell it"),
        ("serve: elsewhere", "bedrock or endpoint"),
        ("endpoint: {ttl_hours: 0}", "from 1 to 8760"),
        ("evaluate: {metric: rouge}", "exact_match"),
        ("evaluate: {against: [best]}", "[base]"),
        ("evaluate: {against: [base, base]}", "at most once"),
        ("evaluate: {against: []}", "[base]"),
        ("evaluate: {against: base}", "[base]"),
        ("evaluate: {held_out_ratio: 0}", "above 0"),
        ("evaluate: 3", "a mapping"),
        ("model_version: 2.16", "such as 2.16.2"),
        ("model_version: '*'", "such as 2.16.2"),
        ("hyperparameters: [epoch]", "{epoch: 3"),
        ("hyperparameters: {epoch: [1, 2]}", "{epoch: 3"),
        ("hyperparameters: {epoch: }", "{epoch: 3"),
    ],
)
def test_a_value_that_is_not_allowed_is_told_with_those_that_are(line: str, fix: str) -> None:
    problem = only_problem(f"model: a-model\n{line}")

    assert (problem.code, problem.where) == ("spec.value", "tune.yaml:2")
    assert fix in problem.fix


@pytest.mark.parametrize(
    ("key", "nearest"),
    [("hyperparameter", "hyperparameters"), ("instance_types", "instance_type"), ("budget", "budget_usd")],
)
def test_an_unknown_key_is_told_with_the_nearest_that_is_known(key: str, nearest: str) -> None:
    assert f"Did you mean {nearest}?" in only_problem(f"model: a-model\n{key}: 1").fix


@pytest.mark.parametrize("key", ["role_arn", "image_uri", "bucket", "training_image", "output_path"])
def test_what_the_stack_decides_is_not_the_users_to_set(key: str) -> None:
    assert only_problem(f"model: a-model\n{key}: mine").code == "spec.unknown-key"


@pytest.mark.parametrize(
    ("case", "text"),
    [
        ("python tags", "model: !!python/object/apply:os.system [ls]"),
        ("standard tags", "model: !!str a-model"),
        ("local tags", "model: !mine a-model"),
        ("billion laughs", "a: &a [x, x]\nb: &b [*a, *a]\nmodel: *b"),
        ("recursive alias", "model: &a [*a]"),
        ("anchor alone", "model: &a a-model"),
        ("alias key", "*a : b"),
        ("depth in flow style", "model: " + "[" * 2000),
        ("depth in block style", "\n".join(" " * depth + "a:" for depth in range(DEPTH_LIMIT + 2))),
        ("two documents", "model: a-model\n---\nmodel: b-model"),
        ("no mapping", "- model"),
        ("a word", "model"),
        ("complex key", "? [a, b]\n: c"),
        ("nothing", ""),
        ("a comment", "# model: a-model"),
        ("an empty document", "---\n...\n"),
        ("no YAML", "model: a: b"),
        ("unclosed", "model: [a"),
        ("tab", "evaluate:\n\tmetric: exact_match"),
        ("code point out of range", 'model: "\\U00110000"'),
        ("code point out of C", 'model: "\\UFFFFFFFF"'),
        ("huge directive", "%YAML 1." + "9" * 5000 + "\n---\nmodel: a"),
        ("NUL", "model: a\x00b"),
        ("UTF-16", "model: a-model".encode("utf-16")),
        ("Latin-1", "model: é".encode("latin-1")),
        ("overlong UTF-8", b"model: \xc0\xaf"),
        ("size", "#" + "x" * SIZE_LIMIT),
    ],
)
def test_hostile_yaml_is_one_problem(case: str, text: str | bytes) -> None:
    assert only_problem(text).code == "spec.yaml", case


def test_a_character_that_yaml_refuses_is_told_with_its_line() -> None:
    problem = only_problem("model: a-model\nspot: \x00\n")
    assert (problem.where, "U+0000" in problem.message) == ("tune.yaml:2", True)


def test_a_key_that_stands_twice_is_told_with_both_lines() -> None:
    problem = only_problem("model: a-model\nhyperparameters:\n  epoch: 1\n  epoch: 5000\n")

    assert (problem.code, problem.where) == ("spec.duplicate-key", "tune.yaml:4")
    assert "line 3" in problem.message


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "True", "1", "'true'", "y"])
def test_only_true_and_false_are_truth_values(word: str) -> None:
    assert only_problem(f"model: a-model\naccept_eula: {word}").code == "spec.value"


@pytest.mark.parametrize(
    "number",
    ["12:30:45", "010", "0x10", "1_0", "'40'", "2026-01-01", ".inf", "-.inf", ".nan", "1e999", "0", "-3", "true"],
)
def test_a_budget_is_a_plain_positive_number(number: str) -> None:
    assert only_problem(f"model: a-model\nbudget_usd: {number}").code == "spec.value"


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert parse_tune_yaml(b"\xef\xbb\xbfmodel: a-model").model == "a-model"


def test_windows_line_ends_are_fine() -> None:
    assert parse_tune_yaml(FULL.replace(b"\n", b"\r\n")).model_dump() == parse_tune_yaml(FULL).model_dump()


def test_messages_are_short_lines_of_ascii() -> None:
    found = problems("\u202e" * 500 + ": 1\nmodel: '" + "é\\n" * 500 + "'\naccept_eula: \u2028")

    assert len(found) == 3
    for each in found:
        assert str(each).isascii()
        assert "\n" not in str(each)
        assert len(each.message) < 200


def test_the_largest_hostile_file_takes_no_more_than_two_seconds() -> None:
    worst = ("{" + "a: {b: [1, 2]}, " * 10_000)[: SIZE_LIMIT - 1]
    began = time.process_time()

    assert problems(worst)
    assert time.process_time() - began < 2


def outcome(data: bytes) -> TuneSpec | tuple[Problem, ...]:
    try:
        return parse_tune_yaml(data)
    except TuneSpecError as refused:
        return refused.problems


@given(st.binary(max_size=300))
def test_any_bytes_are_a_spec_or_problems(data: bytes) -> None:
    assert outcome(data)


@given(st.text(alphabet=st.sampled_from(list(":-?[]{},#&*!|>'\"%@`\\\n\t \u00851aeU0.~=<é")), max_size=200))
def test_any_text_of_yamls_own_characters_is_a_spec_or_problems(text: str) -> None:
    assert outcome(text.encode())


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
known_keys = st.sampled_from(sorted(TuneSpec.model_fields))


@given(st.dictionaries(known_keys | st.text(max_size=10), values, max_size=6))
def test_any_values_under_the_known_keys_are_a_spec_or_problems(document: dict[str, object]) -> None:
    assert outcome(yaml.safe_dump(document, allow_unicode=True).encode())
