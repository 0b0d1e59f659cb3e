"""ModelTrainer's submit of the same inputs. `sagemaker_train.py submit FOLDER URL RUNS`.

Without these settings it asks IAM's simulator, sends telemetry to the internet, and asks STS for a default bucket.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"

from stopwatch import answer, peak_mb, timed

ROLE = "arn:aws:iam::123456789012:role/ftsdk"
BUCKET = "sagemaker-us-west-2-123456789012"


def main(_verb: str, folder: str, url: str, runs: str) -> None:
    """A new job each time; its names have a resolution of a second."""
    os.environ |= {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": "us-west-2"}
    place = Path(folder)
    for name in ("model", "train"):
        (place / name).mkdir()
    (place / "model" / "config.json").write_text('{"model_type": "qwen2"}', "utf-8")
    for name in ("pytorch_model.bin", "tokenizer.json"):  # a complete model's folder; nothing reads them
        (place / "model" / name).write_text("{}", "utf-8")
    rows = [{"instruction": f"What is {i}?", "output": f"It is {i}."} for i in range(100)]
    (place / "train" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    timings = [timed(lambda number=number: _submit(place, number)) for number in range(int(runs))]
    answer(timings, f"peak {peak_mb():.0f} MB")


def _submit(place: Path, number: int) -> None:
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, StoppingCondition
    from sagemaker.train import ModelTrainer

    ModelTrainer(
        sagemaker_session=Session(default_bucket=BUCKET),
        role=ROLE,
        base_job_name=f"bench-{number}",
        training_image="123456789012.dkr.ecr.us-west-2.amazonaws.com/ftsdk:1",
        compute=Compute(instance_type="ml.m5.xlarge", instance_count=1, volume_size_in_gb=100),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/out"),
        input_data_config=[InputData(channel_name=name, data_source=str(place / name)) for name in ("model", "train")],
    ).train(wait=False, logs=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
