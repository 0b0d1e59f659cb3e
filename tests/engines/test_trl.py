"""Spec -> TRL's configuration for the methods that sample answers."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.engines.trl.arguments import known_arguments
from ftsdk.engines.trl.methods import OWNED, STAGE_DEFAULTS
from ftsdk.errors import DataError, SpecError, UnsupportedError
from ftsdk.facts import inspect
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny

OVERLAY = Path(tiny.TRAINER_PYTHON).absolute().parents[1] / "overlays" / "rl"
REWARD = "def score(prompts, completions, **columns):\n    return [1.0 for _ in completions]\n"


@pytest.fixture
def rendered(spec_folder):
    rows = [{"prompt": f"What is {i}?", "answer": str(i), "level": i} for i in range(64)]
    (spec_folder / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (spec_folder / "reward.py").write_text(REWARD)

    def render_spec(stage="grpo", method=None, **fields):
        method = {"stage": stage, "rewards": ["reward.py:score"], **(method or {})}
        spec = parse({"model": "./model", "dataset": "prompts.jsonl", "method": method, **fields}, where="t")
        layout = Layout(durable="/d", scratch="/s", inputs={str(spec_folder): "/in"})
        return render(spec, inspect(spec, folder=spec_folder), layout)

    return render_spec


@pytest.mark.parametrize("stage", STAGE_DEFAULTS)
@pytest.mark.parametrize("tuning", ["full", "lora"])
def test_every_rendered_name_is_an_argument_of_trl(rendered, stage, tuning):
    made = rendered(stage, tuning=tuning, hyperparameters={"max_steps": 3, "weight_decay": 0.1})
    assert set(made.config["arguments"]) <= set(known_arguments(made.config["algorithm"]))
    assert made.trainer == ("ppo" if stage == "ppo" else "trl")
    assert bool(made.config.get("peft")) == (tuning == "lora")


def test_owned_names_are_real_arguments():
    known = {name for algorithm in ("grpo", "rloo", "ppo") for name in known_arguments(algorithm)}
    ours_everywhere = {"dataset", "stage", "finetuning_type", "model_name_or_path"}
    own = {name for name in OWNED if name in known}
    assert {"num_generations", "beta", "kl_coef", "use_vllm", "output_dir", "reward_weights"} <= own
    assert ours_everywhere <= set(OWNED)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("grpo", {"loss_type": "grpo", "beta": 0.0, "num_generations": 8}),
        ("dapo", {"loss_type": "dapo", "epsilon_high": 0.28, "mask_truncated_completions": True}),
        ("gspo", {"importance_sampling_level": "sequence", "epsilon": 3e-4, "epsilon_high": 4e-4}),
        ("dr_grpo", {"loss_type": "dr_grpo", "scale_rewards": "none"}),
        ("cispo", {"loss_type": "cispo", "epsilon_high": 5.0, "beta": 0.0}),
        ("sapo", {"loss_type": "sapo", "sapo_temperature_neg": 1.05}),
        ("rloo", {"beta": 0.05, "num_generations": 4}),
        ("ppo", {"kl_coef": 0.05, "num_ppo_epochs": 4, "response_length": 53, "stop_token": "eos"}),
    ],
)
def test_a_method_is_its_papers_settings(rendered, stage, expected):
    arguments = rendered(stage).config["arguments"]
    assert {name: arguments[name] for name in expected} == expected


def test_given_columns_override_detection(rendered):
    method = {"beta": 0.04, "num_generations": 4, "epsilon": 0.1, "temperature": 0.8, "top_p": 0.9, "vllm": "server"}
    made = rendered("gspo", method, hyperparameters={"top_k": 40, "learning_rate": 1e-3})
    wanted = {"beta": 0.04, "epsilon": 0.1, "epsilon_high": 0.1, "top_p": 0.9, "top_k": 40, "learning_rate": 1e-3}
    assert {name: made.config["arguments"][name] for name in wanted} == wanted
    assert made.config["vllm"] == "server"


def test_sharding_becomes_a_configuration_of_deepspeed(rendered):
    assert rendered(sharding="zero2").config["arguments"]["deepspeed"]["zero_optimization"]["stage"] == 2


def test_learning_rate_follows_the_tuning(rendered):
    assert rendered(tuning="lora").config["arguments"]["learning_rate"] == 1e-5
    assert rendered(tuning="full").config["arguments"]["learning_rate"] == 1e-6


def test_steps_of_ppo_become_episodes(rendered):
    arguments = rendered("ppo", hyperparameters={"max_steps": 5, "per_device_train_batch_size": 2}).config["arguments"]
    assert arguments["total_episodes"] == 5 * 2 * 8
    assert "max_steps" not in arguments


def test_files_and_weights_of_rewards_are_rendered(rendered):
    rewards = ["math_answer", {"name": "format", "weight": 0.2}, {"function": "reward.py:score", "weight": 2.0}]
    config = rendered(method={"rewards": rewards}).config
    assert [reward["name"] for reward in config["rewards"]] == ["math_answer", "format", "function"]
    assert config["rewards"][2]["file"] == "/in/reward.py"
    assert config["arguments"]["reward_weights"] == [1.0, 0.2, 2.0]


def test_the_reference_answer_keeps_its_column(rendered):
    info = rendered().dataset_info["prompts"]
    assert info["columns"] == {"prompt": "prompt", "answer": "answer"}
    assert info["file_name"] == "/in/prompts.jsonl"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"hyperparameters": {"packing": True}}, "packing cannot be used"),
        ({"hyperparameters": {"neat_packing": True}}, "neat_packing cannot be used"),
        ({"hyperparameters": {"template": "qwen"}}, "own chat template"),
        ({"hyperparameters": {"cutoff_len": 512}}, "max_completion_length"),
        ({"hyperparameters": {"num_generations": 4}}, "method.num_generations"),
        ({"hyperparameters": {"temprature": 1}}, "did you mean"),
        ({"hyperparameters": {"top_k": "many"}}, "should be int"),
        ({"hyperparameters": {"total_episodes": 9}}, "set `max_steps`"),
        ({"hyperparameters": {"eval_strategy": "epoch"}}, "held-out rows"),
        ({"method": {"rewards": []}}, "what an answer earns"),
        ({"method": {"num_generations": 3}}, "no multiple"),
        ({"method": {"steps_per_generation": 3, "num_generations": 3}}, "multiple of the other"),
        ({"method": {"rewards": ["nowhere.py:score"]}}, "there is no file"),
        ({"method": {"rewards": ["reward.py:scores"]}}, "did you mean 'score'"),
    ],
)
def test_wrong_values_are_refused_at_plan(rendered, change, says):
    with pytest.raises(SpecError, match=says):
        rendered(**change)


@pytest.mark.parametrize(
    ("stage", "change", "says"),
    [
        ("grpo", {"tuning": "freeze"}, "use one of the tunings full, lora, qlora, oft"),
        ("grpo", {"tuning": {"plus_lr_ratio": 16.0}}, "plus_lr_ratio"),
        ("grpo", {"dataset": {"train": ["prompts.jsonl"], "streaming": True}}, "streaming"),
        ("ppo", {"resources": {"spot": True}}, "use grpo"),
        ("ppo", {"resources": {"accelerators_per_node": 2}}, "one process"),
        ("ppo", {"tuning": "qlora"}, "use one of the tunings full, lora"),
        ("ppo", {"sharding": "zero3"}, "use ddp, or one of the methods grpo, "),
        ("ppo", {"dataset": {"train": ["prompts.jsonl"], "eval_fraction": 0.1}}, "evaluates nothing"),
    ],
)
def test_a_refusal_names_the_alternative(rendered, stage, change, says):
    with pytest.raises(UnsupportedError, match=says):
        rendered(stage, **change)


def test_an_answer_that_is_compared_must_be_in_the_data(rendered, spec_folder):
    (spec_folder / "bare.jsonl").write_text('{"prompt": "Why?"}\n' * 20)
    with pytest.raises(DataError, match=r"math_answer compares .* dataset\.columns"):
        rendered(method={"rewards": ["math_answer"]}, dataset="bare.jsonl")


@pytest.mark.parametrize("stage", ["grpo", "ppo"])
def test_too_few_rows_for_one_sampling_are_refused(rendered, stage):
    with pytest.raises(DataError, match="64 rows"):
        rendered(stage, hyperparameters={"per_device_train_batch_size": 128})


PARSED = """
import json, sys
from transformers import HfArgumentParser
import trl
from ftsdk.runtime.programs.trl import vllm_arguments
for config in json.load(sys.stdin):
    kind = getattr(trl, config["algorithm"].upper() + "Config")
    given = {**config["arguments"], **vllm_arguments(config), "output_dir": "out", "use_cpu": True, "bf16": False}
    [parsed] = HfArgumentParser(kind).parse_dict(given)
    print(json.dumps([parsed.use_vllm, parsed.vllm_mode]))
