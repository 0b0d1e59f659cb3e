"""Runs of trackers over restarts: what environment variables alone do not continue, and how each attempt ends."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping

from ftsdk import contract
from ftsdk.contract.documents import JobDocument, MlflowRun, Trackers
from ftsdk.runtime import worker_protocol


def continue_runs(runs: Trackers, environ: MutableMapping[str, str]) -> None:
    """Let the Trainer's reporters continue the runs of an earlier attempt, beside what variables set.

    Raises ModuleNotFoundError if a requested package is not installed.
    """
    if "mlflow" in runs and environ.get("RANK", "0") == "0" and (run_id := _mlflow_run(runs["mlflow"], environ)):
        environ["MLFLOW_RUN_ID"] = run_id
        environ["MLFLOW_MAX_LOG_PARAMS"] = "0"  # MLflow refuses other values, and the resumed checkpoint is one
    if "swanlab" in runs:
        _let_swanlab_answer_none()


def arguments(document: JobDocument) -> dict[str, str]:
    """The trainer's arguments that a run needs: Trackio continues a run by its name."""
    runs = document.get("trackers", {})
    return {"run_name": runs["trackio"]["run_id"]} if "trackio" in runs else {}


def finish(exit_code: int) -> None:
    """Report the result: the exit hooks of the packages would report a success, the process exits without exception."""
    wandb, mlflow, swanlab = (sys.modules.get(name) for name in ("wandb", "mlflow", "swanlab"))
    if wandb is not None and wandb.run is not None:
        if exit_code == contract.EXIT_INTERRUPTED:
            wandb.run.mark_preempting()
        wandb.finish(exit_code=exit_code)
    if mlflow is not None and mlflow.active_run() is not None:
        status = {contract.EXIT_SUCCEEDED: "FINISHED", contract.EXIT_INTERRUPTED: "KILLED"}
        mlflow.end_run(status.get(exit_code, "FAILED"))
    if swanlab is not None and swanlab.get_run() is not None:
        state = {contract.EXIT_SUCCEEDED: "success", contract.EXIT_INTERRUPTED: "aborted"}
        swanlab.finish(state.get(exit_code, "crashed"))


def _let_swanlab_answer_none() -> None:
    """Without a run, `swanlab.get_run` raises from 0.8 on; the reporter of transformers 5 expects None."""
    import swanlab

    active = swanlab.get_run
    if hasattr(swanlab, "has_run"):
        swanlab.get_run = lambda: active() if swanlab.has_run() else None


def _mlflow_run(run: MlflowRun, environ: MutableMapping[str, str]) -> str | None:
    """Id of the run that an earlier attempt began."""
    import mlflow

    name = environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
    tagged = f"tags.`{worker_protocol.MLFLOW_TAG}` = '{run['run_id']}'"
    matches = mlflow.search_runs(experiment_names=[name], filter_string=tagged, max_results=1, output_format="list")
    return str(matches[0].info.run_id) if matches else None
