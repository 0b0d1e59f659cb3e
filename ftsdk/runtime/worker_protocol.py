"""The protocol between the supervisor and its trainer processes: files in a folder on scratch.

- `run/train.json`, supervisor to trainer: the job and its folders
- `run/events`, trainer to supervisor: a named pipe, one JSON object a line (`contract.EVENT_…`); what a trainer prints
  is text, whatever it looks like
- `run/lease`, supervisor to trainer: the start whose trainer may run; a survivor of another one exits
- `run/worker-R.pid`, rank R to supervisor: this process handles SIGTERM as a request to save and stop
- `run/stacks-R.txt`, rank R to supervisor: the stacks of its threads, written on `STACKS_SIGNAL`
- `run/worker-R.json`, rank R to supervisor: how it ended, in more detail than an exit code
- `run/published.json`, supervisor to rank 0: how many seconds the last checkpoint took to reach durable storage
"""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TypedDict

from ftsdk.contract import EVENT_HEARTBEAT
from ftsdk.contract.documents import JobDocument

ENV_TRAIN = "FTSDK_TRAIN"
"""Path of `train.json`; set for every trainer, ours or a user's file."""
ENV_EVENTS = "FTSDK_EVENTS"
"""Path of the pipe for events; set for every trainer. One write is one line of at most 4096 bytes."""
MLFLOW_TAG = "ftsdk.run"
"""Tag of an MLflow run by which later attempts find it."""
TRAIN_FILE = "train.json"
EVENTS_PIPE = "events"
PUBLISHED_FILE = "published.json"
LEASE_FILE = "lease"

STACKS_SIGNAL = signal.SIGUSR2
"""A registered worker writes its stacks on it, and so do the processes that it forks."""


class Phase(StrEnum):
    """What a trainer process is doing; the limits are in `supervisor/hangs/limits.py`."""

    LOADING = "loading"
    """Importing libraries, fetching and loading the model."""
    TOKENISING = "tokenising"
    COMPILE = "compile"
    """The first step: kernels are compiled, processes connect, a resumed data order is skipped through."""
    STEP = "step"
    REWARD = "reward"
    """A reward function scores a batch of answers."""
    EVALUATION = "evaluation"
    CHECKPOINT = "checkpoint"
    FINISHING = "finishing"
    """After the last step: the best checkpoint is loaded, the model is written."""
    EXIT = "exit"
    """The record of how the process ended is written."""


SUCCEEDED = "succeeded"
INTERRUPTED = "interrupted"
FAILED = "failed"


class TrainJob(TypedDict):
    """The content of `train.json`."""

    document: JobDocument
    attempt: int
    output: str
    """Folder for the model and for checkpoint-N folders; empty but for the checkpoint to resume from."""
    data: str
    """Folder with `dataset_info.json`."""
    run: str
    lease: str
    """Content of `run/lease` while this trainer may run; empty if there is none."""
    resume: str | None
    """Folder of the checkpoint to resume from."""


class WorkerRecord(TypedDict):
    """How one trainer process ended."""

    state: str
    """`succeeded`, `interrupted` (state saved as requested) or `failed`."""
    causes: list[str]
    """`module.Class: message` of the exception and of what caused it, the first cause last; empty after a success."""
    trace: str
    time: float
    """Seconds since the epoch."""


def read_job(environ: Mapping[str, str]) -> TrainJob:
    """The job that the supervisor wrote for this trainer process."""
    job: TrainJob = json.loads(Path(environ[ENV_TRAIN]).read_bytes())
    return job


def open_events(run: Path) -> int:
    """Make the pipe for events and open its reading end, which does not block.

    It is open for writing too, so that it never ends: trainer processes come and go.
    """
    path = run / EVENTS_PIPE
    path.unlink(missing_ok=True)
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def send_event(environ: Mapping[str, str], event: Mapping[str, object]) -> None:
    """Send one event to the supervisor, in one write, so that the events of several ranks cannot mix."""
    descriptor = os.open(environ[ENV_EVENTS], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(event, allow_nan=False, default=str).encode() + b"\n")
    finally:
        os.close(descriptor)


def send_heartbeat(environ: Mapping[str, str], phase: Phase, slowest_step_s: float) -> None:
    """Tell the supervisor that this rank makes progress. Never blocks: if the pipe is full, nothing is sent."""
    event = {"event": EVENT_HEARTBEAT, "rank": int(environ.get("RANK", "0")), "phase": phase}
    line = json.dumps({**event, "slowest_step_s": round(slowest_step_s, 3)}).encode() + b"\n"
    with contextlib.suppress(OSError, KeyError):  # KeyError: no supervisor listens
        descriptor = os.open(environ[ENV_EVENTS], os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, line)
        finally:
            os.close(descriptor)


def register(run: str, rank: int) -> None:
    """Tell the supervisor that this process saves and stops on SIGTERM, and writes its stacks on `STACKS_SIGNAL`."""
    stacks = Path(run, f"stacks-{rank}.txt").open("ab", buffering=0)  # noqa: SIM115 - open as long as the process
    faulthandler.register(STACKS_SIGNAL, file=stacks, all_threads=True, chain=False)
    _put(Path(run, f"worker-{rank}.pid"), b"%d" % os.getpid())


def record(run: str, rank: int, state: str, *, causes: Sequence[str] = (), trace: str = "") -> None:
    """Record how this process ended, replacing a previous record."""
    content = WorkerRecord(state=state, causes=list(causes), trace=trace, time=time.time())
    _put(Path(run, f"worker-{rank}.json"), json.dumps(content).encode())


def registered(run: Path) -> dict[int, int]:
    """Rank -> process id of the registered workers."""
    return {int(path.stem.rpartition("-")[2]): int(path.read_bytes()) for path in run.glob("worker-*.pid")}


def records(run: Path) -> list[WorkerRecord]:
    """The workers' records, oldest first."""
    contents: list[WorkerRecord] = [json.loads(path.read_bytes()) for path in run.glob("worker-*.json")]
    return sorted(contents, key=lambda content: float(content["time"]))


def grant_lease(run: Path) -> str:
    """Allow one start of the trainer, and no earlier one; returns the lease."""
    lease = os.urandom(8).hex()
    _put(run / LEASE_FILE, lease.encode())
    return lease


def has_lease(run: str, lease: str) -> bool:
    """Whether the trainer with this lease may run."""
    try:
        return Path(run, LEASE_FILE).read_bytes() == lease.encode()
    except FileNotFoundError:
        return False
    except OSError:  # nothing is known
        return True


def write_publish_duration(run: Path, seconds: float) -> None:
    """Record how long the last publish took: checkpoints are not taken more often than they can be published."""
    _put(run / PUBLISHED_FILE, json.dumps(seconds).encode())


def read_publish_duration(run: str) -> float:
    """Seconds that the last publish took; 0 before the first one."""
    try:
        return float(json.loads(Path(run, PUBLISHED_FILE).read_bytes()))
    except FileNotFoundError:
        return 0.0


def _put(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"new-{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)
