"""The supervisor: prepares an attempt, runs the trainer, saves its checkpoints, and records the outcome."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ftsdk import contract
from ftsdk.contract.documents import Outcome
from ftsdk.runtime.logs.sinks import open_sink
from ftsdk.runtime.platforms import sagemaker
from ftsdk.runtime.storage.durable import Durable, open_durable
from ftsdk.runtime.supervisor import elastic
from ftsdk.runtime.supervisor.attempt import AttemptRunner
from ftsdk.runtime.supervisor.outcome.restarts import Restarts
from ftsdk.runtime.supervisor.signals import Signals
from ftsdk.runtime.supervisor.start import JobRefusedError, StartConfiguration, read_start
from ftsdk.runtime.supervisor.trainer.process_tree import ProcessTree, Watchdog

SINK_DRAIN_TIMEOUT_S = 60.0
"""How long a sink may take at the end. The segments keep the rest for the next start, if there is one."""


def supervise(environ: Mapping[str, str]) -> int:
    """Run one attempt of a job; returns the exit code (see `contract`)."""
    signals = Signals()
    _close_on_exec()
    try:
        start = read_start(environ)
        process_tree = ProcessTree()
        watchdog = Watchdog(process_tree)  # forks: before the first thread, and a bucket's library has threads
        try:
            return _run(start, environ, signals, process_tree, watchdog)
        finally:
            watchdog.dismiss()
    except JobRefusedError as refusal:
        return _give_up(environ, str(refusal), "bad_config", contract.EXIT_CONTRACT)
    except OSError as problem:
        where = f" ({problem.filename})" if problem.filename else ""
        message = f"The job's storage does not work: {problem.strerror or problem}{where}."
        return _give_up(environ, message, "lost", contract.EXIT_CRASHED)


def _run(
    start: StartConfiguration,
    environ: Mapping[str, str],
    signals: Signals,
    process_tree: ProcessTree,
    watchdog: Watchdog,
) -> int:
    durable = _open_durable(start, environ)
    recorded = _final_record(durable, start)
    if recorded is not None:
        return recorded["exit_code"]
    if sagemaker.is_here(environ):
        environ = {**sagemaker.network(), **environ}
    secrets = {**environ, **start.secrets}
    sink = open_sink(start.document["cloudwatch"], durable, start.attempt, start.cluster.node_rank, secrets)
    restarts, exit_code = Restarts(start.document), None
    while exit_code is None:
        fitted = elastic.fitted(start)
        exit_code = AttemptRunner(fitted, durable, signals, process_tree, watchdog, sink).run(environ, restarts)
    sink.drain(SINK_DRAIN_TIMEOUT_S)
    return exit_code


def _give_up(environ: Mapping[str, str], message: str, reason: str, exit_code: int) -> int:
    """Report an attempt that has no storage for its outcome record."""
    sys.stderr.write(f"ftsdk: {message}\n")
    if sagemaker.is_here(environ):
        sagemaker.write_failure(f"{reason}: {message}")
    return exit_code


def _open_durable(start: StartConfiguration, environ: Mapping[str, str]) -> Durable:
    try:
        return open_durable(start.document, {**environ, **start.secrets})
    except (ModuleNotFoundError, ValueError) as problem:
        address = start.document["durable"]
        raise JobRefusedError(
            f"Storage at {address} cannot be used ({problem}): take ftsdk's image, or add obstore to yours."
        ) from None


def _close_on_exec() -> None:
    """The trainer must not inherit descriptors of the launcher's, such as a lock: only the supervisor holds them."""
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            if int(path.name) > 2:
                os.set_inheritable(int(path.name), False)


def _final_record(durable: Durable, start: StartConfiguration) -> Outcome | None:
    """The outcome record of a previous start of this attempt, unless that outcome is to be followed by a new start."""
    key = contract.outcome_key(start.attempt, start.cluster.node_rank)
    try:
        record: Outcome = json.loads(durable.read(key))
    except FileNotFoundError:
        return None
    if record["exit_code"] in (contract.EXIT_INTERRUPTED, contract.EXIT_CRASHED):
        durable.delete(key)
        return None
    return record
