"""A second training on an adapter whose training added tokens: tokenizer and embeddings of the first go on."""

from __future__ import annotations

import json
import subprocess

import pytest

from ftsdk import Estimator
from ftsdk.errors import JobFailedError
from ftsdk.testing import tiny

pytestmark = pytest.mark.trainer

FULL_VOCABULARY = """
import sys
from transformers import AutoModelForCausalLM, AutoTokenizer
source, target = sys.argv[1:]
tokenizer, model = AutoTokenizer.from_pretrained(source), AutoModelForCausalLM.from_pretrained(source)
model.resize_token_embeddings(len(tokenizer))
model.save_pretrained(target)
tokenizer.save_pretrained(target)
"""
TOKENS = "<face>,</face>"


def trained(folder, name, model, **hyperparameters):
    settings = {
        "max_steps": 1,
        "logging_steps": 1,
        "cutoff_len": 64,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 1,
        "template": "qwen",
        **hyperparameters,
    }
    job = Estimator(
        name=name,
        model=str(model),
        dataset=str(folder / "train.json"),
        tuning={"type": "lora", "rank": 2, "targets": ["q_proj"]},
        hyperparameters=settings,
        backend="local",
        options={"python": tiny.TRAINER_PYTHON},
    ).fit(data_check=False, progress=False, on_warning=lambda sentence: None)
    return job, job.model().path


def tokens_of(model):
    return {token["content"] for token in json.loads((model / "tokenizer.json").read_text())["added_tokens"]}


@pytest.fixture(scope="module")
def full(tmp_path_factory, tiny_folder):
    """The tiny model with no row in its embedding to spare."""
    folder = tmp_path_factory.mktemp("full") / "model"
    command = [tiny.TRAINER_PYTHON, "-c", FULL_VOCABULARY, str(tiny_folder / "model"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    return folder


def test_new_tokens_and_a_grown_vocabulary_go_on(tiny_folder, full):
    first, model = trained(
        tiny_folder,
        "first",
        full,
        add_special_tokens=TOKENS,
        resize_vocab=True,
        additional_target="embed_tokens,lm_head",
    )
    assert tokens_of(model) >= {"<face>", "</face>"}
    _, second = trained(tiny_folder, "second", first.uri)
    assert tokens_of(second) >= {"<face>", "</face>"}


def test_a_name_that_only_the_loaded_model_refuses_ends_the_job_before_its_first_step(tiny_folder, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    for file in (tiny_folder / "model").iterdir():  # as a model whose weights a plan cannot see
        if file.suffix != ".safetensors":
            (model / file.name).write_bytes(file.read_bytes())
    command = (
        "import sys, torch; from safetensors.torch import load_file; "
        "torch.save(load_file(sys.argv[1] + '/model.safetensors'), sys.argv[2] + '/pytorch_model.bin')"
    )
    subprocess.run([tiny.TRAINER_PYTHON, "-c", command, str(tiny_folder / "model"), str(model)], check=True)
    job = Estimator(
        model=str(model),
        dataset=str(tiny_folder / "train.json"),
        tuning={"type": "lora", "targets": ["q_proj", "of_a_fork"]},
        hyperparameters={"max_steps": 1, "cutoff_len": 64, "template": "qwen"},
        backend="local",
        options={"python": tiny.TRAINER_PYTHON},
    )
    with pytest.raises(JobFailedError, match="'of_a_fork' is a target and the model has no such module") as failure:
        job.fit(data_check=False, progress=False, on_warning=lambda sentence: None)
    assert failure.value.reason == "bad_config"
