"""The JSON between launcher and job: the job document, claims of attempts, their running time, their outcome.

This module travels inside the job, so it imports the standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NotRequired, TypedDict

from ftsdk.contract.foreign import JsonObject
from ftsdk.contract.lineage import Origin
from ftsdk.contract.spec_document import SpecDocument


class InputFile(TypedDict):
    """A file that the training reads; checked before the trainer starts."""

    path: str
    """Path inside the container."""
    bytes: int
    sha256: str
    """Empty if it was not hashed (remote inputs)."""


class CheckpointPolicy(TypedDict):
    """Cadence and retention; exactly one of the three cadences is set."""

    every_minutes: float | None
    every_steps: float | None
    mtbf_hours: float | None
    """Expected mean time between interruptions: the trainer computes the best interval from this and the cost of a
    checkpoint."""
    keep: int
    """How many of the newest checkpoints are kept."""


class DatasetEntry(TypedDict, total=False):
    """An entry of LLaMA-Factory's dataset_info.json (0.9.5, `data/parser.py`): one source of rows and their shape."""

    file_name: str
    hf_hub_url: str
    ms_hub_url: str
    om_hub_url: str
    script_url: str
    cloud_file_name: str
    formatting: str
    ranking: bool
    subset: str
    split: str
    folder: str
    num_samples: int
    columns: dict[str, str]
    """Role -> name of the column."""
    tags: dict[str, str]
    """Names inside chat messages."""


class PlannedRun(TypedDict):
    """What is shown on a W&B run's page."""

    spec: SpecDocument
    trainer: Mapping[str, object]
    """The trainer's configuration."""


class WandbRun(TypedDict):
    """The W&B run that every attempt continues."""

    project: str | None
    """None: the job's environment says it."""
    entity: str | None
    mode: str
    run_id: str
    """`NAME-BACKEND`: the same training on another backend is another run."""
    config: PlannedRun


class MlflowRun(TypedDict):
    """The MLflow run that every attempt continues: MLflow makes its id, it is found by a tag that holds `run_id`."""

    run_id: str
    uri: str | None
    """None: the job's environment says it, else a database beside the model."""
    experiment: str | None
    """None: the job's environment says it."""


class SwanlabRun(TypedDict):
    """The SwanLab run that every attempt continues."""

    run_id: str
    project: str | None
    """None: the job's environment says it."""
    workspace: str | None
    mode: str


class TrackioRun(TypedDict):
    """The Trackio run that every attempt continues; project and space are arguments of the trainer."""

    run_id: str


class Trackers(TypedDict, total=False):
    """Runs of trackers other than W&B."""

    mlflow: MlflowRun
    swanlab: SwanlabRun
    trackio: TrackioRun


class CloudWatchLogs(TypedDict):
    """The destination of a copy of lines and metrics in Amazon CloudWatch."""

    job: str
    """`NAME-BACKEND`. The log streams are `JOB/nNODE`, the metrics' dimension is `Job`."""
    region: str
    log_group: str
    namespace: str
    retention_days: NotRequired[int | None]
    """Set on a log group that the job creates; None keeps events forever."""


class Storage(TypedDict, total=False):
    """How to reach storage at an address; missing keys mean the provider's defaults. No secrets."""

    endpoint: str
    """URL of the service, e.g. `http://127.0.0.1:9000` or an internal endpoint."""
    region: str
    addressing: str
    """The position of the bucket's name: `virtual` (in the host), `path`, or `cname` (the endpoint is the bucket)."""


class StartCheckpoint(TypedDict):
    """The checkpoint among the inputs from which the first attempt starts."""

    path: str
    """Its folder inside the job."""
    step: int


class _LaterFields(TypedDict, total=False):
    """Fields that a job document of an earlier launcher lacks."""

    origin: Origin
    trackers: Trackers
    start_from: StartCheckpoint | None
    elastic: bool
    """Whether the training may go on with fewer processes, if the machine has fewer GPUs than planned."""
    hang_s: float | None
    """Shortest time without progress after which a training step counts as hung, in seconds; the limits of the other
    phases are multiples of it. None or missing: hangs are not looked for."""
    verdict: bool
    """Whether the training ends with a verdict (`contract.lineage.VerdictRecord`); missing: yes."""
    contents: list[str]
    """Of `tools`, `image`, `video`, `audio`, what the training rows contain as far as they were seen at plan."""


