"""What is special inside a SageMaker training job: who is in the cluster, and what the platform reads at the end.

Source: SageMaker developer guide, "How Amazon SageMaker AI provides training information", "… processes training
output". The folder /opt/ml is the platform's.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftsdk.runtime.platforms.cluster import Cluster

ROOT = Path("/opt/ml")
FAILURE_LETTERS = 1024
"""So much of the failure file becomes the job's FailureReason."""
HOSTS_WITHIN_S, AGAIN_AFTER_S = 600.0, 1.0
"""Nodes start minutes apart; a host's name cannot be resolved before it is there."""


def is_here(environ: Mapping[str, str]) -> bool:
    """Whether this is a SageMaker training job."""
    return "TRAINING_JOB_ARN" in environ


def read_cluster(root: Path = ROOT) -> Cluster:
    """The cluster that resourceconfig.json describes; waits until the first host's name can be resolved.

    Raises ValueError if it cannot be read or the host never comes.
    """
    told = _resources(root)
    hosts = sorted(told["hosts"], key=lambda host: (len(host), host))  # algo-2 before algo-10
    if len(hosts) > 1:
        _wait_for(hosts[0])
    return Cluster(len(hosts), hosts.index(told["current_host"]), hosts[0] if len(hosts) > 1 else "127.0.0.1")


def network(root: Path = ROOT) -> dict[str, str]:
    """The interface on which nodes reach each other, for NCCL and gloo."""
    with contextlib.suppress(ValueError, KeyError):
        told = _resources(root)
        if len(told["hosts"]) > 1:
            return {f"{library}_SOCKET_IFNAME": told["network_interface_name"] for library in ("NCCL", "GLOO")}
    return {}


def leave_failure(text: str, root: Path = ROOT) -> None:
    """Tell the platform why; a folder that cannot be written changes nothing."""
    with contextlib.suppress(OSError):
        (root / "output").mkdir(parents=True, exist_ok=True)
        (root / "output" / "failure").write_text(text[:FAILURE_LETTERS], encoding="utf-8")


def leave_model(files: Mapping[str, Path], root: Path = ROOT) -> None:
    """Put the published files where the platform uploads a job's model from, for its own tools. Raises OSError."""
    import shutil

    for name, source in files.items():
        target = root / "model" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(source)
        except OSError:  # another disk
            shutil.copyfile(source, target)


def _resources(root: Path) -> dict[str, Any]:
    path = root / "input" / "config" / "resourceconfig.json"
    try:
        told: dict[str, Any] = json.loads(path.read_bytes())
        return {"hosts": [told["current_host"]], "network_interface_name": "eth0", **told}
    except (OSError, ValueError, KeyError) as problem:
        raise ValueError(f"{path} cannot be read: {problem!r}") from None


def _wait_for(host: str) -> None:
    import socket

    deadline = time.monotonic() + HOSTS_WITHIN_S
    while True:
        try:
            socket.getaddrinfo(host, None)
        except OSError as problem:
            if time.monotonic() > deadline:
                raise ValueError(f"host {host} cannot be resolved: {problem}") from None
            time.sleep(AGAIN_AFTER_S)
        else:
            return
