"""Lines are cut at newlines alone, each once and at its true place, with flat memory."""

import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunedrop.validation.blocks import CUT_BYTES, Block, FileFault, LongLine, cut, foreign_format, inflate
from tunedrop.validation.limits import Limits

_CONTENT = st.lists(
    st.sampled_from([b"\n", b"\n\n", b"a", b"bc\n", b"\r\n", b"\r", "\u2028".encode(), b"\x85", b"{}\n", b"long" * 5])
    | st.binary(max_size=12),
    max_size=30,
).map(b"".join)


def chunked(content: bytes, sizes: list[int]) -> Iterator[bytes]:
    """Yield the content in chunks of these sizes, the last of them again and again."""
    at, number = 0, 0
    while at < len(content):
        size = sizes[min(number, len(sizes) - 1)]
        yield content[at : at + size]
        at, number = at + size, number + 1


def owned(blocks: Iterable[Block | LongLine]) -> list[tuple[int, bytes | int]]:
    """Return the offset of each line, and the line; of a long one its size."""
    lines: list[tuple[int, bytes | int]] = []
    for block in blocks:
        if isinstance(block, LongLine):
            lines.append((block.offset, block.size))
            continue
        offset = block.offset
        assert block.data.endswith(b"\n")
        for line in block.data.split(b"\n")[:-1]:
            lines.append((offset, line))
            offset += len(line) + 1
    return lines


def true_lines(content: bytes) -> list[tuple[int, bytes]]:
    lines, offset = [], 0
    for line in content.split(b"\n"):
        lines.append((offset, line))
        offset += len(line) + 1
    return lines if lines[-1][1] else lines[:-1]


@given(_CONTENT, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.lists(st.integers(1, 200), max_size=6))
@example(b"a\nb", [1], [2])
@example(b"\n\n", [1], [1])
def test_every_line_is_owned_once_with_its_true_offset(content: bytes, sizes: list[int], cuts: list[int]) -> None:
    bounds = [0, *sorted(set(cuts)), None]
    lines: list[tuple[int, bytes | int]] = []
    for start, end in pairwise(bounds):
        chunks = chunked(content[max((start or 0) - 1, 0) :], sizes)
        mine = owned(cut(chunks, start or 0, end, 1 << 20))
        assert all(at >= (start or 0) and (end is None or at < end) for at, _ in mine)
        lines += mine
    assert lines == true_lines(content)


@given(_CONTENT, st.lists(st.integers(1, 40), min_size=1, max_size=5), st.lists(st.integers(1, 200), max_size=6))
def test_a_long_line_is_owned_once_with_its_size(content: bytes, sizes: list[int], cuts: list[int]) -> None:
    limit = 8
    bounds = [0, *sorted(set(cuts)), None]
    lines: list[tuple[int, bytes | int]] = []
    for start, end in pairwise(bounds):
        lines += owned(cut(chunked(content[max((start or 0) - 1, 0) :], sizes), start or 0, end, limit))
    true = true_lines(content)
    assert [at for at, _ in lines] == [at for at, _ in true]
    for (_, told), (at, line) in zip(lines, true, strict=True):
        if isinstance(told, int):
            assert len(line) > limit
            assert told == len(line) + (at + len(line) < len(content))
        else:
            assert told == line


@pytest.mark.parametrize("size", [CUT_BYTES - 1, CUT_BYTES, CUT_BYTES + 1, 3 * CUT_BYTES])
@pytest.mark.parametrize("chunk", [1_000, CUT_BYTES, 1 << 20])
def test_lines_about_a_block_long_are_kept_whole(size: int, chunk: int) -> None:
    content = b"a\n" + b"x" * size + b"\n" + b"b\n" * 3
    assert owned(cut(chunked(content, [chunk]), 0, None, 4 * CUT_BYTES)) == true_lines(content)


def test_blocks_are_no_longer_than_they_need_be() -> None:
    content = (b"x" * 99 + b"\n") * 20_000
    sizes = [
        len(block.data) for block in cut(chunked(content, [1 << 20]), 0, None, 1 << 20) if isinstance(block, Block)
    ]
    assert sum(sizes) == len(content)
    assert max(sizes) <= CUT_BYTES


