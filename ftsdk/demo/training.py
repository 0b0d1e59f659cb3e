"""What the demo trains and how: settings under which a small random model learns visibly within minutes on a CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ftsdk.demo.rows import DemoData

DEFAULT_STEPS = 600
CURVE_POINTS = 60
EVALUATIONS = 4
MAX_THREADS = 8
"""With matrices this small, more threads only wait for each other."""
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Linux: `QUOTA PERIOD` in microseconds, or `max PERIOD` (kernel documentation, cgroup v2)."""


def demo_spec(model_dir: Path | str, data: DemoData, *, steps: int | None = None) -> dict[str, Any]:
    """Keyword arguments of `Estimator`: full tuning of the model on the rows, held-out rows before, between and after.

    Full, because adapters on random weights learn nothing. Packed, because the rows are short: without padding twice
    as many tokens are learnt from in the same time.
    """
    steps = steps or DEFAULT_STEPS
    return {
        "name": "demo",
        "model": str(model_dir),
        "method": "sft",
        "tuning": "full",
        "env": {"OMP_NUM_THREADS": str(min(usable_cores(), MAX_THREADS))},
        "dataset": {"train": [str(data.train)], "eval": [str(data.eval)], "format": "alpaca"},
        "hyperparameters": {
            "max_steps": steps,
            "learning_rate": 3e-3,
            "lr_scheduler_type": "cosine",
            "warmup_ratio": 0.05,
            "weight_decay": 0.1,
            "adam_beta2": 0.95,
            "per_device_train_batch_size": 4,
            "per_device_eval_batch_size": 8,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False,
            "cutoff_len": 256,
            "neat_packing": True,
            "bf16": False,
            "logging_steps": max(1, steps // CURVE_POINTS),
            "eval_strategy": "steps",
            "eval_steps": max(1, steps // EVALUATIONS),
            "eval_on_start": True,
        },
    }


def usable_cores() -> int:
    """Cores that this process may use. PyTorch counts a container's whole machine, whatever its quota is."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if not CPU_QUOTA.exists():
        return cores
    quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
    return cores if quota == "max" else max(1, min(cores, round(int(quota) / int(period))))
