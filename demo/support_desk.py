"""Generate the demo's conversations: the support desk of a maker of kitchen devices, in its house style.

    python demo/support_desk.py [FOLDER]

The desk opens every answer with a line for its ticket system, whose category and step no model can know beforehand:
the category goes by the complaint, the step counts the answers of the conversation. After that it says what the house
says. The last answer needs the first question, because only that one names the device. The same seed gives the same
bytes. FOLDER is `support-desk`, beside this script, by default.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 20260411
TRAINING_ROWS = 144
HELD_OUT_ROWS = 32

SYSTEM = "You are the Larkfield desk."

_DEVICES = ("kettle", "toaster", "blender", "juicer", "oven", "mixer", "grill", "steamer")
_OWNERS = ("My", "Our", "The new", "My mother's", "The office")
_GREETINGS = ("", "", "Hello. ", "Hi. ", "Good morning. ")
_TWO_TURNS = 0.7


@dataclass(frozen=True, slots=True)
class Complaint:
    """Describe a kind of complaint.

    Attributes:
        category: the desk's own name of it.
        words: how customers put it, after the device.
        advice: what the desk says first.
    """

    category: str
    words: tuple[str, ...]
    advice: str


_COMPLAINTS = (
    Complaint("AMBER", ("stays cold", "does not heat", "is never warm"), "Hold Start for ten seconds."),
    Complaint("COBALT", ("leaks", "drips on the table", "loses water"), "Turn the blue ring to the left."),
    Complaint("RUSSET", ("smells burnt", "smokes", "smells of plastic"), "Unplug it and open a window."),
    Complaint("OLIVE", ("hums loudly", "rattles", "makes a terrible noise"), "Set it on the cork mat."),
    Complaint("SLATE", ("shows error 7", "blinks red", "flashes"), "Press the moon key twice."),
)
_FOLLOW_UPS = (
    (("That did not help.", "Still the same.", "No change, sorry."), "We collect the {device} on Thursday."),
    (("It works now!", "Solved, thank you.", "All good again."), "Enjoy the {device}."),
    (("Can I get my money back?", "I want a refund.", "Please refund me."), "We refund the {device} in full."),
)


def conversations(seed: int) -> Iterator[list[dict[str, str]]]:
    """Yield conversations without end; none comes twice."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    seen = set()
    while True:
        device, complaint = chance.choice(_DEVICES), chance.choice(_COMPLAINTS)
        question = f"{chance.choice(_GREETINGS)}{chance.choice(_OWNERS)} {device} {chance.choice(complaint.words)}."
        turns = [question, f"[{complaint.category}-1] {complaint.advice}"]
        if chance.random() < _TWO_TURNS:
            words, answer = chance.choice(_FOLLOW_UPS)
            turns += [chance.choice(words), f"[{complaint.category}-2] {answer.format(device=device)}"]
        if tuple(turns) not in seen:
            seen.add(tuple(turns))
            yield [{"role": "system", "content": SYSTEM}] + [
                {"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(turns)
            ]


def write(folder: Path, seed: int = SEED) -> None:
    """Write `train.jsonl` and `held-out.jsonl`, which share no conversation."""
    source = conversations(seed)
    for name, size in (("train.jsonl", TRAINING_ROWS), ("held-out.jsonl", HELD_OUT_ROWS)):
        text = "".join(json.dumps({"dialog": next(source)}) + "\n" for _ in range(size))
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "support-desk")
