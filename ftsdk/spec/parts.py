"""The small parts of a spec: resources, checkpoints, retries, budget and tracking."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from ftsdk.spec.base import Part, Steps

EngineName = Literal["auto", "llamafactory", "trl"]


class Resources(Part):
    """The hardware that the training needs, in no cloud's words."""

    accelerator: str | None = None
    """Kind of accelerator, e.g. `A100-80GB`, `H100`, `L4`; None takes what the machine has, a CPU included."""
    accelerators_per_node: int = Field(default=1, ge=1)
    """Accelerators (on a CPU: worker processes) on each node."""
    num_nodes: int = Field(default=1, ge=1)
    """Machines that train together."""
    disk_gb: int | None = Field(default=None, ge=1)
    """Disk for model, data and checkpoints, in gigabytes."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Main memory limit per node, in gigabytes."""
    elastic: bool = False
    """Go on with fewer accelerators if the machine has lost some, with the same rows in each step (one node, ddp)."""
    spot: bool = False
    """Use interruptible capacity where the backend has it."""


class Checkpoint(Part):
    """How often the training's state is made safe. In YAML a bare `checkpoint: auto` is `{auto: true}`."""

    auto: bool = False
    """Take the interval that the measured cost of a checkpoint and the expected interruptions make best; holds too if
    neither `every_minutes` nor `every_steps` is given."""
    every_minutes: float | None = Field(default=None, gt=0)
    """Minutes between checkpoints."""
    every_steps: Steps | None = None
    """Optimizer steps between checkpoints; below 1 a share of all steps."""
    keep: int = Field(default=2, ge=2)
    """How many committed checkpoints are kept; never fewer than two."""
    start_from: str | None = None
    """Folder of another training's checkpoint, such as LLaMA-Factory's or TRL's `saves/old/checkpoint-500`, or the URI
    of a finished job: this job goes on from its weights, optimizer and step. Its files are part of the digest."""

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: object) -> object:
        return {"auto": True} if value == "auto" else value

    @model_validator(mode="after")
    def _one_cadence(self) -> Checkpoint:
        if sum((self.auto, self.every_minutes is not None, self.every_steps is not None)) > 1:
            raise ValueError("give one of auto, every_minutes and every_steps, not both")
        return self


class Retry(Part):
    """Whether an attempt that ended without a model is followed by another, which goes on from the last checkpoint."""

    retries: int = Field(default=20, ge=0)
    """How often the job is started again at most; a preempted day on spot takes about fourteen (docs/retries.md)."""
    on: Literal["preemption", "infra", "any"] = "preemption"
    """`preemption`: only what was stopped from outside with its state saved, or found no spot machine; `infra`: also
    lost machines and networks and killed processes; `any`: crashes too. What would end the same way again (bad data,
    NaN …) is never retried."""
    on_demand_after: int | None = Field(default=None, ge=1)
    """Preemptions after which a spot job goes on on demand; never if left out."""
    shrink_micro_batch: bool = False
    """After an out-of-memory error, go on with half the micro-batch and twice the accumulation, so the same batch."""


class Budget(Part):
    """Limits over all attempts of a job. It stops with a checkpoint, and goes on when submitted with higher ones."""

    max_cost_usd: float | None = Field(default=None, gt=0)
    """US dollars; needs a known price (the backend's option `price_usd_per_hour` gives one)."""
    max_usd_per_hour: float | None = Field(default=None, gt=0)
    """US dollars per hour for all machines of the job together; a plan that costs more, or whose price is unknown, is
    refused."""
    max_hours: float | None = Field(default=None, gt=0)
    """Hours of running; waiting for a machine does not count."""
    finish_by: AwareDatetime | None = Field(default=None, strict=False)
    """Time with its zone, e.g. `2026-12-01T09:00:00+08:00`, by which the model should be ready: a spot job moves to
    on-demand capacity when the slack is gone. It is a target, not a limit: nothing is stopped then."""


