"""Find likely secrets and personal data in the bytes of rows.

Hyperscan tells in one pass where something may stand; what stands there is decided by a regular expression on the few
bytes around, and by what no expression knows, such as check digits. No match reaches beyond its line.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address
from typing import Literal, NamedTuple

import hyperscan

from tunedrop.validation.expressions import Expressions

Code = Literal["data.secret", "data.personal"]


class Hit(NamedTuple):
    """Say what was found from `start` up to `end` (exclusive), in bytes from the start of the block."""

    code: Code
    kind: str
    """What people call it: "AWS access key", "e-mail address"."""
    start: int
    end: int


class SecretFinder:
    """Find likely secrets and personal data."""

    def __init__(self) -> None:
        self._anchors = tuple((kinds, _compiled(kinds)) for kinds in (_SECRETS_AND_MAIL, _NUMBERS))

    def find(self, block: bytes) -> list[Hit]:
        """Return what stands in whole lines, in the order of `start`; of matches that overlap, the first and longest.

        The hits are the same however the lines are divided into blocks.
        """
        hits: list[Hit] = []
        for kinds, anchors in self._anchors:
            # No byte is matched twice by one kind: the work stays linear, whatever the text.
            done = [0] * len(kinds)
            for number, end in _anchors(anchors, block):
                if done[number] < end:
                    done[number] = _match(kinds[number], block, end, done[number], hits)
        hits.sort(key=lambda hit: (hit.start, -hit.end, hit.kind))
        reached = 0
        apart: list[Hit] = []
        for hit in hits:
            if hit.start >= reached:
                apart.append(hit)
                reached = hit.end
        return apart


def mask(text: bytes) -> str:
    """Return what may be shown of a secret: its first four characters in printable ASCII, and how many it has."""
    characters = text.decode("utf-8", "replace")
    return f"{characters[:4].encode('unicode_escape').decode('ascii')}... ({len(characters)} characters)"


class _Kind(NamedTuple):
    """Describe one kind: anchors that are found fast, and the expression that is tried around them."""

    code: Code
    name: str
    anchors: tuple[bytes, ...]
    """For Hyperscan, which reports where they end; they stop early, since every possible end is reported.

    How they are put decides whether it skips text or goes through it byte by byte: `make bench-validator` tells.
    """
    pattern: re.Pattern[bytes]
    back: int
    """Bytes before the anchor's end where a match may start."""
    ahead: int
    """Bytes after the anchor's end that a match may take, together with what must not follow it."""
    accepts: Callable[[bytes], bool] = bool


def _anchors(anchors: Expressions, block: bytes) -> list[tuple[int, int]]:
    """Return the number of each anchor's kind, and where the anchor ends; of one kind, in ascending order."""
    found: list[tuple[int, int]] = []

    def keep(number: int, _start: int, end: int, _flags: int, _context: object) -> None:
        found.append((number, end))

    anchors.scan(block, keep)
    return found


def _match(kind: _Kind, block: bytes, end: int, done: int, hits: list[Hit]) -> int:
    """Add the matches that start before an anchor's end, in its line and after `done`; return where the last ended."""
    earliest = max(done, end - kind.back)
    earliest = max(earliest, block.rfind(b"\n", earliest, end) + 1)
    for match in kind.pattern.finditer(block, earliest, end + kind.ahead):
        if match.start() >= end:
            break
        done = match.end()
        if kind.accepts(match[0]):
            hits.append(Hit(kind.code, kind.name, *match.span()))
    return done


@lru_cache(maxsize=2)
def _compiled(kinds: Sequence[_Kind]) -> Expressions:
    anchors = [(anchor, number) for number, kind in enumerate(kinds) for anchor in kind.anchors]
    expressions, numbers = zip(*anchors, strict=True)
    return Expressions(expressions, numbers=numbers, flags=hyperscan.HS_FLAG_MULTILINE)


def _is_no_example_key(key: bytes) -> bool:
    """Except the keys of AWS's own documentation."""
    return not key.endswith(b"EXAMPLE")


def _is_no_example_address(address: bytes) -> bool:
    """Except the domains that are reserved for examples and tests (RFC 2606)."""
    labels = address.lower().rpartition(b"@")[2].split(b".")
    reserved = labels[-1] in {b"test", b"example", b"invalid", b"localhost"}
    return not reserved and not (labels[-2] == b"example" and labels[-1] in {b"com", b"net", b"org"})


def _is_public(address: bytes) -> bool:
    parsed = IPv4Address(address.decode("ascii"))
    return parsed.is_global and not parsed.is_multicast


def _digits(text: bytes) -> list[int]:
    return [byte - ord("0") for byte in text if ord("0") <= byte <= ord("9")]


def _has_digits_of_a_phone(number: bytes) -> bool:
    shortest, longest = 8, 15
    return shortest <= len(_digits(number)) <= longest


