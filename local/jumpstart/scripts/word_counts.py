"""A model that counts words: naive Bayes over the answers of the rows it saw, where a language model is slow.

It is no language model and says no answer that no row had, but it is trained on rows and answers from its weights, in
milliseconds and without torch. Chaos and load, which are about everything around a model, train hundreds of it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

MARK = "counts_words"
"""The key in `config.json` that tells such a model from the language model that its other files describe."""

_WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True)
class WordCounts:
    """Hold how often each word stood in the prompts of each answer: `counts[word, answer]`."""

    words: Sequence[str]
    answers: Sequence[str]
    counts: np.ndarray

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]]) -> WordCounts:
        """Count the words of prompts by their answers."""
        counted = Counter((word, answer) for prompt, answer in rows for word in prompt.split())
        words, answers = sorted({word for word, _ in counted}), sorted({answer for _, answer in counted})
        counts = np.array([[counted[word, answer] for answer in answers] for word in words], np.float32)
        return cls(words, answers, counts.reshape(len(words), len(answers)))

    @classmethod
    def load(cls, folder: Path) -> WordCounts:
        """Read the model of a folder in Hugging Face layout."""
        with safe_open(folder / _WEIGHTS, framework="numpy") as weights:
            names = weights.metadata()
            return cls(json.loads(names["words"]), json.loads(names["answers"]), weights.get_tensor("counts"))

    def save(self, folder: Path) -> None:
        """Write the weights into a folder."""
        names = {"words": json.dumps(self.words), "answers": json.dumps(self.answers)}
        save_file({"counts": self.counts}, folder / _WEIGHTS, names)

    def answer(self, prompt: str) -> str:
        """Return the likeliest answer; nothing, when no row was ever seen."""
        if not self.answers:
            return ""
        likely = np.log((self.counts + 1) / (self.counts.sum(axis=0) + len(self.words)))
        known = {word: number for number, word in enumerate(self.words)}
        seen = [known[word] for word in prompt.split() if word in known]
        return self.answers[int(likely[seen].sum(axis=0).argmax())]


def counts_words(folder: Path) -> bool:
    """Tell whether a folder holds such a model."""
    return MARK in json.loads((folder / "config.json").read_text(encoding="utf-8"))
