"""Advice: the fewest and mildest changes that make a run fit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ftsdk.sizing.advice import advise, next_cards
from ftsdk.sizing.memory.terms import memory_of
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.training_step import StateSharding, TrainingStep

QWEN8 = shape_of_model("Qwen/Qwen3-8B")
LORA = TrainingStep(shape=QWEN8, trained=43_646_976, adapted=QWEN8.linears)
FULL = TrainingStep(shape=QWEN8, trained=QWEN8.parameters.total)


@pytest.mark.parametrize(
    ("run", "gib", "change"),
    [
        (replace(LORA, flash=False, checkpointing=False), 45, "flash_attn: auto"),
        (replace(LORA, micro_batch=8), 50, "per_device_train_batch_size: 4 with gradient_accumulation_steps x 2"),
        (replace(LORA, micro_batch=8), 30, "per_device_train_batch_size: 1 with gradient_accumulation_steps x 8"),
        (replace(LORA, checkpointing=False), 26, "gradient_checkpointing: true"),
        (replace(LORA, seq_len=8192), 27, "enable_liger_kernel: true"),
        (replace(FULL, sharding=StateSharding(kind="ddp", ways=8)), 60, "deepspeed: ZeRO-2"),
        (replace(FULL, sharding=StateSharding(kind="ddp", ways=8)), 40, "deepspeed: ZeRO-3"),
        (LORA, 16, "tuning: {type: qlora, bits: 4}"),
        (FULL, 81, "pure_bf16: true"),
        (FULL, 30, "tuning: lora"),
    ],
)
def test_advice_is_one_change_where_that_fits(run, gib, change):
    assert memory_of(run).total_gib > gib
    found = advise(run, gib)
    assert found.changes == (change,)
    assert found.total_gib <= gib


def test_several_changes_when_one_is_not_enough_and_none_too_many():
    run = replace(LORA, micro_batch=4, seq_len=4096, checkpointing=False)
    found = advise(run, 14)
    assert len(found.changes) > 1
    assert found.total_gib <= 14


def test_no_advice_for_a_model_that_no_card_holds():
    large = shape_of_model("deepseek-ai/DeepSeek-V3")
    run = TrainingStep(shape=large, trained=1_000_000, adapted=large.linears)
    assert advise(run, 22) is None
    assert next_cards(run) == ()


def test_cards_are_named_from_the_smallest():
    cards = next_cards(LORA)
    assert len(cards) == 3
    assert memory_of(LORA).total_gib > 22.4  # an A10G is too small
    assert cards[0] in ("V100-32GB", "RTX-PRO-4500")
