"""Lines that are surely good, told by one regular expression of all that a technique asks of a row.

Hyperscan reads a gigabyte in little more than a second, and makes no objects of it: a fraction of what any decoder
takes. What it does not know is left to others, and like all that is fast here it may only say "good".
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunedrop.validation.expressions import Expressions
from tunedrop.validation.rows import SHORT_ANSWER, Skimmed

_HEX = rb"[0-9A-Fa-f]"
_SURROGATES = rb"[dD][89ABab]" + 2 * _HEX + rb"\\u[dD][C-Fc-f]" + 2 * _HEX
# Any but NUL and its neighbours, and half a pair.
_CODE_POINT = rb"(?:(?:[1-9A-CEFa-cef]%b|0[1-9A-Fa-f]|[dD][0-7])%b|00[1-9A-Fa-f])%b" % (_HEX, _HEX, _HEX)
_ESCAPE = rb'\\(?:["\\/bfnrt]|u(?:' + _CODE_POINT + rb"|" + _SURROGATES + rb"))"
_NEXT = rb"[\x80-\xbf]"
_BEYOND_ASCII = (
    rb"(?:[\xc2-\xdf]|(?:\xe0[\xa0-\xbf]|[\xe1-\xec\xee\xef]%b|\xed[\x80-\x9f])"
    rb"|(?:\xf0[\x90-\xbf]|[\xf1-\xf3]%b|\xf4[\x80-\x8f])%b)%b" % (4 * (_NEXT,))
)
_NEVER = 0xF5
"""No byte of UTF-8 is so high, or higher."""
# Up to the first letter, digit or sign of ASCII everything might be white space: there are many kinds of it. At each
# byte there is one way to go on, or the automaton would have too many states, and be replaced by a slow one. What is
# never in UTF-8 is let through, and looked for apart: Hyperscan skips a text no more when too many bytes may end it.
_FILLED = rb'"(?:[ \x7f]|%b|%b)*[!#-\[\]-~](?:[^\x00-\x1f"\\\x80-\xf4]|%b|%b)*"' % (2 * (_BEYOND_ASCII, _ESCAPE))

_QUOTE, _BACKSLASH, _ASCII = b'"\\\x7f'

_LONGEST_ESCAPE = 6
"""Bytes of an escape; one character may take two."""

_LONGEST_IN_UTF8 = 4

_LOOKED_AT = SHORT_ANSWER * 2 * _LONGEST_ESCAPE + len(': "')
"""Bytes before the end of an answer among which all of a short one stands, and what is before it."""

_ENDING = SHORT_ANSWER + _LONGEST_ESCAPE
"""Bytes of plain ASCII that end no short answer, though the first of them may be the rest of an escape."""

_MOST_DOUBTFUL = 4
"""One line in so many at most is looked at by itself: of more, a whole block is decoded sooner."""


class Style:
    """Write a row's expression in one of the ways in which programs set colons and commas."""

    def __init__(self, space: bytes) -> None:
        """Set this behind each."""
        self.colon, self._comma = b":" + space, b"," + space

    def field(self, name: str, value: bytes) -> bytes:
        """Return a key, which needs no escapes, and its value."""
        return b'"%b"%b%b' % (name.encode(), self.colon, value)

    def sequence(self, *items: bytes) -> bytes:
        """Set items apart."""
        return self._comma.join(items)

    def object(self, *fields: bytes) -> bytes:
        """Return an object."""
        return rb"\{" + self.sequence(*fields) + rb"\}"

    def filled(self, name: str) -> bytes:
        """Return a field whose text is surely not blank."""
        return self.field(name, _FILLED)

    def filled_or_empty(self, name: str) -> bytes:
        """Return a field whose text is surely not blank, or has no character."""
        return self.field(name, rb'(?:""|%b)' % _FILLED)

    def conversation(self, key: str, *, system_messages: bool) -> bytes:
        """Return an object with messages whose roles are in order."""
        system, user, assistant = (
            self.object(self.field("role", b'"%b"' % role), self.filled("content"))
            for role in (b"system", b"user", b"assistant")
        )
        turns = self.sequence(user, assistant)
        first = rb"(?:%b%b)?" % (system, self._comma) if system_messages else b""
        return self.object(self.field(key, rb"\[%b%b(?:%b%b)*\]" % (first, turns, self._comma, turns)))


STYLES = Style(b" "), Style(b"")
"""A space behind each, as Python does, or none."""
EITHER_STYLE = Style(b" ?")


