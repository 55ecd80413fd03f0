"""Every planted defect is found, at its line, with its code: alone, and among all the others in one file."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

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
    conversation,
    conversation_pairs,
    found,
    instruction_rows,
    judge,
    labelled_rows,
    lines,
    question,
    text_lines,
    text_pairs,
)
from test_soundness import _PNG

from tunedrop.domain.plan import Technique
from tunedrop.validation.findings import MEANINGS, Finding
from tunedrop.validation.limits import Limits
from tunedrop.validation.rows import messages
from tunedrop.validation.rows.chat import KEYS
from tunedrop.validation.split import HeldOutSplit

_LIMITS = Limits(line_bytes=20_000)
_SECRET = "AK" + "IA" + "Q3EGRIZNEB5TCWL2"
_MAIL = "jane.doe" + "@" + "mail.tunedrop.io"
_SSN = "219" + "-09-" + "9998"


class Planted(NamedTuple):
    """A line that is wrong, and what shall be said of it."""

    line: bytes
    code: str
    path: str = ""
    column: int | None = None
    """Bytes from the line's start to the fault; None where nothing is promised."""


def _row(**changes: Any) -> dict[str, Any]:
    row = {"instruction": question(7_001), "context": "", "response": answer(7_001)}
    return {key: value for key, value in {**row, **changes}.items() if value is not ...}


def _text(**changes: Any) -> bytes:
    return json.dumps(_row(**changes), ensure_ascii=False).encode(errors="surrogatepass")


_GOOD = _text()

_JSON_DEFECTS: dict[str, tuple[bytes, str]] = {
    "cut JSON": (b'{"a": "b', "data.not-json"),
    "trailing comma": (b'{"a": "b",}', "data.not-json"),
    "two objects": (b'{"a": "b"} {"a": "b"}', "data.not-json"),
    "single quotes": (b"{'a': 'b'}", "data.not-json"),
    "top-level array": (b'[{"a": "b"}]', "data.not-an-object"),
    "text alone": (b'"a"', "data.not-an-object"),
    "null alone": (b"null", "data.not-an-object"),
    "bad UTF-8": (b'{"a": "\xff"}', "data.not-utf8"),
    "overlong UTF-8": (b'{"a": "\xc0\xaf"}', "data.not-utf8"),
    "NUL": (b'{"a": "\0"}', "data.nul"),
    "control character": (b'{"a": "\x01"}', "data.not-json"),
    "NaN": (b'{"a": NaN}', "data.not-finite"),
    "infinity": (b'{"a": -Infinity}', "data.not-finite"),
    "1e999": (b'{"a": 1e999}', "data.not-finite"),
    "a number of 5,000 digits": (b'{"a": ' + b"7" * 5_000 + b"}", "data.number-too-large"),
    "too deep": (b'{"a": ' + b"[" * 9_000 + b"]" * 9_000 + b"}", "data.nested-too-deep"),
    "too long": (b'{"a": "' + b"x" * 20_000 + b'"}', "data.line-too-long"),
}

_INSTRUCTION_DEFECTS = {
    **{name: Planted(line, code) for name, (line, code) in _JSON_DEFECTS.items()},
    "missing field": Planted(_text(response=...), "data.missing-field", '"response"'),
    "two fields missing": Planted(_text(response=..., context=...), "data.missing-field", '"context", "response"'),
    "null": Planted(_text(response=None), "data.not-text", "response"),
    "int": Planted(_text(context=3), "data.not-text", "context"),
    "true": Planted(_text(instruction=True), "data.not-text", "instruction"),
    "object": Planted(_text(response={"a": "b"}), "data.not-text", "response"),
    "list": Planted(_text(response=["a"]), "data.not-text", "response"),
    "empty answer": Planted(_text(response=""), "data.empty-completion", "response"),
    "white answer": Planted(_text(response=" \n\u00a0"), "data.empty-completion", "response"),
    "empty prompt": Planted(_text(instruction="", context=" "), "data.empty-prompt", "instruction, context"),
    "duplicate key": Planted(_GOOD[:-1] + b', "response": "other"}', "data.duplicate-key"),
    "duplicate key, spelt otherwise": Planted(_GOOD[:-1] + b', "respons\\u0065": "other"}', "data.duplicate-key"),
    "duplicate key within": Planted(_GOOD[:-1] + b', "more": {"a": 1, "a": 2}}', "data.duplicate-key"),
    "escaped NUL": Planted(_text(response="a\0b"), "data.nul", "response"),
    "lone surrogate": Planted(_text()[:-2] + b'\\ud800"}', "data.lone-surrogate", "response"),
    "lone surrogate in a key": Planted(_GOOD[:-1] + b', "\\udc00": "x"}', "data.lone-surrogate", "\\udc00"),
    "place of a bad byte": Planted(_GOOD[:40] + b"\xe9" + _GOOD[40:], "data.not-utf8", "", 40),
    "place of a comma": Planted(_GOOD.replace(b'", "context', b'"  "context'), "data.not-json", "", None),
    "place of a NUL": Planted(_GOOD[:33] + b"\0" + _GOOD[33:], "data.nul", "", 33),
}


