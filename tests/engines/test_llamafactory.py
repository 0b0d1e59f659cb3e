"""Spec -> LLaMA-Factory's arguments, and any LLaMA-Factory YAML -> spec."""

import pytest

from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.engines.llamafactory.arguments import known_arguments
from ftsdk.engines.shared import OWNED
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import inspect
from ftsdk.recipes.llamafactory_yaml import read
from ftsdk.spec.loading import parse


@pytest.fixture
def rendered(spec_folder):
    def render_spec(**fields):
        spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
        layout = Layout(durable="/d", scratch="/s", inputs={str(spec_folder): "/in"})
        return render(spec, inspect(spec, folder=spec_folder), layout)

    return render_spec


def test_every_rendered_name_is_an_argument_of_the_trainer(rendered):
    for tuning in ("full", "freeze", "lora", "qlora", "oft"):
        assert set(rendered(tuning=tuning).config) <= set(known_arguments())


def test_the_best_model_is_among_those_saved_at_an_evaluation(rendered):
    wanted = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 20}
    config = rendered(dataset={"train": "train.jsonl", "eval_fraction": 0.5}, hyperparameters=wanted).config
    assert (config["save_strategy"], config["save_steps"]) == ("steps", 20)
    assert rendered().config["save_strategy"] == "no"


def test_paths_are_those_inside(rendered):
    made = rendered()
    assert made.config["model_name_or_path"] == "/in/model"
    assert made.dataset_info["train"]["file_name"] == "/in/train.jsonl"


@pytest.mark.parametrize(
    ("stage", "expected"), [("orpo", ("dpo", "orpo")), ("ipo", ("dpo", "ipo")), ("rm", ("rm", None))]
)
def test_methods_map_to_stage_and_loss(rendered, spec_folder, stage, expected):
    pairs = '{"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "Seven."}\n'
    (spec_folder / "pairs.jsonl").write_text(pairs * 3)
    config = rendered(method=stage, dataset="pairs.jsonl").config
    assert (config["stage"], config.get("pref_loss")) == expected


def test_learning_rate_follows_the_tuning(rendered):
    assert rendered(tuning="lora").config["learning_rate"] == 1e-4
    assert rendered(tuning="full").config["learning_rate"] == 1e-5


def test_other_arguments_pass_through(rendered):
    assert rendered(hyperparameters={"dataloader_num_workers": 3}).config["dataloader_num_workers"] == 3


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("adapter_name_or_path", "not yours to set"),
        ("lorarank", "did you mean"),
        ("x", "knows"),
        ("lora_plus", "knows"),
    ],
)
def test_unknown_and_owned_arguments_are_refused(rendered, name, says):
    with pytest.raises(SpecError, match=says):
        rendered(hyperparameters={name: 1})


@pytest.mark.parametrize(("name", "value"), [("use_galore", 1), ("oft_rank", True), ("dataloader_num_workers", "four")])
def test_a_passed_through_value_of_the_wrong_type_is_refused(rendered, name, value):
    with pytest.raises(SpecError, match=f"hyperparameters.{name}: should be"):
        rendered(hyperparameters={name: value})


def test_files_with_the_same_name_get_distinct_dataset_names(rendered, spec_folder):
    (spec_folder / "more").mkdir()
    (spec_folder / "more" / "train.jsonl").write_bytes((spec_folder / "train.jsonl").read_bytes())
    made = rendered(dataset=["train.jsonl", "more/train.jsonl"])
    assert made.config["dataset"] == "train,train__2"
    assert set(made.dataset_info) == {"train", "train__2"}


def test_owned_names_are_real_arguments():
    assert set(OWNED) <= set(known_arguments())


LF = {
    "model_name_or_path": "Qwen/Qwen3-4B-Instruct-2507",
    "stage": "dpo",
    "pref_loss": "orpo",
    "pref_beta": 0.1,
    "do_train": True,
    "finetuning_type": "lora",
    "lora_rank": 8,
    "lora_target": "all",
    "dataset": "a,b",
    "template": "qwen3_nothink",
    "output_dir": "saves/x",
    "overwrite_output_dir": True,
    "save_steps": 500,
    "report_to": "none",
    "num_train_epochs": 3.0,
    "resume_from_checkpoint": None,
}


def test_a_llamafactory_yaml_is_read():
    data, notes = read(LF)
    spec = parse(data, where="t")
    assert spec.method.stage == "orpo"
    assert spec.dataset.train == ("a", "b")
    assert spec.checkpoint.every_steps == 500
    assert spec.hyperparameters.template == "qwen3_nothink"
    assert spec.hyperparameters.per_device_train_batch_size == 8  # transformers' default, not ours
    assert {note.partition(" ")[0] for note in notes} == {"output_dir", "overwrite_output_dir"}


def test_an_unknown_llamafactory_key_gets_a_suggestion():
    with pytest.raises(SpecError, match="did you mean 'learning_rate'"):
        read({**LF, "lerning_rate": 1e-4})


@pytest.mark.parametrize(
    ("given", "noted"),
    [
        ({"save_strategy": "epoch"}, {"save_strategy"}),
        ({"save_strategy": "steps", "save_only_model": False, "overwrite_output_dir": False}, set()),
    ],
)
def test_a_note_is_about_what_changes(given, noted):
    kept = {key: value for key, value in LF.items() if key not in ("output_dir", "overwrite_output_dir")}
    assert {note.partition(" ")[0] for note in read({**kept, **given})[1]} == noted


def test_a_file_that_exports_is_not_taken_for_a_training():
    with pytest.raises(UnsupportedError, match="export_dir"):
        read({"model_name_or_path": "x/y", "export_dir": "out"})
