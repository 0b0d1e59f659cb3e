"""The state of the user's git repository, for the lineage of a model."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from ftsdk.contract.lineage import GitState

TIMEOUT_S = 5.0


def git_state(folder: Path) -> GitState | None:
    """Commit and dirtiness of the repository that holds a folder; None without one, or where git does not answer."""
    if not any((parent / ".git").exists() for parent in (folder, *folder.parents)):
        return None
    try:
        commit = _git(folder, "rev-parse", "HEAD").strip()
        return GitState(commit=commit, dirty=bool(_git(folder, "status", "--porcelain", "--", ".").strip()))
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    """The output of a git command that writes nothing and runs no program that the repository names."""
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True, env=environment)
    return done.stdout
