"""Measures the machine, container and account that a job gets, then counts the seconds from SIGTERM to its end.

Run like a trainer by `ftsdk doctor --probe`. It needs Python only; torch is tried if it is there. The answers are
stored in the job's folder: they hold no secret values and no account numbers.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NotRequired, TypedDict
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ftsdk import contract

if TYPE_CHECKING:
    from ftsdk.runtime.programs.interruption import StopRequest
    from ftsdk.runtime.storage.base import Store
    from ftsdk.runtime.worker_protocol import TrainJob

BEATS: Final = 10
"""Lines with the time of day, a second apart, by which the launcher measures the delay of logs."""
BEAT: Final = "ftsdk-probe"
CREDENTIAL_CALLS: Final = 20
AWS_CONTAINER: Final = "http://169.254.170.2"
"""Where AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is served (Amazon ECS developer guide)."""
WRITTEN: Final = ("/tmp", "/opt/ml", "/mnt", "/dev/shm", "/root", "~")
"""Folders whose write permission is tried."""
WAIT_S: Final = 120.0
"""Seconds for the launcher to ask for the stop."""
GIB: Final = 1024**3


class ProbedMachine(TypedDict):
    """Processor, memory, kernel, Python."""

    cpus: int | None
    memory_gib: float
    kernel: str
    architecture: str
    python: str


class ProbedDriver(TypedDict):
    """The NVIDIA driver; empty without one."""

    cuda: str | None
    """The newest CUDA version that the driver allows."""
    version: str | None
    gpus: list[list[str]]
    """Name and MiB of memory of each GPU."""


class ProbedTorch(TypedDict):
    """What torch does with this machine; only the version, None, where it is missing."""

    version: str | None
    cuda: NotRequired[str | None]
    device: NotRequired[str]
    right: NotRequired[bool]
    tflops: NotRequired[float]


class ProbedDisk(TypedDict):
    """Size of a file system."""

    total_gib: float
    free_gib: float


class ProbedUser(TypedDict):
    """Who the job runs as."""

    uid: int
    gid: int
    sudo: bool
    writes: dict[str, bool]


class ProbedCredentials(TypedDict):
    """How the container's address of credentials answers; None without one."""

    address: str | None
    calls: NotRequired[int]
    answers: NotRequired[int]
    slowest_s: NotRequired[float]


class ProbedBucket(TypedDict, total=False):
    """Where the bucket is; empty for other storage than S3."""

    region: str | None


class ProbedNetwork(TypedDict):
    """Network devices."""

    devices: list[str]
    infiniband: list[str]
    nccl: dict[str, str]
    """Variables for NCCL."""


def train(job: TrainJob, stop: StopRequest) -> None:
    """Measure, store the answers, then count the seconds from SIGTERM until SIGKILL or the configured limit."""
    stop.training = True  # SIGTERM is only noted
    document = job["document"]
    store = _open(job)
    answers = {name: _guarded(measure) for name, measure in _measures(job, store).items()}
    store.put(contract.PROBE_KEY, json.dumps(answers, indent=1).encode())
    for _ in range(BEATS):
        sys.stdout.write(f"{BEAT} {time.time()}\n")
        time.sleep(1)
    _wait_for_signal(stop, store, float(document["config"]["max_signal_s"]))


def _wait_for_signal(stop: StopRequest, store: Store, max_s: float) -> None:
    ends = time.monotonic() + WAIT_S
    while not stop.received and time.monotonic() < ends:
        time.sleep(0.05)
    began = time.monotonic()
    while stop.received and (passed_s := time.monotonic() - began) < max_s:
        store.put(contract.PROBE_SIGNAL_KEY, json.dumps({"signal": "SIGTERM", "alive_s": passed_s}).encode())
        time.sleep(0.5)
    if stop.received:
        ended = {"signal": "SIGTERM", "alive_s": max_s, "survived": True}
        store.put(contract.PROBE_SIGNAL_KEY, json.dumps(ended).encode())


def _open(job: TrainJob) -> Store:
    from ftsdk.runtime.storage.folder import FolderStore

    document = job["document"]
    if "://" not in document["durable"]:
        return FolderStore(document["durable"])
    from ftsdk.runtime.storage.bucket import BucketStore

    return BucketStore(document["durable"], document["storage"], os.environ, retry_s=30.0)


def _measures(job: TrainJob, store: Store) -> dict[str, Callable[[], object]]:
    config = job["document"]["config"]
    return {
        "machine": machine,
        "driver": driver,
        "torch": torch_matmul,
        "disks": lambda: disks(("/", "/tmp", "/dev/shm", job["document"]["scratch"])),
        "user": user,
        "credentials": lambda: credentials(os.environ),
        "storage": lambda: {"put_if_absent": put_if_absent(store, job["attempt"]), **bucket_region(store.uri)},
        "secrets": lambda: {name: bool(os.environ.get(name)) for name in config["secrets"]},
        "network": network,
    }


