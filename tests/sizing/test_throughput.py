"""Speed: operations beside published counts, and what each choice does. Closeness is tested in test_accuracy.py."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ftsdk.sizing.catalogue import card_of
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.time.throughput import operations, speed_of
from ftsdk.sizing.training_step import StateSharding, TrainingStep


def lora(model: str, rank: int = 16, **changes) -> TrainingStep:
    shape = shape_of_model(model)
    trained = sum(rank * (linear.inputs + linear.outputs) * linear.number for linear in shape.linears)
    return replace(
        TrainingStep(shape=shape, trained=trained, adapted=shape.linears, seq_len=4096, checkpointing=False), **changes
    )


def full(model: str, **changes) -> TrainingStep:
    shape = shape_of_model(model)
    return replace(
        TrainingStep(shape=shape, trained=shape.parameters.total, seq_len=4096, checkpointing=False), **changes
    )


@pytest.mark.parametrize(
    ("run", "billion"),
    [
        # operations per token at 4,096 tokens, counted independently: 2 per weight and pass, causal attention once
        # forward and two and a half times backward
        (lora("Qwen/Qwen3-8B"), 34.8),
        (full("Qwen/Qwen3-8B"), 49.6),
        (full("Qwen/Qwen2.5-0.5B"), 3.58),
        (lora("Qwen/Qwen3-14B"), 62.2),
        (lora("meta-llama/Llama-3.1-8B"), 34.0),
    ],
)
def test_operations_per_token(run, billion):
    assert operations(run).useful / 1e9 == pytest.approx(billion, rel=0.02)


def test_recomputation_costs_a_forward_pass_of_the_layers():
    plain, again = lora("Qwen/Qwen3-8B"), lora("Qwen/Qwen3-8B", checkpointing=True)
    assert operations(again).useful == operations(plain).useful
    assert 1.25 < operations(again).executed / operations(plain).executed < 1.5
    assert speed_of(again, card_of("H200")).tokens_per_s < speed_of(plain, card_of("H200")).tokens_per_s


def test_a_small_model_with_short_rows_waits_for_python():
    found = speed_of(full("Qwen/Qwen2.5-0.5B", seq_len=64), card_of("H100-80GB"))
    assert found.bound == "launches"
    assert speed_of(
        full("Qwen/Qwen2.5-0.5B", seq_len=64, micro_batch=2), card_of("H100-80GB")
    ).tokens_per_s == pytest.approx(2 * found.tokens_per_s)


def test_sharded_weights_wait_for_a_slow_link():
    run = full("Qwen/Qwen3-8B", seq_len=2048, sharding=StateSharding(kind="fsdp", ways=8))
    assert speed_of(run, card_of("H100-80GB")).bound == "compute"
    assert speed_of(run, card_of("RTX4090")).bound == "network"


def test_a_card_without_a_published_peak_has_no_speed():
    assert speed_of(lora("Qwen/Qwen3-8B"), card_of("Hopper-141GB")) is None
    assert speed_of(lora("Qwen/Qwen3-8B"), card_of("A100-80GB"), fp8=True) is None


def test_the_range_holds_the_middle_and_the_rate_stays_under_the_peak():
    for name in ("L4", "A100-80GB", "H200"):
        found = speed_of(lora("Qwen/Qwen3-8B"), card_of(name))
        assert found.low < found.tokens_per_s < found.high
        assert found.tflops < card_of(name).tflops
        assert 0 < found.mfu < 1


def test_zero3_waits_for_its_traffic_and_zero2_does_not():
    speeds = {}
    for kind in ("zero2", "zero3"):
        run = full("Qwen/Qwen3-8B", seq_len=4096, micro_batch=4, sharding=StateSharding(kind=kind, ways=8))
        speeds[kind] = speed_of(run, card_of("A100-80GB"))
    assert speeds["zero2"].bound == speeds["zero3"].bound == "compute"
    assert speeds["zero3"].tokens_per_s < 0.97 * speeds["zero2"].tokens_per_s


def test_the_optimizer_step_counts_once_for_all_micro_steps():
    run, card = full("Qwen/Qwen2.5-3B", seq_len=128), card_of("L40S")
    once, often = (speed_of(run, card, micro_steps=number).tokens_per_s for number in (16, 1))
    assert often < 0.8 * once < speed_of(run, card).tokens_per_s
    adapters = lora("Qwen/Qwen2.5-3B", seq_len=128)
    assert speed_of(adapters, card, micro_steps=1).tokens_per_s > 0.95 * speed_of(adapters, card).tokens_per_s


def test_offload_costs_time():
    kept, moved = (StateSharding(kind="zero3", ways=8, offload_optimizer=offload) for offload in (False, True))
    speeds = [
        speed_of(full("Qwen/Qwen3-8B", sharding=sharding), card_of("A10G"), micro_steps=1).tokens_per_s
        for sharding in (kept, moved)
    ]
    assert speeds[1] < 0.9 * speeds[0]


def test_h20_keeps_more_of_its_peak_than_h100():
    h20, h100 = (speed_of(full("Qwen/Qwen3-8B", micro_batch=4), card_of(name)) for name in ("H20", "H100"))
    assert h20.mfu > 1.3 * h100.mfu
    assert h20.tokens_per_s < h100.tokens_per_s


def test_the_range_is_wider_where_less_is_known_and_says_why():
    run = lora("Qwen/Qwen3-8B")
    known, other = speed_of(run, card_of("A100-80GB")), speed_of(run, card_of("L20"))
    assert (known.range_why, other.range_why) == ("published runs on A100-80GB", "no published run on L20")
    assert other.high / other.low > 1.5 * known.high / known.low
    apart = speed_of(run, card_of("A100-80GB"), nodes=2)
    assert apart.low / apart.tokens_per_s < known.low / known.tokens_per_s
    assert "between machines" in apart.range_why
    assert "fp8" in speed_of(run, card_of("H100"), fp8=True).range_why