"""


@pytest.mark.trainer
def test_trl_s_own_parser_takes_what_we_render(rendered):
    """vLLM does not run here: what it would be given is parsed."""
    stages = [stage for stage in STAGE_DEFAULTS if stage != "ppo"]
    wanted = [(stage, vllm) for stage in stages for vllm in ("colocate", "server", "off")]
    extra = {"vllm_gpu_memory_utilization": 0.4, "vllm_tensor_parallel_size": 1}
    configs = [rendered(stage, {"vllm": vllm}, hyperparameters=extra).config for stage, vllm in wanted]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(OVERLAY), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [tiny.TRAINER_PYTHON, "-c", PARSED], input=json.dumps(configs), env=environ, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert said == [[vllm != "off", vllm if vllm != "off" else "colocate"] for _, vllm in wanted]


def test_a_changed_reward_function_is_another_job(rendered, spec_folder):
    from ftsdk.plan.build import digest_of

    rendered()
    fields = {"model": "./model", "dataset": "prompts.jsonl"}
    spec = parse({**fields, "method": {"stage": "grpo", "rewards": ["reward.py:score"]}}, where="t")
    before = digest_of(spec, inspect(spec, folder=spec_folder))
    (spec_folder / "reward.py").write_text(REWARD.replace("1.0", "2.0"))
    assert digest_of(spec, inspect(spec, folder=spec_folder)) != before
