"""The Slurm cluster and the SkyPilot that tests/setup/slurm.sh brings up on this machine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

BASE = Path(os.environ.get("FTSDK_SLURM_BASE", "/var/lib/ftsdk-slurm"))
PORT = 46527
API_SERVER = f"http://127.0.0.1:{PORT}"
PYTHON = BASE / "venv" / "bin" / "python"
"""Has SkyPilot."""
INFRA = "slurm/ftlocal"
SPOT = f"{INFRA}/spot"
"""A partition whose jobs are cancelled as soon as the default partition needs their nodes."""
ENVIRONMENT = {
    "HOME": str(BASE / "home"),
    "SKYPILOT_API_SERVER_LOCAL_PORT": str(PORT),
    "SKYPILOT_API_SERVER_ENDPOINT": API_SERVER,
    "SKYPILOT_DISABLE_USAGE_COLLECTION": "1",
    "SLURM_CONF": str(BASE / "slurm.conf"),
}
"""What makes SkyPilot's and Slurm's programs talk to these."""


def ask(*argv: str) -> str:
    """What one of Slurm's programs says."""
    run = subprocess.run(argv, env={**os.environ, **ENVIRONMENT}, capture_output=True, text=True, check=True)
    return run.stdout


def nodes_up() -> bool:
    """Whether both nodes take jobs."""
    try:
        return len(ask("sinfo", "-h", "-N", "-p", "dev", "-t", "idle,alloc,mix", "-o", "%N").split()) == 2
    except (OSError, subprocess.CalledProcessError):
        return False
