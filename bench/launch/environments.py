"""Who is compared: every peer in a separate virtual environment, made on first use from the package index."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = ROOT / "build" / "bench"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A launcher to compare with."""

    name: str
    requirements: tuple[str, ...]
    face: str
    """The import that its users write."""
    package: str = ""
    """The bare import, where that is another thing."""
    command: str | None = None
    """Its command line, if it has one."""


OURS = Peer(name="ftsdk", requirements=(), face="from ftsdk import Estimator", package="import ftsdk", command="ftsdk")
PEERS = (
    Peer(name="submitit", requirements=("submitit",), face="import submitit"),
    Peer(name="torchx", requirements=("torchx",), face="from torchx.runner import get_runner", command="torchx"),
    Peer(
        name="nemo-run",
        requirements=("nemo-run", "leptonai==0.27.3"),  # it asks for no upper bound and breaks with later ones
        face="import nemo_run",
        command="nemo",
    ),
    Peer(name="skypilot", requirements=("skypilot[aws]",), face="import sky", command="sky"),
    Peer(
        name="sagemaker",
        requirements=("sagemaker",),
        face="from sagemaker.train import ModelTrainer",
        package="import sagemaker",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A peer, installed."""

    peer: Peer
    python: Path
    version: str
    packages: int
    """Installed distributions, pip and the like not counted."""
    size_mb: float
    """Disk blocks of the environment less those of an empty one, in 10^6 bytes."""

    @property
    def name(self) -> str:
        """The peer's name."""
        return self.peer.name

    def script(self, name: str) -> Path:
        """A command that was installed with it."""
        return self.python.parent / name


def ours(extra: str = "") -> Environment:
    """ftsdk as a user installs it: `pip install .` of this checkout, installed again so that it is current."""
    folder = f"{OURS.name}-{extra}" if extra else OURS.name
    shutil.rmtree(CACHE / folder, ignore_errors=True)
    return _installed(OURS, (f"{ROOT}[{extra}]" if extra else str(ROOT),), folder)


def here() -> Environment:
    """ftsdk as this very interpreter has it."""
    from ftsdk.contract.release import __version__

    return Environment(peer=OURS, python=Path(sys.executable), version=__version__, packages=0, size_mb=0.0)


def of(peer: Peer) -> Environment:
    """The peer's environment; made if it is not there."""
    return _installed(peer, peer.requirements)


def _installed(peer: Peer, requirements: tuple[str, ...], name: str = "") -> Environment:
    folder, empty = made(name or peer.name, requirements), made("empty", ())
    versions = _distributions(folder)
    return Environment(
        peer=peer,
        python=folder / "bin" / "python",
        version=versions[peer.name],
        packages=len(versions.keys() - _distributions(empty).keys()),
        size_mb=(_disk_bytes(folder) - _disk_bytes(empty)) / 1e6,
    )


def made(name: str, requirements: tuple[str, ...]) -> Path:
    """Folder of the environment of this name; made unless it is there and complete."""
    folder = CACHE / name
    if not (folder / "complete").is_file():
        print(f"bench: installing {', '.join(requirements) or 'nothing'} in {folder}", file=sys.stderr, flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        if requirements:
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements]
            subprocess.run(pip, check=True, stdout=sys.stderr)
        (folder / "complete").touch()
    return folder


def _distributions(folder: Path) -> dict[str, str]:
    python = folder / "bin" / "python"
    listed = subprocess.run([python, "-m", "pip", "list", "--format=json"], check=True, capture_output=True)
    return {entry["name"].lower().replace("_", "-"): entry["version"] for entry in json.loads(listed.stdout)}


def _disk_bytes(folder: Path) -> int:
    return sum(
        os.lstat(os.path.join(where, name)).st_blocks * 512  # noqa: PTH118 - hundreds of thousands of files
        for where, _, names in os.walk(folder)
        for name in names
    )
