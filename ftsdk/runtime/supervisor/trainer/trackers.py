"""The environment by which every attempt continues the runs that the plan names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from ftsdk.contract.documents import JobDocument, MlflowRun, SwanlabRun, WandbRun
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.logs import reporters

WANDB_KEY, SWANLAB_KEY = "WANDB_API_KEY", "SWANLAB_API_KEY"
DEFAULT_PROJECT = "huggingface"
"""transformers' own default."""


def environment(document: JobDocument, environ: Mapping[str, str]) -> dict[str, str]:
    """Variables for the trainer's own reporters, given the trainer's other variables."""
    reports, runs = reporters.folder(document), document.get("trackers", {})
    variables = _wandb(document["wandb"], environ, reports)
    if "mlflow" in runs:
        variables |= _mlflow(runs["mlflow"], environ, reports)
    if "swanlab" in runs:
        variables |= _swanlab(runs["swanlab"], environ, reports)
    if "trackio" in runs:
        variables["TRACKIO_DIR"] = str(reports / "trackio")
    return variables


def _wandb(run: WandbRun | None, environ: Mapping[str, str], reports: Path) -> dict[str, str]:
    if run is None:
        return {"WANDB_MODE": environ.get("WANDB_MODE", "disabled")}
    auto = environ.get("WANDB_MODE") or ("online" if WANDB_KEY in environ else "offline")  # W&B itself has no "auto"
    (reports / "wandb").mkdir(parents=True, exist_ok=True)
    return {
        "WANDB_PROJECT": run["project"] or environ.get("WANDB_PROJECT") or DEFAULT_PROJECT,
        **({"WANDB_ENTITY": run["entity"]} if run["entity"] else {}),
        "WANDB_RUN_ID": run["run_id"],
        "WANDB_RESUME": "allow",
        "WANDB_MODE": auto if run["mode"] == "auto" else run["mode"],
        "WANDB_DIR": str(reports),
    }


def _mlflow(run: MlflowRun, environ: Mapping[str, str], reports: Path) -> dict[str, str]:
    """MLflow gives its runs their ids: a tag finds the run again (`ftsdk.runtime.programs.trackers`)."""
    uri = run["uri"] or environ.get("MLFLOW_TRACKING_URI")
    if not uri:
        (reports / "mlflow").mkdir(parents=True, exist_ok=True)
        uri = f"sqlite:///{reports / 'mlflow' / 'mlflow.db'}"
    tags = {**json.loads(environ.get("MLFLOW_TAGS") or "{}"), worker_protocol.MLFLOW_TAG: run["run_id"]}
    return {
        "MLFLOW_TRACKING_URI": uri,
        **({"MLFLOW_EXPERIMENT_NAME": run["experiment"]} if run["experiment"] else {}),
        "MLFLOW_TAGS": json.dumps(tags),
        "MLFLOW_FLATTEN_PARAMS": environ.get("MLFLOW_FLATTEN_PARAMS", "true"),  # else MLflow drops what is nested
    }


def _swanlab(run: SwanlabRun, environ: Mapping[str, str], reports: Path) -> dict[str, str]:
    """SwanLab refuses SWANLAB_PROJECT, which transformers names, from 0.8 on; every release reads SWANLAB_PROJ_NAME."""
    auto = environ.get("SWANLAB_MODE") or ("online" if SWANLAB_KEY in environ else "offline")
    return {
        **({"SWANLAB_PROJ_NAME": run["project"]} if run["project"] else {}),
        **({"SWANLAB_WORKSPACE": run["workspace"]} if run["workspace"] else {}),
        "SWANLAB_RUN_ID": run["run_id"],
        "SWANLAB_RESUME": "allow",
        "SWANLAB_MODE": auto if run["mode"] == "auto" else run["mode"],
        "SWANLAB_LOG_DIR": str(reports / "swanlab"),
        "SWANLAB_INTERACTIVE": "false",
    }
