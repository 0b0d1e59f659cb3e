"""Real local jobs whose trainer is a few lines of Python: they need no torch and take a moment."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ftsdk import Estimator
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from ftsdk.plan import Plan

PREAMBLE = """
import json, os, pathlib, signal, sys, time
send = lambda event: open(os.environ["FTSDK_EVENTS"], "w").write(json.dumps(event) + "\\n")
job = json.loads(pathlib.Path(os.environ["FTSDK_TRAIN"]).read_text())
config, output = job["document"]["config"], pathlib.Path(job["output"])
start = int(job["resume"].rpartition("-")[2]) if job["resume"] else 0
TOTAL = 10

def say(kind, **fields):
    send({"event": kind, **fields})

def metrics(step, **fields):
    say("metrics", step=step, total_steps=TOTAL, time=time.time(), **fields)

def save(step):
    folder = output / f"checkpoint-{step}"
    folder.mkdir(exist_ok=True)
    (folder / "state.txt").write_text(str(step))
    say("checkpoint", step=step, path=str(folder))

def committed(step):
    durable = pathlib.Path(job["document"]["durable"])
    while not (durable / "checkpoints" / f"checkpoint-{step:06d}" / "COMMIT").is_file():
        time.sleep(0.01)
"""
PREEMPTED_EACH_STEP = """
metrics(start + 1, loss=1.0 / (start + 1))
save(start + 1)
sys.exit(75 if start + 1 < TOTAL else 0)
"""
"""Stopped from outside after each step, with its state saved, until TOTAL."""


def plan(folder: Path, source: str, *, options: dict[str, Any] | None = None, **fields: Any) -> Plan:
    """The plan of a job that runs this source; `folder` is what the fixture spec_folder makes."""
    trainer = folder / "trainer_file.py"
    trainer.write_text(PREAMBLE + source, encoding="utf-8")
    made = Estimator(model="./model", dataset="train.jsonl", folder=folder, options=options, **fields).plan()
    return replace(made, document={**made.document, "trainer": str(trainer)})


def started(folder: Path, source: str, *, options: dict[str, Any] | None = None, **fields: Any) -> Job:
    """The same, submitted."""
    from ftsdk import backends

    backend = backends.get("local", options)
    made = plan(folder, source, options=options, **fields)
    return submit(made, backend, secrets={}, on_attach=lambda info: None)


def claims(job: Job) -> list[dict[str, Any]]:
    """The claims of all attempts, oldest first."""
    keys = sorted(
        (item.key for item in job.store.list("attempts/") if item.key.endswith("claim.json")),
        key=lambda key: int(key.split("/")[1][1:]),
    )
    return [json.loads(job.store.read(key)) for key in keys]
