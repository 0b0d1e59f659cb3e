"""Small separate file systems, so that faults affect one job only. Creating one requires root on Linux."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY_MB, IMAGE_MB = 48, 256


def can_be_made() -> bool:
    """Whether this user may mount file systems here."""
    return hasattr(os, "geteuid") and os.geteuid() == 0 and Path("/proc/mounts").is_file()


@contextmanager
def in_memory(folder: Path, megabytes: int = MEMORY_MB) -> Iterator[Path]:
    """A tmpfs at a folder."""
    folder.mkdir(parents=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "ftsdk-chaos", str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))


@contextmanager
def in_a_file(folder: Path, megabytes: int = IMAGE_MB) -> Iterator[Path]:
    """An ext4 file system in a file, mounted at a folder: unlike a tmpfs it can be frozen."""
    image = folder.with_name(f"{folder.name}.ext4")
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    _run("mkfs.ext4", "-q", "-F", str(image))
    folder.mkdir(parents=True)
    _run("mount", "-o", "loop", str(image), str(folder))
    try:
        yield folder
    finally:
        _run("umount", "--lazy", str(folder))
        image.unlink()


def away(folder: Path, seconds: float) -> threading.Thread:
    """Freeze a file system for `seconds`: every write hangs, as on a network mount whose server is down."""
    _run("fsfreeze", "--freeze", str(folder))
    thread = threading.Thread(target=_thaw, args=(folder, seconds))
    thread.start()
    return thread


def _thaw(folder: Path, seconds: float) -> None:
    time.sleep(seconds)
    _run("fsfreeze", "--unfreeze", str(folder))


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)
