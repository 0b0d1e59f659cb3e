"""The smallest change that makes a run fit, in the names that a person would type."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ftsdk.sizing.catalogue import cards
from ftsdk.sizing.memory.terms import memory
from ftsdk.sizing.training_step import Run

Change = tuple[str, Run]


@dataclass(frozen=True, slots=True)
class Advice:
    """Changes that together make the run fit, and what it then needs."""

    changes: tuple[str, ...]
    total_gib: float


def advice(run: Run, usable_gib: float) -> Advice | None:
    """The smallest change that fits into `usable_gib`: one change if one is enough, else as few as possible together.

    Tried in order, from what only costs time to what trains something else. None when only another card helps.
    """
    for change in _CHANGES:
        found = _apply(run, (change,), usable_gib)
        if found is not None:
            return found
    for number in range(2, len(_CHANGES) + 1):
        found = _apply(run, _CHANGES[:number], usable_gib)
        if found is not None:
            return _thinned(run, _CHANGES[:number], found, usable_gib)
    return None


def next_cards(run: Run) -> tuple[str, ...]:
    """Up to three cards, smallest first, on which the run fits as it is."""
    needed = memory(run).total_gib
    known = sorted(set(cards().values()), key=lambda card: card.usable_gib)
    return tuple(card.name for card in known if needed <= card.usable_gib)[:3]


_Step = Callable[[Run], "Change | None"]


def _apply(run: Run, steps: tuple[_Step, ...], usable_gib: float) -> Advice | None:
    """All steps that apply, one after another; None when the result does not fit, or nothing applied."""
    words = []
    for step in steps:
        change = step(run)
        if change is not None:
            words.append(change[0])
            run = change[1]
    total = memory(run, card_gib=usable_gib).total_gib
    return Advice(tuple(words), total) if words and total <= usable_gib else None


def _thinned(run: Run, steps: tuple[_Step, ...], found: Advice, usable_gib: float) -> Advice:
    """Without the steps that turn out not to be needed, the most intrusive tried first."""
    for step in reversed(steps):
        fewer = tuple(other for other in steps if other is not step)
        without = _apply(run, fewer, usable_gib)
        if without is not None:
            steps, found = fewer, without
    return found


def _checkpoint(run: Run) -> Change | None:
    return None if run.checkpointing else ("gradient_checkpointing: true", replace(run, checkpointing=True))


def _flash(run: Run) -> Change | None:
    kernel = next((name for name in ("auto", "fa2") if name in run.shape.family.flash), None)
    return None if run.flash or kernel is None else (f"flash_attn: {kernel}", replace(run, flash=True))


def _chunked_loss(run: Run) -> Change | None:
    if run.chunked_loss or run.logit_bytes != 12.0:  # Liger's fused loss is for pt and sft
        return None
    return "enable_liger_kernel: true", replace(run, chunked_loss=True)


def _half_batch(run: Run) -> Change | None:
    return _batch(run, run.micro_batch // 2)


def _least_batch(run: Run) -> Change | None:
    return _batch(run, run.sequences_per_row)


def _batch(run: Run, size: int) -> Change | None:
    if size < run.sequences_per_row or size >= run.micro_batch:
        return None
    words = (
        f"per_device_train_batch_size: {size // run.sequences_per_row} "
        f"with gradient_accumulation_steps x {run.micro_batch // size}"
    )
    return words, replace(run, micro_batch=size)


def _shard(run: Run) -> Change | None:
    sharding = run.sharding
    if sharding.ways < 2 or sharding.splits_weights:
        return None
    stage = 3 if sharding.kind == "zero2" or not run.full else 2
    return f"deepspeed: ZeRO-{stage}", replace(run, sharding=replace(sharding, kind="zero3" if stage == 3 else "zero2"))


def _shard_all(run: Run) -> Change | None:
    if run.sharding.ways < 2 or run.sharding.splits_weights:
        return None
    return "deepspeed: ZeRO-3", replace(run, sharding=replace(run.sharding, kind="zero3"))


def _small_optimizer(run: Run) -> Change | None:
    if not run.full or not run.optimizer.startswith("adamw_torch"):
        return None
    return "optim: paged_adamw_8bit", replace(run, optimizer="paged_adamw_8bit")


def _pure_bf16(run: Run) -> Change | None:
    if not run.full or run.layout != "amp" or run.sharding.deepspeed:
        return None
    return "pure_bf16: true", replace(run, layout="bf16")


def _four_bits(run: Run) -> Change | None:
    if not run.adapted or run.weight_bits < 16 or run.sharding.kind == "zero3":
        return None
    return "tuning: {type: qlora, bits: 4}", replace(run, weight_bits=4)


def _adapters(run: Run) -> Change | None:
    if not run.full:
        return None
    adapted = run.shape.linears
    count = sum(8 * (linear.inputs + linear.outputs) * linear.number for linear in adapted)
    return "tuning: lora", replace(
        run, adapted=adapted, trained=count, layout="amp", trained_layers=None, frozen_copies=()
    )


def _offload(run: Run) -> Change | None:
    if not run.sharding.deepspeed or run.sharding.offload_optimizer:
        return None
    sharding = replace(run.sharding, offload_optimizer=True, offload_weights=run.sharding.kind == "zero3")
    return "deepspeed: offload to main memory", replace(run, sharding=sharding)


def _shorter(run: Run) -> Change | None:
    if run.seq_len < 1024:
        return None
    return f"cutoff_len: {run.seq_len // 2}", replace(run, seq_len=run.seq_len // 2)


_CHANGES: Final[tuple[_Step, ...]] = (
    _flash,
    _half_batch,
    _least_batch,
    _checkpoint,
    _chunked_loss,
    _shard,
    _shard_all,
    _small_optimizer,
    _pure_bf16,
    _four_bits,
    _adapters,
    _four_bits,
    _offload,
    _shorter,
)
