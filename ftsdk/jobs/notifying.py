"""Word of what happens to a job, to the addresses of `[notify]` in ftsdk.toml, from whoever watches the job.

Each notice is claimed in the job's folder before it is sent, so of several watchers, and over restarts, one sends it.
A claim without a confirmation is taken over after RECLAIM_S; the notice then has the same id as before.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Final, NamedTuple

from ftsdk.backends import config
from ftsdk.errors import FtsdkError, SpecError, did_you_mean
from ftsdk.jobs import webhooks
from ftsdk.jobs.reference import JobReference
from ftsdk.jobs.status import Status
from ftsdk.storage.records import read_json

EVENTS: Final = ("started", "preempted", "resumed", "finished", "failed", "cancelled", "stalled", "budget")
ENDS: Final = {"SUCCEEDED": "finished", "FAILED": "failed", "CANCELLED": "cancelled"}
NOTIFIED_DIR: Final = "notified"
"""Folder of the claims in a job's durable folder."""
KEYS: Final = ("to", "on", "secret")
LOOK_EVERY_S: Final = 15.0
RECLAIM_S: Final = 300.0
OLD_S: Final = 86_400.0
"""What happened longer ago is no news."""
STALL_S: Final = 900.0
STALL_REPORTS: Final = 10.0
"""A training is stalled after both: so long without a report, and so many times the usual interval."""
BUDGET_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """`[notify]` in ftsdk.toml."""

    to: tuple[str, ...]
    on: tuple[str, ...] = EVENTS
    secret: str | None = None


class Notice(NamedTuple):
    """Something to tell."""

    event: str
    attempt: int
    at: float
    """Seconds since the epoch."""
    sentence: str


def settings() -> Settings | None:
    """Where notices go; None if there is no such table. Raises SpecError for a wrong key, event or variable."""
    given: dict[str, object] = {}
    for table in config.tables("notify"):
        given |= table
    for name in given:
        if name not in KEYS:
            raise SpecError(f"ftsdk.toml: [notify] has no key {name!r}{did_you_mean(name, KEYS)}: use to, on, secret.")
    to, on = _texts("to", given.get("to", [])), _texts("on", given.get("on", list(EVENTS)))
    for event in on:
        if event not in EVENTS:
            raise SpecError(f"ftsdk.toml: [notify] on: there is no event {event!r}{did_you_mean(event, EVENTS)}.")
    secret = given.get("secret")
    key = _resolved(secret) if isinstance(secret, str) else None
    return Settings(to=tuple(map(_resolved, to)), on=on, secret=key) if to else None


def _texts(key: str, value: object) -> tuple[str, ...]:
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
        raise SpecError(f"ftsdk.toml: [notify] {key} is a list of texts.")
    return tuple(values)


def _resolved(text: str) -> str:
    """The text, or the value of the variable that `env:NAME` names."""
    if not text.startswith("env:"):
        return text
    value = os.environ.get(text.removeprefix("env:"))
    if not value:
        raise SpecError(f"ftsdk.toml: [notify] names the variable {text.removeprefix('env:')}, which is not set.")
    return value


