"""Names of other programs end in one field, wherever they are written."""

import pytest

from ftsdk.engines.llamafactory.arguments import known_arguments
from ftsdk.errors import SpecError
from ftsdk.estimator import Estimator
from ftsdk.recipes import specfile
from ftsdk.spec import Freeze, JobSpec, Lora, Method, Oft, QLora
from ftsdk.spec.loading import normalized, parse
from ftsdk.spec.method import FIELD_STAGES
from ftsdk.spec.names import GONE, LLAMAFACTORY, OTHERS, REPLACED, REWRITTEN, written

GOOD = {"model": "Qwen/Qwen3-8B", "dataset": "train.jsonl"}
PAI = {
    "seq_length": (512, "hyperparameters.cutoff_len", 512),
    "lora_dim": (16, "tuning.rank", 16),
    "lora_rank": (16, "tuning.rank", 16),
    "lora_alpha": (32, "tuning.alpha", 32),
    "dpo_beta": (0.2, "method.beta", 0.2),
    "load_in_4bit": (True, "tuning.bits", 4),
    "load_in_8bit": (True, "tuning.bits", 8),
    "apply_chat_template": (False, "hyperparameters.template", "empty"),
    "system_prompt": ("Be brief.", "hyperparameters.default_system", "Be brief."),
}
LLAMA_FACTORY = {
    "stage": ("dpo", "method.stage", "dpo"),
    "finetuning_type": ("full", "tuning.type", "full"),
    "lora_target": ("q_proj,v_proj", "tuning.targets", ("q_proj", "v_proj")),
    "template": ("qwen3", "hyperparameters.template", "qwen3"),
    "logging_steps": (5, "hyperparameters.logging_steps", 5),
    "save_steps": (50, "hyperparameters.save_steps", 50),
    "per_device_train_batch_size": (2, "hyperparameters.per_device_train_batch_size", 2),
    "gradient_accumulation_steps": (4, "hyperparameters.gradient_accumulation_steps", 4),
    "max_grad_norm": (0.5, "hyperparameters.max_grad_norm", 0.5),
    "learning_rate": (1e-4, "hyperparameters.learning_rate", 1e-4),
    "lr_scheduler_type": ("linear", "hyperparameters.lr_scheduler_type", "linear"),
    "num_train_epochs": (2.0, "hyperparameters.num_train_epochs", 2.0),
    "bf16": (True, "hyperparameters.bf16", True),
    "warmup_ratio": (0.03, "hyperparameters.warmup_ratio", 0.03),
    "warmup_steps": (10, "hyperparameters.warmup_steps", 10),
}


def at(spec: JobSpec, path: str):
    value = spec
    for part in path.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(("name", "case"), [*PAI.items(), *LLAMA_FACTORY.items()])
def test_a_name_is_read_at_the_top_under_hyperparameters_and_with_set(name, case):
    value, path, expected = case
    written_as = str(value) if value is not False else "false"
    given = {**GOOD, "method": "dpo"} if name == "dpo_beta" else GOOD
    for spec in (
        parse({**given, name: value}, where="t"),
        parse({**given, "hyperparameters": {name: value}}, where="t"),
        specfile.from_data(given, where="t", folder=None, changes=[f"{name}={written_as}"]).spec,
    ):
        assert at(spec, path) == expected


def test_an_estimator_takes_them_and_says_what_they_became():
    with pytest.warns(UserWarning, match=r"lora_dim is tuning\.rank here"):
        made = Estimator(model="a/b", dataset="x.jsonl", lora_dim=32)
    with pytest.warns(UserWarning, match=r"lora_rank is tuning\.rank here"):
        changed = Estimator(made.spec, lora_rank=64)
    assert (made.spec.tuning.rank, changed.spec.tuning.rank) == (32, 64)


def test_model_and_owned_names_have_a_place_too():
    spec, notes = normalized({"model_name_or_path": "a/b", "dataset": "x", "do_train": True, "output_dir": "out",
                           "overwrite_output_dir": True, "push_to_hub": True})  # fmt: skip
    assert spec["model"] == "a/b"
    assert [note.partition(" ")[0] for note in notes] == ["model_name_or_path", "output_dir", "overwrite_output_dir"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"lora_rank": 4, "tuning": {"rank": 8}}, "lora_rank and tuning.rank say different things"),
        ({"lora_rank": 4, "lora_dim": 8}, "lora_dim and tuning.rank say different things"),
        ({"load_in_4bit": True, "tuning": "full"}, "cannot be trained with tuning full"),
        ({"hub_token": "hf_value"}, "hub_token: a spec holds no secret values"),
        ({"max_source_length": 512}, "write cutoff_len"),
        ({"image_resolution": "large"}, "image_resolution: 'large' is no value for it"),
    ],
)
def test_values_without_a_field_are_refused(change, says):
    with pytest.raises(SpecError, match=says) as caught:
        parse({**GOOD, **change}, where="t")
    assert "hf_value" not in str(caught.value)


def test_equal_values_under_two_names_are_accepted():
    assert parse({**GOOD, "lora_rank": 8, "tuning": {"rank": 8}}, where="t").tuning.rank == 8


@pytest.mark.parametrize(
    "part",
    [
        Lora(rank=4, alpha=8, targets=("q_proj", "v_proj"), dora=True, plus_lr_ratio=16.0),
        QLora(bits=8, double_quantization=False),
        Oft(block_size=16, targets=("all",)),
        Freeze(trainable_layers=3, extra_modules=("lm_head",)),
    ],
)
def test_a_tuning_written_and_read_is_the_same(part):
    mine = {n: v for n, v in written(part, "tuning").items() if v is not None}
    drop = "oft_target" if isinstance(part, Lora) else "lora_target"
    spec = parse({**GOOD, **{name: value for name, value in mine.items() if name != drop}}, where="t")
    assert spec.tuning == part


@pytest.mark.parametrize("stage", ["sft", "pt", "rm", "kto", "dpo", "ipo", "orpo", "simpo"])
def test_a_method_written_and_read_is_the_same(stage):
    method = Method(stage=stage, beta=0.3 if stage in FIELD_STAGES["beta"] else None)
    mine = {n: v for n, v in written(method, "method").items() if v is not None}
    assert parse({**GOOD, **mine}, where="t").method == method


def test_the_table_names_real_arguments_and_real_places():
    known = set(known_arguments())
    assert set(LLAMAFACTORY) | set(REPLACED) <= known
    assert not (set(OTHERS) | set(GONE)) & known
    passed = {p.path.split(".")[1] for p in OTHERS.values() if p.path.startswith("hyperparameters.")}
    assert passed <= known
    assert not set(OTHERS) & set(GONE)
    assert not set(REWRITTEN) & set(OTHERS)
