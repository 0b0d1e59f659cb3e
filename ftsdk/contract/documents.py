"""What launcher and container tell each other as JSON: the job, who claimed an attempt, how long it ran, how it ended.

This module travels inside the job beside `ftsdk.contract`, so it imports the standard library only.
"""

from __future__ import annotations

from typing import Any, TypedDict


class InputFile(TypedDict):
    """A file that the training reads; checked before the trainer starts."""

    path: str
    """Where it lies inside the container."""
    bytes: int
    sha256: str
    """Empty if it was not hashed (remote inputs)."""


class CheckpointPolicy(TypedDict):
    """Cadence and retention; exactly one of the three cadences is set."""

    every_minutes: float | None
    every_steps: int | None
    mtbf_hours: float | None
    """Expected mean time between interruptions: the trainer takes the interval that this and the cost of a checkpoint
    make best."""
    keep: int


class WandbRun(TypedDict):
    """The W&B run that every attempt continues."""

    project: str
    entity: str | None
    mode: str
    run_id: str
    """`NAME-BACKEND`: the same training on another backend is another run."""
    config: dict[str, Any]
    """The whole spec and plan, for the run's page."""


class CloudWatchLogs(TypedDict):
    """Where in Amazon CloudWatch a copy of the lines and the metrics goes."""

    job: str
    """`NAME-BACKEND`. The log streams are `JOB/nNODE`, the metrics' dimension is `Job`."""
    region: str
    log_group: str
    namespace: str


class Storage(TypedDict, total=False):
    """How to reach storage at an address; what is left out is the provider's own. No secrets."""

    endpoint: str
    """URL of the service, e.g. `http://127.0.0.1:9000` or an internal endpoint."""
    region: str
    addressing: str
    """Where the bucket's name stands: `virtual` (in the host), `path`, or `cname` (the endpoint is the bucket)."""


class JobDocument(TypedDict):
    """What the launcher tells the supervisor: one JSON file, without secrets, all paths as seen inside."""

    contract: int
    """`VERSION` of the launcher."""
    name: str
    digest: str
    """Digest of spec and inputs; a checkpoint of another digest is never resumed."""
    backend: str
    base_model: str
    """Where the training starts from, as seen by the launcher: lineage for whoever opens the result."""
    trainer: str
    """A module of `ftsdk.runtime.programs`, or the path of a Python file that is run instead."""
    config: dict[str, Any]
    """The trainer's own configuration; `output_dir`, `dataset_dir` and resume belong to the supervisor."""
    dataset_info: dict[str, Any]
    """LLaMA-Factory's registration of the data, written beside the scratch folder before the start."""
    inputs: list[InputFile]
    durable: str
    """What outlives the attempt: a folder (shared or bind-mounted) or an address such as `s3://bucket/prefix`."""
    storage: Storage
    """How to reach `durable` if it is an address; empty for a folder."""
    scratch: str
    """Fast local folder; what is there may be lost."""
    nproc_per_node: int
    num_nodes: int
    checkpoint: CheckpointPolicy
    wandb: WandbRun | None
    cloudwatch: CloudWatchLogs | None
    env: dict[str, str]
    grace_s: float
    """Seconds the platform leaves between SIGTERM and SIGKILL."""
    after_save: str
    """What the supervisor does once a notice from outside is followed and the state is safe: one of `AFTER_SAVE`."""
    timeout_s: float | None
    """Stop, with a checkpoint, this many seconds after the attempt's start."""
    budget_s: float | None
    """The same with the reason `budget`: what this attempt may use of the job's budget, set at its submit."""
    restarts: int
    """How often the supervisor itself starts the trainer again within this attempt, from the last COMMIT."""
    restart_on: list[str]
    """Reasons after which it does so."""
    notes: list[str]
    """Sentences for the log's beginning: what a retry has changed."""


class Claim(TypedDict):
    """Who started an attempt and why: `claim_key`, put if absent before anything is started."""

    time: float
    """Seconds since the epoch."""
    by: str
    """Whoever claimed it, in a token of its own."""
    retry: int
    """0 if a person submitted, else the how-manieth retry since."""
    why: str
    """A retry's reason in a sentence, or empty."""
    spot: bool
    usd_per_hour: float | None
    """Of all machines together; None is unknown."""
    changed: dict[str, Any]
    """Arguments of the trainer's configuration that differ from what was planned."""
    before: dict[str, Any]
    """How the attempt before this one ended, as the launcher saw it; `state`, `reason`, `message`, `ended_at`."""


class Clock(TypedDict):
    """How long a node's supervisor has run: `clock_key`. Limits in time hold over all starts of an attempt."""

    starts: int
    """How often a supervisor was started, or started its trainer again."""
    ran_s: float
    """Seconds that the starts before this one ran."""
    started_at: float
    alive_at: float
    """Seconds since the epoch; the second one is renewed every minute."""


class Outcome(TypedDict):
    """How a node's attempt ended: `attempts/aN/outcome-nM.json` in the durable folder."""

    state: str
    """SUCCEEDED, FAILED, CANCELLED or INTERRUPTED (saved, not finished)."""
    reason: str
    """One of `REASONS`, or empty after a success."""
    message: str
    """One sentence: what happened and where."""
    hint: str
    """What to do about it."""
    exit_code: int
    """What the supervisor exited with."""
    step: int | None
    """Last step that the trainer reported."""
    started_at: float
    ended_at: float
    """Seconds since the epoch."""
