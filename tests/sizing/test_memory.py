"""Memory: what each choice does to the terms. How close the sums are is tested in test_accuracy.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftsdk.sizing.memory.terms import GIB, memory_of
from ftsdk.sizing.tables import shape_of_model
from ftsdk.sizing.training_step import OPTIMIZERS, Generation, StateSharding, TrainingStep

QWEN8 = shape_of_model("Qwen/Qwen3-8B")
LORA = TrainingStep(shape=QWEN8, trained=43_646_976, adapted=QWEN8.linears)
FULL = TrainingStep(shape=QWEN8, trained=QWEN8.parameters.total)


def test_the_table_adds_up_and_says_why():
    found = memory_of(LORA)
    assert found.total_gib == pytest.approx(sum(term.bytes for term in found.terms) / GIB)
    assert found.gib("weights") == pytest.approx(2 * 8_190_735_360 / GIB)
    assert all(term.why for term in found.terms)
    assert found.peak == "backward pass of the loss"


def test_full_training_holds_16_bytes_a_parameter_and_18_while_autocast_has_its_copies():
    found = memory_of(FULL)
    state = found.gib("weights", "gradients", "optimizer") * GIB
    assert state == pytest.approx(16 * QWEN8.parameters.total)
    assert found.peak == "end of the forward pass"
    assert found.gib("temporary") * GIB == pytest.approx(2 * QWEN8.parameters.total)


def test_pure_bf16_halves_the_state():
    assert memory_of(replace(FULL, layout="bf16")).gib("weights", "gradients", "optimizer") == pytest.approx(
        memory_of(FULL).gib("weights", "gradients", "optimizer") / 2
    )


def test_quantised_weights_are_small_but_embeddings_and_output_layer_stay():
    counts = QWEN8.parameters
    four = memory_of(replace(LORA, weight_bits=4)).gib("weights") * GIB
    kept = 2 * (counts.total - counts.linear)
    assert four - kept == pytest.approx(0.516 * counts.linear, rel=1e-3)
    upcast = memory_of(replace(LORA, weight_bits=4, kept_bytes=4)).gib("weights") * GIB
    assert upcast - four == pytest.approx(kept)


def test_experts_are_counted_in_16_bits():
    sparse = shape_of_model("Qwen/Qwen3-30B-A3B")
    run = TrainingStep(shape=sparse, trained=10**7, adapted=sparse.linears, weight_bits=4)
    assert memory_of(run).gib("weights") * GIB > 2 * sparse.parameters.experts
    assert "experts" in memory_of(run).terms[0].why


def test_dropout_in_16_bits_gives_each_adapter_an_input_of_its_own():
    run = replace(LORA, layout="bf16", checkpointing=False)
    more = memory_of(replace(run, dropout=True)).gib("activations") - memory_of(run).gib("activations")
    each = sum(linear.inputs * linear.number for linear in QWEN8.linears)
    assert more * GIB > 2048 * each  # a mask byte each, and copies of what was shared


@pytest.mark.parametrize(
    ("kind", "shares"),
    [
        ("none", (1, 1, 1)),
        ("zero1", (1, 1, 8)),
        ("zero2", (1, 8, 8)),
        ("zero3", (8, 8, 8)),
        ("fsdp", (8, 8, 8)),
    ],
)
def test_each_stage_splits_what_it_says(kind, shares):
    run = replace(FULL, layout="mixed")
    alone = memory_of(replace(run, sharding=StateSharding(kind=kind)))
    shared = memory_of(replace(run, sharding=StateSharding(kind=kind, ways=8)))
    for name, share in zip(("weights", "gradients", "optimizer"), shares, strict=True):
        assert shared.gib(name) == pytest.approx(alone.gib(name) / share)


def test_ddp_copies_the_gradients_into_its_buckets():
    alone = memory_of(LORA).gib("gradients")
    assert memory_of(replace(LORA, sharding=StateSharding(kind="ddp", ways=2))).gib("gradients") == pytest.approx(
        2 * alone
    )


def test_offloaded_state_leaves_the_card():
    found = memory_of(
        replace(FULL, sharding=StateSharding(kind="zero3", ways=2, offload_optimizer=True, offload_weights=True))
    )
    assert found.gib("weights", "gradients", "optimizer") == 0
    assert found.gib("temporary") > 1  # gathered layers


def test_the_logits_go_when_the_loss_comes_in_chunks():
    plain, chunked = memory_of(LORA), memory_of(replace(LORA, chunked_loss=True))
    assert plain.gib("logits") * GIB == pytest.approx(2048 * 151_936 * 12)
    assert chunked.gib("logits") < 0.1 * plain.gib("logits")


def test_activations_without_recomputation_are_what_all_layers_keep():
    plain = memory_of(replace(LORA, checkpointing=False)).gib("activations") / memory_of(LORA).gib("activations")
    assert 15 < plain < 40


def test_scores_grow_with_the_square_of_the_length():
    def scores(length: int) -> float:
        run = replace(LORA, seq_len=length, checkpointing=False)
        return memory_of(replace(run, flash=False)).gib("activations") - memory_of(run).gib("activations")

    assert scores(4096) == pytest.approx(4 * scores(2048))


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_no_optimizer_needs_more_than_foreach_adamw(optimizer):
    most = memory_of(replace(FULL, optimizer="adamw_torch")).total_gib
    assert memory_of(replace(FULL, optimizer=optimizer)).total_gib <= most


def test_a_reference_model_is_another_copy():
    more = replace(LORA, frozen_copies=(("reference model", QWEN8.parameters.total),))
    assert memory_of(more).gib("reference model") == pytest.approx(memory_of(LORA).gib("weights"))


def test_sampling_needs_keys_and_values_or_the_engine_s_share():
    answers = replace(LORA, generation=Generation(sequences=8, length=1024))
    assert memory_of(answers).gib("generation") * GIB == 8 * 1024 * 36 * 2 * 8 * 128 * 2
    engine = replace(LORA, generation=Generation(sequences=8, length=1024, reserved_share=0.3))
    assert memory_of(engine, card_gib=80).gib("generation") == pytest.approx(24)


@given(
    length=st.integers(1, 8192),
    batch=st.integers(1, 16),
    checkpointing=st.booleans(),
    chunked=st.booleans(),
    bits=st.sampled_from([4, 8, 16]),
    ways=st.integers(1, 16),
    kind=st.sampled_from(["none", "ddp", "zero1", "zero2", "zero3", "fsdp"]),
)
def test_memory_grows_with_length_and_batch(length, batch, checkpointing, chunked, bits, ways, kind):
    run = replace(
        LORA,
        seq_len=length,
        micro_batch=batch,
        checkpointing=checkpointing,
        chunked_loss=chunked,
        weight_bits=bits,
        sharding=StateSharding(kind=kind, ways=ways),
    )
    total = memory_of(run).total_gib
    assert total > 1
    assert memory_of(replace(run, seq_len=length + 64)).total_gib >= total
    assert memory_of(replace(run, micro_batch=batch + 1)).total_gib >= total
    assert memory_of(replace(run, checkpointing=True)).total_gib <= total
    assert memory_of(replace(run, weight_bits=16)).total_gib >= total
