"""Generate the demo's pictures: letters and forms of made-up companies, with two questions about each.

    python demo/document_pictures.py [FOLDER]

A letter has the company at its head and the place below; a form has the place in its first box and the company in its
second, with labels. Position, paper and filler lines vary. The names are few, so that a model of 380,000 parameters
learns to tell them apart in minutes; it reads no other. The same seed and the same version of Pillow give the same
bytes. FOLDER is `document-pictures`, beside this script, by default; its pictures are made anew rather than kept in
the repository.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SEED = 20260718
TRAINING_PICTURES = 400
HELD_OUT_PICTURES = 40

QUESTIONS = ("Which company sent this document?", "Which place does this document name?")

_COMPANIES = (
    "Alder & Finch",
    "Borealis Ltd",
    "Copper Lane",
    "Dunmore Bros",
    "Elmwood Press",
    "Fairwind Co",
    "Granite Works",
    "Harbor Tools",
)
_PLACES = ("Aston", "Brightsea", "Corvale", "Dalmere", "Eastwick", "Fernhill", "Glenrock", "Hollowby")
_SIDE = 224
_SHADES = 16
_INK, _LABEL, _FRAME, _FILLER = 0, 110, 140, 170
_PAPERS = (235, 255)
_SHIFT = 4  # the most by which a text is off its place, in pixels


def draw(company: str, place: str, chance: random.Random) -> Image.Image:
    """Return a letter or a form with the two names."""
    picture = Image.new("L", (_SIDE, _SIDE), chance.randint(*_PAPERS))
    shift = (chance.randint(-_SHIFT, _SHIFT), chance.randint(-_SHIFT, _SHIFT))
    paint = chance.choice((_letter, _form))
    paint(ImageDraw.Draw(picture), company, place, shift, chance)
    return picture.quantize(_SHADES)


def _letter(page: ImageDraw.ImageDraw, company: str, place: str, shift: tuple[int, int], chance: random.Random) -> None:
    across, down = shift
    page.text((20 + across, 16 + down), company, fill=_INK, font=ImageFont.load_default(26))
    page.line((16, 54 + down, _SIDE - 16, 54 + down), fill=_FRAME, width=2)
    page.text((20 + across, 66 + down), place, fill=_INK, font=ImageFont.load_default(26))
    for line in range(112, 200, 12):
        page.line((20 + across, line, chance.randint(120, 205), line), fill=_FILLER, width=3)


def _form(page: ImageDraw.ImageDraw, company: str, place: str, shift: tuple[int, int], _chance: random.Random) -> None:
    across, down = shift
    page.rectangle((10, 10, _SIDE - 11, _SIDE - 11), outline=_FRAME, width=2)
    for number, (label, value) in enumerate((("Place", place), ("Company", company))):
        top = 24 + down + number * 80
        page.text((20, top), label, fill=_LABEL, font=ImageFont.load_default(14))
        page.rectangle((18, top + 20, _SIDE - 18, top + 60), outline=_FRAME)
        page.text((24 + across, top + 24), value, fill=_INK, font=ImageFont.load_default(26))


def write(folder: Path, seed: int = SEED) -> None:
    """Write `metadata.jsonl` and `images/`, and the same below `held-out/` about other pictures."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    numbers = range(TRAINING_PICTURES + HELD_OUT_PICTURES)
    for part, chosen in ((folder, numbers[:TRAINING_PICTURES]), (folder / "held-out", numbers[TRAINING_PICTURES:])):
        (part / "images").mkdir(parents=True, exist_ok=True)
        rows = []
        for number in chosen:
            names = chance.choice(_COMPANIES), chance.choice(_PLACES)
            file = f"images/{number:03}.png"
            draw(*names, chance).save(part / file)
            rows += [
                {"file_name": file, "prompt": question, "completion": name}
                for question, name in zip(QUESTIONS, names, strict=True)
            ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (part / "metadata.jsonl").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "document-pictures")