def _chat(key: str, conversation_: Any, **more: Any) -> bytes:
    return json.dumps({key: conversation_, **more}, ensure_ascii=False).encode(errors="surrogatepass")


def _changed(at: int, **changes: Any) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [dict(each) for each in conversation(9_001, 2)]
    messages[at] = {key: value for key, value in {**messages[at], **changes}.items() if value is not ...}
    return messages


def _chat_defects(key: str) -> dict[str, Planted]:
    asked, answered, *_ = conversation(9_002, 2)
    system = {"role": "system", "content": "You help."}
    other = "dialog" if key == "messages" else "messages"
    twice = _chat(key, conversation(9_003))
    return {
        **{name: Planted(line, code) for name, (line, code) in _JSON_DEFECTS.items()},
        "no messages": Planted(b'{"text": "hello"}', "data.no-messages"),
        "empty object": Planted(b"{}", "data.no-messages"),
        "empty messages": Planted(_chat(key, []), "data.no-messages", key),
        "messages are text": Planted(_chat(key, "hello"), "data.not-a-list", key),
        "messages are an object": Planted(_chat(key, {"role": "user"}), "data.not-a-list", key),
        "messages are null": Planted(_chat(key, None), "data.not-a-list", key),
        "a message is text": Planted(_chat(key, [asked, "hello"]), "data.not-a-message", f"{key}[1]"),
        "unknown role": Planted(_chat(key, _changed(2, role="tool")), "data.unknown-role", f"{key}[2].role"),
        "capital role": Planted(_chat(key, _changed(0, role="User")), "data.unknown-role", f"{key}[0].role"),
        "role is a number": Planted(_chat(key, _changed(0, role=1)), "data.unknown-role", f"{key}[0].role"),
        "two users in a row": Planted(_chat(key, [asked, asked, answered]), "data.role-order", f"{key}[1].role"),
        "begins with the assistant": Planted(_chat(key, [answered]), "data.role-order", f"{key}[0].role"),
        "ends with user": Planted(_chat(key, [asked, answered, asked]), "data.ends-with-user", f"{key}[2].role"),
        "system alone": Planted(_chat(key, [system]), "data.ends-with-user", f"{key}[0].role"),
        "system not first": Planted(_chat(key, [asked, answered, system]), "data.role-order", f"{key}[2].role"),
        "two systems": Planted(_chat(key, [system, system, answered]), "data.role-order", f"{key}[1].role"),
        "empty content": Planted(_chat(key, _changed(1, content="")), "data.empty-content", f"{key}[1].content"),
        "white space only": Planted(
            _chat(key, _changed(3, content=" \t\u3000")), "data.empty-content", f"{key}[3].content"
        ),
        "null": Planted(_chat(key, _changed(1, content=None)), "data.not-text", f"{key}[1].content"),
        "int": Planted(_chat(key, _changed(1, content=42)), "data.not-text", f"{key}[1].content"),
        "content in parts": Planted(
            _chat(key, _changed(0, content=[{"text": "hello"}])), "data.not-text", f"{key}[0].content"
        ),
        "missing content": Planted(_chat(key, _changed(1, content=...)), "data.missing-field", f"{key}[1]"),
        "missing role": Planted(_chat(key, _changed(1, role=...)), "data.missing-field", f"{key}[1]"),
        "extra key": Planted(_chat(key, _changed(1, weight=0)), "data.extra-message-key", f"{key}[1].weight"),
        "ShareGPT": Planted(
            _chat(key, [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]),
            "data.sharegpt",
            f"{key}[0]",
        ),
        "two keys": Planted(_chat(key, conversation(9_004), **{other: conversation(9_005)}), "data.mixed-message-keys"),
        "duplicate key": Planted(
            twice.replace(b'"role": "user"', b'"role": "user", "role": "user"'), "data.duplicate-key"
        ),
        "duplicate key, spelt otherwise": Planted(
            twice.replace(b'"content": ', b'"c\\u006fntent": "x", "content": ', 1), "data.duplicate-key"
        ),
        "messages twice": Planted(twice[:-1] + f', "{key}": []'.encode() + b"}", "data.duplicate-key"),
        "lone surrogate": Planted(
            _chat(key, _changed(1, content="@")).replace(b"@", b"\\ud83d"), "data.lone-surrogate", f"{key}[1].content"
        ),
        "escaped NUL": Planted(_chat(key, _changed(1, content="a\0")), "data.nul", f"{key}[1].content"),
    }


