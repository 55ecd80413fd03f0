"""The parts of the engine put together. Import it only in the process that ``local.engine.server`` has prepared."""

from __future__ import annotations

import asyncio
import importlib
import json
import re
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config
from ministack import app as ministack

from local.engine import alarms, logs, s3_events, s3_ranges, schedules
from local.engine.async_queue import AsyncQueue
from local.engine.database import Database
from local.engine.delivery import Delivery
from local.engine.distributed_map import DistributedMaps
from local.engine.event_pipes import Pipes
from local.engine.faults import Call, Faults, caller, operation, refuse
from local.engine.host import Service
from local.engine.iam import Decisions, Iam
from local.engine.lambdas import Lambdas
from local.engine.persistence import Snapshots
from local.engine.services import EngineHost, mount, raw_path
from local.engine.settings import ADMIN_ENVIRONMENT, CONTROL_HEADER, CONTROL_PATH, FaultSettings, Settings
from local.engine.step_functions import StepFunctions


def run(settings: Settings, port: int, data_dir: Path, work_dir: Path) -> None:
    """Run the engine until standard input ends or a signal asks it to stop."""
    asyncio.run(_Engine(settings, port, data_dir, work_dir).run())


class _Engine:
    """Put the parts together, start them in order and stop them in the reverse."""

    def __init__(self, settings: Settings, port: int, data_dir: Path, work_dir: Path) -> None:
        self._port = port
        self._endpoint_url = f"http://127.0.0.1:{port}"
        self._database = Database(data_dir / "engine.sqlite3")
        iam = Iam(Decisions(data_dir / "decisions.jsonl"))
        logs.authorize_as_aws_does()
        logs.filter_as_aws_does()
        self._lambdas = Lambdas(iam, self._endpoint_url, work_dir, _say)
        self._async_queue = AsyncQueue(self._database, settings, self._lambdas, iam)
        self._faults = Faults()
        self._delivery = Delivery(self._async_queue, settings.deliveries, self._faults)
        self._snapshots = Snapshots(self._database, self._async_queue, settings.snapshot_seconds)
        self._pipes = Pipes(iam, settings.pipe_poll_seconds, self._snapshots.changed)
        self._step_functions = StepFunctions(iam, self._endpoint_url, self._snapshots.changed)
        DistributedMaps(self._step_functions, iam, settings.async_concurrency)
        schedules.install(settings.seconds_per_minute)
        alarms.install()
        s3_events.install()
        s3_ranges.install()
        self._host = EngineHost(iam, self._endpoint_url, data_dir, work_dir)
        self._services = _make_services(settings.services)
        for service in self._services:
            mount(service, iam)

    async def run(self) -> None:
        """Serve until standard input ends or the process is asked to stop."""
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
        serving = asyncio.create_task(serve(self._app, config, shutdown_trigger=closing.wait))
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
        self._step_functions.start()
        self._async_queue.start()

    def _stop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._step_functions.stop()
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
            raw_path.set(scope["raw_path"].decode("ascii"))
            # Nothing leaves this computer, so its requests count as secure; policies that deny plain HTTP
            # (aws:SecureTransport) would otherwise deny all of them.
            scope = {**scope, "headers": [*scope["headers"], (b"x-forwarded-proto", b"https")]}
        await self._serve(scope, receive, send)
        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            self._snapshots.changed()

    async def _serve(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        """Have ministack answer, unless something is to go wrong with the call of a function."""
        if self._faults.quiet:
            await ministack.app(scope, receive, send)
            return
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in scope.get("headers", ())}
        access_key, service = caller(headers)
        invocation = self._lambdas.caller(access_key) if access_key else None
        fault = None
        if invocation is not None:
            function, request_id = invocation
            asked = operation(scope["method"], scope["path"], headers)
            invocation_id = headers.get("amz-sdk-invocation-id", "")
            call = Call(re.sub("-[^-]*$", "", function), request_id, service, asked, invocation_id)
            fault = self._faults.of_call(call)
        if fault is None:
            await ministack.app(scope, receive, send)
            return
        if fault == "kill-before":
            self._lambdas.kill_caller(access_key)
        elif fault != "throttle":
            await ministack.app(scope, receive, _unheard)
            if fault == "kill-after":
                self._lambdas.kill_caller(access_key)
        await refuse(send, service, "throttle" if fault == "throttle" else "lost-response")

    async def _control(
        self, scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        """Serve what AWS does not have: what ``local.engine.Engine`` asks for."""
        headers = dict(scope["headers"])
        allowed = headers.get(CONTROL_HEADER.encode()) == ADMIN_ENVIRONMENT["AWS_ACCESS_KEY_ID"].encode()
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
        if command == "faults":
            self._faults.switch(FaultSettings(**argument))
            return argument
        if command == "faults-met":
            return self._faults.met()
        if command == "idle":
            return self._async_queue.idle() and self._step_functions.idle() and self._delivery.idle()
        raise LookupError(command)


def _make_services(factories: Mapping[str, Mapping[str, Any]]) -> list[Service]:
    services = []
    for factory, arguments in factories.items():
        module, _, name = factory.partition(":")
        services.append(getattr(importlib.import_module(module), name)(**arguments))
    return services


async def _unheard(_message: Any) -> None:
    """Take an answer that nobody hears."""


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
