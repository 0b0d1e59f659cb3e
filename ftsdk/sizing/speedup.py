"""Settings with which the same training takes less time on the same accelerator: a search by the estimate. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import ceil

from ftsdk.sizing.estimate import Estimate
from ftsdk.spec import JobSpec
from ftsdk.spec.method import ONLINE

WORTH = 1.15
"""Smaller gains are within what the forecast cannot tell."""
CLOSE = 1.03
"""Of settings this close to the fastest, the one with the fewest changes is taken."""
PACKED_STAGES = ("sft",)
"""Methods for which LLaMA-Factory keeps the attention of packed rows apart."""

_EstimateOf = Callable[[JobSpec], Estimate]
_Changes = Mapping[str, int | bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speedup:
    """Changes of the hyperparameters, and what the estimate expects of them."""

    changes: _Changes
    """Name -> value."""
    factor: float
    """Time of training now over that with the changes."""
    tokens_per_s: float
    """Per accelerator."""
    total_gib: float
    """Peak memory of one accelerator."""
    keeps_batches: bool
    """Whether each optimizer step sees the same rows; packing puts other rows together."""


def speedups(spec: JobSpec, estimate_of: _EstimateOf) -> tuple[Speedup, ...]:
    """The best settings that keep the batches, then the best with packing where that gains more; none where the
    estimate has no speed, or where nothing is worth it.

    Args:
        spec: a training on a known accelerator.
        estimate_of: estimates a changed spec on the same data and accelerator.
    """
    now = estimate_of(spec)
    if now.speed is None or now.hours is None or spec.method.stage in ONLINE:
        return ()
    best: list[Speedup] = []
    for keeps_batches, candidates in ((True, _batches(spec)), (False, _packed(spec, now))):
        settings: list[_Changes] = [{**batch, **extra} for batch, extra in product(candidates, _neutral(spec))]
        if fastest := _fastest(spec, now.hours, settings, estimate_of, keeps_batches=keeps_batches):
            least = best[-1].factor * WORTH if best else WORTH
            best += [fastest] if fastest.factor >= least else []
    return tuple(best)


def _fastest(
    spec: JobSpec, hours: float, settings: list[_Changes], estimate_of: _EstimateOf, *, keeps_batches: bool
) -> Speedup | None:
    fitting = [speedup for changes in settings if (speedup := _tried(spec, hours, changes, estimate_of, keeps_batches))]
    top = max((speedup.factor for speedup in fitting), default=0.0)
    close = (speedup for speedup in fitting if speedup.factor * CLOSE >= top)
    return min(close, key=lambda speedup: (len(speedup.changes), -speedup.factor), default=None)


def _tried(
    spec: JobSpec, hours: float, changes: _Changes, estimate_of: _EstimateOf, keeps_batches: bool
) -> Speedup | None:
    """None where the changed training does not surely fit."""
    hyperparameters = spec.hyperparameters.model_copy(update=dict(changes))
    estimate = estimate_of(spec.model_copy(update={"hyperparameters": hyperparameters}))
    if estimate.fits != "yes" or not (estimate.speed and estimate.hours and estimate.memory):
        return None
    return Speedup(
        changes=changes,
        factor=hours / estimate.hours,
        tokens_per_s=estimate.speed.tokens_per_s,
        total_gib=estimate.memory.total_gib,
        keeps_batches=keeps_batches,
    )


def _batches(spec: JobSpec) -> Iterator[_Changes]:
    """All splits of the batch into micro-batches."""
    hp = spec.hyperparameters
    yield from _splits(hp.per_device_train_batch_size * hp.gradient_accumulation_steps, hp.per_device_train_batch_size)


def _splits(rows: int, now: int) -> Iterator[_Changes]:
    for size in range(1, rows + 1):
        if rows % size == 0:
            accumulated = {"gradient_accumulation_steps": rows // size}
            yield {} if size == now else {"per_device_train_batch_size": size, **accumulated}


def _packed(spec: JobSpec, now: Estimate) -> Iterator[_Changes]:
    """Packed rows, as many as hold about the tokens of a batch."""
    hp = spec.hyperparameters
    if spec.method.stage not in PACKED_STAGES or hp.packing or hp.neat_packing or not now.tokens:
        return
    rows = hp.per_device_train_batch_size * hp.gradient_accumulation_steps
    devices = spec.resources.num_nodes * spec.resources.accelerators_per_node
    sequences = hp.max_steps * rows * devices if hp.max_steps else now.tokens.rows * hp.epochs
    tokens_per_row = now.tokens.total / max(1.0, sequences)
    for changes in _splits(ceil(rows * tokens_per_row / hp.cutoff_len), now=0):
        yield {"neat_packing": True, **changes}


def _neutral(spec: JobSpec) -> Iterator[_Changes]:
    """What changes nothing but time and memory."""
    hp = spec.hyperparameters
    recomputation: list[_Changes] = [{}, {"gradient_checkpointing": False}] if hp.gradient_checkpointing else [{}]
    liger = spec.method.stage in ("pt", "sft") and not hp.passed_through.get("enable_liger_kernel")
    loss: list[_Changes] = [{}, {"enable_liger_kernel": True}] if liger else [{}]
    yield from ({**first, **second} for first, second in product(recomputation, loss))
