"""Pipelines of real local jobs that are a few lines of Python each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

COUNTS = """
import json, os, pathlib, sys, time
job = json.loads(pathlib.Path(os.environ["FTSDK_TRAIN"]).read_text())
config, output = job["document"]["config"], pathlib.Path(job["output"])
given = config["arguments"]
runs = pathlib.Path(__file__).with_name("runs.txt") if "RUNS" not in os.environ else pathlib.Path(os.environ["RUNS"])
with runs.open("a") as file:
    file.write(given["name"] + "\\n")
if given.get("fails") and not pathlib.Path(given["fails"]).exists():
    sys.exit("ValueError: it fails")
while "gate" in given and not pathlib.Path(given["gate"]).exists():
    time.sleep(0.01)
before = pathlib.Path(config["model"], "value.json")
value = (json.loads(before.read_text()) if before.is_file() else 0) + given.get("adds", 1)
(output / "value.json").write_text(json.dumps(value))
(output / "metrics.json").write_text(json.dumps({"value": value}))
(output / "config.json").write_text('{"model_type": "qwen2"}')
"""
"""Adds a number to that of the step before, reports it, and writes its name into a file each time it runs."""


def step(folder: Path, name: str, model: str = "./model", **more: object) -> dict[str, object]:
    """A step that runs COUNTS; arguments of the file are among `more`."""
    arguments = {key: more.pop(key) for key in ("adds", "fails", "gate") if key in more}
    program = {"type": "python", "file": "count.py", "arguments": {"name": name, **arguments}}
    return {"model": model, "program": program, "env": {"RUNS": str(folder / "runs.txt")}, **more}


def written(folder: Path, steps: Mapping[str, object], **settings: object) -> Path:
    """The file of a pipeline, beside the Python file that its steps run."""
    (folder / "count.py").write_text(COUNTS)
    path = folder / "chain.yaml"
    path.write_text(yaml.safe_dump({"steps": dict(steps), **settings}, sort_keys=False))
    return path


def runs(folder: Path) -> list[str]:
    """Names of the steps that have run, in their order."""
    path = folder / "runs.txt"
    return path.read_text().splitlines() if path.exists() else []
