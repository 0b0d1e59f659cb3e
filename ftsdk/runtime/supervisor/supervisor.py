"""The supervisor: prepares an attempt, runs the trainer, saves what it makes, and says how it ended."""

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
from ftsdk.runtime.supervisor.attempt import Attempt
from ftsdk.runtime.supervisor.process_tree import Family, Guard
from ftsdk.runtime.supervisor.restarts import Restarts
from ftsdk.runtime.supervisor.signals import Signals
from ftsdk.runtime.supervisor.start import RefusedError, Start, read_start

DRAINED_WITHIN_S = 60.0
"""At the end: how long a sink may take for what is left. The segments keep it for the next start, if there is one."""


def supervise(environ: Mapping[str, str]) -> int:
    """Run one attempt of a job; returns the exit code (see `contract`)."""
    signals = Signals()
    _close_on_exec()
    try:
        start = read_start(environ)
        family = Family()
        guard = Guard(family)  # forks: before the first thread, and a bucket's library has threads
        try:
            durable = _open_durable(start, environ)
            recorded = _final_record(durable, start)
            if recorded is not None:
                return recorded["exit_code"]
            if sagemaker.is_here(environ):
                environ = {**sagemaker.network(), **environ}
            sink = open_sink(start, durable, environ)
            restarts, exit_code = Restarts(start.document), None
            while exit_code is None:
                exit_code = Attempt(start, durable, signals, family, guard, sink).run(environ, restarts)
            sink.drain(DRAINED_WITHIN_S)
            return exit_code
        finally:
            guard.dismiss()
    except RefusedError as refusal:
        sys.stderr.write(f"ftsdk: {refusal}\n")
        if sagemaker.is_here(environ):
            sagemaker.leave_failure(f"bad_config: {refusal}")
        return contract.EXIT_CONTRACT
    except OSError as problem:
        where = f" ({problem.filename})" if problem.filename else ""
        said = f"the job's storage does not work: {problem.strerror or problem}{where}."
        sys.stderr.write(f"ftsdk: {said}\n")
        if sagemaker.is_here(environ):
            sagemaker.leave_failure(f"lost: {said[0].upper()}{said[1:]}")
        return contract.EXIT_CRASHED


def _open_durable(start: Start, environ: Mapping[str, str]) -> Durable:
    try:
        return open_durable(start.document, {**environ, **start.secrets})
    except (ModuleNotFoundError, ValueError) as problem:
        address = start.document["durable"]
        raise RefusedError(
            f"Storage at {address} cannot be used ({problem}): take ftsdk's image, or add obstore to yours."
        ) from None


def _close_on_exec() -> None:
    """Descriptors of the launcher's (a lock, say) stay with the supervisor; the trainer's family must not hold them."""
    for path in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            if int(path.name) > 2:
                os.set_inheritable(int(path.name), False)


def _final_record(durable: Durable, start: Start) -> Outcome | None:
    """How an earlier start of this attempt ended, unless starting again is what should follow."""
    key = contract.outcome_key(start.attempt, start.cluster.node_rank)
    try:
        record: Outcome = json.loads(durable.read(key))
    except FileNotFoundError:
        return None
    if record["exit_code"] in (contract.EXIT_INTERRUPTED, contract.EXIT_CRASHED):
        durable.delete(key)
        return None
    return record
