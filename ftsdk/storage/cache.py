"""Cache of results by content: a small SQLite file in ftsdk's home. If it fails, results are computed again."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from ftsdk.home import home_dir

TABLES = (
    "CREATE TABLE IF NOT EXISTS file (path TEXT PRIMARY KEY, bytes INTEGER, mtime_ns INTEGER, sha256 TEXT)",
    "CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, value TEXT)",
)


Value = TypeVar("Value")


def cached(key: str, compute: Callable[[], Value]) -> Value:
    """The JSON value stored under a key, or the result of `compute`, which is stored."""
    with contextlib.suppress(sqlite3.Error, OSError, ValueError):
        row = database().execute("SELECT value FROM known WHERE key = ?", (key,)).fetchone()
        if row:
            stored: Value = json.loads(row[0])
            return stored
    value = compute()
    with contextlib.suppress(sqlite3.Error, OSError):
        database().execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (key, json.dumps(value)))
    return value


def database() -> sqlite3.Connection:
    """The cache of this home. Raises sqlite3.Error or OSError if it cannot be opened."""
    return _open(home_dir() / "cache")


@cache
def _open(folder: Path) -> sqlite3.Connection:
    folder.mkdir(parents=True, exist_ok=True)
    one_thread = sqlite3.threadsafety < 3  # a serialized SQLite, the usual build, allows all: uploads run in threads
    connection = sqlite3.connect(
        folder / "fingerprints.db", timeout=10, isolation_level=None, check_same_thread=one_thread
    )
    connection.execute("PRAGMA journal_mode=WAL")
    for table in TABLES:
        connection.execute(table)
    return connection
