"""Every recipe is planned wherever it can run, fits the accelerator it names, and can be found."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ftsdk.backends import get
from ftsdk.cli import cli
from ftsdk.engines.llamafactory.arguments import known_arguments
from ftsdk.errors import SpecError
from ftsdk.facts import MachineFacts, inspect
from ftsdk.recipes import catalogue, specfile

NAMES = [recipe.name for recipe in catalogue.each()]
ROWS = {
    "train.jsonl": {"instruction": "Name a colour.", "input": "", "output": "Blue."},
    "preferences.jsonl": {"prompt": "Name a colour.", "chosen": "Blue.", "rejected": "Seven."},
    "labels.jsonl": {"prompt": "Name a colour.", "completion": "Blue.", "label": True},
    "corpus.jsonl": {"text": "Blue is a colour."},
    "prompts.jsonl": {"prompt": "What is one and one?", "answer": "2"},
}
BACKENDS = ("local", "docker")
CLOUDS = {
    "sagemaker": ({"role": "arn:aws:iam::123456789012:role/ftsdk", "region": "us-west-2"}, None),
    "skypilot": ({"storage": "s3://bucket/ftsdk", "infra": "aws", "image": "ours/ftsdk:1"}, None),
    "pai": (
        {
            "workspace_id": "46099",
            "region": "cn-hangzhou",
            "bucket": "ours",
            "image": "ours/ftsdk:1",
            "role": "acs:ram::1234567890123456:role/ftsdk",
        },
        "A100-80GB",
    ),
}
"""Options, and an accelerator instead of the named one where the cloud has others."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, row in ROWS.items():
        (folder / name).write_text((json.dumps(row) + "\n") * 120)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_planned_and_fits_what_it_names(name, data):
    spec = specfile.load(name).spec
    card, number = spec.resources.accelerator, spec.resources.accelerators_per_node
    seen = inspect(spec, folder=data)
    machine = MachineFacts(platform="linux", python="3.11.7", accelerators=(card or "NVIDIA L4",) * number)
    facts = replace(seen, machine=machine)
    for backend in BACKENDS:
        plan = get(backend, {}).plan(spec, facts)
        assert (
            set(plan.trainer_config) - set(known_arguments()) - {"peft"} == set()
            or plan.document["trainer"] != "llamafactory"
        )
        assert plan.estimate.fits == "yes", plan.estimate
        assert [said for said in plan.warnings if "outside" in said or "is much for" in said] == []


@pytest.mark.parametrize("cloud", CLOUDS)
def test_every_recipe_is_planned_on_every_cloud(cloud, data):
    options, card = CLOUDS[cloud]
    place = get(cloud, options)
    for name in NAMES:
        spec = specfile.load(name).spec
        resources = spec.resources.model_copy(update={"accelerator": card or spec.resources.accelerator or "A10G"})
        spec = spec.model_copy(update={"resources": resources})
        plan = place.plan(spec, inspect(spec, folder=data))
        assert plan.uri.startswith(f"{cloud}://")
        assert plan.estimate.fits in ("yes", "tight"), (name, plan.estimate)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_s_first_line_says_what_it_is(name):
    text = catalogue.path_of(name).read_text("utf-8")
    spec = specfile.load(name).spec
    assert text.startswith("# ")
    assert ("gated" in text) == ("HF_TOKEN" in spec.secrets)
    if spec.resources.accelerator:
        assert spec.resources.accelerator in text.partition("\n")[0]
    assert all(len(line) <= 120 for line in text.splitlines())


def test_recipes_cover_common_models_sizes_methods_and_tunings():
    found = list(catalogue.described())
    for family in ("qwen2.5", "qwen3", "llama-3", "gemma", "mistral", "phi", "glm", "deepseek", "minicpm", "-vl-"):
        assert [one for one in found if family in one.name], family
    assert {one.method for one in found} >= {"sft", "dpo", "kto", "pt"}
    assert {one.tuning for one in found} >= {"lora", "qlora", "full"}
    sizes = [one.size_b for one in found if one.size_b]
    assert (min(sizes), max(sizes)) == (0.5, 72)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (catalogue.Filter(model="Qwen3-8B", method="kto"), {"qwen3-8b-kto"}),
        (catalogue.Filter(model="llama", tuning="qlora", size_b=(60, 80)), {"llama-3.3-70b-instruct-sft-qlora"}),
        (catalogue.Filter(model="no such model"), set()),
    ],
)
def test_recipes_are_filtered(wanted, expected):
    assert {one.name for one in catalogue.described(wanted)} == expected


def test_sizes_are_limits():
    assert {one.size_b for one in catalogue.described(catalogue.Filter(size_b=(1, 2)))} <= {1.0, 1.5, 1.7, 2.0}


@pytest.mark.parametrize("wrong", [["--method", "dop"], ["--tuning", "loar"], ["--size", "big"]])
def test_an_invalid_filter_is_reported(wrong):
    with pytest.raises(SpecError, match=wrong[0]):
        cli.main(["recipes", *wrong], standalone_mode=False)


def test_init_writes_one_out_to_edit(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.main(["init", "qwen3-8b-kto", "-o", "mine.yaml"], standalone_mode=False)
    assert specfile.load("mine.yaml").spec == specfile.load("qwen3-8b-kto").spec
