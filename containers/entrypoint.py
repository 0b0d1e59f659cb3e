"""PID 1 of the image: finds the runtime that came with the job, and becomes its supervisor."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import sysconfig
from pathlib import Path
from typing import Final

EXIT_CONTRACT: Final = 78
"""`ftsdk.contract.EXIT_CONTRACT`: image, job and runtime do not fit together."""
DRIVERS: Final = {12: "R525", 13: "R580"}
"""Oldest NVIDIA driver for each major CUDA version (NVIDIA's CUDA compatibility guide)."""


def runtime_problem(runtime: Path) -> str:
    """Why the runtime cannot be started, or an empty string."""
    if runtime.is_file():
        return ""
    return f"there is no runtime at {runtime}; ftsdk puts it there when it starts a job, or FTSDK_RUNTIME names it."


def torch_cuda() -> int:
    """Major CUDA version that torch is built with, read without importing it; 0 for a CPU build."""
    version = Path(sysconfig.get_path("purelib"), "torch", "version.py").read_text()
    found = re.search(r"^cuda\b[^=]*= '(\d+)", version, re.MULTILINE)
    return int(found[1]) if found else 0


def driver_cuda() -> tuple[int, int] | None:
    """CUDA version that the driver can run; None if its library is not in the container."""
    version = ctypes.c_int(0)
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return None
    return version.value // 1000, version.value % 1000 // 10


def driver_problem(needed: int, driver: tuple[int, int] | None) -> str:
    """Why a machine with a GPU cannot run this torch, or an empty string; torch would take the CPU without a word."""
    if driver is None:
        return "there is a GPU but no driver library in the container; start it with the NVIDIA container runtime."
    if driver[0] >= needed:
        return ""
    return (
        f"the machine's NVIDIA driver runs CUDA {driver[0]}.{driver[1]} and this image needs CUDA {needed} "
        f"(driver {DRIVERS.get(needed, 'newer')} or newer); update the driver or use the image built with TORCH=cuda12."
    )


def main() -> None:
    """Replace this process by the supervisor, or say why that is not possible."""
    runtime = Path(os.environ.get("FTSDK_RUNTIME", "/ftsdk/runtime.pyz"))
    problem = runtime_problem(runtime)
    if not problem and Path("/dev/nvidiactl").exists() and (needed := torch_cuda()):
        problem = driver_problem(needed, driver_cuda())
    if problem:
        print(f"ftsdk: {problem}", file=sys.stderr)
        sys.exit(EXIT_CONTRACT)
    os.execv(sys.executable, [sys.executable, "-I", str(runtime), "supervise", *sys.argv[1:]])


if __name__ == "__main__":
    main()
