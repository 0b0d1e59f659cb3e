"""Job: a handle on a training, wherever it runs. A URI is all it needs, so any process can attach to it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from ftsdk import backends, contract
from ftsdk.backends.base import Backend, JobInfo, JobState, SupportsNativeHandle, SupportsSecretStore, SupportsTerminal
from ftsdk.errors import AuthError, JobFailedError, JobNotFoundError, SpecError, UnsupportedError
from ftsdk.jobs import history, journal
from ftsdk.models.model import Model, open_model
from ftsdk.plan import Plan, budgets
from ftsdk.spec import Budget
from ftsdk.storage.records import LogLine, check_owner, read_json
from ftsdk.storage.store import Store, open_store

POLL_FIRST_S, POLL_MAX_S = 0.01, 5.0
POLL_SHARE = 0.05
"""A poll may come this share of the elapsed time late, so that short jobs end at once and long ones cost little."""


class Job:
    """A training. `job.wait()`, `job.logs(follow=True)`, `job.metrics()`, `job.cancel()`, `job.model()`."""

    def __init__(self, uri: str, backend: Backend) -> None:
        self.uri = uri
        self.name = uri.rpartition("/")[2]
        self.backend = backend

    def __repr__(self) -> str:
        return f"Job({self.uri!r})"

    @classmethod
    def attach(cls, job: str) -> Job:
        """The job behind a URI, or behind a name that this machine's journal knows.

        Raises JobNotFoundError if the platform has no such job, SpecError for a name that several have.
        """
        uri = job if "://" in job else _uri_of(job)
        if not uri.partition("://")[2]:
            raise SpecError(f"{job!r} is no job: give a URI such as local://NAME (`ftsdk jobs` lists them).")
        known = journal.entries(uri)
        attached = cls(uri, backends.at(uri, known[0].options if known else None))
        attached.info()
        return attached

    # --- state ---------------------------------------------------------------------------------------------
    def info(self) -> JobInfo:
        """One look at the platform."""
        return self.backend.describe(self.name)

    @property
    def state(self) -> JobState:
        """PENDING, RUNNING, SUCCEEDED, FAILED or CANCELLED, now."""
        return self.info().state

    def done(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.state.terminal

    def wait(self, timeout_s: float | None = None) -> JobInfo:
        """Wait until the job has ended and return its last state. Raises TimeoutError after `timeout_s` seconds."""
        started = time.monotonic()
        while not (info := self.info()).state.terminal:
            elapsed_s = time.monotonic() - started
            if timeout_s is not None and elapsed_s > timeout_s:
                raise TimeoutError(f"Job {self.uri} is still {info.state} after {timeout_s:g} s.")
            time.sleep(min(POLL_MAX_S, max(POLL_FIRST_S, POLL_SHARE * elapsed_s)))
        return info

    def result(self, timeout_s: float | None = None) -> Model:
        """Wait for the model. Raises JobFailedError with the reason if there will be none."""
        self.wait(timeout_s)
        return self.model()

    def cancel(self) -> None:
        """Ask it to save its state and stop; returns at once. A failed job is not started again by a watcher then."""
        info = self.info()
        if info.state is JobState.FAILED:
            self.store.put_if_absent(contract.cancel_key(info.attempt), json.dumps({"time": time.time()}).encode())
        else:
            self.backend.cancel(self.name)

    # --- what it says ------------------------------------------------------------------------------------------
    def logs(self, *, follow: bool = False, after: str | None = None) -> Iterator[LogLine]:
        """Lines so far, or with `follow` until the job ends; `after` a line's cursor resumes behind it."""
        return self.backend.logs(self.name, follow=follow, after=after)

    def events(self, *, follow: bool = False, after: str | None = None) -> Iterator[dict[str, Any]]:
        """The structured events among the lines (see `ftsdk.contract`)."""
        for line in self.logs(follow=follow, after=after):
            if (event := contract.parse_event(line.text)) is not None:
                yield event

    def metrics(self) -> list[dict[str, Any]]:
        """Metric records in the order of their steps; a step that a restart repeated counts once, the last time."""
        merged: dict[tuple[int, str], dict[str, Any]] = {}
        for event in self.events():
            if event["event"] == contract.EVENT_METRICS:
                key = int(event["step"]), contract.metrics_kind(event)
                merged[key] = {name: value for name, value in event.items() if name != "event"}
        return [merged[key] for key in sorted(merged, key=lambda key: key[0])]

    # --- what it made --------------------------------------------------------------------------------------------
    def model(self) -> Model:
        """The model that the job made. Raises JobFailedError if it has none (yet)."""
        info = self.info()
        if info.state is not JobState.SUCCEEDED:
            raise _no_model(self.uri, info)
        return open_model(self.store, self.uri, self.document)

    def terminal(self) -> str:
        """Address of a terminal in the job's container, for a WebSocket client; good for one use within seconds.

        Raises UnsupportedError where the platform has none, BackendError while no container runs.
        """
        if not isinstance(self.backend, SupportsTerminal):
            raise UnsupportedError(f"Job {self.uri}: the {self.backend.name} backend opens no terminals.")
        return self.backend.terminal(self.name)

    def sagemaker(self) -> Any:
        """The SageMaker SDK's own object for a job on SageMaker, with all that its users know.

        Raises UnsupportedError for a job elsewhere and NotInstalledError without `ftsdk[sagemaker-sdk]`.
        """
        if not isinstance(self.backend, SupportsNativeHandle):
            raise UnsupportedError(f"Job {self.uri} does not run on SageMaker: its backend has no such object.")
        return self.backend.native(self.name)

    @cached_property
    def store(self) -> Store:
        """The job's durable folder."""
        return self.backend.artifacts(self.name)

    @property
    def plan(self) -> Plan | None:
        """The newest attempt's plan; None if this machine did not submit the job."""
        return journal.plan_of(self.uri)

    @cached_property
    def document(self) -> dict[str, Any]:
        """The job document, as the job itself has it."""
        found = read_json(self.store, contract.JOB_FILE)
        if found is None:
            raise JobNotFoundError(f"Job {self.uri} has no {contract.JOB_FILE} in its folder any more.")
        return dict(found)


