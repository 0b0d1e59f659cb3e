"""Arguments that transformers' trainer refuses or silently overrides: refused at plan, or a warning."""

from __future__ import annotations

import pytest

from ftsdk.backends.local import Local
from ftsdk.errors import FtsdkError, SpecError, UnsupportedError
from ftsdk.facts import inspect
from ftsdk.recipes import specfile
from ftsdk.spec.loading import parse

FILE = {"model_name_or_path": "model", "stage": "sft", "finetuning_type": "lora", "dataset": "rows"}
HELD_OUT = {"val_size": 0.4, "eval_strategy": "steps"}


@pytest.fixture
def plan(spec_folder):
    """Plans a LLaMA-Factory file with some more keys."""
    (spec_folder / "data").mkdir()
    (spec_folder / "train.jsonl").rename(spec_folder / "data" / "rows.jsonl")
    (spec_folder / "data" / "dataset_info.json").write_text('{"rows": {"file_name": "rows.jsonl"}}')

    def make(**keys):
        loaded = specfile.from_data({**FILE, **keys}, where="a.yaml", folder=spec_folder)
        return Local().plan(loaded.spec, inspect(loaded.spec, folder=loaded.folder))

    return make


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"report_to": "comet_ml"}, "report_to comet_ml: ftsdk reports to mlflow, swanlab, tensorboard"),
        ({"report_to": ["wandb", "neptune", "tensorboard"]}, "report_to neptune"),
        ({"report_to": "wanbd"}, "did you mean 'wandb'"),
        ({**HELD_OUT, "early_stopping_steps": 2}, "early_stopping_steps needs load_best_model_at_end"),
        ({"early_stopping_steps": 2, "load_best_model_at_end": True}, "early_stopping_steps needs held-out rows"),
        ({"load_best_model_at_end": True}, "compares evaluations and there are none"),
        ({"metric_for_best_model": "eval_loss"}, "measured on held-out rows"),
        ({"lr_scheduler_type": "reduce_lr_on_plateau"}, "follows evaluations"),
        ({**HELD_OUT, "eval_strategy": "epoch", "eval_steps": 5}, "eval_steps has no effect"),
        ({"warmup_steps": 20, "warmup_ratio": 0.5}, "give warmup_steps or warmup_ratio, not both"),
        ({"warmup_steps": 0.3, "warmup_ratio": 0.5}, "warmup_steps"),
        ({"bf16": True, "fp16": True}, "exclude each other"),
        ({"logging_steps": 2.5}, "give a whole number of steps, or a number below 1"),
        ({"save_steps": -1}, "save_steps|every_steps"),
        ({"dataloader_prefetch_factor": 2}, "needs dataloader_num_workers"),
        ({"torch_empty_cache_steps": 0}, "must be 1 or more"),
        ({"fsdp": "offload"}, "takes one of full_shard"),
        ({"fsdp": "full_shard shard_grad_op"}, "takes one of full_shard"),
        ({"quantization_device_map": "auto"}, "is for chats"),
        ({"image_max_pixels": 100, "image_min_pixels": 200}, "must be at least"),
        ({"ref_model_quantization_bit": 3}, "take 4 or 8"),
        ({"export_quantization_bit": 4}, "is for exports"),
        ({"finetuning_type": "full", "use_galore": True, "use_apollo": True}, "keep one of them"),
        ({"quantization_bit": 4, "create_new_adapter": True}, "create_new_adapter"),
        ({"max_grad_norm": -0.5}, "max_grad_norm"),
        ({"resume_from_checkpoint": "saves/old/checkpoint-500"}, "give the folder of a checkpoint on this machine"),
    ],
)
def test_arguments_that_the_trainer_refuses_are_refused_at_plan(plan, keys, says):
    with pytest.raises(FtsdkError, match=says):
        plan(**keys)


def test_every_tracker_is_reported_to(plan):
    made = plan(report_to=["mlflow", "swanlab", "trackio"], project="tries", trackio_space_id="me/tries")
    config, runs = made.trainer_config, made.document["trackers"]
    assert config["report_to"] == ["mlflow", "swanlab", "trackio"]
    assert (config["project"], config["trackio_space_id"]) == ("tries", "me/tries")
    assert {run["run_id"] for run in runs.values()} == {f"{made.document['name']}-local"}
    assert list(runs) == ["mlflow", "swanlab", "trackio"]


