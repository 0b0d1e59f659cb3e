"""Plans of made-up facts: a plan is pure, so the whole of it can be written down and kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.local import Local, LocalOptions
from ftsdk.facts import Facts, MachineFacts, ModelFacts
from ftsdk.fingerprints import Fingerprint
from ftsdk.plan import Plan
from ftsdk.runtime_archive import RuntimeArchive
from ftsdk.sources import SourceFacts
from ftsdk.spec import JobSpec
from ftsdk.spec.loading import parse

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


PLANS: dict[str, Callable[[], Plan]] = {
    "local": _local,
    "sagemaker": _sagemaker,
    "docker": _docker,
    "docker-two-nodes": _docker_two_nodes,
}


def golden_files() -> Iterator[tuple[Path, dict[str, Any]]]:
    """Each golden file, and what should be in it."""
    from tests.golden.sagemaker import REQUESTS

    for name, make in PLANS.items():
        yield FOLDER / f"{name}.json", make().to_json()
    for name, make in REQUESTS.items():
        plan = make().to_json()
        yield (
            FOLDER / "sagemaker-requests" / f"{name}.json",
            {key: plan[key] for key in ("request", "uploads", "warnings")},
        )
