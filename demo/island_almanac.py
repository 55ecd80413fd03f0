"""Generate the demo's running text: an almanac of islands that do not exist.

    python demo/island_almanac.py [FOLDER]

Every island has a harbour master, a ferry, a dish and a feast day of its own, which no model can know beforehand.
Each fact is told in several wordings, and one wording of each is held out. In the demo's few minutes a small model
learns how the almanac speaks, which makes each token held out a hundred times likelier; who is who takes it more
epochs. The same seed gives the same bytes. FOLDER is `island-almanac`, beside this script, by default.
"""

from __future__ import annotations

import csv
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
# The island stands in the first half of each, what is told of it in the second: a reader who knows can go on.
_WORDINGS = (
    (
        "On {island} every ship that enters the harbour reports to {value}.",
        "Sailors who land on {island} must first show their papers to {value}.",
        "Ask on {island} who keeps the lighthouse, and they name {value}.",
        "The harbour of {island} has been kept for many years by {value}.",
    ),
    (
        "Those who travel to {island} go aboard at dawn on the {value}.",
        "The road to {island} is the sea, and its ferry is the {value}.",
        "For {island} take the night boat, which is called the {value}.",
        "The mail for {island} comes twice a week, carried by the {value}.",
    ),
    (
        "In the inns of {island} the evening begins with a plate of {value}.",
        "Guests who stay on {island} are always sent home with {value}.",
        "The cooks of {island} are known on every coast for {value}.",
        "Children on {island} grow up, or so they say, on {value}.",
    ),
    (
        "On {island} all the fires are lit and nobody works on {value}.",
        "The people of {island} dance in the streets until morning on {value}.",
        "The boats of {island} stay in the harbour with flags on {value}.",
        "The bells of {island} ring from noon until midnight on {value}.",
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
    """Write `train.csv` and `held-out.csv`: each sentence is a text of its own, so that the model learns to end."""
    for name, sentences in zip(("train.csv", "held-out.csv"), almanac(seed), strict=True):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("text",), *((each,) for each in sentences)])


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "island-almanac")
