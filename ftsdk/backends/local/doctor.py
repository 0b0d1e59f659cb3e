"""Check the trainer's interpreter, by a script that runs in it for a few seconds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import TypedDict

from ftsdk.backends.base import Check
from ftsdk.facts.machine import inspect_machine

TIMEOUT_S = 120
MAKE_SETUP = "run `make setup` in a checkout, or pip install 'ftsdk[train]' on a CUDA machine"

_PROBE = """
import importlib, importlib.metadata as m, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
def broken(name):
    try: importlib.import_module(name)
    except Exception as e: return f"{type(e).__name__}: {e}".splitlines()[0][:200]
names = ("torch", "transformers", "llamafactory", "peft", "trl", "torchvision", "torchaudio", "bitsandbytes")
out = {"python": sys.version.split()[0], "versions": {n: version(n) for n in names}}
out["rl"] = next((d.version for d in m.distributions(name="trl", path=[sys.prefix + "/overlays/rl"])), None)
if out["versions"]["torch"]:
    import torch
    out["cuda"], out["gpus"], out["threads"] = torch.version.cuda, torch.cuda.device_count(), torch.get_num_threads()
    installed = [n for n in ("torchvision", "torchaudio", "transformers") if out["versions"][n]]
    out["broken"] = {n: b for n in installed if (b := broken(n))}
print("\\n" + json.dumps(out))
"""


class Installed(TypedDict):
    """Result of the probe."""

    python: str
    versions: dict[str, str | None]
    rl: str | None
    """Version of the TRL overlay."""
    cuda: str | None
    """CUDA version of torch; this and the following are absent without torch."""
    gpus: int
    threads: int
    broken: dict[str, str]


def checks(python: str) -> Iterator[Check]:
    """The interpreter, torch, LLaMA-Factory, and the combination that a plain pip install breaks on a CPU."""
    try:
        installed = _query(python)
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        yield Check(
            what="python", ok=False, detail=f"{python}: {problem}", remedy="set the local backend's option 'python'"
        )
        return
    versions = installed["versions"]
    yield Check(what="python", ok=True, detail=f"{installed['python']} ({python})")
    for name in ("torch", "transformers", "llamafactory"):
        is_installed = versions[name] is not None
        yield Check(
            what=name,
            ok=is_installed,
            detail=versions[name] or "not installed",
            remedy="" if is_installed else MAKE_SETUP,
        )
    sampling = (
        f"TRL {installed['rl']}" if installed["rl"] else "not here (`make setup` has it); grpo and its family need it"
    )
    yield Check(what="methods that sample answers", ok=True, detail=sampling)
    if versions["torch"]:
        yield _device(installed)
        yield from (_broken(name, why, installed) for name, why in installed["broken"].items())


def _query(python: str) -> Installed:
    run = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if run.returncode:
        raise ValueError((run.stderr.strip().splitlines() or ["it does not start"])[-1])
    answer: Installed = json.loads(run.stdout.strip().splitlines()[-1])
    return answer


def _device(installed: Installed) -> Check:
    gpus = inspect_machine().accelerators
    if gpus and not installed["gpus"]:
        return Check(
            what="accelerator",
            ok=False,
            detail=f"{gpus[0]} is here, but torch {installed['versions']['torch']} does not see it",
            remedy="install the CUDA build of torch, or a driver that fits it",
        )
    detail = (
        f"{installed['gpus']} × {gpus[0]}" if gpus else f"none: trains on the CPU with {installed['threads']} threads"
    )
    return Check(what="accelerator", ok=True, detail=detail)


def _broken(name: str, why: str, installed: Installed) -> Check:
    """A CUDA-built torchvision or torchaudio beside a CPU torch breaks the import of transformers."""
    if installed["cuda"] is None and name in ("torchvision", "torchaudio"):
        remedy = f"pip uninstall {name}: it is built for CUDA and torch is not; then {MAKE_SETUP}"
    else:
        remedy = MAKE_SETUP
    return Check(what=f"{name} works", ok=False, detail=why, remedy=remedy)
