"""Snapshots of ministack's state: taken while it runs, stored all or nothing, read back at the next start."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import threading
import time
from typing import Any

from ministack import app as ministack
from ministack.core import persistence
from ministack.services import dynamodb

from local.engine.async_queue import AsyncQueue
from local.engine.database import Database

logger = logging.getLogger("local.engine.persistence")

_STREAMS = "tunedrop-dynamodb-streams"
# A snapshot may take up to this share of the engine's time.
_SHARE = 0.1


class Snapshots:
    """Keep the database up to date with ministack's memory.

    An asynchronous invocation stays on disk until a snapshot holds what it caused; so whenever the engine is killed,
    the next one finds a state and the events that led beyond it, and delivers those again, as AWS may at any time.
    """

    def __init__(self, database: Database, async_queue: AsyncQueue, least_seconds: float) -> None:
        """Take over saving and loading from ministack.

        Args:
            database: holds the snapshot.
            async_queue: its finished invocations are forgotten with the snapshot that follows them.
            least_seconds: the shortest time between two snapshots.
        """
        self._database = database
        self._async_queue = async_queue
        self._least_seconds = least_seconds
        self._digests: dict[str, bytes] = {}
        self._dirty = threading.Event()
        self._running = False
        self._taking = threading.Lock()
        self._load_ministack = ministack._load_persisted_state
        ministack.load_state = self._load
        ministack._load_persisted_state = self._restore
        ministack.save_all = _save_nothing

    def changed(self) -> None:
        """Say that the state may differ from the last snapshot."""
        self._dirty.set()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take snapshots from now on, each on the loop that serves requests, between two of them."""
        self._running = True
        threading.Thread(target=self._keep, args=(loop,), daemon=True, name="snapshots").start()

    def stop(self) -> None:
        """Take no more by itself."""
        self._running = False
        self._dirty.set()

    def take(self, loop: asyncio.AbstractEventLoop) -> None:
        """Store the state as it is, from another thread than the loop's."""
        with self._taking:
            self._dirty.clear()
            finished = self._async_queue.finished()
            states = asyncio.run_coroutine_threadsafe(_collect(), loop).result()
            changed = []
            for service, state in states.items():
                text = json.dumps(state, default=persistence._json_default).encode()
                digest = hashlib.blake2b(text, digest_size=16).digest()
                if self._digests.get(service) != digest:
                    changed.append((service, text, digest))
            with self._database.transaction() as connection:
                connection.executemany(
                    "INSERT INTO snapshot (service, state) VALUES (?, ?) "
                    "ON CONFLICT (service) DO UPDATE SET state = excluded.state",
                    [(service, text) for service, text, _ in changed],
                )
                self._async_queue.forget(connection, finished)
            self._digests.update({service: digest for service, _, digest in changed})

    def _keep(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = self._least_seconds
        while self._dirty.wait() and self._running:
            started = time.monotonic()
            try:
                self.take(loop)
            except Exception:
                logger.exception("A snapshot failed; the one before stays")
                self._dirty.set()
            pause = max(self._least_seconds, (time.monotonic() - started) / _SHARE)
            time.sleep(pause)

    def _load(self, service: str) -> Any:
        with self._database.transaction() as connection:
            row = connection.execute("SELECT state FROM snapshot WHERE service = ?", (service,)).fetchone()
        return json.loads(row[0], object_hook=persistence._json_object_hook) if row else None

    def _restore(self) -> None:
        self._load_ministack()
        streams = self._load(_STREAMS)
        if streams:
            dynamodb._stream_records.update(streams["records"])
            dynamodb._stream_trimmed.update(streams["trimmed"])
            dynamodb._stream_seq_counter = streams["sequence"]


async def _collect() -> dict[str, Any]:
    """Copy the state of every service that was used, between two requests, which ministack serves on this loop.

    A thread of ministack's that interferes makes it start again.
    """
    attempts = 5
    while True:
        try:
            states = {name: get_state() for name, get_state in ministack._build_persistence_save_dict().items()}
            # ministack drops stream records at a restart, although pipes may not have read them.
            states[_STREAMS] = {
                "records": _copied(dynamodb._stream_records),
                "trimmed": _copied(dynamodb._stream_trimmed),
                "sequence": dynamodb._stream_seq_counter,
            }
        except RuntimeError:
            attempts -= 1
            if not attempts:
                raise
        else:
            return {name: state for name, state in states.items() if state}


def _copied(store: Any) -> Any:
    return type(store).from_dict(
        {key: list(value) if isinstance(value, list) else value for key, value in store.to_dict().items()}
    )


def _save_nothing(services: dict[str, Any]) -> None:
    """Stand in for ministack's files at shutdown: the engine takes a last snapshot itself."""
