"""However much there is to read, memory stays flat: a bound beside a few bytes a row."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[1]

_FLAT_BYTES = 64 << 20
_ROW_BYTES, _NEAR_ROW_BYTES = 24, 80

# Runs in a process of its own: what is measured is the most that it ever held, beyond what its imports take.
_MEASURE = """
import gc, json, random, sys
from datasets import DataFile, FileRole, Technique, judge, lines, instruction_rows, rules
from tunedrop.validation.dataset import validate
from tunedrop.validation.limits import Limits

def peak_bytes():
    # Unlike getrusage, this leaves out the process that this one was forked from.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM"))

def made(kind):
    if kind == "long line":
        yield lines(instruction_rows(50))
        for _ in range(100):
            yield b"x" * (1 << 20)
        yield b"\\n" + lines(instruction_rows(50, 50))
    elif kind == "bad rows":
        block = b'{"instruction": 1}\\n{"instruction": "a",\\n' * 6_000
        for _ in range(20):
            yield block
    elif kind == "bad messages":
        yield b'{"messages": [' + b",".join([b"1"] * 400_000) + b"]}\\n"
    elif kind == "missing pictures":
        for number in range(15_000):
            yield b'{"file_name": "%0900d.png", "prompt": "a", "completion": "b"}\\n' % number
    elif kind == "short rows":
        for start in range(0, 400_000, 4_000):
            rows = (b'{"text": "what is %d?", "label": "%d"}\\n' % (n, n) for n in range(start, start + 4_000))
            yield b"".join(rows)
    elif kind == "similar rows":
        for number in range(280):
            words = random.Random(number // 2).randbytes(160_000).hex(" ", 4).encode()
            yield b'{"text": "%b %d", "label": "a"}\\n' % (words, number)

class Lazy:
    def __init__(self, kind):
        self.kind = kind

    def blocks(self, file, start=0, end=None):
        at = 0
        for chunk in made(self.kind):
            first, last = max(start - at, 0), len(chunk) if end is None else max(end - at, 0)
            at += len(chunk)
            if part := chunk[first:last]:
                yield part
            if end is not None and at >= end:
                return

    def images(self, file):
        return []

kind, near = sys.argv[1], sys.argv[2] == "near"
from datasets import CHAT, TEMPLATE, INSTRUCTION, JUMPSTART_DEFAULT, VISUAL
template = TEMPLATE if kind in ("short rows", "similar rows") else JUMPSTART_DEFAULT
technique = {"bad messages": CHAT, "missing pictures": VISUAL}.get(kind, INSTRUCTION)
given = rules(technique, template=template, near_duplicates=near)
judge({"train.jsonl": lines(instruction_rows(200)) + b"{}\\n"}, INSTRUCTION)  # what is made once, is made
size = sum(map(len, made(kind)))
gc.collect()
base = peak_bytes()
file = DataFile(name="train.jsonl", role=FileRole.TRAINING, bytes=size)
report = validate(Lazy(kind), [file], given)
peak = peak_bytes()
lines_read = report.training_rows + report.faulty_rows
print(json.dumps({"taken": peak - base, "base": base, "size": size, "rows": lines_read, "counts": report.counts}))
"""


def measured(kind: str, *, near: bool = True) -> dict[str, Any]:
    """Validate what is made while it is read; returns the bytes taken, the rows, and what was found."""
    path = [str(_HERE), str(_ROOT / "layers" / "core")]
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, kind, "near" if near else "exact"],
        env={"PYTHONPATH": ":".join(path), "PATH": "", "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        check=True,
        text=True,
        timeout=600,
    )
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_line_without_an_end_is_refused_in_flat_memory() -> None:
    result = measured("long line")
    assert result["counts"] == {"data.line-too-long": 1}
    assert result["rows"] == 101
    assert result["taken"] < _FLAT_BYTES


def test_faulty_rows_alone_take_flat_memory() -> None:
    result = measured("bad rows", near=False)
    assert result["counts"]["data.not-json"] >= 100_000
    assert result["taken"] < _FLAT_BYTES + _ROW_BYTES * result["rows"]


def test_a_conversation_of_faults_alone_takes_flat_memory() -> None:
    result = measured("bad messages")
    assert result["counts"]["data.not-a-message"] == 8
    assert result["taken"] < _FLAT_BYTES


def test_names_of_missing_pictures_take_flat_memory() -> None:
    result = measured("missing pictures")
    assert result["counts"]["data.image-missing"] == 15_000
    assert result["taken"] < result["size"] / 2  # far less than the names themselves


@pytest.mark.parametrize("near", [False, True], ids=["exact", "near"])
def test_memory_grows_by_a_few_bytes_a_row(*, near: bool) -> None:
    result = measured("short rows", near=near)
    assert result["rows"] == 400_000
    assert result["taken"] < _FLAT_BYTES + (_NEAR_ROW_BYTES if near else _ROW_BYTES) * result["rows"]


def test_similar_rows_of_any_length_are_compared_in_flat_memory() -> None:
    result = measured("similar rows")
    assert result["counts"]["data.near-duplicate"] > 0
    assert result["taken"] < _FLAT_BYTES