@contextmanager
def while_waiting(job: JobReference) -> Iterator[None]:
    """Send notices of a job every LOOK_EVERY_S seconds inside the block; does nothing without `[notify]`."""
    if (configured := settings()) is None:
        yield
        return
    is_over = threading.Event()

    def look_again() -> None:
        while not is_over.wait(LOOK_EVERY_S):
            look(job, configured)

    thread = threading.Thread(target=look_again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def tell_end(job: JobReference) -> None:
    """Send what is to be told of a job that no further attempt follows."""
    if (configured := settings()) is not None:
        look(job, configured, is_over=True)


def look(job: JobReference, configured: Settings, *, is_over: bool = False) -> None:
    """Send what is to be told of a job now; `is_over` says that no further attempt follows. Raises nothing of a job.

    Warns of an address that takes no notices.
    """
    with suppress(FtsdkError, OSError):
        status = Status.of(job)
        for notice in due(status, is_over=is_over):
            if notice.event in configured.on and status.now - notice.at < OLD_S:
                for address in configured.to:
                    _deliver(status, notice, address, configured.secret)


def due(status: Status, *, is_over: bool) -> Iterator[Notice]:
    """What has happened to a job so far, oldest first."""
    label = status.job.name
    for attempt in status.attempts:
        if attempt.began and attempt.claimed_at is not None:
            event = "started" if attempt.number == 1 else "resumed"
            yield Notice(event, attempt.number, attempt.claimed_at, f"{event}: {label}, attempt {attempt.number}")
        if attempt.reason == "preempted" and attempt.state.terminal:
            step = "" if attempt.step is None else f" at step {attempt.step}"
            at = attempt.ended_at or status.now
            yield Notice("preempted", attempt.number, at, f"preempted: {label}, attempt {attempt.number}{step}")
    if is_over and status.info.state.terminal:
        event = ENDS[status.info.state]
        what = " ".join(filter(None, (status.info.reason, status.info.message)))
        yield Notice(
            event, status.info.attempt, status.info.ended_at or status.now, f"{event}: {label}. {what}".strip()
        )
    elif not status.info.state.terminal:
        yield from _stalled(status)
        yield from _budget(status)


def _stalled(status: Status) -> Iterator[Notice]:
    times = [record["time"] for record in status.metrics if "time" in record]
    if len(times) < 3:
        return
    usual = median(later - earlier for earlier, later in pairwise(times))
    silent = status.now - times[-1]
    if silent > max(STALL_S, STALL_REPORTS * usual):
        sentence = f"stalled: {status.job.name}, no report for {silent / 60:.0f} min"
        yield Notice("stalled", status.info.attempt, status.now, sentence)


def _budget(status: Status) -> Iterator[Notice]:
    limits = ((status.budget.max_hours, status.hours, "h"), (status.budget.max_cost_usd, status.cost_usd, "USD"))
    for limit, used, unit in limits:
        if limit and used is not None and used >= BUDGET_SHARE * limit:
            sentence = f"budget: {status.job.name} has used {used:.3g} of {limit:g} {unit}"
            yield Notice("budget", status.info.attempt, status.now, sentence)
            return


# --- delivery ------------------------------------------------------------------------------------------------
def _deliver(status: Status, notice: Notice, address: str, secret: str | None) -> None:
    store = status.job.store
    place = hashlib.sha256(address.encode()).hexdigest()[:8]
    key = f"{NOTIFIED_DIR}/{notice.event}-a{notice.attempt}-{place}.json"
    claim = json.dumps({"time": status.now, "sent": False}).encode()
    if not store.put_if_absent(key, claim):
        existing = read_json(store, key) or {}
        if existing.get("sent") or status.now - existing.get("time", 0.0) < RECLAIM_S:
            return
        store.put(key, claim)
    try:
        webhooks.send(address, payload(status, notice), text=notice.sentence, secret=secret)
    except FtsdkError as problem:
        store.delete(key)  # whoever looks next tries again
        warnings.warn(str(problem), stacklevel=2)
        return
    store.put(key, json.dumps({"time": status.now, "sent": True}).encode())


def payload(status: Status, notice: Notice) -> dict[str, object]:
    """The notice as JSON data. The same notice has the same `id`, whoever sends it."""
    latest: Mapping[str, object] = status.latest
    figures = {name: latest.get(name) for name in ("step", "total_steps", "loss", "eval_loss")}
    identity = f"{status.job.uri} {notice.event} {notice.attempt}"
    return {
        "id": f"msg_{hashlib.sha256(identity.encode()).hexdigest()[:32]}",
        "type": f"job.{notice.event}",
        "event": notice.event,
        "sentence": notice.sentence,
        "time": notice.at,
        "job": status.job.uri,
        "attempt": notice.attempt,
        "state": str(status.info.state),
        "reason": str(status.info.reason),
        "message": status.info.message,
        "hours": round(status.hours, 4),
        "cost_usd": status.cost_usd,
        **figures,
    }


def send_test(configured: Settings) -> list[tuple[str, str]]:
    """Send a notice of the type `test` everywhere; returns each masked address and its problem, or an empty text."""
    results = []
    for address in configured.to:
        notice: dict[str, object] = {"id": f"msg_{os.urandom(16).hex()}", "type": "test", "time": time.time()}
        problem = ""
        try:
            webhooks.send(address, notice, text="test: ftsdk reaches this address", secret=configured.secret)
        except FtsdkError as refused:
            problem = str(refused)
        results.append((webhooks.masked(address), problem))
    return results
