"""Tunings that peft creates: their sizes, their files, and trainings that go on exactly."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import get_args

import pytest

from ftsdk.engines.llamafactory.adapters import arguments, settings
from ftsdk.sizing.architecture.configs import shape_of_config
from ftsdk.sizing.from_spec import trained_of
from ftsdk.spec import peft_family
from ftsdk.spec.loading import parse
from ftsdk.spec.tuning import Tuning
from ftsdk.testing import tiny
from tests.runtime.programs.model import adapter_kinds
from tests.runtime.programs.test_exact import STEP, check, train_all

pytestmark = pytest.mark.trainer

KINDS = {
    "adalora": {"rank": 2, "initial_rank": 4, "every_steps": 1, "dropout": 0.1},
    "ia3": {},
    "vera": {"rank": 8, "dropout": 0.1},
    "boft": {"block_size": 8},
    "hra": {"rank": 4},
    "loha": {"rank": 3},
    "lokr": {"rank": 2},
    "lokr whole": {"rank": 64},
    "ln_tuning": {},
    "fourierft": {"num_frequencies": 50},
    "prompt": {"num_virtual_tokens": 4},
    "prompt from text": {"num_virtual_tokens": 4, "init_text": "one two three"},
    "p_tuning": {"num_virtual_tokens": 4, "encoder_hidden_size": 16},
    "prefix": {"num_virtual_tokens": 4},
    "p_tuning_v2 projected": {"num_virtual_tokens": 4, "projection": True, "encoder_hidden_size": 16},
    "bitfit": {},
}
"""Name, which begins with the tuning's type -> its fields, small enough for a model of 64 elements."""
OF_OUR_OWN = ("adalora", "p_tuning", "p_tuning_v2 projected")
"""Those of which a checkpoint of peft's lacks something that ours have."""


def tuning_of(name):
    return {"type": name.split()[0], **KINDS[name]}


def spec_of(name):
    return parse({"model": "a/b", "dataset": "rows.jsonl", "tuning": tuning_of(name)}, where="test")


def case_of(name):
    rate = {"learning_rate": 1e-2, "lora_dropout": 0.0}
    own = arguments(spec_of(name).tuning)
    return {
        "notices": [[STEP, 4], [STEP, 2, "KILL"]],
        "max_steps": 8,
        "logging_steps": 3,
        "checkpoint": EVERY,
        **rate,
        **own,
    }


EVERY = {"every_minutes": None, "every_steps": 1, "mtbf_hours": None, "keep": 2}


@pytest.fixture(scope="module")
def models(tmp_path_factory, tiny_folder):
    """Folders of a model without biases (Llama) and of one with them (Qwen2), of the same sizes."""
    made = tmp_path_factory.mktemp("models")
    config = json.loads((tiny_folder / "model" / "config.json").read_text())
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads", "max_position_embeddings")  # fmt: skip
    code = (
        "import json, sys; from transformers import Qwen2Config, Qwen2ForCausalLM; "
        "Qwen2ForCausalLM(Qwen2Config(**json.loads(sys.argv[2]))).save_pretrained(sys.argv[1])"
    )
    sizes = json.dumps({name: config[name] for name in names})
    subprocess.run([tiny.TRAINER_PYTHON, "-c", code, made / "qwen2", sizes], check=True, capture_output=True)
    for file in (tiny_folder / "model").glob("tokenizer*"):
        (made / "qwen2" / file.name).write_bytes(file.read_bytes())
    return made / "qwen2"


@pytest.fixture(scope="module")
def tried(models, tmp_path_factory):
    """What the program found for every kind, on the model with biases."""
    folder = tmp_path_factory.mktemp("kinds")
    given = {}
    for name in KINDS:
        tuning = spec_of(name).tuning
        targets = getattr(tuning, "targets", ("all",))
        given[name] = {**settings(tuning), "targets": None if "all" in targets else [*targets]}
    (folder / "settings.json").write_text(json.dumps(given))
    program = [tiny.TRAINER_PYTHON, adapter_kinds.__file__, str(models), str(folder / "settings.json"), str(folder)]
    path = os.pathsep.join([str(Path(__file__).parents[3]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(program, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_every_tuning_of_the_family_is_tried():
    assert {*peft_family.KINDS} <= {*get_args(get_args(Tuning)[0])}
    assert {kind.model_fields["type"].default for kind in peft_family.KINDS} == {name.split()[0] for name in KINDS}


@pytest.mark.parametrize("name", KINDS)
def test_its_size_is_known_and_plain_peft_loads_the_same_model(tried, models, name):
    shape = shape_of_config(json.loads((models / "config.json").read_text()))
    found = tried[name]
    assert trained_of(spec_of(name), shape).parameters == found["trained"]
    assert found["moved"] > 1e-3
    assert found["differs"] < 1e-5
    assert ("which no weight of the base model can hold" in found["unmerged"]) == name.startswith(("p_", "pr"))


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_folder):
    return train_all({name: case_of(name) for name in OF_OUR_OWN}, tiny_folder, tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def trained_all(tmp_path_factory, models, tiny_folder):
    others = {name: {**case_of(name), "model_name_or_path": str(models)} for name in KINDS if name not in OF_OUR_OWN}
    return train_all(others, tiny_folder, tmp_path_factory.mktemp("kinds"))


@pytest.mark.parametrize("name", OF_OUR_OWN)
def test_a_checkpoint_holds_what_peft_does_not_save(trained, name):
    check(trained / name, case_of(name))


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in KINDS if name not in OF_OUR_OWN])
def test_every_other_kind_goes_on_exactly_too(trained_all, name):
    check(trained_all / name, case_of(name))
