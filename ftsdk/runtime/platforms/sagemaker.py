"""SageMaker training jobs from the inside: the cluster's description, and the files that the platform reads at the end.

Source: SageMaker developer guide, "How Amazon SageMaker AI provides training information", "… processes training
output". The folder /opt/ml is the platform's.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TypedDict

from ftsdk.runtime.platforms.cluster import Cluster

ROOT = Path("/opt/ml")
FAILURE_CHARACTERS = 1024
"""The part of the failure file that becomes the job's FailureReason."""
HOST_TIMEOUT_S, HOST_POLL_S = 600.0, 1.0
"""Nodes start minutes apart; a host's name cannot be resolved before it has started."""


class ResourceConfig(TypedDict):
    """What SageMaker writes into resourceconfig.json, as far as it is read."""

    current_host: str
    hosts: list[str]
    network_interface_name: str


def is_here(environ: Mapping[str, str]) -> bool:
    """Whether this is a SageMaker training job."""
    return "TRAINING_JOB_ARN" in environ


def read_cluster(root: Path = ROOT) -> Cluster:
    """The cluster that resourceconfig.json describes; waits until the first host's name can be resolved.

    Raises ValueError if the file cannot be read, or the host's name cannot be resolved within `HOST_TIMEOUT_S`.
    """
    resources = _resources(root)
    hosts = sorted(resources["hosts"], key=lambda host: (len(host), host))  # algo-2 before algo-10
    if len(hosts) > 1:
        _wait_for(hosts[0])
    return Cluster(len(hosts), hosts.index(resources["current_host"]), hosts[0] if len(hosts) > 1 else "127.0.0.1")


def network(root: Path = ROOT) -> dict[str, str]:
    """Variables that name the network interface between the nodes, for NCCL and gloo."""
    with contextlib.suppress(ValueError, KeyError):
        resources = _resources(root)
        if len(resources["hosts"]) > 1:
            return {f"{library}_SOCKET_IFNAME": resources["network_interface_name"] for library in ("NCCL", "GLOO")}
    return {}


def write_failure(text: str, root: Path = ROOT) -> None:
    """Write the platform's failure file; ignores a folder that cannot be written."""
    with contextlib.suppress(OSError):
        (root / "output").mkdir(parents=True, exist_ok=True)
        (root / "output" / "failure").write_text(text[:FAILURE_CHARACTERS], encoding="utf-8")


def copy_model(files: Mapping[str, Path], root: Path = ROOT) -> None:
    """Copy the published files to the folder that the platform uploads as the job's model. Raises OSError."""
    import shutil

    for name, source in files.items():
        target = root / "model" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:  # another disk
            shutil.copyfile(source, target)


def _resources(root: Path) -> ResourceConfig:
    path = root / "input" / "config" / "resourceconfig.json"
    try:
        resources: ResourceConfig = json.loads(path.read_bytes())
        return {"hosts": [resources["current_host"]], "network_interface_name": "eth0", **resources}
    except (OSError, ValueError, KeyError) as problem:
        raise ValueError(f"{path} cannot be read: {problem!r}") from None


def _wait_for(host: str) -> None:
    import socket

    deadline = time.monotonic() + HOST_TIMEOUT_S
    while True:
        try:
            socket.getaddrinfo(host, None)
        except OSError as problem:
            if time.monotonic() > deadline:
                raise ValueError(f"host {host} cannot be resolved: {problem}") from None
            time.sleep(HOST_POLL_S)
        else:
            return
