"""The estimate of a job: pure, JSON-able, every figure with its source, every gap named."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from ftsdk.errors import SpecError
from ftsdk.sizing import Estimate, best, estimate_job, offers
from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.catalogue import instances_of
from ftsdk.sizing.price.prices import prices_of
from ftsdk.spec import JobSpec

QWEN = {
    "model_type": "qwen3",
    "hidden_size": 4096,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "intermediate_size": 12288,
    "vocab_size": 151936,
    "tie_word_embeddings": False,
}
SHAPE = shape_of_config(QWEN)
STATISTICS = {"num_rows": 10_000, "mean_tokens": 500.0}


def job(**changes) -> JobSpec:
    base = {"model": "Qwen/Qwen3-8B", "dataset": "rows.jsonl", "resources": {"accelerator": "A100-80GB"}}
    return JobSpec.model_validate({**base, **changes})


def test_an_estimate_is_json_and_names_its_sources():
    found = estimate_job(job(), config=QWEN, **STATISTICS, instances=["ml.p4de.24xlarge", "ml.g5.12xlarge"])
    data = json.loads(json.dumps(found.to_json()))
    assert data["model_source"] == "the model's config.json"
    assert data["parameters"] == 8_190_735_360
    assert data["memory"]["total_gib"] == pytest.approx(sum(t["bytes"] for t in data["memory"]["terms"]) / 2**30)
    assert set(data["sources"]) == {"memory", "speed"}
    assert data["tokens"]["source"] == "rows x mean length x epochs"
    known, unknown = data["offers"][1], data["offers"][0]
    assert (known["price"]["region"], known["price"]["date"]) == ("us-west-2", "2025/26")
    assert unknown["price"] is None
    assert unknown["cost_usd"] is None
    assert "price of ml.p4de.24xlarge: in no table" in data["unknown"]


def test_an_estimate_is_read_back_from_json():
    machines = ["ml.p4de.24xlarge", "ml.g5.12xlarge"]
    too_large = job(resources={"accelerator": "T4"}, tuning="full")
    for found in (
        estimate_job(job(), config=QWEN, **STATISTICS, instances=machines),
        estimate_job(too_large, config=QWEN, **STATISTICS),
        estimate_job(job(model="org/unnamed")),
    ):
        assert Estimate.from_json(json.loads(json.dumps(found.to_json()))) == found
    assert Estimate.from_json({"unknown": ["accelerator"]}) == Estimate(unknown=("accelerator",))
    assert Estimate.from_json({}) == Estimate()


def test_estimates_are_deterministic():
    assert estimate_job(job(), config=QWEN, **STATISTICS) == estimate_job(job(), config=QWEN, **STATISTICS)


def test_a_config_and_the_bundled_table_agree():
    assert estimate_job(job(), config=QWEN).memory == estimate_job(job()).memory


@pytest.mark.parametrize(
    ("tokens", "steps", "hyperparameters"),
    [
        (15_000_000, 3750, {}),
        (30_000_000, 7500, {"num_train_epochs": 6.0}),
        (400_000, 100, {"max_steps": 100}),
        (15_000_000, 918, {"packing": True}),
        (3_000_000, 3750, {"cutoff_len": 100}),
    ],
)
def test_tokens_and_steps(tokens, steps, hyperparameters):
    found = estimate_job(job(hyperparameters=hyperparameters), config=QWEN, **STATISTICS).tokens
    assert (found.total, found.steps) == (tokens, steps)


def test_hours_are_tokens_over_speed_of_all_accelerators():
    resources = {"accelerator": "A100-80GB", "accelerators_per_node": 4}
    found = estimate_job(job(resources=resources), config=QWEN, **STATISTICS)
    assert found.hours == pytest.approx(15e6 / (4 * found.speed.tokens_per_s) / 3600)
    assert found.hours_low < found.hours < found.hours_high


def test_a_job_that_does_not_fit_gets_the_smallest_change_that_does():
    big = {"per_device_train_batch_size": 4, "cutoff_len": 8192}
    found = estimate_job(job(hyperparameters=big, resources={"accelerator": "L40S"}), config=QWEN)
    assert found.fits == "no"
    assert found.advice.changes == ("per_device_train_batch_size: 1 with gradient_accumulation_steps x 4",)
    assert found.advice.total_gib <= found.usable_gib
    assert found.next_cards


def test_a_larger_card_is_named_when_only_that_helps():
    found = estimate_job(job(model="Qwen/Qwen2.5-72B", resources={"accelerator": "T4"}))
    assert found.fits == "no"
    assert found.advice is None
    assert "H200" in found.next_cards or "B200" in found.next_cards


def test_gaps_are_named_and_nothing_is_guessed():
    found = estimate_job(job(model="org/unnamed", resources={}))
    assert (found.memory, found.fits, found.hours) == (None, "unknown", None)
    assert "give its config.json" in found.unknown[0]
    bare = estimate_job(job(resources={}))
    assert bare.memory is not None
    assert bare.fits == "unknown"
    assert {line.split(":")[0] for line in bare.unknown} == {"accelerator", "tokens"}


def test_an_incomplete_config_falls_back_to_the_table_and_reports_it():
    found = estimate_job(job(), config={"model_type": "qwen2"})
    assert found.parameters == 8_190_735_360
    assert found.model_source == "config.json lacks hidden_size; the bundled table of models"


def test_sampling_methods_have_memory_but_no_invented_time():
    found = estimate_job(job(method="grpo"), config=QWEN, **STATISTICS)
    assert found.memory.gib("generation") > 0
    assert found.hours is None
    assert "speed: sampling is not modelled" in found.unknown


def test_preference_pairs_count_twice_and_a_full_reference_is_a_second_model():
    one = estimate_job(job(method="sft", tuning="full"), config=QWEN).memory
    two = estimate_job(job(method="dpo", tuning="full"), config=QWEN).memory
    assert two.gib("reference model") == pytest.approx(2 * 8_190_735_360 / 2**30)
    assert two.gib("logits") > 2 * one.gib("logits")
    assert estimate_job(job(method="dpo"), config=QWEN).memory.gib("reference model") == 0


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ({}, "ddp"),
        ({"deepspeed": "ds_z3_offload_config.json"}, "zero3"),
        ({"deepspeed": {"zero_optimization": {"stage": 2}}}, "zero2"),
        ({"fsdp": "full_shard auto_wrap"}, "fsdp"),
    ],
)
def test_sharding_is_read_from_the_trainer_s_own_settings(setting, kind):
    from ftsdk.sizing.from_spec import step_of_spec
    from ftsdk.sizing.tables import shape_of_model

    resources = {"accelerators_per_node": 4}
    run, _ = step_of_spec(job(hyperparameters=setting, resources=resources), shape_of_model("Qwen/Qwen3-8B"))
    assert (run.sharding.kind, run.sharding.ways) == (kind, 4)
    assert run.sharding.offload_weights == ("offload" in str(setting))


def test_an_unknown_card_is_refused_with_the_nearest_name():
    with pytest.raises(SpecError, match="did you mean 'L40S'"):
        estimate_job(job(resources={"accelerator": "L40SX"}))


def test_the_best_are_picked_among_what_fits():
    picks = best(offers(job(), SHAPE, instances_of("sagemaker"), **STATISTICS))
    assert picks["cheapest"].cost_usd <= picks["best value"].cost_usd
    assert picks["fastest"].hours <= picks["best value"].hours
    assert all(offer.fits in ("yes", "tight") for offer in picks.values())
    assert picks["cheapest"].spot_cost_usd < picks["cheapest"].cost_usd


def test_without_prices_only_the_fastest_is_picked():
    picks = best(offers(job(), SHAPE, instances_of("alibaba"), **STATISTICS))
    assert set(picks) == {"fastest"}
    assert picks["fastest"].cost_usd is None


def test_a_user_s_prices_make_an_offer_of_what_was_unknown():
    row = {"provider": "alibaba", "instance": "ecs.gn7e-c16g1.4xlarge", "region": "cn-hangzhou", "date": "2026-11-01"}
    prices = prices_of([{**row, "usd_per_hour": "5.0", "source": "our contract", "spot_usd_per_hour": "1.5"}])
    picks = best(offers(job(), SHAPE, instances_of("alibaba"), prices=prices, **STATISTICS))
    assert picks["cheapest"].instance == "ecs.gn7e-c16g1.4xlarge"
    assert picks["cheapest"].price.source == "our contract"
    assert picks["cheapest"].spot_cost_usd < 0.5 * picks["cheapest"].cost_usd


def test_estimating_imports_nothing_heavy():
    code = (
        "import sys, ftsdk.sizing as s; from ftsdk.spec import JobSpec; "
        "s.estimate_job(JobSpec(model='Qwen/Qwen3-8B', dataset='x.jsonl')); "
        "heavy = ('torch', 'transformers', 'duckdb', 'boto3', 'numpy', 'urllib.request'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_gemma_2_keeps_scores_unless_flash_attention_2_is_set():
    def activations(**hyperparameters) -> float:
        sized = {"hyperparameters": {"cutoff_len": 8192, "enable_liger_kernel": True, **hyperparameters}}
        return estimate_job(job(model="google/gemma-2-9b-it", **sized)).memory.gib("activations")

    assert activations() > activations(flash_attn="fa2") + 1
    assert activations(flash_attn="disabled") == activations()


def test_experts_in_4_bits_are_named_as_what_they_are():
    found = estimate_job(job(model="Qwen/Qwen3-30B-A3B", tuning={"type": "qlora"}))
    assert any("experts stay in 16 bits" in note for note in found.notes)
    assert found.memory.gib("weights") > 50
