"""One trainer process: runs the training program and records how it ended."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from io import TextIOWrapper

from ftsdk.runtime import worker_protocol
from ftsdk.runtime.programs.heartbeat import HEARTBEAT
from ftsdk.runtime.programs.interruption import InterruptedTraining, StopRequest
from ftsdk.runtime.worker_protocol import Phase, TrainJob

PR_SET_PDEATHSIG = 1


def work(environ: Mapping[str, str]) -> int:
    """Run this process's share of the training; returns its exit code.

    An interruption exits with 0: torchrun would stop the other ranks for any other code. The record differs.
    """
    job, rank = worker_protocol.read_job(environ), int(environ.get("RANK", "0"))
    HEARTBEAT.hold(job["run"], job["lease"])
    _set_line_buffering()
    _die_with_parent()
    stop = StopRequest(job["run"], rank)
    worker_protocol.register(job["run"], rank)
    exit_code = _train(job, rank, stop)
    HEARTBEAT.enter(Phase.EXIT)
    return exit_code


def _train(job: TrainJob, rank: int, stop: StopRequest) -> int:
    try:
        import_module(f"ftsdk.runtime.programs.{job['document']['trainer']}").train(job, stop)
    except InterruptedTraining:
        worker_protocol.record(job["run"], rank, worker_protocol.INTERRUPTED)
        return 0
    except BaseException as problem:
        _record_failure(job["run"], rank, problem)
        return 1
    worker_protocol.record(job["run"], rank, worker_protocol.SUCCEEDED)
    return 0


def _set_line_buffering() -> None:
    """Write each line at once and in one piece: several ranks write to one pipe, and torchrun starts us unbuffered."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)


def _die_with_parent() -> None:
    """Ask the kernel to end this process with its parent: torchrun, killed at once, leaves its workers alone."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _record_failure(run: str, rank: int, problem: BaseException) -> None:
    import traceback

    trace = "".join(traceback.format_exception(problem))
    worker_protocol.record(run, rank, worker_protocol.FAILED, causes=list(_causes(problem)), trace=trace)
    sys.stderr.write(trace)


def _causes(problem: BaseException | None) -> Iterator[str]:
    """The exception and the chain of its causes, as a traceback shows them."""
    while problem is not None:
        yield f"{type(problem).__module__}.{type(problem).__qualname__}: {problem}"
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
