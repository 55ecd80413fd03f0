"""Mistakes that people make in each technique: each is told at its line, with its code, and its neighbours are not."""

import bz2
import gzip
import io
import json
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from datasets import (
    CHAT,
    DPO,
    INSTRUCTION,
    TEXT,
    VISUAL,
    answer,
    chat_rows,
    conversation_pairs,
    instruction_rows,
    judge,
    lines,
    question,
    text_lines,
    text_pairs,
)
from PIL import Image

from tunedrop.domain.plan import Technique
from tunedrop.domain.prompt_template import PromptTemplate
from tunedrop.validation.findings import MEANINGS, Finding
from tunedrop.validation.limits import Limits

_ASKED = {"role": "user", "content": "What was my balance at the end of last month?"}
_ANSWERED = {"role": "assistant", "content": "It was twelve pounds and thirty pence in all."}
_SYSTEM = {"role": "system", "content": "You help the customers of a bank."}
_ROW = {"instruction": "Say what the capital of France is.", "context": "Geography, one.", "response": "It is Paris."}
_PICTURE_ROW = {"file_name": "images/200.png", "prompt": "What is in the picture?", "completion": "A grey square of 8."}


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _talk(*messages: object, key: str = "messages") -> bytes:
    return _json({key: messages})


def _changed(row: Mapping[str, Any], **changes: Any) -> bytes:
    return _json({key: value for key, value in {**row, **changes}.items() if value is not ...})


