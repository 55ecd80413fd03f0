"""The 75 hostile inputs that the project promises to survive, each by its number: here, or where its like is tested."""

import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from datasets import (
    CHAT,
    INSTRUCTION,
    TEMPLATE,
    TEXT,
    VISUAL,
    Memory,
    chat_rows,
    conversation,
    data_files,
    instruction_rows,
    judge,
    labelled_rows,
    lines,
    question,
    rules,
    text_lines,
)

from tunedrop.domain import names
from tunedrop.domain.plan import Technique
from tunedrop.domain.prompt_template import PromptTemplate, TemplateError
from tunedrop.errors import SourceChangedError
from tunedrop.validation.dataset import validate
from tunedrop.validation.sources import DataFile

_TESTS = Path(__file__).parents[1]

ELSEWHERE: dict[int, str] = {
    1: "domain/test_planning.py::test_a_file_name_that_is_not_plain_is_refused",
    2: "domain/test_planning.py::test_a_plain_file_name_is_fine",
    3: "domain/test_planning.py::test_what_is_not_part_of_the_layout_is_ignored_with_a_warning",
    4: "domain/test_planning.py::test_what_is_not_part_of_the_layout_is_ignored_with_a_warning",
    5: "domain/test_planning.py::test_a_plain_file_name_is_fine",
    6: "domain/test_planning.py::test_a_file_name_that_is_not_plain_is_refused",
    7: "domain/test_planning.py::test_a_file_name_that_is_not_plain_is_refused",
    8: "domain/test_planning.py::test_a_file_name_that_is_not_plain_is_refused",
    9: "domain/test_planning.py::test_a_file_name_that_is_not_plain_is_refused",
    10: "domain/test_planning.py::test_what_is_not_part_of_the_layout_is_ignored_with_a_warning",
    12: "domain/test_names.py::test_the_dataset_is_the_one_folder_below_datasets",
    13: "domain/test_planning.py::test_a_file_name_that_is_not_plain_is_refused",
    26: "validation/test_memory.py::test_a_line_without_an_end_is_refused_in_flat_memory",
    46: "validation/test_memory.py::test_memory_grows_by_a_few_bytes_a_row",
    55: "contracts/test_tune_spec.py::test_hostile_yaml_is_one_problem",
    56: "contracts/test_tune_spec.py::test_hostile_yaml_is_one_problem",
    57: "contracts/test_tune_spec.py::test_hostile_yaml_is_one_problem",
    58: "contracts/test_tune_spec.py::test_a_key_that_stands_twice_is_told_with_both_lines",
    59: "contracts/test_tune_spec.py::test_a_budget_is_a_plain_positive_number",
    60: "domain/test_planning.py::test_a_value_out_of_type_bounds_or_options_is_told_with_what_is_allowed",
    61: "domain/test_planning.py::test_a_value_out_of_type_bounds_or_options_is_told_with_what_is_allowed",
    62: "contracts/test_tune_spec.py::test_hostile_yaml_is_one_problem",
    63: "domain/test_planning.py::test_a_value_out_of_type_bounds_or_options_is_told_with_what_is_allowed",
    64: "domain/test_planning.py::test_an_unsupported_instance_type_is_told_with_those_that_are",
    65: "contracts/test_tune_spec.py::test_a_budget_is_a_plain_positive_number",
    66: "contracts/test_tune_spec.py::test_an_unknown_key_is_told_with_the_nearest_that_is_known",
    67: "contracts/test_tune_spec.py::test_what_the_stack_decides_is_not_the_users_to_set",
    68: "validation/test_images.py::test_a_path_that_leads_elsewhere_is_refused",
    69: "validation/test_images.py::test_144_megapixels_are_refused_from_the_header_alone",
    70: "validation/test_images.py::test_nothing_may_follow_a_picture",
    72: "validation/test_html.py::test_no_text_of_a_dataset_becomes_markup_or_stays_unseen",
    73: "domain/test_notice.py::test_the_subject_keeps_to_the_rules_of_sns",
}
"""Tests that were written with the module that they are about."""

