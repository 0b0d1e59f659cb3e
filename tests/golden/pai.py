"""Ten CreateJob requests with their uploads, one for each thing that changes a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ftsdk.backends.pai import Pai
from ftsdk.backends.pai.options import PaiOptions
from ftsdk.facts import ModelFacts
from ftsdk.plan import Plan
from tests.golden import plans

IMAGE = "registry-vpc.cn-hangzhou.aliyuncs.com/ours/ftsdk:0.1.0-lf-cuda"
ACCOUNT = {"workspace_id": "46099", "region": "cn-hangzhou", "bucket": "ours", "image": IMAGE}


def backend(**options: Any) -> Pai:
    """The backend of a made-up account."""
    return Pai(PaiOptions(**{**ACCOUNT, **options}))


def _with_oss_model() -> Plan:
    address = "oss://models/qwen3-8b"
    model = ModelFacts(address=address, kind="remote", base=address, files=(), config=None)
    asked = plans.spec(model=address, resources={"accelerator": "L20"})
    return backend().plan(asked, replace(plans.facts(), model=model))


def plan(
    resources: dict[str, Any], *, local_model: bool = True, options: dict[str, Any] | None = None, **fields: Any
) -> Plan:
    """A plan of made-up facts."""
    asked = plans.spec(resources=resources, **fields)
    return backend(**(options or {})).plan(asked, plans.facts(local_model=local_model))


HUB = {"local_model": False, "model": "Qwen/Qwen3-8B"}
REQUESTS: dict[str, Callable[[], Plan]] = {
    "one-gpu": lambda: plan({"accelerator": "A10"}),
    "spot": lambda: plan(
        {"accelerator": "A10", "spot": True}, options={"spot_discount_limit": 0.8}, timeout_hours=12.0
    ),
    "spot-price": lambda: plan({"accelerator": "A10", "spot": True}, options={"spot_price_limit": 0.4744}),
    "two-nodes-vpc": lambda: plan(
        {"accelerator": "A100-80GB", "accelerators_per_node": 8, "num_nodes": 2},
        **HUB,
        options={"vpc_id": "vpc-1", "switch_id": "vsw-1", "security_group_id": "sg-1", "extended_cidrs": "10.0.0.0/8"},
    ),
    "quota-lingjun": lambda: plan(
        {"accelerators_per_node": 8, "num_nodes": 4},
        **HUB,
        options={
            "resource_id": "quota1a2b3c",
            "cpu": 96,
            "memory_gb": 960,
            "shared_memory_gb": 480,
            "gpu_type": "GPU",
            "priority": 9,
            "rdma": True,
            "aimaster": True,
        },
    ),
    "singapore": lambda: plan({"accelerator": "A10"}, options={"region": "ap-southeast-1", "network": "vpc"}),
    "cname": lambda: plan(
        {"accelerator": "T4"}, options={"oss_endpoint": "https://data.example.com", "oss_cname": True}
    ),
    "secrets-and-tracking": lambda: plan(
        {"accelerator": "A10", "accelerators_per_node": 2},
        **HUB,
        secrets=("HF_TOKEN", "WANDB_API_KEY"),
        tracking={"wandb": "support"},
        output="oss://results/team",
        options={"role": "acs:ram::1234567890123456:role/ftsdk"},
    ),
    "model-in-oss": _with_oss_model,
    "cpu-mounts-auth": lambda: plan(
        {"disk_gb": 200},
        options={
            "ecs_spec": "ecs.g7.2xlarge",
            "image_auth": "ACR_LOGIN",
            "mounts": "/mnt/corpus=d-0a1b2c,/mnt/nas=nas://1a2b.cn-hangzhou.nas.aliyuncs.com/",
            "tags": "team=nlp",
        },
    ),
}
