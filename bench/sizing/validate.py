"""The estimator beside the published tables: errors by group, and with each source left out in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Final, NamedTuple, TypeVar

from bench.sizing.frameworks import OLD_ATTENTION, framework_of
from bench.sizing.rows import DATA, Row, held_bytes, measured_gib, memory_step, read, speed_step
from ftsdk.sizing.catalogue import cards
from ftsdk.sizing.memory.terms import CONSTANTS, GIB, Constants, Memory, memory_of
from ftsdk.sizing.price.offers import Fit, fit
from ftsdk.sizing.time.throughput import RATES, Rates, Speed, speed_of

SHARES: Final = tuple(n / 100 for n in range(18, 50, 2))
"""Allocator shares that are tried when a source is left out: from the published average to the published maximum."""


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """A measured row and the estimate. `measured_gib` is None where the run was out of memory."""

    row: Row
    measured_gib: float | None
    needed: Memory
    held_gib: float
    """Reserved beyond need because batches differ in length (`bench.sizing.allocator`)."""

    @property
    def estimated_gib(self) -> float:
        """What the row's tool would show. torch's counters see no CUDA context and, when they count allocated memory,
        nothing that is only held; on a full card the allocator gives unused blocks back."""
        used = self.needed.total_gib - self.needed.gib("context", "allocator")
        tool = counter(self.row)
        if tool == "allocated":
            return used
        context = self.needed.gib("context") if tool == "driver" else 0.0
        total = context + used + max(self.needed.gib("allocator"), self.held_gib)
        card = cards().get(self.row["gpu"].lower())
        return min(total, card.usable_gib - self.needed.gib("context")) if tool == "reserved" and card else total

    @property
    def error(self) -> float:
        """Relative error."""
        assert self.measured_gib
        return self.estimated_gib / self.measured_gib - 1

    @property
    def fits(self) -> Fit:
        """The verdict that a user would see."""
        return fit(self.needed, cards().get(self.row["gpu"].lower()))


class SpeedRow(NamedTuple):
    """A measured row and the estimate."""

    row: Row
    measured: float
    estimated: Speed

    @property
    def error(self) -> float:
        """Relative error."""
        return self.estimated.tokens_per_s / self.measured - 1

    @property
    def covered(self) -> bool:
        """The stated range holds the measurement."""
        return self.estimated.low <= self.measured <= self.estimated.high


R = TypeVar("R", "MemoryRow", "SpeedRow")


class Summary(NamedTuple):
    """Errors of a group of rows."""

    rows: int
    median: float
    p90: float
    bias: float
    under: float
    """Share of rows that are underestimated by more than 10 %."""


def counter(row: Row) -> str:
    """Who counted a row's memory: torch (reserved), torch (allocated), or the driver."""
    metric = row["mem_metric"]
    if metric == "torch peak" or "allocated" in metric:
        return "allocated"
    return "reserved" if "torch" in metric else "driver"


def memory_rows(
    path: Path = DATA / "memory_measured.csv", *, grades: str = "A", constants: Constants = CONSTANTS
) -> list[MemoryRow]:
    """Rows of these grades with their estimates."""
    rows = []
    for row in read(path):
        if row["quality"] in grades:
            step = memory_step(row)
            needed = _with_frozen_gradients(memory_of(step, constants=constants), row)
            rows.append(MemoryRow(row, measured_gib(row), needed, held_bytes(row, step) / GIB))
    return rows


def _with_frozen_gradients(needed: Memory, row: Row) -> Memory:
    step, f = memory_step(row), framework_of(row["source_id"])
    if not (f.frozen_gradients and step.sharding.kind == "fsdp"):
        return needed
    size = round(2 * step.shape.parameters.total / step.sharding.ways)
    term = replace(needed.terms[0], name="gradients of frozen weights", bytes=size)
    return replace(needed, terms=(*needed.terms, term))


