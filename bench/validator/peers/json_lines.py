"""`json.loads` a line, and the checks that people write around it."""

import json
from pathlib import Path
from typing import Any

from protocol import Verdict, run

ROLES = frozenset({"system", "user", "assistant"})


def conversation(row: Any) -> None:
    """Raise unless roles take turns and every message says something."""
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        raise ValueError("messages is no list, or empty")
    previous = None
    for place, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if role not in ROLES or role == previous or (role == "system" and place):
            raise ValueError(f"role {role!r} at {place}")
        if not isinstance(content, str) or not content:
            raise ValueError(f"content at {place}")
        previous = role
    if previous != "assistant":
        raise ValueError("the last message is not the assistant's")


def instruction(row: Any) -> None:
    """Raise unless the three fields are text, and two of them say something."""
    for name in ("instruction", "context", "response"):
        if not isinstance(row[name], str):
            raise TypeError(name)
    if not row["instruction"] or not row["response"]:
        raise ValueError("empty")


def check(technique: str, path: Path) -> Verdict:
    """Read as text, line by line; bytes that are not UTF-8 end the reading, for text files are read that way."""
    judge = conversation if technique == "chat" else instruction
    verdict = Verdict()
    try:
        with path.open(encoding="utf-8") as lines:
            for verdict.rows, line in enumerate(lines, 1):
                try:
                    judge(json.loads(line))
                except (ValueError, TypeError, KeyError) as error:
                    verdict.refuse(f"{type(error).__name__}: {error}", verdict.rows)
    except UnicodeDecodeError as error:
        verdict.refuse(error)
    return verdict


run(check)
