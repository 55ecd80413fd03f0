"""Every line of a drop is accepted, or refused with its place and a fix; nothing that a file holds raises."""

import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.instruction_data import (
    LINE_LIMIT_BYTES,
    MINIMUM_TRAINING_ROWS,
    PROBLEM_LIMIT,
    DataReport,
    HeldOutSplit,
    InstructionValidator,
    ValidRow,
)
from tunedrop.domain.plan import FileRole
from tunedrop.domain.problem import Problem
from tunedrop.domain.prompt_template import PromptTemplate

TEMPLATE = PromptTemplate(prompt_text="{instruction}\n\n{context}", completion_text="{response}")
CANARY = "hunter2-canary"


def row(number: int, **changes: object) -> bytes:
    fields = {"instruction": "Name the intent.", "context": f"Message {number}", "response": f"intent {number}"}
    return json.dumps({**fields, **changes}).encode() + b"\n"


def rows(count: int, start: int = 0) -> bytes:
    return b"".join(row(number) for number in range(start, start + count))


def blocks(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), size))


def read(data: bytes, *, split: HeldOutSplit | None = None, size: int = 4096) -> tuple[list[ValidRow], DataReport]:
    validator = InstructionValidator(TEMPLATE, split)
    valid = list(validator.read(FileRole.TRAINING, "train.jsonl", blocks(data, size)))
    return valid, validator.report()


def problem_of(line: bytes) -> Problem:
    """Judge one line between good ones."""
    valid, report = read(rows(MINIMUM_TRAINING_ROWS) + line.removesuffix(b"\n") + b"\n" + row(99))
    assert len(valid) == MINIMUM_TRAINING_ROWS + 1, "the other rows go on"
    assert len(report.problems) == 1
    assert report.problems[0].where == f"train.jsonl:{MINIMUM_TRAINING_ROWS + 1}"
    assert report.problems[0].fix
    assert CANARY not in str(report.problems[0])
    assert not report.accepted
    return report.problems[0]


def test_good_rows_are_counted_measured_and_handed_on() -> None:
    data = rows(12)
    valid, report = read(data)
    assert b"".join(each.line for each in valid) == data
    assert valid[3].prompt == "Name the intent.\n\nMessage 3"
    assert valid[3].completion == "intent 3"
    assert {each.role for each in valid} == {FileRole.TRAINING}
    assert report.accepted
    assert (report.training_rows, report.bytes) == (12, len(data))
    assert report.longest_prompt_bytes == len("Name the intent.\n\nMessage 10")
    assert report.longest_completion_bytes == len("intent 10")
    assert report.warnings == ()


def test_lengths_are_bytes_of_utf8() -> None:
    _, report = read(rows(10) + row(10, context="é" * 100, response="€" * 50))
    assert report.longest_prompt_bytes == len("Name the intent.\n\n") + 200
    assert report.longest_completion_bytes == 150


def test_a_row_is_handed_on_with_the_templates_fields_alone() -> None:
    valid, report = read(rows(10) + row(10, id=17, tags=["a", {"b": None}]))
    assert valid[-1].line == row(10)
    assert report.accepted


@pytest.mark.parametrize("size", [1, 2, 7, 64, 100_000])
def test_the_size_of_blocks_changes_nothing(size: int) -> None:
    data = b"\xef\xbb\xbf" + rows(11).replace(b"\n", b"\r\n") + b"not json\r\n\r\n" + row(11).rstrip()
    assert read(data, size=size) == read(data, size=len(data))
    assert len(read(data, size=size)[0]) == 12


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"instruction": "hunter2-canary"', "data.not-json"),
        (b'{"instruction": "a",}', "data.not-json"),
        (b"hunter2-canary", "data.not-json"),
        (row(1).strip() + row(2).strip(), "data.not-json"),
        (b'["hunter2-canary"]', "data.not-an-object"),
        (b'"hunter2-canary"', "data.not-an-object"),
        (b"3", "data.not-an-object"),
        (b"null", "data.not-an-object"),
        (row(1).replace(b"}", b', "response": "hunter2-canary"}'), "data.duplicate-key"),
        (row(1, extra={"a": 1}).replace(b'{"a": 1}', b'{"a": 1, "a": 2}'), "data.duplicate-key"),
        (row(1, extra=float("nan")), "data.not-finite"),
        (row(1, extra=float("-inf")), "data.not-finite"),
        (row(1, extra=0).replace(b'"extra": 0', b'"extra": 1e999'), "data.not-finite"),
        (row(1, extra=0).replace(b'"extra": 0', b'"extra": ' + b"7" * 5000), "data.number-too-large"),
        (row(1, context=0).replace(b'"context": 0', b'"context": ' + b"7" * 4000), "data.not-text"),
        (row(1, context=None), "data.not-text"),
        (row(1, context=3), "data.not-text"),
        (row(1, context=True), "data.not-text"),
        (row(1, context=[CANARY]), "data.not-text"),
        (row(1, response=""), "data.empty-completion"),
        (row(1, response=" \n\u2028"), "data.empty-completion"),
        (row(1, instruction=" ", context=""), "data.empty-prompt"),
        (row(1).replace(b"Message", b"\xff\xfe"), "data.not-utf8"),
        (row(1).replace(b"Message", b"caf\xe9"), "data.not-utf8"),
        (row(1).replace(b"Message", b"\xc0\xaf"), "data.not-utf8"),
        (row(1).replace(b"Message", b"a\0b"), "data.nul"),
        (row(1, context="a\0b"), "data.nul"),
        (row(1, context="\ud800"), "data.lone-surrogate"),
        (b"[" * 100_000, "data.nested-too-deep"),
        (b'{"a":' * 100_000, "data.nested-too-deep"),
        (row(1, context="x" * LINE_LIMIT_BYTES), "data.line-too-long"),
    ],
)
def test_a_bad_line_is_refused_with_its_place(line: bytes, code: str) -> None:
    assert problem_of(line).code == code


