"""A dataset that is read in ranges, wherever they are cut, comes to the very report of a single pass."""

import gzip
import json
import random
from typing import Any

import pytest
from datasets import (
    CHAT,
    INSTRUCTION,
    TEMPLATE,
    TEXT,
    VISUAL,
    Memory,
    chat_rows,
    data_files,
    instruction_rows,
    judge,
    judge_in_ranges,
    labelled_rows,
    lines,
    question,
    rules,
    text_lines,
    text_pairs,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tunedrop.domain.plan import Technique
from tunedrop.validation.dataset import calibrated, ranges, validate, validate_in_parallel
from tunedrop.validation.limits import Limits
from tunedrop.validation.partial import ColumnsInMemory
from tunedrop.validation.split import HeldOutSplit

_KEY = b"AKIA" + b"Q3EGVXJ7WZ5NBT2K"
_BAD = (
    b"",
    b"{",
    b"[]",
    b"null",
    b" \t",
    b'{"text": 1, "label": "x"}',
    b'{"text": "a", "label": "x", "text": "b"}',
    b'{"text": "a", "label": "x"} {"text": "b", "label": "x"}',
    b'{"text": "a",',
    b'"label": "x"}',
    b'{"text": "\xff", "label": "x"}',
    b'{"text": "short", "label": "x", "more": "y"}',
    b'{"text": "", "label": ""}',
    b'{"text": "' + b"long " * 700 + b'", "label": "x"}',
    b'{"text": "' + b"long enough for a token to be lost " * 20 + b'", "label": "x"}',
    b'{"text": "my key is ' + _KEY + b', keep it", "label": "x"}',
    b'{"messages": [{"role": "user", "content": "hi"}]}',
    b'{"dialog": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "mail me@example.com"}]}',
    b'{"messages": [{"role": "user", "content": "hi", "weight": 1}, {"role": "assistant", "content": "y"}]}',
    b'{"file_name": "../a.png", "prompt": "?", "completion": "y"}',
    b"x" * 5_000,
    b"\0",
)
_LIMITS = Limits(
    line_bytes=2_000,
    findings=25,
    findings_per_warning=7,
    labels=12,
    calibration_bytes=3_000,
    near_duplicate_pairs=50,
)


def _good(technique: Technique, number: int, first: int = 0) -> list[bytes]:
    rows: list[Any]
    match technique:
        case Technique.INSTRUCTION:
            rows = list(labelled_rows(number, first))
        case Technique.CHAT:
            rows = list(chat_rows(number, first))
        case Technique.DPO:
            rows = list(text_pairs(number, first))
        case Technique.VISUAL_QA:
            rows = [
                {"file_name": f"{index % 9}.png", "prompt": question(index), "completion": "yes"}
                for index in range(first, first + number)
            ]
        case Technique.DOMAIN_ADAPTATION:
            return [line.encode() for line in text_lines(number, first)]
    return lines(rows).splitlines()


def dirty_file(technique: Technique, draw: random.Random, shared: int = 0) -> bytes:
    """Make a file of good rows with faulty, equal and similar ones among them, and line ends of either kind."""
    rows = _good(technique, draw.choice((0, 5, 40)), first=draw.randrange(3))
    rows += _good(technique, shared, first=900)
    for _ in range(draw.randrange(12)):
        if rows:
            row = draw.choice(rows)
            rows.append(draw.choice((row, row.replace(b" w0", b" u0", 1), row + b" ", b" " + row)))
    rows += draw.choices(_BAD, k=draw.choice((0, 1, 10, 40)))
    draw.shuffle(rows)
    end = draw.choice((b"\n", b"\n", b"\r\n"))
    content = draw.choice((b"", b"", b"\xef\xbb\xbf")) + b"".join(
        row + (end if draw.random() < 0.9 else b"\n") for row in rows
    )
    return content if draw.random() < 0.7 else content.rstrip(b"\r\n")


@settings(max_examples=40)
@given(
    technique=st.sampled_from(Technique),
    draw=st.randoms(use_true_random=False),
    chunk=st.sampled_from([37, 1_000, 1 << 20]),
    split=st.sampled_from([None, HeldOutSplit(ratio=0.3, seed=7)]),
    similar=st.booleans(),
)
def test_ranges_come_to_the_report_of_one_pass(
    *, technique: Technique, draw: random.Random, chunk: int, split: HeldOutSplit | None, similar: bool
) -> None:
    extension = "txt" if technique is TEXT else "jsonl"
    files = {
        f"train-1.{extension}": dirty_file(technique, draw, shared=12),
        f"train-2.{extension}": dirty_file(technique, draw),
        f"validation.{extension}": dirty_file(technique, draw, shared=3),
        f"held-out.{extension}": dirty_file(technique, draw, shared=6),
    }
    if draw.random() < 0.3:
        files.popitem()
    changes: dict[str, Any] = {
        "split": split,
        "template": TEMPLATE,
        "limits": _LIMITS,
        "near_duplicates": similar,
        "max_input_length": 100,
        "batch_size": 4,
        "epochs": 2.0,
    }
    settings_ = calibrated(Memory(files), data_files(files), rules(technique, **changes))
    cuts = {
        name: [draw.randrange(len(content) + 9) for _ in range(draw.choice((0, 1, 5, 30)))]
        for name, content in files.items()
    }
    assert judge_in_ranges(files, cuts, settings_, chunk=chunk) == judge(files, technique, **changes)


def test_rows_too_many_to_be_compared_at_once_come_to_the_same_report(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = random.Random(5)  # noqa: S311 - nothing secret
    files = {"train.jsonl": dirty_file(INSTRUCTION, draw, 9), "held-out.jsonl": dirty_file(INSTRUCTION, draw, 9)}
    changes: dict[str, Any] = {"template": TEMPLATE, "limits": _LIMITS}
    settings_ = calibrated(Memory(files), data_files(files), rules(INSTRUCTION, **changes))
    whole = judge(files, INSTRUCTION, **changes)
    assert whole.duplicates.leaked
    assert whole.duplicates.near
    for rows in (3, 7, 20):
        monkeypatch.setattr(ColumnsInMemory, "rows_at_once", rows)
        assert judge(files, INSTRUCTION, **changes) == whole
        assert judge_in_ranges(files, {"train.jsonl": [500, 900]}, settings_) == whole


def test_every_single_cut_comes_to_the_report_of_one_pass() -> None:
    content = dirty_file(INSTRUCTION, random.Random(4), shared=2)[:6_000]  # noqa: S311 - nothing secret
    files = {"train.jsonl": content}
    changes: dict[str, Any] = {"template": TEMPLATE, "limits": _LIMITS, "split": HeldOutSplit(ratio=0.3, seed=7)}
    settings_ = calibrated(Memory(files), data_files(files), rules(INSTRUCTION, **changes))
    whole = judge(files, INSTRUCTION, **changes)
    assert whole.faulty_rows
    for cut in range(1, len(content), 7):
        assert judge_in_ranges(files, {"train.jsonl": [cut, cut + 1]}, settings_) == whole


@pytest.mark.parametrize("head", [b"PK\x03\x04", b"\x1f\x8b", b"\xff\xfe{\0"])
def test_ranges_behind_the_head_of_a_foreign_format_are_left_out(head: bytes) -> None:
    files = {"train.jsonl": head + b"\n" + lines(instruction_rows(50))}
    settings_ = calibrated(Memory(files), data_files(files), rules(INSTRUCTION))
    merged = judge_in_ranges(files, {"train.jsonl": range(0, 4_000, 500)}, settings_)
    assert merged == judge(files, INSTRUCTION)
    assert merged.errors.keys() == {"data.foreign-format"}


_OBJECTS = instruction_rows(50)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (json.dumps(_OBJECTS).encode(), "data.json-array"),
        (json.dumps(_OBJECTS, indent=1).encode(), "data.json-array"),
        (b"\n[\n" + lines(_OBJECTS).replace(b"}\n", b"},\n"), "data.json-array"),
        (b"[" + b",\n ".join(lines(_OBJECTS).splitlines()) + b"]\n", "data.json-array"),
        (b"[\n" + lines(_OBJECTS[:1]) + b"]\n", "data.json-array"),
        ("\n".join(json.dumps(row, indent=2) for row in _OBJECTS).encode(), "data.json-over-lines"),
        (b"\xef\xbb\xbf" + "\r\n".join(json.dumps(row, indent=0) for row in _OBJECTS).encode(), "data.json-over-lines"),
        (lines(_OBJECTS).replace(b", ", b",\n"), "data.json-over-lines"),
    ],
    ids=["on one line", "indented", "a comma a line", "a row a line", "one row", "objects", "BOM and CRLF", "cut"],
)
@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz"])
def test_a_file_that_is_no_json_lines_is_told_once(name: str, content: bytes, code: str) -> None:
    files = {name: gzip.compress(content) if name.endswith(".gz") else content, "validation.jsonl": b"{\n"}
    whole = judge(files, INSTRUCTION)
    assert [(each.code, each.file, each.line) for each in whole.findings] == [
        (code, name, 1),
        ("data.not-json", "validation.jsonl", 1),
    ]
    assert "jq -c" in whole.findings[0].fix
    assert (whole.training_rows, whole.faulty_rows) == (0, 1)
    settings_ = calibrated(Memory(files), data_files(files), rules(INSTRUCTION))
    cuts = {} if name.endswith(".gz") else {name: [1, 2, 3, *range(70, 4_000, 500)]}
    for chunk in (1, 37, 1 << 20):
        assert judge_in_ranges(files, cuts, settings_, chunk=chunk) == whole


