"""Keep models in memory, each in a process of its own: load on demand, evict when idle."""

from __future__ import annotations

import json
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from local import prefork
from local.bedrock.settings import Settings
from local.jumpstart.scripts.word_counts import WordCounts, counts_words

_PROJECT = Path(__file__).parents[2]
_LOAD_SECONDS = 180
_ANSWER_SECONDS = 600
_SWEEP_SECONDS = 1


class ModelFailedError(Exception):
    """Report that a model's process ended before it answered."""


class NotReadyError(Exception):
    """Report that a model is still being loaded."""


class _Process:
    """Hold the process of one model and the requests that wait for its answers."""

    def __init__(self, folder: Path, batch_size: int, log: Path) -> None:
        self.last_used = time.monotonic()
        self._waiting: dict[str, SimpleQueue[dict[str, Any] | None]] = {}
        """For each request its pieces and its answer, or None when the process ended before."""
        self._ready: Future[None] = Future()
        self._lock = threading.Lock()
        with log.open("ab") as errors, prefork.interpreter() as (interpreter, descriptors):
            self._process = subprocess.Popen(
                [*interpreter, "-m", "local.bedrock.worker", str(folder), str(batch_size)],
                cwd=_PROJECT,
                pass_fds=descriptors,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def ready(self) -> bool:
        return self._ready.done() and self._ready.exception() is None

    @property
    def busy(self) -> bool:
        return bool(self._waiting) or not self._ready.done()

    def wait_until_ready(self) -> None:
        self._ready.result(_LOAD_SECONDS)

    def ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Send a request at once; yields what the worker says of it, the answer last."""
        identifier, replies = uuid.uuid4().hex, SimpleQueue[dict[str, Any] | None]()
        line = json.dumps({**request, "id": identifier}) + "\n"
        with self._lock:
            self._waiting[identifier] = replies
            try:
                if self._process.stdin:
                    self._process.stdin.write(line)
                    self._process.stdin.flush()
            except OSError as error:
                del self._waiting[identifier]
                raise ModelFailedError from error
        return _told(replies)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()

    def _read(self) -> None:
        for line in self._process.stdout or ():
            said = json.loads(line)
            with self._lock:
                if said["id"] == "ready":
                    self._ready.set_result(None)
                elif "piece" in said:
                    self._waiting[said["id"]].put(said)
                else:
                    self.last_used = time.monotonic()
                    self._waiting.pop(said["id"]).put(said)
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            if not self._ready.done():
                self._ready.set_exception(ModelFailedError("the model's process ended"))
        for lost in waiting.values():
            lost.put(None)


def _told(replies: SimpleQueue[dict[str, Any] | None]) -> Iterator[dict[str, Any]]:
    while True:
        try:
            said = replies.get(timeout=_ANSWER_SECONDS)
        except Empty as error:
            raise TimeoutError from error
        if said is None:
            msg = "the model's process ended"
            raise ModelFailedError(msg)
        yield said
        if "piece" not in said:
            return


class _WordCounter:
    """Stand where a process does, for a model that needs none; it says its answers in one piece."""

    alive = ready = True
    busy = False

    def __init__(self, folder: Path) -> None:
        self.last_used = time.monotonic()
        self._model = WordCounts.load(folder)

    def wait_until_ready(self) -> None:
        """Return: it is."""

    def ask(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        prompt = request["messages"][-1]["content"] if "messages" in request else request["prompt"]
        text = self._model.answer(prompt)
        counted = {"input_tokens": len(prompt.split()), "output_tokens": len(text.split()) + 1}
        if request.get("stream"):
            yield {"piece": {"text": text, "logprobs": ()}}
        yield {"text": text, "stop_reason": "end_turn", "logprobs": (), **counted}

    def stop(self) -> None:
        """Do nothing: there is no process."""


class ModelServer:
    """Answer prompts with the models of local folders.

    Args:
        settings: how many models stay loaded, for how long, and how many prompts are generated together.
        log: the file that takes what the models' processes print.
    """

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self._processes: dict[Path, _Process | _WordCounter] = {}
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._sweeper = threading.Thread(target=self._evict_idle, daemon=True)
        self._sweeper.start()

    def loaded(self) -> list[Path]:
        """Return the folders of the models whose processes run."""
        with self._lock:
            return [folder for folder, process in self._processes.items() if process.alive]

    def load(self, folder: Path) -> None:
        """Start a model's process and wait until it can answer; raises ModelFailedError when it ends before."""
        self._loaded(folder).wait_until_ready()

    def ask(self, folder: Path, request: dict[str, Any], *, wait: bool) -> Iterator[dict[str, Any]]:
        """Have a model answer one request of `worker.serve`; yields the pieces if any were asked for, and the answer.

        Args:
            folder: the model; it is loaded when it is not.
            request: without its id.
            wait: whether to wait while the model is loaded.

        Raises:
            NotReadyError: when the model is still being loaded and the caller does not wait.
            ModelFailedError: when its process ended, for example for want of memory.
        """
        process = self._loaded(folder)
        if wait:
            process.wait_until_ready()
        elif not process.ready:
            raise NotReadyError
        return process.ask(request)

    def unload(self, folder: Path) -> None:
        """End a model's process, if there is one."""
        with self._lock:
            process = self._processes.pop(folder, None)
        if process:
            process.stop()

    def stop(self) -> None:
        """End all processes."""
        self._stopped.set()
        self._sweeper.join()
        for folder in list(self._processes):
            self.unload(folder)

    def _loaded(self, folder: Path) -> _Process | _WordCounter:
        with self._lock:
            process = self._processes.get(folder)
            if process and process.alive:
                process.last_used = time.monotonic()
                return process
            if process:
                # Said once; the next request tries to load it again.
                del self._processes[folder]
                process.stop()
                if not process.ready:
                    msg = "the model's process ended while it was loaded"
                    raise ModelFailedError(msg)
            self._make_room()
            process = self._processes[folder] = (
                _WordCounter(folder) if counts_words(folder) else _Process(folder, self._settings.batch_size, self._log)
            )
            return process

    def _make_room(self) -> None:
        """End the models that have been idle longest; one that is generating stays, even beyond the limit."""
        idle = sorted((p.last_used, folder) for folder, p in self._processes.items() if not p.busy)
        surplus = len(self._processes) + 1 - self._settings.loaded_models
        for _, folder in idle[: max(surplus, 0)]:
            self._processes.pop(folder).stop()

    def _evict_idle(self) -> None:
        while not self._stopped.wait(_SWEEP_SECONDS):
            limit = time.monotonic() - self._settings.idle_seconds
            with self._lock:
                expired = [f for f, p in self._processes.items() if not p.busy and p.last_used < limit]
                for folder in expired:
                    self._processes.pop(folder).stop()
