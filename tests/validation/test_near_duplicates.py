"""Rows that are nearly the same are found, whatever the blocks, and rows that only share their form are not."""

import json
import random

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunedrop.validation.near_duplicates import BANDS, Bands, bands, candidates, common_shingles, similarity

WORDS = [
    f"{start}{middle}{end}" for start in "bdfklmprst" for middle in ("a", "era", "ou", "ilane") for end in "nrtlmx"
]
LIMIT = 10_000


def seeded(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - words, no keys


def row(generator: random.Random, words: int) -> list[str]:
    return generator.choices(WORDS, k=words)


def chat(words: list[str]) -> bytes:
    half = len(words) // 2
    messages = [
        {"role": "user", "content": " ".join(words[:half])},
        {"role": "assistant", "content": " ".join(words[half:])},
    ]
    return json.dumps({"messages": messages}).encode() + b"\n"


def edited(generator: random.Random, words: list[str], share: float) -> list[str]:
    changed = set(generator.sample(range(len(words)), round(len(words) * share)))
    return [f"new{generator.randrange(10**4)}" if index in changed else word for index, word in enumerate(words)]


def sketch(lines: list[bytes]) -> Bands:
    return bands(b"".join(lines), np.array([len(line) for line in lines], np.int64))


def found(rows: Bands, others: Bands | None = None, limit: int = LIMIT) -> list[tuple[int, int]]:
    """Return pairs within `rows`; or of one of them, which are set apart then, and one of the `others`."""
    known = rows[:0] if others is None else others
    apart = np.arange(len(known) + len(rows)) >= len(known)
    near, leaks = candidates(np.concatenate((known, rows)), apart, limit=limit)
    assert {indices.dtype for indices in (*near, *leaks)} == {np.dtype(np.int64)}
    row, twin = near if others is None else leaks
    return list(zip((row - len(known)).tolist(), twin.tolist(), strict=True))


LINES = st.lists(
    st.one_of(
        st.binary(max_size=80).map(lambda line: line.replace(b"\n", b"")),
        st.lists(st.sampled_from(["", "a", '"b":', "[{c", "more", "text\\n"]), max_size=40).map(
            lambda words: " ".join(words).encode()
        ),
    ).map(lambda line: line + b"\n"),
    min_size=1,
    max_size=12,
)


@given(lines=LINES)
@example(lines=[b" a a a a a a a text\\n text\\n\n", b"\n"])
def test_bands_do_not_depend_on_the_cut(lines: list[bytes]) -> None:
    together = sketch(lines)
    assert together.dtype == np.uint32
    assert together.shape == (len(lines), BANDS)
    np.testing.assert_array_equal(together, np.concatenate([sketch([line]) for line in lines]))


def test_short_rows_have_no_bands_and_no_candidates() -> None:
    rows = sketch([b"\n", b'{"prompt": "Why?", "completion": "Because."}\n'] * 3)
    assert not rows.any()
    assert found(rows) == []
    assert found(rows, rows) == []
    assert found(rows[:0]) == found(rows, rows[:0]) == found(rows[:0], rows) == []


def test_the_skeleton_of_json_is_no_text() -> None:
    generator = seeded(1)
    messages = [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}] * 20
    assert not sketch([json.dumps({"messages": messages}).encode() + b"\n"]).any()
    lines = [chat(row(generator, 30)) for _ in range(300)]
    assert found(sketch(lines)) == []
    assert similarity(chat(["one", "two"]), chat(["three", "four"])) == 0


def test_similarity_is_the_share_of_common_words() -> None:
    assert similarity(b'{"text": "a b c d"}\n', b'{"text": "b c d e"}\n') == pytest.approx(3 / 5)
    assert similarity(b'{"text": "a\\nb"}\n', b'{"text": "a b"}\n') == 1
    assert similarity(b"{}\n", b"{}\n") == 1


def test_what_stands_in_both_rows_makes_them_no_more_similar() -> None:
    one = b'{"instruction": "Name the intent of this long message", "context": "my card", "response": "card"}\n'
    other = b'{"instruction": "Name the intent of this long message", "context": "your bill", "response": "card"}\n'

    assert similarity(one, other) == 0


def test_an_instruction_of_every_row_is_left_out_of_the_sketch() -> None:
    instruction = "Which intent does this message of a customer express? Answer with the name of the intent only please"
    lines = [f'{{"text": "{instruction} {number}"}}\n'.encode() for number in range(100)]
    block, sizes = b"".join(lines), np.array([len(line) for line in lines], np.int64)

    common = common_shingles(block, sizes)

    assert bands(block, sizes).any()
    assert not bands(block, sizes, common).any()
    assert not len(common_shingles(b"".join(lines[:5]), sizes[:5]))


@pytest.mark.parametrize(
    ("share", "candidate", "verified"), [(0.01, 1, 1), (0.03, 0.995, 0.995), (0.06, 0.99, 0.99), (0.12, 0.9, 0)]
)
def test_edited_rows_are_found_and_others_are_not(share: float, candidate: float, verified: float) -> None:
    generator = seeded(2)
    texts = [row(generator, 150) for _ in range(500)]
    lines = [chat(words) for words in texts]
    changed = [chat(edited(generator, words, share)) for words in texts]
    pairs = found(sketch(changed), sketch(lines))
    assert sum(row == twin for row, twin in pairs) >= candidate * len(lines)
    near = [(row, twin) for row, twin in pairs if similarity(changed[row], lines[twin]) >= 0.8]
    assert sum(row == twin for row, twin in near) >= verified * len(lines)
    assert all(row == twin for row, twin in near)
    within = found(sketch(lines + changed))
    assert {(row - len(lines), twin) for row, twin in within} >= set(near)


def test_pairs_within_one_array_are_told_once_and_the_closest_first() -> None:
    generator = seeded(3)
    texts = [row(generator, 200) for _ in range(50)]
    lines = [chat(words) for words in texts]
    lines += [chat(edited(generator, texts[7], 0.1)), chat(texts[3])]
    rows = sketch(lines)
    assert found(rows) == [(51, 3), (50, 7)]
    assert found(rows, limit=1) == [(51, 3)]
    rows[51] = 0
    assert found(rows) == [(50, 7)]


def test_a_group_of_very_many_rows_takes_no_more_pairs_than_allowed() -> None:
    generator = seeded(4)
    rows = np.repeat(sketch([chat(row(generator, 100))]), 100_000, axis=0)
    assert len(found(rows)) == LIMIT
    assert found(rows) == found(rows)


def test_a_pair_is_found_among_many_rows_that_share_a_long_beginning() -> None:
    generator = seeded(5)
    system = row(generator, 60)
    texts = [row(generator, 90) for _ in range(2_000)]
    lines = [chat(system + words) for words in texts]
    lines.append(chat(system + edited(generator, texts[0], 0.02)))
    assert (2_000, 0) in found(sketch(lines))
