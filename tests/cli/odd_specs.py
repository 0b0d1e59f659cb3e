"""Specs that are wrong somewhere: valid ones with a few values replaced by odd ones, of ftsdk and of LLaMA-Factory."""

from __future__ import annotations

import copy
import json
import re
from random import Random
from typing import Any

from pydantic import BaseModel

from ftsdk.engines.llamafactory.arguments import known_arguments
from ftsdk.spec import Freeze, Full, JobSpec, Lora, Oft, QLora

INTEGERS = [0, 1, 2, 3, 7, 64, 1000, 10**6, 10**9, 2**31, 2**63 - 1, -1, 10**30, -(10**30)]
FLOATS = [0.0, 1e-300, 1e-9, 0.1, 0.5, 0.999, 1.0, 3.0, 1e6, 1e300, -1.0, float("inf"), float("nan")]
TEXTS = [
    "", " ", "x", "../../x", "s3://[::1", "s3://", "oss://b", "hf://", "hf://[", "http://[::1", "file://[x", "://",
    "a://b", "local://x", "local://..", "~nobody/x", "~", "\x1b[31mred", "a\x00b", "\u202eabc", "é" * 300, "x" * 10_000,
    "a b", "${HOME}", "$(id)", "; rm", "'", '"', "\n", "a\nb", "auto", "sft", "dpo", "lora", "full", "qlora", "grpo",
    "ppo", "kto", "rm", "pt", "2024-01-01", "modelscope:", "modelscope:a/b", "./model", "train.jsonl", "pairs.jsonl",
    "*", "**", "/", "/etc", "/etc/passwd", "..", "nul", "-1", "1e5", "0x10",
]  # fmt: skip
OTHERS: list[Any] = [
    None, True, False, [], {}, [1], ["a"], [[]], [{}], {"a": 1}, {"a": {"b": {}}}, [None], {"type": {"a": 1}},
    {"type": [1]}, {"stage": {"x": 1}}, {"stage": []}, {"train": "train.jsonl"}, {"train": {}}, {"train": [{}]},
    {"project": 1}, {"wandb": {"project": "p"}}, {"retries": 10**25}, {"type": "zero3"},
    {"type": "lora", "rank": 10**18}, {"max_hours": 1e-300}, {"finish_by": "2024-13-01"}, {"every_minutes": 1e300},
]  # fmt: skip
KEYS = ["\x1b[2J", "a\nb", "x" * 9999, "", "model\x00", "learning_rte"]
ANY = [*INTEGERS, *FLOATS, *TEXTS, *OTHERS]
TUNINGS = (Freeze, Full, Lora, QLora, Oft)
LLAMAFACTORY = sorted(known_arguments())
SOUND: list[dict[str, Any]] = [
    {"model": "./model", "dataset": "train.jsonl"},
    {"model": "./model", "dataset": "pairs.jsonl", "method": "dpo"},
    {"model": "./model", "dataset": "train.jsonl", "method": {"stage": "grpo", "rewards": [{"name": "length"}]}},
    {
        "model": "Qwen/Qwen3-8B", "dataset": "hf://a/b", "tuning": "qlora", "sharding": "zero3",
        "resources": {"accelerator": "A100-80GB", "accelerators_per_node": 2, "num_nodes": 2},
    },
    {
        "model_name_or_path": "./model", "stage": "sft", "do_train": True, "finetuning_type": "lora", "dataset": "mine",
        "dataset_dir": ".", "output_dir": "x", "per_device_train_batch_size": 1,
    },
]  # fmt: skip
BACKENDS = (
    ("local",),
    ("docker",),
    ("sagemaker", "-o", "role=arn:aws:iam::123456789012:role/ftsdk", "-o", "region=us-west-2"),
    ("skypilot", "-o", "storage=s3://bucket/ftsdk", "-o", "infra=aws"),
    ("pai", "-o", "workspace_id=46099", "-o", "region=cn-hangzhou", "-o", "bucket=ours", "-o", "image=ours/ftsdk:1"),
)


def odd_spec(random: Random) -> dict[str, Any]:
    """One spec."""
    spec = copy.deepcopy(random.choice(SOUND))
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        if "model" in spec:
            path = random.choice(PATHS)
            put(spec, path, random.choice(_of_its_kind(path)) if random.random() < 0.6 else random.choice(ANY))
        else:
            put(spec, random.choice([*spec, *LLAMAFACTORY]), random.choice(ANY))
    if random.random() < 0.05:
        spec[random.choice(KEYS)] = random.choice(ANY)
    return spec


def put(spec: dict[str, Any], path: str, value: Any) -> None:
    """Set a value at a path such as `tuning.rank`."""
    *above, last = path.split(".")
    for part in above:
        if not isinstance(spec.get(part), dict):
            spec[part] = {}
        spec = spec[part]
    spec[last] = copy.deepcopy(value)


def write_files(folder: Any) -> None:
    """A model's config, rows and pairs, and their registration, which the sound specs name."""
    (folder / "model").mkdir()
    config = {"model_type": "qwen2", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
              "intermediate_size": 128, "vocab_size": 1000}  # fmt: skip
    (folder / "model" / "config.json").write_text(json.dumps(config))
    row, pair = {"instruction": "a?", "input": "", "output": "b"}, {"prompt": "a?", "chosen": "b", "rejected": "c"}
    (folder / "train.jsonl").write_text((json.dumps(row) + "\n") * 20)
    (folder / "pairs.jsonl").write_text((json.dumps(pair) + "\n") * 20)
    (folder / "dataset_info.json").write_text(json.dumps({"mine": {"file_name": "train.jsonl"}}))


def _paths(model: type[BaseModel], before: str = "") -> dict[str, str]:
    """Path of every field -> its annotation as text."""
    found = {}
    for name, field in model.model_fields.items():
        found[before + name] = str(field.annotation)
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= _paths(field.annotation, f"{before}{name}.")
    return found


KINDS = {"tuning.type": "", **_paths(JobSpec)}
for _tuning in TUNINGS:
    KINDS |= _paths(_tuning, "tuning.")
PATHS = sorted([*KINDS, *(f"hyperparameters.{name}" for name in LLAMAFACTORY)])


def _of_its_kind(path: str) -> list[Any]:
    """Values that the field's type takes, or nearly so."""
    kind = KINDS.get(path, "")
    groups = {"int": INTEGERS, "float": FLOATS, "str": TEXTS, "bool": [True, False]}
    named = re.findall(r"'([a-z0-9_]+)'", kind)
    return [value for word, values in groups.items() if word in kind for value in values] + named or ANY
