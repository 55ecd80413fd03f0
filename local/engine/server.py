"""The engine's process: ministack with the plug-in, on one port of 127.0.0.1.

Run as ``python -m local.engine.server DATA_DIR SETTINGS``; it prints ``ready URL``, and ends when its
standard input does.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.engine.database import Database
from local.engine.settings import (
    ACCOUNT_ID,
    ADMIN_ACCESS_KEY_ID,
    ADMIN_SECRET_ACCESS_KEY,
    CONTROL_HEADER,
    CONTROL_PATH,
    REGION,
    Settings,
)

if TYPE_CHECKING:
    from local.engine.host import Service

_MINISTACK_SERVICES = (
    "bedrock,bedrock-runtime,cloudformation,dynamodb,dynamodbstreams,events,iam,kms,lambda,logs,monitoring,pipes,s3,"
    "scheduler,sns,sqs,ssm,states,sts,tagging"
)


def main() -> None:
    """Run an engine until its standard input ends."""
    data_dir, settings = Path(sys.argv[1]), Settings.from_json(sys.argv[2])
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit(f"another engine uses {data_dir}")
        port = _choose_port(settings.port, data_dir / "port")
        work_dir = data_dir / "work"
        _prepare(port, data_dir, work_dir)
        asyncio.run(_Server(settings, port, data_dir, work_dir).run())


def _choose_port(wanted: int, remembered: Path) -> int:
    """Return a free port: the one wanted, else that of the last start (queue URLs hold it), else any."""
    if not wanted and remembered.exists():
        wanted = int(remembered.read_text())
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", wanted))
                return wanted
            wanted = 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", wanted))
        port = int(probe.getsockname()[1])
    remembered.write_text(str(port))
    return port


def _prepare(port: int, data_dir: Path, work_dir: Path) -> None:
    """Set the environment that ministack reads while it is imported."""
    shutil.rmtree(work_dir, ignore_errors=True)
    scratch = work_dir / "tmp"
    scratch.mkdir(parents=True)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ.update(
        {
            "AUTH": "true",
            "AWS_ACCESS_KEY_ID": ADMIN_ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": ADMIN_SECRET_ACCESS_KEY,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_ACCOUNT_ID": ACCOUNT_ID,
            "MINISTACK_REGION": REGION,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LOG_LEVEL": "WARNING",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(data_dir / "ministack"),
            "S3_PERSIST": "1",
            "S3_DATA_DIR": str(data_dir / "s3"),
            "SERVICES": _MINISTACK_SERVICES,
            "TMPDIR": str(scratch),
        }
    )


class _Server:
    """Put the parts together, start them in order and stop them in the reverse."""

    def __init__(self, settings: Settings, port: int, data_dir: Path, work_dir: Path) -> None:
        # ministack reads its environment at import, and only now is it as it must be.
        from ministack import app as ministack

        from local.engine import schedules
        from local.engine.async_queue import AsyncQueue
        from local.engine.delivery import Delivery
        from local.engine.iam import Decisions, Iam
        from local.engine.lambdas import Lambdas
        from local.engine.persistence import Snapshots
        from local.engine.pipes import Pipes
        from local.engine.services import EngineHost, mount, raw_path

        self._port = port
        self._endpoint_url = f"http://127.0.0.1:{port}"
        self._ministack = ministack.app
        self._raw_path = raw_path
        self._database = Database(data_dir / "engine.sqlite3")
        iam = Iam(Decisions(data_dir / "decisions.jsonl"))
        self._lambdas = Lambdas(iam, self._endpoint_url, work_dir, _say)
        self._async_queue = AsyncQueue(self._database, settings, self._lambdas, iam)
        self._delivery = Delivery(self._async_queue, settings.deliveries)
        self._snapshots = Snapshots(self._database, self._async_queue, settings.snapshot_seconds)
        self._pipes = Pipes(iam, settings.pipe_poll_seconds, self._snapshots.changed)
        schedules.install(settings.seconds_per_minute)
        self._host = EngineHost(iam, self._endpoint_url, data_dir, work_dir)
        self._services = _load_services(settings.services)
        for service in self._services:
            mount(service, iam)

    async def run(self) -> None:
        """Serve until standard input ends or the process is asked to stop."""
        from hypercorn.asyncio import serve
        from hypercorn.config import Config

        loop = asyncio.get_running_loop()
        asked, closing = asyncio.Event(), asyncio.Event()
        threading.Thread(target=_wait_for_parent, args=(loop, asked), daemon=True, name="parent").start()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, asked.set)
        config = Config()
        config.bind = [f"127.0.0.1:{self._port}"]
        config.graceful_timeout = 1.0
        config.keep_alive_timeout = 75
        config.loglevel = "WARNING"
        serving = asyncio.create_task(serve(self._app, config, shutdown_trigger=closing.wait))  # type: ignore[arg-type]
        await _listening(self._port, serving)
        await asyncio.to_thread(self._start, loop)
        _say(f"ready {self._endpoint_url}")
        await asked.wait()
        await asyncio.to_thread(self._stop, loop)
        closing.set()
        await serving
        self._database.close()

    def _start(self, loop: asyncio.AbstractEventLoop) -> None:
        for service in self._services:
            service.start(self._host)
        self._snapshots.start(loop)
        self._pipes.start()
        self._async_queue.start()

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._async_queue.stop()
        self._pipes.stop()
        for service in self._services:
            service.stop()
        self._lambdas.stop()
        self._snapshots.stop()
        self._snapshots.take(loop)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].startswith(CONTROL_PATH):
            await self._control(scope, receive, send)
            return
        if scope["type"] == "http":
            self._raw_path.set(scope["raw_path"].decode("ascii"))
        await self._ministack(scope, receive, send)
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            self._snapshots.changed()

    async def _control(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve what AWS does not have: what ``local.engine.Engine`` asks for."""
        headers = dict(scope["headers"])
        allowed = headers.get(CONTROL_HEADER.encode()) == ADMIN_SECRET_ACCESS_KEY.encode()
        body = (await receive()).get("body") or b"null"
        command = scope["path"].removeprefix(CONTROL_PATH)
        answer = await asyncio.to_thread(self._command, command, json.loads(body)) if allowed else None
        await send({"type": "http.response.start", "status": 200 if allowed else 403, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _command(self, command: str, argument: Any) -> Any:
        if command == "kill-worker":
            return self._lambdas.kill(argument)
        if command == "deliveries":
            self._delivery.deliveries = argument
            return argument
        if command == "idle":
            return self._async_queue.idle()
        raise LookupError(command)


def _load_services(factories: tuple[str, ...]) -> list[Service]:
    services = []
    for factory in factories:
        module, _, function = factory.partition(":")
        if importlib.util.find_spec(module) is not None:
            services.append(getattr(importlib.import_module(module), function)())
    return services


async def _listening(port: int, serving: asyncio.Task[None]) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            if serving.done():
                serving.result()
        else:
            writer.close()
            return


def _wait_for_parent(loop: asyncio.AbstractEventLoop, asked: asyncio.Event) -> None:
    sys.stdin.read()
    loop.call_soon_threadsafe(asked.set)


def _say(sentence: str) -> None:
    print(sentence, flush=True)


if __name__ == "__main__":
    main()
