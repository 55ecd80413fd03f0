"""Write datasets of realistic text, the same bytes for the same seed.

Texts are sentences of Python's own documentation (`pydoc_data.topics`), in lengths such as people's datasets have:
some 1 KB a row, log-normal. 85 % of the rows are as they come, 10 % are sure to hold characters beyond ASCII, 5 % are
escaped as `json.dumps` does it. One row in 500 is a copy of an earlier one, one in 500 a copy with a few other words.
"""

import argparse
import json
import pydoc_data.topics
import random
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.validator.faults import FAULTS, Chat

VERSION = 1
"""Part of the path of cached files: raise it when the bytes change."""
MEGABYTE = 1_000_000
BATCH_ROWS = 10_000
REPEATED = 0.002
"""Share of rows that are copies, and again of rows that are nearly copies."""
REMEMBERED_EVERY = 97
REMEMBERED = 5_000
ESCAPED, BEYOND_ASCII = 0.05, 0.15
"""Bounds of a draw: below the first a row is escaped, below the second it holds characters beyond ASCII."""


class Bank(NamedTuple):
    """Hold sentences, as JSON spells them."""

    plain: list[str]
    escaped: list[str]
    foreign: list[int]
    """Those with characters beyond ASCII."""
    words: list[str]


@cache
def _bank() -> Bank:
    sentences = [
        sentence.strip()
        for topic in pydoc_data.topics.topics.values()
        for sentence in re.split(r"(?<=[.!?])\s+", re.sub(r"\s+", " ", topic))
        if 20 < len(sentence) < 400  # noqa: PLR2004 - neither headings nor tables
    ]
    return Bank(
        plain=[json.dumps(each, ensure_ascii=False)[1:-1] for each in sentences],
        escaped=[json.dumps(each)[1:-1] for each in sentences],
        foreign=[number for number, each in enumerate(sentences) if not each.isascii()],
        words=sorted({word for each in sentences for word in each.split() if _replaceable(word)}),
    )


class Text:
    """Draw texts and rows."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - reproducible rows, not secrets
        self._plain, self._escaped, self._foreign, self._words = _bank()

    def _length(self, mean: float, deviation: float, most: int) -> int:
        """Draw a number of sentences, log-normal."""
        return max(1, min(most, int(self.random.lognormvariate(mean, deviation))))

    def _text(self, sentences: int, bank: list[str], *, foreign: bool = False) -> str:
        """Join so many sentences, as JSON spells them."""
        draw, number = self.random.random, len(bank)
        parts = [bank[int(draw() * number)] for _ in range(sentences)]
        if foreign:
            parts[0] = bank[self.random.choice(self._foreign)]
        # Without a number, texts of one sentence would be equal by chance.
        parts[-1] += f" (#{self.random.getrandbits(30)})"
        return ("\\n\\n" if sentences > 3 and draw() < 0.5 else " ").join(parts)  # noqa: PLR2004 - paragraphs

    def chat(self) -> str:
        """Draw a conversation: a system message in three of ten, most of one question and one answer."""
        draw = self.random.random
        kind = draw()
        bank, foreign = self._escaped if kind < ESCAPED else self._plain, kind < BEYOND_ASCII
        turns = self.random.choices((1, 2, 3, self.random.randint(4, 6)), (55, 25, 12, 8))[0]
        messages = []
        if draw() < 0.3:  # noqa: PLR2004 - see above
            messages.append(f'{{"role": "system", "content": "{self._text(self._length(0.3, 0.5, 6), bank)}"}}')
        for _ in range(turns):
            question = self._text(self._length(0.2, 0.6, 12), bank, foreign=foreign)
            answer = self._text(self._length(0.85, 0.75, 40), bank, foreign=foreign)
            messages.append(f'{{"role": "user", "content": "{question}"}}')
            messages.append(f'{{"role": "assistant", "content": "{answer}"}}')
        return f'{{"messages": [{", ".join(messages)}]}}'

    def instruction(self) -> str:
        """Draw an instruction row for the default template; more than half have no context."""
        kind = self.random.random()
        bank, foreign = self._escaped if kind < ESCAPED else self._plain, kind < BEYOND_ASCII
        asked = self._text(self._length(0.2, 0.6, 12), bank, foreign=foreign)
        has_context = self.random.random() < 0.45  # noqa: PLR2004 - see above
        context = self._text(self._length(1.6, 0.6, 40), bank) if has_context else ""
        answer = self._text(self._length(1.35, 0.75, 60), bank, foreign=foreign)
        return f'{{"instruction": "{asked}", "context": "{context}", "response": "{answer}"}}'

    def nearly(self, line: str) -> str:
        """Return the line with one word in sixty replaced."""
        words = line.split(" ")
        places = [place for place, word in enumerate(words) if _replaceable(word)]
        for place in self.random.sample(places, min(len(places), max(1, len(words) // 60))):
            words[place] = self.random.choice(self._words)
        return " ".join(words)


def _replaceable(word: str) -> bool:
    """Tell whether a word may be swapped without touching JSON's own signs."""
    return len(word) > 3 and word.isascii() and word.isalpha()  # noqa: PLR2004 - words that mean something