def _texts(**changes: Any) -> bytes:
    row = {"prompt": question(6_001), "chosen": answer(6_001), "rejected": "No.", **changes}
    return json.dumps({key: value for key, value in row.items() if value is not ...}, ensure_ascii=False).encode()


_TEXT_PAIR_DEFECTS = {
    **{name: Planted(line, code) for name, (line, code) in _JSON_DEFECTS.items()},
    "no chosen": Planted(_texts(chosen=...), "data.missing-field", '"chosen"'),
    "no rejected": Planted(_texts(rejected=...), "data.missing-field", '"rejected"'),
    "nothing": Planted(b"{}", "data.missing-field", '"prompt", "chosen", "rejected"'),
    "no prompt": Planted(_texts(prompt=...), "data.missing-field", '"prompt"'),
    "null": Planted(_texts(rejected=None), "data.not-text", "rejected"),
    "system is null": Planted(_texts(system=None), "data.not-text", "system"),
    "empty chosen": Planted(_texts(chosen=""), "data.empty-completion", "chosen"),
    "white rejected": Planted(_texts(rejected=" \n\u00a0"), "data.empty-completion", "rejected"),
    "empty prompt": Planted(_texts(prompt=""), "data.empty-prompt", "prompt"),
    "equal answers": Planted(_texts(rejected=answer(6_001)), "data.same-answers", "rejected"),
    "equal but for white space": Planted(_texts(rejected=f" {answer(6_001)}\n"), "data.same-answers", "rejected"),
    "conversations": Planted(json.dumps(conversation_pairs(1)[0]).encode(), "data.mixed-pairs", "chosen"),
    "duplicate key": Planted(_texts()[:-1] + b', "chos\\u0065n": "x"}', "data.duplicate-key"),
}


def _pair(chosen: Any, rejected: Any, **more: Any) -> bytes:
    row = {"chosen": chosen, "rejected": rejected, **more}
    return json.dumps({key: value for key, value in row.items() if value is not ...}, ensure_ascii=False).encode()


def _conversation_pair_defects() -> dict[str, Planted]:
    good = conversation(6_002, 2, system=True)
    worse = [*good[:-1], {"role": "assistant", "content": "No."}]
    other_system = [{"role": "system", "content": "You do not help."}, *worse[1:]]
    return {
        **{name: Planted(line, code) for name, (line, code) in _JSON_DEFECTS.items()},
        "no chosen": Planted(_pair(..., worse), "data.missing-field", '"chosen"'),
        "no rejected": Planted(_pair(good, ...), "data.missing-field", '"rejected"'),
        "null": Planted(_pair(good, None), "data.not-a-list", "rejected"),
        "empty": Planted(_pair([], worse), "data.no-messages", "chosen"),
        "texts": Planted(_texts(), "data.mixed-pairs", "chosen"),
        "unknown role": Planted(
            _pair(good, [{"role": "tool", "content": "x"}]), "data.unknown-role", "rejected[0].role"
        ),
        "ends with user": Planted(_pair(good[:-1], worse), "data.ends-with-user", "chosen[3].role"),
        "answers alone": Planted(_pair(good[-1:], worse[-1:]), "data.role-order", "chosen[0].role"),
        "empty answer": Planted(
            _pair(good, [*good[:-1], {"role": "assistant", "content": " "}]),
            "data.empty-content",
            "rejected[4].content",
        ),
        "another system message": Planted(_pair(good, other_system), "data.different-prompts", "rejected[0]"),
        "another question": Planted(
            _pair(good[1:], [*conversation(6_003, 1), *worse[3:]]), "data.different-prompts", "rejected[0]"
        ),
        "shorter": Planted(_pair(good, good[:3]), "data.different-prompts", "rejected[2]"),
        "equal answers": Planted(_pair(good, good), "data.same-answers", "rejected[4].content"),
        "ShareGPT": Planted(_pair([{"from": "human", "value": "a"}], worse), "data.sharegpt", "chosen[0]"),
    }


_VISUAL_GOOD = {"file_name": "1.png", "prompt": question(8_001), "completion": "A cheque."}


def _picture(**changes: Any) -> bytes:
    row = {key: value for key, value in {**_VISUAL_GOOD, **changes}.items() if value is not ...}
    return json.dumps(row, ensure_ascii=False).encode()