@pytest.mark.parametrize(
    "first",
    [b'[{"a": "b"}]', b"[", b"{", b'{"a": "b",', b"[]", b'[{"a": 1},', b"[" * 100],
)
def test_a_line_at_fault_makes_no_document_of_its_file(first: bytes) -> None:
    report = judge({"train.jsonl": first + b"\n" + lines(instruction_rows(50))}, INSTRUCTION)
    assert [each.line for each in report.findings if each.code in report.errors] == [1]
    assert report.training_rows == 50


@pytest.mark.parametrize("content", [b"[", b"{", b'{"a": "b"', b'{"a": "b"}', b"[1,\n2", b"[{]\n{", b"{\n" * 40_000])
def test_the_form_of_what_is_broken_is_told_from_any_chunks(content: bytes) -> None:
    files = {"train.jsonl": content}
    whole = judge(files, INSTRUCTION)
    assert not whole.accepted
    assert judge(files, INSTRUCTION, chunk=1) == whole


def test_an_array_is_no_fault_of_a_table_and_objects_over_lines_are() -> None:
    texts = [{"text": line} for line in text_lines(40)]
    assert judge({"train.json": json.dumps(texts, indent=1).encode()}, TEXT).accepted
    spread = "\n".join(json.dumps(each, indent=1) for each in texts).encode()
    assert judge({"train.json": spread}, TEXT).errors == {"data.json-over-lines": 1}


