"""Packages that are installed beside the environment for some trainers only."""

from __future__ import annotations

import sys
from pathlib import Path

OVERLAYS = {"trl": "rl"}
"""Trainer -> the lock whose packages take precedence in its jobs, see containers/install.py."""


def overlay(lock: str) -> Path:
    """Folder of a lock's packages."""
    return Path(sys.prefix, "overlays", lock)
