"""The tools that are measured: how they are installed and called, and what their reports name."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench.validator.faults import LONGEST_INPUT, TRAIN, Place
from bench.validator.measuring import used

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LOCAL = ROOT / ".local/bench"
ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TOGETHER_NO_BANNER": "1",
    "TMPDIR": str(LOCAL / "tmp"),
}

COMMAND, BASE, FULL = "tunedrop validate", "tunedrop, base", "tunedrop, near duplicates + secrets"
JSON, PYDANTIC, MSGSPEC = "json, line by line", "pydantic, line by line", "msgspec, decoding alone"
DATASETS, PANDAS = "Hugging Face load_dataset", "pandas, in chunks"
TOGETHER_3, TOGETHER_1, COOKBOOK = "together 3.1.1 check_file", "together 1.5.35 check_file", "OpenAI cookbook's cells"


class Found(NamedTuple):
    """Say what a tool named in a dataset."""

    refused: bool
    """Whether it found anything wrong at all."""
    named: frozenset[tuple[Place, str]]
    """Lines, and the code that they got (none from the peers)."""


class Tool(NamedTuple):
    """Name a tool; `command` stands before the dataset."""

    name: str
    command: tuple[str, ...]
    ours: bool = False
    conversations_only: bool = False

    def call(self, technique: str, folder: Path, times: int = 1) -> list[str]:
        """Return the command that judges a dataset: ours takes the folder, the peers take one file."""
        if self.name == COMMAND:
            return [*self.command, str(folder), "--json", "--max-input-length", str(LONGEST_INPUT)]
        if self.ours:
            return [*self.command, technique, str(folder), str(times)]
        return [*self.command, technique, str(folder / TRAIN)]

    def found(self, folders: Sequence[Path]) -> list[Found]:
        """Let the tool judge small datasets of conversations."""
        if self.ours:
            return [self._named(used(self.call("chat", folder), ENVIRONMENT).out) for folder in folders]
        files = (str(folder / TRAIN) for folder in folders)
        return [_lines(line) for line in used([*self.command, "chat", *files], ENVIRONMENT).out.splitlines()]

    @staticmethod
    def _named(report: str) -> Found:
        findings = json.loads(report)["findings"]
        named = {((each["file"], each["line"] or 0), each["code"]) for each in findings}
        return Found(bool(named), frozenset(named))


def _lines(verdict: str) -> Found:
    report = json.loads(verdict)
    return Found(bool(report["refused"]), frozenset(((TRAIN, line), "") for line in report["lines"]))


def _peer(name: str, script: str, environment: str = "venv", *, conversations_only: bool = False) -> Tool:
    python = LOCAL / environment / "bin/python"
    return Tool(name, (str(python), str(HERE / "peers" / script)), conversations_only=conversations_only)


def tools() -> list[Tool]:
    """List ours and the peers."""
    own = (sys.executable, "-m", "bench.validator.ours")
    return [
        Tool(BASE, (*own, "base"), ours=True),
        Tool(FULL, (*own, "full"), ours=True),
        Tool(COMMAND, (str(Path(sys.executable).with_name("tunedrop")), "validate"), ours=True),
        _peer(MSGSPEC, "msgspec_decode.py"),
        _peer(DATASETS, "datasets_load.py"),
        _peer(PYDANTIC, "pydantic_lines.py"),
        _peer(JSON, "json_lines.py"),
        _peer(TOGETHER_3, "together_check.py"),
        # It refuses the first instruction row: Together knows other fields.
        _peer(TOGETHER_1, "together_check.py", "venv-together-1", conversations_only=True),
        _peer(PANDAS, "pandas_chunks.py"),
        _peer(COOKBOOK, "cookbook_cells.py", conversations_only=True),
    ]


def install() -> None:
    """Make the peers' virtual environments; what cannot be installed is told of, and then absent from the results."""
    (LOCAL / "tmp").mkdir(parents=True, exist_ok=True)
    for name, requirements in {"venv": "requirements.txt", "venv-together-1": "requirements-together-1.txt"}.items():
        wanted = (HERE / requirements).read_text()
        stamp = LOCAL / name / "installed.txt"
        if stamp.exists() and stamp.read_text() == wanted:
            continue
        print(f"installing {requirements}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(LOCAL / name)], check=True)
        if not _pip(LOCAL / name, "--requirement", str(HERE / requirements)):
            # One that fails must not take the others with it.
            for line in wanted.splitlines():
                if line and not line.startswith("#") and not _pip(LOCAL / name, line):
                    print(f"cannot be installed: {line}")
        stamp.write_text(wanted)


def _pip(environment: Path, *what: str) -> bool:
    """Install, and tell whether it worked."""
    pip = str(environment / "bin/pip")
    return (
        subprocess.run([pip, "install", "--disable-pip-version-check", "--quiet", *what], check=False).returncode == 0
    )
