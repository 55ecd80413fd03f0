"""What AWS would lend this account: quotas and capacity, which one may change while the engine runs."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path("sagemaker", "account.json")
"""Under the engine's data: `{"no_capacity": ["ml.g5.2xlarge"], "quotas": {"ml.g5.12xlarge": 0}}`."""


@dataclass(frozen=True, slots=True)
class Account:
    """Hold what differs from plenty.

    Attributes:
        no_capacity: instance types of which AWS has none; jobs on them end with a CapacityError.
        quotas: instances of a type that may train at once, where it is not the engine's usual number.
    """

    no_capacity: frozenset[str] = frozenset()
    quotas: dict[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, data_dir: Path) -> Account:
        """Read what holds at this moment."""
        path = data_dir / FILE
        if not path.exists():
            return cls()
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(frozenset(told.get("no_capacity", ())), dict(told.get("quotas", {})))

    def write(self, data_dir: Path) -> None:
        """Let it hold from now on."""
        path = data_dir / FILE
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"no_capacity": sorted(self.no_capacity), "quotas": self.quotas}
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(told), encoding="utf-8")
        unfinished.replace(path)
