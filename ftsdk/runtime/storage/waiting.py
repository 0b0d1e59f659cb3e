"""Calls to storage that may hang instead of failing, such as a network mount whose server is gone.

A call that hangs cannot be interrupted, so it is made in a thread that is left behind: it ends with the call, at the
latest with the process.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO, Generic, TypeVar

from ftsdk.runtime.storage.base import OnBytes
from ftsdk.runtime.storage.folder import FileAppender

Result = TypeVar("Result")

CALL_TIMEOUT_S, FILE_TIMEOUT_S = 60.0, 600.0
"""For calls that move little data, and between two pieces of a file: flushing a large one to disk moves none."""
POLL_S = 1.0
STALL_S = 2.0
"""How long an append is waited for, before it goes on in the background."""
MAX_SPOOL_BYTES = 1 << 30
RETRY_S = 1.0


class BackgroundCall(Generic[Result]):
    """A call in a thread of its own."""

    def __init__(self, call: Callable[[], Result]) -> None:
        self._results: list[Result] = []
        self._problems: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Whether it has ended, after at most so many seconds."""
        self._thread.join(max(timeout_s, 0.0))
        return not self._thread.is_alive()

    def result(self) -> Result:
        """What the call has returned; raises what it has raised, TimeoutError (an OSError) if it has not ended."""
        if self._problems:
            raise self._problems[0]
        if not self._results:
            raise timed_out()
        return self._results[0]

    def _run(self, call: Callable[[], Result]) -> None:
        try:
            self._results.append(call())
        except BaseException as problem:
            self._problems.append(problem)


def within(timeout_s: float, call: Callable[[], Result]) -> Result:
    """Call a function; raises TimeoutError (an OSError) if it has not returned in time."""
    background = BackgroundCall(call)
    background.wait(timeout_s)
    return background.result()


def while_moving(call: Callable[[OnBytes], Result], on_bytes: OnBytes) -> Result:
    """Call a function with an `OnBytes`; raises TimeoutError once no byte has moved for `FILE_TIMEOUT_S`."""
    moved_at = time.monotonic()

    def moved(count: int) -> None:
        nonlocal moved_at
        moved_at = time.monotonic()
        on_bytes(count)

    background = BackgroundCall(lambda: call(moved))
    while not background.wait(POLL_S) and time.monotonic() < moved_at + FILE_TIMEOUT_S:
        pass
    return background.result()


def timed_out() -> TimeoutError:
    """The error of storage that does not respond in time."""
    return TimeoutError(errno.ETIMEDOUT, "storage does not respond")


class Append:
    """Bytes on their way to a file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self.path, self.data = path, data
        self.offset = self.length = 0
        """Where the bytes are in the spool, if `data` is empty."""
        self.count: int | None = None
        """How many bytes were stored."""
        self.problem: OSError | None = None
        self.is_left = False
        """Nobody waits for it any more: it is repeated until all of it is stored."""


class AppendQueue:
    """Appends to files in one thread, in order, so that storage that hangs does not block the caller for long.

    While an append hangs, later ones are spooled on local disk, up to `MAX_SPOOL_BYTES`.
    """

    def __init__(self, spool: Path | None = None) -> None:
        self._spool_folder = spool
        self._spool: IO[bytes] | None = None
        self._spool_end = 0
        self._condition = threading.Condition()
        self._appends: deque[Append] = deque()
        self._began: float | None = None
        self._open: dict[Path, tuple[Path, FileAppender]] = {}
        """Folder -> the newest file in it. It stays open: to close one on a network mount costs as much as a write."""
        self._is_running = False

    def append(self, path: Path, data: bytes) -> int:
        """Append to a file; returns how many bytes are stored or spooled. Raises OSError if none could be."""
        with self._condition:
            if not self._is_running:
                self._is_running = True
                threading.Thread(target=self._run, daemon=True).start()
            if self._appends:
                return self._put_aside(path, data)
            append = Append(path, data)
            self._appends.append(append)
            self._began = time.monotonic()
            self._condition.notify_all()
            if self._condition.wait_for(lambda: append.count is not None or append.problem is not None, STALL_S):
                if append.problem:
                    raise append.problem
                return append.count or 0
            append.is_left = True
            return len(data)

    def settle(self, timeout_s: float) -> None:
        """Wait until everything is stored, at most so many seconds."""
        with self._condition:
            self._condition.wait_for(lambda: not self._appends, timeout_s)

    def stalled_s(self) -> float:
        """For how long the oldest append has been hanging; 0 if none does."""
        with self._condition:
            seconds = time.monotonic() - self._began if self._appends and self._began is not None else 0.0
            return seconds if seconds > STALL_S else 0.0

    def _put_aside(self, path: Path, data: bytes) -> int:
        if self._spool is None:
            self._spool = tempfile.TemporaryFile(dir=self._spool_folder)  # noqa: SIM115 - open as long as the queue
        if self._spool_end + len(data) > MAX_SPOOL_BYTES:
            raise timed_out()
        append = Append(path, b"")
        append.offset, append.length, append.is_left = self._spool_end, len(data), True
        os.pwrite(self._spool.fileno(), data, self._spool_end)
        self._spool_end += len(data)
        self._appends.append(append)
        return len(data)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: bool(self._appends))
                append = self._appends[0]
            self._store(append)
            with self._condition:
                self._appends.popleft()
                self._began = time.monotonic()
                if not self._appends and self._spool:
                    os.ftruncate(self._spool.fileno(), 0)
                    self._spool_end = 0
                self._condition.notify_all()

    def _store(self, append: Append) -> None:
        """Once, if a caller waits for the result; else until all of it is stored."""
        data = append.data
        if not data and self._spool:
            data = os.pread(self._spool.fileno(), append.length, append.offset)
        rest = memoryview(data)
        while rest:
            try:
                count, problem = self._file(append.path).write(rest), None
            except OSError as failure:
                count, problem = 0, failure
                self._close(append.path.parent)  # a network file system may require the file to be reopened
            with self._condition:
                if not append.is_left:
                    append.count, append.problem = count if problem is None else None, problem
                    return
            rest = rest[count:]
            if problem:
                time.sleep(RETRY_S)

    def _file(self, path: Path) -> FileAppender:
        if path.parent not in self._open or self._open[path.parent][0] != path:
            self._close(path.parent)
            self._open[path.parent] = path, FileAppender(path)
        return self._open[path.parent][1]

    def _close(self, folder: Path) -> None:
        if file := self._open.pop(folder, None):
            with contextlib.suppress(OSError):
                file[1].close()


class QueuedAppender:
    """One growing file of an `AppendQueue`."""

    def __init__(self, queue: AppendQueue, path: Path) -> None:
        self._queue, self._path = queue, path

    def write(self, data: bytes | memoryview) -> int:
        """Append; returns how many bytes are stored or spooled, at least one. Raises OSError if none could be."""
        return self._queue.append(self._path, bytes(data))

    def close(self) -> None:
        """Nothing to do: the queue closes a file before it opens the next one of its folder."""
