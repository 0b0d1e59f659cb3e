"""Whether a test whose engine does not answer is skipped or fails: decided from what the setup scripts recorded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

STATES_FOLDER = Path(os.environ.get("FTSDK_ENGINE_STATES", Path(__file__).parents[2] / ".engines"))
SCRIPTS = {"docker": "tests/setup/docker.sh", "skypilot": "tests/setup/slurm.sh", "browser": "tests/setup/browser.sh"}


class Decision(NamedTuple):
    """What to do with a test, and why."""

    action: Literal["run", "skip", "fail"]
    message: str = ""


def decide(engine: str, *, answers: bool, folder: Path = STATES_FOLDER, in_ci: bool) -> Decision:
    """Whether a test that needs an engine runs, is skipped, or fails.

    A test is skipped where no setup of the engine was tried, or this kind of machine cannot have it; in CI that
    fails too. An engine whose script failed, or that has stopped since, fails the test everywhere.
    """
    if answers:
        return Decision("run")
    state, _, why = recorded(engine, folder).partition(" ")
    if state in ("", "impossible"):
        message = f"engine missing: {engine}{f' ({why})' if why else ''}"
        return Decision("fail" if in_ci else "skip", message)
    if state == "up":
        why = "it was up and does not answer any more"
    return Decision("fail", f"engine failed: {engine} ({why}); run {SCRIPTS[engine]} and read what it prints")


def recorded(engine: str, folder: Path = STATES_FOLDER) -> str:
    """`up`, or `failed` or `impossible` with a sentence; empty if no script ran."""
    try:
        return (folder / engine).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