def test_a_missing_field_is_named_beside_those_that_are_there() -> None:
    problem = problem_of(b'{"instruction": "hunter2-canary", "answer": "hunter2-canary"}')
    assert problem.code == "data.missing-field"
    assert problem.message == 'The row lacks "context", "response"; it has "instruction", "answer".'
    assert problem.fix == 'Add "context", "response", or name the fields you have in template.json.'


def test_names_of_fields_are_escaped_and_cut() -> None:
    names = {"\u202eevil\n": "", "x" * 500: "", **{f"field{number}": "" for number in range(100_000 // 20)}}
    message = problem_of(json.dumps(names).encode()).message
    assert message.isascii()
    assert message.isprintable()
    assert "x" * 75 in message
    assert "x" * 80 not in message
    assert len(message) < 400
    assert "more" in message


def test_a_line_separator_inside_a_text_ends_no_line() -> None:
    line = json.dumps({"instruction": "a\u2028b\u0085c", "context": "", "response": "d"}, ensure_ascii=False).encode()
    valid, report = read(rows(10) + line + b"\n")
    assert report.accepted
    assert valid[-1].prompt == "a\u2028b\u0085c\n\n"


def test_windows_lines_and_a_missing_last_newline_are_fine() -> None:
    valid, report = read(rows(10).replace(b"\n", b"\r\n") + row(10).rstrip())
    assert b"".join(each.line for each in valid) == rows(11)
    assert (report.accepted, report.warnings) == (True, ())


def test_old_mac_lines_are_refused() -> None:
    assert read(rows(20).replace(b"\n", b"\r"))[1].problem_counts == {"data.not-json": 1, "data.too-few-rows": 1}


def test_a_byte_order_mark_is_a_warning() -> None:
    _, report = read(b"\xef\xbb\xbf" + rows(10))
    assert report.accepted
    assert report.warnings == ("train.jsonl: a byte order mark was skipped",)


def test_blank_lines_are_one_warning_and_keep_the_numbering() -> None:
    _, report = read(rows(10) + b"\n  \n\r\n{\n")
    assert report.warnings == ("train.jsonl: 3 blank lines skipped, the first is line 11",)
    assert report.problems[0].where == "train.jsonl:14"


@pytest.mark.parametrize("data", [b"", b"\n\n", b" \r\n\t", b"\xef\xbb\xbf"])
def test_a_file_without_rows_is_refused(data: bytes) -> None:
    assert read(data)[1].problem_counts == {"data.empty-file": 1, "data.too-few-rows": 1}


@pytest.mark.parametrize("data", [b"\x1f\x8b\x08\x00\n\n", b"PK\x03\x04\n", rows(20).decode().encode("utf-16")])
def test_a_file_of_another_format_is_one_problem(data: bytes) -> None:
    counts = read(data)[1].problem_counts
    assert counts == {"data.foreign-format": 1, "data.too-few-rows": 1}


def test_too_few_rows_are_refused() -> None:
    assert read(rows(MINIMUM_TRAINING_ROWS))[1].accepted
    assert read(rows(MINIMUM_TRAINING_ROWS - 1))[1].problem_counts == {"data.too-few-rows": 1}


def test_all_problems_are_counted_and_the_first_are_kept() -> None:
    _, report = read(rows(10) + b"{\n" * (PROBLEM_LIMIT + 500))
    assert report.problem_counts == {"data.not-json": PROBLEM_LIMIT + 500}
    assert len(report.problems) == PROBLEM_LIMIT
    assert report.problems[-1].where == f"train.jsonl:{10 + PROBLEM_LIMIT}"


def test_an_endless_line_is_read_in_bounded_memory() -> None:
    block = b"x" * 65_536
    tracemalloc.start()
    validator = InstructionValidator(TEMPLATE, None)
    assert not list(validator.read(FileRole.TRAINING, "train.jsonl", (block for _ in range(64 * 16))))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    report = validator.report()
    assert report.problem_counts["data.line-too-long"] == 1
    assert report.bytes == 64 * 1024 * 1024
    assert peak < 8 * LINE_LIMIT_BYTES


def test_repeated_rows_are_a_warning() -> None:
    _, report = read(rows(10) + rows(3))
    assert report.accepted
    assert report.warnings == ("training: 3 rows repeat another row exactly",)


def test_rows_shared_with_the_held_out_file_are_a_warning_with_a_count() -> None:
    validator = InstructionValidator(TEMPLATE, None)
    list(validator.read(FileRole.HELD_OUT, "held-out.jsonl", [rows(5, start=8)]))
    list(validator.read(FileRole.VALIDATION, "validation.jsonl", [rows(2, start=11)]))
    list(validator.read(FileRole.TRAINING, "train.jsonl", [rows(12)]))
    report = validator.report()
    assert report.accepted
    assert (report.training_rows, report.validation_rows, report.held_out_rows) == (12, 2, 5)
    assert report.held_out_source == "file"
    assert report.warnings == (
        "validation: 1 row also in the training files: the score will flatter the model",
        "held-out: 4 rows also in the training files: the score will flatter the model",
    )


SPLIT = HeldOutSplit(ratio=0.2, seed=7)


def held_out(data: bytes, split: HeldOutSplit = SPLIT) -> set[bytes]:
    return {each.line for each in read(data, split=split)[0] if each.role is FileRole.HELD_OUT}


def test_the_split_takes_the_ratio() -> None:
    valid, report = read(rows(2000), split=SPLIT)
    assert report.held_out_source == "split"
    assert report.held_out_rows + report.training_rows == len(valid) == 2000
    assert 340 < report.held_out_rows < 460


def test_the_split_depends_on_the_rows_alone() -> None:
    lines = rows(300).splitlines(keepends=True)
    assert held_out(b"".join(reversed(lines))) == held_out(b"".join(lines))
    assert held_out(b"".join(lines[:150])) == held_out(b"".join(lines)) & set(lines[:150])


def test_another_seed_sets_other_rows_apart() -> None:
    assert held_out(rows(300)) != held_out(rows(300), HeldOutSplit(ratio=0.2, seed=8))


def test_equal_rows_never_lie_on_both_sides() -> None:
    reordered = b"".join(
        json.dumps(dict(reversed(json.loads(line).items()))).encode() + b"\n" for line in rows(300).splitlines()
    )
    valid, report = read(rows(300) + reordered, split=SPLIT)
    sides = [{each.line for each in valid if each.role is role} for role in (FileRole.TRAINING, FileRole.HELD_OUT)]
    assert not sides[0] & sides[1]
    assert len(valid) == 600
    assert not any("also in" in warning for warning in report.warnings)


def test_a_split_that_leaves_nothing_to_measure_with_is_refused() -> None:
    _, report = read(row(1) * 40, split=HeldOutSplit(ratio=0.001, seed=1))
    assert report.problem_counts == {"data.nothing-held-out": 1}


def test_a_validation_file_is_never_split() -> None:
    validator = InstructionValidator(TEMPLATE, HeldOutSplit(ratio=1, seed=1))
    valid = list(validator.read(FileRole.VALIDATION, "validation.jsonl", [rows(20)]))
    assert {each.role for each in valid} == {FileRole.VALIDATION}


@given(st.lists(st.binary(max_size=60)), st.integers(min_value=1, max_value=50))
def test_any_bytes_are_judged_without_an_exception(lines: list[bytes], size: int) -> None:
    data = b"\n".join(lines)
    valid, report = read(data, size=size)
    assert len(valid) == report.training_rows
    if "data.foreign-format" not in report.problem_counts:
        assert report.bytes == len(data)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=6,
)
shapes = st.dictionaries(st.sampled_from([*TEMPLATE.fields, "extra", "__proto__"]), json_values)


@given(shapes)
def test_any_json_shape_is_a_training_row_or_a_problem(shape: dict[str, Any]) -> None:
    valid, report = read(json.dumps(shape).encode())
    bad = sum(report.problem_counts.values()) - report.problem_counts["data.too-few-rows"]
    assert (len(valid) == 1) == (bad == 0)
    for each in valid:
        written = json.loads(each.line)
        assert written == {field: shape[field] for field in TEMPLATE.fields}
        assert each.prompt == TEMPLATE.prompt_text.format(**shape)
        assert each.completion.strip()
