"""Do what an item, or the items of a batch, ask for."""

import time
from typing import Any


class FlakyError(Exception):
    """Raised by an item's first attempt."""


class UselessError(Exception):
    """Raised by an item that never succeeds."""


class CaughtError(Exception):
    """Raised where the state machine knows better."""


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Handle each item, and tell what arrived."""
    for item in event["items"]:
        match item["do"]:
            case "flake" if event["attempt"] == 0:
                raise FlakyError(item["name"])
            case "fail":
                raise UselessError(item["name"])
            case "catch":
                raise CaughtError(item["name"])
            case "sleep":
                time.sleep(item["seconds"])
            case "grow":
                return {"text": "x" * (300 << 10)}
    return {"names": [item["name"] for item in event["items"]], "attempt": event["attempt"], "note": event.get("note")}
