"""Spoil conversations: the faults of single rows, and the small datasets that each hold one planted defect."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Chat = dict[str, Any]
"""A good conversation as JSON reads it."""

TRAIN, VALIDATION = "train.jsonl", "validation.jsonl"
LONGEST_INPUT = 4096
"""Tokens that training reads of a row, for the defect "too long"."""


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _second(chat: Chat, **message: Any) -> bytes:
    """Replace what is named in the last message."""
    *before, last = chat["messages"]
    return _dump({"messages": [*before, last | message]})


def _without_content(chat: Chat) -> bytes:
    *before, last = chat["messages"]
    return _dump({"messages": [*before, {"role": last["role"]}]})


def _same_role_twice(chat: Chat) -> bytes:
    user = next(each for each in chat["messages"] if each["role"] == "user")
    return _dump({"messages": [user, user, chat["messages"][-1]]})


def _late_system(chat: Chat) -> bytes:
    user, answer = chat["messages"][-2:]
    return _dump({"messages": [user, {"role": "system", "content": "Be brief."}, answer]})


def _key_twice(chat: Chat) -> bytes:
    return _dump(chat).replace(b'"role": "user"', b'"role": "user", "role": "user"', 1)


def _not_utf8(chat: Chat) -> bytes:
    line = _dump(chat)
    middle = line.rindex(b'"content": "') + len(b'"content": "')
    return line[:middle] + b"caf\xe9 " + line[middle:]


def _half_a_pair(chat: Chat) -> bytes:
    return _second(chat, content="HALF").replace(b"HALF", b"a \\ud83d b")


FAULTS: dict[str, Callable[[Chat], bytes]] = {
    "cut JSON": lambda chat: _dump(chat)[:-20],
    "trailing comma": lambda chat: _dump(chat)[:-1] + b",}",
    "top-level array": lambda chat: _dump([chat]),
    "no messages": lambda chat: _dump({"text": chat["messages"][-1]["content"]}),
    "empty messages": lambda _: _dump({"messages": []}),
    "unknown role": lambda chat: _second(chat, role="bot"),
    "two users in a row": _same_role_twice,
    "ends with user": lambda chat: _dump({"messages": chat["messages"][:-1]}),
    "system not first": _late_system,
    "empty content": lambda chat: _second(chat, content=""),
    "white space only": lambda chat: _second(chat, content=" \n\t "),
    "null": lambda chat: _second(chat, content=None),
    "int": lambda chat: _second(chat, content=42),
    "missing content": _without_content,
    "extra key": lambda chat: _second(chat, mood="calm"),
    "bad UTF-8": _not_utf8,
    "duplicate key": _key_twice,
    "lone surrogate": _half_a_pair,
}
"""Faults that one row shows by itself."""

Place = tuple[str, int]
"""A file and a line of it, from 1."""


class Defect(NamedTuple):
    """Say what is wrong in a dataset, and where: any of the places counts, for a pair has two."""

    name: str
    codes: frozenset[str]
    """What our validator may call it."""
    places: frozenset[Place]


CODES: dict[str, set[str]] = {
    "cut JSON": {"data.not-json"},
    "trailing comma": {"data.not-json"},
    "top-level array": {"data.not-an-object"},
    "no messages": {"data.no-messages"},
    "empty messages": {"data.no-messages"},
    "unknown role": {"data.unknown-role"},
    "two users in a row": {"data.role-order"},
    "ends with user": {"data.ends-with-user"},
    "system not first": {"data.role-order"},
    "empty content": {"data.empty-content"},
    "white space only": {"data.empty-content"},
    "null": {"data.not-text"},
    "int": {"data.not-text"},
    "missing content": {"data.missing-field"},
    "extra key": {"data.extra-message-key"},
    "bad UTF-8": {"data.not-utf8"},
    "duplicate key": {"data.duplicate-key"},
    "lone surrogate": {"data.lone-surrogate"},
    "too long": {"data.truncated"},
    "blank line": {"data.blank-line"},
    "exact duplicate": {"data.duplicate"},
    # One of the two may have been drawn to be measured with.
    "near duplicate": {"data.near-duplicate", "data.near-leakage"},
    "AWS key": {"data.secret"},
    "e-mail and SSN": {"data.personal"},
    "row shared with validation": {"data.leakage"},
}


def _planted(name: str, good: Sequence[bytes], at: int, nearly: Callable[[str], str]) -> bytes:
    """Return the line that is inserted before the good row `at`."""
    chat: Chat = json.loads(good[at])
    if name in FAULTS:
        return FAULTS[name](chat)
    said = chat["messages"][-1]["content"]
    match name:
        case "too long":
            return _second(chat, content=f"{said} " * (3 * LONGEST_INPUT // len(said.split())))
        case "blank line":
            return b""
        case "exact duplicate":
            return good[at - 1]
        case "near duplicate":
            return nearly(good[at - 1].decode()).encode()
        case "AWS key":
            # In two pieces, so that nobody's scanner takes this file for a leak.
            return _second(chat, content=f"{said} Use AKIA" + "Q3EGRT7XW5MZ2KPD.")
        case "e-mail and SSN":
            return _second(chat, content=f"{said} Ask maria.keller@keller-freight.com, SSN 536-22-8714.")
    raise LookupError(name)


def plant(
    names: Sequence[str], good: Sequence[bytes], validation: list[bytes], nearly: Callable[[str], str]
) -> tuple[dict[str, bytes], list[Defect]]:
    """Return a dataset's files with these defects among the good rows, three good rows apart, and where they stand."""
    lines: list[bytes] = []
    defects = []
    waiting = list(names)
    for at, row in enumerate(good):
        if waiting and at % 4 == 3:  # noqa: PLR2004 - three good rows apart
            name = waiting.pop(0)
            if name == "row shared with validation":
                validation.append(good[at - 1])
                places = {(TRAIN, len(lines)), (VALIDATION, len(validation))}
            else:
                lines.append(_planted(name, good, at, nearly))
                places = {(TRAIN, len(lines))}
                if name in {"exact duplicate", "near duplicate"}:
                    places.add((TRAIN, len(lines) - 1))
            defects.append(Defect(name, frozenset(CODES[name]), frozenset(places)))
        lines.append(row)
    files = {TRAIN: b"".join(line + b"\n" for line in lines)}
    if "row shared with validation" in names:
        files[VALIDATION] = b"".join(line + b"\n" for line in validation)
    return files, defects


def write(folder: Path, files: dict[str, bytes]) -> None:
    """Write a dataset's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
