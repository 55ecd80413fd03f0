"""Token counts: what the estimate is worth, and what is told from lengths alone."""

import functools
import itertools
import math
import pydoc_data.topics

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

from tunedrop.validation.tokens import (
    CharacterEstimate,
    ModelTokenizer,
    TokenCounter,
    TokenizerError,
    bin_edges,
    expected_steps,
    histogram,
    quantile,
    token_bins,
)

# How Llama 3 and GPT-4 cut text before they merge bytes.
_PIECES = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LENGTHS = st.lists(st.integers(0, 1 << 21) | st.integers(0, 1 << 41), max_size=60)
_ANY_TEXT = st.text(st.characters(exclude_categories=()))


@functools.cache
def _english() -> list[str]:
    return [text for _, text in sorted(pydoc_data.topics.topics.items())]


@functools.cache
def _content() -> bytes:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PIECES), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=8_000, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(_english(), trainer)
    # A saved tokenizer may cut and pad; the count must not.
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=4)
    return tokenizer.to_str().encode()


@functools.cache
def _tokenizer() -> ModelTokenizer:
    return ModelTokenizer(_content(), "tokenizer.json")


class TestModelTokenizer:
    def test_counts_every_token_and_adds_none(self) -> None:
        assert _tokenizer().count(["", "7", "2026", "the " * 50]) == [0, 1, 2, 51]

    def test_says_what_it_is(self) -> None:
        counter: TokenCounter = _tokenizer()
        assert (counter.name, counter.basis) == ("tokenizer.json", "tokenizer")

    def test_half_a_surrogate_pair_is_counted(self) -> None:
        assert _tokenizer().count(["a\ud800"])[0] >= 1

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{}",
            b"\xff",
            b"[" * 100_000,
            b'{"model": {"type": "BPE", "vocab": {}, "merges": [["a", "b"]]}}',
            b'{"model": {"type": "WordPiece"}, "pre_tokenizer": {"type": "Split"}}',
        ],
    )
    def test_a_broken_file_raises_one_error(self, content: bytes) -> None:
        with pytest.raises(TokenizerError, match=r"^tokenizer\.json is not a tokenizer that can be read: "):
            ModelTokenizer(content)

    @given(st.integers(0, 5_000), st.binary(max_size=4))
    @settings(max_examples=25)
    def test_a_damaged_file_counts_or_raises_that_error(self, position: int, damage: bytes) -> None:
        content = _content()
        try:
            counts = ModelTokenizer(content[:position] + damage + content[position + len(damage) :]).count(["the end"])
        except TokenizerError:
            return
        assert len(counts) == 1

    def test_an_interruption_is_not_swallowed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Interrupted:
            def encode_batch_fast(self, *_: object, **__: object) -> list[object]:
                raise KeyboardInterrupt

        counter = ModelTokenizer(_content())
        monkeypatch.setattr(counter, "_tokenizer", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            counter.count(["a"])


class TestCharacterEstimate:
    def test_says_what_it_is(self) -> None:
        counter: TokenCounter = CharacterEstimate()
        assert (counter.name, counter.basis) == ("characters", "estimate")

    @pytest.mark.parametrize(
        ("text", "tokens", "tolerance"),
        [
            # Counted with Llama 3's own tokenizer.
            ("I am still waiting on my card? It has been two weeks, and I would like to know where it is now.", 25, 3),
            ("for name, value in sorted(parameters.items()):\n    if value is not None:\n        print(name)\n", 20, 4),
            ('{"id": 4711, "name": "Ada", "tags": ["x", "y"], "score": 0.25, "active": true}', 35, 5),
            ("3.14159,2.71828,1.41421,1.61803", 19, 2),
            ("Der Vertrag verlängert sich um ein weiteres Jahr, wenn er nicht rechtzeitig gekündigt wird.", 24, 5),
            ("请在收到通知后的三个工作日内提交您的申请材料。", 15, 5),
        ],
    )
    def test_is_near_the_tokens_of_llama_3(self, text: str, tokens: int, tolerance: int) -> None:
        assert CharacterEstimate().count([text])[0] == pytest.approx(tokens, abs=tolerance)

    def test_is_near_a_real_tokenizer_on_all_of_a_long_text(self) -> None:
        texts = [text for text in _english() if len(text) > 200]
        exact, estimate = np.array(_tokenizer().count(texts)), np.array(CharacterEstimate().count(texts))
        # The tokenizer knows these very texts, from a small vocabulary: hence a tenth, not a hundredth.
        assert estimate.sum() == pytest.approx(exact.sum(), rel=0.1)
        assert np.quantile(np.abs(estimate / exact - 1), 0.9) < 0.2

    @given(st.lists(_ANY_TEXT, max_size=5))
    def test_counts_any_texts_as_if_each_stood_alone(self, texts: list[str]) -> None:
        counts = CharacterEstimate().count(texts)
        assert counts == [CharacterEstimate().count([text])[0] for text in texts]
        assert all((count > 0) == bool(text) for count, text in zip(counts, texts, strict=True))

    @given(_ANY_TEXT, _ANY_TEXT)
    def test_grows_with_the_text(self, text: str, more: str) -> None:
        # A border may save what two ends cost: a few tokens, never more.
        whole, part = CharacterEstimate().count([text + "\n" + more, text])
        assert whole >= part - 2


def _histogram(lengths: list[int]) -> np.ndarray:
    return histogram(np.array(lengths, np.int64))


class TestHistogram:
    @given(_LENGTHS, st.integers(0, 60))
    def test_adds_up_under_any_cut(self, lengths: list[int], cut: int) -> None:
        whole = _histogram(lengths)
        assert whole.dtype == np.int64
        assert (whole == _histogram(lengths[:cut]) + _histogram(lengths[cut:])).all()

    @given(st.integers(0, (1 << 40) - 1))
    def test_a_length_lies_within_the_edges_of_its_bin(self, length: int) -> None:
        edges = bin_edges()
        index = int(np.flatnonzero(_histogram([length]))[0])
        assert edges[index] <= length < edges[index + 1]

    def test_longer_rows_fall_into_the_last_bin(self) -> None:
        counts = _histogram([1 << 41])
        assert counts[-1] == 1
        assert len(bin_edges()) == len(counts) + 1

    @given(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=60), st.floats(0.01, 1.0))
    def test_a_quantile_lies_in_the_bin_of_the_exact_one(self, lengths: list[int], share: float) -> None:
        ordered, edges = sorted(lengths), bin_edges()
        exact = ordered[max(1, math.ceil(share * len(ordered))) - 1]
        index = int(np.searchsorted(edges, exact, side="right"))
        assert edges[index - 1] <= quantile(_histogram(lengths), share) <= edges[index]

    def test_one_long_row_among_many_moves_no_quantile(self) -> None:
        counts = _histogram([400] * 99 + [100_000])
        assert quantile(counts, 0.5) == pytest.approx(400, rel=0.2)
        assert quantile(counts, 0.95) == pytest.approx(400, rel=0.2)

    def test_no_rows_have_length_0(self) -> None:
        assert (quantile(_histogram([]), 0.5), token_bins(_histogram([]), float)) == (0, ())

    @given(st.lists(st.integers(0, 1 << 30), min_size=1, max_size=60), st.floats(0.5, 8.0))
    def test_bins_of_tokens_join_and_hold_every_row(self, lengths: list[int], ratio: float) -> None:
        bins = token_bins(_histogram(lengths), lambda size: 9 + max(0.0, size - 40) / ratio)
        assert sum(entry.rows for entry in bins) == len(lengths)
        assert bins[0].rows
        assert bins[-1].rows
        assert all(entry.low < entry.high for entry in bins)
        assert all(one.high == two.low for one, two in itertools.pairwise(bins))


@pytest.mark.parametrize(
    ("rows", "epochs", "batch_size", "steps"),
    [
        (100, 3.0, 8, 39),
        (8, 1.0, 8, 1),
        (9, 0.5, 8, 1),
        (0, 1.0, 8, 0),
        (100, None, 8, None),
        (100, 1.0, None, None),
    ],
)
def test_steps_are_whole_batches_an_epoch(
    rows: int, epochs: float | None, batch_size: int | None, steps: int | None
) -> None:
    assert expected_steps(rows, epochs, batch_size) == steps
