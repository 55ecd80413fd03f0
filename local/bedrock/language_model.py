"""Generate text with a language model, or one that reads pictures beside text, several prompts at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from PIL.Image import Image
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    DynamicCache,
)

from local.bedrock.chat_template import find_chat_template
from local.bedrock.vision import Vision

StopReason = Literal["end_turn", "max_tokens", "stop_sequence"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Hold one prompt and how to continue it.

    Attributes:
        tokens: the prompt's token ids, none added later.
        max_tokens: the most tokens to generate.
        temperature: 0 takes the likeliest token each time.
        top_p: the probability mass to draw from.
        stop_sequences: texts that end the answer and are not part of it.
        pictures: what the prompt's image tokens stand for, in order.
        logprobs: whether the answer is to tell how likely each token was.
        top_logprobs: how many of the likeliest tokens to tell at each place.
    """

    tokens: tuple[int, ...]
    max_tokens: int
    temperature: float
    top_p: float
    stop_sequences: tuple[str, ...] = ()
    pictures: tuple[Image, ...] = ()
    logprobs: bool = False
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class Likelihood:
    """Tell how likely one generated token was, whatever the temperature.

    Attributes:
        token: its id.
        text: what it says, special tokens shown.
        logprob: the natural logarithm of its probability.
        top: text and log probability of the likeliest tokens in its place, as many as were asked for.
    """

    token: int
    text: str
    logprob: float
    top: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """Hold what came of an answer since the piece before."""

    text: str
    logprobs: tuple[Likelihood, ...]


Listener = Callable[[Piece], None]
"""Is told the pieces of one answer as they are generated; their texts together are the answer's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one generated text; the end-of-text token counts as an output token but is not in the text.

    Attributes:
        logprobs: one for each output token; empty unless asked for.
    """

    text: str
    stop_reason: StopReason
    input_tokens: int
    output_tokens: int
    logprobs: tuple[Likelihood, ...] = ()


@dataclass(slots=True)
class _Row:
    """Hold the state of one prompt while it is generated."""

    prompt: Prompt
    listener: Listener | None
    tokens: list[int] = field(default_factory=list)
    logprobs: list[Likelihood] = field(default_factory=list)
    answer: Answer | None = None
    told_text: int = 0
    """Characters that the listener knows."""
    told_tokens: int = 0
    """Tokens whose likelihood the listener knows."""


