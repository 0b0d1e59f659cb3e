"""The runs of trackers that every attempt of a job continues, as parts of the job document."""

from __future__ import annotations

from collections.abc import Mapping

from ftsdk.contract.documents import CloudWatchLogs, MlflowRun, PlannedRun, SwanlabRun, Trackers, TrackioRun, WandbRun
from ftsdk.errors import UnsupportedError
from ftsdk.spec import JobSpec, Tracking


def wandb(spec: JobSpec, run_id: str, config: Mapping[str, object]) -> WandbRun | None:
    """The W&B run, with spec and trainer's configuration for its page."""
    given = spec.tracking.wandb
    if given is None:
        return None
    config_page: PlannedRun = {"spec": spec.to_json(), "trainer": config}
    return WandbRun(project=given.project, entity=given.entity, mode=given.mode, run_id=run_id, config=config_page)


def others(spec: JobSpec, run_id: str, durable: str) -> Trackers:
    """The runs of MLflow, SwanLab and Trackio.

    Raises UnsupportedError for a database beside the model where that is a bucket: a later attempt on another machine
    could not continue it.
    """
    requested, given = spec.tracking, {**spec.env, **dict.fromkeys(spec.secrets, "")}
    if "://" in durable and (fields := tuple(requested.own_server(given))):
        remedy = "tracking.mlflow.uri" if "tracking.mlflow" in fields else "tracking.trackio.space"
        raise UnsupportedError(
            f"{' and '.join(fields)}: the results are in a bucket, where no database can be continued by a later "
            f"attempt; set {remedy} to where the run is kept."
        )
    trackers = Trackers()
    if requested.mlflow:
        trackers["mlflow"] = MlflowRun(run_id=run_id, uri=requested.mlflow.uri, experiment=requested.mlflow.experiment)
    if swanlab := requested.swanlab:
        trackers["swanlab"] = SwanlabRun(
            run_id=run_id, project=swanlab.project, workspace=swanlab.workspace, mode=swanlab.mode
        )
    if requested.trackio:
        trackers["trackio"] = TrackioRun(run_id=run_id)
    return trackers


def cloudwatch(requested: Tracking, run_id: str) -> CloudWatchLogs | None:
    """Where a copy of lines and metrics goes in CloudWatch."""
    sink = requested.cloudwatch
    if sink is None:
        return None
    return CloudWatchLogs(
        job=run_id,
        region=sink.region,
        log_group=sink.log_group,
        namespace=sink.namespace,
        retention_days=sink.retention_days,
    )
