"""Programs for a model that exists, on every backend: an adapter in the backend's own bucket, or on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ftsdk.backends.base import Backend
from ftsdk.backends.docker import Docker, DockerOptions
from ftsdk.backends.local import Local, LocalOptions
from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.data.cache import Lengths
from ftsdk.facts import ModelFacts
from ftsdk.spec.loading import parse
from ftsdk.storage.fingerprints import Fingerprint
from tests.golden import pai, plans, sagemaker

CONFIG = {
    "model_type": "qwen3", "hidden_size": 4096, "num_hidden_layers": 36, "num_attention_heads": 32,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 12288, "vocab_size": 151936,
}  # fmt: skip
HUB = "Qwen/Qwen3-8B"
LENGTHS = Lengths(
    num_rows=100, mean_tokens=300.0, max_tokens=900, how_counted="", rows_cut=0, suggested_cutoff_len=1024,
    padding_waste=0.1, packing_waste=0.0,
)  # fmt: skip
PROGRAMS: dict[str, dict[str, Any]] = {
    "merge": {"type": "merge", "dtype": "bfloat16"},
    "export": {"type": "export", "quant": ["q8_0", "q4_k_m"]},
    "evaluate": {"type": "evaluate", "against": "base", "metrics": ["loss", "exact_match"]},
    "generate": {"type": "generate", "max_new_tokens": 128, "temperature": 0.0},
}
BACKENDS: dict[str, tuple[Backend, str | None, str | None]] = {
    "local": (Local(LocalOptions(python="/home/ada/venv/bin/python")), None, None),
    "docker": (Docker(DockerOptions(user="1000:1000")), None, None),
    "sagemaker": (sagemaker.backend(), "s3", "A10G"),
    "pai": (pai.backend(), "oss", "A10"),
    "skypilot": (SkyPilot(SkyPilotOptions(infra=("aws/us-west-2",), storage="s3://bucket/jobs")), "s3", "L4"),
}
"""Name -> the backend, where the adapter is (None is this machine), and the accelerator."""


def adapter(scheme: str | None, job: str = "support-bot-1a2b3c4d") -> ModelFacts:
    """The adapter that a job made, on a hub's model."""
    if scheme is None:
        folder = f"{plans.HOME}/jobs/local/{job}/model"
        names = (("adapter_config.json", "1"), ("adapter_model.safetensors", "2"))
        files = tuple(Fingerprint(f"{folder}/{name}", 1000, digit * 64) for name, digit in names)
        return ModelFacts(address=folder, kind="path", base=HUB, files=files, config=CONFIG)
    address = f"{scheme}://ours/ftsdk/jobs/{job}/model"
    return ModelFacts(address=address, kind="remote", base=HUB, files=(), config=CONFIG, bytes=80_000_000)


def plan(
    backend: Backend, program: dict[str, Any], card: str | None, model: ModelFacts, against: ModelFacts | None = None
) -> dict[str, Any]:
    """What a plan of this program says, without what is the same in a training's."""
    reads_rows = program["type"] not in ("merge", "export")
    fields = {
        "model": model.address,
        "name": "support-bot",
        "program": {**program, **({"against": against.address} if against else {})},
        "resources": {"accelerator": card},
        **({"dataset": {"train": "train.jsonl"}} if reads_rows else {}),
    }
    given = replace(plans.facts(), model=model, against=against, lengths=LENGTHS, eval=())
    made = backend.plan(parse(fields, where="golden"), given if reads_rows else replace(given, train=())).to_json()
    kept = ("uri", "request", "trainer_config", "uploads", "copies", "usd_per_hour", "warnings")
    estimate = ("fits", "hours", "hours_low", "hours_high", "unknown")
    document = ("trainer", "dataset_info", "inputs", "durable")
    return {
        **{key: made[key] for key in kept},
        "estimate": {key: made["estimate"][key] for key in estimate},
        "document": {key: made["document"][key] for key in document},
    }


def deployment(name: str, **program: Any) -> dict[str, Any]:
    """The plan of a deployment of an adapter, beside another one if `beside` is given."""
    backend, scheme, card = BACKENDS[name]
    model = adapter(scheme)
    beside = {"beside": (other := adapter(scheme, "other-5e6f7a8b")).address} if program.pop("two", False) else {}
    fields = {
        "model": model.address,
        "name": "support-bot",
        "program": {"type": "serve", **program, **beside},
        "resources": {"accelerator": card},
    }
    given = replace(plans.facts(), model=model, against=other if beside else None, train=(), eval=())
    made = backend.deployments().plan(parse(fields, where="golden"), given).to_json()
    kept = ("uri", "request", "uploads", "copies", "usd_per_hour", "warnings")
    return {key: made[key] for key in kept} | {"fits": made["estimate"]["fits"]}


DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "docker": {},
    "sagemaker": {"two": True, "beside_share": 0.1},
    "pai": {"min_replicas": 0, "max_replicas": 3},
    "skypilot": {"min_replicas": 0, "max_replicas": 2},
}
"""Backend -> what its deployment's program says."""


def golden_files() -> Iterator[tuple[str, dict[str, Any]]]:
    """(name, plan): every program on every backend; then models that are elsewhere, and a second model."""
    for name, (backend, scheme, card) in BACKENDS.items():
        for program, fields in PROGRAMS.items():
            yield f"{name}-{program}", plan(backend, fields, card, adapter(scheme))
    for name in ("local", "docker"):
        yield f"{name}-merge-from-s3", plan(BACKENDS[name][0], PROGRAMS["merge"], None, adapter("s3"))
    for name, elsewhere in (("sagemaker", "s3"), ("pai", "oss"), ("skypilot", "s3")):
        backend, scheme, card = BACKENDS[name]
        for where in (None, elsewhere):
            made = plan(backend, PROGRAMS["evaluate"], card, adapter(scheme), adapter(where, "other-5e6f7a8b"))
            yield f"{name}-evaluate-against-{where or 'folder'}", made
    for name, program in DEPLOYMENTS.items():
        yield f"{name}-deployment", deployment(name, **program)