_PICTURES = {
    **{f"{number}.png": _PNG for number in range(200)},
    "cut.png": _PNG[:-9],
    "text.png": b"a text",
    "empty.png": b"",
    "tail.png": _PNG + b"<script>",
    "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
}
_VISUAL_DEFECTS = {
    **{name: Planted(line, code) for name, (line, code) in _JSON_DEFECTS.items()},
    "missing field": Planted(_picture(completion=...), "data.missing-field", "completion"),
    "number": Planted(_picture(prompt=4), "data.not-text", "prompt"),
    "null name": Planted(_picture(file_name=None), "data.not-text", "file_name"),
    "empty answer": Planted(_picture(completion="\n"), "data.empty-completion", "completion"),
    "empty prompt": Planted(_picture(prompt=""), "data.empty-prompt", "prompt"),
    "no such picture": Planted(_picture(file_name="no.png"), "data.image-missing", "file_name"),
    "picture of another case": Planted(_picture(file_name="1.PNG"), "data.image-missing", "file_name"),
    "no name": Planted(_picture(file_name=""), "data.image-path", "file_name"),
    "absolute": Planted(_picture(file_name="/etc/passwd"), "data.image-path", "file_name"),
    "outside": Planted(_picture(file_name="images/../../1.png"), "data.image-path", "file_name"),
    "percent": Planted(_picture(file_name="%2e%2e/1.png"), "data.image-path", "file_name"),
    "cut off": Planted(_picture(file_name="cut.png"), "data.image-broken"),
    "no picture": Planted(_picture(file_name="text.png"), "data.image-format"),
    "empty picture": Planted(_picture(file_name="empty.png"), "data.image-broken"),
    "polyglot": Planted(_picture(file_name="tail.png"), "data.image-broken"),
    "SVG": Planted(_picture(file_name="drawing.svg"), "data.image-format"),
}


def _visual_rows(count: int) -> list[dict[str, str]]:
    return [
        {"file_name": f"{number}.png", "prompt": question(number), "completion": answer(number)}
        for number in range(count)
    ]


class Corpus(NamedTuple):
    technique: Technique
    name: str
    good: Sequence[bytes]
    defects: dict[str, Planted]
    head: bytes = b""
    first: int = 0
    """Rows before the first defect; of JSON the first record decides on what is read."""
    changes: dict[str, Any] = {}  # noqa: RUF012 - read only


_TEXT_DEFECTS = {
    "bad UTF-8": Planted(b"caf\xe9 and so on", "data.not-utf8", "", 3),
    "NUL": Planted(b"so\0on", "data.nul", "", 2),
    "too long": Planted(b"x" * 20_001, "data.line-too-long"),
    "surrogate": Planted(b"a\xed\xa0\x80", "data.not-utf8", "", 1),
}
_CSV_DEFECTS = {
    "too few cells": Planted(b"alone", "data.ragged-row"),
    "too many cells": Planted(b"a,b,c", "data.ragged-row"),
    "bad UTF-8": Planted(b"caf\xe9,b", "data.not-utf8", "", 3),
    "NUL": Planted(b"so\0on,b", "data.nul", "", 2),
    "text behind a quote": Planted(b'"a" b,c', "data.not-csv"),
    "too long": Planted(b"x" * 20_001 + b",b", "data.line-too-long"),
}
_JSON_TEXT_DEFECTS = {
    **{name: Planted(line, code) for name, (line, code) in _JSON_DEFECTS.items()},
    "missing field": Planted(b'{"body": "a"}', "data.missing-field"),
    "number": Planted(b'{"text": 3}', "data.not-text", "text"),
    "duplicate key": Planted(b'{"text": "a", "te\\u0078t": "b"}', "data.duplicate-key"),
    "lone surrogate": Planted(b'{"text": "\\udfff"}', "data.lone-surrogate", "text"),
    "escaped NUL": Planted(b'{"text": "\\u0000"}', "data.nul", "text"),
}

CORPORA = {
    "default template": Corpus(
        INSTRUCTION, "train.jsonl", lines(instruction_rows(200)).splitlines(), _INSTRUCTION_DEFECTS
    ),
    "own template": Corpus(
        INSTRUCTION,
        "train.jsonl",
        lines(labelled_rows(200)).splitlines(),
        {
            **{name: Planted(line, code) for name, (line, code) in _JSON_DEFECTS.items()},
            "missing field": Planted(b'{"text": "a", "lable": "b"}', "data.missing-field", '"label"'),
            "number": Planted(b'{"text": "a", "label": 7}', "data.not-text", "label"),
            "empty answer": Planted(b'{"text": "a", "label": ""}', "data.empty-completion", "label"),
            "empty prompt": Planted(b'{"text": "", "label": "a"}', "data.empty-prompt", "text"),
        },
        changes={"template": TEMPLATE},
    ),
    **{
        f"chat, {key}": Corpus(CHAT, "train.jsonl", lines(chat_rows(200, key=key)).splitlines(), _chat_defects(key))
        for key in KEYS
    },
    "pairs of texts": Corpus(DPO, "train.jsonl", lines(text_pairs(200)).splitlines(), _TEXT_PAIR_DEFECTS, first=1),
    "pairs of conversations": Corpus(
        DPO, "train.jsonl", lines(conversation_pairs(200)).splitlines(), _conversation_pair_defects(), first=1
    ),
    "text": Corpus(TEXT, "train.txt", [line.encode() for line in text_lines(200)], _TEXT_DEFECTS),
    "CSV": Corpus(
        TEXT, "train.csv", [b'"%b",x' % line.encode() for line in text_lines(200)], _CSV_DEFECTS, b"text,source\n"
    ),
    "JSON lines": Corpus(
        TEXT, "train.json", lines({"text": line} for line in text_lines(200)).splitlines(), _JSON_TEXT_DEFECTS, first=1
    ),
    "pictures": Corpus(
        VISUAL,
        "metadata.jsonl",
        lines(_visual_rows(200)).splitlines(),
        _VISUAL_DEFECTS,
        changes={"pictures": _PICTURES},
    ),
}