def _zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _picture(width: int, height: int, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((width, height), 80).save(buffer, kind)
    return buffer.getvalue()


_CHAT = [
    ("data.unknown-role", _talk({**_ASKED, "role": "human"}, _ANSWERED)),
    ("data.unknown-role", _talk(_ASKED, {**_ANSWERED, "role": "model"})),
    ("data.unknown-role", _talk({**_ASKED, "role": " user"}, _ANSWERED)),
    ("data.unknown-role", _talk({"role": "developer", "content": "Be kind."}, _ASKED, _ANSWERED)),
    ("data.unknown-role", _talk(_ASKED, _ANSWERED, {"role": "tool", "content": "1"}, _ANSWERED)),
    ("data.not-text", _talk({**_ASKED, "content": [{"type": "text", "text": "hello"}]}, _ANSWERED)),
    ("data.not-text", _talk(_ASKED, {"role": "assistant", "content": None, "tool_calls": []})),
    ("data.missing-field", _talk(_ASKED, {"role": "assistant", "tool_calls": []})),
    ("data.missing-field", _talk({"Role": "user", "content": "hello"}, _ANSWERED)),
    ("data.missing-field", _talk({}, _ANSWERED)),
    ("data.extra-message-key", _talk({**_ASKED, "name": "bob"}, _ANSWERED)),
    ("data.extra-message-key", _talk(_ASKED, {**_ANSWERED, "weight": 0})),
    ("data.role-order", _talk(_ASKED, _ANSWERED, _ANSWERED)),
    ("data.role-order", _talk(_SYSTEM, _ANSWERED)),
    ("data.role-order", _talk(_ASKED, _SYSTEM, _ANSWERED)),
    ("data.ends-with-user", _talk(_SYSTEM, _ASKED)),
    ("data.not-a-list", _json({"messages": json.dumps([_ASKED, _ANSWERED])})),
    ("data.not-a-message", _talk([_ASKED, _ANSWERED])),
    ("data.not-a-message", _talk(_ASKED, None)),
    ("data.not-an-object", _json(json.dumps({"messages": [_ASKED, _ANSWERED]}))),
    ("data.not-an-object", _json([_ASKED, _ANSWERED])),
    ("data.no-messages", _json({"Messages": [_ASKED, _ANSWERED]})),
    ("data.no-messages", _json(_ASKED)),
    ("data.no-messages", _json({"prompt": "hello", "completion": "good day"})),
    ("data.sharegpt", _talk({"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}, key="conversations")),
    ("data.not-json", str({"messages": [_ASKED, _ANSWERED]}).encode()),
    ("data.not-json", _talk(_ASKED, _ANSWERED) + b","),
    ("data.not-json", _talk(_ASKED, _ANSWERED) * 2),
    ("data.not-json", b"# a comment"),
    ("data.empty-content", _talk(_ASKED, {**_ANSWERED, "content": "\u00a0\n"})),
    ("data.near-empty-answer", _talk(_ASKED, {**_ANSWERED, "content": "\u200b\u200b"})),
    ("data.extra-field", _json({"messages": [_ASKED, _ANSWERED], "id": 7})),
]
_INSTRUCTION = [
    ("data.missing-field", _changed(_ROW, response=..., Response="x")),
    ("data.missing-field", _json({"instruction": "a", "context": "b", "response ": "c"})),
    ("data.missing-field", _json({"instruction": "a", "input": "b", "output": "c"})),
    ("data.missing-field", _talk(_ASKED, _ANSWERED)),
    ("data.missing-field", b"{}"),
    ("data.not-text", _changed(_ROW, response=4.5)),
    ("data.not-text", _changed(_ROW, response=["It is Paris."])),
    ("data.not-text", _changed(_ROW, context=None)),
    ("data.not-text", _changed(_ROW, instruction=False)),
    ("data.empty-completion", _changed(_ROW, response=" \n")),
    ("data.empty-prompt", _changed(_ROW, instruction="", context="\t")),
    ("data.empty-field", _changed(_ROW, context="")),
    ("data.near-empty-answer", _changed(_ROW, response="nan")),
    ("data.near-empty-answer", _changed(_ROW, response="#N/A")),
    ("data.not-json", _json(_ROW).replace(b"Paris", b'"Paris"')),
    ("data.not-json", _json(_ROW).replace(b"Paris", b"\\xParis")),
    ("data.not-json", _json(_ROW)[:-2]),
    ("data.not-json", b"instruction,context,response"),
    ("data.not-json", b"\xc2\xa0" + _json(_ROW)),
    ("data.not-an-object", _json([_ROW])),
    ("data.not-finite", _changed(_ROW, score=float("nan"))),
    ("data.truncated", _changed(_ROW, response="It is Paris. " * 3_000)),
]
_TEXT = [
    ("data.not-utf8", b"A line in Latin-1: caf\xe9"),
    ("data.not-utf8", b"A character that is cut: caf\xc3"),
    ("data.nul", "A line in UTF-16".encode("utf-16-le")),
    ("data.line-too-long", b"x" * 60_001),
    ("data.secret", b"The key is AK" + b"IAQ3EGRIZNEB5TCWL2, keep it."),
]
_TABLE = [
    ("data.ragged-row", b"To be, or not to be, that is the question,x"),
    ("data.ragged-row", b"separated;by semicolons"),
    ("data.not-csv", b'"To be" or not to be,x'),
    ("data.not-utf8", b"caf\xe9,x"),
    ("data.empty-text", b" ,x"),
    ("data.formula", b"=HYPERLINK(1),x"),
    ("data.repeated-header", b"text,source"),
    ("data.blank-line", b""),
]
_RECORDS = [
    ("data.missing-field", _json({"Text": "a"})),
    ("data.not-text", _json({"text": None})),
    ("data.not-text", _json({"text": ["a"]})),
    ("data.not-json", _json({"text": "a"}) + b","),
    ("data.duplicate-key", b'{"text": "a", "text": "b"}'),
    ("data.empty-text", _json({"text": "  "})),
]
_PHOTO = _picture(64, 64, "JPEG")
_PICTURES = {
    **{f"images/{number}.png": _picture(8, 8) for number in range(201)},
    "images/half.jpg": _PHOTO[: len(_PHOTO) // 2],
    "images/end.jpg": _PHOTO[:-2],
    "images/page.jpg": b"<html></html>",
    "images/pointer.png": b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n",
    "images/none.png": b"",
    "images/dot.png": _picture(1, 1),
    "images/photo.png": _PHOTO,
    "images/old.bmp": _picture(8, 8, "BMP"),
}
_VISUAL = [
    *(
        (code, _changed(_PICTURE_ROW, file_name=name))
        for code, name in (
            ("data.image-missing", "images/999.png"),
            ("data.image-missing", "200.png"),
            ("data.image-missing", "images/200.PNG"),
            ("data.image-missing", "images/200"),
            ("data.image-missing", " images/200.png"),
            ("data.image-path", "../images/200.png"),
            ("data.image-path", "/images/200.png"),
            ("data.image-path", "./images/200.png"),
            ("data.image-path", "images\\200.png"),
            ("data.image-path", "https://example.com/200.png"),
            ("data.image-path", ""),
            ("data.image-broken", "images/half.jpg"),
            ("data.image-broken", "images/end.jpg"),
            ("data.image-broken", "images/none.png"),
            ("data.image-format", "images/page.jpg"),
            ("data.image-format", "images/pointer.png"),
            ("data.image-format", "images/old.bmp"),
            ("data.image-too-small", "images/dot.png"),
            ("data.image-mislabelled", "images/photo.png"),
            ("data.not-text", ["images/200.png"]),
            ("data.not-text", None),
        )
    ),
    ("data.missing-field", _changed(_PICTURE_ROW, file_name=..., image="images/200.png")),
    ("data.missing-field", _changed(_PICTURE_ROW, prompt=..., question="What is it?")),
    ("data.not-text", _changed(_PICTURE_ROW, completion=["A square.", "A grey square."])),
    ("data.empty-prompt", _changed(_PICTURE_ROW, prompt=" ")),
    ("data.empty-completion", _changed(_PICTURE_ROW, completion="")),
    ("data.extra-field", _changed(_PICTURE_ROW, id=3)),
]

_VISUAL_ROWS = [
    {"file_name": f"images/{number}.png", "prompt": question(number), "completion": answer(number)}
    for number in range(200)
]


@pytest.mark.parametrize(
    ("technique", "name", "good", "mistakes", "head"),
    [
        (CHAT, "train.jsonl", lines(chat_rows(300)), _CHAT, b""),
        (INSTRUCTION, "train.jsonl", lines(instruction_rows(300)), _INSTRUCTION, b""),
        (TEXT, "train.txt", "\n".join(text_lines(300)).encode(), _TEXT, b""),
        (
            TEXT,
            "train.csv",
            b"\n".join(b'"%b",x' % each.encode() for each in text_lines(300)),
            _TABLE,
            b"text,source\n",
        ),
        (TEXT, "train.json", lines({"text": each} for each in text_lines(300)), _RECORDS, b""),
        (VISUAL, "metadata.jsonl", lines(_VISUAL_ROWS), _VISUAL, b""),
    ],
    ids=["chat", "instruction", "text", "CSV", "JSON", "pictures"],
)
def test_each_mistake_is_told_at_its_line_and_no_other(
    technique: Technique, name: str, good: bytes, mistakes: Sequence[tuple[str, bytes]], head: bytes
) -> None:
    rows = good.splitlines()
    expected: dict[int, str] = {}
    for number, (code, line) in enumerate(mistakes):
        at = 5 * number + 2
        rows.insert(at, line)
        expected[at + 1 + head.count(b"\n")] = code
    content = head + b"".join(row + b"\n" for row in rows)
    report = judge(
        {name: content}, technique, pictures=_PICTURES, max_input_length=4_000, limits=Limits(line_bytes=60_000)
    )
    told: dict[int, list[str]] = {}
    for each in report.findings:
        if each.line and each.code not in {"data.duplicate", "data.near-duplicate", "data.short-row"}:
            told.setdefault(each.line, []).append(each.code)
    assert told.keys() == expected.keys()
    assert {line: codes for line, codes in told.items() if expected[line] not in codes} == {}


def only(files: Mapping[str, bytes], technique: Technique, code: str) -> Finding:
    """Return the finding of the code; there is one fix for all of them."""
    found = [each for each in judge(files, technique).findings if each.code == code]
    assert len({each.fix for each in found}) == 1
    return found[0]


def test_rows_without_a_field_that_may_be_left_out_are_told_with_the_template_that_does() -> None:
    row = {"instruction": "a", "response": "b", "id": 7}
    fix = only({"train.jsonl": lines([row] * 20)}, INSTRUCTION, "data.missing-field").fix
    assert fix.startswith("Add the field; or, ")
    assert json.loads(fix[fix.index("{") :]) == {"prompt": "{instruction}", "completion": "{response}"}
    row = {"instruction": "a", "context": "b"}
    usual = MEANINGS["data.missing-field"].fix
    assert only({"train.jsonl": lines([row] * 20)}, INSTRUCTION, "data.missing-field").fix == usual


@pytest.mark.parametrize(
    ("row", "template"),
    [
        ({"question": "a", "answer": "b"}, {"prompt": "{question}", "completion": "{answer}"}),
        (
            {"Output": "c", "instruction": "a", "input": "b"},
            {"prompt": "{instruction}\n\n{input}", "completion": "{Output}"},
        ),
        ({"id": 7, "text": "a", "class_name": "b", "segment": "x"}, {"prompt": "{text}", "completion": "{class_name}"}),
    ],
)
def test_rows_of_other_fields_are_told_with_the_template_that_reads_them(
    row: dict[str, object], template: dict[str, str]
) -> None:
    fix = only({"train.jsonl": lines([row] * 20)}, INSTRUCTION, "data.missing-field").fix
    written = json.loads(fix[fix.index("{") :])
    assert written == template
    PromptTemplate.parse(json.dumps(written).encode())


@pytest.mark.parametrize(
    "row",
    [{"instruction": "a", "context": "b", "Response": "c"}, {"a text": "a", "the answer": "b"}, {"only": "a"}, {}],
)
def test_no_template_is_written_for_a_mistyped_field_nor_of_names_that_none_takes(row: dict[str, str]) -> None:
    usual = MEANINGS["data.missing-field"].fix
    assert only({"train.jsonl": lines([row] * 20)}, INSTRUCTION, "data.missing-field").fix == usual


def test_a_conversation_under_another_key_is_told_with_that_key() -> None:
    rows = lines([{"conversation": [_ASKED, _ANSWERED]}] * 20)
    assert (
        '"conversation" holds one: call that key "messages"'
        in only({"train.jsonl": rows}, CHAT, "data.no-messages").fix
    )
    assert "It looks like a conversation" in only({"train.jsonl": rows}, INSTRUCTION, "data.missing-field").fix


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"messages": [_ASKED, _ANSWERED]}, "It is a conversation: keep those in a dataset of their own"),
        ({"text": "Some text."}, "they are running text: end the file's name in .json"),
    ],
)
def test_rows_of_another_technique_are_told_as_such(row: dict[str, object], said: str) -> None:
    assert said in only({"train.jsonl": lines([row] * 20)}, INSTRUCTION, "data.missing-field").fix


def test_a_row_that_was_cut_off_is_told_as_such() -> None:
    found = only(
        {"train.jsonl": lines(instruction_rows(20)) + b'{"instruction": "Say wh'}, INSTRUCTION, "data.not-json"
    )
    assert "Unterminated string starting at column 17" in found.message


def test_a_picture_that_cannot_be_read_is_named() -> None:
    rows = [{**_PICTURE_ROW, "file_name": f"images/{number}.png"} for number in range(30)]
    pictures = {**_PICTURES, "images/7.png": _picture(8, 8)[:-30]}
    report = judge({"metadata.jsonl": lines(rows)}, VISUAL, pictures=pictures)
    assert [(each.line, each.excerpt) for each in report.findings if each.code == "data.image-broken"] == [
        (8, "images/7.png")
    ]


def test_a_table_about_pictures_is_told_where_its_rows_belong() -> None:
    table = b"file_name,prompt,completion\na.png,Who?,me\n"
    assert "metadata.jsonl" in only({"metadata.csv": table}, TEXT, "data.not-running-text").fix


@pytest.mark.parametrize(
    ("technique", "name", "content", "command"),
    [
        (INSTRUCTION, "train.jsonl", gzip.compress(lines([_ROW]), mtime=0), "mv train.jsonl train.jsonl.gz"),
        (
            INSTRUCTION,
            "my rows.jsonl",
            lines([_ROW]).decode().encode("utf-16"),
            "-t UTF-8 'my rows.jsonl' > 'my rows.jsonl.new' && mv 'my rows.jsonl.new' 'my rows.jsonl'",
        ),
        (INSTRUCTION, "train.jsonl", b"PAR1" + bytes(20), "read_parquet"),
        (
            TEXT,
            "train.csv",
            "text\nSome text.\n".encode("utf-16"),
            "iconv -f UTF-16 -t UTF-8 train.csv > train.csv.new",
        ),
        (
            TEXT,
            "train.csv",
            b"PAR1" + bytes(20),
            'to_csv(sys.argv[2], index=False)" train.csv rows.csv, and use rows.csv',
        ),
        (TEXT, "train.json", b"PAR1" + bytes(20), 'index=False)" train.json rows.csv, and use rows.csv'),
        (TEXT, "train.json", gzip.compress(b'{"text": "Some text."}', mtime=0), "mv train.json train.json.gz"),
        (TEXT, "train.csv", _zipped("[Content_Types].xml", b"<Types/>"), "Save the sheet as CSV, in UTF-8."),
        (TEXT, "train.csv", _zipped("xl/workbook.xml", b"<workbook/>"), "Save the sheet as CSV, in UTF-8."),
        (TEXT, "train.txt", _zipped("word/document.xml", b"<w/>"), "Write its text into a file of its own"),
        (INSTRUCTION, "train.jsonl", _zipped("train.jsonl", lines([_ROW])), "unzip -p train.jsonl > train.jsonl.new"),
        (TEXT, "train.txt", lines(instruction_rows(20)), "mv train.txt train.jsonl"),
        (TEXT, "my chats.txt.gz", gzip.compress(lines(chat_rows(20))), "mv 'my chats.txt.gz' 'my chats.jsonl.gz'"),
        (
            TEXT,
            "train.txt",
            b"\xef\xbb\xbf" + json.dumps(instruction_rows(20), indent=1).encode(),
            "train.txt train.jsonl",
        ),
        (TEXT, "metadata.csv", lines([_PICTURE_ROW] * 20), "mv metadata.csv metadata.jsonl"),
        (TEXT, "train.csv", lines([{"text": "Some text."}] * 20), "mv train.csv train.json"),
        (TEXT, "train.txt", b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n", "git lfs pull"),
        (CHAT, "train.jsonl", b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 1\n", "git lfs pull"),
    ],
)
def test_a_file_of_another_format_is_told_with_the_command_that_mends_it(
    technique: Technique, name: str, content: bytes, command: str
) -> None:
    assert command in only({name: content}, technique, "data.foreign-format").fix


_WORSE = {"role": "assistant", "content": "I do not know."}


@pytest.mark.parametrize(
    ("technique", "code", "row", "said"),
    [
        (
            CHAT,
            "data.empty-content",
            {"messages": [{**_SYSTEM, "content": ""}, _ASKED, _ANSWERED]},
            "Remove the system",
        ),
        (CHAT, "data.empty-content", {"messages": [_ASKED, {**_ANSWERED, "content": ""}]}, "or remove the row"),
        (CHAT, "data.not-text", {"messages": [{**_ASKED, "content": [{"text": "a"}]}, _ANSWERED]}, "Join the parts"),
        (CHAT, "data.not-text", {"messages": [_ASKED, {**_ANSWERED, "content": None}]}, "For null write the text"),
        (
            CHAT,
            "data.not-text",
            {"messages": [_ASKED, {"role": "assistant", "content": None, "tool_calls": []}]},
            "calls of tools",
        ),
        (
            CHAT,
            "data.unknown-role",
            {"messages": [_ASKED, {"role": "tool", "content": "1"}, _ANSWERED]},
            "calls of tools",
        ),
        (CHAT, "data.unknown-role", {"messages": [{**_ASKED, "role": "User"}, _ANSWERED]}, "Use system, user or"),
        (CHAT, "data.extra-field", {"system": "Help.", "messages": [_ASKED, _ANSWERED]}, "as the first message"),
        (CHAT, "data.extra-field", {"id": 7, "messages": [_ASKED, _ANSWERED]}, "Nothing, if you do not need them"),
        (
            DPO,
            "data.missing-field",
            {"input": {"messages": [_ASKED]}, "preferred_output": [_ANSWERED], "non_preferred_output": [_WORSE]},
            "{chosen: (.input.messages + .preferred_output), rejected: (.input.messages + .non_preferred_output)}",
        ),
        (
            DPO,
            "data.role-order",
            {"prompt": [_ASKED], "chosen": [_ANSWERED], "rejected": [_WORSE]},
            "{chosen: (.prompt + .chosen), rejected: (.prompt + .rejected)}",
        ),
    ],
)
def test_a_row_that_another_program_wrote_is_told_with_what_mends_it(
    technique: Technique, code: str, row: dict[str, object], said: str
) -> None:
    assert said in only({"train.jsonl": lines([row] * 20)}, technique, code).fix


@pytest.mark.parametrize(
    ("technique", "name", "content", "command"),
    [
        (INSTRUCTION, "train.jsonl", _json({"data": instruction_rows(20)}), "jq -c '.data[]' train.jsonl"),
        (INSTRUCTION, "train.jsonl", _json({"data": instruction_rows(2_000)}), "jq -c '.data[]' train.jsonl"),
        (
            CHAT,
            "train.jsonl",
            json.dumps({"version": "1.0", "n": 20, "conversations": chat_rows(20)}, indent=2).encode(),
            "jq -c '.conversations[]' train.jsonl",
        ),
        (TEXT, "train.json", _json({"rows": [{"text": "Some text."}]}), "jq -c '.rows[]' train.json"),
    ],
)
def test_rows_within_one_object_are_told_with_the_command_that_takes_them_out(
    technique: Technique, name: str, content: bytes, command: str
) -> None:
    found = only({name: content}, technique, "data.json-array")
    assert (found.line, found.offset) == (1, 0)
    assert command in found.fix


@pytest.mark.parametrize(
    "rows",
    [
        [{"conversations": [_ASKED, _ANSWERED]}],
        [{"id": "a", "conversations": [_ASKED, _ANSWERED]}],
        [{"data": [{"a": 1}], "messages": [_ASKED, _ANSWERED]}] * 2,
        [{"data": [{"a": 1}], "messages": [_ASKED, _ANSWERED]}],
        [{"records": [{"text": "b" * 100}, {"text": "c" * 70_000}], "messages": [_ASKED, _ANSWERED]}] * 2,
    ],
)
def test_a_row_with_a_list_in_it_is_not_taken_for_an_object_of_rows(rows: list[dict[str, object]]) -> None:
    report = judge({"train.jsonl": lines(chat_rows(60)), "held-out.jsonl": lines(rows)}, CHAT)
    assert report.errors == {}


@pytest.mark.parametrize(
    "text",
    [
        '{"response": "ok"}\nThat is what the server answers.\n',
        '{"id": 1}\n{"id": 2}\n',
        "{chorus}\n[Music]\n",
        '["a", "b"]\n',
        '[{"response": "ok"}]\n\nThat is what the server answers.\n',
        '{"output": "ok"}\n\n{{ braces }} stand for what is filled in.\n',
    ],
)
def test_prose_that_begins_like_json_is_prose(text: str) -> None:
    report = judge({"train.txt": (text + "\n".join(text_lines(60))).encode()}, TEXT)
    assert report.accepted


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("id;text", "Save the table anew"),
        ('"id";"text"', "Save the table anew"),
        ("id|text", "Save the table anew"),
        ("text; label", "Save the table anew"),
        ("id\ttext", "Save the table anew"),
        ("sep=,\nid,text", "Remove the first line"),
        ("sep=;\nid;text", "Remove the first line"),
    ],
)
def test_a_table_of_other_separators_is_told_at_its_header(head: str, said: str) -> None:
    table = f"{head}\n1,Some text.\n".encode()
    found = only({"train.csv": table}, TEXT, "data.separator")
    assert (found.line, found.offset) == (1, 0)
    assert said in found.fix


def test_a_semicolon_of_prose_is_no_separator() -> None:
    table = "".join(f'"First this; then that. {each}"\n' for each in text_lines(60))
    report = judge({"train.csv": table.encode()}, TEXT)
    assert report.accepted
    assert report.counts["data.no-header"] == 1


def test_conversations_in_a_table_are_told_by_the_name_that_their_file_needs() -> None:
    for content in (lines(chat_rows(20)), json.dumps(chat_rows(20)).encode()):
        found = only({"train.json": content}, TEXT, "data.not-text")
        assert found.fix == "It is a conversation: end the file's name in .jsonl instead of .json."


_PLAIN = lines(instruction_rows(120)).decode()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        # A name that a command might have written to, and a role that it must not lose.
        ("rows.jsonl", _PLAIN.encode("utf-16")),
        ("held-out.jsonl", _PLAIN.encode("utf-16-be")),
        ("my rows.jsonl.gz", gzip.compress(_PLAIN.encode("utf-32"), mtime=0)),
        ("train/train.jsonl", bz2.compress(_PLAIN.encode())),
        ("train.jsonl", _PLAIN.encode("utf-16-le")),
    ],
)
def test_the_command_that_is_told_mends_the_file_where_it_is(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    files = {"a.jsonl": lines(instruction_rows(20, 400)), name: content}
    fix = only(files, INSTRUCTION, "data.foreign-format").fix
    subprocess.run(fix.partition(": ")[2], shell=True, check=True, cwd=tmp_path)  # noqa: S602 - as people would
    mended = path.read_bytes()
    assert (gzip.decompress(mended) if name.endswith(".gz") else mended).decode() == _PLAIN
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("good", "other"), [(text_pairs(20), conversation_pairs(1)), (conversation_pairs(20), text_pairs(1))]
)
def test_most_pairs_tell_the_form_and_the_first_one_alone_is_at_fault(
    good: Sequence[Mapping[str, object]], other: Sequence[Mapping[str, object]]
) -> None:
    assert only({"train.jsonl": lines([*other, *good])}, DPO, "data.mixed-pairs").line == 1
    assert judge({"train.jsonl": lines([*other, *good])}, DPO).faulty_rows == 1


