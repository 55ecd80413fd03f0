"""Lambda functions run by AWS's own runtime client, each in processes that hold its layers and nothing else."""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

from local.engine import layers, logs
from local.engine.iam import Iam
from local.engine.sandbox import Invocation, Outcome, Sandbox
from local.engine.settings import REGION

_WORKER = Path(__file__).with_name("worker_main.py")
_IDLE_SECONDS = 300.0
_MEBIBYTE = 1 << 20


@dataclass(slots=True)
class _Worker:
    sandbox: Sandbox
    revision: str
    log_stream: str
    access_key: str
    request_id: str = ""
    """Of the invocation that it runs, or ran last."""
    idle_since: float = field(default_factory=time.monotonic)


class Lambdas:
    """Run functions in warm or new workers."""

    def __init__(self, iam: Iam, endpoint_url: str, work_dir: Path, progress: Callable[[str], None]) -> None:
        """Take over the execution of functions from ministack.

        Args:
            iam: opens the sessions of execution roles.
            endpoint_url: what functions get as AWS_ENDPOINT_URL.
            work_dir: scratch for code and temporary files.
            progress: told, in a sentence, what takes long.
        """
        self._iam = iam
        self._endpoint_url = endpoint_url
        self._work_dir = work_dir
        self._progress = progress
        self._lock = threading.Lock()
        self._idle: dict[str, list[_Worker]] = {}
        self._busy: dict[str, list[_Worker]] = {}
        self._running = True
        lambda_svc._execute_function = self.execute
        _provision_concurrency()
        threading.Thread(target=self._reap, daemon=True, name="lambda-reaper").start()

    def execute(self, func: dict[str, Any], event: Any, request_id: str | None = None) -> dict[str, Any]:
        """Run one invocation of a function record of ministack.

        Returns:
            ministack's result: ``body``, ``log`` and, when it failed, ``error`` or ``throttle``.
        """
        config = func.get("config") or func
        slot, _ = lambda_svc._acquire_execution_slot(func, config)
        if slot is None:
            return dict(
                lambda_svc._throttle_response(
                    reason_code="ReservedFunctionConcurrentInvocationLimitExceeded", msg="Rate Exceeded."
                )
            )
        try:
            return self._execute(func, config, event, request_id or str(uuid.uuid4()))
        finally:
            lambda_svc._release_execution_slot(slot)

    def kill(self, function_name: str) -> int:
        """End the processes of a function, whatever they do; returns how many were ended."""
        with self._lock:
            workers = [*self._idle.get(function_name, ()), *self._busy.get(function_name, ())]
        for worker in workers:
            worker.sandbox.kill()
        return len(workers)

    def caller(self, access_key: str) -> tuple[str, str] | None:
        """Return the function and the request id of the invocation that signs with the key; None for others."""
        found = self._busy_with(access_key)
        return (found[0], found[1].request_id) if found else None

    def kill_caller(self, access_key: str) -> None:
        """End the process that signs with the key, if it still runs."""
        if found := self._busy_with(access_key):
            found[1].sandbox.kill()

    def _busy_with(self, access_key: str) -> tuple[str, _Worker] | None:
        with self._lock:
            for name, workers in self._busy.items():
                for worker in workers:
                    if worker.access_key == access_key:
                        return name, worker
        return None

    def stop(self) -> None:
        """End every process."""
        self._running = False
        with self._lock:
            idle = [worker for pool in self._idle.values() for worker in pool]
            busy = [worker for pool in self._busy.values() for worker in pool]
            self._idle.clear()
        for worker in busy:
            worker.sandbox.kill()
        for worker in idle:
            worker.sandbox.stop()

    def _execute(self, func: dict[str, Any], config: dict[str, Any], event: Any, request_id: str) -> dict[str, Any]:
        name = config["FunctionName"]
        started_ms = int(time.time() * 1000)
        try:
            worker = self._acquire(name, func, config)
        except layers.LayerBuildError as error:
            message = {"errorType": "Runtime.LayerError", "errorMessage": str(error)}
            return {"body": message, "error": True, "log": str(error)}
        worker.request_id = request_id
        outcome = worker.sandbox.invoke(
            Invocation(
                request_id=request_id,
                payload=json.dumps(event).encode(),
                function_arn=config["FunctionArn"],
                trace_id=f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Parent={secrets.token_hex(8)};Sampled=0",
            )
        )
        self._release(name, worker)
        report = [(started_ms, f"START RequestId: {request_id} Version: {config['Version']}"), *outcome.lines]
        if outcome.ended_by == "timeout":
            report.append((_now(), json.loads(outcome.payload)["errorMessage"]))
        report += [(_now(), f"END RequestId: {request_id}"), (_now(), _report_line(request_id, config, outcome))]
        logs.put(config["LoggingConfig"]["LogGroup"], worker.log_stream, report)
        body = json.loads(outcome.payload or b"null")
        text = "\n".join(line for _, line in report)
        return {"body": body, "log": text, "raw_payload": False, **({"error": True} if outcome.failed else {})}

    def _acquire(self, name: str, func: dict[str, Any], config: dict[str, Any]) -> _Worker:
        revision = f"{config['CodeSha256']} {config['RevisionId']}"
        with self._lock:
            pool = self._idle.setdefault(name, [])
            usable = [worker for worker in pool if worker.revision == revision and worker.sandbox.alive]
            useless = [worker for worker in pool if worker not in usable]
            worker = usable.pop() if usable else None
            self._idle[name] = usable
            if worker is not None:
                self._busy.setdefault(name, []).append(worker)
        for old in useless:
            old.sandbox.stop()
        if worker is None:
            worker = self._start(func, config, revision)
            with self._lock:
                self._busy.setdefault(name, []).append(worker)
            if not self._running:
                # ``stop`` may have looked before this worker was to be seen.
                worker.sandbox.kill()
        return worker

    def _release(self, name: str, worker: _Worker) -> None:
        worker.idle_since = time.monotonic()
        with self._lock:
            self._busy[name].remove(worker)
            keep = self._running and worker.sandbox.alive
            if keep:
                self._idle.setdefault(name, []).append(worker)
        if not keep:
            worker.sandbox.stop()

    def _start(self, func: dict[str, Any], config: dict[str, Any], revision: str) -> _Worker:
        code_dir = layers.unpack(func["code_zip"], self._work_dir)
        # Later layers overwrite earlier ones in /opt (https://docs.aws.amazon.com/lambda/latest/dg/chapter-layers.html).
        sites = [
            layers.layer_site(content, self._work_dir, self._progress)
            for layer in reversed(config["Layers"])
            if (content := lambda_svc._resolve_layer_zip(layer)) is not None
        ]
        path = [str(code_dir), *map(str, sites), str(layers.runtime_site())]
        log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[{config['Version']}]{secrets.token_hex(16)}"
        environment = self._environment(config, code_dir, log_stream)
        sandbox = Sandbox(
            [sys.executable, "-I", "-S", str(_WORKER), config["Handler"], *path],
            environment,
            memory_bytes=config["MemorySize"] * _MEBIBYTE,
            timeout=config["Timeout"],
            code_dir=code_dir,
            tmp_dir=self._work_dir / "tmp" / secrets.token_hex(8),
        )
        return _Worker(sandbox, revision, log_stream, environment["AWS_ACCESS_KEY_ID"])

    def _environment(self, config: dict[str, Any], code_dir: Path, log_stream: str) -> dict[str, str]:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime
        return {
            **{name: str(value) for name, value in (config.get("Environment") or {}).get("Variables", {}).items()},
            **self._iam.session(config["Role"], config["FunctionName"]),
            "AWS_ENDPOINT_URL": self._endpoint_url,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EXECUTION_ENV": f"AWS_Lambda_{config['Runtime']}",
            "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config["MemorySize"]),
            "AWS_LAMBDA_FUNCTION_VERSION": config["Version"],
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": config["LoggingConfig"]["LogGroup"],
            "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
            # No file of this computer's owner may lend its credentials to a function.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "LAMBDA_TASK_ROOT": str(code_dir),
            "LANG": "en_US.UTF-8",
            "PATH": os.environ["PATH"],
            "TZ": ":UTC",
            "_HANDLER": config["Handler"],
        }

    def _reap(self) -> None:
        while self._running:
            time.sleep(_IDLE_SECONDS / 10)
            with self._lock:
                expired = []
                for name, pool in self._idle.items():
                    old = [worker for worker in pool if time.monotonic() - worker.idle_since > _IDLE_SECONDS]
                    expired += old
                    self._idle[name] = [worker for worker in pool if worker not in old]
            for worker in expired:
                worker.sandbox.stop()


