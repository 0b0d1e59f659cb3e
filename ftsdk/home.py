"""Where ftsdk keeps its own things on this machine: the journal, caches and local jobs."""

from __future__ import annotations

import os
from pathlib import Path


def home_dir() -> Path:
    """`$FTSDK_HOME`, or `~/.ftsdk`."""
    return Path(os.environ.get("FTSDK_HOME") or Path.home() / ".ftsdk").expanduser().absolute()


def jobs_dir(home: Path | str, backend: str) -> Path:
    """Folder in which a backend's jobs without an `output` of their own keep their durable folders."""
    return Path(home) / "jobs" / backend
