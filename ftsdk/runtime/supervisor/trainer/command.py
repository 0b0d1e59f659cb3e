"""The trainer's command line and environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from ftsdk import contract
from ftsdk.contract.documents import JobDocument
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.logs import reporters
from ftsdk.runtime.overlays import OVERLAYS, overlay
from ftsdk.runtime.platforms.cluster import NOT_FOR_TRAINERS
from ftsdk.runtime.supervisor import machine_check
from ftsdk.runtime.supervisor.hangs import flight_recorder
from ftsdk.runtime.supervisor.start import StartConfiguration
from ftsdk.runtime.supervisor.trainer import trackers

ARCHIVE = str(Path(sys.argv[0]).absolute())
"""The zipapp that this supervisor was started from."""
QUIET = {"TQDM_DISABLE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
"""Progress is reported by metrics events; progress bars made of carriage returns only fill logs."""
OPENMP = {"OMP_WAIT_POLICY": "PASSIVE"}
"""By default OpenMP's threads spin while they wait; on a busy CPU that costs up to twenty times the time of a step
(measured: 32.9 s against 1.9 s for sixty small steps on two cores with other work)."""


def argv(start: StartConfiguration) -> list[str]:
    """The command line of this archive's worker or of the user's file; under torchrun for several processes."""
    document, cluster = start.document, start.cluster
    trainer = document["trainer"]
    program = [trainer] if trainer.endswith(".py") else [ARCHIVE, "train"]
    if document["nproc_per_node"] == 1 and cluster.num_nodes == 1:
        return [sys.executable, *program]
    port = cluster.master_port if cluster.num_nodes > 1 else _free_port()
    options = {
        "nnodes": cluster.num_nodes,
        "node-rank": cluster.node_rank,
        "nproc-per-node": document["nproc_per_node"],
        "master-addr": cluster.master_addr,
        "master-port": port,
        "max-restarts": 0,
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "torch.distributed.run", *flags, *program]


def environment(start: StartConfiguration, environ: Mapping[str, str], train_file: Path) -> dict[str, str]:
    """The trainer's environment: ftsdk's defaults, the supervisor's own, the job's variables, the secrets."""
    document = start.document
    reports, scratch = reporters.folder(document), Path(document["scratch"])
    removed = (contract.ENV_SECRETS_FILE, *NOT_FOR_TRAINERS)
    inherited = {name: value for name, value in environ.items() if name not in removed}
    variables = {
        **({"PYTHONUNBUFFERED": "1"} if document["trainer"].endswith(".py") else {}),  # our worker sets line buffering
        "HF_DATASETS_CACHE": str(scratch / "datasets"),
        "TENSORBOARD_LOGGING_DIR": str(reports / "tensorboard"),
        "TORCH_ELASTIC_SHUTDOWN_TIMEOUT": str(int(min(document["grace_s"], 30))),
        **_only_weights(document),
        **flight_recorder.environment(train_file.parent),
        **QUIET,
        **OPENMP,
        **inherited,
        **document["env"],
        **start.secrets,
        worker_protocol.ENV_TRAIN: str(train_file),
        worker_protocol.ENV_EVENTS: str(train_file.with_name(worker_protocol.EVENTS_PIPE)),
    }
    for key in (trackers.WANDB_KEY, trackers.SWANLAB_KEY):
        if not variables.get(key):
            variables.pop(key, None)  # an empty one makes W&B fail, even offline
    variables |= machine_check.compat_environment(variables)
    return variables | _import_path(document["trainer"], variables) | trackers.environment(document, variables)


def _only_weights(document: JobDocument) -> dict[str, str]:
    """Whatever torch loads is data: optimizer, scheduler and random states of a shared bucket could be code otherwise.

    A user's own file loads what it likes. DeepSpeed's checkpoints hold objects of its own classes.
    """
    free = document["trainer"].endswith(".py") or bool(document["config"].get("deepspeed"))
    return {} if free else {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1"}


def _import_path(trainer: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The overlay's packages take precedence in every process of the trainer's process tree."""
    folder = overlay(OVERLAYS[trainer]) if trainer in OVERLAYS else None
    if folder is None or not folder.is_dir():
        return {}
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), environ.get("PYTHONPATH"))))}


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
