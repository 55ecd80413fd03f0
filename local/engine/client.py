"""An engine as tests, the demo and the command hold it: a process that they start, ask and stop."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import boto3

from local import deploy as deployment
from local.engine.settings import ADMIN_ENVIRONMENT, CONTROL_HEADER, CONTROL_PATH, FaultSettings, Settings

if TYPE_CHECKING:
    from botocore.client import BaseClient

_ROOT = Path(__file__).parents[2]
_STOP_SECONDS = 20
_QUIET_LOOKS = 5


class EngineError(Exception):
    """Report that the engine's process did not start or ended by itself."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Hold one decision about a role: epoch seconds, the role's name, IAM action, resource ARN, whether allowed."""

    time: float
    role: str
    action: str
    resource: str
    allowed: bool


class Engine:
    """Run an embedded AWS in a process of its own.

    Use it as a context manager. What happened is kept in ``data_dir`` and is there again at the next start.
    """

    def __init__(
        self, data_dir: Path, settings: Settings | None = None, progress: Callable[[str], None] = print
    ) -> None:
        """Describe an engine.

        Args:
            data_dir: where its state lies; made when missing.
            settings: what differs from AWS.
            progress: told, in a sentence, what takes long.
        """
        self.data_dir = data_dir.absolute()
        self.settings = settings or Settings()
        self.endpoint_url = ""
        self._progress = progress
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start the engine."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the engine."""
        self.stop()

    def start(self) -> None:
        """Start the process and wait until it serves.

        Raises:
            EngineError: it ended instead; its log is named.
        """
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with (self.data_dir / "engine.log").open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.engine.server", str(self.data_dir), self.settings.to_json()],
                cwd=_ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C in a terminal is for the process that holds the engine, which then stops it.
                start_new_session=True,
            )
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(self._process, ready), daemon=True, name="engine-output").start()
        ready.wait()
        if not self.endpoint_url:
            raise EngineError(f"the engine did not start; see {self.data_dir / 'engine.log'}")

    def stop(self) -> None:
        """End the process in order: its state is saved."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            try:
                self._process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.kill()
        self._process = None

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self, settings: Settings | None = None) -> None:
        """Stop, when running, and start again with the data kept, and with other settings if given."""
        self.stop()
        self.settings = settings or self.settings
        self.start()

    def client(self, service: str) -> BaseClient:
        """Return a boto3 client of the engine's administrator."""
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=ADMIN_ENVIRONMENT["AWS_DEFAULT_REGION"],
            aws_access_key_id=ADMIN_ENVIRONMENT["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=ADMIN_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"],
        )

    def environment(self) -> dict[str, str]:
        """Return the variables with which any AWS client speaks to the engine."""
        return {"AWS_ENDPOINT_URL": self.endpoint_url, **ADMIN_ENVIRONMENT}

    def deploy(self, template: Path, parameters: Mapping[str, str], stack_name: str = "tunedrop") -> dict[str, str]:
        """Deploy a SAM template as it is, or update its stack.

        Returns:
            The stack's outputs.

        Raises:
            DeploymentError: a resource failed; it says which and why.
        """
        return deployment.deploy(self.client, template, parameters, stack_name, self._progress)

    def decisions(self) -> list[Decision]:
        """Return every decision about a role so far, oldest first."""
        lines = (self.data_dir / "decisions.jsonl").read_text(encoding="utf-8").splitlines()
        return [Decision(**json.loads(line)) for line in lines]

    def kill_worker(self, function_name: str) -> int:
        """End a function's processes, whatever they do; returns how many there were."""
        return int(self._command("kill-worker", function_name))

    def deliver(self, times: int) -> None:
        """Deliver every event to every target so often from now on, as AWS may."""
        self._command("deliveries", times)
        self.settings = replace(self.settings, deliveries=times)

    def go_wrong(self, faults: FaultSettings) -> None:
        """Let this go wrong from now on, until the engine restarts."""
        self._command("faults", asdict(faults))

    def went_wrong(self) -> dict[str, int]:
        """Count what went wrong since the engine started, by fault and site."""
        return dict(self._command("faults-met", None))

    def settle(self, seconds: float = 60.0) -> None:
        """Wait until no asynchronous invocation is queued or running, and no state machine runs.

        Raises:
            TimeoutError: there still is one after so many seconds.
        """
        deadline = time.monotonic() + seconds
        quiet = 0
        # An event may be on its way through a stream and a pipe: quiet counts when it lasts.
        while quiet < _QUIET_LOOKS:
            quiet = quiet + 1 if self._command("idle", None) else 0
            if time.monotonic() > deadline:
                raise TimeoutError("the engine is still busy")
            time.sleep(0.1)

    def _command(self, command: str, argument: Any) -> Any:
        connection = http.client.HTTPConnection(self.endpoint_url.removeprefix("http://"), timeout=30)
        try:
            headers = {CONTROL_HEADER: ADMIN_ENVIRONMENT["AWS_ACCESS_KEY_ID"]}
            connection.request("POST", CONTROL_PATH + command, json.dumps(argument), headers)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def _listen(self, process: subprocess.Popen[str], ready: threading.Event) -> None:
        self.endpoint_url = ""
        for line in process.stdout or ():
            word, _, rest = line.strip().partition(" ")
            if word == "ready":
                self.endpoint_url = rest
                ready.set()
            else:
                self._progress(line.rstrip())
        ready.set()
