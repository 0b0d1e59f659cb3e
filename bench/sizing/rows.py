"""Rows of the published tables as runs of the estimator."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Final

from bench.sizing.allocator import HELD_CUT, HELD_DROPPED
from bench.sizing.frameworks import Framework, framework_of
from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.architecture.guessing import guessed_shape
from ftsdk.sizing.architecture.names import lookups
from ftsdk.sizing.architecture.shapes import Linear, ModelShape
from ftsdk.sizing.memory.terms import GIB
from ftsdk.sizing.tables import config_of_row, shape_of_model
from ftsdk.sizing.training_step import OPTIMIZERS, ShardingKind, StateSharding, TrainingStep

DATA: Final = Path(__file__).parent / "data"
Row = Mapping[str, str]
_SHARDED: Final[dict[str, ShardingKind]] = {
    "fsdp_full_shard": "fsdp",
    "full_shard": "fsdp",
    "shard_grad_op": "zero2",
    "fsdp2": "fsdp",
    "fsdp": "fsdp",
    "ddp": "ddp",
    "zero2": "zero2",
    "zero3": "zero3",
}


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file whose comment lines begin with `#`."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@cache
def _old_shapes() -> dict[str, ModelShape]:
    return {row["name"]: shape_of_config(config_of_row(row)) for row in read(DATA / "models.csv")}


def shape_of_row(row: Row) -> ModelShape:
    """The model's shape: from the tables, else a Llama-like one of the stated size."""
    name = list(lookups(row["model"].replace(" B", "B")))[-1]
    shape = _old_shapes().get(name) or shape_of_model(name)
    if shape is None or shape.model_type == "unknown":
        return guessed_shape(float(row["params_b"]) * 1e9)
    return shape


def memory_step(row: Row, f: Framework | None = None) -> TrainingStep:
    """A row of memory_measured.csv as a training step."""
    f = f or framework_of(row["source_id"])
    shape, ways = shape_of_row(row), int(row["n_gpus"] or 1)
    if f.untied and shape.tied:
        shape = replace(shape, tied=False)
    if row["parallelism"].startswith("naive pipeline"):  # each card holds its layers
        shape, ways = replace(shape, num_layers=-(-shape.num_layers // ways)), 1
    gptq = "gptq" in (row["notes"] + row["precision"]).lower()
    step = _trained(row, shape, f)
    sharding = sharding_of(row, ways)
    bytes_each = f.deepspeed_logit_bytes if f.deepspeed_logit_bytes and sharding.deepspeed else f.logit_bytes
    return replace(
        step,
        micro_batch=int(row["micro_batch"] or 1),
        seq_len=int(row["seq_len"] or 512),
        weight_bits=int(row["base_bits"] or 16),
        quantization="gptq" if gptq else "bnb",
        kept_bytes=2 if gptq else f.kept_bytes,
        layout=f.adapter_layout if step.adapted else f.full_layout,
        optimizer=row["optimizer"] if row["optimizer"] in OPTIMIZERS else f.optimizer,
        optimizer_temporaries=f.optimizer_temporaries,
        checkpointing=checkpointing_of(row, f),
        flash=row["flash_attn"] != "no",
        chunked_loss=f.chunked_loss,
        logit_bytes=bytes_each,
        dropout=f.dropout and bool(step.adapted),
        sharding=sharding,
    )


def measured_gib(row: Row) -> float | None:
    """The row's figure in GiB; None where the run was out of memory."""
    value = row["mem_gib_per_gpu"]
    return float(value) * framework_of(row["source_id"]).gb_bytes / GIB if value else None


def held_bytes(row: Row, step: TrainingStep) -> float:
    """What the allocator keeps reserved because batches differ in length; nothing where they do not."""
    if step.chunked_loss or not any(word in row["seq_kind"] for word in ("variable", "truncated")):
        return 0.0
    sets = HELD_DROPPED if framework_of(row["source_id"]).drops_long_rows else HELD_CUT
    return sets * step.tokens * step.shape.vocab_size * step.logit_bytes


def speed_step(row: Row) -> TrainingStep:
    """a row of throughput_measured.csv as a training step."""
    f = framework_of(row["source_id"])
    step = _trained(row, shape_of_row(row), f)
    return replace(
        step,
        micro_batch=int(row["micro_batch"] or 1),
        seq_len=int(row["seq_len"]),
        weight_bits=int(row["base_bits"] or 16),
        quantization="gptq" if "gptq" in row["precision"].lower() else "bnb",
        layout="bf16",
        checkpointing=checkpointing_of(row, f) and row["grad_ckpt"] != "",
        sharding=sharding_of(row, int(row["n_gpus"])),
    )


def _trained(row: Row, shape: ModelShape, f: Framework) -> TrainingStep:
    """The training step with nothing but what is trained."""
    if row["method"] == "full":
        return TrainingStep(shape=shape, trained=shape.parameters.total)
    adapted = _adapted(row.get("lora_targets", ""), shape, f)
    rank = int(row.get("lora_rank") or f.rank)
    counts = shape.parameters
    copies = counts.embeddings + counts.lm_head if row["method"] == "lora+emb" else 0
    count = sum(rank * (linear.inputs + linear.outputs) * linear.number for linear in adapted)
    return TrainingStep(shape=shape, trained=count + copies, adapted=adapted, trained_copies=copies)


def _adapted(stated: str, shape: ModelShape, f: Framework) -> tuple[Linear, ...]:
    targets = f.targets
    if stated.lower().startswith("all") or "w1" in stated:
        targets = "all"
    elif stated == "q,v":
        targets = "q_proj v_proj"
    if targets == "all":
        return shape.linears
    chosen = tuple(linear for linear in shape.linears if linear.name in targets.split())
    return chosen or shape.linears[:1]


def checkpointing_of(row: Row, f: Framework) -> bool:
    """Whether a row recomputes activations, as it says or as its program does."""
    stated = row["grad_ckpt"]
    if stated.startswith("FSDP policy"):
        return True
    return stated == "yes" if stated in ("yes", "no") else f.checkpointing


def sharding_of(row: Row, ways: int) -> StateSharding:
    """How a row spreads its state. Tensor and pipeline parallel rows count as not sharded."""
    words = row["parallelism"].lower()
    kind = _SHARDED.get(words.split("+")[0].split(" ")[0], "none")
    offload = "offload" in words or "CPU offload with" in row["notes"]
    return StateSharding(
        kind=kind,
        ways=ways,
        offload_optimizer=offload,
        offload_weights=offload,
        bucket_elements=200_000_000,  # Qwen's own DeepSpeed configs
        buckets=2,
    )
