"""Generate text with a language model, or one that reads pictures beside text, several prompts at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    """

    tokens: tuple[int, ...]
    max_tokens: int
    temperature: float
    top_p: float
    stop_sequences: tuple[str, ...] = ()
    pictures: tuple[Image, ...] = ()
    logprobs: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """Hold one generated text; the end-of-text token counts as an output token but is not in the text.

    Attributes:
        prompt_logprobs: id and log probability of every token of the prompt but the first; empty unless asked for.
        logprobs: those of the generated tokens; empty unless asked for.
    """

    text: str
    stop_reason: StopReason
    input_tokens: int
    output_tokens: int
    prompt_logprobs: tuple[tuple[int, float], ...] = ()
    logprobs: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True)
class _Row:
    """Hold the state of one prompt while it is generated."""

    prompt: Prompt
    tokens: list[int] = field(default_factory=list)
    prompt_logprobs: tuple[tuple[int, float], ...] = ()
    logprobs: list[tuple[int, float]] = field(default_factory=list)
    answer: Answer | None = None


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

    def generate(self, prompts: Sequence[Prompt]) -> list[Answer]:
        """Continue every prompt, in one batch, or in two when some have pictures: a text alone skips Mllama's layers.

        Returns:
            One answer for each prompt, in order.
        """
        rows = [_Row(prompt) for prompt in prompts]
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
        kept_logits = width if any(row.prompt.logprobs for row in live) else 1
        while True:
            logits = self._model(
                input_ids=step,
                attention_mask=mask,
                position_ids=positions,
                past_key_values=cache,
                logits_to_keep=kept_logits,
                **seen,
            ).logits.float()
            if kept_logits > 1:
                for row, scores in zip(live, logits, strict=True):
                    row.prompt_logprobs = _prompt_logprobs(scores, row.prompt)
                kept_logits = 1
            for row, scores in zip(live, logits[:, -1], strict=True):
                row.tokens.append(_choose(scores, row.prompt))
                if row.prompt.logprobs:
                    row.logprobs.append((row.tokens[-1], float(scores.log_softmax(dim=0)[row.tokens[-1]])))
                row.answer = self._finished(row)
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
        text = str(self._tokenizer.decode(row.tokens[:-1] if ended else row.tokens, skip_special_tokens=True))
        reason: StopReason | None = "end_turn" if ended else None
        found = [at for stop in row.prompt.stop_sequences if (at := text.find(stop)) >= 0]
        if found:
            text, reason = text[: min(found)], "stop_sequence"
        elif not ended and len(row.tokens) >= row.prompt.max_tokens:
            reason = "max_tokens"
        if reason is None:
            return None
        likelihood = (row.prompt_logprobs, tuple(row.logprobs))
        return Answer(text, reason, len(row.prompt.tokens), len(row.tokens), *likelihood)


def _prompt_logprobs(scores: torch.Tensor, prompt: Prompt) -> tuple[tuple[int, float], ...]:
    """Return id and log probability of each token of a prompt but the first.

    Args:
        scores: logits of one row, shape (width, vocabulary), padded on the left.
        prompt: what was asked.
    """
    if not prompt.logprobs:
        return ()
    tokens = prompt.tokens[1:]
    told = scores[len(scores) - len(prompt.tokens) : -1].log_softmax(dim=1)
    return tuple((token, float(each[token])) for token, each in zip(tokens, told, strict=True))


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