def test_labels_stay_labels_until_all_ranges_together_have_too_many() -> None:
    rows = [{"text": question(number), "label": f"label {number // 4}"} for number in range(60)]
    files = {"train.jsonl": lines(rows)}
    for most in (14, 15):
        changes: dict[str, Any] = {"template": TEMPLATE, "limits": Limits(labels=most)}
        settings_ = calibrated(Memory(files), data_files(files), rules(INSTRUCTION, **changes))
        merged = judge_in_ranges(files, {"train.jsonl": range(0, 9_000, 900)}, settings_)
        assert merged == judge(files, INSTRUCTION, **changes)
        assert (merged.labels is None) == (most == 14)


def test_empty_fields_are_told_in_the_order_of_the_rows() -> None:
    rows = instruction_rows(400)
    for number in (*range(3, 400, 50), 4, 55):
        rows[number] = {**rows[number], "context": ""}
    for number in (10, 53, 60):
        rows[number] = {**rows[number], "instruction": "", "context": f"Case {number}, of its own."}
    files = {"train.jsonl": lines(rows)}
    changes: dict[str, Any] = {"limits": Limits(findings_per_warning=5)}
    settings_ = calibrated(Memory(files), data_files(files), rules(INSTRUCTION, **changes))
    whole = judge(files, INSTRUCTION, **changes)
    assert whole.counts == {"data.empty-field": 12}
    assert judge_in_ranges(files, {"train.jsonl": range(100, 60_000, 900)}, settings_) == whole


def test_pictures_that_another_range_mentions_are_no_spare_ones() -> None:
    rows = [{"file_name": f"{number}.png", "prompt": question(number), "completion": "yes"} for number in range(30)]
    files = {"train/metadata.jsonl": lines(rows)}
    pictures = {f"{number}.png": b"not a picture" for number in range(0, 40, 2)}
    settings_ = calibrated(Memory(files, pictures), data_files(files), rules(VISUAL))
    merged = judge_in_ranges(files, {"train/metadata.jsonl": [500, 1_500]}, settings_, pictures=pictures)
    assert merged == judge(files, VISUAL, pictures=pictures)
    assert merged.counts["data.image-missing"] == 15
    assert merged.counts["data.image-unreferenced"] == 5


@pytest.mark.parametrize("name", ["train.jsonl.gz", "train.csv", "train.json", "train.csv.gz"])
def test_what_cannot_be_cut_is_one_range(name: str) -> None:
    file = data_files({name: b"x" * 1_000})[0]
    assert [(part.start, part.end) for part in ranges(file, 10)] == [(0, None)]


def test_a_file_of_lines_is_cut_into_ranges_that_join() -> None:
    file = data_files({"train.jsonl": b"x" * 1_000})[0]
    assert [(part.start, part.end) for part in ranges(file, 400)] == [(0, 400), (400, 800), (800, None)]
    assert [(part.start, part.end) for part in ranges(file, 1_000)] == [(0, None)]


def test_several_processes_come_to_the_report_of_one_pass() -> None:
    files = {
        "train.jsonl": lines(chat_rows(60)),
        "held-out.jsonl.gz": gzip.compress(lines(chat_rows(20, first=50))),
        "validation.jsonl": json.dumps({"messages": []}).encode(),
    }
    source, known = Memory(files), data_files(files)
    told: list[int] = []
    settings_ = calibrated(source, known, rules(CHAT))
    report = validate_in_parallel(source, known, settings_, 2, range_bytes=9_000, progress=told.append)
    assert report == validate(source, known, rules(CHAT))
    assert report.duplicates.leaked == 10
    assert sum(told) == report.bytes
