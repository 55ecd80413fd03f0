"""Likely secrets and personal data are found, and what only resembles them is not. All of them are made up here."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tunedrop.validation import secrets
from tunedrop.validation.secrets import Hit, SecretFinder, mask

# Put together at run time: as a whole none of them stands in the repository.
AWS_KEY = "AK" + "IA" + "Q3EGRIZNEB5TCWL2"
MAIL = "jane.doe" + "@" + "mail.tunedrop.io"
SSN = "219" + "-09-" + "9998"
CARD = " ".join(("4111",) + ("1111",) * 3)
JWT = ".".join(("ey" + "JhbGciOiJIUzI1NiJ9", "ey" + "JzdWIiOiIxMjM0NTY3ODkwIn0", "dozjgNryP4J3jVmN"))
FINDER = SecretFinder()

SECRETS = [
    ("AWS access key", AWS_KEY),
    ("AWS access key", "AS" + "IA" + "Q3EGRIZNEB5TCWL2"),
    ("private key", "-----BEGIN" + " RSA PRIVATE" + " KEY-----"),
    ("private key", "-----BEGIN" + " PRIVATE" + " KEY-----"),
    ("GitHub token", "gh" + "p_" + "a1B2" * 9),
    ("GitHub token", "github" + "_pat_" + "a1B2_" * 16),
    ("Slack token", "xo" + "xb-" + "1234567890-abcdef"),
    ("Google API key", "AI" + "za" + "aB3-_" * 7),
    ("Stripe secret key", "sk" + "_live_" + "a1B2" * 6),
    ("API key", "sk" + "-proj-" + "a1B2_c-" * 6),
    ("Hugging Face token", "h" + "f_" + "aBcDeF" * 6),
    ("GitLab token", "gl" + "pat-" + "a1B2_" * 4),
    ("npm token", "n" + "pm_" + "a1B2" * 9),
    ("JSON web token", JWT),
    ("password or token", "password" + "=hunter2-and-more"),
    ("password or token", "DB_PASSWORD"[3:] + ": Winter2024!"),
    ("password or token", "token" + " = a1b2c3d4e5f6"),
    ("password or token", 'api_key\\": \\"a1b2' + "c3d4e5f6"),
    ("password or token", "Pwd" + ": Tr0ub4dor&3"),
]
PERSONAL = [
    ("e-mail address", MAIL),
    ("e-mail address", "a" + "@" + "b.co"),
    ("e-mail address", "first+tag" + "@" + "notexample.com"),
    ("US social security number", SSN),
    ("phone number", "415-555-2671"),
    ("phone number", "(415) 555-2671"),
    ("phone number", "+1 415.555.2671"),
    ("phone number", "1-415-555-2671"),
    ("phone number", "+442071838750"),
    ("phone number", "+49 30 901820"),
    ("IPv4 address", "8.8.4.4"),
    ("IPv4 address", "203.0.112.255"),
    ("credit card number", CARD),
    ("credit card number", CARD.replace(" ", "-")),
    ("credit card number", CARD.replace(" ", "")),
    ("credit card number", "3782" + " 822463 " + "10005"),
    ("bank account (IBAN)", "DE89 3704 0044" + " 0532 0130 00"),
    ("bank account (IBAN)", "GB82WEST1234" + "5698765432"),
    ("bank account (IBAN)", "NO93 8601 1117 947"),
]
HARMLESS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    AWS_KEY + "9",
    "X" + AWS_KEY,
    "-----BEGIN PUBLIC KEY-----",
    "gh" + "p_" + "a1B2" * 8,
    "gl" + "pat-short",
    "n" + "pm_config_registry",
    "https://user:password@" + "localhost and see://a:b",
    "github" + "_pat_short",
    "xo" + "xb-short",
    "AI" + "za" + "aB3-_" * 6,
    "sk" + "_live_short",
    "sk" + "-learn and sk-" + "image",
    "h" + "f_hub_download",
    "ey" + "JhbGciOiJIUzI1NiJ9",
    "jane" + "@" + "example.com",
    "jane" + "@" + "mail.example.org",
    "jane" + "@" + "host.test",
    "@app.route and user" + "@" + "localhost",
    "000-12-3456",
    "666-12-3456",
    "912-12-3456",
    "219-00-9998",
    "219-09-0000",
    "1" + SSN,
    SSN + "-7",
    "115-555-2671",
    "415-155-2671",
    "415-555-26711",
    "+1 2 3",
    "10.0.0.1",
    "192.168.1.20",
    "127.0.0.1",
    "192.0.2.7",
    "198.51.100.1",
    "203.0.113.9",
    "0.0.0.0",  # noqa: S104 - text, no address to listen on
    "224.0.0.251",
    "1.2.3.4.5",
    "v1.2.3.4",
    "1.2.3.400",
    CARD[:-1] + "2",
    "9" + CARD,
    "1111 1111 1111 1117",
    "DE88 3704 0044 0532 0130 00",  # another check digit
    "DE89 3704 0044 0532 0130",  # too short
    "ZZ89 3704 0044 0532 0130 00",
    "AB12 CDEF 3456 7890",
    "the password: it is on the card",
    "reset your password: resetting takes a minute",
    "password=${PASSWORD1} or password=<your password 1>",
    "token: well-known-and-long, secret: abcdefghijkl",
    "password: ********1a",
    "https://example.com/?token=example1234",
    "tokens: 1234567890",
]


def find(text: str) -> list[tuple[str, str, str]]:
    block = text.encode()
    return [(hit.code, hit.kind, block[hit.start : hit.end].decode()) for hit in FINDER.find(block)]


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [("data.secret", *secret) for secret in SECRETS] + [("data.personal", *personal) for personal in PERSONAL],
    ids=lambda value: value.replace(" ", "-")[:12],
)
@pytest.mark.parametrize(
    "around", ["{}\n", '{{"text": "{}"}}\n', "It is {}.\n", "é{}, then\n", "one\\n{}\\ntwo\n", "\\u003c{}\\u003e\n"]
)
def test_it_is_found_whole(code: str, kind: str, text: str, around: str) -> None:
    assert find(around.format(text)) == [(code, kind, text)]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_is_not_found(text: str) -> None:
    assert find(f'{{"text": "See {text} there"}}\n') == []


def test_all_of_a_line_are_found_in_their_order() -> None:
    text = f"{MAIL},{AWS_KEY} {AWS_KEY};8.8.8.8,1.1.1.1 {SSN}\n"
    assert [found for _, _, found in find(text)] == [MAIL, AWS_KEY, AWS_KEY, "8.8.8.8", "1.1.1.1", SSN]


def test_no_match_goes_beyond_its_line() -> None:
    assert find(f"{AWS_KEY[:10]}\n{AWS_KEY[10:]}\n219-09\n-9998\n") == []


def test_a_second_finder_finds_the_same() -> None:
    assert SecretFinder().find(MAIL.encode() + b"\n") == [Hit("data.personal", "e-mail address", 0, len(MAIL))]


def test_overlapping_anchors_do_not_multiply_the_work() -> None:
    assert len(FINDER.find(b"a@" + b"b.co@" * 20_000 + b"\n")) <= 20_000
    assert FINDER.find(b"4" * 500_000 + b"\n") == []


PARTS = st.one_of(
    st.sampled_from([text for _, text in SECRETS + PERSONAL] + HARMLESS),
    st.sampled_from([" ", ".", "-", "\\n", "@", "+", "1", "eyJ", '"', "\u00e9"]),
    st.text("0123456789.-@ abc", max_size=12),
)


@given(lines=st.lists(st.lists(PARTS, max_size=6).map("".join), min_size=1, max_size=8))
def test_hits_do_not_depend_on_the_cut(lines: list[str]) -> None:
    start = 0
    apart: list[Hit] = []
    for line in lines:
        block = line.encode() + b"\n"
        apart += [hit._replace(start=hit.start + start, end=hit.end + start) for hit in FINDER.find(block)]
        start += len(block)
    assert FINDER.find("".join(f"{line}\n" for line in lines).encode()) == apart


@given(parts=st.lists(PARTS, max_size=8), longer=st.integers(0, 60))
@example(parts=["postgres://admin:", "S3cr3tPass@", "db:5432/x"], longer=0)
@example(parts=["jane", "@", "mail.3com.org"], longer=0)
@example(parts=["+44207183", " 1.415.555.2671"], longer=0)
def test_the_anchors_overlook_nothing_that_the_expressions_match(parts: list[str], longer: int) -> None:
    line = (" " * longer + "".join(parts)).encode() + b"\n"
    found = FINDER.find(line)
    for kind in (*secrets._SECRETS_AND_MAIL, *secrets._NUMBERS):
        for match in kind.pattern.finditer(line):
            if kind.accepts(match[0]):
                assert any(hit.start <= match.start() < hit.end for hit in found), (kind.name, match[0])


def test_a_mask_shows_the_beginning_only() -> None:
    assert mask(AWS_KEY.encode()) == f"{AWS_KEY[:4]}... (20 characters)"
    assert mask("é\n\x00\\xyz".encode()) == "\\xe9\\n\\x00\\\\... (7 characters)"
    assert mask(b"\xff1234567").isascii()


def test_a_password_in_an_address_is_a_secret_and_no_e_mail_address() -> None:
    text = ("see postgres://admin:" + "S3cr3tPass@" + "db.tunedrop.io:5432/x").encode()
    hit = Hit("data.secret", "password in an address", text.index(b"admin"), text.index(b"db."))
    assert FINDER.find(text + b"\n") == [hit]
    for harmless in (
        "https://user:" + "password@" + "db.tunedrop.io/x",
        "https://user:${PASSWORD1}@" + "db.tunedrop.io",
    ):
        assert [each.code for each in FINDER.find(harmless.encode() + b"\n")] != ["data.secret"]
