"""Starting one attempt: secrets, uploads, the job document, the journal, the backend's submit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext

from ftsdk import backends, contract
from ftsdk.backends.base import SupportsSecretStore
from ftsdk.errors import AuthError
from ftsdk.jobs import journal
from ftsdk.jobs.reference import JobReference
from ftsdk.plan import Plan
from ftsdk.storage.copying import make_copy
from ftsdk.storage.records import check_owner
from ftsdk.storage.staging import Bar, stage
from ftsdk.storage.store import open_store


def no_bar(label: str, total_bytes: int) -> AbstractContextManager[Callable[[int], None]]:
    """A progress bar that shows nothing."""
    return nullcontext(lambda bytes_done: None)


def start(job: JobReference, attempt: Plan, secrets: Mapping[str, str], *, bar: Bar = no_bar) -> None:
    """Submit one attempt, with the journal written before and after it."""
    journal.intend(attempt)
    try:
        make_ready(attempt, bar)
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


def make_ready(plan: Plan, bar: Bar = no_bar) -> None:
    """Write what a job in a bucket reads: copies, uploads and the job document. Backends prepare folders themselves.

    `bar` opens a progress bar for each transfer.
    """
    for copy in plan.copies:
        with bar(f"Copying {copy.source}", copy.bytes or 0) as on_bytes:
            make_copy(copy, plan.storage, on_bytes)
    if plan.uploads:
        stage(plan.uploads, plan.storage, bar)
    if "://" in plan.document["durable"]:
        store = open_store(plan.document["durable"], plan.storage)
        check_owner(store, plan.backend)
        store.put(contract.JOB_FILE, json.dumps(plan.document, indent=1).encode())
