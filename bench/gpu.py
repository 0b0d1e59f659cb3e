"""Trains models of real shapes on one CUDA GPU and puts memory and speed beside the estimates.

    python -m bench.gpu --csv gpu.csv             # 9 minutes; call it again and it goes on where it stopped
    python -m bench.gpu --csv gpu.csv --show      # the table so far
    python -m bench.gpu --csv dry.csv --dry-run   # the same program on a CPU with toy sizes

Random weights and synthetic tokens: nothing is downloaded. Needs torch, transformers, PEFT and pydantic; bitsandbytes
for qlora, liger-kernel for the chunked loss and LLaMA-Factory for its rows. What is missing is written as the row's
outcome. Each case runs in a separate process, so that their memory is separate.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from bench.sizing.training import Case, shape_and_config, train
from ftsdk.sizing.catalogue import cards
from ftsdk.sizing.memory.terms import memory_of
from ftsdk.sizing.time.throughput import speed_of
from ftsdk.sizing.training_step import TrainingStep

ROOT: Final = Path(__file__).parents[1]
BUDGET_S: Final = 540.0
CASE_LIMIT_S: Final = 150.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What was measured, and what was estimated. Empty cells were not to be had."""

    outcome: str
    """ok, oom, `missing NAME`, or the error."""
    tokens_per_s: float | None = None
    step_s: float | None = None
    real_share: float | None = None
    """Real tokens over all tokens, padding included."""
    allocated_gib: float | None = None
    reserved_gib: float | None = None
    device_gib: float | None = None
    """What the driver counts for the process, CUDA context included."""
    estimated_gib: float | None = None
    estimated_tokens_per_s: float | None = None
    mfu: float | None = None
    gpu: str = ""
    versions: str = ""
    date: str = ""


def cases() -> Iterator[Case]:
    """Most telling first: the target row and its neighbours, then sizes, lengths, tunings and padding."""
    for tuning, model, lengths in (
        ("lora", "qwen3-8b", (4096, 1024, 8192)),
        ("full", "qwen2.5-0.5b", (4096, 1024)),
        ("qlora", "qwen3-14b", (4096,)),
        ("lora", "qwen3-14b", (4096,)),
        ("full", "qwen2.5-1.5b", (4096,)),
        ("lora", "llama-3.1-8b", (4096,)),
    ):
        for length in lengths:
            base = Case(model=model, tuning=tuning, seq_len=length)
            yield replace(base, trainer="llamafactory")
            for batch in (1, 4):
                for liger in (True, False):
                    yield replace(base, micro_batch=batch, checkpointing=False, liger=liger)
                    yield replace(base, micro_batch=batch, liger=liger)
            yield replace(base, micro_batch=4, packing=False, liger=True)


def dry_cases() -> Iterator[Case]:
    """A toy of every kind that runs without a GPU."""
    base = Case(model="toy", seq_len=32, micro_batch=2)
    yield replace(base, checkpointing=False, packing=False)
    yield replace(base, trainer="llamafactory")


# --- one case, in a process of its own --------------------------------------------------------------
def step_of_case(case: Case) -> TrainingStep:
    """The case in the estimator's words."""
    shape, _ = shape_and_config(case)
    adapted = () if case.tuning == "full" else shape.linears
    count = sum(16 * (linear.inputs + linear.outputs) * linear.number for linear in adapted)
    return TrainingStep(
        shape=shape,
        trained=count or shape.parameters.total,
        adapted=adapted,
        micro_batch=case.micro_batch,
        seq_len=case.seq_len,
        weight_bits=4 if case.tuning == "qlora" else 16,
        layout="amp" if adapted or case.trainer == "llamafactory" else "bf16",
        checkpointing=case.checkpointing,
        chunked_loss=case.liger,
    )


def run_case(case: Case, device: str) -> Result:
    """Train, measure, compare."""
    import torch

    name = torch.cuda.get_device_name() if device == "cuda" else ""
    try:
        step_s, real, every = train(case, device)
    except torch.cuda.OutOfMemoryError:
        return _compared(case, name, Result(outcome="oom"))
    except ImportError as error:
        return Result(outcome=f"missing {error.name}")
    result = Result(outcome="ok", tokens_per_s=real / step_s, step_s=step_s, real_share=real / every)
    if device == "cuda":
        free, total = torch.cuda.mem_get_info()
        result = replace(
            result,
            allocated_gib=torch.cuda.max_memory_allocated() / 2**30,
            reserved_gib=torch.cuda.max_memory_reserved() / 2**30,
            device_gib=(total - free) / 2**30,
        )
    return _compared(case, name, result)


