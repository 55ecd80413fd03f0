"""One Lambda execution environment: a process, the Runtime API that feeds it, and the limits that end it."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil

# AWS gives initialisation ten seconds and then repeats it within the function's own timeout; on a loaded computer we
# grant both at once (https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html).
_INIT_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_RESULT_PATH = re.compile(r"/2018-06-01/runtime/invocation/([^/]+)/(response|error)$")


@dataclass(frozen=True, slots=True)
class Invocation:
    """Hold what the Runtime API hands to the function: times in seconds, the deadline as epoch seconds."""

    request_id: str
    payload: bytes
    function_arn: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """Hold how an invocation ended.

    Attributes:
        payload: the function's answer as JSON text, or AWS's error object.
        failed: whether the payload is an error.
        ended_by: ``timeout`` or ``error`` when the sandbox ended it, as in a REPORT line, else empty.
        lines: what the process wrote, with epoch milliseconds.
        init_seconds: how long initialisation took, None when the environment was warm.
        seconds: how long the handler took.
        max_memory_bytes: the largest resident size seen.
    """

    payload: bytes
    failed: bool
    ended_by: str
    lines: list[tuple[int, str]]
    init_seconds: float | None
    seconds: float
    max_memory_bytes: int


class Sandbox:
    """Run one function's invocations, one at a time, in a process of its own."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        memory_bytes: int,
        timeout: float,
        code_dir: Path,
        tmp_dir: Path,
    ) -> None:
        """Start the process; its initialisation is awaited by the first invocation.

        Args:
            command: what to run; it speaks the Runtime API of ``AWS_LAMBDA_RUNTIME_API``.
            environment: every variable of the process but that one and TMPDIR.
            memory_bytes: resident size at which the process is killed.
            timeout: seconds that an invocation may take.
            code_dir: the process's working folder.
            tmp_dir: a new folder for its temporary files, removed when it stops.
        """
        self._memory_bytes = memory_bytes
        self._timeout = timeout
        self._tmp_dir = tmp_dir
        self._events: queue.SimpleQueue[tuple[Invocation, float] | None] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe()
        self._initialised = False
        self._polled = threading.Event()
        self._current: str | None = None
        self._result: tuple[str, bytes] | None = None
        self._lines: list[tuple[int, str]] = []
        self._partial = b""
        self._max_memory = 0
        tmp_dir.mkdir(parents=True)
        self._server = _RuntimeApi(self._next_event, self._finish)
        threading.Thread(target=self._server.serve_forever, daemon=True, name="lambda-runtime-api").start()
        self._output, process_output = os.pipe()
        os.set_blocking(self._output, False)
        self._started = time.monotonic()
        self._process = subprocess.Popen(
            command,
            cwd=code_dir,
            env={
                **environment,
                "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{self._server.server_port}",
                "TMPDIR": str(tmp_dir),
            },
            stdin=subprocess.DEVNULL,
            stdout=process_output,
            stderr=subprocess.STDOUT,
        )
        # Looked up before anybody may learn that it is over: then it is no more.
        self._observed = psutil.Process(self._process.pid)
        os.close(process_output)

    @property
    def alive(self) -> bool:
        """Tell whether the process can serve another invocation."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once, as a failing host would; an invocation under way fails."""
        self._process.kill()

    def stop(self) -> None:
        """End the process and free what belongs to it."""
        self._process.kill()
        self._process.wait()
        self._events.put(None)
        self._server.shutdown()
        self._server.server_close()
        shutil.rmtree(self._tmp_dir, ignore_errors=True)
        for descriptor in (self._wake_read, self._wake_write, self._output):
            os.close(descriptor)

    def invoke(self, invocation: Invocation) -> Outcome:
        """Run one invocation; the first waits for the process to be ready."""
        self._lines, self._max_memory = [], 0
        init_seconds = None
        if not self._initialised:
            ended_by = self._watch(_INIT_SECONDS + self._timeout, self._polled)
            init_seconds = time.monotonic() - self._started
            self._initialised = True
            if ended_by or self._result is not None:
                return self._outcome(invocation, ended_by, init_seconds, 0.0)
        started = time.monotonic()
        self._result = None
        self._current = invocation.request_id
        self._events.put((invocation, time.time() + self._timeout))
        ended_by = self._watch(self._timeout, None)
        return self._outcome(invocation, ended_by, init_seconds, time.monotonic() - started)

    def _watch(self, seconds: float, ready: threading.Event | None) -> str:
        """Read output until there is a result (or ``ready`` is set), the process ends, or a limit is passed.

        Returns:
            Empty, ``exit``, ``memory`` or ``timeout``.
        """
        deadline = time.monotonic() + seconds
        while True:
            watched = [self._wake_read] if self._process.poll() is not None else [self._wake_read, self._output]
            readable, _, _ = select.select(watched, [], [], _LOOK_SECONDS)
            with contextlib.suppress(psutil.Error):
                self._max_memory = max(self._max_memory, self._observed.memory_info().rss)
            self._read_output()
            if self._wake_read in readable:
                os.read(self._wake_read, 4096)
            if self._result is not None or (ready is not None and ready.is_set()):
                self._read_output()
                return ""
            if self._max_memory > self._memory_bytes:
                reason = "memory"
            elif self._process.poll() is not None:
                reason = "exit"
            elif time.monotonic() >= deadline:
                reason = "timeout"
            else:
                continue
            self._process.kill()
            self._process.wait()
            self._read_output()
            return reason

    def _read_output(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self._output, 65536):
                *whole, self._partial = (self._partial + chunk).split(b"\n")
                now = int(time.time() * 1000)
                # The runtime client writes carriage returns between the lines of one event.
                texts = [line.decode("utf-8", "replace").strip("\r").replace("\r", "\n") for line in whole]
                self._lines += [(now, text) for text in texts]

    def _outcome(self, invocation: Invocation, ended_by: str, init_seconds: float | None, seconds: float) -> Outcome:
        self._current = None
        kind, payload = self._result or ("error", self._error(invocation.request_id, ended_by))
        return Outcome(
            payload=payload,
            failed=kind != "response",
            ended_by="timeout" if ended_by == "timeout" else "error" if ended_by else "",
            lines=self._lines,
            init_seconds=init_seconds,
            seconds=seconds,
            max_memory_bytes=self._max_memory,
        )

    def _error(self, request_id: str, ended_by: str) -> bytes:
        """Word an end that the function did not choose as Lambda does."""
        if ended_by == "timeout":
            kind, message = "Sandbox.Timedout", f"Task timed out after {self._timeout:.2f} seconds"
        else:
            code = self._process.returncode
            cause = "signal: killed" if code < 0 else f"exit status {code}"
            kind, message = "Runtime.ExitError", f"Runtime exited with error: {cause}"
        return json.dumps({"errorType": kind, "errorMessage": f"RequestId: {request_id} Error: {message}"}).encode()

    def _next_event(self) -> tuple[Invocation, float] | None:
        self._polled.set()
        self._wake()
        return self._events.get()

    def _finish(self, request_id: str | None, kind: str, payload: bytes) -> bool:
        if request_id is not None and request_id != self._current:
            return False
        self._result = (kind, payload)
        self._wake()
        return True

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"!")


