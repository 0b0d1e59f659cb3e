"""What plans of all backends share: the checkpoint cadence, and their JSON form."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ftsdk.backends.local import Local
from ftsdk.engines.base import Layout
from ftsdk.facts import inspect
from ftsdk.plan import Plan, build
from ftsdk.sizing import Estimate, estimate_job, spot
from ftsdk.spec import JobSpec
from ftsdk.spec.loading import parse

LAYOUT = Layout(durable="/d", scratch="/s", inputs={})
NOTHING = {"every_minutes": None, "every_steps": None, "mtbf_hours": None, "keep": 2}


@pytest.mark.parametrize(
    ("fields", "cadence"),
    [
        ({}, {"mtbf_hours": build.OWN_MTBF_HOURS}),
        ({"checkpoint": "auto"}, {"mtbf_hours": build.OWN_MTBF_HOURS}),
        ({"resources": {"spot": True}}, {"mtbf_hours": spot.MTBF_HOURS}),
        ({"checkpoint": {"every_minutes": 5, "keep": 3}}, {"every_minutes": 5.0, "keep": 3}),
        ({"checkpoint": {"every_steps": 7}}, {"every_steps": 7}),
        ({"hyperparameters": {"save_steps": 9}}, {"every_steps": 9}),
        ({"hyperparameters": {"save_steps": 0.2}}, {"every_steps": 0.2}),
    ],
)
def test_a_plan_has_one_cadence(spec_folder, fields, cadence):
    spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
    facts = inspect(spec, folder=spec_folder)
    made = build.draft(spec, facts, digest="d" * 64, backend="local", layout=LAYOUT, nproc_per_node=1, grace_s=30.0)
    assert made.document["checkpoint"] == {**NOTHING, **cadence}
    assert made.document["after_save"] == "exit"


@pytest.mark.parametrize("estimate", [{}, {"unknown": ["the accelerator"]}])
def test_a_plan_of_an_earlier_version_is_read(planned, estimate):
    data = {**json.loads(json.dumps(planned.to_json())), "estimate": estimate}
    del data["copies"], data["storage"]
    read = Plan.from_json(data)
    assert read.estimate == Estimate(unknown=tuple(estimate.get("unknown", ())))
    assert Plan.from_json(json.loads(json.dumps(read.to_json()))) == read


def test_an_estimate_comes_back_whole(planned):
    sized = replace(
        planned, estimate=estimate_job(JobSpec(name="a", model="Qwen/Qwen3-8B", dataset="x.jsonl"), card="A100-80GB")
    )
    assert sized.estimate.memory is not None
    assert Plan.from_json(json.loads(json.dumps(sized.to_json()))) == sized


@pytest.fixture
def planned(spec_folder):
    spec = parse({"model": "./model", "dataset": "train.jsonl"}, where="t")
    return Local().plan(spec, inspect(spec, folder=spec_folder))
