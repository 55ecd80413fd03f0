"""Stand for a program that runs in a fork of the server: ``launcher.py DESCRIPTOR (PATH | -m MODULE) [ARGUMENT …]``.

The program gets this process's arguments, folder, environment, standard streams, process group, niceness and
namespaces. SIGTERM is handed on, and this process ends as the program does; when this one is killed, so is the program.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys


def main() -> None:
    """Have the program run, and end as it does."""
    server = socket.socket(fileno=int(sys.argv[1]))
    namespaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("user", "net")]
    request = {
        "arguments": sys.argv[2:],
        "folder": os.getcwd(),  # noqa: PTH109 - this process starts too often to import pathlib
        "environment": dict(os.environ),
        "group": os.getpgrp(),
        "niceness": os.nice(0),
    }
    body = json.dumps(request).encode()
    socket.send_fds(server, [len(body).to_bytes(8, "big")], [0, 1, 2, *namespaces])
    server.sendall(body)
    # This process's copies would hold the streams open after the program closed its own.
    for descriptor in (0, 1):
        os.close(descriptor)
    answers = server.makefile("r", encoding="ascii")
    program = int(answers.readline())
    signal.signal(signal.SIGTERM, lambda signum, _frame: os.kill(program, signum))
    code = int(answers.readline())
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()
