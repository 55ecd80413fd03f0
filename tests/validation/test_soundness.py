"""The fast path accepts nothing that the exact judge refuses, and nothing that a file may hold ends in an exception."""

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pytest
from datasets import (
    CHAT,
    DPO,
    INSTRUCTION,
    TEMPLATE,
    TEXT,
    VISUAL,
    answer,
    chat_rows,
    conversation_pairs,
    instruction_rows,
    judge,
    labelled_rows,
    lines,
    question,
    text_lines,
    text_pairs,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.validator.faults import CODES, FAULTS
from tunedrop.domain.plan import Technique
from tunedrop.domain.prompt_template import JUMPSTART_DEFAULT, PromptTemplate
from tunedrop.validation.findings import MEANINGS, Flaw
from tunedrop.validation.limits import Limits
from tunedrop.validation.report import ValidationReport
from tunedrop.validation.rows import SHORT_ANSWER, Judged, Rows
from tunedrop.validation.rows.chat import ChatRows
from tunedrop.validation.rows.instruction import InstructionRows
from tunedrop.validation.rows.preference import ConversationPairs, TextPairs
from tunedrop.validation.rows.visual import VisualRows
from tunedrop.validation.split import HeldOutSplit

MUTATIONS = 1_500
"""Of each kind of row: enough to find each of the faults that were once there, few enough for every commit."""

_TWO_SIDED = PromptTemplate(prompt_text="{a} {b}", completion_text="{b}{c}")
_ONE_FIELD = PromptTemplate(prompt_text="{text}", completion_text="{text}")


def _image_flaws(name: str) -> tuple[Flaw, ...]:
    return () if name.endswith(".png") else (Flaw("data.image-missing", "There is no such picture."),)


def _odd_rows() -> list[dict[str, str]]:
    values = ('a"b', "ends in \\", '\\"', "\\\\", "\u2028", "\t", "é", "\\u0000", '":', "{}", " x ", "")
    return [{"a": one, "b": f"b{two}", "c": one + two} for one in values for two in values]


def _odd_pairs() -> list[dict[str, str]]:
    return [{"prompt": row["b"], "chosen": f"1{row['a']}", "rejected": f"2{row['c']}"} for row in _odd_rows()]


def _odd_answers() -> list[dict[str, str]]:
    return [
        {"instruction": row["b"], "context": row["a"], "response": f"{row['c']}, or {row['b']}, or not at all"}
        for row in _odd_rows()
    ]


def _with_more(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    more: list[dict[str, Any]] = [
        {"id": 7},
        {},
        {"source": 'the "first" \u00e9\n', "score": -0.5, "ok": True, "note": None},
        {"tags": ["a", {"b": "c", "d": [1, 2]}], "segment": "x"},
        {"document": "one", "answers": ["yes", "no"]},
    ]
    return [{**row, **more[index % len(more)]} for index, row in enumerate(rows)]


ROWS: dict[str, tuple[Callable[[], Rows[Any]], list[dict[str, Any]]]] = {
    "default template": (lambda: InstructionRows(JUMPSTART_DEFAULT), list(instruction_rows(20))),
    "odd answers": (lambda: InstructionRows(JUMPSTART_DEFAULT), [dict(row) for row in _odd_answers()]),
    "own template": (lambda: InstructionRows(TEMPLATE), list(labelled_rows(20))),
    "fields on both sides": (lambda: InstructionRows(_TWO_SIDED), list(_odd_rows())),
    "one field": (lambda: InstructionRows(_ONE_FIELD), [{"text": row["a"] + "."} for row in _odd_rows()]),
    "messages": (lambda: ChatRows("messages", system_messages=True), list(chat_rows(20))),
    "dialog": (lambda: ChatRows("messages", system_messages=True), list(chat_rows(20, key="dialog"))),
    "conversations": (lambda: ChatRows("dialog", system_messages=True), list(chat_rows(20, key="conversations"))),
    "no system": (lambda: ChatRows("messages", system_messages=False), list(chat_rows(20))),
    "fields that nobody reads": (lambda: InstructionRows(JUMPSTART_DEFAULT), _with_more(instruction_rows(20))),
    "messages and more": (lambda: ChatRows("messages", system_messages=True), _with_more(chat_rows(20))),
    "dialog and more": (lambda: ChatRows("messages", system_messages=True), _with_more(chat_rows(20, key="dialog"))),
    "pairs of texts": (TextPairs, [dict(row) for row in (*text_pairs(20), *_odd_pairs())]),
    "pairs of conversations": (ConversationPairs, conversation_pairs(20)),
    "pictures": (
        lambda: VisualRows(_image_flaws, lambda _name: None),
        [{"file_name": f"{number}.png", "prompt": question(number), "completion": "A"} for number in range(20)],
    ),
}

_TOKENS = tuple(
    r"""
    " \ \" \\ \\\\ \\" { } [ ] {} [] , : : \n \u0000 \u0000\\ \ud800 \ud83d\ude00 \u0022 \/ \x null 1 -0 1e400 NaN
    Infinity true "" "\\" "\u00a0" "\u200b" "\u001c" "\u0075ser" /*c*/ "messages":[], "dialog":[], "user" "system"
    "role":"assistant" "role":"user", "content":"x", "role":"user","role":"user", "content":"x","content":"y",
    "\u0072ole":"user", "c\u006fntent":"x", "messages" "text":"x", "te\u0078t":"x", "label":"x", "a":"x", "\u0061":"x",
    "file_name":"0.png", "prompt":"x", "completion":"x", "instruction":"x", "response":"x", "extra":1, "extra":"x",
    "chosen":"x", "rejected":"x", "system":"x", "system":"", "chosen":[], "chosen" "rejected" "chos\u0065n":"x",
    """.split()  # noqa: SIM905 - quotes of quotes cannot be read
)
_BYTES = (
    *(token.encode() for token in _TOKENS),
    *(b" ", b"  ", b'" "', b'" \\t"', b' :"', b'" : "', b"\t", b"\r", b"\r\n", b"\x0b", b"\x0c", b"\x00", b"\x1f"),
    *(b"\x7f", b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc0\x80", b"\xef\xbb\xbf"),
    *("\u2028".encode(), "\u0085".encode(), "\u00a0".encode(), b"\n", b"\n\n", b"}\n{", b"} {", b"}{", b"},\n{"),
)


def mutated(line: bytes, draw: random.Random) -> bytes:
    """Change a line, which may become several."""
    data = bytearray(line)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        at = draw.randrange(len(data))
        kind = draw.random()
        if kind < 0.15:
            data[at] = draw.randrange(256)
        elif kind < 0.4:
            data[at:at] = draw.choice(_BYTES)
        elif kind < 0.5:
            del data[at : at + draw.choice((1, 1, 2, 5, 20))]
        elif kind < 0.8:
            places = [data.find(mark, at) for mark in (b'": ', b'", "', b'{"', b'"}', b"}, {", b'\\"')]
            if places := [place for place in places if place >= 0]:
                place = draw.choice(places) + draw.choice((0, 1, 2))
                data[place : place + draw.choice((0, 0, 1, 2, 6))] = draw.choice(_BYTES)
        elif kind < 0.9:
            # A key in another spelling, or white space before its colon.
            place = data.find(b'":', at)
            if place > 0 and draw.random() < 0.5:
                data[place - 1 : place] = b"\\u%04x" % data[place - 1]
            elif place > 0:
                data[place + 1 : place + 1] = draw.choice((b" ", b"\t", b"\r", b"  "))
        else:
            start, end = sorted((at, draw.randrange(len(data))))
            data[at:at] = data[start:end]
        data = data or bytearray(b"{}")
    return bytes(data).rstrip(b"\n") + b"\n"


def rejoined(block: bytes, draw: random.Random) -> bytes:
    """Join two lines, and end one elsewhere: the number of lines stays what it was."""
    joined = block.replace(b"}\n{", draw.choice((b"} {", b"}{", b"}\t{", b"}\r{")), 1)
    if joined == block:
        return block
    places = [place for place in range(len(joined)) if joined[place : place + 1] in b"{}[]:,"]
    at = draw.choice((0, len(joined) - 1, *draw.choices(places, k=2))) + draw.randrange(2)
    return joined[:at] + b"\n" + joined[at:]


def unsound(rows: Rows[Any], exact: Rows[Any], block: bytes) -> str | None:
    """Say what the fast path allows itself with a block that the exact judge does not confirm."""
    each = [line + b"\n" for line in block.split(b"\n")[:-1]]
    verdicts = [exact.judge(line) for line in each]
    typed = rows.accept(block, np.cumsum([len(line) for line in each]) - 1)
    if typed is not None:
        if any(verdict.row is None or verdict.flaws for verdict in verdicts):
            return "accept takes what judge refuses or remarks on"
        if [*map(rows.held_out, typed)] != [exact.held_out(verdict.row) for verdict in verdicts]:
            return "accept reads other rows"
        written = [json.loads(line) for line in rows.written(block).split(b"\n")[:-1]]
        if written != [json.loads(exact.written(verdict.line)) for verdict in verdicts]:
            return "accepted lines are written otherwise"
    if problem := unsound_faults(rows, each, verdicts):
        return problem
    if problem := unsound_skimming(rows, exact, each, verdicts) or unsound_rewriting(rows, exact, each, verdicts):
        return problem
    return next(filter(None, map(unsound_glance, [rows] * len(each), each, verdicts)), None)


def unsound_faults(rows: Rows[Any], each: list[bytes], verdicts: list[Judged]) -> str | None:
    """Say what is wrong with the faults that were told of a block."""
    told = rows.first_faults(b"".join(each), np.cumsum([len(line) for line in each]) - 1)
    if any(verdicts[number].row is not None for number in told):
        return "first_faults refuses what judge accepts"
    if not MEANINGS.keys() >= {*told.values()}:
        return "first_faults names an unknown code"
    alone = [rows.first_faults(line, np.array([len(line) - 1])).get(0) for line in each]
    return None if alone == [told.get(number) for number in range(len(each))] else "lines are told otherwise alone"


def unsound_skimming(rows: Rows[Any], exact: Rows[Any], each: list[bytes], verdicts: list[Judged]) -> str | None:
    """Say what is wrong with what was told of a block without reading it."""
    skimmed = rows.skim(b"".join(each), np.cumsum([len(line) for line in each]) - 1)
    if skimmed is None:
        return None
    known = sorted({*range(len(each))} - {*skimmed.doubtful})
    if any(verdicts[number].row is None or verdicts[number].flaws for number in known):
        return "skim takes what judge refuses or remarks on"
    accepted = [verdicts[number].row for number in known]
    if any(len(answer) <= SHORT_ANSWER for answer in exact.answers(accepted)):
        return "skim keeps quiet about a short answer"
    blanks = {
        field: [known[number] for number in numbers]
        for field, numbers in exact.blanks(accepted, surely_led=False).items()
    }
    if blanks != {field: numbers.tolist() for field, numbers in skimmed.blanks.items()}:
        return "skim tells of other blank fields"
    written = [json.loads(rows.written(each[number])) for number in known]
    if written != [json.loads(exact.written(verdicts[number].line)) for number in known]:
        return "skimmed lines are written otherwise"
    return None


def unsound_rewriting(rows: Rows[Any], exact: Rows[Any], each: list[bytes], verdicts: list[Judged]) -> str | None:
    """Say what is wrong with what was told of rows that may have more fields than training reads."""
    rewritten = rows.rewrite(b"".join(each), np.cumsum([len(line) for line in each]) - 1)
    for line, found, verdict in zip(each, rewritten or (), verdicts, strict=rewritten is not None):
        if verdict.row is None or [flaw.code for flaw in verdict.flaws] != [found.remark] * bool(found.remark):
            return "rewrite takes what judge refuses, or remarks on otherwise"
        if exact.held_out(found.row) != exact.held_out(verdict.row):
            return "rewrite reads other rows"
        if found.line != verdict.line and (found.line != line or len(json.loads(line)) > len(json.loads(verdict.line))):
            return "rewrite writes other lines"
    return None


def unsound_glance(rows: Rows[Any], line: bytes, verdict: Judged) -> str | None:
    """Say what a glance at a line allows itself."""
    seen = rows.glance(line)
    if isinstance(seen, str):
        if verdict.row is not None:
            return f"glance refuses as {seen} what judge accepts"
        return None if seen in MEANINGS else f"glance names the unknown code {seen}"
    if seen is not None and (verdict.row is None or verdict.flaws):
        return "glance takes what judge refuses or remarks on"
    return None


def fuzz(kind: str, number: int, seed: int) -> list[tuple[str, bytes]]:
    """Compare the fast path with the exact judge on so many mutated blocks; returns where they disagree."""
    make, valid = ROWS[kind]
    rows, exact = make(), make()
    base = [json.dumps(row, ensure_ascii=index % 2 == 0).encode() + b"\n" for index, row in enumerate(valid)]
    base += [json.dumps(row, separators=(",", ":")).encode() + b"\n" for row in valid]
    draw = random.Random(seed)  # noqa: S311 - nothing secret
    wrong = []
    for _ in range(number):
        block = b"".join(
            mutated(line, draw) if draw.random() < 0.7 else line
            for line in draw.choices(base, k=draw.choice((1, 1, 2, 3, 8)))
        )
        if draw.random() < 0.2:
            block = rejoined(block, draw)
        if problem := unsound(rows, exact, block):
            wrong.append((problem, block))
    return wrong


@pytest.mark.parametrize("kind", ROWS)
def test_the_fast_path_agrees_with_the_judge_on_mutated_rows(kind: str) -> None:
    assert fuzz(kind, MUTATIONS, seed=1) == []


@pytest.mark.parametrize("kind", ["default template", "messages", "dialog", "conversations"])
@pytest.mark.parametrize(
    "spelling",
    [{"ensure_ascii": False}, {"ensure_ascii": True}, {"separators": (",", ":")}],
    ids=["utf-8", "ascii", "compact"],
)
def test_good_rows_are_known_without_being_read(kind: str, spelling: dict[str, Any]) -> None:
    make, rows = ROWS[kind]
    each = [json.dumps(row, **spelling).encode() + b"\n" for row in rows]
    each[4] = each[4].replace(b"? ", "? \u201cSo\u201d \u00e9\U0001f389 ".encode())
    each[5] = each[5].replace(b"? ", rb"? \u201cSo\u201d \"\u00e9\" \ud83c\udf89\n ")
    each[7] = b"{" + each[7]
    each[9] = each[9].replace(b"?", b"\r")
    each[11] = each[11].replace(b"?", b"\xc3")
    skimmed = make().skim(b"".join(each), np.cumsum([len(line) for line in each]) - 1)
    assert skimmed is not None
    assert skimmed.doubtful == [7, 9, 11]


@pytest.mark.parametrize(
    ("kind", "rows"), [("fields that nobody reads", InstructionRows), ("dialog and more", ChatRows)]
)
def test_rows_with_more_fields_are_told_as_the_exact_judge_tells_them(
    kind: str, rows: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, valid = ROWS[kind]
    each = [lines([row]) for row in valid]
    assert make().rewrite(b"".join(each), np.cumsum([*map(len, each)]) - 1)
    # More than as many of one kind as are told in full; one of them is at fault.
    content = b"".join(each * 20).replace(b"Because", b" ", 1)
    technique = CHAT if rows is ChatRows else INSTRUCTION
    told = judge({"train.jsonl": content, "held-out.jsonl": content[: len(content) // 3]}, technique)
    monkeypatch.setattr(rows, "rewrite", lambda *_: None)
    assert told == judge({"train.jsonl": content, "held-out.jsonl": content[: len(content) // 3]}, technique)
    assert told.counts["data.extra-field"] > told.limits.findings_per_warning


_SPELLINGS = {"utf-8": {"ensure_ascii": False}, "compact": {"separators": (",", ":")}}


@pytest.mark.parametrize("spelling", _SPELLINGS)
@pytest.mark.parametrize("fault", FAULTS)
def test_rows_count_under_the_code_of_their_fault_whether_or_not_they_are_explained(fault: str, spelling: str) -> None:
    faulty = [FAULTS[fault](dict(row)) for row in chat_rows(60)]
    if spelling == "compact":
        faulty = [line.replace(b'": ', b'":').replace(b'", "', b'","').replace(b"}, {", b"},{") for line in faulty]
    (code,) = CODES[fault]
    for explained in (5, 100):
        report = judge({"train.jsonl": b"\n".join(faulty)}, CHAT, limits=Limits(findings=explained))
        assert {name: number for name, number in report.counts.items() if name != "data.too-few-rows"} == {code: 60}


def test_skimming_tells_utf8_from_other_bytes() -> None:
    edges = [bytes([octet]) for octet in (0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC2, 0xF5)]
    high = [bytes([octet]) for octet in range(0x80, 0x100)]
    texts = [*high, *map(b"".join, product(high, edges)), *map(b"".join, product(high[0x60:], edges, edges))]
    texts += map(b"".join, product(high[0x70:0x76], edges, edges, edges))
    rows = ChatRows("messages", system_messages=True)
    good = lines(chat_rows(4))
    for text in texts:
        line = lines(chat_rows(1)).replace(b"bank", b"b" + text)
        skimmed = rows.skim(line + good, np.cumsum([len(each) + 1 for each in (line + good).split(b"\n")[:-1]]) - 1)
        assert skimmed is not None
        assert (skimmed.doubtful == []) == _is_utf8(text), text


@pytest.mark.parametrize(
    "blank",
    [b"", b" ", b"  ", rb"\n", rb"\t \r", "\u00a0".encode(), rb"\u00a0", "\u3000 \u2028".encode(), rb"\u2003\u001c"],
)
@pytest.mark.parametrize("kind", ["default template", "messages"])
def test_skimming_knows_no_blank_text(kind: str, blank: bytes) -> None:
    make, rows = ROWS[kind]
    each = [lines([row]) for row in rows]
    each[3] = re.sub(rb'"Why[^"]*"', lambda _: b'"%b"' % blank, each[3], count=1)
    each[5] = re.sub(rb'"Because[^"]*"', lambda _: b'"%b"' % blank, each[5], count=1)
    skimmed = make().skim(b"".join(each), np.cumsum([len(line) for line in each]) - 1)
    assert skimmed is not None
    assert skimmed.doubtful == [3, 5]


def test_skimming_tells_of_empty_fields_in_the_rows_that_it_knows() -> None:
    each = [
        lines([row | {"context": ""}]) if index % 5 else lines([row]) for index, row in enumerate(instruction_rows(20))
    ]
    each[6] = each[6].replace(b"?", b"\\?")
    skimmed = InstructionRows(JUMPSTART_DEFAULT).skim(b"".join(each), np.cumsum([len(line) for line in each]) - 1)
    assert skimmed is not None
    assert skimmed.doubtful == [6]
    assert {field: numbers.tolist() for field, numbers in skimmed.blanks.items()} == {
        "context": [number for number in range(20) if number % 5 and number != 6]
    }


@pytest.mark.parametrize(
    "said", ["undefined", "N/A", "#n/a", "...", "", "x", "\u200b\u00a0", "\u200b" * 9, " undefined"]
)
def test_answers_that_say_nothing_are_told_of_among_rows_that_were_not_read(said: str) -> None:
    rows = [{"instruction": question(number), "context": "", "response": answer(number)} for number in range(60)]
    rows[40]["response"] = said
    files = {"train.jsonl": lines(instruction_rows(60, first=100)), "validation.jsonl": lines(rows)}
    told = [each for each in judge(files, INSTRUCTION).findings if each.file == "validation.jsonl"]
    expected = "data.near-empty-answer" if said.strip() and said != " undefined" else None
    if not said.strip():
        expected = "data.empty-completion"
    assert [(each.code, each.line) for each in told if each.code != "data.empty-field"] == (
        [(expected, 41)] if expected else []
    )


def test_several_threads_may_validate_at_once() -> None:
    files = {"train.jsonl": lines(chat_rows(60)), "validation.jsonl": lines(chat_rows(2_000, first=100))}
    with ThreadPoolExecutor(3) as pool:
        reports = [*pool.map(lambda _: judge(files, CHAT), range(6))]
    assert reports == [judge(files, CHAT)] * 6


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


# ------------------------------------------------ whole files

_SPLIT = HeldOutSplit(ratio=0.2, seed=5)
_SMALL = Limits(line_bytes=3_000, findings=12, findings_per_warning=3, inflated_bytes=1 << 20)

_PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d494844520000000200000002080000000057dd52f80000000e49444154789c63606462606601"
    "00001d000b0db552060000000049454e44ae426082"
)


@pytest.mark.parametrize("kind", [kind for kind in ROWS if kind != "one field"])
def test_a_carriage_return_within_a_row_is_not_handed_on(kind: str) -> None:
    make, (row, *_) = ROWS[kind]
    line = b",\r".join(lines([row]).split(b", ", 1))
    rows = make()
    assert b"\r" in line
    assert rows.accept(line, np.array([len(line) - 1])) is None
    assert rows.glance(line) is None
    assert b"\r" not in rows.judge(line).line


def _files(technique: Technique) -> list[tuple[str, bytes]]:
    text = "\n".join(text_lines(12)).encode()
    pictures = [{"file_name": f"{number}.png", "prompt": question(number), "completion": "A"} for number in range(12)]
    return {
        INSTRUCTION: [("train.jsonl", lines(instruction_rows(12)))],
        DPO: [("train.jsonl", lines(text_pairs(12))), ("train-2.jsonl", lines(conversation_pairs(12)))],
        CHAT: [(f"train-{key}.jsonl", lines(chat_rows(12, key=key))) for key in ("messages", "dialog")],
        TEXT: [
            ("train.txt", text),
            ("train.csv", b"text,source\n" + b"".join(b'"%b",x\n' % line for line in text.split(b"\n"))),
            ("train.json", json.dumps([{"text": line} for line in text_lines(12)], indent=1).encode()),
        ],
        VISUAL: [("train/metadata.jsonl", lines(pictures))],
    }[technique]


def assert_sound(name: str, content: bytes, technique: Technique, **changes: Any) -> ValidationReport:
    """Validate twice: whatever the bytes are, the report is the same, and what it holds can be told."""
    pictures = {f"{number}.png": _PNG for number in range(12)}
    values = {"pictures": pictures, "split": _SPLIT, "limits": _SMALL, **changes}
    report = judge({name: content}, technique, **values)
    # How much of a damaged gzip stream can be read depends on how much is read at once.
    chunk = 1 << 20 if name.endswith(".gz") else 700
    assert report == judge({name: content}, technique, chunk=chunk, **values)
    assert report == ValidationReport.model_validate_json(report.model_dump_json())
    assert len(report.findings) <= report.limits.findings
    number_of_lines = content.count(b"\n") + content.count(b"\r") + 1
    for each in report.findings:
        assert each.code in MEANINGS
        assert each.severity is MEANINGS[each.code].severity
        assert each.excerpt.isascii()
        assert each.excerpt.isprintable()
        assert len(each.excerpt) <= 80
        assert each.path.isascii()
        assert len(each.path) <= 200
        assert each.message.isascii()
        assert "\n" not in each.message
        assert len(each.message) < 2_000
        assert each.file in ("", name)
        if not name.endswith(".gz"):
            assert each.offset is None or 0 <= each.offset <= len(content)
            assert each.line is None or 1 <= each.line <= number_of_lines
    kept: dict[str, int] = {}
    for each in report.findings:
        kept[each.code] = kept.get(each.code, 0) + 1
    assert all(report.counts.get(code, 0) >= number for code, number in kept.items())
    assert bool(report.errors) == (not report.accepted)
    return report


_TECHNIQUES = st.sampled_from(Technique)
_NAMES = {
    INSTRUCTION: ["train.jsonl", "train.jsonl.gz"],
    CHAT: ["train.jsonl", "train.jsonl.gz"],
    DPO: ["train.jsonl", "train.jsonl.gz"],
    TEXT: ["train.txt", "train.csv", "train.json", "train.txt.gz", "train.csv.gz", "train.json.gz"],
    VISUAL: ["metadata.jsonl"],
}
_QUICK = settings(max_examples=60)


@_QUICK
@given(st.data(), _TECHNIQUES, st.binary(max_size=300))
@example(None, INSTRUCTION, b"")
@example(None, INSTRUCTION, b"{")
def test_any_bytes_end_as_rows_or_findings(data: st.DataObject | None, technique: Technique, content: bytes) -> None:
    name = data.draw(st.sampled_from(_NAMES[technique])) if data else "train.jsonl"
    assert not assert_sound(name, content, technique).accepted


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "dialog", "role", "content", "instruction", "context", "response", "text"])
            | st.sampled_from(["file_name", "prompt", "completion", "from", "value", "chosen", "rejected", "system"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@_QUICK
@given(data=st.data(), technique=_TECHNIQUES, rows=st.lists(_JSON, min_size=1, max_size=6), plain=st.booleans())
def test_any_json_ends_as_rows_or_findings(
    *, data: st.DataObject, technique: Technique, rows: list[Any], plain: bool
) -> None:
    name = data.draw(st.sampled_from([name for name in _NAMES[technique] if not name.endswith(".gz")]))
    texts = [json.dumps(row, ensure_ascii=plain) for row in rows]
    content = "\n".join(texts).encode(errors="surrogatepass")
    assert_sound(name, content, technique)


@_QUICK
@given(st.data(), _TECHNIQUES, st.randoms(use_true_random=False))
def test_any_mutation_of_a_good_file_ends_as_rows_or_findings(
    data: st.DataObject, technique: Technique, draw: random.Random
) -> None:
    name, content = data.draw(st.sampled_from(_files(technique)))
    for _ in range(data.draw(st.integers(1, 4))):
        content = mutated(content, draw)
    assert_sound(name, data.draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + content, technique)


@pytest.mark.parametrize("technique", Technique)
def test_the_files_that_are_mutated_are_good(technique: Technique) -> None:
    for name, content in _files(technique):
        report = assert_sound(name, content, technique)
        assert report.errors.keys() <= {"data.too-few-rows"}, report.findings
        assert report.training_rows + report.held_out_rows >= 11
