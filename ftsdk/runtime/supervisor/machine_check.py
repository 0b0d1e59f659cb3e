"""Checks in the first seconds of a job, whatever image and entry point were used: the driver and the packages.

A job that cannot run on its machine would otherwise fail after the model was downloaded, or take the CPU silently.
"""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path
from typing import NamedTuple

from ftsdk.contract.documents import JobDocument
from ftsdk.contract.packages import required
from ftsdk.runtime.overlays import OVERLAYS, overlay

DRIVERS = {12: "R525", 13: "R580"}
"""Oldest NVIDIA driver for each major CUDA version (NVIDIA's CUDA compatibility guide)."""
GPU_DEVICE = Path("/dev/nvidiactl")
COMPAT = Path("/usr/local/cuda/compat")
"""Where the Dockerfile puts cuda-compat."""
TRY_DRIVER = """
import ctypes, sys
library, version = ctypes.CDLL("libcuda.so.1"), ctypes.c_int(0)
library.cuDriverGetVersion(ctypes.byref(version))
print(version.value)
sys.exit(library.cuInit(0) != 0)
"""
"""In a process of its own: a library that is loaded stays."""
TRY_S = 60.0


class MachineProblem(NamedTuple):
    """Why this machine or image cannot run the job, and what to do."""

    message: str
    hint: str


def machine_problem(document: JobDocument, python_path: str = "") -> MachineProblem | None:
    """The first reason why the job cannot run here; None if there is none.

    `python_path` is the trainer's PYTHONPATH.
    """
    needed = torch_cuda()
    if needed and GPU_DEVICE.exists() and (problem := driver_problem(needed, driver_cuda())):
        return None if compat_folder(needed) else problem
    mlflow = document.get("trackers", {}).get("mlflow")
    return package_problem(document["trainer"], document["config"], python_path, mlflow["uri"] if mlflow else None)


def torch_cuda() -> int:
    """Major CUDA version that torch is built with, read without importing it; 0 for a CPU build or without torch."""
    try:
        version = Path(sysconfig.get_path("purelib"), "torch", "version.py").read_text()
    except OSError:
        return 0
    match = re.search(r"^cuda\b[^=]*= '(\d+)", version, re.MULTILINE)
    return int(match[1]) if match else 0


def driver_cuda() -> tuple[int, int] | None:
    """CUDA version that the driver can run; None if its library is not in the container."""
    version = ctypes.c_int(0)
    try:
        ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(version))
    except OSError:
        return None
    return version.value // 1000, version.value % 1000 // 10


@cache
def compat_folder(needed: int) -> Path | None:
    """Where NVIDIA's cuda-compat lies, if the driver is older than the image's CUDA and runs it with that.

    It works on data centre GPUs with some branches of the driver (NVIDIA, "CUDA Compatibility"), so it is tried.
    """
    driver = driver_cuda()
    if driver is None or driver[0] >= needed or not (COMPAT / "libcuda.so.1").exists():
        return None
    tried = subprocess.run(
        [sys.executable, "-c", TRY_DRIVER],
        env={**os.environ, "LD_LIBRARY_PATH": str(COMPAT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=TRY_S,
    )
    return COMPAT if tried.returncode == 0 and int(tried.stdout or 0) // 1000 >= needed else None


def compat_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables by which the trainer finds cuda-compat before the driver's own library, where it is needed."""
    needed = torch_cuda()
    folder = compat_folder(needed) if needed and GPU_DEVICE.exists() else None
    if folder is None:
        return {}
    return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, (str(folder), environ.get("LD_LIBRARY_PATH"))))}


def driver_problem(needed: int, driver: tuple[int, int] | None) -> MachineProblem | None:
    """Why a machine with a GPU cannot run this torch; torch itself would take the CPU silently."""
    if driver is None:
        return MachineProblem(
            "There is a GPU but no driver library in the container.", "Start it with the NVIDIA container runtime."
        )
    if driver[0] >= needed:
        return None
    return MachineProblem(
        f"The machine's NVIDIA driver runs CUDA {driver[0]}.{driver[1]}, and the image's torch needs CUDA {needed} "
        f"(driver {DRIVERS.get(needed, 'newer')} or newer).",
        "Use the image of `ftsdk image build --torch cuda12` (SageMaker: -o torch=cuda12), or a machine "
        "with a newer driver.",
    )


def package_problem(
    trainer: str, config: Mapping[str, object], python_path: str = "", mlflow_uri: str | None = None
) -> MachineProblem | None:
    """A package that the trainer's arguments need and the image lacks."""
    folders = [str(overlay(OVERLAYS[trainer]))] if trainer in OVERLAYS else []
    path = [*filter(None, python_path.split(os.pathsep)), *folders, *sys.path]
    for row in required(config, mlflow_uri):
        if PathFinder.find_spec(row.module, path) is None:
            return MachineProblem(
                f"{row.argument} needs the package {row.package}, which this image does not have.",
                f"Use an image that has {row.package}, or leave {row.argument} out.",
            )
    return None