def _judged(corpus: Corpus, rows: Sequence[bytes], end: bytes = b"\n") -> Any:
    content = corpus.head + b"".join(row + end for row in rows)
    return judge({corpus.name: content}, corpus.technique, **{"limits": _LIMITS, **corpus.changes})


def _errors(report: Any) -> list[Finding]:
    return [each for each in report.findings if MEANINGS[each.code].severity == "error"]


def _assert_found(each: Finding, planted: Planted, corpus: Corpus, before: Sequence[bytes], end: int = 1) -> None:
    start = len(corpus.head) + sum(len(row) + end for row in before)
    assert each.code == planted.code, each
    assert each.line == len(before) + 1 + corpus.head.count(b"\n")
    assert each.offset is not None
    if planted.column is None:
        assert start <= each.offset <= start + len(planted.line)
    else:
        assert each.offset == start + planted.column
    if planted.path:
        assert each.path == planted.path
    assert each.fix


@pytest.mark.parametrize(
    ("corpus", "name"), [(corpus, name) for corpus, each in CORPORA.items() for name in each.defects]
)
def test_a_planted_defect_is_found_alone(corpus: str, name: str) -> None:
    each = CORPORA[corpus]
    planted = each.defects[name]
    for at, end in ((each.first, b"\n"), (17, b"\r\n")):
        rows = [*each.good[:at], planted.line, *each.good[at:40]]
        report = _judged(each, rows, end)
        errors = _errors(report)
        assert {(error.code, error.line) for error in errors} == {(planted.code, errors[0].line)}
        _assert_found(errors[0], planted, each, rows[:at], len(end))
        assert report.faulty_rows == 1
        assert report.training_rows == 40
        assert not report.accepted


@pytest.mark.parametrize("corpus", CORPORA)
def test_all_defects_are_found_together_in_one_file(corpus: str) -> None:
    each = CORPORA[corpus]
    rows: list[bytes] = []
    planted: dict[int, Planted] = {}
    defects = [*each.defects.values()]
    for number, good in enumerate(each.good):
        if number % 4 == 3 and defects:
            planted[len(rows)] = defects.pop(0)
            rows.append(planted[len(rows)].line)
        rows.append(good)
    assert not defects
    report = _judged(each, rows)
    errors: dict[int, Finding] = {}
    for error in _errors(report):
        assert error.line
        errors.setdefault(error.line - 1 - each.head.count(b"\n"), error)
    assert errors.keys() == planted.keys()
    for at, error in errors.items():
        _assert_found(error, planted[at], each, rows[:at])
    assert report.faulty_rows == len(planted)
    assert report.training_rows == len(each.good)


@pytest.mark.parametrize("corpus", CORPORA)
def test_a_clean_corpus_has_no_finding(corpus: str) -> None:
    each = CORPORA[corpus]
    report = _judged(each, each.good)
    assert report.training_rows == 200
    assert report.accepted
    assert report.counts.keys() <= {"data.image-unreferenced"}


# ------------------------------------------------ arrays


def test_defects_in_an_array_are_found_at_their_lines() -> None:
    items = [json.dumps({"text": line}) for line in text_lines(30)]
    items[5], items[9] = '{"text": 3}', '{"text": "a", "text": "b"}'
    report = judge({"train.json": ("[\n" + ",\n".join(items) + "\n]\n").encode()}, TEXT)
    assert [each for each in found(report) if MEANINGS[each[0]].severity == "error"] == [
        ("data.not-text", 7),
        ("data.duplicate-key", 11),
    ]
    assert (report.training_rows, report.faulty_rows) == (28, 2)


# ------------------------------------------------ warnings


def _warned(technique: Technique, files: dict[str, bytes], code: str, **changes: Any) -> list[tuple[str, int | None]]:
    report = judge(files, technique, **changes)
    assert report.accepted, report.findings
    assert report.counts[code] >= 1
    return [(each.file, each.line) for each in report.findings if each.code == code]


