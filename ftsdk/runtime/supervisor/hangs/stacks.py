"""Stacks of all processes of the trainer: by faulthandler, whose handler every worker has, else by py-spy if present.

A process that is stopped, or waits for a dead mount, answers no signal: then the kernel's words are all there is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ftsdk.runtime.supervisor.hangs.proc import STOPPED, handles_stacks_signal, process_state, waits_in
from ftsdk.runtime.supervisor.trainer.process_tree import send
from ftsdk.runtime.worker_protocol import STACKS_SIGNAL

ANSWER_TIMEOUT_S, QUIET_S, POLL_S = 2.0, 0.1, 0.02
"""How long a process may take to write its stacks, and how long nothing more must come until they are complete."""
COLLECT_TIMEOUT_S = 30.0
PY_SPY_TIMEOUT_S = 10.0
FRAME = re.compile(r'^ *File "(?P<file>.+)", line (?P<line>\d+) in (?P<name>.+)$', re.MULTILINE)
PY_SPY_FRAME = re.compile(r"^ {4}(?P<name>\S.*) \((?P<file>.+):(?P<line>\d+)\)$", re.MULTILINE)
MAIN_THREAD = re.compile(r'^(Current thread .*|Thread .*"MainThread")$', re.MULTILINE)


class Frame(NamedTuple):
    """One frame of a stack."""

    name: str
    file: str
    line: int


class ProcessStack(NamedTuple):
    """What is known about one process at the moment of a hang."""

    pid: int
    rank: int | None
    """The rank whose process this is, or started it; None for a launcher such as torchrun's agent."""
    is_worker: bool
    """Whether it is the rank's own process."""
    state: str
    frames: Sequence[Frame]
    """Of the main thread, the innermost first; empty if it did not answer."""
    text: str


def collect(run: Path, workers: Mapping[int, int], members: Sequence[int]) -> list[ProcessStack]:
    """Stacks of all members of the process tree, the workers (rank -> process id) first."""
    ranks = {pid: rank for rank, pid in workers.items()}
    deadline = time.monotonic() + COLLECT_TIMEOUT_S
    stacks = []
    for pid in sorted(members, key=lambda pid: (pid not in ranks, ranks.get(pid, 0), pid)):
        state = process_state(pid)
        if state is None:
            continue
        text = _text(run, pid, state.state) if time.monotonic() < deadline else ""
        stacks.append(ProcessStack(pid, _rank_of(pid, ranks), pid in ranks, state.state, _frames(text), text))
    return stacks


def report(stacks: Sequence[ProcessStack]) -> str:
    """All stacks as a text."""
    parts = []
    for stack in stacks:
        rank = "no rank" if stack.rank is None else f"rank {stack.rank}"
        role = "" if stack.is_worker or stack.rank is None else ", a process that it started"
        waits = f", waits in {where}" if (where := waits_in(stack.pid)) else ""
        parts.append(f"== process {stack.pid}, {rank}{role}, state {stack.state}{waits} ==\n{stack.text or '(none)'}\n")
    return "\n".join(parts)


def _text(run: Path, pid: int, state: str) -> str:
    if state not in (STOPPED, "Z") and handles_stacks_signal(pid) and (text := _by_signal(run, pid)):
        return text
    return _by_py_spy(pid)


def _by_signal(run: Path, pid: int) -> str:
    """A forked process writes to the file of the worker that it comes from, so all files are watched."""
    before = _sizes(run)
    send(pid, STACKS_SIGNAL)
    ends, size, changed_at = time.monotonic() + ANSWER_TIMEOUT_S, sum(before.values()), 0.0
    while (now := time.monotonic()) < ends and not (changed_at and now - changed_at > QUIET_S):
        if (current := sum(_sizes(run).values())) != size:
            size, changed_at = current, now
        time.sleep(POLL_S)
    for path, grown in _sizes(run).items():
        if grown > before.get(path, 0):
            return path.read_bytes()[before.get(path, 0) :].decode("utf-8", "replace")
    return ""


def _sizes(run: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in run.glob("stacks-*.txt")}


def _by_py_spy(pid: int) -> str:
    program = shutil.which("py-spy", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    if program is None:
        return ""
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = [program, "dump", "--nonblocking", "--pid", str(pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PY_SPY_TIMEOUT_S, check=False)
        return done.stdout
    return ""


def _rank_of(pid: int, ranks: Mapping[int, int]) -> int | None:
    """The rank of the process or of the nearest process above it."""
    while pid > 1:
        if pid in ranks:
            return ranks[pid]
        state = process_state(pid)
        pid = state.parent if state else 0
    return None


def _frames(text: str) -> list[Frame]:
    """Frames of the main thread, from the text of either tool."""
    start = MAIN_THREAD.search(text)
    block = text[start.end() :].partition("\n\n")[0] if start else text
    block = re.split(r"^Thread ", block, maxsplit=1, flags=re.MULTILINE)[0]
    matches = list(FRAME.finditer(block)) or list(PY_SPY_FRAME.finditer(block))
    return [Frame(match["name"], match["file"], int(match["line"])) for match in matches]