def _has_check_digit(number: bytes) -> bool:
    """Tell whether the last digit is the one that Luhn's formula asks for."""
    digits = _digits(number)[::-1]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0


def _is_iban(account: bytes) -> bool:
    """Tell whether a country has such numbers, and the check digits are right (ISO 13616)."""
    plain = account.replace(b" ", b"").decode()
    if _IBAN_LENGTHS.get(plain[:2]) != len(plain):
        return False
    return int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1


def _is_no_placeholder(assignment: bytes) -> bool:
    """Tell whether what is assigned looks chosen or drawn: letters and a digit or a sign, and no other kind's token."""
    _, value = _SIGN_BETWEEN.split(assignment, maxsplit=1)
    if _PLACEHOLDER.search(value) or value.startswith(_TOKENS):
        return False
    return bool(_LETTER.search(value) and _DIGIT_OR_SIGN.search(value))


def _is_no_placeholder_between(credentials: bytes) -> bool:
    """Tell whether the password between a name and a host looks like one: `user:password@` does not."""
    value = credentials.partition(b":")[2].removesuffix(b"@")
    return not _PLACEHOLDER.search(value) and bool(_DIGIT_OR_SIGN.search(value))


def _token(name: str, anchor: bytes, characters: int, rest: bytes) -> _Kind:
    """Describe a secret with a telling beginning: `anchor` matches its first `characters`, and `rest` what follows."""
    pattern = re.compile(_START + anchor + rest + rb"(?![A-Za-z0-9_])")
    return _Kind("data.secret", name, (anchor,), pattern, characters, _LONGEST_TOKEN)


# Text in JSON may begin after an escape such as \n, whose letter is not part of it.
_ESCAPE = rb"(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})"
_START = rb"(?:(?<![A-Za-z0-9_])|" + _ESCAPE + rb")"
_NUMBER_START = rb"(?:(?<![A-Za-z0-9_.+\-])|" + _ESCAPE + rb")"
# Roughly the same for Hyperscan, so that long numbers are no anchors.
_BEFORE_NUMBER = rb"(?:^|[^0-9.])"
_NUMBER_END = rb"(?![A-Za-z0-9_\-]|\.[0-9])"
_LONGEST_TOKEN = 4096
_LONGEST_NUMBER = 32
_LONGEST_IBAN = 48
_AT_HOST = rb"@[A-Za-z0-9\-]+\.[A-Za-z0-9\-]"
_LOCAL_PART = rb"A-Za-z0-9._%+\-"
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"


def _number(name: str, anchor: bytes, pattern: bytes, accepts: Callable[[bytes], bool] = bool) -> _Kind:
    """Describe personal data that is a number: it has no telling beginning."""
    compiled = re.compile(_NUMBER_START + pattern + _NUMBER_END)
    anchors = (_BEFORE_NUMBER + anchor,)
    return _Kind("data.personal", name, anchors, compiled, _LONGEST_NUMBER, _LONGEST_NUMBER, accepts)


_ASSIGNED = rb"(?i:pass(?:wor[dt]|wd|phrase)|pwd|secret(?:[_-]?key)?|(?:api|access|auth)[_-]?(?:key|token)|token)"
_ASSIGNED_WORDS = (
    b"password passwort passwd passphrase pwd secret secret[_-]?key token api[_-]?key access[_-]?key auth[_-]?key"
).split()
"""The same words, or their ends."""
_SIGN = rb"(?:\\[\"'])?[ ]{0,2}[=:]"
_BETWEEN = _SIGN + rb"[ ]{0,2}(?:\\[\"']|')?"
_VALUE = rb"(?:[^\s=:\"'\\,;]{7,200}[^\s=:\"'\\,;.)\]}>])"
_SIGN_BETWEEN = re.compile(_BETWEEN)
_PLACEHOLDER = re.compile(rb"(?i)^[$<{\[(%*]|\*\*|x{4}|example|your|placeholder|changeme|redacted|://")
_LETTER, _DIGIT_OR_SIGN = re.compile(rb"[A-Za-z]"), re.compile(rb"[0-9!#$%&*+?@^~]")
_TOKENS = (b"AKIA", b"ASIA", b"AIza", b"eyJ", b"gh", b"hf_", b"sk-", b"sk_live_", b"xox")
"""What other kinds tell more of."""

# Characters of a country's numbers: https://www.swift.com/standards/data-standards/iban-international-bank-account-number
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}

