"""Three works as a user of the SageMaker SDK's ModelTrainer writes them. `model_trainer.py FOLDER`, in its environment.

FOLDER holds model/, data/ and code/ with a LLaMA-Factory configuration; test_model_trainer.py has the same works as
specs. AWS is reached as the environment says. Where ModelTrainer leaves a thing to its users, they say nothing here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.shapes import InstancePreference, RetryStrategy
from sagemaker.core.training.configs import (
    CheckpointConfig,
    Compute,
    InputData,
    Networking,
    OutputDataConfig,
    SourceCode,
    StoppingCondition,
    Tag,
)
from sagemaker.train import ModelTrainer

BUCKET = "sagemaker-us-west-2-123456789012"
HOUR_S = 3600


def trainer(name: str, folder: Path, kms_key: str | None = None, **fields: Any) -> ModelTrainer:
    """What all of them have."""
    return ModelTrainer(
        sagemaker_session=Session(default_bucket=BUCKET),
        role="arn:aws:iam::123456789012:role/ftsdk",
        base_job_name=name,
        training_image="123456789012.dkr.ecr.us-west-2.amazonaws.com/ours:1",
        source_code=SourceCode(source_dir=str(folder / "code"), command="llamafactory-cli train train.yaml"),
        input_data_config=[
            InputData(channel_name="model", data_source=str(folder / "model")),
            InputData(channel_name="train", data_source=str(folder / "data")),
        ],
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/results", kms_key_id=kms_key),
        **fields,
    )


def one_gpu(folder: Path) -> None:
    """The everyday one."""
    trainer(
        "one-gpu",
        folder,
        compute=Compute(instance_type="ml.g5.2xlarge", instance_count=1),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=12 * HOUR_S),
        environment={"TOKENIZERS_PARALLELISM": "false"},
        tags=[Tag(key="team", value="nlp")],
    ).train(wait=False, logs=False)


def spot_nodes(folder: Path) -> None:
    """Two spot machines in a VPC, encrypted, with checkpoints."""
    key = "arn:aws:kms:us-west-2:123456789012:key/0123abcd"
    trainer(
        "spot-nodes",
        folder,
        key,
        compute=Compute(
            instance_type="ml.p3.16xlarge",
            instance_count=2,
            volume_size_in_gb=500,
            volume_kms_key_id=key,
            enable_managed_spot_training=True,
        ),
        networking=Networking(
            subnets=["subnet-0a1b2c3d"],
            security_group_ids=["sg-0a1b2c3d"],
            enable_inter_container_traffic_encryption=True,
        ),
        stopping_condition=StoppingCondition(max_runtime_in_seconds=12 * HOUR_S, max_wait_time_in_seconds=36 * HOUR_S),
    ).with_checkpoint_config(CheckpointConfig()).with_retry_strategy(RetryStrategy(maximum_retry_attempts=2)).train(
        wait=False, logs=False
    )


def isolated_warm(folder: Path) -> None:
    """The first of two types that is free, kept warm, without a network, inputs read while training."""
    trainer(
        "isolated-warm",
        folder,
        compute=Compute(
            instance_preferences=[
                InstancePreference(instance_type="ml.g6.2xlarge", instance_count=1),
                InstancePreference(instance_type="ml.g5.2xlarge", instance_count=1),
            ],
            volume_size_in_gb=200,
            keep_alive_period_in_seconds=HOUR_S // 2,
        ),
        networking=Networking(enable_network_isolation=True),
        training_input_mode="FastFile",
    ).with_checkpoint_config(CheckpointConfig()).train(wait=False, logs=False)


if __name__ == "__main__":
    for work in (one_gpu, spot_nodes, isolated_warm):
        work(Path(sys.argv[1]))
