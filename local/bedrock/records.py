"""What jobs and models have in common: how they are named, tagged, found, and kept on disk."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_ALPHABET = string.ascii_lowercase + string.digits


def find(records: Mapping[str, dict[str, Any]], identifier: str, name: str) -> dict[str, Any] | None:
    """Return the record of that ARN, or of that name, which the member `name` holds."""
    return records.get(identifier) or next((r for r in list(records.values()) if r[name] == identifier), None)


def tags_of(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Return tags by key."""
    return {tag["key"]: tag["value"] for tag in tags or []}


def new_identifier() -> str:
    """Make up the end of an ARN."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(12))


def timestamp() -> str:
    """Return the time as Bedrock writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def load(paths: Iterable[Path], key: str) -> dict[str, dict[str, Any]]:
    """Read records, the oldest first, by their member `key`."""
    records = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {record[key]: record for record in sorted(records, key=lambda record: record["creationTime"])}


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record so that readers see the old one or the new one, whole."""
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(record), encoding="utf-8")
    draft.replace(path)