def _compared(case: Case, gpu: str, result: Result) -> Result:
    run = step_of_case(case)
    names = [name for name in cards() if name in gpu.lower().replace(" ", "-")]
    found = cards()[max(names, key=len)] if names else None
    pace = None if found is None else speed_of(run, found)
    scale = pace.mfu / pace.tokens_per_s if pace else None
    return replace(
        result,
        estimated_gib=memory_of(run).total_gib,
        estimated_tokens_per_s=pace.tokens_per_s if pace else None,
        mfu=result.tokens_per_s * scale if result.tokens_per_s and scale else None,
        gpu=gpu,
        versions=_versions(),
        date=time.strftime("%Y-%m-%d"),
    )


def _versions() -> str:
    found = []
    for name in ("torch", "transformers", "peft", "liger-kernel", "bitsandbytes", "llamafactory"):
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)


# --- all cases -------------------------------------------------------------------------------------
def key_of(row: dict[str, Any]) -> tuple[str, ...]:
    """What makes a row the same case again."""
    return tuple(str(row[field.name]) for field in fields(Case))


def done_in(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """Rows that are there already, by case."""
    if not path.exists():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        return {key_of(row): row for row in csv.DictReader(file)}


def run_all(path: Path, todo: list[Case], device: str, budget_s: float) -> int:
    """Run what is not done until the time is up; returns how many cases are left."""
    begun, done = time.monotonic(), done_in(path)
    left = [case for case in todo if key_of(asdict(case)) not in done]
    while left and time.monotonic() - begun < budget_s:
        case = left.pop(0)
        room = budget_s - (time.monotonic() - begun)
        row = _in_child(case, device, min(CASE_LIMIT_S, room))
        if row is None and room < CASE_LIMIT_S:
            return len(left) + 1  # cut short by the budget, not by the case: next call
        _append(path, {**asdict(case), **(row or asdict(Result(outcome=f"over {CASE_LIMIT_S:g} s")))})
    return len(left)


def _in_child(case: Case, device: str, limit_s: float) -> dict[str, Any] | None:
    command = [sys.executable, "-m", "bench.gpu", "--case", json.dumps(asdict(case)), "--device", device]
    try:
        child = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        return None
    line = next((line for line in reversed(child.stdout.splitlines()) if line.startswith("RESULT ")), None)
    if line is None:
        words = (child.stderr.strip().splitlines() or ["no output"])[-1]
        return asdict(Result(outcome=f"error: {words[:200]}"))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def _append(path: Path, row: dict[str, Any]) -> None:
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)


def table(path: Path) -> str:
    """The measurements so far, beside the estimates."""
    lines = [
        "| trainer | model | tuning | tokens | recompute | liger | packed | outcome | tokens/s | estimate | MFU | "
        "reserved GiB | device GiB | estimate |",
        "|---|---|---|---|---|---|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in done_in(path).values():
        way = (row[name] for name in ("checkpointing", "liger", "packing", "outcome"))
        work = f"{row['micro_batch']} x {row['seq_len']}"
        numbers = ("tokens_per_s", "estimated_tokens_per_s", "mfu", "reserved_gib", "device_gib", "estimated_gib")
        shown = (f"{float(row[name]):.4g}" if row[name] else "" for name in numbers)
        lines.append("| " + " | ".join((row["trainer"], row["model"], row["tuning"], work, *way, *shown)) + " |")
    return "\n".join(lines)


def main() -> None:
    """Run, or show."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.gpu", description="Real shapes on one GPU, beside estimates."
    )
    parser.add_argument("--csv", type=Path, default=Path("gpu.csv"), help="results; what is in it is not run again")
    parser.add_argument("--minutes", type=float, default=BUDGET_S / 60, help="stop after so many minutes")
    parser.add_argument("--dry-run", action="store_true", help="toy sizes on a CPU")
    parser.add_argument("--show", action="store_true", help="print the table and run nothing")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        result = run_case(Case(**json.loads(arguments.case)), arguments.device)
        print("RESULT", json.dumps(asdict(result)))
        return
    left = 0
    if not arguments.show:
        todo, device = (list(dry_cases()), "cpu") if arguments.dry_run else (list(cases()), "cuda")
        left = run_all(arguments.csv, todo, device, 60 * arguments.minutes)
    print(table(arguments.csv))
    if left:
        print(f"\n{left} cases left: run the same command again.")


if __name__ == "__main__":
    main()
