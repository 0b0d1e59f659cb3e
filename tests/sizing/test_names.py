"""Models by name: sizes in names, plain names, and what is guessed from them."""

from __future__ import annotations

from math import exp, log

import pytest

from ftsdk.sizing import estimate_job
from ftsdk.sizing.architecture.guessing import SPREAD_OF_SIZE, guessed_shape, shape_of_count
from ftsdk.sizing.architecture.names import lookups, size_words
from ftsdk.sizing.from_spec import step_of_spec
from ftsdk.sizing.memory.terms import memory_of
from ftsdk.sizing.tables import rows, shape_of_model, shapes
from ftsdk.spec import Full, JobSpec, Lora, QLora

LLAMAFACTORY = 917
"""Ids on all hubs in the pinned LLaMA-Factory."""


@pytest.mark.parametrize(
    ("name", "total", "active"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", 7, None),
        ("Qwen/Qwen2.5-7B-Instruct-1M", 7, None),
        ("internlm/internlm2_5-7b-chat-1m", 7, None),
        ("internlm/internlm2_5-1_8b-chat", 1.8, None),
        ("stabilityai/stablelm-2-1_6b", 1.6, None),
        ("stabilityai/stablelm-3b-4e1t", 3, None),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", 30, 3),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 46.5, 13),
        ("ibm-granite/granite-3.0-3b-a800m-instruct", 3, 0.8),
        ("allenai/OLMoE-1B-7B-0924", 7, None),
        ("bigscience/bloomz-7b1-mt", 7.1, None),
        ("bigscience/bloom-560m", 0.56, None),
        ("google/gemma-3-270m-it", 0.27, None),
        ("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", 8, None),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", 8, None),
        ("inclusionAI/Ling-1T", 1000, None),
        ("org/pythia-1b-300B-tokens", 1, None),
        ("org/polylm_13b_text", 13, None),
        ("org/thing-13B-v2", 13, None),
        # only what a token passes through is said
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", None, 17),
        ("meta-llama/Llama-4-Maverick-17B-128E", None, 17),
        ("tencent/Hunyuan-A13B-Instruct", None, 13),
        # no size at all
        ("mistralai/Devstral-Small-2507", None, None),
        ("google/gemma-3n-E4B-it", None, None),
        ("microsoft/Phi-3-mini-128k-instruct", None, None),
        ("org/long-context-1m", None, None),
        ("org/w4a16-4bit-v2", None, None),
    ],
)
def test_the_sizes_in_a_name(name, total, active):
    said = size_words(name)
    assert said.total == (None if total is None else pytest.approx(total * 1e9, rel=0.01))
    assert said.active == (None if active is None else pytest.approx(active * 1e9, rel=0.01))


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b"),
        ("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", "meta-llama-3.1-8b"),
        ("modelscope:Qwen/Qwen3-4B-Instruct-2507", "qwen3-4b"),
        ("google/gemma-2-9b-it", "gemma-2-9b"),
        ("mistralai/Mistral-Nemo-Instruct-2407", "mistral-nemo-2407"),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", "mixtral-8x7b-v0.1"),
        ("mistralai/Devstral-Small-2507", "devstral-small-2507"),
        ("internlm/internlm2-chat-7b", "internlm2-7b"),
        ("Qwen/Qwen2.5-14B-Instruct-1M", "qwen2.5-14b"),
    ],
)
def test_variants_of_a_name_share_the_bundled_shape(name, plain):
    assert plain in lookups(name)
    assert shape_of_model(name).notes == ()


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", 108.6),
        ("meta-llama/Llama-4-Maverick-17B-128E", 401.6),
        ("Qwen/Qwen2-VL-7B-Instruct", 8.29),
        ("Qwen/Qwen3-VL-30B-A3B-Thinking", 31.07),
        ("google/gemma-4-E2B-it", 5.10),
        ("Qwen/Qwen3.5-4B", 4.54),
        ("mistralai/Mistral-7B-Instruct-v0.3", 7.25),
        ("mistralai/Mistral-7B-Instruct-v0.2", 7.24),
    ],
)
def test_models_that_were_guessed_wrongly_are_known(name, billions):
    shape = shape_of_model(name)
    assert (shape.notes, shape.spread) == ((), 1)
    assert shape.parameters.total / 1e9 == pytest.approx(billions, rel=0.002)


