"""What every peer's script shares: `python <script>.py chat|instruction FILE...` prints one JSON object a file.

The scripts run in the peers' own virtual environment, so they import nothing of the project.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

KEPT = 1_000


@dataclass
class Verdict:
    """Say what a tool found in one file."""

    rows: int = 0
    """Rows that it read."""
    refused: int = 0
    """Rows, or whole files, that it found fault with."""
    lines: list[int] = field(default_factory=list)
    """The first thousand lines that it named, from 1."""
    said: str = ""
    """Its first words on what is wrong."""

    def refuse(self, words: object, line: int | None = None) -> None:
        """Note a fault."""
        self.refused += 1
        self.said = self.said or str(words)[:200]
        if line is not None and len(self.lines) < KEPT:
            self.lines.append(line)


def run(check: Callable[[str, Path], Verdict]) -> None:
    """Judge the files that the command line names."""
    technique, *paths = sys.argv[1:]
    for path in paths:
        print(json.dumps(asdict(check(technique, Path(path)))))