class Wandb(Part):
    """Weights & Biases. Restarts of a job continue one run."""

    project: str | None = None
    """Project that the run belongs to; left out: WANDB_PROJECT of the job's environment, else `huggingface`."""
    entity: str | None = None
    """User or team; the key's own if left out."""
    mode: Literal["auto", "online", "offline"] = "auto"
    """`auto` is WANDB_MODE of the job's environment, else online with WANDB_API_KEY (name it in `secrets`), else the
    run is kept in files to sync later."""


class CloudWatch(Part):
    """Amazon CloudWatch, from any backend: a copy of the lines and the metrics. Credentials may come as `secrets`."""

    region: str
    """Region of the log group and the metrics, e.g. us-west-2."""
    log_group: str = Field(default="/ftsdk", pattern=r"^[.\-_/#A-Za-z0-9]{1,512}$")
    """Log group; created if missing. The job's nodes are its streams."""
    retention_days: int | None = Field(default=None, ge=1)
    """Days after which events are deleted, set on a log group that the job creates (CloudWatch takes 1, 3, 5, 7, 14,
    30 …); forever if left out."""
    namespace: str = Field(default="ftsdk", pattern=r"^[.\-_/#:A-Za-z0-9]{1,255}$")
    """Namespace of the metrics; their dimension `Job` is the job's name."""


class Mlflow(Part):
    """MLflow. Restarts of a job continue one run."""

    experiment: str | None = None
    """Experiment that the run belongs to; left out: MLFLOW_EXPERIMENT_NAME of the job's environment, else MLflow's
    `Default`."""
    uri: str | None = None
    """Tracking server, e.g. `https://mlflow.example.com` or `databricks`; left out: MLFLOW_TRACKING_URI of the job's
    environment, else a SQLite file `mlflow/mlflow.db` beside the model."""


class Swanlab(Part):
    """SwanLab. Restarts of a job continue one run."""

    project: str | None = None
    """Project that the run belongs to; left out: SWANLAB_PROJ_NAME of the job's environment, else SwanLab's choice."""
    workspace: str | None = None
    """User or organization; the key's own if left out."""
    mode: Literal["auto", "online", "offline"] = "auto"
    """`auto` is SWANLAB_MODE of the job's environment, else online with SWANLAB_API_KEY (name it in `secrets`), else
    the run is kept in files to sync later."""


class Trackio(Part):
    """Trackio, by Hugging Face. Restarts of a job continue one run."""

    project: str | None = None
    """Project that the run belongs to; `huggingface` if left out."""
    space: str | None = None
    """Space of the Hugging Face hub that shows the run, e.g. `my-team/trackio` (name HF_TOKEN in `secrets`); left out:
    a local database `trackio/` beside the model."""


SHORT_FORMS = {"wandb": "project", "mlflow": "experiment", "swanlab": "project", "trackio": "project"}
"""Tracker -> the field that a text stands for."""


class Tracking(Part):
    """Where metrics go besides our own stream."""

    wandb: Wandb | None = None
    """Weights & Biases."""
    tensorboard: bool = False
    """Write TensorBoard event files beside the model."""
    mlflow: Mlflow | None = None
    """MLflow."""
    swanlab: Swanlab | None = None
    """SwanLab."""
    trackio: Trackio | None = None
    """Trackio."""
    cloudwatch: CloudWatch | None = None
    """Amazon CloudWatch."""

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, value: object) -> object:
        if not isinstance(value, dict):
            return value
        texts = {name: field for name, field in SHORT_FORMS.items() if isinstance(value.get(name), str)}
        return {**value, **{name: {field: value[name]} for name, field in texts.items()}}

    def own_server(self, given: Mapping[str, str]) -> Iterator[str]:
        """Trackers that keep a database beside the model; `given` are the job's variables by their names."""
        if self.mlflow and not self.mlflow.uri and "MLFLOW_TRACKING_URI" not in given:
            yield "tracking.mlflow"
        if self.trackio and not self.trackio.space:
            yield "tracking.trackio"