def _guarded(measure: Callable[[], object]) -> object:
    """A measure that fails is an answer, too."""
    try:
        return measure()
    except Exception as problem:
        return {"error": f"{type(problem).__name__}: {problem}"[:300]}


def machine() -> ProbedMachine:
    """Processor, memory, kernel, Python."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {"cpus": os.cpu_count(), "memory_gib": round(pages / GIB, 2), "kernel": platform.release(),
            "architecture": platform.machine(), "python": platform.python_version()}  # fmt: skip


def driver() -> ProbedDriver:
    """The NVIDIA driver as nvidia-smi names it, and the CUDA version that cuDriverGetVersion allows."""
    driver_facts: ProbedDriver = {"cuda": None, "version": None, "gpus": []}
    try:
        number = ctypes.c_int(0)
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number))
        driver_facts["cuda"] = f"{number.value // 1000}.{number.value % 1000 // 10}"
    except OSError:
        return driver_facts
    query = ["nvidia-smi", "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader,nounits"]
    rows = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False).stdout.splitlines()
    cells = [[cell.strip() for cell in row.split(",")] for row in rows]
    return {**driver_facts, "version": cells[0][0] if cells else None, "gpus": [row[1:] for row in cells]}


def torch_matmul() -> ProbedTorch:
    """Whether torch multiplies on what it finds, and how fast; a mismatch of driver and CUDA shows here."""
    try:
        import torch
    except ImportError:
        return {"version": None}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 512
    kind = torch.bfloat16 if device == "cuda" else torch.float32
    factor = torch.ones(size, size, device=device, dtype=kind)
    float((factor @ factor)[0, 0])
    began = time.perf_counter()
    right = float((factor @ factor)[0, 0]) == size
    seconds = time.perf_counter() - began
    return {"version": torch.__version__, "cuda": torch.version.cuda, "device": device, "right": right,
            "tflops": round(2 * size**3 / seconds / 1e12, 3)}  # fmt: skip


def disks(paths: tuple[str, ...]) -> dict[str, ProbedDisk]:
    """Size and free space of folders, in GiB."""
    sizes = {path: shutil.disk_usage(path) for path in paths if Path(path).exists()}
    return {path: {"total_gib": round(one.total / GIB, 2), "free_gib": round(one.free / GIB, 2)}
            for path, one in sizes.items()}  # fmt: skip


def user() -> ProbedUser:
    """Who the job runs as, and where it may write."""
    folders = {path: str(Path(path).expanduser()) for path in WRITTEN}
    return {"uid": os.getuid(), "gid": os.getgid(), "sudo": shutil.which("sudo") is not None,
            "writes": {path: os.access(place, os.W_OK) for path, place in folders.items()}}  # fmt: skip


def credentials(environ: Mapping[str, str]) -> ProbedCredentials:
    """How often the container's address of credentials answers, and how slowly; None without one."""
    relative = environ.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI")
    address = environ.get("ALIBABA_CLOUD_CREDENTIALS_URI") or environ.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    address = address or (AWS_CONTAINER + relative if relative else None)
    if address is None:
        return {"address": None}
    answers, slowest_s = 0, 0.0
    for _ in range(CREDENTIAL_CALLS):
        began = time.monotonic()
        answers += _answers(address)
        slowest_s = max(slowest_s, time.monotonic() - began)
    return {"address": address.partition("?")[0].rpartition("/")[0], "calls": CREDENTIAL_CALLS, "answers": answers,
            "slowest_s": round(slowest_s, 3)}  # fmt: skip


def _answers(address: str) -> bool:
    try:
        with urlopen(address, timeout=10) as response:
            return bool(response.read())
    except OSError:
        return False


def put_if_absent(store: Store, attempt: int) -> list[bool]:
    """The first put of a key must succeed and the second one fail: claims of attempts rest on it."""
    key = f"{contract.PROBE_KEY}.{attempt}.{time.time_ns()}"
    tries = [store.put_if_absent(key, b"1"), store.put_if_absent(key, b"2")]
    store.delete(key)
    return tries


def bucket_region(uri: str) -> ProbedBucket:
    """The region that S3 names for the bucket."""
    if not uri.startswith("s3://"):
        return {}
    bucket = uri.removeprefix("s3://").partition("/")[0]
    try:
        with urlopen(Request(f"https://{bucket}.s3.amazonaws.com", method="HEAD"), timeout=10) as response:
            headers = response.headers
    except HTTPError as problem:
        headers = problem.headers
    except OSError:  # a network without a way there
        return {"region": None}
    return {"region": headers.get("x-amz-bucket-region")}


def network() -> ProbedNetwork:
    """Network devices, InfiniBand or EFA among them, and what is set for NCCL."""
    infiniband = Path("/sys/class/infiniband")
    return {"devices": [name for _, name in socket.if_nameindex()],
            "infiniband": sorted(path.name for path in infiniband.iterdir()) if infiniband.is_dir() else [],
            "nccl": {name: value for name, value in os.environ.items() if name.startswith("NCCL_")}}  # fmt: skip