def _instructions(*planted: dict[str, Any], count: int = 120) -> bytes:
    rows: list[dict[str, Any]] = [*instruction_rows(count)]
    rows[50:50] = planted
    return lines(rows)


@pytest.mark.parametrize(
    ("planted", "code"),
    [
        ({"instruction": "Hi", "context": "", "response": "Yes"}, "data.short-row"),
        (_row(response="y"), "data.near-empty-answer"),
        (_row(response="N/A"), "data.near-empty-answer"),
        (_row(response=" None "), "data.near-empty-answer"),
        (_row(response="\u200b\ufeff"), "data.near-empty-answer"),
        (_row(instruction=" ", context=question(1)), "data.empty-field"),
        (_row(more="x"), "data.extra-field"),
        (_row(response=f"The key is {_SECRET}, use it."), "data.secret"),
        (_row(response=f"Write to {_MAIL}, please."), "data.personal"),
        (_row(response=f"The number is {_SSN}, I think."), "data.personal"),
        (_row(response=" ".join(answer(number) for number in range(60))), "data.truncated"),
    ],
)
def test_a_row_worth_a_warning_is_named(planted: dict[str, Any], code: str) -> None:
    files = {"train.jsonl": _instructions(planted)}
    assert _warned(INSTRUCTION, files, code, max_input_length=1_000) == [("train.jsonl", 51)]


def test_what_looks_like_a_secret_is_masked_and_placed() -> None:
    content = _instructions(_row(response=f"The key is {_SECRET}, use it."))
    each = next(each for each in judge({"train.jsonl": content}, INSTRUCTION).findings if each.code == "data.secret")
    assert each.offset == content.index(_SECRET.encode())
    assert _SECRET[:4] in each.excerpt
    assert _SECRET not in each.model_dump_json()


def test_a_blank_line_is_named_and_skipped() -> None:
    content = lines(instruction_rows(120)).replace(b"}\n{", b"}\n \t\r\n{", 1)
    assert _warned(INSTRUCTION, {"train.jsonl": content}, "data.blank-line") == [("train.jsonl", 2)]


def test_the_tokens_that_are_lost_are_counted() -> None:
    long = _row(response=" ".join(answer(number) for number in range(60)))
    report = judge({"train.jsonl": _instructions(long)}, INSTRUCTION, max_input_length=1_000)
    assert report.tokens
    assert report.tokens.truncated_rows == 1
    assert report.tokens.tokens_lost == pytest.approx(report.tokens.longest - 1_000, abs=2)
    assert report.tokens.tokens_lost > 100


@pytest.mark.parametrize("key", KEYS)
def test_equal_and_similar_conversations_are_named(key: str) -> None:
    rows: list[dict[str, Any]] = [*chat_rows(130, key=key)]
    rows[100] = json.loads(json.dumps(rows[20]))
    rows[110] = json.loads(json.dumps(rows[31]).replace(" w0", " u0", 1).replace(" v0", " u0", 1))
    files = {"train.jsonl": lines(rows)}
    assert _warned(CHAT, files, "data.duplicate") == [("train.jsonl", 101)]
    assert rows[110] != rows[31]
    assert _warned(CHAT, files, "data.near-duplicate") == [("train.jsonl", 111)]


@pytest.mark.parametrize("other", ["validation.jsonl", "held-out.jsonl"])
def test_rows_that_are_measured_with_and_trained_on_are_named(other: str) -> None:
    rows = instruction_rows(150)
    apart: list[dict[str, Any]] = [*instruction_rows(40, first=500)]
    apart[3] = rows[60]
    apart[7] = {**rows[61], "response": rows[61]["response"].replace("papers", "documents")}
    files = {"train.jsonl": lines(rows), other: lines(apart)}
    assert _warned(INSTRUCTION, files, "data.leakage") == [(other, 4)]
    assert _warned(INSTRUCTION, files, "data.near-leakage") == [(other, 8)]
    report = judge(files, INSTRUCTION)
    assert (report.duplicates.leaked, report.duplicates.near_leaked) == (1, 1)
    assert (report.duplicates.exact, report.duplicates.near) == (0, 0)


def test_copies_stay_on_one_side_of_a_split() -> None:
    rows = instruction_rows(150)
    split = HeldOutSplit(ratio=0.3, seed=1)
    report = judge({"train.jsonl": lines([*rows, *rows])}, INSTRUCTION, split=split)
    assert report.duplicates.exact == 150
    assert report.duplicates.leaked == 0
    assert report.training_rows + report.held_out_rows == 300
    assert report.held_out_source == "split"


