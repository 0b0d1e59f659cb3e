"""What a submit does before the job is made: look, plan, stage. `ftsdk_staging.py stage FOLDER URL SOURCE`.

SOURCE is a model's folder. Nothing is known of it the first time; the second time all is there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from stopwatch import answer, timed, use_bucket

from ftsdk import backends
from ftsdk.facts import inspect
from ftsdk.jobs.starting import make_ready
from ftsdk.spec.loading import parse

ROLE = "arn:aws:iam::123456789012:role/ftsdk"


def main(_verb: str, folder: str, url: str, source: str) -> None:
    """Stage twice; a small model before it does the imports."""
    os.environ["FTSDK_HOME"] = str(Path(folder) / "home")
    use_bucket(url)
    small = Path(folder) / "small"
    small.mkdir()
    (small / "config.json").write_text('{"model_type": "qwen2"}', "utf-8")
    _stage(folder, str(small))
    for note in ("first", "second"):
        answer([timed(lambda: _stage(folder, source))], note)


def _stage(folder: str, model: str) -> None:
    rows = Path(folder) / "train.jsonl"
    rows.write_text('{"instruction": "What is 1?", "output": "It is 1."}\n', "utf-8")
    options = {
        "role": ROLE,
        "region": "us-west-2",
        "instance_type": "ml.m5.xlarge",
        "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
    }
    spec = parse({"name": "staging", "model": model, "dataset": str(rows)}, where="bench")
    make_ready(backends.get("sagemaker", options).plan(spec, inspect(spec)))


if __name__ == "__main__":
    main(*sys.argv[1:])