def speed_rows(
    path: Path = DATA / "throughput_measured.csv", *, grades: str = "A", rates: Rates = RATES
) -> list[SpeedRow]:
    """Rows with tokens per second and a known card."""
    rows = []
    for row in read(path):
        card = cards().get(row["gpu"].lower())
        if row["quality"] not in grades or not row["tokens_per_s_per_gpu"] or card is None:
            continue
        nodes = max(1, int(row["n_gpus"]) // 8)
        own = _rates_of(row, rates)
        estimate = speed_of(speed_step(row), card, nodes=nodes, fp8="fp8" in row["precision"].lower(), rates=own)
        if estimate is not None:
            rows.append(SpeedRow(row, float(row["tokens_per_s_per_gpu"]), estimate))
    return rows


def _rates_of(row: Row, rates: Rates) -> Rates:
    """The rates with those of the kernels that the row's program had."""
    if not framework_of(row["source_id"]).old_attention:
        return rates
    usual, of_generation = OLD_ATTENTION
    return rates._replace(usual_attention_share=usual, attention_share=of_generation)


def summary(rows: Iterable[MemoryRow | SpeedRow]) -> Summary:
    """Errors of rows that were measured."""
    errors = [row.error for row in rows if not isinstance(row, MemoryRow) or row.measured_gib]
    sizes = sorted(abs(error) for error in errors)
    return Summary(
        rows=len(errors),
        median=median(sizes),
        p90=sizes[min(len(sizes) - 1, int(0.9 * len(sizes)))],
        bias=fmean(errors),
        under=sum(error < -0.1 for error in errors) / len(errors),
    )


def groups(rows: Sequence[R], key: Callable[[Row], str]) -> dict[str, list[R]]:
    """Rows by a key of theirs."""
    grouped: dict[str, list[R]] = {}
    for row in rows:
        grouped.setdefault(key(row.row), []).append(row)
    return grouped


# --- one source left out ---------------------------------------------------------------------------
def leave_one_out(path: Path = DATA / "memory_measured.csv") -> list[MemoryRow]:
    """Every grade A row, estimated with an allocator share chosen without its source."""
    by_share = {share: memory_rows(path, constants=CONSTANTS._replace(allocator_share=share)) for share in SHARES}
    rows_left_out: list[MemoryRow] = []
    for source in groups(by_share[SHARES[0]], _source):
        share = _chosen_share({s: [r for r in rows if _source(r.row) != source] for s, rows in by_share.items()})
        rows_left_out += [row for row in by_share[share] if _source(row.row) == source]
    return rows_left_out


def _chosen_share(by_share: dict[float, list[MemoryRow]]) -> float:
    """The smallest share at which at most 5 % of the rows are underestimated by more than 10 %."""
    safe = [
        share
        for share, rows in by_share.items()
        if any(row.measured_gib for row in rows) and summary(rows).under <= 0.05
    ]
    return min(safe, default=SHARES[-1])


def leave_one_out_speed(path: Path = DATA / "throughput_measured.csv") -> list[SpeedRow]:
    """Every grade A row, with each generation's matrix share set without the row's source."""
    everything = speed_rows(path)
    rows_left_out: list[SpeedRow] = []
    for source in groups(everything, _source):
        rates = _rates_without([row for row in everything if _source(row.row) != source])
        rows_left_out += [row for row in speed_rows(path, rates=rates) if _source(row.row) == source]
    return rows_left_out


def _rates_without(others: Sequence[SpeedRow]) -> Rates:
    """Matrix shares at which the others' median error is nil; generations without other rows get the mean share."""
    by_generation = groups(others, lambda row: cards()[row["gpu"].lower()].generation)
    shares = {}
    for generation, share in RATES.matrix_share:
        plain = [row for row in by_generation.get(generation, []) if "fp8" not in row.row["precision"].lower()]
        ratio = median(row.measured / row.estimated.tokens_per_s for row in plain) if plain else None
        shares[generation] = share * ratio if ratio else fmean(s for _, s in RATES.matrix_share)
    return RATES._replace(matrix_share=tuple(shares.items()))


def _source(row: Row) -> str:
    return row["source_id"]