@pytest.mark.trainer
def test_every_id_of_llamafactory_is_exact_or_a_guess_or_unknown():
    from llamafactory.extras.constants import SUPPORTED_MODELS

    ids = {name for sources in SUPPORTED_MODELS.values() for name in sources.values()}
    found = {name: shape_of_model(name) for name in ids}
    exact = {name for name, shape in found.items() if shape is not None and not shape.notes}
    assert len(ids) == LLAMAFACTORY
    assert len(exact) >= 761
    for name, shape in found.items():
        said = size_words(name)
        if shape is None:
            assert said.total is None, name
        elif name not in exact:
            assert shape.spread > 1, name
            assert shape.notes[0].startswith("a guess"), name
        elif said.total:  # the words in names are rounded, and leave out what is beside the language model
            assert 0.6 < said.total / shape.parameters.total < 1.35, name


def test_nine_of_ten_guesses_are_within_their_range():
    tunings = (Lora(rank=8), QLora(rank=8), Full())
    jobs = [JobSpec(model="x", tuning=tuning, dataset="rows.jsonl") for tuning in tunings]
    ratios = []
    for row in rows("models.csv"):
        said, shape = size_words(row["hub"]), shapes()[row["name"].split()[0]]
        if said.total:
            guess = guessed_shape(said.total, said.active)
            ratios += [
                abs(log(_gib(job, guess) / _gib(job, shape))) for job in jobs
            ]  # fmt: skip
    within = sum(ratio <= log(SPREAD_OF_SIZE) for ratio in ratios) / len(ratios)
    assert 0.88 < within < 0.95, exp(sorted(ratios)[round(0.9 * len(ratios))])


def _gib(job, shape):
    return memory_of(step_of_spec(job, shape, max_tokens=2048)[0]).total_gib


@pytest.mark.parametrize("size", [0.5e9, 3e9, 7e9, 13e9, 70e9])
def test_a_shape_from_a_size_has_about_that_size(size):
    assert shape_of_count(size).parameters.total == pytest.approx(size, rel=0.08)


@pytest.mark.parametrize(("total", "active"), [(30e9, 3e9), (235e9, 22e9), (46e9, 13e9)])
def test_a_mixture_from_its_sizes_has_about_those_sizes(total, active):
    shape = guessed_shape(total, active)
    assert shape.parameters.total == pytest.approx(total, rel=0.08)
    assert shape.active_linear == pytest.approx(active, rel=0.3)


def test_a_fine_tuned_model_is_counted_like_the_one_its_name_ends_with_and_is_a_guess():
    found, base = shape_of_model("someone/Nice-Llama-3.1-8B-Instruct"), shape_of_model("Llama-3.1-8B")
    assert (found.parameters, base.notes) == (base.parameters, ())
    assert found.notes == ("a guess: counted like llama-3.1-8b, which its name ends with",)
    assert 1 < found.spread < SPREAD_OF_SIZE


def estimate_of(model, card):
    job = JobSpec(model=model, tuning=Lora(rank=8), dataset="rows.jsonl")
    return estimate_job(job, num_rows=1000, mean_tokens=300, max_tokens=2048, card=card)


def test_an_estimate_from_a_guess_reports_it_and_has_a_range():
    guessed, known = estimate_of("org/thing-7B", "A100-80GB"), estimate_of("Qwen/Qwen2.5-7B", "A100-80GB")
    assert "only the size in its name is known" in guessed.guess
    assert guessed.memory_high_gib == pytest.approx(SPREAD_OF_SIZE * guessed.memory.total_gib)
    assert (known.guess, known.memory_low_gib, known.memory_high_gib) == ("", None, None)
    assert guessed.hours_high / guessed.hours_low > known.hours_high / known.hours_low


@pytest.mark.parametrize(
    ("model", "card", "fits"),
    [("org/thing-7B", "A100-80GB", "yes"), ("org/thing-7B", "L4", "tight"), ("org/thing-70B", "L4", "no")],
)
def test_a_guess_fits_or_not_only_where_its_whole_range_does(model, card, fits):
    assert estimate_of(model, card).fits == fits


def test_a_name_with_the_active_size_alone_is_unknown_with_a_reason():
    for model, active in (("org/New-A13B", 13), ("org/New-17B-16E", 17)):
        estimate = estimate_of(model, "L4")
        assert f"{active} billion parameters that a token passes through" in estimate.unknown[0]
        assert (estimate.fits, estimate.memory) == ("unknown", None)


def test_a_guess_that_may_not_fit_is_not_picked():
    from ftsdk.sizing.catalogue import instances_of
    from ftsdk.sizing.price.offers import best, offers

    job = JobSpec(model="org/thing-7B", tuning=Lora(rank=8), dataset="rows.jsonl")
    available = offers(job, shape_of_model(job.model), instances_of("sagemaker"), num_rows=99, mean_tokens=300)
    assert {offer.needed_high_gib / offer.needed_gib for offer in available} == {SPREAD_OF_SIZE}
    assert any(offer.fits == "tight" and offer.needed_gib > offer.usable_gib for offer in available)
    assert all(offer.needed_gib <= offer.usable_gib for offer in best(available).values())
