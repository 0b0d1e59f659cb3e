"""ftsdk's submit to SageMaker, from the spec on. `ftsdk_sagemaker.py submit FOLDER URL RUNS`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from stopwatch import answer, peak_mb, timed

from ftsdk import Estimator

ROLE = "arn:aws:iam::123456789012:role/ftsdk"


def main(_verb: str, folder: str, url: str, runs: str) -> None:
    """A new job each time; the inputs are staged by the first."""
    place = Path(folder)
    (place / "model").mkdir()
    (place / "model" / "config.json").write_text('{"model_type": "qwen2"}', "utf-8")
    for name in ("pytorch_model.bin", "tokenizer.json"):  # a complete model's folder; nothing reads them
        (place / "model" / name).write_text("{}", "utf-8")
    rows = [{"instruction": f"What is {i}?", "output": f"It is {i}."} for i in range(100)]
    (place / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    options = {"role": ROLE, "region": "us-west-2", "endpoint_url": url, "instance_type": "ml.m5.xlarge"}
    timings = [
        timed(
            lambda number=number: Estimator(
                name=f"bench-{number}",
                model="model",
                dataset="train.jsonl",
                folder=place,
                backend="sagemaker",
                options=options,
            ).fit(wait=False)
        )
        for number in range(int(runs))
    ]
    answer(timings, f"peak {peak_mb():.0f} MB")


if __name__ == "__main__":
    main(*sys.argv[1:])