def rows(technique: str, seed: int = 1) -> Iterator[str]:
    """Yield rows without end, copies and near copies among them."""
    text = Text(seed)
    make: Callable[[], str] = text.chat if technique == "chat" else text.instruction
    remembered: list[str] = []
    number = 0
    while True:
        kind = text.random.random()
        if remembered and kind < REPEATED:
            line = text.random.choice(remembered)
        elif remembered and kind < 2 * REPEATED:
            line = text.nearly(text.random.choice(remembered))
        else:
            line = make()
            if number % REMEMBERED_EVERY == 0:
                remembered.append(line)
                if len(remembered) > REMEMBERED:
                    remembered[text.random.randrange(REMEMBERED)] = remembered.pop()
        yield line
        number += 1


def spoilt(lines: Iterable[str], every: int) -> Iterator[bytes]:
    """Yield conversations, one in `every` of them with a fault, the kinds of fault in turn."""
    faults = list(FAULTS.values())
    for number, line in enumerate(lines):
        if number % every == every - 1:
            chat: Chat = json.loads(line)
            yield faults[number // every % len(faults)](chat)
        else:
            yield line.encode()


VARIANTS: dict[str, Callable[[], Iterator[bytes]]] = {
    "chat": lambda: (line.encode() for line in rows("chat")),
    "instruction": lambda: (line.encode() for line in rows("instruction")),
    "chat-1-percent-bad": lambda: spoilt(rows("chat"), 100),
    "chat-100-percent-bad": lambda: spoilt(rows("chat"), 1),
}


def write(variant: str, megabytes: float, path: Path) -> None:
    """Write a file of at least this size, row by row; a file that is there is whole, and stays.

    A smaller file is the beginning of a larger one.
    """
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(path.parent).free
    if free < 1.1 * megabytes * MEGABYTE:
        raise SystemExit(f"{megabytes:g} MB do not fit on the disk of {path.parent}: {free // MEGABYTE} MB are free")
    partial = path.with_suffix(".partial")
    left = megabytes * MEGABYTE
    with partial.open("wb") as out:
        batch: list[bytes] = []
        for line in VARIANTS[variant]():
            batch.append(line + b"\n")
            left -= len(batch[-1])
            if left <= 0 or len(batch) == BATCH_ROWS:
                out.write(b"".join(batch))
                batch.clear()
            if left <= 0:
                break
    partial.rename(path)


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("variant", choices=VARIANTS)
    parser.add_argument("megabytes", type=float)
    parser.add_argument("path", type=Path)
    asked = parser.parse_args()
    write(asked.variant, asked.megabytes, asked.path)


if __name__ == "__main__":
    main()
