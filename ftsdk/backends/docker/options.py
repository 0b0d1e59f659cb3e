"""Options of the docker backend."""

from __future__ import annotations

import os

from pydantic import Field

from ftsdk.backends.options import Options


def _caller() -> str | None:
    """`uid:gid` of this process where the system has user ids."""
    return f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else None


class DockerOptions(Options):
    """Options of the docker backend."""

    image: str | None = None
    """Image that holds the trainer and a `python`; what `ftsdk image build` makes if left out."""
    user: str | None = Field(default_factory=_caller)
    """UID:GID in the container, so that outputs are yours; you if left out, the image's own user if empty."""
    shm_size_gb: float = Field(default=8.0, gt=0)
    """Upper limit of shared memory, through which data loaders and NCCL pass tensors, in gigabytes."""
    grace_s: float = Field(default=30.0, ge=0)
    """Seconds that a cancelled job has for saving its state."""
    restarts: int = Field(default=2, ge=0)
    """How often Docker starts a crashed container again; it goes on from the last checkpoint."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port of a deployment on this machine's loopback; 0 takes a free one."""
    program: str = "docker"
    """The docker command, e.g. `podman` or a path."""
