"""Conversations that are surely at fault, told by one regular expression of the first fault in each.

Where a row leaves what a conversation must be, nothing that follows can mend it. The expression goes along with a row
up to there, and ends a few bytes behind; these tell which fault it was. What texts hold it passes over.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunedrop.validation.expressions import Expressions
from tunedrop.validation.rows.line_grammar import EITHER_STYLE

_TEXT = rb'(?:[^\n"\\]|\\[^\n])*'
_STRING = rb'"%b"' % _TEXT
_BLANK = rb'"(?: |\\[nrt])*"'
_NO_TEXT = rb"(?:null|true|false|-?(?:0|[1-9][0-9]*)[,}]|[\[{])"

_TAIL = 3
"""Bytes that tell a fault."""

_FAULTS = tuple(
    (re.compile(rb"(?:%b)\Z" % tail, re.DOTALL), code)
    for tail, code in (
        (rb"\}\n|\[\]", "data.no-messages"),
        (rb"\n|\],\}", "data.not-json"),
        (rb"\}\]", "data.ends-with-user"),
        (rb"\[\{", "data.not-an-object"),
        (rb"ull|rue|lse|[0-9][,}]|[\[{]", "data.not-text"),
        (rb'(?:le|nt)"', "data.duplicate-key"),
        (rb'":', "data.extra-message-key"),
        (rb'om"', "data.sharegpt"),
        (rb'"', "data.empty-content"),
        (rb'",', "data.unknown-role"),
        (rb'"\}', "data.missing-field"),
        (rb"ent", "data.role-order"),
    )
)
"""How the expression's matches end, and what that says; the first that fits counts."""


class FaultGrammar:
    """Tell the first fault of conversations that begin well."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Know rows whose conversation is under one of `keys`, and rows that have none of them."""
        style = EITHER_STYLE
        user, assistant, system = (
            style.object(style.field("role", b'"%b"' % role), style.field("content", _STRING))
            for role in (b"user", b"assistant", b"system")
        )
        begun = rb'\{"(?:%b)"%b\[' % ("|".join(keys).encode(), style.colon)
        asked = begun + rb"(?:%b)?(?:%b)*" % (style.sequence(system, b""), style.sequence(user, assistant, b""))
        answered = asked + style.sequence(user, b"")
        field = b'"%b"%b%b' % (_other_than(keys), style.colon, _STRING)
        faults = (
            rb"\[\{",
            rb"\{%b(?:%b)*\}\n" % (field, style.sequence(b"", field)),
            begun + rb"\]",
            asked + user + rb"\]",
            answered + assistant + rb"\],\}",
            asked + _faults(b"user|system", b"assistant"),
            answered + _faults(b"assistant", b"user|system"),
        )
        # Beginning with all the lines before, it becomes an automaton with one state at a time; see `LineGrammar`.
        self._faults = Expressions([rb"\A(?:[^\n]*\n|\r)*(?:%b)" % b"|".join(faults)])

    def first_faults(self, block: bytes, ends: NDArray[np.int64]) -> dict[int, str]:
        """Return the code of the first fault of each line that it knows to be at fault."""
        found: list[int] = []
        self._faults.scan(block, _keep_ends, found)
        numbers = np.searchsorted(ends, np.array(found, np.int64) - 1).tolist()
        # Of several in one line the first counts; the expression goes on behind blank texts.
        places = dict(zip(reversed(numbers), reversed(found), strict=True))
        return {number: _code(block[max(end - _TAIL, 0) : end]) for number, end in places.items()}


fault_grammar = lru_cache(maxsize=1)(FaultGrammar)


def _keep_ends(_number: int, _start: int, end: int, _flags: int, ends: Any) -> None:
    ends.append(end)


@lru_cache(maxsize=4096)
def _code(tail: bytes) -> str:
    return next(code for pattern, code in _FAULTS if pattern.search(tail))


def _faults(right: bytes, wrong: bytes) -> bytes:
    """Return what is wrong with a message whose role is to be one of `right`, and is none of `wrong`."""
    style = EITHER_STYLE
    begun = rb'\{"role"%b"' % style.colon
    content = style.sequence(b'"', b'"content"' + style.colon)
    others = _other_than(("role", "content", "from", "value"))
    more = style.sequence(b"", rb'"(?:%b":|(?:role|content|from)")' % others)
    said = rb'(?:%b|%b|"%b[^\n"\\}]\n|%b%b)' % (_BLANK, _NO_TEXT, _TEXT, _STRING, more)
    known = rb'(?:%b)(?:"\}|%b"role"|%b%b)' % (right, style.sequence(b'"', b""), content, said)
    unknown = rb'%b",' % _other_than(("system", "user", "assistant"))
    out_of_turn = rb"(?:%b)%b" % (wrong, style.sequence(b'"', b'"content'))
    return rb'(?:\{"from"|%b(?:%b|%b|%b))' % (begun, known, unknown, out_of_turn)


def _other_than(names: Sequence[str]) -> bytes:
    """Return an expression of all names but these."""
    rests: dict[str, list[str]] = {}
    for name in names:
        if name:
            rests.setdefault(name[0], []).append(name[1:])
    ways = [rb"[^\W%b]\w*" % "".join(rests).encode()]
    ways += [letter.encode() + _other_than(rest) for letter, rest in rests.items()]
    return rb"(?:%b)%b" % (b"|".join(ways), b"" if "" in names else b"?")