class JobDocument(_LaterFields):
    """The supervisor's input from the launcher: one JSON file, without secrets, with paths inside the container."""

    contract: int
    """`VERSION` of the launcher."""
    name: str
    digest: str
    """Digest of spec and inputs; a checkpoint with another digest is never resumed."""
    backend: str
    base_model: str
    """The model that is trained, as the launcher sees it; recorded as the result's lineage."""
    trainer: str
    """A module of `ftsdk.runtime.programs`, or the path of a Python file that is run instead."""
    config: JsonObject
    """The trainer's own configuration; the supervisor sets `output_dir`, `dataset_dir` and the resume arguments."""
    dataset_info: dict[str, DatasetEntry]
    """LLaMA-Factory's registration of the data, written to the scratch folder before the start."""
    inputs: list[InputFile]
    durable: str
    """Storage that outlives the attempt: a folder (shared or bind-mounted) or an address such as `s3://bucket/x`."""
    storage: Storage
    """How to reach `durable` if it is an address; empty for a folder."""
    scratch: str
    """Fast local folder; its content may be lost."""
    nproc_per_node: int
    num_nodes: int
    checkpoint: CheckpointPolicy
    wandb: WandbRun | None
    cloudwatch: CloudWatchLogs | None
    env: dict[str, str]
    grace_s: float
    """Seconds between the platform's SIGTERM and its SIGKILL."""
    after_save: str
    """What the supervisor does after it has been stopped from outside and the state is saved: one of `AFTER_SAVE`."""
    timeout_s: float | None
    """Stop, with a checkpoint, this many seconds after the attempt's start."""
    budget_s: float | None
    """The same with the reason `budget`: the part of the job's budget that this attempt may use, set at its submit."""
    restarts: int
    """How many times the supervisor restarts the trainer within this attempt, from the last COMMIT."""
    restart_on: list[str]
    """Reasons after which it does so."""
    notes: list[str]
    """Sentences at the beginning of the log: the changes that a retry has made."""


class PreviousAttempt(TypedDict, total=False):
    """An outcome as the launcher saw it, which may differ from what the job recorded."""

    state: str
    reason: str
    message: str
    ended_at: float | None
    """Seconds since the epoch."""


class Claim(TypedDict, total=False):
    """Who started an attempt and why; stored at `claim_key` with put-if-absent before anything is started.

    The reader takes every field as optional: an earlier release may have written the claim.
    """

    time: float
    """Seconds since the epoch."""
    by: str
    """A random token of the process that claimed it."""
    retry: int
    """1-based retry index since the last submit; 0 for the submit itself."""
    why: str
    """The reason for a retry, as a sentence; else empty."""
    spot: bool
    usd_per_hour: float | None
    """Price of all machines together; None if it is unknown."""
    changed: Mapping[str, object]
    """Arguments of the trainer's configuration that differ from the plan."""
    before: PreviousAttempt
    """The outcome of the previous attempt as the launcher saw it; empty for the first one."""


class Clock(TypedDict):
    """How long a node's supervisor has run; stored at `clock_key`. Time limits apply to all starts of an attempt."""

    starts: int
    """How many times a supervisor was started, or restarted its trainer."""
    ran_s: float
    """Seconds that previous starts ran."""
    started_at: float
    alive_at: float
    """Both in seconds since the epoch; `alive_at` is updated every minute."""


class NodeFinding(TypedDict):
    """One check of a node before the training."""

    check: str
    value: str
    """What was measured, with its unit; empty if nothing was."""
    problem: str
    """What is wrong, in words; empty if nothing is."""
    is_fatal: bool
    """Whether the attempt ends because of it."""


class NodeCheck(TypedDict):
    """The checks of a node: `attempts/aN/node-nM.json` in the durable folder."""

    host: str
    time: float
    """Seconds since the epoch."""
    findings: list[NodeFinding]


class ProcessRecord(TypedDict):
    """A supervisor's process: `process_key` in the durable folder."""

    pid: int


class Outcome(TypedDict):
    """The outcome of an attempt on one node: `attempts/aN/outcome-nM.json` in the durable folder."""

    state: str
    """SUCCEEDED, FAILED, CANCELLED or INTERRUPTED (saved, not finished)."""
    reason: str
    """One of `REASONS`, or empty after a success."""
    message: str
    """One sentence: what happened and where."""
    hint: str
    """What to do about it."""
    exit_code: int
    """The supervisor's exit code."""
    step: int | None
    """Last step that the trainer reported."""
    started_at: float
    ended_at: float
    """Both in seconds since the epoch."""