def test_records_of_an_array_are_named_by_their_place_for_all_may_stand_on_one_line() -> None:
    records = [{"text": "Some text."}, {"text": 5}, {"other": "x"}]
    found = judge({"train.json": json.dumps(records).encode()}, TEXT).findings
    assert [(each.code, each.path) for each in found if each.code != "data.few-rows" and each.severity == "error"] == [
        ("data.not-text", "[1].text"),
        ("data.missing-field", "[2]"),
    ]


def test_a_dataset_of_one_row_is_told() -> None:
    said = "data.all-equal"
    assert judge({"train.jsonl": lines([_ROW] * 30)}, INSTRUCTION).counts[said] == 1
    held_out = {"train.jsonl": lines([_ROW] * 30), "held-out.jsonl": lines([_ROW] * 5)}
    assert judge(held_out, INSTRUCTION).counts[said] == 1
    two = lines([_ROW] * 30 + instruction_rows(1))
    assert said not in judge({"train.jsonl": two}, INSTRUCTION).counts
    assert said not in judge({"train.jsonl": two, "held-out.jsonl": lines([_ROW] * 5)}, INSTRUCTION).counts
    apart = {"train.jsonl": lines([_ROW] * 30), "held-out.jsonl": lines(instruction_rows(1) * 5)}
    assert said not in judge(apart, INSTRUCTION).counts
