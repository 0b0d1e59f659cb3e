"""LLaMA-Factory's YAML files with uncommon keys: what they mean here, or the sentence that refuses them."""

import json

import pytest

from ftsdk.engines.base import Layout
from ftsdk.engines.llamafactory import arguments
from ftsdk.engines.llamafactory import render as llamafactory
from ftsdk.engines.trl import render as trl
from ftsdk.errors import FtsdkError
from ftsdk.recipes import specfile
from tests.golden import plans

BASE = {"model_name_or_path": "m/x", "stage": "sft", "finetuning_type": "lora", "dataset": "a"}


def loaded(tmp_path, **keys):
    return specfile.from_data({**BASE, **keys}, where="a.yaml", folder=tmp_path)


def rendered(tmp_path, **keys):
    spec = loaded(tmp_path, **keys).spec
    engine = trl if spec.method.stage == "ppo" else llamafactory
    return engine.render(spec, plans.facts(), Layout(durable="/d", scratch="/s", inputs={})).config


@pytest.mark.parametrize("keys", [{"pref_loss": "hinge"}, {"pref_loss": "kto_pair"}, {"dpo_loss": "kto_pair"}])
def test_losses_that_are_no_method_pass_through(tmp_path, keys):
    config = rendered(tmp_path, stage="dpo", **keys)
    assert (config["stage"], config["pref_loss"]) == ("dpo", next(iter(keys.values())))


def test_the_old_name_of_bitsandbytes_is_its_new_one(tmp_path):
    config = rendered(tmp_path, quantization_bit=4, quantization_method="bitsandbytes")
    assert (config["quantization_bit"], config["quantization_method"]) == (4, "bnb")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"learning_rate": "fast"}, "learning_rate: 'fast' is no number"),
        ({"lr_scheduler_type": "cosin"}, "did you mean 'cosine'"),
        ({"optim": "adamw_8bits"}, "did you mean 'adamw_8bit'"),
        ({"flash_attn": "fa5"}, "flash_attn: LLaMA-Factory has no 'fa5'"),
        ({"stage": "dpo", "pref_loss": "dro"}, "pref_loss: LLaMA-Factory has no 'dro'"),
        ({"adapter_name_or_path": "one,two"}, "several adapters"),
        ({"stage": "ppo", "reward_model": "r", "reward_model_type": "api"}, "requests no rewards"),
    ],
)
def test_a_value_that_the_trainer_would_not_take_is_refused(tmp_path, keys, words):
    with pytest.raises(FtsdkError, match=r".*") as caught:
        rendered(tmp_path, **keys)
    assert words in str(caught.value)


def test_ppo_keeps_what_trl_has_and_says_what_it_lacks(tmp_path):
    keys = {"stage": "ppo", "reward_model": "r/m", "reward_model_type": "full", "template": "qwen", "top_p": 0.9,
            "max_new_tokens": 77, "ppo_epochs": 2}  # fmt: skip
    found = loaded(tmp_path, **keys)
    method = found.spec.method
    assert (method.max_completion_length, method.num_iterations, method.reward_model) == (77, 2, "r/m")
    assert [note for note in found.notes if "without template, top_p" in note]


def test_eval_dataset_takes_precedence_over_val_size(tmp_path):
    found = loaded(tmp_path, eval_dataset="b", val_size=0.1)
    assert found.spec.dataset.eval == ("b",)
    assert found.spec.dataset.eval_fraction is None
    assert any(note.startswith("val_size is ignored") for note in found.notes)


@pytest.mark.trainer
def test_the_choices_are_the_trainers():
    assert json.loads(json.dumps(arguments.read_arguments()))["choices"] == arguments.choices()
