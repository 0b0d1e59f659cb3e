"""Round trips: LLaMA-Factory -> spec -> LLaMA-Factory, every time the same training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ftsdk.backends import get
from ftsdk.cli import cli
from ftsdk.errors import UnsupportedError
from ftsdk.facts import inspect
from ftsdk.recipes import specfile
from ftsdk.recipes.converting import as_data, as_llamafactory
from tests import llamafactory

TRAININGS = {
    "sft": {"stage": "sft", "finetuning_type": "lora", "lora_rank": 4, "lora_target": "q_proj,v_proj"},
    "full": {"stage": "sft", "finetuning_type": "full", "deepspeed": {"zero_optimization": {"stage": 2}}},
    "qlora": {"stage": "sft", "finetuning_type": "lora", "quantization_bit": 4, "template": "qwen"},
    "oft": {"stage": "sft", "finetuning_type": "oft", "oft_block_size": 16, "warmup_steps": 3},
    "freeze": {"stage": "sft", "finetuning_type": "freeze", "freeze_trainable_layers": 1, "val_size": 2},
    "orpo": {"stage": "dpo", "pref_loss": "orpo", "pref_beta": 0.2, "dataset": "pairs"},
    "hinge": {"stage": "dpo", "pref_loss": "hinge", "dataset": "pairs", "evaluation_strategy": "no"},
    "kto": {"stage": "kto", "dataset": "labels", "save_steps": 20, "report_to": "wandb", "run_name": "mine"},
}


@pytest.fixture
def checkout(spec_folder):
    """A folder as LLaMA-Factory is used: data/dataset_info.json, and YAML files below."""
    data = spec_folder / "data"
    data.mkdir()
    (data / "rows.jsonl").write_bytes((spec_folder / "train.jsonl").read_bytes())
    (data / "pairs.json").write_text('[{"instruction": "a", "chosen": "b", "rejected": "c"}]')
    (data / "labels.json").write_text('[{"instruction": "a", "output": "b", "label": true}]')
    info = {
        "rows": {"file_name": "rows.jsonl"},
        "pairs": {"file_name": "pairs.json", "ranking": True,
                  "columns": {"prompt": "instruction", "chosen": "chosen", "rejected": "rejected"}},
        "labels": {"file_name": "labels.json",
                   "columns": {"prompt": "instruction", "response": "output", "kto_tag": "label"}},
    }  # fmt: skip
    (data / "dataset_info.json").write_text(json.dumps(info))
    for name, given in TRAININGS.items():
        whole = {"model_name_or_path": "model", "do_train": True, "dataset": "rows", "output_dir": "out", **given}
        (spec_folder / f"{name}.yaml").write_text(yaml.safe_dump(whole))
    return spec_folder


def plan(path):
    loaded = specfile.load(str(path))
    return get("local", {}).plan(loaded.spec, inspect(loaded.spec, folder=loaded.folder))


def written(path, folder):
    loaded = specfile.load(str(path))
    made = as_data(loaded.spec, read_from=loaded.folder, written_to=folder)
    out = folder / f"ours-{path.name}"
    out.write_text(yaml.safe_dump(made))
    return out


@pytest.mark.parametrize("name", TRAININGS)
def test_a_converted_llamafactory_file_gives_the_same_plan(checkout, name):
    original = checkout / f"{name}.yaml"
    assert plan(written(original, checkout)).to_json() == plan(original).to_json()


@pytest.mark.parametrize("name", TRAININGS)
def test_a_spec_in_another_folder_trains_the_same(checkout, tmp_path_factory, name):
    original = checkout / f"{name}.yaml"
    elsewhere = written(original, tmp_path_factory.mktemp("elsewhere"))
    found, expected = plan(elsewhere).trainer_config, plan(original).trainer_config
    assert Path(found["model_name_or_path"]).samefile(expected["model_name_or_path"])
    assert {**found, "model_name_or_path": ""} == {**expected, "model_name_or_path": ""}


@pytest.mark.parametrize("name", TRAININGS)
def test_a_spec_converted_back_to_llamafactory_gives_the_same_plan(checkout, name):
    loaded = specfile.load(str(written(checkout / f"{name}.yaml", checkout)))
    made = as_llamafactory(loaded.spec, folder=loaded.folder, dataset_dir=checkout / "again")
    (checkout / "again").mkdir()
    (checkout / "again" / "dataset_info.json").write_text(json.dumps(made.dataset_info))
    (checkout / "back.yaml").write_text(yaml.safe_dump(made.config))
    once, twice = plan(checkout / f"{name}.yaml").trainer_config, plan(checkout / "back.yaml").trainer_config
    assert {**twice, "run_name": ""} == {**once, "run_name": ""}


@pytest.mark.trainer
def test_llamafactory_s_own_parser_takes_them(checkout):
    configs = {}
    for name in TRAININGS:
        loaded = specfile.load(str(checkout / f"{name}.yaml"))
        made = as_llamafactory(loaded.spec, folder=loaded.folder, dataset_dir=checkout / "again")
        configs[name] = {**made.config, "deepspeed": None}  # its package is not installed here
    assert llamafactory.parser_answers(configs, checkout) == dict.fromkeys(TRAININGS, "")


def test_converting_a_trl_method_to_llamafactory_is_refused(checkout):
    (checkout / "prompts.jsonl").write_text('{"prompt": "1+1", "answer": "2"}\n' * 3)
    spec = specfile.from_data(
        {"model": "./model", "method": {"stage": "grpo", "rewards": ["exact_match"]}, "dataset": "prompts.jsonl"},
        where="t", folder=checkout,
    ).spec  # fmt: skip
    with pytest.raises(UnsupportedError, match="method grpo is not LLaMA-Factory's"):
        as_llamafactory(spec, folder=checkout, dataset_dir=checkout)


def test_the_command_writes_both(checkout, monkeypatch, capsys):
    monkeypatch.chdir(checkout)
    cli.main(["convert", "sft.yaml", "-o", "job.yaml"], standalone_mode=False)
    assert yaml.safe_load((checkout / "job.yaml").read_text())["tuning"]["targets"] == ["q_proj", "v_proj"]
    cli.main(["convert", "job.yaml", "--to", "llamafactory", "-o", "lf.yaml"], standalone_mode=False)
    back = yaml.safe_load((checkout / "lf.yaml").read_text())
    assert back["lora_target"] == "q_proj,v_proj"
    assert json.loads((checkout / "lf-data" / "dataset_info.json").read_text())["rows"]["file_name"].endswith(".jsonl")
