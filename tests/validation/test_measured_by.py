"""Rows may say what the evaluation groups them by; training never reads it."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from datasets import CHAT, INSTRUCTION, TEMPLATE, Memory, chat_rows, data_files, labelled_rows, lines, question, rules

from tunedrop.domain.plan import FileRole, Technique
from tunedrop.domain.prompt_template import PromptTemplate
from tunedrop.validation.dataset import in_order, validate
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.rows.instruction import InstructionRows
from tunedrop.validation.rows.visual import VisualRows

MEASURED = {"segment": "bakery", "document": "ledger 7", "answers": ["one", "two"]}


class Both:
    """Keep what training reads, and what is measured with."""

    def __init__(self) -> None:
        self.trained = b""
        self.measured: list[Mapping[str, Any]] = []

    def rows(self, role: FileRole, text: bytes) -> None:
        assert role is FileRole.TRAINING
        self.trained += text

    def held_out(self, row: Mapping[str, object]) -> None:
        self.measured.append(row)


def handed_on(
    rows: list[dict[str, Any]], technique: Technique, template: PromptTemplate = TEMPLATE
) -> tuple[Both, ValidationReport]:
    files = {"train.jsonl": lines(rows), "held-out.jsonl": lines(rows)}
    sink = Both()
    report = validate(Memory(files), in_order(data_files(files)), rules(technique, template=template), sink=sink)
    return sink, report


@pytest.mark.parametrize("technique", [INSTRUCTION, CHAT])
def test_the_evaluation_is_handed_them_and_training_is_not(technique: Technique) -> None:
    plain: list[dict[str, Any]] = list(labelled_rows(12) if technique is INSTRUCTION else chat_rows(12))
    # Some rows have them and some have not.
    sink, report = handed_on([row | (MEASURED if number % 3 else {}) for number, row in enumerate(plain)], technique)
    without, _ = handed_on(plain, technique)
    assert sink.trained == without.trained
    assert sink.measured == [row | (MEASURED if number % 3 else {}) for number, row in enumerate(without.measured)]
    assert "data.extra-field" not in report.warnings
    assert report.accepted


def test_a_row_with_a_picture_may_have_them() -> None:
    rows = VisualRows(lambda _name: (), lambda _name: None)
    plain = {"file_name": "a.png", "prompt": "Who?", "completion": "me"}
    judged = rows.judge(json.dumps(plain | MEASURED).encode() + b"\n")
    assert judged.flaws == ()
    assert json.loads(judged.line) == plain
    assert rows.held_out(judged.row) == plain | MEASURED


def test_a_template_may_name_them_and_both_read_them() -> None:
    template = PromptTemplate(prompt_text="{segment}: {text}", completion_text="{label}")
    sink, report = handed_on([row | {"segment": "bakery"} for row in labelled_rows(12)], INSTRUCTION, template)
    assert {row["segment"] for row in sink.measured} == {"bakery"}
    assert b'"segment": "bakery"' in sink.trained
    assert "data.extra-field" not in report.warnings


def test_where_the_template_is_applied_for_training_the_rows_hold_prompt_and_completion_alone() -> None:
    template = PromptTemplate(prompt_text="{segment}: {text}", completion_text="{label}")
    rows = InstructionRows(template, applied=True)
    line = json.dumps({"segment": "bakery", "text": "a", "label": "b", "document": "ledger 7"}).encode() + b"\n"
    judged = rows.judge(line)
    assert json.loads(rows.written(judged.line)) == {"prompt": "bakery: a", "completion": "b"}
    asked = {"prompt": "bakery: a", "completion": "b", "segment": "bakery", "document": "ledger 7"}
    assert rows.held_out(judged.row) == asked


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("segment", 7),
        ("segment", " "),
        ("segment", None),
        ("document", ["a"]),
        ("document", "x" * 201),
        ("answers", "one"),
        ("answers", []),
        ("answers", ["one", 2]),
        ("answers", [""]),
    ],
)
def test_what_is_none_is_told_of_and_left_out(field: str, value: object) -> None:
    row = {"text": question(1), "label": "x", field: value}
    sink, report = handed_on([*labelled_rows(12), row], INSTRUCTION)
    assert field not in sink.measured[-1]
    assert report.accepted
    told = next(each for each in report.findings if each.code == "data.extra-field")
    assert f'Training does not read "{field}". The evaluation reads ' in told.message
