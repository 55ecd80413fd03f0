"""A template renders rows as JumpStart's `str.format` does, and does nothing else that `str.format` can do."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.prompt_template import (
    DEMARCATION,
    JUMPSTART_DEFAULT,
    SIZE_LIMIT_BYTES,
    PromptTemplate,
    TemplateError,
)

identifiers = st.from_regex(r"[a-zA-Z_][a-zA-Z0-9_]{0,8}", fullmatch=True)


def template(prompt: str, completion: str = "{response}") -> PromptTemplate:
    return PromptTemplate.parse(json.dumps({"prompt": prompt, "completion": completion}).encode())


def codes(data: bytes) -> list[str]:
    with pytest.raises(TemplateError) as caught:
        PromptTemplate.parse(data)
    for problem in caught.value.problems:
        assert problem.where == "template.json"
        assert problem.fix.endswith((".", "}."))
    return [problem.code for problem in caught.value.problems]


def prompt_codes(prompt: str) -> list[str]:
    return codes(json.dumps({"prompt": prompt, "completion": "{response}"}).encode())


def test_fields_are_filled_in() -> None:
    filled = template("{instruction}\n\n{context}")
    row = {"instruction": "Name the intent.", "context": "Where is my card?", "response": "card arrival"}
    assert filled.prompt(row) == "Name the intent.\n\nWhere is my card?"
    assert filled.completion(row) == "card arrival"


def test_fields_are_named_once_and_in_order() -> None:
    filled = template("{b} {a} {b}", "{a}{c}")
    assert filled.prompt_fields == ("b", "a")
    assert filled.fields == ("b", "a", "c")


def test_braces_inside_values_stay_as_they_are() -> None:
    assert template("{a} {b}").prompt({"a": "{b}{{", "b": "}}{0}"}) == "{b}{{ }}{0}"


@given(st.lists(st.one_of(identifiers.map("{{{}}}".format), st.sampled_from(["text", "\n", "é", "%s", "$x"]))))
def test_an_accepted_template_renders_as_str_format_does(parts: list[str]) -> None:
    text = "{first} " + "".join(parts)
    filled = template(text)
    row = {field: f"<{field}>" for field in filled.fields}
    assert filled.prompt(row) == text.format(**row)


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("{x.__class__.__init__.__globals__}", "template.bad-field"),
        ("{0}", "template.bad-field"),
        ("{x[0]}", "template.bad-field"),
        ("{x!r}", "template.bad-field"),
        ("{:>999999999}", "template.bad-field"),
        ("{x:>999999999}", "template.bad-field"),
        ("{}", "template.bad-field"),
        ("{a b}", "template.bad-field"),
        ("{x", "template.unbalanced-brace"),
        ("x}", "template.unbalanced-brace"),
        ("{x}}", "template.unbalanced-brace"),
        ("{{x}", "template.unbalanced-brace"),
        ("{é}", "template.bad-field"),
    ],
)
def test_what_else_str_format_understands_is_refused(prompt: str, code: str) -> None:
    assert prompt_codes("{ok} " + prompt) == [code]


def test_the_place_of_a_bad_field_is_told() -> None:
    with pytest.raises(TemplateError) as caught:
        template("{ok} {x!r}")
    assert "in 'prompt', character 6" in str(caught.value)


def test_a_prompt_without_a_field_would_hide_the_row() -> None:
    with pytest.raises(TemplateError) as caught:
        template("Answer the question.")
    assert [problem.code for problem in caught.value.problems] == ["template.without-field"]
    assert "the model would never see the row" in caught.value.problems[0].message


def test_doubled_braces_are_refused_for_they_mean_other_things_to_other_formatters() -> None:
    assert prompt_codes("{{instruction}}") == ["template.unbalanced-brace"] * 2


def test_every_problem_is_told_at_once() -> None:
    data = json.dumps({"prompt": "{0} {x", "completion": 3, "system": "hello"}).encode()
    assert sorted(codes(data)) == [
        "template.bad-field",
        "template.not-text",
        "template.unbalanced-brace",
        "template.unknown-key",
        "template.without-field",
    ]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "template.not-json"),
        (b"{", "template.not-json"),
        (b"[]", "template.not-an-object"),
        (b"\xff", "template.not-utf8"),
        ('{"prompt": "{a}", "completion": "{b}"}'.encode("utf-16"), "template.not-utf8"),
        (b'{"prompt": "\0"}', "template.nul"),
        (b'{"prompt": "{a}", "prompt": "{b}", "completion": "{c}"}', "template.duplicate-key"),
        (b'{"prompt": NaN, "completion": "{c}"}', "template.not-finite"),
        (b'{"prompt": ' + b"[" * 50_000, "template.nested-too-deep"),
        (b" " * SIZE_LIMIT_BYTES + b"{}", "template.too-large"),
        (b'{"prompt": "{a}"}', "template.key-missing"),
        (b'{"prompt": "{a}\\ud800", "completion": "{c}"}', "template.lone-surrogate"),
        (b'{"prompt": "{a}\\u0000", "completion": "{c}"}', "template.nul"),
    ],
)
def test_what_is_no_template_is_refused(data: bytes, code: str) -> None:
    assert codes(data) == [code]


def test_a_byte_order_mark_is_ignored() -> None:
    assert PromptTemplate.parse(b'\xef\xbb\xbf{"prompt": "{a}", "completion": "{b}"}').fields == ("a", "b")


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: json.dumps({"prompt": text}).encode()))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with contextlib.suppress(TemplateError):
        assert PromptTemplate.parse(data).prompt_fields


def test_jumpstarts_own_template_is_a_valid_one() -> None:
    assert JUMPSTART_DEFAULT.fields == ("instruction", "context", "response")
    assert template(JUMPSTART_DEFAULT.prompt_text, JUMPSTART_DEFAULT.completion_text) == JUMPSTART_DEFAULT
    row = {"instruction": "I", "context": "C", "response": "R"}
    assert JUMPSTART_DEFAULT.prompt(row).endswith("### Instruction:\nI\n\n### Input:\nC")
    assert DEMARCATION == "\n\n### Response:\n"
