"""Which NVIDIA driver a job needs on a machine type of DLC, and which ones it can have. Pure.

The CUDA version is read from the image's tag, as `ftsdk image build` names it (`…-cuda`, `…-cuda12`). Least drivers:
CUDA release notes, table "CUDA Toolkit and Corresponding Driver Versions": 580 for CUDA 13, 525 for CUDA 12.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ftsdk.backends.pai.shapes import CreateJob, EcsSpec
from ftsdk.facts.platforms import KnownPlatform, MachineDrivers

LEAST_DRIVERS: Final[Mapping[str, int]] = {"cuda": 580, "cuda12": 525}
"""Torch build in the image's tag -> the least major version of the driver."""


def least_driver(image: str | None) -> int:
    """The least major version of the driver for an image; 0 if its tag does not say."""
    match = re.search(r"[-_:](cuda\d*)$", (image or "").partition("@")[0])
    return LEAST_DRIVERS.get(match[1], 0) if match else 0


def of_machines(rows: Iterable[EcsSpec]) -> dict[str, MachineDrivers]:
    """Drivers of each machine type in ListEcsSpecs' rows, as they are kept."""
    return {
        row["InstanceType"]: {"default": row["DefaultGPUDriver"], "supported": row.get("SupportedGPUDrivers") or []}
        for row in rows
        if row.get("DefaultGPUDriver")
    }


def needed_driver(known: KnownPlatform, ecs_spec: str | None, image: str | None) -> str | None:
    """The oldest supported driver that is new enough; None if the default one is, if none is, or if it is unknown."""
    machine = known.get("drivers", {}).get(ecs_spec or "")
    least = least_driver(image)
    if machine is None or _major(machine["default"]) >= least:
        return None
    return min((one for one in machine["supported"] if _major(one) >= least), key=_version, default=None)


def problem(known: KnownPlatform, ecs_spec: str | None, image: str | None, given: str | None = None) -> str:
    """A sentence if the driver that the job gets cannot run the image's CUDA version; else an empty string."""
    machine = known.get("drivers", {}).get(ecs_spec or "")
    driver = given or needed_driver(known, ecs_spec, image) or (machine["default"] if machine else "")
    least = least_driver(image)
    if not driver or _major(driver) >= least:
        return ""
    return (
        f"{ecs_spec} has the NVIDIA driver {driver} and the image {image} needs {least} or newer: "
        f"use an image of `ftsdk image build --torch cuda12` or another machine type."
    )


def warnings(known: KnownPlatform, request: CreateJob) -> tuple[str, ...]:
    """The problem with the driver of a request, if there is one."""
    worker = request["JobSpecs"][0]
    sentence = problem(known, worker.get("EcsSpec"), worker["Image"], request["Settings"].get("Driver"))
    return (sentence,) if sentence else ()


def _major(driver: str) -> int:
    return _version(driver)[0]


def _version(driver: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", driver))) or (0,)
