"""The lineage record that is stored with a model: what the launcher passed, and what only the job can know."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, cast

from ftsdk import contract
from ftsdk.contract.documents import Claim, Clock, JobDocument
from ftsdk.contract.lineage import LINEAGE_FORMAT, AttemptSummary, LineageRecord, Machine, ModelFile
from ftsdk.contract.release import __version__
from ftsdk.runtime.checkpoints.checkpoints import Identity
from ftsdk.runtime.storage.durable import Durable

PACKAGES = (
    "torch", "transformers", "llamafactory", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors",
    "deepspeed", "bitsandbytes", "flash-attn", "liger-kernel", "vllm",
)  # fmt: skip
NVIDIA_SMI_TIMEOUT_S = 20.0


def lineage(
    document: JobDocument,
    identity: Identity,
    durable: Durable,
    *,
    step: int | None,
    metrics: Mapping[str, object],
) -> LineageRecord:
    """The record of the model that has just been stored, but for its COMMIT. Raises OSError where storage fails."""
    attempts = [_attempt(durable, number) for number in range(1, identity.attempt + 1)]
    known = LineageRecord(
        format=LINEAGE_FORMAT,
        name=document["name"],
        base_model=document["base_model"],
        digest=document["digest"],
        backend=document["backend"],
        seed=_seed(document["config"]),
        num_nodes=document["num_nodes"],
        processes_per_node=document["nproc_per_node"],
        versions=versions(),
        machine=machine(),
        attempts=attempts,
        hours=sum(attempt["seconds"] for attempt in attempts) / 3600,
        cost_usd=_cost_usd(attempts),
        step=step,
        metrics=dict(metrics),
        files=_files(durable),
        finished_at=time.time(),
    )
    origin: dict[str, object] = dict(document.get("origin", {}))
    return cast(LineageRecord, {"inputs": origin.pop("files", []), **origin, **known})


def versions() -> dict[str, str]:
    """Versions of Python, ftsdk's runtime and the packages that a training uses, as far as they are installed."""
    installed = {"python": platform.python_version(), "ftsdk": __version__}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            installed[name] = version(name)
    return installed


def machine() -> Machine:
    """This machine, without anything that names it."""
    return Machine(
        platform=f"{platform.system()} {platform.machine()}",
        processor=_processor(),
        cpus=os.cpu_count() or 0,
        memory_gb=_memory_gb(),
        accelerators=_accelerators(),
    )


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (ValueError, OSError, AttributeError):
        return None


def _accelerators() -> list[str]:
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=NVIDIA_SMI_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _seed(config: Mapping[str, object]) -> int | None:
    inner = config.get("arguments")
    seed = (inner if isinstance(inner, Mapping) else config).get(
        "seed", 42
    )  # the default of transformers' TrainingArguments
    return seed if isinstance(seed, int) else None


def _attempt(durable: Durable, number: int) -> AttemptSummary:
    claim: Claim = _json(durable, contract.claim_key(number))
    clock: Clock = _json(durable, contract.clock_key(number, 0))
    last_start_s = max(0.0, clock.get("alive_at", 0.0) - clock.get("started_at", 0.0))
    return AttemptSummary(
        number=number,
        started_at=claim.get("time"),
        seconds=round(clock.get("ran_s", 0.0) + last_start_s, 3),
        spot=bool(claim.get("spot")),
        usd_per_hour=claim.get("usd_per_hour"),
        why=str(claim.get("why", "")),
    )


def _cost_usd(attempts: list[AttemptSummary]) -> float | None:
    costs = [a["usd_per_hour"] * a["seconds"] / 3600 for a in attempts if a["usd_per_hour"] is not None]
    return round(sum(costs), 6) if len(costs) == len(attempts) else None


def _files(durable: Durable) -> dict[str, ModelFile]:
    manifest = _json(durable, f"{contract.MODEL_DIR}/{contract.manifest_key(0)}")
    return {name: ModelFile(bytes=size, sha256=digest) for name, (size, digest) in manifest.get("files", {}).items()}


def _json(durable: Durable, key: str) -> Any:
    try:
        data = json.loads(durable.read(key))
    except (FileNotFoundError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