class LineGrammar:
    """Tell good lines by an expression."""

    def __init__(self, style: Style, line: bytes, behind_answer: bytes, may_be_empty: Sequence[str] = ()) -> None:
        """Know lines by their expression.

        Args:
            style: How the expression was written.
            line: The expression, without the line's end. Its last string is the answer.
            behind_answer: What stands behind that, without the line's end.
            may_be_empty: The fields that may be.
        """
        # No block has a carriage return by then. Without a second branch Hyperscan cuts the expression at its literals,
        # and the parts take ten times as long.
        self._lines = Expressions([rb"\A(?:%b\n|\r)+" % line])
        self._fields = may_be_empty
        empty = [re.escape(style.field(name, b'""')) for name in may_be_empty]
        self._blanks = Expressions(empty) if empty else None
        self._answer_begins = style.colon + b'"'
        self._behind_answer = len(b'"' + behind_answer)

    def skim(self, block: bytes, ends: NDArray[np.int64]) -> Skimmed | None:
        """Tell the good lines of a block; None when there are too few of them. See `Rows.skim`."""
        most = len(ends) // _MOST_DOUBTFUL
        # No line that is known has a control character.
        doubtful = self._unknown(block.replace(b"\r", b"\0"), most)
        doubtful += _never_utf8(block, ends)
        if len(doubtful) <= most:
            doubtful += _short_answers(block, self._answer_begins, ends - self._behind_answer)
        doubtful = sorted({*doubtful})
        return Skimmed(doubtful, self._blank(block, ends, doubtful)) if len(doubtful) <= most else None

    def _unknown(self, block: bytes, most: int) -> list[int]:
        """Return the numbers of the lines that the expression does not match, no more than one beyond `most`."""
        unknown: list[int] = []
        begin = line = 0
        view = memoryview(block)
        while True:
            ends: list[int] = []
            self._lines.scan(view[begin:], _keep_ends, ends)
            line += len(ends)
            begin += ends[-1] if ends else 0
            if begin < len(block):
                unknown.append(line)
                line += 1
                begin = block.index(b"\n", begin) + 1
            if begin == len(block) or len(unknown) > most:
                return unknown

    def _blank(self, block: bytes, ends: NDArray[np.int64], doubtful: Sequence[int]) -> dict[str, NDArray[np.int64]]:
        """Return, by field, the numbers of the other lines in which it is empty."""
        if self._blanks is None:
            return {}
        # Within a text there is a backslash before each quote: nothing but a field matches.
        places: list[list[int]] = [[] for _ in self._fields]
        self._blanks.scan(block, _keep_by_number, places)
        blanks = {}
        for field, found in zip(self._fields, places, strict=True):
            if found:
                empty = np.zeros(len(ends), np.bool_)
                empty[np.searchsorted(ends, found)] = True
                empty[doubtful] = False
                blanks[field] = np.flatnonzero(empty)
        return blanks


grammar = lru_cache(maxsize=32)(LineGrammar)


def _keep_ends(_number: int, _start: int, end: int, _flags: int, ends: Any) -> None:
    ends.append(end)


def _keep_by_number(number: int, _start: int, end: int, _flags: int, places: Any) -> None:
    places[number].append(end)


def _never_utf8(block: bytes, ends: NDArray[np.int64]) -> list[int]:
    """Return the numbers of the lines that have a byte which UTF-8 has not."""
    octets = np.frombuffer(block, np.uint8)
    if block.isascii() or octets.max() < _NEVER:
        return []
    return [*set(np.searchsorted(ends, np.flatnonzero(octets >= _NEVER)).tolist())]


def _short_answers(block: bytes, begins: bytes, closing: NDArray[np.int64]) -> list[int]:
    """Return the numbers of the lines whose answers, between what `begins` them and a quote, may be short."""
    windows = np.ndarray((max(len(block) - _ENDING, 1),), f"V{_ENDING}", block.ljust(_ENDING), 0, (1,))
    octets = windows[np.maximum(closing - _ENDING, 0)].view(np.uint8).reshape(len(closing), -1)
    plain = (octets <= _ASCII) & (octets != _QUOTE) & (octets != _BACKSLASH)
    may_be = np.flatnonzero(~plain.all(axis=1) | (closing < _ENDING))
    ends = closing[may_be].tolist()
    return [number for number, end in zip(may_be.tolist(), ends, strict=True) if _is_short(block, begins, end)]


def _is_short(block: bytes, begins: bytes, end: int) -> bool:
    """Tell whether the answer that ends there, and that `begins` stands before, may be short."""
    # Within a text there is a backslash before each quote.
    begin = block.rfind(begins, max(end - _LOOKED_AT, 0), end)
    if begin < 0:
        return False
    answer = block[begin + len(begins) : end]
    characters = len(answer) - _LONGEST_ESCAPE * answer.count(b"\\")  # at least, of ASCII
    return characters <= (SHORT_ANSWER if answer.isascii() else SHORT_ANSWER * _LONGEST_IN_UTF8)
