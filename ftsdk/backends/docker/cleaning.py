"""Removal of the containers, networks and secrets of attempts that have ended."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from ftsdk import contract
from ftsdk.backends.base import ObservedState
from ftsdk.backends.docker import command, nodes
from ftsdk.backends.folders import FolderJob
from ftsdk.contract.documents import Outcome
from ftsdk.errors import BackendError
from ftsdk.plan import Plan
from ftsdk.storage import records

TAIL_LINES = "1000"
REMOVE = ("rm", "--force", "--volumes")
_CONTAINER = re.compile(r"(?P<native>.+-a\d+)(?:-n\d+)?")
_ALIVE = frozenset({"running", "paused", "restarting", "stopping"})


def bury(program: str, job: FolderJob, silent: Mapping[int, ObservedState]) -> None:
    """Record the outcome of nodes whose supervisor recorded none, and keep the end of Docker's log of them."""
    claimed = records.read_json(job.store, contract.claim_key(job.attempt)) or {}
    for node, observed in silent.items():
        _keep_words(program, job, nodes.names(job)[node])
        outcome = Outcome(
            state=observed.state.value,
            reason=observed.reason,
            message=observed.message,
            hint="",
            exit_code=contract.EXIT_FAILED if observed.exit_code is None else observed.exit_code,
            step=None,
            started_at=float(claimed.get("time", 0.0)),
            ended_at=time.time(),
        )
        job.store.put_if_absent(contract.outcome_key(job.attempt, node), json.dumps(outcome).encode())


BEING_REMOVED = "marked for removal"
"""What Docker says of a container's log while it removes the container."""


def _keep_words(program: str, job: FolderJob, name: str) -> None:
    log = contract.supervisor_log_key(job.attempt)
    argv = [program, "logs", "--tail", TAIL_LINES, name]
    words = command.ask(argv, stderr_too=True, allow=BEING_REMOVED).encode()
    if BEING_REMOVED.encode() in words:  # another process has kept them and removes the container
        return
    known = job.store.read(log) if job.store.path(log).is_file() else b""
    if words not in known:  # two processes may do this at the same time
        job.store.put(log, known + words)


def remove(program: str, job: FolderJob) -> None:
    """Remove what an ended attempt left; a single container is removed without waiting."""
    plan = job.plan.for_attempt(job.attempt)
    remove_secrets(plan.request["secrets"])
    containers = plan.request["containers"]
    if len(containers) == 1:
        with contextlib.suppress(BackendError):  # without the program there is no container to remove
            command.send_off([program, *REMOVE, *containers])
    elif all(nodes.record(job, node) for node in range(len(containers))):
        _try(program, *REMOVE, *containers)
        _try(program, "network", "rm", plan.request["network"])


def clear(plan: Plan) -> None:
    """Remove what a failed start created, but nothing of the same name from another FTSDK_HOME."""
    remove_secrets(plan.request["secrets"])
    program = str(plan.options["program"])
    labels = (f"ftsdk.attempt={plan.native_name}", f"ftsdk.home={plan.request['home']}")
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    if containers := _try(program, "ps", "--all", "--quiet", *filters).split():
        _try(program, *REMOVE, *containers)
    if networks := _try(program, "network", "ls", "--quiet", *filters).split():
        _try(program, "network", "rm", *networks)


def sweep(program: str, home: str, *, wanted: Callable[[str, int], bool]) -> None:
    """Remove every container of this home for whose attempt `wanted(job_name, number)` is False."""
    listed = [program, "ps", "--all", "--filter", f"label=ftsdk.home={home}", "--format", "{{.Names}}\t{{.State}}"]
    attempts: dict[str, dict[str, bool]] = defaultdict(dict)
    for line in command.ask(listed).splitlines():
        name, _, state = line.partition("\t")
        if match := _CONTAINER.fullmatch(name):
            attempts[match["native"]][name] = state in _ALIVE
    for native, containers in attempts.items():
        if not wanted(*contract.split_native_name(native)):
            _stop_or_remove(program, native, containers)


def _stop_or_remove(program: str, native: str, containers: Mapping[str, bool]) -> None:
    """Stop running containers, which the next sweep removes, and remove stopped ones."""
    if alive := [name for name, lives in containers.items() if lives]:
        command.send_off([program, "stop", *alive])
    if dead := [name for name, lives in containers.items() if not lives]:
        _try(program, *REMOVE, *dead)
    if not alive and any(name != native for name in dead):
        _try(program, "network", "rm", f"ftsdk-{native}")


def _try(*argv: str) -> str:
    """Stdout of a command, or an empty string if it fails: the object may be gone, and the next sweep retries."""
    try:
        return command.ask(argv)
    except BackendError:
        return ""


def remove_secrets(folders: Iterable[str]) -> None:
    """Remove the folders that held an attempt's secrets."""
    for folder in folders:
        shutil.rmtree(Path(folder), ignore_errors=True)
