"""Equal rows are found by their digests, all of them, in little memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunedrop.validation import duplicates
from tunedrop.validation.duplicates import Digests, copies, shared

# Digests that differ in their lowest bits only are the ones that keys take for equal.
DIGESTS = st.lists(
    st.one_of(st.integers(0, 5), st.integers(0, 3).map(lambda low: (7 << 40) + low), st.integers(2**64 - 4, 2**64 - 1)),
    max_size=60,
)


@pytest.fixture(autouse=True, params=[1, 3, 1 << 18])
def step(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(duplicates, "_STEP", request.param)
    return int(request.param)


def array(digests: list[int]) -> Digests:
    return np.array(digests, np.uint64)


def lists(pair: tuple[duplicates.Indices, duplicates.Indices]) -> tuple[list[int], list[int]]:
    assert pair[0].dtype == pair[1].dtype == np.int64
    return pair[0].tolist(), pair[1].tolist()


def test_a_group_of_three_yields_two() -> None:
    assert lists(copies(array([9, 8, 9, 7, 9, 8]))) == ([2, 4, 5], [0, 0, 1])


def test_no_row_equals_no_row() -> None:
    assert lists(copies(array([0, 5, 0, 0]))) == ([], [])
    assert lists(shared(array([0, 5]), array([0, 0]))) == ([], [])


def test_the_first_of_the_others_is_told() -> None:
    assert lists(shared(array([4, 0, 6, 6, 1]), array([6, 0, 4, 6]))) == ([0, 2, 3], [2, 0, 0])


@given(digests=DIGESTS)
def test_copies_are_what_a_dictionary_finds(digests: list[int]) -> None:
    seen: dict[int, int] = {}
    expected = [
        (index, seen[digest])
        for index, digest in enumerate(digests)
        if digest and seen.setdefault(digest, index) != index
    ]
    assert list(zip(*lists(copies(array(digests))), strict=True)) == expected


@given(digests=DIGESTS, others=DIGESTS)
def test_shared_is_what_a_dictionary_finds(digests: list[int], others: list[int]) -> None:
    seen: dict[int, int] = {}
    for index, digest in enumerate(others):
        seen.setdefault(digest, index)
    expected = [(index, seen[digest]) for index, digest in enumerate(digests) if digest and digest in seen]
    assert list(zip(*lists(shared(array(digests), array(others))), strict=True)) == expected


@pytest.mark.parametrize("distinct", [1, 1 << 60])
def test_memory_stays_within_24_bytes_a_row(distinct: int, step: int) -> None:
    if step != 1 << 18:
        pytest.skip("of interest with real steps")
    rows = 4_000_000
    constant = 24 << 20
    digests = np.random.default_rng(0).integers(1, distinct + 1, rows, np.uint64)
    tracemalloc.start()
    try:
        copies(digests)
        shared(digests, digests[: rows // 10])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert 8 * rows + peak < 24 * rows + constant