class LanguageModel:
    """Hold a model's weights, tokenizer and chat template.

    Args:
        folder: a model in Hugging Face layout.
    """

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        # Float32 holds bfloat16 weights exactly. On cores without bfloat16 units it takes a fifth of the time, and
        # rounding differences between batch sizes are too small to change a greedy answer.
        reads_pictures = hasattr(AutoConfig.from_pretrained(folder, local_files_only=True), "vision_config")
        family = AutoModelForImageTextToText if reads_pictures else AutoModelForCausalLM
        self._model = family.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
        self._model.train(mode=False)
        self._vision = Vision(folder, self._model.config.image_token_index) if reads_pictures else None
        self._chat_template = find_chat_template(folder)
        self.context_length: int = self._model.config.get_text_config().max_position_embeddings
        generation = self._model.generation_config
        ends = {self._tokenizer.eos_token_id}
        ends |= set(generation.eos_token_id if isinstance(generation.eos_token_id, list) else [generation.eos_token_id])
        self._ends = {token for token in ends if token is not None}

    def render(self, messages: Sequence[Mapping[str, Any]]) -> tuple[int, ...]:
        """Return the token ids of a conversation, ready for the assistant's turn.

        The template is applied exactly once: it writes the model's special tokens itself, so none are added again.

        Args:
            messages: role and content of each turn, a `system` turn first if any. A content with pictures is a list of
                `{"type": "image"}` and `{"type": "text", "text"}`.
        """
        text = self._tokenizer.apply_chat_template(
            list(messages), chat_template=self._chat_template, add_generation_prompt=True, tokenize=False
        )
        return tuple(self._tokenizer(text, add_special_tokens=False).input_ids)

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the token ids of a raw prompt, with the special tokens that the tokenizer adds by itself."""
        return tuple(self._tokenizer(text).input_ids)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids, special tokens shown."""
        return str(self._tokenizer.decode(list(tokens)))

    def image_tokens(self, tokens: Sequence[int]) -> int:
        """Return how many pictures a prompt's tokens stand for."""
        return self._vision.image_tokens(tokens) if self._vision else 0

    def generate(self, prompts: Sequence[Prompt], listeners: Sequence[Listener | None] = ()) -> list[Answer]:
        """Continue every prompt, in one batch, or in two when some have pictures: a text alone skips Mllama's layers.

        Args:
            prompts: one or more.
            listeners: for each prompt who is told its answer piece by piece, if anybody; empty for nobody at all.

        Returns:
            One answer for each prompt, in order.
        """
        rows = [_Row(*each) for each in zip(prompts, listeners or [None] * len(prompts), strict=True)]
        for group in ([row for row in rows if row.prompt.pictures], [row for row in rows if not row.prompt.pictures]):
            if group:
                self._continue(group)
        return [row.answer for row in rows if row.answer]

    @torch.inference_mode()
    def _continue(self, live: Sequence[_Row]) -> None:
        """Continue rows until each has its answer.

        Prompts are padded on the left, and rows leave the batch as they end.
        """
        cache = DynamicCache(config=self._model.config)
        width = max(len(row.prompt.tokens) for row in live)
        padding = [width - len(row.prompt.tokens) for row in live]
        # Padding is masked out, so any token id serves.
        padded = [[0] * pad + list(row.prompt.tokens) for pad, row in zip(padding, live, strict=True)]
        step = torch.tensor(padded)
        mask = torch.tensor([[0] * pad + [1] * (width - pad) for pad in padding])
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)
        seen = self._vision.inputs(padded, [row.prompt.pictures for row in live]) if self._vision else {}
        while True:
            logits = self._model(
                input_ids=step,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                logits_to_keep=1,
                **seen,
            ).logits.float()
            for row, scores in zip(live, logits[:, -1], strict=True):
                row.tokens.append(_choose(scores, row.prompt))
                if row.prompt.logprobs:
                    row.logprobs.append(self._likelihood(scores, row.tokens[-1], row.prompt.top_logprobs))
                row.answer = self._finished(row)
                if row.listener:
                    self._tell(row, row.listener)
            kept = [index for index, row in enumerate(live) if row.answer is None]
            if not kept:
                return
            seen = Vision.next_inputs(seen)
            if len(kept) < len(live):
                selection = torch.tensor(kept)
                cache.batch_select_indices(selection)
                mask, positions = mask[selection], positions[selection]
                seen = {name: value[selection] for name, value in seen.items()}
                live = [live[index] for index in kept]
            step = torch.tensor([[row.tokens[-1]] for row in live])
            mask = torch.cat([mask, mask.new_ones(len(live), 1)], dim=1)
            positions = positions[:, -1:] + 1

    def _finished(self, row: _Row) -> Answer | None:
        """Return the row's answer if its last token ended it."""
        ended = row.tokens[-1] in self._ends
        text = self._text(row.tokens[:-1] if ended else row.tokens)
        reason: StopReason | None = "end_turn" if ended else None
        found = [at for stop in row.prompt.stop_sequences if (at := text.find(stop)) >= 0]
        if found:
            text, reason = text[: min(found)], "stop_sequence"
        elif not ended and len(row.tokens) >= row.prompt.max_tokens:
            reason = "max_tokens"
        if reason is None:
            return None
        return Answer(text, reason, len(row.prompt.tokens), len(row.tokens), tuple(row.logprobs))

    def _tell(self, row: _Row, listener: Listener) -> None:
        """Tell the listener what is new and will stay: no half of a character, no beginning of a stop sequence."""
        if row.answer:
            text = row.answer.text
        else:
            text = self._text(row.tokens).rstrip("\N{REPLACEMENT CHARACTER}")
            text = text[: len(text) - max((_overlap(text, stop) for stop in row.prompt.stop_sequences), default=0)]
        piece = Piece(text[row.told_text :], tuple(row.logprobs[row.told_tokens :]))
        if piece.text or piece.logprobs:
            row.told_text, row.told_tokens = max(row.told_text, len(text)), len(row.logprobs)
            listener(piece)

    def _text(self, tokens: Sequence[int]) -> str:
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def _likelihood(self, scores: torch.Tensor, token: int, top: int) -> Likelihood:
        """Tell how likely the token was; `scores` are the row's logits, shape (vocabulary,)."""
        logprobs = scores.log_softmax(dim=0)
        values, likeliest = logprobs.topk(top)
        others = tuple((self.decode([int(each)]), float(value)) for value, each in zip(values, likeliest, strict=True))
        return Likelihood(token, self.decode([token]), float(logprobs[token]), others)


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the text's end may be the beginning of a stop sequence."""
    return next((size for size in range(min(len(stop), len(text)), 0, -1) if text.endswith(stop[:size])), 0)


def _choose(scores: torch.Tensor, prompt: Prompt) -> int:
    """Return the next token id.

    Args:
        scores: logits of one row, shape (vocabulary,).
        prompt: how to sample.
    """
    if prompt.temperature == 0:
        return int(scores.argmax())
    probabilities, tokens = torch.softmax(scores / prompt.temperature, dim=0).sort(descending=True)
    # The smallest set of tokens that holds the mass, the likeliest one always.
    probabilities[probabilities.cumsum(dim=0) - probabilities >= max(prompt.top_p, 1e-9)] = 0
    return int(tokens[torch.multinomial(probabilities, 1)])