def _provision_concurrency() -> None:
    """Make CloudFormation apply ReservedConcurrentExecutions, which ministack's provisioner of functions ignores."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create, update = provisioners._lambda_create, provisioners._lambda_update

    def reserve(provisioned: Any, props: dict[str, Any]) -> Any:
        name, reserved = provisioned[0], props.get("ReservedConcurrentExecutions")
        if reserved is None:
            lambda_svc._delete_function_concurrency(name)
        else:
            lambda_svc._put_function_concurrency(name, {"ReservedConcurrentExecutions": int(reserved)})
        return provisioned

    def create_reserved(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
        return reserve(create(logical_id, props, stack_name), props)

    def update_reserved(
        physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str | None = None
    ) -> Any:
        return reserve(update(physical_id, old, new, stack_name, logical_id), new)

    handler.update(create=create_reserved, update=update_reserved)


def _report_line(request_id: str, config: dict[str, Any], outcome: Outcome) -> str:
    milliseconds = outcome.seconds * 1000
    fields = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {milliseconds:.2f} ms",
        f"Billed Duration: {int(milliseconds) + 1} ms",
        f"Memory Size: {config['MemorySize']} MB",
        f"Max Memory Used: {outcome.max_memory_bytes // _MEBIBYTE} MB",
    ]
    if outcome.init_seconds is not None:
        fields.append(f"Init Duration: {outcome.init_seconds * 1000:.2f} ms")
    if outcome.ended_by:
        fields.append(f"Status: {outcome.ended_by}")
    return "\t".join(fields)


def _now() -> int:
    return int(time.time() * 1000)
