"""What conformance tests run: short Python programs instead of a trainer, and fields of specs."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ftsdk.plan import Plan

SECRET = "tell-nobody-31415926"
HELLO = "print('hello')"
LONG = "import time\nprint('begun')\nfor beat in range(600): print(beat); time.sleep(0.1)"
MAKES_A_FILE = """
import json, os
output = json.load(open(os.environ["FTSDK_TRAIN"]))["output"]
open(os.path.join(output, "weights.bin"), "wb").write(bytes(range(256)) * 40)
"""
MANY_LINES = """
import sys
for first in range(0, {count}, 1000):
    sys.stdout.write("".join(f"{{i}} {{'ä' * (i % 7)}}{{'=' * (i % 97)}}\\n" for i in range(first, first + 1000)))
"""
SAYS_SECRET = "import os; print('it is', os.environ['FTSDK_SECRET_WORD'])"
TWELVE_STEPS: Mapping[str, object] = {
    "max_steps": 12,
    "logging_steps": 1,
    "learning_rate": 1e-2,
    "cutoff_len": 64,
    "per_device_train_batch_size": 2,
    "gradient_accumulation_steps": 1,
}
"""Hyperparameters of a real training of twelve steps."""
LIMITS: Mapping[str, dict[str, object]] = {
    "multi_node": {"resources": {"num_nodes": 2}},
    "spot": {"resources": {"spot": True}},
    "memory_limit": {"resources": {"memory_gb": 1.0}},
    "secrets": {"secrets": ("A_SECRET",)},
    "remote_output": {"output": "s3://bucket/prefix"},
}
"""Capability -> fields of a spec that needs it."""


def in_durable_folder(plan: Plan, source: str) -> Plan:
    """Write a trainer of a few lines into the job's durable folder and name it in the plan."""
    folder = Path(plan.request["folder"])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainer.py").write_text(source, encoding="utf-8")
    return replace(plan, document={**plan.document, "trainer": f"{plan.document['durable']}/trainer.py"})


def new_label() -> str:
    """A label that no job had before."""
    return f"c-{uuid.uuid4().hex[:10]}"
