"""Faults that last a while and are then undone: a network that is cut, a disk that is full."""

from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path

from ftsdk.backends.docker import command
from ftsdk.contract.foreign import JsonObject
from ftsdk.errors import BackendError, UnsupportedError
from ftsdk.testing.faults.target import Target

LARGEST_FILL_BYTES = 4 << 30
CHUNK_BYTES = 1 << 20
BALLAST = ".ftsdk-chaos-ballast"


def cut_network(target: Target) -> str:
    """Take one container off its network for a while; with several nodes that is the network between them."""
    name = target.one_container()
    shown: list[JsonObject] = json.loads(command.ask([target.program, "container", "inspect", name]))
    networks = shown[0]["NetworkSettings"]["Networks"]
    try:
        for network in networks:
            command.ask([target.program, "network", "disconnect", network, name])
        time.sleep(target.lasting_s)
    finally:
        for network, place in networks.items():
            _connect(target.program, network, name, place)
    return f"cut container {name} off its network for {target.lasting_s:.1f} s"


def _connect(program: str, network: str, name: str, place: JsonObject) -> None:
    """Reconnect the container with its previous names; a container that has ended meanwhile is ignored."""
    aliases = [alias for alias in place.get("Aliases") or () if network != "bridge"]
    words = [word for alias in aliases for word in ("--alias", alias)]
    address = ["--ip", place["IPAddress"]] if (place.get("IPAMConfig") or {}).get("IPv4Address") else []
    with contextlib.suppress(BackendError):
        command.ask([program, "network", "connect", *words, *address, network, name])


def fill_disk(target: Target) -> str:
    """Fill the file system of the durable folder for a while. Refused unless nothing else can suffer from it."""
    folder = target.durable
    stats = os.statvfs(folder)
    free = stats.f_bavail * stats.f_frsize
    refuse_shared_disk(folder, free)
    ballast = folder / BALLAST
    try:
        written = _fill(ballast, until=time.monotonic() + target.lasting_s)
    finally:
        ballast.unlink(missing_ok=True)
    return f"filled the disk of the job's folder ({written} bytes) for {target.lasting_s:.1f} s"


def refuse_shared_disk(folder: Path, free: int) -> None:
    """Raise UnsupportedError unless the folder lies on a small file system of its own."""
    system = {Path(place).stat().st_dev for place in ("/", Path.home(), "/tmp") if Path(place).is_dir()}
    if folder.stat().st_dev in system or free > LARGEST_FILL_BYTES:
        raise UnsupportedError(
            f"fill-disk: {folder} lies on a disk that others use too ({free >> 20} MiB are free); give the job an "
            f"`output` on a small file system of its own, e.g. `mount -t tmpfs -o size=256m tmpfs FOLDER`."
        )


def _fill(ballast: Path, until: float) -> int:
    """Write until nothing goes in any more, and whenever something gives way; returns the most that went in."""
    largest = 0
    descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        while time.monotonic() < until:
            largest = max(largest, os.fstat(descriptor).st_size + _write_all(descriptor))
            time.sleep(0.05)
    finally:
        os.close(descriptor)
    return largest


def _write_all(descriptor: int) -> int:
    """Append zeros in ever smaller pieces; returns their number."""
    written, piece = 0, CHUNK_BYTES
    while piece:
        try:
            written += os.write(descriptor, bytes(piece))
        except OSError:
            piece //= 2
    return written
