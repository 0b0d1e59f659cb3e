"""Signals to the supervisor, to one trainer process, to a container."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from ftsdk.backends.docker import command
from ftsdk.errors import BackendError
from ftsdk.testing.faults.target import NoTargetError, Target

SIGNAL_WORKER = """
import glob, os, sys
files = sorted(glob.glob(sys.argv[1]))
chosen = files[int(sys.argv[2]) % len(files)]
os.kill(int(open(chosen).read()), int(sys.argv[3]))
print(os.path.basename(chosen))
"""
"""Run inside the container, where the process ids that the workers wrote down mean something."""


def terminate(target: Target) -> str:
    """SIGTERM to the supervisor: what a spot reclaim does first."""
    if target.backend == "local":
        _signal(target, signal.SIGTERM)
        return "SIGTERM to the supervisor"
    name = target.one_container()
    command.ask([target.program, "kill", "--signal", "TERM", name])
    return f"SIGTERM to the supervisor in container {name}"


def kill(target: Target) -> str:
    """SIGKILL to the supervisor, as when the machine fails without notice."""
    if target.backend == "local":
        _signal(target, signal.SIGKILL)
        return "SIGKILL to the supervisor"
    name = target.one_container()
    command.ask([target.program, "kill", name])
    return f"SIGKILL to container {name}"


def stop_container(target: Target) -> str:
    """`docker stop`: SIGTERM, and SIGKILL once the grace is over."""
    name = target.one_container()
    command.ask([target.program, "stop", name])
    return f"stopped container {name}"


def kill_worker(target: Target) -> str:
    """SIGKILL to one trainer process: what the kernel does to a process that takes too much memory."""
    return _signal_worker(target, signal.SIGKILL)


def stop_worker(target: Target) -> str:
    """SIGSTOP to one trainer process: it hangs, and the others wait for it."""
    return _signal_worker(target, signal.SIGSTOP)


def _signal_worker(target: Target, number: signal.Signals) -> str:
    run = f"{target.folder.plan.document['scratch']}/run/worker-*.pid"
    if target.backend == "docker":
        name, choice = target.one_container(), str(target.chance.randrange(1 << 16))
        try:
            output = command.ask(
                [target.program, "exec", name, "python", "-c", SIGNAL_WORKER, run, choice, str(int(number))]
            )
        except BackendError as problem:
            raise _no_worker(target) from problem
        return f"{number.name} to {_rank(output.strip())} in container {name}"
    files = sorted(Path(run).parent.glob("worker-*.pid"))
    if not files:
        raise _no_worker(target)
    chosen = target.chance.choice(files)
    try:
        os.kill(int(chosen.read_bytes()), number)
    except (OSError, ValueError) as problem:
        raise _no_worker(target) from problem
    return f"{number.name} to {_rank(chosen.name)}"


def _signal(target: Target, number: signal.Signals) -> None:
    try:
        os.kill(target.supervisor(), number)
    except ProcessLookupError as problem:
        raise NoTargetError(f"The supervisor of {target.job.uri} has just ended.") from problem


def _rank(file: str) -> str:
    return f"trainer process {file.removeprefix('worker-').removesuffix('.pid')}"


def _no_worker(target: Target) -> NoTargetError:
    return NoTargetError(f"No trainer process of {target.job.uri} runs (yet).")
