"""Import what programs need and run each program in a fork: ``server.py DESCRIPTOR``, started by ``local.prefork``.

Each message on the descriptor carries a connection from a launcher. The server ends with the process that started it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import io
import json
import os
import runpy
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

_IMPORTED = (
    "torch",
    "peft",
    "PIL.Image",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.mllama.modeling_mllama",
)
_NAMESPACES = ("user", "net")  # in this order: only who has entered the user namespace may enter the other
_STREAMS = 3


def main() -> None:
    """Serve until the descriptor closes, or become a program."""
    connections = socket.socket(fileno=int(sys.argv[1]))
    # In a terminal Ctrl-C is for the process that holds the engine, which then stops it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # No process here waits for the supervisors.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for module in _IMPORTED:
        importlib.import_module(module)
    # What was imported stays: to look through it for garbage, or to take it apart at the end, takes a fork seconds.
    gc.freeze()
    while True:
        message, descriptors, _, _ = socket.recv_fds(connections, 1, 1)
        if not message:
            return
        (descriptor,) = descriptors
        if os.fork():
            os.close(descriptor)
        else:
            connections.close()
            _supervise(socket.socket(fileno=descriptor))
            return


def _supervise(launcher: socket.socket) -> None:
    """Run one program in another fork and tell its launcher how it ended; in that fork, become the program."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    header, descriptors, _, _ = socket.recv_fds(launcher, 8, _STREAMS + len(_NAMESPACES))
    if not header:
        os._exit(0)  # the launcher was never started, or killed at once
    with launcher.makefile("rb") as stream:
        request = json.loads(stream.read(int.from_bytes(header, "big")))
    try:
        _take_on(request, descriptors)
    except PermissionError:
        os._exit(0)  # the launcher was killed meanwhile, and its process group is gone
    program = os.fork()
    if not program:
        launcher.close()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _become(request["arguments"])
        return
    for descriptor in range(_STREAMS):
        os.close(descriptor)
    threading.Thread(target=_kill_without_launcher, args=(launcher, program), daemon=True).start()
    with contextlib.suppress(OSError):
        launcher.sendall(f"{program}\n".encode())
    _, status = os.waitpid(program, 0)
    with contextlib.suppress(OSError):
        launcher.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _take_on(request: dict[str, Any], descriptors: list[int]) -> None:
    """Be where the launcher is, in all that a program inherits from the process that starts it."""
    os.setpgid(0, request["group"])
    os.nice(request["niceness"] - os.nice(0))
    os.chdir(request["folder"])
    for number, descriptor in enumerate(descriptors):
        if number < _STREAMS:
            os.dup2(descriptor, number)
        else:
            _enter(descriptor, _NAMESPACES[number - _STREAMS])
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])


def _enter(descriptor: int, kind: str) -> None:
    """Enter a namespace unless this process is in it: the kernel refuses that."""
    if os.path.samestat(os.fstat(descriptor), Path("/proc/self/ns", kind).stat()):
        return
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), kind)


def _become(arguments: list[str]) -> None:
    """Run a program as ``python -u`` does."""
    # The server's own streams know what kind of file they were made for.
    sys.stdin = sys.__stdin__ = os.fdopen(0, encoding="utf-8")
    sys.stdout = sys.__stdout__ = io.TextIOWrapper(os.fdopen(1, "wb", 0), encoding="utf-8", write_through=True)
    sys.stderr = sys.__stderr__ = io.TextIOWrapper(
        os.fdopen(2, "wb", 0), encoding="utf-8", errors="backslashreplace", write_through=True
    )
    if arguments[0] == "-m":
        sys.path.insert(0, str(Path.cwd()))
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.path.insert(0, str(Path(arguments[0]).absolute().parent))
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")


def _kill_without_launcher(launcher: socket.socket, program: int) -> None:
    # A launcher that was killed before it read what it was sent has reset the connection.
    with contextlib.suppress(ConnectionError):
        launcher.recv(1)
    os.kill(program, signal.SIGKILL)


if __name__ == "__main__":
    main()
