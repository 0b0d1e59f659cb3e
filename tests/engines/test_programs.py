"""The configurations of programs for a model that exists, and what is refused before a job is started."""

from dataclasses import replace

import pytest

from ftsdk import engines
from ftsdk.engines.base import Layout
from ftsdk.engines.programs.render import VERIFIABLE
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import ModelFacts
from ftsdk.plan.build import estimate_of
from ftsdk.runtime.programs.trained.metrics import METRICS
from ftsdk.sizing.forward import estimate_forward, on_main_memory
from ftsdk.spec import JobSpec
from ftsdk.spec.program import ANSWER_METRICS
from tests.golden import plans

LAYOUT = Layout(durable="/d", scratch="/s", inputs={plans.WORK + "/base": "/in/base"})
CONFIG = {
    "model_type": "qwen3", "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16,
    "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "vocab_size": 151936,
}  # fmt: skip


UNREAD = ModelFacts(address="s3://bucket/model", kind="remote", base="s3://bucket/model", files=(), config=None)


def facts(config=CONFIG, adapter=True):
    address = f"{plans.WORK}/adapter"
    base = f"{plans.WORK}/base" if adapter else address
    model = ModelFacts(address=address, kind="path", base=base, files=(), config=config)
    return replace(plans.facts(), model=model, eval=())


def render(program, given=None, **fields):
    spec = JobSpec(model="./adapter", program=program, **fields)
    return engines.render(spec, given or facts(), LAYOUT)


def test_a_merge_names_adapter_and_base():
    made = render("merge")
    assert made.trainer == "trained.merger"
    assert made.config == {
        "model_name_or_path": "/in/base",
        "adapter_name_or_path": f"{plans.WORK}/adapter",
        "dtype": "auto",
    }


def test_a_merge_gets_the_bits_of_the_quantised_training():
    lineage = {"spec": {"tuning": {"type": "qlora", "bits": 4}}}
    given = facts()
    made = render("merge", replace(given, model=replace(given.model, lineage=lineage)))
    assert made.config["trained_bits"] == 4


def test_an_export_names_its_number_formats_and_the_rows_that_it_compares():
    made = render({"type": "export", "quant": ["q8_0", "q4_k_m"]})
    assert made.trainer == "trained.exporter"
    assert (made.config["gguf"], "data" in made.config) == (["q8_0", "q4_k_m"], False)
    assert made.config["model"] == {
        "model_name_or_path": "/in/base",
        "adapter_name_or_path": f"{plans.WORK}/adapter",
    }
    held_out = render("export", dataset={"train": ["rows.jsonl"], "eval_fraction": 0.1})
    assert held_out.config["data"]["val_size"] == 0.1
    assert set(held_out.dataset_info) == set(held_out.config["data"]["dataset"].split(","))


@pytest.mark.trainer
def test_the_architectures_that_are_exported_are_those_that_transformers_reads_back():
    from transformers.modeling_gguf_pytorch_utils import GGUF_CONFIG_MAPPING

    names = {"gemma3_text": "gemma3"}
    assert {names.get(kind, kind) for kind in VERIFIABLE} <= GGUF_CONFIG_MAPPING.keys()


def test_a_judge_needs_a_second_model_a_known_key_and_says_how_often_it_is_asked():
    judge = {"url": "https://judge.example/v1", "model": "wise", "key": "JUDGE_KEY"}
    program = {"type": "evaluate", "against": "base", "judge": judge}
    made = render(program, dataset="rows.jsonl", secrets=["JUDGE_KEY"])
    assert made.config["judge"] == judge
    assert "two for each of at most" in made.warnings[0]
    with pytest.raises(SpecError, match="name the other one as program"):
        render({**program, "against": None}, dataset="rows.jsonl", secrets=["JUDGE_KEY"])
    with pytest.raises(SpecError, match="JUDGE_KEY is not among the job's secrets"):
        render(program, dataset="rows.jsonl")
    with pytest.raises(SpecError, match="rows of dpo have none"):
        render(program, dataset="rows.jsonl", method="dpo", secrets=["JUDGE_KEY"])


