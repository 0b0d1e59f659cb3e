"""Does the trainer's interpreter hold a trainer that works? Asked in that interpreter, a few seconds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

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


def checks(python: str) -> Iterator[Check]:
    """The interpreter, torch, LLaMA-Factory, and the combination that a plain pip install breaks on a CPU."""
    try:
        found = _ask(python)
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        yield Check(
            what="python", ok=False, detail=f"{python}: {problem}", remedy="set the local backend's option 'python'"
        )
        return
    versions = found["versions"]
    yield Check(what="python", ok=True, detail=f"{found['python']} ({python})")
    for name in ("torch", "transformers", "llamafactory"):
        there = versions[name] is not None
        yield Check(what=name, ok=there, detail=versions[name] or "not installed", remedy="" if there else MAKE_SETUP)
    sampling = f"TRL {found['rl']}" if found["rl"] else "not here (`make setup` has it); grpo and its family need it"
    yield Check(what="methods that sample answers", ok=True, detail=sampling)
    if versions["torch"]:
        yield _device(found)
        yield from (_broken(name, why, found) for name, why in found["broken"].items())


def _ask(python: str) -> dict[str, Any]:
    run = subprocess.run([python, "-c", _PROBE], capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if run.returncode:
        raise ValueError((run.stderr.strip().splitlines() or ["it does not start"])[-1])
    answer: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
    return answer


def _device(found: dict[str, Any]) -> Check:
    gpus = inspect_machine().accelerators
    if gpus and not found["gpus"]:
        return Check(
            what="accelerator",
            ok=False,
            detail=f"{gpus[0]} is here, but torch {found['versions']['torch']} does not see it",
            remedy="install the CUDA build of torch, or a driver that fits it",
        )
    detail = f"{found['gpus']} × {gpus[0]}" if gpus else f"none: trains on the CPU with {found['threads']} threads"
    return Check(what="accelerator", ok=True, detail=detail)


def _broken(name: str, why: str, found: dict[str, Any]) -> Check:
    """A CUDA-built torchvision or torchaudio beside a CPU torch breaks the import of transformers."""
    if found["cuda"] is None and name in ("torchvision", "torchaudio"):
        remedy = f"pip uninstall {name}: it is built for CUDA and torch is not; then {MAKE_SETUP}"
    else:
        remedy = MAKE_SETUP
    return Check(what=f"{name} works", ok=False, detail=why, remedy=remedy)
