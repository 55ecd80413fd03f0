"""Generate the demo's drop: a year of bank lines of a small film studio, booked to the studio's own accounts.

    python demo/bank_transactions.py [FOLDER]

The bank writes a merchant as banks do, with a terminal's prefix, a store number, a city, or half the name missing. The
studio books by house rules that no model can know beforehand: some merchants go to one account on a working day and to
another at the weekend, some by the amount. The same seed gives the same bytes. FOLDER is `bank-transactions`, beside
this script, by default.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

SEED = 20260314
TRAINING_ROWS = 640
HELD_OUT_ROWS = 80

INSTRUCTION = "Name the account."

_YEAR = 2026
_CITIES = ("PORTLAND OR", "SEATTLE WA", "SALEM OR", "BEND OR", "OR", "WA USA")
_CARD_PREFIXES = ("", "", "", "POS ", "SQ *", "TST* ", "DEBIT ")
_BANK_PREFIXES = ("ACH ", "ONLINE PMT ", "BILLPAY ", "RECUR ")
_SHORTEST_NAME = 9
_SATURDAY = 6
_MOVED_TO_A_WEEKEND = 0.35  # the share of such days that makes working days and weekends about equally likely
_CUT, _NUMBERED, _WITH_CITY = 0.2, 0.25, 0.35


@dataclass(frozen=True, slots=True)
class Kind:
    """Describe one kind of counterparty and the house rule that books it.

    Attributes:
        names: counterparties, as their signs read.
        prefixes: what the bank may write in front of a name.
        amounts: the least and the greatest, in dollars.
        account: names the account for an amount in dollars and a day.
    """

    names: tuple[str, ...]
    prefixes: tuple[str, ...]
    amounts: tuple[float, float]
    account: Callable[[float, date], str]


def _always(account: str) -> Callable[[float, date], str]:
    return lambda _amount, _day: account


def _by_amount(limit: float, below: str, otherwise: str) -> Callable[[float, date], str]:
    return lambda amount, _day: below if amount < limit else otherwise


def _by_day(working_day: str, weekend: str) -> Callable[[float, date], str]:
    return lambda _amount, day: weekend if _is_weekend(day) else working_day


def _is_weekend(day: date) -> bool:
    return day.isoweekday() >= _SATURDAY


# The rules with two outcomes are what is hard to learn, so most rows are of theirs.
_COFFEE = Kind(
    ("BLUE HERON COFFEE", "KETTLE ROW CAFE", "THIRD SHIFT ESPRESSO", "OAK ST ROASTERS"),
    _CARD_PREFIXES,
    (3, 19),
    _by_day("Client Coffee", "Owner Draw"),
)
_RIDES = Kind(
    ("RYDR TRIP", "CITYHOP CABS", "NIGHTOWL TAXI"), _CARD_PREFIXES, (7, 60), _by_day("Client Travel", "Owner Draw")
)
_GROCERS = Kind(
    ("FERNWAY MARKET", "GREEN BASKET GROCERS", "MILLER AND SON FOODS"),
    _CARD_PREFIXES,
    (12, 600),
    _by_amount(100, "Studio Kitchen", "Opening Night"),
)
_RESTAURANTS = Kind(
    ("CASA LUMEN", "NOODLE ANNEX", "THE BRASS SPOON", "TAQUERIA SOL"),
    _CARD_PREFIXES,
    (12, 600),
    _by_amount(100, "Crew Meals", "Client Hosting"),
)
_ELECTRONICS = Kind(
    ("LENSWORKS PRO", "VOLT AND VECTOR", "BYTEBARN.COM", "CAMERA CELLAR"),
    _CARD_PREFIXES,
    (30, 6000),
    _by_amount(1000, "Small Kit", "Kit Register"),
)
_KINDS = (
    *(_COFFEE, _RIDES, _GROCERS, _RESTAURANTS, _ELECTRONICS) * 3,
    Kind(("NIMBUSGRID CLOUD", "STRATA COMPUTE", "RENDERHIVE"), _BANK_PREFIXES, (12, 900), _always("Render Farm")),
    Kind(
        ("PIXELFORGE SUBSCR", "TYPEHOUSE FONTS", "FRAMELINE PLAN"), _CARD_PREFIXES, (9, 80), _always("Software Seats")
    ),
    Kind(("PETROLINE", "ROADSTAR FUEL", "METRO PARKADE"), _CARD_PREFIXES, (4, 95), _always("Van Running")),
    Kind(("INKWELL PRESS", "PAPER AND PLATE", "LARGE FORMAT LAB"), _CARD_PREFIXES, (15, 700), _always("Print Room")),
    Kind(("SKYLARK AIR", "NORTHLINE RAIL", "HARBOR INN"), _CARD_PREFIXES, (35, 900), _always("Shoot Travel")),
    Kind(("CASCADE POWER", "FIBERLANE", "DOCK 9 PROPERTIES"), _BANK_PREFIXES, (45, 2600), _always("Roof and Wires")),
    Kind(("MERIDIAN MUTUAL", "MONTHLY SVC CHG", "WIRE FEE"), ("", "ACH "), (5, 400), _always("Paper and Fees")),
    Kind(
        ("J OKAFOR ANIM", "L STRAND SOUND", "M DIAZ GRIP"),
        ("ZELLE TO ", "ACH "),
        (150, 3500),
        _always("Freelance Crew"),
    ),
)


def transactions(seed: int) -> Iterator[tuple[str, str]]:
    """Yield bank lines with their accounts, without end; no line comes twice."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
    seen = set()
    while True:
        kind = chance.choice(_KINDS)
        day = _day(kind, chance)
        amount = _amount(kind, chance)
        line = f"{_merchant(kind, chance)} | ${amount:,.2f} | {day:%a %d %b}"
        if line not in seen:
            seen.add(line)
            yield line, kind.account(amount, day)


def _day(kind: Kind, chance: random.Random) -> date:
    """Return a day of the year; where the day decides, weekends are as likely as working days."""
    day = date(_YEAR, 1, 1) + timedelta(days=chance.randrange(365))
    if kind in {_COFFEE, _RIDES} and chance.random() < _MOVED_TO_A_WEEKEND and not _is_weekend(day):
        day += timedelta(days=_SATURDAY - day.isoweekday() + chance.randrange(2))
    return day


def _amount(kind: Kind, chance: random.Random) -> float:
    """Return dollars, spread over orders of magnitude as real spending is."""
    low, high = kind.amounts
    return round(low * (high / low) ** chance.random(), 2)


def _merchant(kind: Kind, chance: random.Random) -> str:
    """Return a counterparty as the bank prints it."""
    name = chance.choice(kind.names)
    if chance.random() < _CUT:
        name = name[: max(_SHORTEST_NAME, len(name) - chance.randint(1, 6))].rstrip()
    number = f" {chance.choice(('#', ''))}{chance.randint(1, 999):03d}" if chance.random() < _NUMBERED else ""
    city = f" {chance.choice(_CITIES)}" if chance.random() < _WITH_CITY else ""
    return f"{chance.choice(kind.prefixes)}{name}{number}{city}"


def write(folder: Path, seed: int = SEED) -> None:
    """Write `train.jsonl` and `held-out.jsonl`, which share no line."""
    source = transactions(seed)
    for name, size in (("train.jsonl", TRAINING_ROWS), ("held-out.jsonl", HELD_OUT_ROWS)):
        rows = [
            {"instruction": INSTRUCTION, "context": line, "response": account}
            for line, account in (next(source) for _ in range(size))
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "bank-transactions")
