"""One trainer process: runs the trainer's module and leaves a record of how it ended."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, Mapping
from io import TextIOWrapper
from types import FrameType

from ftsdk.runtime import worker_protocol


class InterruptedTraining(BaseException):
    """State is saved; unwind out of the trainer. Not an Exception: no `except Exception` on the way may swallow it."""


class StopWish:
    """SIGTERM, as the trainer sees it. Until training begins there is nothing to save: the process leaves at once."""

    def __init__(self, run: str, rank: int) -> None:
        self.made = False
        self.training = False
        self._run, self._rank, self._process = run, rank, os.getpid()
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C reaches us as the supervisor's SIGTERM

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a fork of ours, a pool's worker say: SIGTERM is no wish there
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self.made = True
        if not self.training:
            worker_protocol.record(self._run, self._rank, worker_protocol.INTERRUPTED)
            os._exit(0)


def work(environ: Mapping[str, str]) -> int:
    """Run this process's share of the training; returns its exit code.

    An interruption exits 0: torchrun would end the other ranks over anything else, and the record says what happened.
    """
    job, rank = worker_protocol.read_job(environ), int(environ.get("RANK", "0"))
    _write_line_by_line()
    wish = StopWish(job["run"], rank)
    worker_protocol.register(job["run"], rank)
    try:
        _trainer(job, wish)
    except InterruptedTraining:
        worker_protocol.record(job["run"], rank, worker_protocol.INTERRUPTED)
        return 0
    except BaseException as problem:
        _record_failure(job["run"], rank, problem)
        return 1
    worker_protocol.record(job["run"], rank, worker_protocol.SUCCEEDED)
    return 0


def _write_line_by_line() -> None:
    """A line in one write: at once, and whole where several ranks write to one pipe (torchrun starts us unbuffered)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(line_buffering=True, write_through=False)


def _trainer(job: worker_protocol.TrainJob, wish: StopWish) -> None:
    from importlib import import_module

    name = job["document"]["trainer"]
    import_module(f"ftsdk.runtime.programs.{name}").train(job, wish)


def _record_failure(run: str, rank: int, problem: BaseException) -> None:
    import traceback

    trace = "".join(traceback.format_exception(problem))
    worker_protocol.record(run, rank, worker_protocol.FAILED, causes=list(_causes(problem)), trace=trace)
    sys.stderr.write(trace)


def _causes(problem: BaseException | None) -> Iterator[str]:
    """The exception, then what it says it came from, as a traceback shows it."""
    while problem is not None:
        yield f"{type(problem).__module__}.{type(problem).__qualname__}: {problem}"
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)
