"""Rows of the published tables as runs of the estimator, and its answers beside the measurements."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from bench.sizing.frameworks import FRAMEWORKS, Framework
from ftsdk.sizing.memory import CONSTANTS, GIB, Memory, memory
from ftsdk.sizing.run import OPTIMIZERS, Run, Sharding
from ftsdk.sizing.shapes import Linear, ModelShape, shape_of_config, shape_of_count
from ftsdk.sizing.tables import config_of_row, plain_name, shape_of_model

DATA = Path(__file__).parent / "data"
Row = Mapping[str, str]
CARDS = {"A100-80GB": 78.7, "RTX3090": 23.3, "RTX4090": 23.2}


def read(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file whose comment lines begin with `#`."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


@cache
def _extra_shapes() -> dict[str, ModelShape]:
    return {row["name"]: shape_of_config(config_of_row(row)) for row in read(DATA / "models.csv")}


def shape_of_row(row: Row) -> ModelShape:
    """The model's shape: from the tables, else a Llama-like one of the stated size."""
    name = plain_name(row["model"])
    found = _extra_shapes().get(name) or shape_of_model(name)
    if found is None or found.notes:
        return shape_of_count(float(row["params_b"]) * 1e9)
    return found


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row and the estimator's answer. `measured_gib` is None for an out-of-memory row."""

    row: Row
    measured_gib: float | None
    estimated: Memory

    @property
    def estimated_gib(self) -> float:
        """What the row's tool would have shown: torch's own counters see neither the context nor, when they say
        allocated, unusable blocks; on a full card the allocator gives unused blocks back."""
        shown = self._shown()
        return min(shown, CARDS.get(self.row["gpu"], shown)) if counter(self.row) == "torch" else shown

    def _shown(self) -> float:
        hidden = {"torch": ("context",), "allocated": ("context", "allocator")}.get(counter(self.row), ())
        return self.estimated.total_gib - self.estimated.gib(*hidden)

    @property
    def error(self) -> float:
        """Relative error of the estimate."""
        assert self.measured_gib
        return self.estimated_gib / self.measured_gib - 1


def counter(row: Row) -> str:
    """Who counted: torch (reserved), torch (allocated) or the driver."""
    metric = row["mem_metric"]
    if "torch max allocated" in metric or metric == "torch peak":
        return "allocated"
    return "torch" if "torch" in metric else "driver"


def run_of_row(row: Row, framework: Framework | None = None) -> Run:
    """A measured run in the estimator's words."""
    f = framework or FRAMEWORKS.get(row["source_id"], Framework())
    shape = shape_of_row(row)
    if f.untied and shape.tied:
        shape = replace(shape, tied=False)
    ways = int(row["n_gpus"] or 1)
    if row["parallelism"].startswith("naive pipeline"):
        shape, ways = replace(shape, num_layers=-(-shape.num_layers // ways)), 1
    adapters = row["method"] != "full"
    adapted = _adapted(row, shape, f) if adapters else ()
    rank = int(row["lora_rank"] or f.rank)
    copies = shape.parameters.embeddings + shape.parameters.lm_head if row["method"] == "lora+emb" else 0
    trained = sum(rank * (a.inputs + a.outputs) * a.number for a in adapted) + copies
    return Run(
        shape=shape,
        trained=trained if adapters else shape.parameters.total,
        adapted=adapted,
        trained_copies=copies,
        micro_batch=int(row["micro_batch"] or 1),
        seq_len=int(row["seq_len"] or 512),
        weight_bits=int(row["base_bits"] or 16),
        quantization="gptq" if "gptq" in (row["notes"] + row["precision"]).lower() else "bnb",
        kept_bytes=2 if "gptq" in (row["notes"] + row["precision"]).lower() else f.kept_bytes,
        layout=f.adapter_layout if adapters else f.full_layout,
        optimizer=row["optimizer"] if row["optimizer"] in OPTIMIZERS else f.optimizer,
        optimizer_temporaries=2 if row["source_id"] == "qwen_readme" and "zero" not in row["parallelism"] else None,
        checkpointing=_checkpointing(row, f),
        flash=row["flash_attn"] not in ("no",),
        chunked_loss=f.chunked_loss,
        logit_bytes=8 if "zero" in row["parallelism"] and row["source_id"] == "qwen_readme" else f.logit_bytes,
        sharding=_sharding(row, ways),
    )


def _adapted(row: Row, shape: ModelShape, f: Framework) -> tuple[Linear, ...]:
    stated = row["lora_targets"]
    targets = f.targets
    if "all" in stated.lower().split("-")[0] or "w1" in stated:
        targets = "all"
    elif stated == "q,v":
        targets = "q_proj v_proj"
    if targets == "all":
        return shape.linears
    chosen = tuple(linear for linear in shape.linears if linear.name in targets.split())
    return chosen or shape.linears[:1]


def _checkpointing(row: Row, f: Framework) -> bool:
    stated = row["grad_ckpt"]
    if stated.startswith("FSDP policy"):
        return True
    return stated == "yes" if stated in ("yes", "no") else f.checkpointing


def _sharding(row: Row, ways: int) -> Sharding:
    kind = row["parallelism"].split("+")[0].split(" ")[0]
    offload = "offload" in row["parallelism"] or "CPU offload" in row["notes"]
    names = {
        "fsdp_full_shard": "fsdp",
        "fsdp2": "fsdp",
        "fsdp": "fsdp",
        "ddp": "ddp",
        "zero2": "zero2",
        "zero3": "zero3",
    }
    return Sharding(
        kind=names.get(kind, "none"),  # type: ignore[arg-type]
        ways=ways,
        offload_optimizer=offload,
        offload_weights=offload,
        bucket_elements=200_000_000,
        buckets=2,
    )


def outcomes(path: Path = DATA / "memory_measured.csv", constants=CONSTANTS) -> Iterator[Outcome]:
    """Every row of a measured table with the estimate."""
    for row in read(path):
        f = FRAMEWORKS.get(row["source_id"], Framework())
        run = run_of_row(row, f)
        answer = memory(run, constants=constants)
        if f.fsdp_gradients_of_frozen and run.sharding.kind == "fsdp":
            extra = 2 * run.shape.parameters.total / run.sharding.ways
            answer = answer._replace(
                terms=(*answer.terms, answer.terms[0]._replace(name="gradients of frozen weights", bytes=round(extra)))
            )
        value = row["mem_gib_per_gpu"]
        yield Outcome(row, float(value) if value else None, answer)


__all__ = ["GIB", "Outcome", "outcomes", "read", "run_of_row"]
