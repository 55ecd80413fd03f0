"""How numbers and texts are written for people, in a terminal and on a page alike."""

import unicodedata
from typing import NamedTuple

# Control, format (all bidi controls among them), surrogate, private, unassigned; line and paragraph separators.
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


class Fact(NamedTuple):
    """Name something that is known, and say it."""

    name: str
    value: str


def visible(text: str) -> str:
    r"""Spell out every character that would not be seen, or would change how others are: `\u202e`."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_spelt(each) if unicodedata.category(each) in _UNSEEN else each for each in text)


def size(count: int) -> str:
    """Write a number of bytes as people read it."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004 - the decimal units are what disks and S3's console count in
            return f"{amount:,.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:,.1f} TB"


def number(count: int, noun: str) -> str:
    """Write a number of things: `1 row`, `1,200 rows`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def share_words(part: int, whole: int) -> str:
    """Write a share so that something is never told as nothing."""
    share = part / whole if whole else 0
    return "< 0.1%" if 0 < share < 0.001 else f"{share:.1%}"  # noqa: PLR2004 - what one decimal can say


def shortened(text: str, limit: int) -> str:
    """Cut a text that has more characters than `limit`, and say so by its last."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _spelt(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