NOT_MET: dict[int, str] = {
    71: "No step unpacks an archive: models are imported as the files that training leaves, uncompressed.",
}


class Hostile(NamedTuple):
    """A dataset, and what shall be said of it; without errors it is accepted."""

    number: int
    name: str
    files: Mapping[str, bytes]
    errors: Mapping[str, int] = {}
    warnings: Mapping[str, int] = {}
    line: int | None = None
    """Of the first error."""
    training_rows: int | None = None
    technique: Technique = INSTRUCTION
    changes: Mapping[str, Any] = {}


_ROWS = lines(instruction_rows(120))
_LAST = lines(instruction_rows(1, 900))


def _with(line: bytes, *, at: int = 2) -> dict[str, bytes]:
    rows = _ROWS.splitlines(keepends=True)
    return {"train.jsonl": b"".join([*rows[: at - 1], line + b"\n", *rows[at - 1 :]])}


def _field(value: str, name: str = "response") -> bytes:
    row = {"instruction": question(901), "context": "", "response": "An answer of its own."}
    return json.dumps(row).replace(json.dumps(row[name]), value).encode()


def _bad(number: int, name: str, line: bytes, code: str, **more: Any) -> Hostile:
    return Hostile(number, name, _with(line), {code: 1}, line=2, training_rows=120, **more)


def _nested_zip() -> bytes:
    inner, outer = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", b"\0" * 100_000)
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("inner.zip", inner.getvalue())
    return outer.getvalue()


def _bomb() -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(40)) + packer.flush()


_NO_ROWS = {"data.too-few-rows": 1}
_DEEP = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
_PROTO = {
    "__proto__": {"admin": True},
    "constructor": "x",
    "instruction": question(1),
    "context": "",
    "response": "Ok.",
}
_VISUAL_ROW = {"prompt": "What is it?", "completion": "A cheque."}

