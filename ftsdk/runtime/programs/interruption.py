"""A request to stop, as a training program receives it, and the exceptions that unwind out of the trainer."""

from __future__ import annotations

import os
import signal
from types import FrameType

from ftsdk.runtime import worker_protocol


class InterruptedTraining(BaseException):
    """The state is saved; unwind out of the trainer. Not an Exception, so that no `except Exception` swallows it."""


class EvaluationStopped(BaseException):
    """A stop was requested during an evaluation. Not an Exception, so that no `except Exception` swallows it."""


class StopRequest:
    """SIGTERM as the trainer sees it. Before training begins there is nothing to save: the process exits at once."""

    def __init__(self, run: str, rank: int) -> None:
        self.received = False
        self.training = False
        self._run, self._rank, self._process = run, rank, os.getpid()
        signal.signal(signal.SIGTERM, self._receive)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C arrives as the supervisor's SIGTERM

    def _receive(self, _number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # a forked child (e.g. of a worker pool) inherits the handler
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
            return
        self.received = True
        if not self.training:
            worker_protocol.record(self._run, self._rank, worker_protocol.INTERRUPTED)
            os._exit(0)
