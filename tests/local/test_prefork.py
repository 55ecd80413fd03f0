"""A program in a fork of the preloaded interpreter is, to who started it, a process of ``python -u``."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from local import prefork

PROGRAM = """
import os, sys, time
print(os.getpid(), os.getcwd(), os.getpgrp(), os.nice(0), os.environ["COLOUR"], *sys.argv[1:], *map(str, preloaded))
print(sys.stdin.read(), file=sys.stderr)
exec(sys.argv[1])
"""
PRELOADED = "import sys\npreloaded = ['torch' in sys.modules, 'local' in sys.modules, sys.path[0]]\n"


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    program = folder / "program.py"
    program.write_text(PRELOADED + PROGRAM)
    with prefork.interpreter() as (interpreter, descriptors):
        return subprocess.Popen(
            [*interpreter, program.name, *arguments],
            cwd=folder,
            env={"COLOUR": "grün"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            process_group=0,
            preexec_fn=lambda: os.nice(3),  # noqa: PLW1509 - no other thread of this test holds a lock
            pass_fds=descriptors,
        )


def test_a_program_inherits_what_its_launcher_has_and_torch_besides(tmp_path: Path) -> None:
    process = start(tmp_path, "pass", "é")
    output, errors = process.communicate("typed")
    _, *seen = output.split()
    niceness = str(os.nice(0) + 3)
    assert seen == [str(tmp_path), str(process.pid), niceness, "grün", "pass", "é", "True", "False", str(tmp_path)]
    assert errors == "typed\n"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("sys.exit(3)", 3),
        ("sys.exit('no rows')", 1),
        ("raise ValueError('no rows')", 1),
        ("os.kill(os.getpid(), 15)", -signal.SIGTERM),
        ("os.kill(os.getpid(), 9)", -signal.SIGKILL),
    ],
)
def test_a_launcher_ends_as_its_program_does(tmp_path: Path, end: str, code: int) -> None:
    process = start(tmp_path, end)
    _, errors = process.communicate()
    assert process.returncode == code
    assert ("no rows" in errors) is ("no rows" in end)


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_dies_with_its_launcher(tmp_path: Path, signum: signal.Signals) -> None:
    process = start(tmp_path, "time.sleep(600)")
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline()
    process.stdin.close()
    process.send_signal(signum)
    assert process.wait() == -signum
    # The other end of the pipe is the program's alone: it is closed when the program is gone.
    assert process.stdout.read() == ""
