"""Install locks into the environment of the interpreter that runs this: `python install.py lf rl [--torch auto]`.

The same program fills the image (Dockerfile) and `.venv` (`make setup`). Locks are complete, so nothing is resolved:
every pip call has --no-deps, and no dependency can pull gigabytes of CUDA onto a machine without a GPU.
`locks/NAME.txt` is for a CPU; `locks/NAME-cuda.txt` and `locks/NAME-cuda12.txt` are the same versions and a CUDA torch.
A lock of OVERLAYS goes into a folder of its own, `PREFIX/overlays/NAME`, which is on the path for some jobs only.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
CPU_INDEX: Final = "https://download.pytorch.org/whl/cpu"
TORCH: Final = {
    # Off Linux the plain wheel is the CPU wheel, and PyTorch's index has no "+cpu" for macOS.
    "cpu": "2.13.0+cpu" if sys.platform == "linux" else "2.13.0",
    "cuda": "2.13.0",
    "cuda12": "2.10.0",
}
OVERLAYS: Final = ("rl",)
"""Locks that are laid over an environment that has lf; they hold no torch, so one file does for every build of it."""
CUDA_OF: Final = {"cuda": 13, "cuda12": 12}
"""Major CUDA version that each torch wheel on PyPI is built with: what the driver must be able to run."""


def driver_cuda() -> int:
    """Major CUDA version that this machine's NVIDIA driver can run; 0 without a driver."""
    try:
        library = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return 0
    version = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(version))
    return version.value // 1000


def choose_torch(wanted: str, cuda: int) -> str:
    """`wanted`, or for `auto` the newest build that the driver's CUDA version can run."""
    if wanted != "auto":
        return wanted
    return next((name for name, needed in CUDA_OF.items() if cuda >= needed), "cpu")


def lock_file(name: str, torch: str) -> Path:
    """The lock of this name for this build of torch."""
    return HERE / "locks" / (f"{name}.txt" if torch == "cpu" else f"{name}-{torch}.txt")


def read_pins(lock: str) -> dict[str, str]:
    """Package -> version of every line that holds on all machines (no environment marker)."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==(\S+)$", lock, re.MULTILINE))


def installed(folder: Path | None = None) -> dict[str, str]:
    """Package -> version in this environment, or in a folder of packages, by normalised name (PEP 503)."""
    found = metadata.distributions(path=[str(folder)]) if folder else metadata.distributions()
    return {re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower(): package.version for package in found}


def missing(pins: dict[str, str], present: dict[str, str]) -> list[str]:
    """Pins that the environment does not meet."""
    return [f"{name}=={version}" for name, version in pins.items() if present.get(name) != version]


def pip(*arguments: str) -> bool:
    """Install without dependencies, showing pip's own progress; False if pip failed."""
    # Bytecode: Python writes it on the first import, and the Dockerfile compiles what it keeps, on all cores.
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile", *arguments]
    return subprocess.run(command, check=False).returncode == 0


def install_torch(torch: str) -> bool:
    """torch comes first: from what pip already sees, for a CPU then from PyTorch's own index."""
    # "===" keeps a "+cpu" wheel that pip may see from standing in for the CUDA one.
    wanted = f"torch==={TORCH[torch]}"
    return pip(wanted) or (torch == "cpu" and pip(wanted, "--index-url", CPU_INDEX))


def install_torchaudio_stub() -> None:
    """Put the stub where torchaudio would be, unless something is there already (torchaudio_stub says why)."""
    target = Path(sysconfig.get_path("purelib"), "torchaudio")
    if not target.exists():
        shutil.copytree(HERE / "torchaudio_stub" / "torchaudio", target)


def install_environment(lock: Path, torch: str) -> bool:
    """The environment's own packages, torch among them; False if pip failed."""
    pins = read_pins(lock.read_text()) | {"torch": TORCH[torch]}
    if missing(pins, installed()):
        print(f"install: {lock.stem}: torch {TORCH[torch]} and {len(pins) - 1} packages into {sys.prefix}", flush=True)
        if not (install_torch(torch) and pip("-r", str(lock))):
            return False
    install_torchaudio_stub()
    return True


def install_overlay(lock: Path) -> bool:
    """A folder of packages beside the environment's own, made anew unless it meets the lock; False if pip failed."""
    folder = Path(sys.prefix, "overlays", lock.stem)
    pins = read_pins(lock.read_text())
    if not missing(pins, installed(folder)):
        return True
    print(f"install: {lock.stem}: {len(pins)} packages into {folder}", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return pip("--target", str(folder), "-r", str(lock))


def write_sbom(file: Path) -> None:
    """Write a CycloneDX 1.6 document of what is installed, overlays included (https://cyclonedx.org/docs/1.6/json/)."""
    overlays = sorted(Path(sys.prefix, "overlays").glob("*"))
    present = [pair for folder in (None, *overlays) for pair in installed(folder).items()]
    components = [
        {"type": "library", "name": name, "version": version, "purl": f"pkg:pypi/{name}@{version}"}
        for name, version in sorted(set(present))
    ]
    document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": components}
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    """Install what is missing; 0 if the environment then meets the locks."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("locks", nargs="+", metavar="lock", help="names of locks in locks/, e.g. lf rl")
    parser.add_argument("--torch", choices=["auto", *TORCH], default="auto", help="build of torch (default: auto)")
    parser.add_argument("--sbom", type=Path, metavar="FILE", help="list what is then installed as CycloneDX")
    options = parser.parse_args()
    torch = choose_torch(options.torch, driver_cuda())
    for name in options.locks:
        lock = lock_file(name, "cpu" if name in OVERLAYS else torch)
        if not lock.is_file():
            known = ", ".join(sorted(path.stem for path in lock.parent.glob("*.txt")))
            parser.error(f"there is no {lock}; the locks here are {known}.")
        if not (install_overlay(lock) if name in OVERLAYS else install_environment(lock, torch)):
            print("install: pip failed; its last lines above say why.", file=sys.stderr)
            return 1
    if options.sbom:
        write_sbom(options.sbom)
    return 0


if __name__ == "__main__":
    sys.exit(main())