def test_a_range_inside_a_long_line_reads_no_further_than_its_end() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * 1_000

    assert list(cut(endless(), 5_000, 9_000, 1 << 20)) == []
    assert read <= 6


def test_a_line_of_any_length_takes_flat_memory() -> None:
    chunks = (b"x" * (1 << 16) for _ in range(1_600))
    tracemalloc.start()
    blocks = list(cut(chunks, 0, None, 1 << 20))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert blocks == [LongLine(0, 1_600 << 16)]
    assert peak < 8 << 20


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (b"\x1f\x8b\x08", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"BZh9", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"PAR1", "Parquet"),
        ("{}".encode("utf-16"), "UTF-16"),
        ("{}".encode("utf-16-le"), "UTF-16"),
        ("{}".encode("utf-16-be"), "UTF-16"),
        ("{}".encode("utf-32"), "UTF-32"),
        (b"%PDF-1.7\n", "PDF"),
        (b"{\\rtf1\\ansi", "RTF"),
        (b"\xd0\xcf\x11\xe0", "Word"),
    ],
)
def test_a_foreign_format_is_named(head: bytes, named: str) -> None:
    found = foreign_format(head)
    assert found
    assert named in found.name


@pytest.mark.parametrize("head", [b"", b"{", b"\xef\xbb\xbf{", b"text", b"\n", b"a\0bc", b"\0\0\0\0", b"{\\r"])
def test_text_is_no_foreign_format(head: bytes) -> None:
    assert foreign_format(head) is None


# ------------------------------------------------ gzip


def inflated(content: bytes, sizes: list[int], limits: Limits | None = None) -> bytes:
    return b"".join(inflate(chunked(content, sizes), limits or Limits()))


@given(
    st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.integers(0, 20),
)
def test_members_follow_each_other_and_may_be_padded(parts: list[bytes], sizes: list[int], padding: int) -> None:
    content = b"".join(gzip.compress(part) for part in parts) + b"\0" * padding
    assert inflated(content, sizes) == b"".join(parts)


@given(st.binary(min_size=1, max_size=300), st.data(), st.lists(st.integers(1, 60), min_size=1, max_size=3))
def test_a_stream_that_was_cut_off_is_refused(content: bytes, data: st.DataObject, sizes: list[int]) -> None:
    whole = gzip.compress(content)
    with pytest.raises(FileFault, match="ends too early"):
        inflated(whole[: data.draw(st.integers(0, len(whole) - 1))], sizes)


@given(st.binary(max_size=100), st.data())
def test_a_damaged_stream_is_inflated_or_refused(content: bytes, data: st.DataObject) -> None:
    whole = bytearray(gzip.compress(content))
    whole[data.draw(st.integers(0, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with contextlib.suppress(FileFault):
        assert inflated(bytes(whole), [17]) == content  # a bit of the header that says nothing


def test_a_member_that_is_none_is_refused() -> None:
    with pytest.raises(FileFault, match="damaged"):
        inflated(gzip.compress(b"a") + b"and more", [100])


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * (1 << 20)) for _ in range(64)) + packer.flush()
    tracemalloc.start()
    with pytest.raises(FileFault) as caught:
        for _ in inflate([bomb], Limits()):
            pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.flaw.code == "data.gzip-bomb"
    assert peak < 4 << 20


def test_a_stream_may_inflate_to_so_much_alone() -> None:
    content = bytes(range(256)) * 400
    assert inflated(gzip.compress(content), [1_000], Limits(inflated_bytes=len(content))) == content
    with pytest.raises(FileFault) as caught:
        inflated(gzip.compress(content), [1_000], Limits(inflated_bytes=len(content) - 1))
    assert caught.value.flaw.code == "data.gzip-bomb"


@settings(max_examples=40)
@given(st.binary(max_size=200), st.lists(st.integers(1, 60), min_size=1, max_size=3))
def test_any_bytes_are_inflated_or_refused(content: bytes, sizes: list[int]) -> None:
    with pytest.raises(FileFault):
        inflated(content, sizes)
