"""The local record of jobs: the intent is written before a submit and completed after it.

A client that dies in between has left the intent, and the platform knows the job by its name, so nothing that was
started is ever lost. Two clients at once are fine (SQLite, WAL).
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftsdk.errors import FtsdkError
from ftsdk.home import home_dir
from ftsdk.plan import Plan

_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    uri TEXT NOT NULL, attempt INTEGER NOT NULL, name TEXT NOT NULL, label TEXT NOT NULL, backend TEXT NOT NULL,
    digest TEXT NOT NULL, plan TEXT NOT NULL, intended_at REAL NOT NULL, submitted_at REAL,
    PRIMARY KEY (uri, attempt));
CREATE TABLE IF NOT EXISTS ended (uri TEXT PRIMARY KEY, attempt INTEGER NOT NULL);
"""
_INTEND = """
INSERT INTO job (uri, attempt, name, label, backend, digest, plan, intended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (uri, attempt) DO UPDATE SET plan = excluded.plan, intended_at = excluded.intended_at
WHERE submitted_at IS NULL
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One attempt that this machine started, or meant to start."""

    uri: str
    attempt: int
    name: str
    label: str
    backend: str
    intended_at: float
    """Seconds since the epoch."""
    submitted_at: float | None
    """None if the client ended before the submit returned."""


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    path: Path = home_dir() / "journal.db"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path, timeout=30)) as connection, connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
            yield connection
    except (sqlite3.Error, OSError) as problem:
        raise FtsdkError(
            f"The journal {path} cannot be used ({problem}): free some space or set FTSDK_HOME."
        ) from problem


def intend(plan: Plan) -> None:
    """Write down that this attempt is about to be submitted."""
    with _open() as journal:
        journal.execute(
            _INTEND,
            (
                plan.uri,
                plan.attempt,
                plan.name,
                plan.spec["name"],
                plan.backend,
                plan.digest,
                json.dumps(plan.to_json()),
                time.time(),
            ),
        )


def complete(plan: Plan) -> None:
    """Write down that the platform took it."""
    with _open() as journal:
        journal.execute(
            "UPDATE job SET submitted_at = ? WHERE uri = ? AND attempt = ?",
            (time.time(), plan.uri, plan.attempt),
        )


def forget(plan: Plan) -> None:
    """Take an intent back after the platform refused it."""
    with _open() as journal:
        journal.execute(
            "DELETE FROM job WHERE uri = ? AND attempt = ? AND submitted_at IS NULL", (plan.uri, plan.attempt)
        )


def end(uri: str, attempt: int) -> None:
    """Write down that nothing follows this attempt: a watcher need not look at the job again."""
    with _open() as journal:
        journal.execute("INSERT OR REPLACE INTO ended VALUES (?, ?)", (uri, attempt))


def unfinished() -> list[str]:
    """URIs of the jobs that may still need a retry, newest first."""
    with _open() as journal:
        ended = dict(journal.execute("SELECT uri, attempt FROM ended").fetchall())
    return [entry.uri for entry in entries() if ended.get(entry.uri, 0) < entry.attempt]


def remove(uri: str) -> None:
    """Remove every entry of a job."""
    with _open() as journal:
        journal.execute("DELETE FROM job WHERE uri = ?", (uri,))
        journal.execute("DELETE FROM ended WHERE uri = ?", (uri,))


def entries(name: str | None = None) -> list[Entry]:
    """The newest attempt of every job (or of those with this name or URI), newest first."""
    with _open() as journal:
        rows = journal.execute(
            "SELECT uri, max(attempt), name, label, backend, intended_at, submitted_at FROM job "
            "WHERE ?1 IS NULL OR name = ?1 OR uri = ?1 GROUP BY uri ORDER BY intended_at DESC",
            (name,),
        ).fetchall()
    return [_entry(row) for row in rows]


def plan_of(uri: str) -> Plan | None:
    """The plan of a job's newest attempt, or None if this machine did not submit it."""
    with _open() as journal:
        row = journal.execute("SELECT plan FROM job WHERE uri = ? ORDER BY attempt DESC LIMIT 1", (uri,)).fetchone()
    return Plan.from_json(json.loads(row[0])) if row else None


def plans() -> list[Plan]:
    """The plan of every job's newest attempt, newest first."""
    with _open() as journal:
        rows = journal.execute("SELECT plan, max(attempt) FROM job GROUP BY uri ORDER BY intended_at DESC").fetchall()
    return [Plan.from_json(json.loads(row[0])) for row in rows]


def _entry(row: tuple[Any, ...]) -> Entry:
    uri, attempt, name, label, backend, intended_at, submitted_at = row
    return Entry(
        uri=uri,
        attempt=attempt,
        name=name,
        label=label,
        backend=backend,
        intended_at=intended_at,
        submitted_at=submitted_at,
    )