_SECRETS_AND_MAIL = (
    _token("AWS access key", rb"(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}", 20, rb"")._replace(
        accepts=_is_no_example_key
    ),
    _token("GitHub token", rb"gh[pousr]_[A-Za-z0-9]{36}", 40, rb"[A-Za-z0-9]*"),
    _token("GitHub token", rb"github_pat_[A-Za-z0-9_]{60}", 71, rb"[A-Za-z0-9_]*"),
    _token("Slack token", rb"xox[baprs]-[A-Za-z0-9\-]{10}", 15, rb"[A-Za-z0-9\-]*"),
    _token("Google API key", rb"AIza[A-Za-z0-9_\-]{35}", 39, rb""),
    _token("Stripe secret key", rb"sk_live_[A-Za-z0-9]{24}", 32, rb"[A-Za-z0-9]*"),
    _token("API key", rb"sk-[A-Za-z0-9_\-]{32}", 35, rb"[A-Za-z0-9_\-]*"),
    _token("GitLab token", rb"glpat-[A-Za-z0-9_\-]{20}", 26, rb"[A-Za-z0-9_\-]*(?:\.[A-Za-z0-9_\-]+)*"),
    _token("npm token", rb"npm_[A-Za-z0-9]{36}", 40, rb""),
    _Kind(
        "data.secret",
        "password in an address",
        # Where the host begins: an anchor at :// would slow texts full of links down by a third.
        (rb"[^\s/:@\"'\\]@[A-Za-z0-9]",),
        re.compile(rb"(?<=://)[A-Za-z0-9._%+\-]{0,64}:[^\s/:@\"'\\]{3,100}@(?=[A-Za-z0-9])"),
        240,
        0,
        _is_no_placeholder_between,
    ),
    _token("Hugging Face token", rb"hf_[A-Za-z0-9]{30}", 33, rb"[A-Za-z0-9]*"),
    _token(
        "JSON web token",
        rb"eyJ[A-Za-z0-9_\-]{10}",
        13,
        rb"[A-Za-z0-9_\-]{0,1000}\.eyJ[A-Za-z0-9_\-]{10,2000}\.[A-Za-z0-9_\-]{0,1000}",
    ),
    _Kind(
        "data.secret",
        "password or token",
        tuple(b"(?i:" + word + b")" + _SIGN for word in _ASSIGNED_WORDS),
        # A name such as DB_PASSWORD is meant, too.
        re.compile(rb"(?:(?<![A-Za-z0-9])|" + _ESCAPE + rb")" + _ASSIGNED + _BETWEEN + _VALUE),
        40,
        220,
        _is_no_placeholder,
    ),
    _Kind(
        "data.secret",
        "private key",
        (rb"-----BEGIN [A-Z ]{0,24}PRIVATE KEY",),
        re.compile(rb"-----BEGIN [A-Z ]{0,24}PRIVATE KEY(?:-----)?"),
        46,
        5,
    ),
    _Kind(
        "data.personal",
        "e-mail address",
        (_AT_HOST,),
        re.compile(
            rb"(?:(?<![" + _LOCAL_PART + rb"\\])|" + _ESCAPE + rb")"
            rb"[" + _LOCAL_PART + rb"]{1,64}@(?:[A-Za-z0-9\-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![A-Za-z0-9\-])"
        ),
        130,
        300,
        _is_no_example_address,
    ),
)

# A database of their own: their anchors are common in text, and would slow the others down.
_NUMBERS = (
    _number(
        "US social security number",
        rb"[0-9]{3}-[0-9]{2}-[0-9]{4}",
        rb"(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}",
    ),
    _number(
        "phone number",
        rb"(?:1\.)?[0-9]{3,4}\)?[ .\-]?[0-9]{3}[ .\-][0-9]{4}",
        rb"(?:\+?1[ .\-]?)?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .\-])[2-9][0-9]{2}[ .\-][0-9]{4}",
    ),
    _number(
        "phone number",
        rb"\+[1-9][0-9 .()\-]{7}",
        rb"\+[1-9][0-9]{0,2}(?:[ .\-]?\(?[0-9]{1,4}\)?){2,6}",
        _has_digits_of_a_phone,
    ),
    _number(
        "bank account (IBAN)",
        rb"[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4} ?[A-Z0-9]{2}",
        rb"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?",
        _is_iban,
    )._replace(ahead=_LONGEST_IBAN),
    _number(
        "IPv4 address",
        rb"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]",
        rb"(?:" + _OCTET + rb"\.){3}" + _OCTET,
        _is_public,
    ),
    _number(
        "credit card number",
        rb"[0-9]{4}[ \-]?[0-9]{4,6}[ \-]?[0-9]{4}",
        rb"(?:(?:4[0-9]{3}|5[1-5][0-9]{2}|2[2-7][0-9]{2}|6011|65[0-9]{2})([ \-]?)[0-9]{4}\1[0-9]{4}\1[0-9]{4}"
        rb"|3[47][0-9]{2}([ \-]?)[0-9]{6}\2[0-9]{5})",
        _has_check_digit,
    ),
)
