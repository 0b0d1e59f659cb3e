"""The smallest change that makes a job fit, in names of the spec."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ftsdk.sizing.catalogue import cards
from ftsdk.sizing.memory.terms import memory_of
from ftsdk.sizing.training_step import TrainingStep

_Changed = tuple[str, TrainingStep]
"""The change in the spec's words, and the training step with it."""
_Change = Callable[[TrainingStep], "_Changed | None"]
"""None where the change does not apply."""


@dataclass(frozen=True, slots=True)
class Advice:
    """Changes that together make the job fit, and the memory it then needs."""

    changes: tuple[str, ...]
    total_gib: float


def advise(step: TrainingStep, usable_gib: float) -> Advice | None:
    """The smallest change that fits into `usable_gib`: one change if one is enough, else as few as possible together.

    Changes that only cost time are tried first, changes of what is trained last. None if no combination fits.
    """
    for change in _CHANGES:
        advice = _apply(step, (change,), usable_gib)
        if advice is not None:
            return advice
    for number in range(2, len(_CHANGES) + 1):
        advice = _apply(step, _CHANGES[:number], usable_gib)
        if advice is not None:
            return _without_unneeded(step, _CHANGES[:number], advice, usable_gib)
    return None


def next_cards(step: TrainingStep) -> tuple[str, ...]:
    """Up to three accelerators, smallest first, on which the step fits unchanged."""
    needed = memory_of(step).total_gib
    by_size = sorted(set(cards().values()), key=lambda card: card.usable_gib)
    return tuple(card.name for card in by_size if needed <= card.usable_gib)[:3]


def _apply(step: TrainingStep, changes: tuple[_Change, ...], usable_gib: float) -> Advice | None:
    """Apply the changes one after another; None when the result does not fit, or none of them applies."""
    words = []
    for change in changes:
        changed = change(step)
        if changed is not None:
            words.append(changed[0])
            step = changed[1]
    total = memory_of(step, card_gib=usable_gib).total_gib
    return Advice(tuple(words), total) if words and total <= usable_gib else None


def _without_unneeded(step: TrainingStep, changes: tuple[_Change, ...], advice: Advice, usable_gib: float) -> Advice:
    """Drop the changes without which the step still fits, the most intrusive first."""
    for change in reversed(changes):
        fewer = tuple(other for other in changes if other is not change)
        without = _apply(step, fewer, usable_gib)
        if without is not None:
            changes, advice = fewer, without
    return advice


def _checkpoint(step: TrainingStep) -> _Changed | None:
    return None if step.checkpointing else ("gradient_checkpointing: true", replace(step, checkpointing=True))


def _flash(step: TrainingStep) -> _Changed | None:
    kernel = next((name for name in ("auto", "fa2") if name in step.shape.family.flash), None)
    return None if step.flash or kernel is None else (f"flash_attn: {kernel}", replace(step, flash=True))


def _chunked_loss(step: TrainingStep) -> _Changed | None:
    if step.chunked_loss or step.logit_bytes != 12.0:  # Liger's fused loss is for pt and sft
        return None
    return "enable_liger_kernel: true", replace(step, chunked_loss=True)


def _half_batch(step: TrainingStep) -> _Changed | None:
    return _batch(step, step.micro_batch // 2)


def _least_batch(step: TrainingStep) -> _Changed | None:
    return _batch(step, step.sequences_per_row)


def _batch(step: TrainingStep, size: int) -> _Changed | None:
    if size < step.sequences_per_row or size >= step.micro_batch:
        return None
    words = (
        f"per_device_train_batch_size: {size // step.sequences_per_row} "
        f"with gradient_accumulation_steps x {step.micro_batch // size}"
    )
    return words, replace(step, micro_batch=size)


def _shard(step: TrainingStep) -> _Changed | None:
    sharding = step.sharding
    if sharding.ways < 2 or sharding.splits_weights:
        return None
    stage = 3 if sharding.kind == "zero2" or not step.full else 2
    return f"deepspeed: ZeRO-{stage}", replace(
        step, sharding=replace(sharding, kind="zero3" if stage == 3 else "zero2")
    )


def _shard_all(step: TrainingStep) -> _Changed | None:
    if step.sharding.ways < 2 or step.sharding.splits_weights:
        return None
    return "deepspeed: ZeRO-3", replace(step, sharding=replace(step.sharding, kind="zero3"))


def _small_optimizer(step: TrainingStep) -> _Changed | None:
    if not step.full or not step.optimizer.startswith("adamw_torch"):
        return None
    return "optim: paged_adamw_8bit", replace(step, optimizer="paged_adamw_8bit")


def _pure_bf16(step: TrainingStep) -> _Changed | None:
    if not step.full or step.layout != "amp" or step.sharding.deepspeed:
        return None
    return "pure_bf16: true", replace(step, layout="bf16")


def _four_bits(step: TrainingStep) -> _Changed | None:
    if not step.adapted or step.weight_bits < 16 or step.sharding.kind == "zero3":
        return None
    return "tuning: {type: qlora, bits: 4}", replace(step, weight_bits=4)


def _adapters(step: TrainingStep) -> _Changed | None:
    if not step.full:
        return None
    adapted = step.shape.linears
    count = sum(8 * (linear.inputs + linear.outputs) * linear.number for linear in adapted)
    return "tuning: lora", replace(
        step, adapted=adapted, trained=count, layout="amp", trained_layers=None, frozen_copies=()
    )


def _offload(step: TrainingStep) -> _Changed | None:
    if not step.sharding.deepspeed or step.sharding.offload_optimizer:
        return None
    sharding = replace(step.sharding, offload_optimizer=True, offload_weights=step.sharding.kind == "zero3")
    return "deepspeed: offload to main memory", replace(step, sharding=sharding)


def _shorter(step: TrainingStep) -> _Changed | None:
    if step.seq_len < 1024:
        return None
    return f"cutoff_len: {step.seq_len // 2}", replace(step, seq_len=step.seq_len // 2)


_CHANGES: Final[tuple[_Change, ...]] = (
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
