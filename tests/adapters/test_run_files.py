"""A run's files appear whole or not at all; the same in S3 and in memory."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes import InMemoryRunFiles
from tests.samples import RUN_BUCKET
from tunedrop.adapters import s3
from tunedrop.adapters.s3 import S3RunFiles
from tunedrop.ports import RunFiles

PART = 5 << 20
"""The smallest part that S3 takes."""

KEY = "runs/x/channels/training/train.jsonl"


@pytest.fixture(params=["memory", "s3"])
def files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RunFiles:
    monkeypatch.setattr(s3, "PART", PART)
    if request.param == "memory":
        return InMemoryRunFiles()
    client: Any = request.getfixturevalue("aws")("s3")
    client.create_bucket(Bucket=RUN_BUCKET)
    return S3RunFiles(client, RUN_BUCKET)


def test_a_key_has_a_uri(files: RunFiles) -> None:
    assert files.uri(KEY) == f"s3://{RUN_BUCKET}/{KEY}"
    assert files.uri("") == f"s3://{RUN_BUCKET}/"


def test_what_is_not_there_is_none(files: RunFiles) -> None:
    assert files.read(KEY) is None


def test_the_last_write_is_read(files: RunFiles) -> None:
    files.write(KEY, b"first")
    files.write(KEY, b"second")
    assert files.read(KEY) == b"second"


@pytest.mark.parametrize(
    "pieces",
    [[], [b""], [b"a\n", b"b\n"], [b"x" * PART], [b"x" * (PART - 1), b"yz", b"end"], [b"x" * PART, b"y" * PART, b"z"]],
    ids=["nothing", "empty", "small", "one part", "a part and a rest", "three parts"],
)
def test_pieces_become_one_object(files: RunFiles, pieces: list[bytes]) -> None:
    with files.writer(KEY) as write:
        for piece in pieces:
            write(piece)
        assert files.read(KEY) is None
    assert files.read(KEY) == b"".join(pieces)


@pytest.mark.parametrize("size", [1, PART + 1])
def test_a_writer_that_fails_leaves_nothing_to_read(files: RunFiles, size: int) -> None:
    with pytest.raises(TypeError), files.writer(KEY) as write:
        _write_until_it_breaks(write, b"x" * size)
    assert files.read(KEY) is None


def _write_until_it_breaks(write: Callable[[bytes], None], data: bytes) -> None:
    write(data)
    write(None)  # type: ignore[arg-type]  # what breaks


def test_a_writer_replaces_what_was_there_in_the_end(files: RunFiles) -> None:
    files.write(KEY, b"old")
    with files.writer(KEY) as write:
        write(b"new")
        assert files.read(KEY) == b"old"
    assert files.read(KEY) == b"new"
