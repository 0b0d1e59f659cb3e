"""Inputs of SageMaker jobs beside model and data: every local file in the trainer's configuration has a channel."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import PurePosixPath

from ftsdk.backends.sagemaker import SageMaker, SageMakerOptions
from ftsdk.facts import Attached, ModelFacts
from ftsdk.storage.fingerprints import Fingerprint
from tests.golden import plans

ROLE = "arn:aws:iam::123456789012:role/ftsdk"


def planned(facts, **fields):
    place = SageMaker(SageMakerOptions(role=ROLE, region="us-west-2"))
    return place.plan(plans.spec(resources={"accelerator": "A10G"}, **fields), facts)


def uploaded(plan, name):
    return [upload for upload in plan.uploads if PurePosixPath(upload.target).name == name]


def test_a_reward_function_and_a_reward_model_are_inputs():
    file = Fingerprint(f"{plans.WORK}/reward.py", 500, "1" * 64)
    weights = Fingerprint(f"{plans.WORK}/judge/model.safetensors", 900, "2" * 64)
    judge = ModelFacts(
        address=f"{plans.WORK}/judge", kind="path", base=f"{plans.WORK}/judge", files=(weights,), config=None
    )
    facts = replace(plans.facts(), reward_files={"reward.py": file}, reward_model=judge)
    method = {"stage": "ppo", "rewards": ["reward.py:score"], "reward_model": "judge"}
    plan = planned(replace(facts, eval=()), method=method, dataset="train.jsonl")
    assert len(uploaded(plan, "reward.py")) == 1
    assert len(uploaded(plan, "model.safetensors")) == 2
    config = json.dumps(plan.trainer_config)
    assert plans.WORK not in config
    assert "/opt/ml/input/data/more/rewards/0/reward.py" in config
    assert "/opt/ml/input/data/more/reward-model" in config


def test_folders_named_in_arguments_become_inputs():
    picture = Fingerprint(f"{plans.WORK}/ref/config.json", 10, "3" * 64)
    named = Attached(path=f"{plans.WORK}/ref", files=(picture,), argument="ref_model")
    plan = planned(replace(plans.facts(), arguments=(named,)), hyperparameters={"ref_model": "ref"}, method="dpo")
    assert [u.source for u in uploaded(plan, "config.json")].count(picture.path) == 1
    assert plan.trainer_config["ref_model"] == "/opt/ml/input/data/more/beside/0/ref"
