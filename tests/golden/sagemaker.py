"""Thirteen CreateTrainingJob requests with their uploads, one for each thing that changes a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ftsdk.backends.sagemaker import SageMaker
from ftsdk.backends.sagemaker.options import SageMakerOptions
from ftsdk.facts import ModelFacts
from ftsdk.plan import Plan
from tests.golden import plans

ROLE = "arn:{}:iam::123456789012:role/ftsdk"
IMAGE = "123456789012.dkr.ecr.us-west-2.amazonaws.com/with-efa:1"
PARTITIONS = {"cn-northwest-1": "aws-cn", "us-gov-west-1": "aws-us-gov"}


def backend(region: str = "us-west-2", **options: Any) -> SageMaker:
    """The backend of a made-up account."""
    role = ROLE.format(PARTITIONS.get(region, "aws"))
    return SageMaker(SageMakerOptions(**{"role": role, "region": region, **options}))


def _with_s3_model() -> Plan:
    model = ModelFacts(
        address="s3://models/qwen3-8b", kind="remote", base="s3://models/qwen3-8b", files=(), config=None
    )
    asked = plans.spec(model="s3://models/qwen3-8b", resources={"accelerator": "L40S"})
    return backend(input_mode="FastFile").plan(asked, replace(plans.facts(), model=model))


def _plan(resources: dict[str, Any], *, local_model: bool = True, options: dict[str, Any] | None = None, **fields: Any):
    asked = plans.spec(resources=resources, **fields)
    return backend(**(options or {})).plan(asked, plans.facts(local_model=local_model))


HUB = {"local_model": False, "model": "Qwen/Qwen3-8B"}
REQUESTS: dict[str, Callable[[], Plan]] = {
    "one-gpu": lambda: _plan({"accelerator": "A10G"}),
    "spot": lambda: _plan({"accelerator": "A10G", "spot": True}, timeout_hours=12.0),
    "several-types": lambda: _plan({}, options={"instance_type": "ml.g6.2xlarge,ml.g5.2xlarge"}),
    "plan-and-shell": lambda: _plan(
        {"accelerator": "H100", "accelerators_per_node": 8},
        options={
            "training_plan": "arn:aws:sagemaker:us-west-2:123456789012:training-plan/ours",
            "remote_debug": True,
            "max_pending_hours": 4,
            "model_artifacts": True,
        },
    ),
    "two-nodes-efa": lambda: _plan(
        {"accelerator": "H100", "accelerators_per_node": 8, "num_nodes": 2},
        **HUB,
        options={"encrypt_traffic": True, "efa": True, "image": IMAGE},
    ),
    "china": lambda: _plan({"accelerator": "T4"}, options={"region": "cn-northwest-1"}),
    "us-gov": lambda: _plan(
        {"accelerator": "V100"}, options={"region": "us-gov-west-1", "retries": 0, "torch": "cuda12"}
    ),
    "isolated-vpc-kms": lambda: _plan(
        {"accelerator": "A10G"},
        options={
            "network_isolation": True,
            "subnets": "subnet-0a1b2c3d,subnet-4e5f6a7b",
            "security_groups": "sg-0a1b2c3d",
            "kms_key": "arn:aws:kms:us-west-2:123456789012:key/0123abcd",
        },
    ),
    "secrets-and-tracking": lambda: _plan(
        {"accelerator": "L4", "accelerators_per_node": 4},
        **HUB,
        secrets=("HF_TOKEN", "WANDB_API_KEY"),
        tracking={"wandb": "support"},
        output="s3://results/team",
    ),
    "file-systems": lambda: _plan(
        {"accelerator": "A10G"},
        **HUB,
        env={"HF_HUB_CACHE": "/opt/ml/input/data/hub", "HF_HUB_OFFLINE": "1"},
        options={
            "file_systems": "hub=fsx://fs-0a1b2c3d4e5f60718/abcdefgh/hub,more=efs://fs-0a1b2c3d/data",
            "subnets": "subnet-0a1b2c3d",
            "security_groups": "sg-0a1b2c3d",
        },
    ),
    "private-registry": lambda: _plan(
        {"accelerator": "A10G"},
        options={
            "image": "registry.example.com/team/ftsdk:1",
            "registry_login": "arn:aws:lambda:us-west-2:123456789012:function:registry-login",
            "subnets": "subnet-0a1b2c3d",
            "security_groups": "sg-0a1b2c3d",
        },
    ),
    "model-in-s3": _with_s3_model,
    "cpu-warm-pool": lambda: _plan(
        {"disk_gb": 30},
        options={
            "instance_type": "ml.m5.xlarge",
            "image": "123456789012.dkr.ecr.us-west-2.amazonaws.com/ours:1",
            "keep_alive_minutes": 30,
            "bucket": "ours",
            "tags": "team=nlp",
        },
    ),
}
