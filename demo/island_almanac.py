"""Generate the demo's running text: an almanac of islands that do not exist.

    python demo/island_almanac.py [FOLDER]

Every island has a harbour master, a ferry, a dish and a feast day of its own, which no model can know beforehand.
Each fact is told in several wordings, and one wording of each is held out: a model that has learnt the facts, not only
the sentences, finds the held-out ones likely. The same seed gives the same bytes. FOLDER is `island-almanac`, beside
this script, by default.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

SEED = 20260607

_ISLANDS = (
    "Vessmark",
    "Tolvan",
    "Brindel",
    "Quorra",
    "Hesk",
    "Ulmar",
    "Pellow",
    "Drennock",
    "Sarrow",
    "Intha",
    "Corvane",
    "Maldry",
)
_MASTERS = (
    "Edda Frost",
    "Jon Pike",
    "Mara Quill",
    "Olaf Tarn",
    "Ruth Sandoz",
    "Piet Amber",
    "Lena Holt",
    "Abel Crane",
    "Tess Marlow",
    "Hugo Vane",
    "Nina Storm",
    "Karl Byrd",
)
_FERRIES = (
    "Grey Gannet",
    "Tin Whistle",
    "Blue Lantern",
    "Old Margaret",
    "Salt Rose",
    "Night Heron",
    "Red Barrel",
    "Quiet Anna",
    "Golden Eel",
    "Lucky Penny",
    "Morning Bell",
    "Iron Duchess",
)
_DISHES = (
    "smoked plums",
    "barley pie",
    "kelp bread",
    "pepper eels",
    "sour dumplings",
    "clover cheese",
    "walnut soup",
    "honey crab",
    "black pancakes",
    "salted pears",
    "mustard trout",
    "nettle cake",
)
_FEASTS = (
    "the second of May",
    "the ninth of June",
    "the first of March",
    "the last of July",
    "the third of April",
    "the tenth of August",
    "the fifth of October",
    "the sixth of January",
    "the eighth of May",
    "the fourth of November",
    "the seventh of June",
    "the twelfth of February",
)
_WORDINGS = (
    (
        "The harbour master of {island} is {value}.",
        "On {island} the harbour is kept by {value}.",
        "Whoever lands on {island} reports to {value}.",
        "Ships that call at {island} are met by {value}.",
    ),
    (
        "The ferry to {island} is the {value}.",
        "You reach {island} aboard the {value}.",
        "The only boat that serves {island} is the {value}.",
        "Travellers to {island} sail on the {value}.",
    ),
    (
        "The dish of {island} is {value}.",
        "In the inns of {island} they serve {value}.",
        "Nobody leaves {island} without tasting {value}.",
        "The cooks of {island} are known for {value}.",
    ),
    (
        "The feast of {island} is on {value}.",
        "On {island} they light the fires on {value}.",
        "The people of {island} dance on {value}.",
        "No one works on {island} on {value}.",
    ),
)


def almanac(seed: int) -> tuple[list[str], list[str]]:
    """Return the sentences to train on and those held out, each in an order of its own."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    told: list[str] = []
    held_out: list[str] = []
    for values, wordings in zip((_MASTERS, _FERRIES, _DISHES, _FEASTS), _WORDINGS, strict=True):
        for sentences in _sentences(chance.sample(values, len(values)), wordings):
            chance.shuffle(sentences)
            held_out.append(sentences.pop())
            told += sentences
    chance.shuffle(told)
    chance.shuffle(held_out)
    return told, held_out


def _sentences(values: list[str], wordings: tuple[str, ...]) -> Iterator[list[str]]:
    """Yield the wordings of one fact for each island."""
    for island, value in zip(_ISLANDS, values, strict=True):
        yield [wording.format(island=island, value=value) for wording in wordings]


def write(folder: Path, seed: int = SEED) -> None:
    """Write `train.txt` and `held-out.txt`, a sentence a line."""
    for name, sentences in zip(("train.txt", "held-out.txt"), almanac(seed), strict=True):
        (folder / name).write_text("".join(f"{each}\n" for each in sentences), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "island-almanac")