def test_labels_are_counted_and_lopsided_ones_told() -> None:
    rows = [{**row, "label": "rare" if number % 100 == 0 else "usual"} for number, row in enumerate(labelled_rows(300))]
    files = {"train.jsonl": lines(rows)}
    assert _warned(INSTRUCTION, files, "data.imbalance", template=TEMPLATE) == [("", None)]
    labels = judge(files, INSTRUCTION, template=TEMPLATE).labels or ()
    assert [(each.label, each.rows) for each in labels] == [("usual", 297), ("rare", 3)]


def test_one_label_alone_is_told() -> None:
    rows = [{**row, "label": "yes"} for row in labelled_rows(150)]
    assert _warned(INSTRUCTION, {"train.jsonl": lines(rows)}, "data.one-label", template=TEMPLATE) == [("", None)]


@pytest.mark.parametrize("blank", ["", " \t"])
def test_a_field_that_is_empty_in_few_rows_is_told_and_one_that_is_in_many_is_not(blank: str) -> None:
    rows = [{**row, "context": blank if number % 50 == 7 else question(number)} for number, row in _numbered(200)]
    files = {"train.jsonl": lines(rows)}
    assert _warned(INSTRUCTION, files, "data.empty-field") == [("train.jsonl", at) for at in (8, 58, 108, 158)]
    rows = [{**row, "context": blank if number % 3 else question(number)} for number, row in _numbered(200)]
    assert not judge({"train.jsonl": lines(rows)}, INSTRUCTION).counts


def _numbered(count: int) -> list[tuple[int, dict[str, str]]]:
    return list(enumerate(instruction_rows(count)))


def test_labels_of_one_letter_are_no_empty_answers() -> None:
    rows = [{**row, "label": "ABCD"[number % 4]} for number, row in enumerate(labelled_rows(150))]
    report = judge({"train.jsonl": lines(rows)}, INSTRUCTION, template=TEMPLATE)
    assert not report.counts
    assert len(report.labels or ()) == 4


@pytest.mark.parametrize(
    ("count", "counts"),
    [(9, {"data.too-few-rows": 1}), (10, {"data.few-rows": 1}), (99, {"data.few-rows": 1}), (100, {})],
)
def test_few_rows_are_told(count: int, counts: dict[str, int]) -> None:
    assert judge({"train.jsonl": lines(instruction_rows(count))}, INSTRUCTION).counts == counts


def test_few_held_out_rows_are_told() -> None:
    files = {"train.jsonl": lines(instruction_rows(120)), "held-out.jsonl": lines(instruction_rows(29, 900))}
    assert _warned(INSTRUCTION, files, "data.few-held-out-rows") == [("", None)]


def test_rows_that_were_set_apart_are_told_beside_those_that_are_missing() -> None:
    report = judge({"train.jsonl": lines(instruction_rows(1))}, INSTRUCTION, split=HeldOutSplit(ratio=1 - 1e-9, seed=1))
    assert report.findings[0].message == (
        "0 good rows to train on, beside 1 set apart to measure with; at least 10 are needed."
    )


def test_nothing_held_out_is_refused() -> None:
    files = {"train.jsonl": lines(instruction_rows(120))}
    report = judge(files, INSTRUCTION, split=HeldOutSplit(ratio=1e-9, seed=1))
    assert report.errors == {"data.nothing-held-out": 1}


@pytest.mark.parametrize(("technique", "name"), [(TEXT, "held-out.txt"), (VISUAL, "held-out/metadata.jsonl")])
def test_where_to_hold_rows_out_is_told_by_the_technique(technique: Technique, name: str) -> None:
    files = (
        {"train.txt": "".join(text_lines(1)).encode()}
        if technique is TEXT
        else {"metadata.jsonl": lines(_visual_rows(195))}
    )
    report = judge(files, technique, pictures=_PICTURES, split=HeldOutSplit(ratio=1e-9, seed=1))
    (found,) = [each for each in report.findings if each.code == "data.nothing-held-out"]
    assert name in found.fix


def test_a_picture_of_a_faulty_row_is_no_spare_one() -> None:
    rows = _visual_rows(195)
    faulty = [{**row, "completion": ""} for row in rows[:40]] + [{"file_name": row["file_name"]} for row in rows[40:80]]
    files = {"metadata.jsonl": lines([*faulty, *rows[80:]])}
    pictures = {row["file_name"]: _PNG for row in rows}
    for findings in (1_000, 5):
        report = judge(files, VISUAL, pictures=pictures, limits=Limits(findings=findings))
        assert report.faulty_rows == 80
        assert "data.image-unreferenced" not in report.counts


def test_pictures_that_no_row_mentions_are_counted() -> None:
    pictures = {**_PICTURES, "spare/\u202e.png": _PNG}
    files = {"metadata.jsonl": lines(_visual_rows(195))}
    report = judge(files, VISUAL, pictures=pictures)
    assert report.counts == {"data.image-unreferenced": 11}
    assert all(each.excerpt.isascii() for each in report.findings)