class _RuntimeApi(ThreadingHTTPServer):
    """Hand events to one process and take its results: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html."""

    daemon_threads = True

    def __init__(
        self,
        next_event: Callable[[], tuple[Invocation, float] | None],
        finish: Callable[[str | None, str, bytes], bool],
    ) -> None:
        super().__init__(("127.0.0.1", 0), _RuntimeApiHandler)
        self.next_event = next_event
        self.finish = finish


class _RuntimeApiHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _RuntimeApi

    def log_message(self, *_: object) -> None:
        """Keep quiet: the function's own output is the log."""

    def do_GET(self) -> None:
        """Answer ``/next``, which means that the process is ready, when there is an event."""
        waiting = self.server.next_event()
        if waiting is None:
            self._answer(410, b"")
            return
        invocation, deadline = waiting
        headers = {
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": invocation.function_arn,
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
            "Content-Type": "application/json",
        }
        self._answer(200, invocation.payload, headers)

    def do_POST(self) -> None:
        """Take a result or an error of initialisation."""
        body = self._body()
        result = _RESULT_PATH.search(self.path)
        if result:
            accepted = self.server.finish(result[1], result[2], body)
        else:
            accepted = self.path.endswith("/init/error") and self.server.finish(None, "init-error", body)
        self._answer(202 if accepted else 400, b"{}")

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(chunks)

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
