"""Which process of a hanging training keeps the others waiting, as a sentence."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ftsdk.runtime.supervisor.hangs.proc import STOPPED
from ftsdk.runtime.supervisor.hangs.stacks import Frame, ProcessStack

COLLECTIVES = ("torch/distributed/", "torch/nn/parallel/distributed.py", "torch/autograd/graph.py")
"""Files of the frames in which a rank waits for the others; gradients are reduced in the backward pass."""
COLLECTIVE_FRAMES = 8
LOADER, LOADER_PROCESS = "torch/utils/data/dataloader.py", "torch/utils/data/_utils/worker.py"
STANDARD_LIBRARY = str(Path(os.__file__).parent)
DEVICE_WAIT = "D"


def describe(stacks: Sequence[ProcessStack], silent_s: Mapping[int, float]) -> tuple[int | None, str]:
    """The rank that hangs, and where it is.

    Args:
        stacks: of all processes.
        silent_s: rank -> seconds since its last heartbeat.
    """
    for stack in stacks:
        if stack.state == STOPPED:
            return stack.rank, f"{_name(stack)} is stopped by a signal (SIGSTOP or SIGTSTP)"
    workers = [stack for stack in stacks if stack.is_worker]
    alone = [stack for stack in workers if not waits_in_collective(stack.frames)]
    chosen = max(alone or workers, key=lambda stack: silent_s.get(stack.rank or 0, 0.0), default=None)
    if chosen is None:
        return None, "no trainer process answers"
    loader = next((stack for stack in stacks if stack.rank == chosen.rank and _loads(chosen, stack)), chosen)
    return chosen.rank, f"{_name(loader)} {_place(loader)}" + _others(alone, workers)


def waits_in_collective(frames: Sequence[Frame]) -> bool:
    """Whether a rank waits for other ranks."""
    return any(part in frame.file for frame in frames[:COLLECTIVE_FRAMES] for part in COLLECTIVES)


def _others(alone: Sequence[ProcessStack], workers: Sequence[ProcessStack]) -> str:
    if not alone:
        return ", where it waits for other ranks" if len(workers) > 1 else ""
    return ", and the other ranks wait for it" if len(workers) > len(alone) else ""


def _loads(worker: ProcessStack, child: ProcessStack) -> bool:
    """Whether the worker waits for this process of its data loader, which is not waiting for work itself."""
    waits = any(LOADER in frame.file for frame in worker.frames)
    loads = any(LOADER_PROCESS in frame.file for frame in child.frames)
    return waits and loads and not child.is_worker and LOADER_PROCESS not in _innermost(child.frames).file


def _name(stack: ProcessStack) -> str:
    if stack.is_worker:
        return f"rank {stack.rank}"
    return f"process {stack.pid}" + (f" of rank {stack.rank}" if stack.rank is not None else "")


def _place(stack: ProcessStack) -> str:
    if not stack.frames:
        waits = "waits for a device or a mount" if stack.state == DEVICE_WAIT else "does not answer"
        return f"{waits} (state {stack.state})"
    frame = _innermost(stack.frames)
    return f"is in {frame.name} ({frame.file}:{frame.line})"


def _innermost(frames: Sequence[Frame]) -> Frame:
    """The innermost frame outside the standard library: `select` or `read` says little."""
    return next((frame for frame in frames if not _is_standard(frame.file)), frames[0])


def _is_standard(file: str) -> bool:
    return file.startswith((STANDARD_LIBRARY, "<frozen")) and "site-packages" not in file
