"""Run a training script as the process of its container.

`python entrypoint.py COMMAND [ARGUMENT …]`, with the parent holding the write end of this process's standard input:
when the parent is gone the whole process group is killed, so that no orphan trains on. SIGTERM is handed on.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from types import FrameType

_NICENESS = 10  # the engine's Lambda workers have real timeouts on the same cores


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def main() -> int:
    """Run the script to its end and return its exit code, 128 + N for a death by signal N."""
    os.nice(_NICENESS)
    # What this process was given to inherit is for the command.
    script = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, close_fds=False)

    def hand_on(signum: int, _frame: FrameType | None) -> None:
        script.send_signal(signum)

    signal.signal(signal.SIGTERM, hand_on)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = script.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    # A daemon thread still reads standard input: the interpreter's own shutdown would wait for its lock.
    os._exit(main())
