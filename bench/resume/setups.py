"""The trainings of a campaign and the kinds of faults in them: one row per setup."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftsdk import Estimator

STEPS = 300
EVAL_EVERY = 60
LORA = {"type": "lora", "rank": 4, "dropout": 0.1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """One training, run once as a baseline and then with faults."""

    name: str
    backend: str
    kinds: tuple[str, ...]
    tuning: Mapping[str, Any] = field(default_factory=lambda: LORA)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    resources: Mapping[str, Any] = field(default_factory=dict)
    retry: Mapping[str, Any] = field(default_factory=dict)
    hang_minutes: float = 1.0
    cadence_steps: int = 20
    max_faults: int = 25
    """Maximum number of faults in one training."""
    own_disk: bool = False
    """Whether the results go to a small file system of their own, which requires root."""

    def estimator(self, tiny: Path, label: str, output: Path | None = None) -> Estimator:
        """The training of this setup as a job of its own (`label`), on ftsdk/testing/tiny.py's model and rows."""
        return Estimator(
            name=label,
            model=str(tiny / "model"),
            dataset={"train": str(tiny / "train.json"), "eval_fraction": 0.1},
            tuning=dict(self.tuning),
            hyperparameters={
                "max_steps": STEPS,
                "logging_steps": 1,
                "eval_strategy": "steps",
                "eval_steps": EVAL_EVERY,
                "learning_rate": 1e-3,
                "cutoff_len": 64,
                "per_device_train_batch_size": 2,
                "gradient_accumulation_steps": 1,
                "seed": 7,
                **self.hyperparameters,
            },
            resources=dict(self.resources),
            retry=dict(self.retry),
            hang_minutes=self.hang_minutes,
            checkpoint={"every_steps": self.cadence_steps},
            env={"OMP_NUM_THREADS": "1"},
            output=str(output) if output else None,
            backend=self.backend,
            options={"grace_s": 30.0},
        )


LOCAL = ("term", "kill", "kill-worker", "damage")
DOCKER = ("term", "stop-container", "kill", "kill-worker", "damage")
TWO_RANKS = {"accelerators_per_node": 2}
SETUPS: tuple[Setup, ...] = (
    Setup(name="local, LoRA with dropout", backend="local", kinds=LOCAL),
    Setup(name="docker, LoRA with dropout", backend="docker", kinds=DOCKER),
    Setup(
        name="local, LoRA, 2 ranks, crashes restarted",
        backend="local",
        kinds=LOCAL,
        resources=TWO_RANKS,
        retry={"on": "infra"},
        max_faults=12,
    ),
    Setup(
        name="local, LoRA, 2 ranks, hangs restarted",
        backend="local",
        kinds=("stop-worker", "kill-worker", "term"),
        resources=TWO_RANKS,
        retry={"on": "infra"},
        hang_minutes=0.1,
        max_faults=12,
    ),
    Setup(
        name="docker, LoRA, 2 nodes",
        backend="docker",
        kinds=(*DOCKER, "network"),
        resources={"num_nodes": 2},
        max_faults=12,
    ),
    Setup(
        name="local, LoRA, disk of its own", backend="local", kinds=("fill-disk", "kill"), own_disk=True, max_faults=10
    ),
    Setup(
        name="docker, LoRA, disk of its own",
        backend="docker",
        kinds=("fill-disk", "kill"),
        own_disk=True,
        max_faults=10,
    ),
    Setup(name="local, full", backend="local", kinds=LOCAL, tuning={"type": "full"}),
    Setup(name="docker, LoRA, 2 ranks", backend="docker", kinds=DOCKER, resources=TWO_RANKS, max_faults=12),
    Setup(
        name="local, LoRA, accumulation over 4, logs every 3",
        backend="local",
        kinds=LOCAL,
        hyperparameters={"gradient_accumulation_steps": 4, "logging_steps": 3, "per_device_train_batch_size": 1},
    ),
)
BY_NAME: Mapping[str, Setup] = {setup.name: setup for setup in SETUPS}
