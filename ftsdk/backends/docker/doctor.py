"""Check what the docker backend needs on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from ftsdk.backends import image_contents
from ftsdk.backends.base import Check
from ftsdk.backends.docker import command
from ftsdk.errors import BackendError
from ftsdk.facts.machine import inspect_machine


def checks(program: str, image_for: Callable[[tuple[str, ...]], str]) -> Iterator[Check]:
    """The daemon behind the docker program, the image, and the way to the GPUs where there are some."""
    gpus = inspect_machine().accelerators
    try:
        version = command.ask([program, "version", "--format", "{{.Server.Version}}"]).strip()
    except BackendError as problem:
        yield Check(what="daemon", ok=False, detail="no answer", remedy=str(problem))
        return
    yield Check(what="daemon", ok=True, detail=f"version {version}")
    yield _image(program, image_for(gpus))
    if gpus:
        yield _gpus(program, len(gpus))


def _image(program: str, image: str) -> Check:
    try:
        shown = command.ask([program, "image", "inspect", "--format", "{{.Size}} {{json .Config.Labels}}", image])
    except BackendError as problem:
        return Check(what="image", ok=False, detail=f"{image} is not here", remedy=str(problem))
    size, _, labels = shown.strip().partition(" ")
    image_contents.remember(image, json.loads(labels))
    return Check(what="image", ok=True, detail=f"{image} ({int(size) / 1e9:.1f} GB)")


def _gpus(program: str, count: int) -> Check:
    """Docker gives GPUs to containers through NVIDIA's runtime or through CDI; both show in `docker info`."""
    ways = command.ask([program, "info", "--format", "{{json .}}"]).lower()
    if "nvidia" in ways:
        return Check(what="GPUs", ok=True, detail=f"{count}, through the NVIDIA Container Toolkit")
    remedy = "install the NVIDIA Container Toolkit, then restart Docker"
    return Check(
        what="GPUs", ok=False, detail=f"{count} here, but Docker cannot give them to containers", remedy=remedy
    )
