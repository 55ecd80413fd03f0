"""A Python interpreter that begins with torch and transformers imported, for programs of which many are started.

Importing them takes seconds of CPU, several times what a small training or the loading of a small model takes. One
process of the engine imports them once (``server.py``), and each program runs in a fork of it. What is started in place
of ``python -u`` is ``launcher.py``: to whoever started it, it is that program, with its pipes, signals and exit code.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent


@contextlib.contextmanager
def interpreter() -> Iterator[tuple[list[str], tuple[int, ...]]]:
    """Yield a command to be followed by a program and its arguments, and the descriptors that its process inherits.

    The program is a path or ``-m`` and a module, as for ``python``. The command starts one program, within the block.
    Elsewhere than on Linux, where a fork of a process with such libraries is not safe, it is ``python -u`` itself.
    """
    if sys.platform != "linux":
        yield [sys.executable, "-u"], ()
        return
    server = _server()
    theirs, ours = socket.socketpair()
    with ours, theirs:
        socket.send_fds(server, [b"\0"], [theirs.fileno()])
        yield [sys.executable, "-I", "-S", str(_HERE / "launcher.py"), str(ours.fileno())], (ours.fileno(),)


@cache
def _server() -> socket.socket:
    """Start the server, which ends when this process does, and return the socket that takes connections to it."""
    theirs, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        # Libraries look for somebody's settings and caches while they are imported; programs shall have none of them.
        "HOME": os.devnull,
        # Threads that spin while they wait starve the engine's other processes on the same cores. Read by torch.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
    with theirs:
        subprocess.Popen(
            [sys.executable, "-I", str(_HERE / "server.py"), str(theirs.fileno())],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=(theirs.fileno(),),
        )
    return ours
