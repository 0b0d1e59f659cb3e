"""What the supervisor and its trainer processes tell each other, as files in a folder on scratch.

- `run/train.json`, supervisor to trainer: the job and where everything lies
- `run/worker-R.pid`, rank R to supervisor: I take SIGTERM as a wish to save and stop
- `run/worker-R.json`, rank R to supervisor: how I ended; exit codes alone say too little
- `run/published.json`, supervisor to rank 0: how long the last checkpoint took to reach durable storage
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
TRAIN_FILE = "train.json"
PUBLISHED_FILE = "published.json"

SUCCEEDED = "succeeded"
INTERRUPTED = "interrupted"
FAILED = "failed"


class TrainJob(TypedDict):
    """What a trainer process is told."""

    document: JobDocument
    attempt: int
    output: str
    """Folder for the model and for checkpoint-N folders; empty, or holding the checkpoint to resume from."""
    data: str
    """Folder with `dataset_info.json`."""
    run: str
    resume: str | None
    """Folder of the checkpoint to go on from."""


class WorkerRecord(TypedDict):
    """How one trainer process ended."""

    state: str
    """`succeeded`, `interrupted` (state saved as asked) or `failed`."""
    causes: list[str]
    """`module.Class: message` of the exception and of what caused it, the first cause last; empty after a success."""
    trace: str
    time: float


def read_job(environ: Mapping[str, str]) -> TrainJob:
    """What the supervisor wrote for this trainer process."""
    job: TrainJob = json.loads(Path(environ[ENV_TRAIN]).read_bytes())
    return job


def register(run: str, rank: int) -> None:
    """Tell the supervisor that this process takes SIGTERM as a wish."""
    _put(Path(run, f"worker-{rank}.pid"), b"%d" % os.getpid())


def record(run: str, rank: int, state: str, *, causes: Sequence[str] = (), trace: str = "") -> None:
    """Leave how this process ended; the last word counts."""
    said = WorkerRecord(state=state, causes=list(causes), trace=trace, time=time.time())
    _put(Path(run, f"worker-{rank}.json"), json.dumps(said).encode())


def registered(run: Path) -> list[int]:
    """Process ids of the workers that take SIGTERM as a wish."""
    return [int(path.read_bytes()) for path in run.glob("worker-*.pid")]


def records(run: Path) -> list[WorkerRecord]:
    """What the workers left, the oldest first."""
    found: list[Any] = [json.loads(path.read_bytes()) for path in run.glob("worker-*.json")]
    return sorted(found, key=lambda said: float(said["time"]))


def tell_published_within_s(run: Path, seconds: float) -> None:
    """For the cadence: checkpoints are not taken faster than they can be published."""
    _put(run / PUBLISHED_FILE, json.dumps(seconds).encode())


def published_within_s(run: str) -> float:
    """What the supervisor told; 0 before the first publish."""
    try:
        return float(json.loads(Path(run, PUBLISHED_FILE).read_bytes()))
    except FileNotFoundError:
        return 0.0


def _put(path: Path, data: bytes) -> None:
    temporary = path.with_name(f"new-{path.name}")
    temporary.write_bytes(data)
    temporary.replace(path)
