"""Every YAML that LLaMA-Factory ships: planned unchanged, or refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftsdk.backends import get
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.estimator import Estimator
from ftsdk.facts import inspect
from ftsdk.recipes import specfile
from ftsdk.recipes.llamafactory_tasks import model_to_talk_with
from tests import llamafactory

OTHERS_DATA = {"extras/asft/llama2_full_asft.yaml": "med", "extras/asft/qwen2_full_asft.yaml": "math"}
"""Their data set is in no dataset_info.json that LLaMA-Factory ships."""
NOT_IN_THE_CPU_IMAGE = {
    "extras/adam_mini": "adam-mini",
    "extras/apollo": "apollo_torch",
    "extras/badam": "badam",
    "extras/fp8/llama3_fp8_deepspeed": "deepspeed",
    "extras/fp8/llama3_fp8_fsdp": "torchao",
    "extras/galore": "galore_torch",
    "extras/mod/": "mixture-of-depth",
    "ktransformers/": "kt-kernel",
    "train_full/": "deepspeed",
    "sft_ds3": "deepspeed",
}
"""What Docker refuses on a machine without a GPU, and the package that its image lacks."""
REFUSED = {
    "v1/": "v1 engine",
    "megatron/": "Megatron",
    "merge_lora/qwen3_full": "`ftsdk push` publishes it",
    "merge_lora/qwen3_gptq": "GPTQ's library does not run beside the trainer",
    "inference/": "`ftsdk chat FILE`",
    "accelerate/": "configuration of accelerate",
    "tokens_cfg": "'model' is missing",
}
PROGRAMS = {
    "merge_lora/qwen3_lora": {"type": "merge", "dtype": "auto"},
    "merge_lora/qwen3vl_lora": {"type": "merge", "dtype": "auto"},
    "nlg_eval/": {
        "type": "evaluate",
        "metrics": ["bleu", "rouge1", "rouge2", "rougeL"],
        "against": None,
        "max_new_tokens": 1024,
        "judge": None,
    },
}
"""Files that are programs on a model that exists."""


@pytest.fixture(scope="module")
def examples(pytestconfig):
    return llamafactory.source(Path(pytestconfig.cache.mkdir("llamafactory"))) / "examples"


def plan(path: Path, backend: str = "local", changes: tuple[str, ...] = ()):
    loaded = specfile.load(str(path), changes=changes)
    return get(backend, {}).plan(loaded.spec, inspect(loaded.spec, folder=loaded.folder))


def sorted_out(examples: Path) -> tuple[list[Path], dict[Path, str]]:
    """Files to train, and files to refuse with what the refusal says."""
    every = sorted(examples.rglob("*.yaml"))
    refused = {p: why for p in every for mark, why in REFUSED.items() if mark in str(p.relative_to(examples))}
    programs = {p for p in every for mark in PROGRAMS if mark in str(p.relative_to(examples))}
    return [p for p in every if p not in refused and p not in programs], refused


def test_every_training_of_the_examples_is_planned_unchanged(examples):
    train, refused = sorted_out(examples)
    assert len(train) == 47
    assert len(refused) == 32
    for path in train:
        name = str(path.relative_to(examples))
        if name in OTHERS_DATA:
            with pytest.raises(SpecError, match=f"dataset '{OTHERS_DATA[name]}'"):
                plan(path)
            continue
        assert plan(path, "local").trainer_config["do_train"] is True, name
        if package := next((NOT_IN_THE_CPU_IMAGE[mark] for mark in NOT_IN_THE_CPU_IMAGE if mark in name), ""):
            with pytest.raises(UnsupportedError, match=f"needs the package {package}"):
                plan(path, "docker")
            continue
        assert plan(path, "docker").trainer_config["do_train"] is True, name


def test_every_other_file_is_refused_with_its_reason(examples):
    for path, why in sorted_out(examples)[1].items():
        with pytest.raises((SpecError, UnsupportedError), match=why):
            specfile.load(str(path))


def test_merges_and_predictions_are_programs_on_the_adapter(examples):
    for mark, program in PROGRAMS.items():
        (path,) = [p for p in examples.rglob("*.yaml") if mark in str(p.relative_to(examples))]
        loaded = specfile.load(str(path))
        assert loaded.spec.program.model_dump(mode="json") == program
        assert loaded.spec.model.startswith("saves/")
        assert any(note.startswith("model_name_or_path is left to the adapter") for note in loaded.notes)


def test_a_prediction_reads_the_rows_that_it_names(examples):
    spec = specfile.load(str(examples / "extras/nlg_eval/llama3_lora_predict.yaml")).spec
    assert (spec.dataset.train, spec.dataset.max_samples) == (("identity", "alpaca_en_demo"), 50)
    assert spec.hyperparameters.template == "llama3"


def test_a_chat_file_of_llamafactory_names_the_model(examples):
    models = {p.name: model_to_talk_with(specfile.read_yaml(p)) for p in (examples / "inference").glob("*.yaml")}
    assert models["qwen3_lora_sft.yaml"] == "saves/qwen3-4b/lora/sft"
    assert models["qwen3.yaml"] == "Qwen/Qwen3-4B-Instruct-2507"


@pytest.mark.trainer
def test_llamafactory_itself_accepts_every_plan(examples, tmp_path):
    paths = [p for p in sorted_out(examples)[0] if str(p.relative_to(examples)) not in OTHERS_DATA]
    answers = llamafactory.parser_answers({p.name: _on_a_cpu(plan(p).trainer_config) for p in paths}, tmp_path)
    assert {name: said for name, said in answers.items() if said} == {}


def _on_a_cpu(config: dict[str, object]) -> dict[str, object]:
    """The parser looks at the machine too: at what it computes in, and for the package deepspeed."""
    return {**config, "output_dir": "out", "bf16": False, "fp8": False, "deepspeed": None}


SMALL = ("max_steps=2", "bf16=false", "max_samples=16", "preprocessing_num_workers=1", "dataloader_num_workers=0",
         "cutoff_len=128", "gradient_accumulation_steps=1")  # fmt: skip


@pytest.mark.trainer
@pytest.mark.parametrize(
    "name",
    [
        "train_lora/qwen3_lora_sft.yaml",
        pytest.param("train_lora/qwen3_lora_dpo.yaml", marks=pytest.mark.long),
        pytest.param("train_lora/qwen3_lora_kto.yaml", marks=pytest.mark.long),
        pytest.param("train_lora/qwen3_lora_reward.yaml", marks=pytest.mark.long),
        pytest.param("train_lora/qwen3_lora_pretrain.yaml", marks=pytest.mark.long),
        pytest.param("extras/loraplus/llama3_lora_sft.yaml", marks=pytest.mark.long),
        pytest.param("extras/oft/llama3_oft_sft.yaml", marks=pytest.mark.long),
        pytest.param("extras/muon/qwen2_full_sft.yaml", marks=pytest.mark.long),
        pytest.param("extras/dft/qwen2_full_sft.yaml", marks=pytest.mark.long),
        pytest.param("extras/llama_pro/llama3_freeze_sft.yaml", marks=pytest.mark.long),
    ],
)
def test_a_text_example_trains_with_a_small_model(examples, tiny_folder, name):
    changes = (*SMALL, f"model={tiny_folder / 'model'}")
    if "deepspeed" in (examples / name).read_text():  # its package needs a GPU's toolkit
        changes = (*changes, "deepspeed=null")
    if "llama_pro" in name:  # trains blocks that its expand.sh adds before
        changes = (*changes, "use_llama_pro=false", "tuning.trainable_layers=1")
    if "llama3" in name:  # the tokens of this template are new to the small model
        changes = (*changes, "resize_vocab=true")
    loaded = specfile.load(str(examples / name), changes=changes)
    estimator = Estimator(
        loaded.spec, backend="local", options={"python": llamafactory.TRAINER_PYTHON}, folder=loaded.folder
    )
    job = estimator.fit(data_check=False, on_warning=lambda sentence: None)
    assert job.model().path.is_dir()
