"""What the demo trains and how: settings under which a small random model learns visibly within minutes on a CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ftsdk.demo.rows import DemoData

if TYPE_CHECKING:
    from ftsdk.spec.fields import SpecFields

TRAINING_S = 120.0
"""Aimed-at duration of the training, in seconds."""
MIN_STEPS, MAX_STEPS = 200, 600
"""With 100 steps the model's answer is one word again and again; 600 suffice for sentences."""
OVERHEAD = 1.4
"""Duration of a step in the trainer, with its share of the evaluations, relative to that of a bare optimizer step."""
BATCH_SIZE, CUTOFF_TOKENS = 4, 256
CURVE_POINTS = 60
EVALUATIONS = 4
MAX_THREADS = 8
"""With matrices this small, more threads only wait for each other."""
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Linux: `QUOTA PERIOD` in microseconds, or `max PERIOD` (kernel documentation, cgroup v2)."""


def steps_within(seconds_per_step: float) -> int:
    """Number of steps that take about TRAINING_S, from MIN_STEPS to MAX_STEPS."""
    fitting = round(TRAINING_S / (seconds_per_step * OVERHEAD))
    return max(MIN_STEPS, min(fitting, MAX_STEPS))


def demo_spec(model_dir: Path | str, data: DemoData, *, steps: int) -> SpecFields:
    """Keyword arguments of `Estimator`: full tuning of the model on the rows, held-out rows before, between and after.

    Full, because adapters on random weights learn nothing. Packed, because the rows are short: without padding twice
    as many tokens are learnt from in the same time.
    """
    return {
        "name": "demo",
        "model": str(model_dir),
        "method": "sft",
        "tuning": "full",
        "env": thread_settings(),
        "dataset": {"train": [str(data.train)], "eval": [str(data.eval)], "format": "alpaca"},
        "hyperparameters": {
            "max_steps": steps,
            "learning_rate": 3e-3,
            "lr_scheduler_type": "cosine",
            "warmup_ratio": 0.05,
            "weight_decay": 0.1,
            "adam_beta2": 0.95,
            "per_device_train_batch_size": BATCH_SIZE,
            "per_device_eval_batch_size": 8,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False,
            "cutoff_len": CUTOFF_TOKENS,
            "neat_packing": True,
            "bf16": False,
            "logging_steps": max(1, steps // CURVE_POINTS),
            "eval_strategy": "steps",
            "eval_steps": max(1, steps // EVALUATIONS),
            "eval_on_start": True,
        },
    }


def thread_settings() -> dict[str, str]:
    """Environment variables by which PyTorch uses the cores of this process."""
    return {"OMP_NUM_THREADS": str(min(usable_cores(), MAX_THREADS))}


def usable_cores() -> int:
    """Cores that this process may use. PyTorch counts a container's whole machine, whatever its quota is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not CPU_QUOTA.exists():
        return cores
    quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