def submit(plan: Plan, backend: Backend, *, secrets: dict[str, str], on_attach: Callable[[JobInfo], None]) -> Job:
    """Start a plan's job, or attach to it if it lives or has succeeded; a failed or cancelled one gets a new attempt.

    `on_attach` hears about a job that was there already.
    """
    job = Job(plan.uri, backend)
    there = _existing(job)
    if there is not None and (not there.state.terminal or there.state is JobState.SUCCEEDED):
        on_attach(there)
        return job
    start(job, plan.for_attempt(1) if there is None else _after(job, there, plan), secrets)
    return job


def start(job: Job, attempt: Plan, secrets: Mapping[str, str]) -> None:
    """Submit one attempt, with the journal written before and after it."""
    journal.intend(attempt)
    try:
        make_ready(attempt)
        job.backend.submit(attempt, dict(secrets))
    except Exception:
        journal.forget(attempt)
        raise
    journal.complete(attempt)


def read_secrets(plan: Plan) -> dict[str, str]:
    """Values of the plan's secrets from the environment. Raises AuthError naming what is not set."""
    if issubclass(backends.backend_class(plan.backend), SupportsSecretStore):
        return {}  # the job fetches them itself
    missing = [name for name in plan.secrets if name not in os.environ]
    if missing:
        raise AuthError(f"secrets: {', '.join(missing)} is not set in the environment; export it, then submit again.")
    return {name: os.environ[name] for name in plan.secrets}


def _after(job: Job, there: JobInfo, plan: Plan) -> Plan:
    """The next attempt, with what is left of the budget. Raises SpecError if nothing is."""
    budget = Budget.model_validate(plan.spec["budget"])
    next_one = plan.for_attempt(there.attempt + 1)
    if plan.document["budget_s"] is None:
        return next_one
    before = history.history(job.store, there, num_nodes=job.document["num_nodes"], now=time.time())
    left_s = budgets.left_s(
        budget, plan.usd_per_hour, hours=history.hours(before), cost_usd=history.cost_usd(before) or 0.0
    )
    if not left_s:
        raise SpecError(
            f"Job {job.uri} has used its budget ({history.hours(before):.3g} h of running): raise budget.max_hours or "
            f"budget.max_cost_usd, then submit again; it goes on from its last checkpoint."
        )
    return replace(next_one, document={**plan.document, "budget_s": left_s})


def make_ready(plan: Plan) -> None:
    """What a job in a bucket needs before it starts: its uploads and its document. Folders are the backend's."""
    for copy in plan.copies:
        from ftsdk.storage.copying import carry
        from ftsdk.terminal.progress import byte_bar

        with byte_bar(f"Copying {copy.source}", copy.bytes or 0) as on_bytes:
            carry(copy, plan.storage, on_bytes)
    if plan.uploads:
        from ftsdk.storage.staging import stage
        from ftsdk.terminal.progress import byte_bar

        stage(plan.uploads, plan.storage, byte_bar)
    if "://" in plan.document["durable"]:
        store = open_store(plan.document["durable"], plan.storage)
        check_owner(store, plan.backend)
        store.put(contract.JOB_FILE, json.dumps(plan.document, indent=1).encode())


def _existing(job: Job) -> JobInfo | None:
    try:
        return job.info()
    except JobNotFoundError:
        return None


def _uri_of(name: str) -> str:
    found = journal.entries(name)
    if not found:
        raise JobNotFoundError(f"This machine knows no job named {name!r}; give its URI, or see `ftsdk jobs`.")
    if len(found) > 1:
        raise SpecError(f"{name!r} is {len(found)} jobs; give a URI: {', '.join(e.uri for e in found)}.")
    return found[0].uri


def _no_model(uri: str, info: JobInfo) -> JobFailedError:
    if not info.state.terminal:
        return JobFailedError(f"Job {uri} is {info.state}: there is no model yet; `ftsdk wait {uri}` waits for it.")
    why = f" ({info.reason})" if info.reason else ""
    return JobFailedError(f"Job {uri} ended as {info.state}{why}: {info.message}", reason=info.reason or "error")