def test_tables_warn_of_columns_formulas_and_empty_cells() -> None:
    content = b"body,source\n" + b"".join(b'"%b",x\n' % line.encode() for line in text_lines(40)) + b",x\n=1+1,x\n"
    report = judge({"train.csv": content}, TEXT)
    assert report.accepted
    assert {("data.first-column", 1), ("data.empty-text", 42), ("data.formula", 43)} <= set(found(report))


def test_a_secret_in_a_table_is_placed_at_its_record() -> None:
    content = b'text\n"' + b'"" ' * 50 + b'\n"\n"my key is ' + _SECRET.encode() + b'"\n'
    each = next(each for each in judge({"train.csv": content}, TEXT).findings if each.code == "data.secret")
    assert (each.line, each.offset) == (4, content.index(b'"my key'))


def test_a_system_message_is_refused_where_the_model_knows_none() -> None:
    rows = [{"messages": conversation(number, system=number == 30)} for number in range(120)]
    report = judge({"train.jsonl": lines(rows)}, CHAT, system_messages=False)
    assert [(each.code, each.line, each.path) for each in report.findings] == [
        ("data.system-message", 31, "messages[0].role")
    ]


def test_a_defect_far_down_a_long_conversation_is_placed() -> None:
    messages = conversation(1, 700)
    messages[1_000] = {"role": "user", "content": ""}
    report = judge({"train.jsonl": lines([*chat_rows(100), {"messages": messages}])}, CHAT)
    assert [(each.code, each.line, each.path) for each in _errors(report)] == [
        ("data.empty-content", 101, "messages[1000].content")
    ]


def test_of_a_message_with_very_many_keys_few_reach_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = 0
    faults = messages.faults

    def counted(document: Any, *others: Any) -> Any:
        nonlocal keys
        keys += sum(map(len, next(iter(document.values()))))
        return faults(document, *others)

    monkeypatch.setattr(messages, "faults", counted)
    extra: dict[str, Any] = {f"k{number}": 0 for number in range(90_000)}
    message = {**extra, "role": "user", "content": "hello"}
    rows: list[Any] = [*chat_rows(100), {"messages": [message, {"role": "assistant", "content": "Good day."}]}]
    report = judge({"train.jsonl": lines(rows)}, CHAT, limits=Limits(line_bytes=4 << 20))
    assert {(each.code, each.line) for each in _errors(report)} == {("data.extra-message-key", 101)}
    assert _errors(report)[0].path == "messages[0].k0"
    assert keys < 1_000


@pytest.mark.parametrize(("value", "text"), [(None, "null"), (True, "true"), ([None, "\u00e9"], '[null, "\\xe9"]')])
def test_values_are_shown_as_json(value: object, text: str) -> None:
    report = judge({"train.jsonl": _instructions(_row(response=value))}, INSTRUCTION)
    assert [each.excerpt for each in _errors(report)] == [text]


def test_beyond_the_first_thousand_faulty_rows_are_counted() -> None:
    content = (_text(instruction=1) + b"\n{\n") * 900 + lines(instruction_rows(100))
    report = judge({"train.jsonl": content}, INSTRUCTION)
    assert report.faulty_rows == 1_800
    assert len(report.findings) == 1_000
    assert report.counts["data.not-json"] == 900
    assert report.findings[-1].line == 1_000


def test_a_faulty_file_says_nothing_against_the_others() -> None:
    files = {
        "train-1.jsonl": lines(instruction_rows(60)),
        "train-2.jsonl": b"PK\x03\x04" + lines(instruction_rows(60)),
        "train-3.jsonl": lines(instruction_rows(60, 60)),
    }
    report = judge(files, INSTRUCTION)
    assert report.errors == {"data.foreign-format": 1}
    assert report.findings[0].file == "train-2.jsonl"
    assert report.training_rows == 120


@pytest.mark.parametrize("escaped", [True, False])
def test_escapes_make_no_row_longer_for_the_model(*, escaped: bool) -> None:
    rows = [
        _row(instruction="请在收到通知后的三个工作日内提交您的申请材料。" * 3, response=f"第{each}份")
        for each in range(120)
    ]
    content = b"".join(json.dumps(row, ensure_ascii=escaped).encode() + b"\n" for row in rows)
    report = judge({"train.jsonl": content}, INSTRUCTION, max_input_length=150)
    assert report.tokens
    assert report.tokens.truncated_rows == 0
    assert report.tokens.mean == pytest.approx(94, abs=1)


def test_a_file_whose_head_is_blank_is_reckoned_as_prose() -> None:
    report = judge({"train.jsonl": b"\n" * 20_000 + lines(instruction_rows(120))}, INSTRUCTION)
    assert report.counts == {"data.blank-line": 20_000}
    assert report.tokens
    assert report.tokens.bytes_per_token == pytest.approx(4.3)
