"""The protocol between the supervisor and its trainer processes: files in a folder on scratch.

- `run/train.json`, supervisor to trainer: the job and its folders
- `run/events`, trainer to supervisor: a named pipe, one JSON object a line (`contract.EVENT_…`); what a trainer prints
  is text, whatever it looks like
- `run/worker-R.pid`, rank R to supervisor: this process handles SIGTERM as a request to save and stop
- `run/worker-R.json`, rank R to supervisor: how it ended, in more detail than an exit code
- `run/published.json`, supervisor to rank 0: how many seconds the last checkpoint took to reach durable storage
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

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


def send_event(environ: Mapping[str, str], event: Mapping[str, Any]) -> None:
    """Send one event to the supervisor, in one write, so that the events of several ranks cannot mix."""
    descriptor = os.open(environ[ENV_EVENTS], os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, json.dumps(event, allow_nan=False, default=str).encode() + b"\n")
    finally:
        os.close(descriptor)


def register(run: str, rank: int) -> None:
    """Tell the supervisor that this process handles SIGTERM as a request to save and stop."""
    _put(Path(run, f"worker-{rank}.pid"), b"%d" % os.getpid())


def record(run: str, rank: int, state: str, *, causes: Sequence[str] = (), trace: str = "") -> None:
    """Record how this process ended, replacing a previous record."""
    content = WorkerRecord(state=state, causes=list(causes), trace=trace, time=time.time())
    _put(Path(run, f"worker-{rank}.json"), json.dumps(content).encode())


def registered(run: Path) -> list[int]:
    """Process ids of the registered workers."""
    return [int(path.read_bytes()) for path in run.glob("worker-*.pid")]


def records(run: Path) -> list[WorkerRecord]:
    """The workers' records, oldest first."""
    contents: list[Any] = [json.loads(path.read_bytes()) for path in run.glob("worker-*.json")]
    return sorted(contents, key=lambda content: float(content["time"]))


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