def test_an_evaluation_reads_the_rows_as_the_training_does():
    made = render({"type": "evaluate", "against": "base"}, dataset="rows.jsonl", hyperparameters={"cutoff_len": 99})
    assert made.config["against"] == {"model_name_or_path": "/in/base"}
    data = made.config["data"]
    assert (data["cutoff_len"], data["do_train"], data["stage"]) == (99, False, "sft")
    assert set(data["eval_dataset"].split(",")) == set(made.dataset_info)
    assert "dataset" not in data


def test_rows_that_a_training_held_out_are_split_off_again():
    rows = {"train": ["rows.jsonl"], "eval_fraction": 0.1}
    data = render("evaluate", dataset=rows, hyperparameters={"seed": 3}).config["data"]
    assert (data["val_size"], data["seed"], "eval_dataset" in data) == (0.1, 3, False)


def test_generation_takes_the_prompts():
    made = render({"type": "generate", "temperature": 0.0}, dataset="rows.jsonl")
    assert made.config["settings"] == {"max_tokens": 512, "temperature": 0.0}
    assert made.config["dataset"] == list(made.dataset_info)


@pytest.mark.parametrize(
    ("program", "given", "fields", "error", "words"),
    [
        ("merge", facts(adapter=False), {}, SpecError, "there is nothing to merge"),
        ("merge", facts({**CONFIG, "quantization_config": {"quant_method": "gptq"}}), {}, UnsupportedError, "gptq"),
        ("merge", facts({**CONFIG, "vision_config": {}}), {}, UnsupportedError, "reads images"),
        (
            "export",
            facts({**CONFIG, "model_type": "mamba2"}),
            {},
            UnsupportedError,
            "architecture mamba2 cannot be read",
        ),
        ("export", facts({**CONFIG, "quantization_config": {"quant_method": "gptq"}}), {}, UnsupportedError, "gptq"),
        ({"type": "export", "format": "awq"}, facts(), {}, UnsupportedError, "with llm-compressor"),
        ("merge", facts(None), {}, SpecError, "is not on this machine"),
        ("merge", replace(facts(), model=UNREAD), {}, SpecError, "its bucket cannot be read from here"),
        ("merge", facts(), {"resources": {"num_nodes": 2}}, UnsupportedError, "runs in one process"),
        ({"type": "evaluate", "against": "base"}, facts(adapter=False), {"dataset": "r"}, SpecError, "no adapter"),
        ("evaluate", facts(), {"dataset": "r", "method": "kto"}, UnsupportedError, "kto"),
    ],
)
def test_programs_that_cannot_run_are_refused(program, given, fields, error, words):
    with pytest.raises(error, match=words):
        render(program, given, **fields)


def test_memory_is_that_of_a_forward_pass_and_time_is_unknown():
    spec = JobSpec(model="./adapter", program="merge", resources={"accelerator": "L4"})
    estimate = estimate_of(spec, facts())
    assert estimate.memory.gib("weights") == pytest.approx(2 * estimate.parameters / 2**30)
    assert (estimate.fits, estimate.hours) == ("yes", None)
    assert any(sentence.startswith("time:") for sentence in estimate.unknown)


def test_a_program_that_does_not_fit_into_main_memory_is_refused():
    spec = JobSpec(model="./adapter", program="evaluate", dataset="rows.jsonl")
    estimate = estimate_of(spec, facts())
    assert on_main_memory(spec, estimate, 64.0).fits == "yes"
    assert on_main_memory(spec, estimate, 1.0).fits == "no"
    merge = JobSpec(model="./adapter", program="merge")
    assert on_main_memory(merge, estimate_of(merge, facts()), 1.0).fits == "unknown"


def test_the_time_of_an_evaluation_grows_with_rows_answers_and_models():
    def hours(rows=100, **program):
        spec = JobSpec(
            model="./adapter", dataset="rows.jsonl", program={"type": "evaluate", **program},
            resources={"accelerator": "L4"},
        )  # fmt: skip
        estimate = estimate_forward(spec, CONFIG, "L4", num_rows=rows, mean_tokens=200.0)
        assert estimate.hours_low <= estimate.hours <= estimate.hours_high
        return estimate.hours

    assert hours(rows=200) == pytest.approx(2 * hours())
    assert hours(against="base") == pytest.approx(2 * hours())
    assert hours(metrics=["exact_match"]) > 10 * hours()


def test_the_metrics_that_need_answers_are_those_of_the_runtime():
    assert {name for name, metric in METRICS.items() if metric.generates} == ANSWER_METRICS
