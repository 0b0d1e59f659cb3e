"""Plans of made-up facts: a plan is pure, so the whole of it can be written down and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.local import Local, LocalOptions
from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.facts import Facts, MachineFacts, ModelFacts, SourceFacts
from ftsdk.facts.runtime_archive import RuntimeArchive
from ftsdk.plan import Plan
from ftsdk.spec import JobSpec
from ftsdk.spec.loading import parse
from ftsdk.storage.fingerprints import Fingerprint

FOLDER = Path(__file__).parent
HOME = "/home/ada/.ftsdk"
WORK = "/home/ada/work"


def _file(name: str, digit: str) -> Fingerprint:
    return Fingerprint(f"{WORK}/{name}", 1000, digit * 64)


def _source(name: str, digit: str) -> SourceFacts:
    file = _file(name, digit)
    entry = {"file_name": file.path}
    label = name.partition(".")[0]
    return SourceFacts(name=label, address=file.path, file=file, entry=entry, format="alpaca", num_rows=100)


def facts(*, gpus: tuple[str, ...] = (), local_model: bool = True, platform: str = "linux") -> Facts:
    """A folder with a model and data on a machine of these GPUs."""
    files = tuple(_file(f"model/{name}", digit) for name, digit in (("config.json", "a"), ("model.safetensors", "b")))
    here = ModelFacts(
        address=f"{WORK}/model", kind="path", base=f"{WORK}/model", files=files, config={"model_type": "qwen2"}
    )
    hub = ModelFacts(address="Qwen/Qwen3-8B", kind="hub", base="Qwen/Qwen3-8B", files=(), config=None)
    return Facts(
        home=HOME,
        folder=WORK,
        model=here if local_model else hub,
        train=(_source("train.jsonl", "c"),),
        eval=(_source("eval.jsonl", "d"),),
        runtime=RuntimeArchive(path=f"{HOME}/cache/runtime-0123456789ab.pyz", sha256="e" * 64, bytes=40000),
        machine=MachineFacts(platform=platform, python="3.11.7", accelerators=gpus),
        unknown=(),
    )


def spec(**fields: Any) -> JobSpec:
    """A LoRA fine-tuning on two files, with changes."""
    given = {"name": "support-bot", "model": "model", "dataset": {"train": "train.jsonl", "eval": "eval.jsonl"}}
    return parse({**given, **fields}, where="golden")


def _local() -> Plan:
    return Local(LocalOptions(python="/home/ada/venv/bin/python")).plan(spec(), facts())


def _docker() -> Plan:
    return Docker(DockerOptions(user="1000:1000")).plan(spec(), facts())


def _docker_two_nodes() -> Plan:
    asked = spec(
        model="Qwen/Qwen3-8B",
        resources={"num_nodes": 2, "accelerators_per_node": 2, "memory_gb": 64.0},
        secrets=("HF_TOKEN",),
        tracking={"wandb": "support"},
        output="runs",
        timeout_hours=24.0,
    )
    return Docker(DockerOptions(user="1000:1000")).plan(asked, facts(gpus=("NVIDIA H100",) * 4, local_model=False))


def _sagemaker() -> Plan:
    from tests.golden.sagemaker import REQUESTS

    return REQUESTS["one-gpu"]()


SKYPILOT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "skypilot-aws-spot": (
        {
            "infra": ("aws/us-west-2", "aws/us-east-1"),
            "accelerators": ("H100",),
            "storage": "s3://bucket/jobs",
            "storage_region": "us-west-2",
        },
        {
            "resources": {"accelerator": "A100-80GB", "accelerators_per_node": 8, "num_nodes": 2, "spot": True},
            "secrets": ("HF_TOKEN",),
        },
    ),
    "skypilot-gcp": (
        {"infra": ("gcp/us-central1",), "storage": "gs://bucket/jobs", "image": "me/trainer:1"},
        {"resources": {"accelerator": "L4", "disk_gb": 200, "memory_gb": 60.0}},
    ),
    "skypilot-azure": (
        {"infra": ("azure/eastus", "azure/westus"), "choose": "cheapest", "storage": "s3://bucket/jobs"},
        {"resources": {"accelerator": "A100-80GB"}, "secrets": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    ),
    "skypilot-kubernetes": (
        {
            "infra": ("k8s/team",),
            "managed": True,
            "storage": "s3://bucket/jobs",
            "storage_endpoint": "http://minio:9000",
        },
        {"resources": {"accelerator": "H100", "accelerators_per_node": 8}},
    ),
    "skypilot-slurm": (
        {"infra": ("slurm/lab/preempt",), "storage": "/nfs/jobs", "cpus": "16+"},
        {"resources": {"accelerator": "H100", "num_nodes": 2, "spot": True}, "timeout_hours": 24.0},
    ),
    "skypilot-cluster": (
        {"cluster": "mine", "storage": "/nfs/jobs", "shared": (WORK, HOME), "python": "/nfs/venv/bin/python"},
        {},
    ),
}
"""Name -> the backend's options, and what differs in the spec."""  # fmt: skip


def _skypilot(name: str) -> Plan:
    options, fields = SKYPILOT[name]
    hub = name == "skypilot-aws-spot"
    given = {"model": "Qwen/Qwen3-8B", **fields} if hub else fields
    return SkyPilot(SkyPilotOptions(**options)).plan(spec(**given), facts(local_model=not hub))


def _pai() -> Plan:
    from tests.golden.pai import REQUESTS

    return REQUESTS["one-gpu"]()


PLANS: dict[str, Callable[[], Plan]] = {
    "local": _local,
    "pai": _pai,
    "sagemaker": _sagemaker,
    "docker": _docker,
    "docker-two-nodes": _docker_two_nodes,
    **{name: partial(_skypilot, name) for name in SKYPILOT},
}


def golden_files() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each golden file, and what should be in it."""
    from tests.golden import pai, programs, sagemaker

    for name, plan in programs.golden_files():
        yield FOLDER / "programs" / f"{name}.json", plan
    for name, make in PLANS.items():
        yield FOLDER / f"{name}.json", make().to_json()
    for backend, requests in (("pai", pai.REQUESTS), ("sagemaker", sagemaker.REQUESTS)):
        for name, make in requests.items():
            plan = make().to_json()
            path = FOLDER / f"{backend}-requests" / f"{name}.json"
            yield path, {key: plan[key] for key in ("request", "uploads", "warnings")}
