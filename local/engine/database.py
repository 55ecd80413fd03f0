"""The one file in which the engine keeps what must survive it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshot (service TEXT PRIMARY KEY, state BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS invocation (
    id INTEGER PRIMARY KEY, request_id TEXT NOT NULL, function_arn TEXT NOT NULL, payload BLOB NOT NULL,
    received_at REAL NOT NULL, attempts INTEGER NOT NULL
);
"""


class Database:
    """Hold an SQLite file that several threads use."""

    def __init__(self, path: Path) -> None:
        """Open the file, made when missing."""
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # Without waiting for the disk: this survives the death of the process, not of the computer.
        self._connection.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {_SCHEMA}")

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Hand out the connection; the block's writes happen together or not at all."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
