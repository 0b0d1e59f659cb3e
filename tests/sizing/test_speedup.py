"""Settings that train faster by the estimate: which are tried, which are kept, and that they are what they say."""

from __future__ import annotations

import pytest

from ftsdk.sizing import estimate_job
from ftsdk.sizing.speedup import WORTH, speedups
from ftsdk.spec import JobSpec


def spec_of(card="H200", stage="sft", **hyperparameters):
    return JobSpec.model_validate(
        {
            "model": "Qwen/Qwen3-8B",
            "dataset": "data.jsonl",
            "method": stage,
            "tuning": "lora",
            "hyperparameters": {"cutoff_len": 4096, **hyperparameters},
            "resources": {"accelerator": card},
        }
    )


def estimated(spec, rows=10_000, mean=200.0):
    return estimate_job(spec, num_rows=rows, mean_tokens=mean, max_tokens=900)


def changed(spec, speedup):
    hyperparameters = spec.hyperparameters.model_copy(update=dict(speedup.changes))
    return spec.model_copy(update={"hyperparameters": hyperparameters})


@pytest.mark.parametrize("card", ["H200", "A100", "L20", "RTX4090"])
def test_each_speedup_fits_and_is_as_fast_as_it_says(card):
    spec = spec_of(card)
    for speedup in speedups(spec, estimated):
        now, then = estimated(spec), estimated(changed(spec, speedup))
        assert then.fits == "yes"
        assert now.hours / then.hours == pytest.approx(speedup.factor)
        assert speedup.factor >= WORTH


def test_the_first_keeps_the_batches_and_the_second_packs():
    spec = spec_of()
    same, packed = speedups(spec, lambda spec: estimated(spec, mean=60.0))
    hp = changed(spec, same).hyperparameters
    assert hp.per_device_train_batch_size * hp.gradient_accumulation_steps == 8
    assert same.keeps_batches and "neat_packing" not in same.changes
    assert packed.changes["neat_packing"] and not packed.keeps_batches
    assert packed.factor > same.factor


def test_a_training_that_fills_its_card_is_left_alone():
    spec = spec_of(per_device_train_batch_size=8, gradient_accumulation_steps=1, gradient_checkpointing=False)
    assert not any(speedup.keeps_batches for speedup in speedups(spec, lambda spec: estimated(spec, mean=1_000.0)))


@pytest.mark.parametrize(
    ("spec", "estimate_of"),
    [
        (spec_of(stage="grpo"), estimated),
        (spec_of(card=None), estimated),
        (spec_of(), lambda spec: estimate_job(spec)),
    ],
)
def test_there_is_none_where_no_speed_is_known(spec, estimate_of):
    assert speedups(spec, estimate_of) == ()