CASES = (
    # ------------------------------------------------ bytes
    Hostile(14, "zero bytes", {"train.jsonl": b""}, {"data.empty-file": 1, **_NO_ROWS}),
    Hostile(14, "zero bytes of gzip", {"train.jsonl.gz": b""}, {"data.broken-gzip": 1}),
    Hostile(
        15,
        "white space only",
        {"train.jsonl": b" \n\t\n\r\n"},
        {"data.empty-file": 1, **_NO_ROWS},
        {"data.blank-line": 3},
    ),
    Hostile(16, "BOM", {"train.jsonl": b"\xef\xbb\xbf" + _ROWS}, {}, {"data.byte-order-mark": 1}, training_rows=120),
    Hostile(16, "BOM alone", {"train.jsonl": b"\xef\xbb\xbf"}, {"data.empty-file": 1, **_NO_ROWS}),
    _bad(16, "BOM within", b"\xef\xbb\xbf" + _LAST[:-1], "data.not-json"),
    Hostile(17, "UTF-16", {"train.jsonl": _ROWS.decode().encode("utf-16")}, {"data.foreign-format": 1}),
    Hostile(
        17, "UTF-16 without a mark", {"train.jsonl": _ROWS.decode().encode("utf-16-le")}, {"data.foreign-format": 1}
    ),
    Hostile(17, "UTF-32", {"train.jsonl": _ROWS.decode().encode("utf-32")}, {"data.foreign-format": 1}),
    _bad(18, "Latin-1", _field('"caf@"').replace(b"@", b"\xe9"), "data.not-utf8"),
    _bad(19, "NUL", _field('"@"').replace(b"@", b"\0"), "data.nul"),
    _bad(19, "NUL, escaped", _field('"\\u0000"'), "data.nul"),
    _bad(20, "lone surrogate", _field('"\\ud800"'), "data.lone-surrogate"),
    _bad(20, "lone surrogate as bytes", _field('"@"').replace(b"@", b"\xed\xa0\x80"), "data.not-utf8"),
    _bad(21, "overlong UTF-8", _field('"@"').replace(b"@", b"\xc0\xaf"), "data.not-utf8"),
    Hostile(22, "CRLF", {"train.jsonl": _ROWS.replace(b"\n", b"\r\n")}, training_rows=120),
    Hostile(23, "CR only", {"train.jsonl": _ROWS.replace(b"\n", b"\r")}, {"data.not-json": 1, **_NO_ROWS}, line=1),
    Hostile(
        24, "U+2028 and U+0085", _with(_field('"a@b"').replace(b"@", "\u2028\u0085\u2029".encode())), training_rows=121
    ),
    Hostile(
        24, "U+2028 in text", {"train.txt": "\n".join(text_lines(20)).replace(" ", "\u2028").encode()}, technique=TEXT
    ),
    Hostile(25, "no final newline", {"train.jsonl": _ROWS[:-1]}, training_rows=120),
    Hostile(27, "gzip named .jsonl", {"train.jsonl": gzip.compress(_ROWS)}, {"data.foreign-format": 1}),
    Hostile(27, "text named .gz", {"train.jsonl.gz": _ROWS}, {"data.broken-gzip": 1}),
    Hostile(
        27,
        "gzip within gzip",
        {"train.jsonl.gz": gzip.compress(gzip.compress(_ROWS))},
        {"data.foreign-format": 1},
    ),
    Hostile(28, "gzip bomb", {"train.jsonl.gz": _bomb()}, {"data.gzip-bomb": 1}),
    Hostile(29, "nested zip", {"train.jsonl": _nested_zip()}, {"data.foreign-format": 1}),
    Hostile(
        30,
        "truncated last record",
        {"train.jsonl": _ROWS + _LAST[:-9]},
        {"data.not-json": 1},
        line=121,
        training_rows=120,
    ),
    Hostile(30, "truncated gzip", {"train.jsonl.gz": gzip.compress(_ROWS)[:-9]}, {"data.broken-gzip": 1}),
    # ------------------------------------------------ JSON
    _bad(32, "depth 100,000, by default limits", _DEEP, "data.nested-too-deep"),
    _bad(32, "depth 100,000, never closed", b"[" * 100_000, "data.nested-too-deep"),
    Hostile(
        32,
        "depth 100,000 in a table",
        {"train.json": b'{"text": "a"}\n' + _DEEP},
        {"data.nested-too-deep": 1},
        line=2,
        technique=TEXT,
    ),
    _bad(32, "depth 60 in the field", _field("[" * 60 + "]" * 60), "data.not-text"),
    _bad(32, "depth 70 in the field", _field("[" * 70 + "]" * 70), "data.nested-too-deep"),
    _bad(
        32, "depth 900 in another", _LAST[:-2] + b', "more": ' + b"[" * 900 + b"]" * 900 + b"}", "data.nested-too-deep"
    ),
    _bad(33, "duplicate keys", _LAST[:-2] + b', "response": "b"}', "data.duplicate-key"),
    _bad(33, "duplicate keys, escaped", _LAST[:-2] + b', "re\\u0073ponse" : "b"}', "data.duplicate-key"),
    _bad(34, "NaN", _field("NaN"), "data.not-finite"),
    _bad(34, "Infinity", _LAST[:-2] + b', "score": -Infinity}', "data.not-finite"),
    _bad(35, "1e999", _LAST[:-2] + b', "score": 1e999}', "data.not-finite"),
    _bad(36, "5,000-digit int", _LAST[:-2] + b', "score": ' + b"9" * 5_000 + b"}", "data.number-too-large"),
    _bad(37, "4,000-digit int as answer", _field("9" * 4_000), "data.not-text"),
    Hostile(
        37,
        "4,000-digit int in a table",
        {"train.json": b'{"text": "a", "n": ' + b"9" * 4_000 + b"}"},
        {"data.number-too-large": 1, **_NO_ROWS},
        line=1,
        technique=TEXT,
    ),
    Hostile(
        38,
        "array instead of lines",
        {"train.jsonl": json.dumps(instruction_rows(20)).encode()},
        {"data.json-array": 1},
        line=1,
    ),
    Hostile(
        38,
        "array over lines",
        {"train.jsonl": json.dumps(instruction_rows(20), indent=1).encode()},
        {"data.json-array": 1},
        line=1,
    ),
    _bad(39, "mixed schemas", lines(chat_rows(1))[:-1], "data.missing-field"),
    Hostile(
        39,
        "mixed keys of conversations",
        {"train.jsonl": lines([*chat_rows(100), *chat_rows(50, 100, "dialog")])},
        training_rows=150,
        technique=CHAT,
    ),
    Hostile(
        40,
        "60,000 keys",
        _with(json.dumps({**instruction_rows(1, 900)[0], **{str(key): 0 for key in range(60_000)}}).encode()),
        {},
        {"data.extra-field": 1},
        training_rows=121,
    ),
    _bad(
        40,
        "60,000 keys and no answer",
        json.dumps({str(key): 0 for key in range(60_000)}).encode(),
        "data.missing-field",
    ),
    _bad(41, "null as prompt", _field("null", "instruction"), "data.not-text"),
    _bad(41, "number as prompt", _field("0", "instruction"), "data.not-text"),
    _bad(42, "empty completion", _field('""'), "data.empty-completion"),
    _bad(42, "white completion", _field('"\\u3000\\n"'), "data.empty-completion"),
    Hostile(43, "__proto__", _with(json.dumps(_PROTO).encode()), {}, {"data.extra-field": 1}, training_rows=121),
    Hostile(
        44,
        "all rows the same",
        {"train.jsonl": _LAST * 200},
        {},
        {"data.duplicate": 199, "data.one-label": 1},
        training_rows=200,
    ),
    Hostile(
        45, "overlap", {"train.jsonl": _ROWS, "validation.jsonl": _ROWS}, {}, {"data.leakage": 120}, training_rows=120
    ),
    # ------------------------------------------------ templates
    Hostile(
        54,
        "braces inside values",
        {
            "train.jsonl": lines(
                {**row, "text": row["text"] + " {label} {0} {x.__class__} {"} for row in labelled_rows(120)
            )
        },
        training_rows=120,
        changes={"template": TEMPLATE},
    ),
    # ------------------------------------------------ files
    Hostile(
        68,
        "a picture outside",
        {"metadata.jsonl": lines([{**_VISUAL_ROW, "file_name": name} for name in ("../a.png", "/a.png")])},
        {"data.image-path": 2, **_NO_ROWS},
        line=1,
        technique=VISUAL,
    ),
    Hostile(
        70,
        "SVG",
        {"metadata.jsonl": lines([{**_VISUAL_ROW, "file_name": "a.png"}])},
        {"data.image-format": 1, **_NO_ROWS},
        line=1,
        technique=VISUAL,
        changes={"pictures": {"a.png": b"<svg/>"}},
    ),
    # ------------------------------------------------ outputs
    Hostile(
        74,
        "formulas in cells",
        {"train.csv": b"text\n" + "\n".join(text_lines(30)).encode() + b"\n=1+1\n@SUM(A1)\n+A1\n-A1\n"},
        {},
        {"data.formula": 4},
        training_rows=34,
        technique=TEXT,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number:02d} {case.name}")
def test_a_hostile_dataset_is_judged_as_promised(case: Hostile) -> None:
    report = judge(case.files, case.technique, **case.changes)
    assert report.errors == case.errors
    assert report.accepted == (not case.errors)
    assert {code: report.warnings.get(code) for code in case.warnings} == case.warnings
    if case.line is not None:
        assert report.findings[0].line == case.line
    if case.training_rows is not None:
        assert report.training_rows == case.training_rows
    for each in report.findings:
        assert each.excerpt.isascii()
        assert len(each.excerpt) <= 80


def test_11_datasets_that_differ_by_case_are_two_runs() -> None:
    keys = ["datasets/Cards/tune.yaml", "datasets/cards/tune.yaml"]
    assert len({names.run_id("bucket", key, "v1") for key in keys}) == 2
    assert len({names.dataset_of(key) for key in keys}) == 2


def test_31_a_file_that_changed_while_it_was_read_is_the_sources_to_tell() -> None:
    class Changed(Memory):
        def blocks(self, file: DataFile, start: int = 0, end: int | None = None) -> Iterator[bytes]:
            yield from super().blocks(file, start, end)
            raise SourceChangedError("the file has another size")

    files = {"train.jsonl": _ROWS}
    with pytest.raises(SourceChangedError, match="another size"):
        validate(Changed(files), data_files(files), rules(INSTRUCTION))


_TEMPLATES = {
    47: "{x.__class__.__init__.__globals__}",
    48: "{0}",
    49: "{x[0]}",
    50: "{x!r}",
    51: "{:>999999999}",
    52: "{x",
}


@pytest.mark.parametrize("number", _TEMPLATES, ids=lambda number: f"{number}")
def test_a_hostile_template_is_refused(number: int) -> None:
    content = json.dumps({"prompt": "{text} " + _TEMPLATES[number], "completion": "{label}"}).encode()
    with pytest.raises(TemplateError):
        PromptTemplate.parse(content)


def test_53_a_field_that_no_row_has_is_told_row_by_row() -> None:
    template = PromptTemplate(prompt_text="{text} {colour}", completion_text="{label}")
    report = judge({"train.jsonl": lines(labelled_rows(20))}, INSTRUCTION, template=template)
    assert report.errors == {"data.missing-field": 20, "data.too-few-rows": 1}
    assert "colour" in report.findings[0].message


_CANARY = "hunter2" + "-canary"


@pytest.mark.parametrize("technique", Technique)
def test_75_no_text_of_a_row_leaves_the_excerpt(technique: Technique) -> None:
    messages = conversation(5)
    rows: list[dict[str, Any]] = [
        {"instruction": _CANARY, "context": [_CANARY], "response": _CANARY},
        {"instruction": _CANARY, "context": "", "response": ""},
        {"messages": [{"role": _CANARY, "content": _CANARY}, {"role": "assistant", "content": 4}]},
        {"messages": [*messages, {"role": "user", "content": _CANARY}]},
        {"messages": _CANARY},
        {"file_name": f"../{_CANARY}", "prompt": _CANARY, "completion": _CANARY},
        {"text": [_CANARY]},
    ]
    content = (
        lines(rows) + f'{{"text": "{_CANARY}\n["{_CANARY}", NaN]\n{_CANARY}\n'.encode() + _CANARY.encode() + b"\xff\0"
    )
    for name in {TEXT: ["train.csv", "train.json", "train.txt"]}.get(technique, ["train.jsonl"]):
        report = judge({name: content}, technique)
        assert report.errors
        for each in report.findings:
            assert _CANARY not in str(each.problem())


def test_each_number_is_met_here_or_elsewhere_or_cannot_occur() -> None:
    here = {case.number for case in CASES} | set(_TEMPLATES)
    here |= {int(number) for number in re.findall(r"^def test_(\d+)_", Path(__file__).read_text("utf-8"), re.MULTILINE)}
    assert here | set(ELSEWHERE) | set(NOT_MET) == set(range(1, 76))
    assert not set(NOT_MET) & (here | set(ELSEWHERE))
    for test in ELSEWHERE.values():
        file, name = test.split("::")
        assert f"def {name}(" in (_TESTS / file).read_text("utf-8"), test
