"""One spec over all backends: every figure from the tables, every gap named."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ftsdk.backends.docker import Docker
from ftsdk.backends.local import Local
from ftsdk.backends.offers import compare
from ftsdk.backends.skypilot import SkyPilot
from ftsdk.backends.skypilot.options import SkyPilotOptions
from ftsdk.data.cache import Lengths
from ftsdk.sizing.catalogue import instances_of
from ftsdk.sizing.price.market import Market
from ftsdk.sizing.price.prices import packaged_prices
from tests.cli.test_cli import ftsdk
from tests.golden import plans

SPEC = plans.spec(model="Qwen/Qwen3-8B", hyperparameters={"num_train_epochs": 3})
LENGTHS = Lengths(
    num_rows=10_000, mean_tokens=500.0, max_tokens=2000, how_counted="t", rows_cut=0, suggested_cutoff_len=2048,
    padding_waste=0.0, packing_waste=0.0,
)  # fmt: skip


class Renting(Local):
    """A backend that rents the machines of a provider."""

    def __init__(self, provider: str) -> None:
        super().__init__()
        self.provider = provider

    def market(self, spec, facts):
        return Market(machines=instances_of(self.provider), region=None, prices=packaged_prices())


def facts(*gpus: str):
    return replace(plans.facts(gpus=gpus, local_model=False), lengths=LENGTHS)


def test_each_place_shows_its_cheapest_fastest_and_best_value():
    choices = compare(SPEC, facts(), {"sagemaker": Renting("sagemaker"), "pai": Renting("alibaba")})
    by_word = {word: c for c in choices if c.backend == "sagemaker" for word in c.word.split(", ")}
    assert set(by_word) == {"cheapest", "fastest", "best value"}
    assert by_word["cheapest"].offer.cost_usd <= by_word["best value"].offer.cost_usd
    assert by_word["fastest"].offer.hours <= by_word["cheapest"].offer.hours
    unpriced = [c for c in choices if c.backend == "pai"]
    assert [c.word for c in unpriced] == ["fastest"]
    assert unpriced[0].offer.cost_usd is None


def test_skypilot_offers_what_its_own_catalogue_has(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".sky" / "catalogs" / "v8"
    header = "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,SpotPrice\n"
    rows = {"aws": "p5.4xlarge,H100,1,16,256,6.88,us-east-1,2.1\n", "gcp": "a3-high,H100,8,208,1872,88.0,x,\n"}
    for cloud, row in rows.items():
        (folder / cloud).mkdir(parents=True)
        (folder / cloud / "vms.csv").write_text(header + row)
    every = compare(SPEC, facts(), {"skypilot": SkyPilot()})
    assert {c.offer.provider for c in every} == {"aws", "gcp"}
    one = compare(SPEC, facts(), {"skypilot": SkyPilot(SkyPilotOptions(infra="gcp/us-central1"))})
    assert {c.offer.provider for c in one} == {"gcp"}
    (none,) = compare(SPEC, facts(), {"skypilot": SkyPilot(SkyPilotOptions(infra="slurm/ours"))})
    assert "no machine of slurm" in none.why_not


def test_an_offer_of_this_machine_has_no_price():
    choices = compare(SPEC, facts("NVIDIA A100-SXM4-80GB"), {"docker": Docker()})
    assert [c.word for c in choices] == ["fastest"]
    assert choices[0].offer.card == "A100-80GB"
    assert choices[0].offer.usd_per_hour is None


@pytest.mark.parametrize(
    ("spec", "gpus", "says"),
    [
        (SPEC, (), "no NVIDIA GPU"),
        (plans.spec(model="Qwen/Qwen3-8B", resources={"num_nodes": 2}), (), "cannot do resources.num_nodes"),
        (plans.spec(model="Qwen/Qwen2.5-72B", tuning="full"), ("Tesla T4",), "fits on none"),
        (plans.spec(model="nobody/unknown"), (), "size is unknown"),
    ],
)
def test_a_backend_without_an_offer_says_why(spec, gpus, says):
    known = facts(*gpus)
    if spec.model == "nobody/unknown":
        known = replace(known, model=replace(known.model, config=None))
    (choice,) = compare(spec, known, {"local": Local()})
    assert says in choice.why_not


def test_the_command_prints_one_table_and_the_same_as_json(spec_folder):
    job = spec_folder / "job.yaml"
    job.write_text("model: Qwen/Qwen3-8B\ndataset: train.jsonl\n")
    shown = ftsdk("plan", str(job), "--compare")
    assert shown.returncode == 0
    assert shown.stdout.split()[:2] == ["BACKEND", "PICK"]
    data = json.loads(ftsdk("plan", str(job), "--compare", "--json").stdout)
    assert {"docker", "local"} <= {line["backend"] for line in data}


def test_own_prices_count_before_the_packaged_ones(own_home):
    table = "provider,instance,region,usd_per_hour,date,source\nsagemaker,ml.p5.4xlarge,x-1,1.25,2026-11-01,contract\n"
    (own_home / "prices.csv").write_text(table)
    listed = json.loads(ftsdk("prices", "list", "--provider", "sagemaker", "--json").stdout)
    assert [row["source"] for row in listed if row["machine"] == "ml.p5.4xlarge"] == ["contract"]
    (own_home / "prices.csv").write_text("provider,instance\nsagemaker,x\n")
    broken = ftsdk("prices", "list")
    assert broken.returncode != 0
    assert "usd_per_hour" in broken.stderr


def test_the_options_of_the_command_count_in_the_comparison(spec_folder, monkeypatch):
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    job = spec_folder / "job.yaml"
    job.write_text("model: Qwen/Qwen3-8B\ndataset: train.jsonl\n")
    command = ("plan", str(job), "--compare", "-b", "sagemaker")
    here, there = ftsdk(*command), ftsdk(*command, "-o", "region=eu-central-1")
    assert "sagemaker: prices of us-west-2, " in here.stdout
    assert "us-west-2" not in there.stdout
    assert "sagemaker: no price of ml." in there.stdout