@pytest.mark.parametrize("key", ["logging_steps", "eval_steps"])
@pytest.mark.parametrize("value", [0.1, 5])
def test_steps_are_counted_or_a_share(plan, key, value):
    assert plan(**HELD_OUT, **{key: value}).trainer_config[key] == value


@pytest.mark.parametrize("value", [0.2, 7])
def test_checkpoints_are_made_at_a_share_of_all_steps_too(plan, value):
    assert plan(save_steps=value).document["checkpoint"]["every_steps"] == value


def test_gradients_that_are_not_scaled_down(plan):
    assert plan(max_grad_norm=0).trainer_config["max_grad_norm"] == 0


def test_resuming_one_s_own_checkpoints_needs_no_key(plan):
    assert "resume_from_checkpoint" not in plan(resume_from_checkpoint=True).trainer_config


def test_early_stopping_with_what_it_needs_is_planned(plan):
    config = plan(**HELD_OUT, early_stopping_steps=2, load_best_model_at_end=True, eval_steps=1).trainer_config
    assert (config["early_stopping_steps"], config["save_strategy"]) == (2, "steps")


def test_the_best_model_is_saved_where_the_trainer_evaluates_by_default(plan):
    config = plan(**HELD_OUT, load_best_model_at_end=True, logging_steps=7).trainer_config
    assert config["save_steps"] == 7


@pytest.mark.parametrize(
    ("hyperparameters", "tuning", "says"),
    [
        ({"auto_find_batch_size": True}, "lora", "batches hold whole groups"),
        ({"log_completions_hub_repo": "a/b"}, "lora", "needs log_completions"),
        ({"sync_ref_model": True}, "lora", "needs a reference model"),
        ({}, {"type": "lora", "targets": ["lm_head"]}, "reads that layer's own weight"),
        ({"lr_scheduler_type": "warmup_stable_decay"}, "lora", "num_decay_steps"),
    ],
)
def test_arguments_that_trl_refuses_are_refused_at_plan(spec_folder, hyperparameters, tuning, says):
    (spec_folder / "prompts.jsonl").write_text('{"prompt": "1+1", "answer": "2"}\n' * 16)
    method = {"stage": "grpo", "num_generations": 2, "rewards": ["exact_match"]}
    fields = {"model": "./model", "dataset": "prompts.jsonl", "method": method, "tuning": tuning}
    spec = parse({**fields, "hyperparameters": hyperparameters}, where="t")
    with pytest.raises(FtsdkError, match=says):
        Local().plan(spec, inspect(spec, folder=spec_folder))


def test_eval_steps_ask_for_evaluations_by_steps(spec_folder):
    spec = parse(
        {
            "model": "./model",
            "dataset": {"train": "train.jsonl", "eval_fraction": 0.4},
            "hyperparameters": {"eval_steps": 3},
        },
        where="t",
    )
    assert Local().plan(spec, inspect(spec, folder=spec_folder)).trainer_config["eval_strategy"] == "steps"


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        ({"learning_rate": 1000.0}, "learning_rate 1000 is far above"),
        ({"lora_rank": 99999}, "tuning.rank 99999 is far above"),
        ({"max_steps": 5, "num_train_epochs": 2.0}, "overrides num_train_epochs"),
        ({"neat_packing": True, "packing": False}, "packing: false is overridden"),
    ],
)
def test_unusual_or_overridden_arguments_give_a_warning(plan, keys, says):
    assert any(says in sentence for sentence in plan(**keys).warnings)


def test_bfloat16_on_a_cpu_warns_at_plan_and_is_refused_at_submit(plan):
    made = plan(bf16=True)
    assert any("no accelerator that computes in it" in sentence for sentence in made.warnings)
    with pytest.raises(UnsupportedError, match="leave it out to train in 32 bits"):
        Local().submit(made, {})


def test_a_change_of_one_of_two_values_replaces_the_other(spec_folder):
    data = {"model": "m/x", "dataset": "train.jsonl", "hyperparameters": {"warmup_ratio": 0.1}}
    spec = specfile.from_data(data, where="t", folder=spec_folder, changes=["warmup_steps=7"]).spec
    assert (spec.hyperparameters.warmup_steps, spec.hyperparameters.warmup_ratio) == (7, None)


def test_two_save_intervals_are_refused():
    data = {
        "model": "m/x",
        "dataset": "d.jsonl",
        "hyperparameters": {"save_steps": 9},
        "checkpoint": {"every_minutes": 5},
    }
    with pytest.raises(SpecError, match="save_steps and checkpoint say different things"):
        parse(data, where="t")
