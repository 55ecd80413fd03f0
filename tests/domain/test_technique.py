"""The technique is told from what a drop looks like, and nothing that it holds is an error."""

import gzip
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.domain.plan import Technique
from tunedrop.domain.technique import HEAD_BYTES, technique_of, telling_file

LINES = ("train.jsonl",)
INSTRUCTION = {"instruction": "a", "context": "b", "response": "c"}
PICTURE = {"file_name": "images/a.png", "prompt": "b", "completion": "c"}


def line(row: object) -> bytes:
    return json.dumps(row).encode() + b"\n"


@pytest.mark.parametrize(
    ("row", "technique"),
    [
        (INSTRUCTION, Technique.INSTRUCTION),
        ({"prompt": "a", "completion": "b"}, Technique.INSTRUCTION),
        ({}, Technique.INSTRUCTION),
        ({"messages": []}, Technique.CHAT),
        ({"dialog": [{"role": "user", "content": "a"}], "id": 1}, Technique.CHAT),
        ({"conversations": [{"from": "human", "value": "a"}]}, Technique.CHAT),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], Technique.CHAT),
        ({"conversation": [{"role": "user", "content": "a"}]}, Technique.CHAT),
        ({"tags": [{"name": "a"}], "texts": ["a"], "none": []}, Technique.INSTRUCTION),
        ({"messages": "a text", "response": "b"}, Technique.INSTRUCTION),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, Technique.DPO),
        ({"chosen": [], "rejected": [], "messages": []}, Technique.DPO),
        ({"input": {"messages": []}, "preferred_output": [], "non_preferred_output": []}, Technique.DPO),
        ({"prompt": "a", "chosen": "b"}, Technique.INSTRUCTION),
        (PICTURE, Technique.VISUAL_QA),
        (PICTURE | {"id": 1}, Technique.VISUAL_QA),
        ([], None),
        ("text", None),
        (None, None),
    ],
)
def test_the_keys_of_the_first_record_tell(row: object, technique: Technique | None) -> None:
    assert technique_of(LINES, line(row) + b"anything") is technique


@pytest.mark.parametrize(
    "dress",
    [
        lambda row: b"\xef\xbb\xbf" + row,
        lambda row: b"\n \r\n\n" + row,
        lambda row: row.replace(b"\n", b"\r\n") + b"{",
        lambda row: row.removesuffix(b"\n"),
        lambda row: b"[" + row.strip() + b", " + row.strip() + b"]",
        lambda row: json.dumps([json.loads(row)] * 2, indent=2).encode()[:-20],
        lambda row: json.dumps(json.loads(row), indent=2).encode() + b"{",
        lambda row: row.replace(b"hello", b"\xff\xfe"),
        lambda row: row.replace(b"[", b"\r["),
        gzip.compress,
        lambda row: gzip.compress(b"\xef\xbb\xbf" + row, mtime=0),
        lambda row: gzip.compress(row + row * 100_000, mtime=0)[:2000],
    ],
)
def test_the_dress_of_the_record_does_not_matter(dress: Callable[[bytes], bytes]) -> None:
    assert technique_of(LINES, dress(line({"messages": [{"content": "hello"}]}))) is Technique.CHAT


CHAT_ROW, TEXT_ROW = {"messages": []}, {"instruction": "a", "response": "b"}
PAIR_ROW = {"prompt": "a", "chosen": "b", "rejected": "c"}


@pytest.mark.parametrize(
    "faulty",
    [
        b'{"messages": [\n',
        b'{"instruction": \n',
        b"// a comment\n",
        b"null\n",
        b"[]\n",
        b'{"dataset": "x"}\n',
        b"\xff\n",
    ],
)
@pytest.mark.parametrize(
    ("row", "technique"),
    [(CHAT_ROW, Technique.CHAT), (TEXT_ROW, Technique.INSTRUCTION), (PAIR_ROW, Technique.DPO)],
)
def test_a_faulty_first_row_does_not_tell_the_technique(
    faulty: bytes, row: dict[str, object], technique: Technique
) -> None:
    assert technique_of(LINES, faulty + 3 * line(row)) is technique
    assert technique_of(LINES, gzip.compress(faulty + 3 * line(row))) is technique


def test_most_rows_tell_the_technique_and_of_as_many_the_first() -> None:
    assert technique_of(LINES, line(TEXT_ROW) + 2 * line(CHAT_ROW)) is Technique.CHAT
    assert technique_of(LINES, line(PAIR_ROW) + line(CHAT_ROW)) is Technique.DPO


def test_messages_on_lines_of_their_own_are_no_rows() -> None:
    talk = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    spread = json.dumps({"chosen": talk, "rejected": talk}).replace("[", "[\n").replace("}, ", "},\n")
    assert technique_of(LINES, spread.encode()) is Technique.DPO
    assert technique_of(LINES, f"[\n{spread}\n]".encode()) is Technique.DPO


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\n\n",
        b"{",
        b'{"messages": [',
        b"\x1f\x8b",
        b"\x1f\x8b broken",
        gzip.compress(b"", mtime=0),
        gzip.compress(b" " * 50_000_000, mtime=0),
        b"[" * 100_000,
        b"9" * 5000,
        b"\x00",
        b"PK\x03\x04",
    ],
)
def test_what_cannot_be_read_tells_nothing(head: bytes) -> None:
    assert technique_of(LINES, head) is None


@given(st.binary(max_size=200) | st.binary(max_size=200).map(gzip.compress) | st.text().map(str.encode))
def test_no_bytes_are_an_error(head: bytes) -> None:
    technique_of(LINES, head)


def test_a_row_of_the_longest_length_that_is_accepted_is_read() -> None:
    row = line({"messages": ["x" * (HEAD_BYTES - 20)]})
    assert len(row) <= HEAD_BYTES
    assert technique_of(LINES, row[:HEAD_BYTES]) is Technique.CHAT


@pytest.mark.parametrize(
    ("names", "technique", "telling"),
    [
        ([], None, None),
        (["notes.md", "template.json"], None, None),
        (["train.txt"], Technique.DOMAIN_ADAPTATION, None),
        (["corpus.csv.gz", "validation.csv"], Technique.DOMAIN_ADAPTATION, None),
        (["training/data.json", "held-out.json"], Technique.DOMAIN_ADAPTATION, None),
        (["a.txt", "b.txt"], Technique.DOMAIN_ADAPTATION, None),
        (["validation.txt"], None, None),
        (["validation.jsonl", "train.txt"], Technique.DOMAIN_ADAPTATION, None),
        (["metadata.jsonl", "images/1.PNG"], Technique.VISUAL_QA, None),
        (["train/metadata.jsonl", "train/a/b/c.jpeg", "other.jsonl"], Technique.VISUAL_QA, None),
        (["validation/metadata.jsonl", "a.png", "train.jsonl"], Technique.CHAT, "train.jsonl"),
        (["metadata.jsonl", "notes.txt"], Technique.CHAT, "metadata.jsonl"),
        (["b.jsonl", "a.jsonl.gz", "README.txt", "figure.png"], Technique.CHAT, "a.jsonl.gz"),
        (["train.jsonl", "training/template.json"], Technique.INSTRUCTION, "train.jsonl"),
    ],
)
def test_the_names_tell_first(names: list[str], technique: Technique | None, telling: str | None) -> None:
    assert telling_file(names) == telling
    assert technique_of(names, line({"messages": []})) is technique
