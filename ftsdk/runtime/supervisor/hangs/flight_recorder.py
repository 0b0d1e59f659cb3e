"""NCCL's flight recorder: which collectives each rank has begun and ended. torch's `torchfrtrace` reads its files.

Each rank reads a pipe and writes its file when something comes (torch's ProcessGroupNCCL.hpp, TORCH_NCCL_DEBUG_INFO_…).
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

NVIDIA_DEVICE = Path("/dev/nvidiactl")
PIPE, TRACE = "nccl-pipe-", "nccl-trace-"
WRITE_TIMEOUT_S, POLL_S = 5.0, 0.1


def environment(run: Path) -> dict[str, str]:
    """Variables of the trainer; none on a machine without a GPU."""
    if not NVIDIA_DEVICE.exists():
        return {}
    return {
        "TORCH_NCCL_TRACE_BUFFER_SIZE": "2000",
        "TORCH_NCCL_DUMP_ON_TIMEOUT": "1",
        "TORCH_NCCL_DEBUG_INFO_TEMP_FILE": str(run / TRACE),
        "TORCH_NCCL_DEBUG_INFO_PIPE_FILE": str(run / PIPE),
    }


def traces(run: Path) -> list[Path]:
    """Have every rank write its trace; returns the files that have come in time."""
    pipes = list(run.glob(f"{PIPE}*"))
    for pipe in pipes:
        with contextlib.suppress(OSError):  # nobody reads it any more
            descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(descriptor, b"1\n")
            finally:
                os.close(descriptor)
    deadline = time.monotonic() + WRITE_TIMEOUT_S
    while len(files := sorted(run.glob(f"{TRACE}*"))) < len(pipes) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return files
