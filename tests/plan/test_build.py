"""What plans of all backends share: how often a checkpoint is taken."""

from __future__ import annotations

import pytest

from ftsdk.engines.base import Layout
from ftsdk.facts import inspect
from ftsdk.plan import build
from ftsdk.sizing import spot
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
        ({"hyperparameters": {"save_steps": 9}, "checkpoint": "auto"}, {"mtbf_hours": build.OWN_MTBF_HOURS}),
    ],
)
def test_a_plan_has_one_cadence(spec_folder, fields, cadence):
    spec = parse({"model": "./model", "dataset": "train.jsonl", **fields}, where="t")
    facts = inspect(spec, folder=spec_folder)
    made = build.draft(spec, facts, digest="d" * 64, backend="local", layout=LAYOUT, nproc_per_node=1, grace_s=30.0)
    assert made.document["checkpoint"] == {**NOTHING, **cadence}
    assert made.document["after_save"] == "exit"
