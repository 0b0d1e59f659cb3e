"""The Slurm cluster and the SkyPilot that tests/setup/slurm.sh starts on this machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

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


SKY_UP = """
import json, sys, sky
name, task = json.load(sys.stdin)
sky.stream_and_get(sky.launch(sky.Task.from_yaml_config(task), cluster_name=name), output_stream=sys.stderr)
"""
SKY_DOWN = """
import json, sys, sky
name = json.load(sys.stdin)
if sky.get(sky.status([name])):
    sky.get(sky.down(name))
"""
SKY_QUEUE = "import json, sys, sky; print(sky.get(sky.queue(json.load(sys.stdin))))"


def sky(code: str, asked: object) -> str:
    """Run a few lines of Python with SkyPilot; they read `asked` as JSON from stdin."""
    environment = {**os.environ, **ENVIRONMENT}
    run = subprocess.run(
        [PYTHON, "-c", code], input=json.dumps(asked), env=environment, text=True, stdout=-1, check=True
    )
    return run.stdout


def sky_up(name: str, task: dict[str, object]) -> str:
    """Bring a SkyPilot cluster up and wait for it; returns its name."""
    sky(SKY_UP, [name, task])
    return name


def sky_down(name: str) -> None:
    """Take it down, if it is up."""
    sky(SKY_DOWN, name)


def sky_queue(name: str) -> str:
    """All that its queue shows."""
    return sky(SKY_QUEUE, name)


def is_gone(name: str, *, within_s: float) -> bool:
    """Whether a SkyPilot cluster's allocation ends by itself."""
    ends = time.monotonic() + within_s
    while time.monotonic() < ends:
        if not any(row.startswith(name[:20]) for row in ask("squeue", "-h", "-o", "%j").split()):
            return True
        time.sleep(1)
    return False


def ask_sky(code: str) -> Any:
    """The JSON that a few lines of Python with SkyPilot print."""
    return json.loads(sky(code, None))
