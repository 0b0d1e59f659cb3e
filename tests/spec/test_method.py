"""The method and its rewards: short forms, and fields that belong to other methods."""

import pytest

from ftsdk.errors import SpecError
from ftsdk.spec import JobSpec, Method
from ftsdk.spec.loading import parse
from ftsdk.spec.method import FIELD_STAGES, STAGES
from ftsdk.spec.rewards import Format, MathAnswer, OwnFunction

GOOD = {"model": "a/b", "dataset": "x.jsonl"}


def method(**fields):
    return parse({**GOOD, "method": fields}, where="t").method


def test_short_forms_of_rewards_mean_the_long_ones():
    made = method(stage="grpo", rewards=["math_answer", {"name": "format", "weight": 0.2}, "r.py:score"])
    assert made.rewards == (MathAnswer(), Format(weight=0.2), OwnFunction(function="r.py:score"))
    assert method(stage="grpo", rewards="json") == method(stage="grpo", rewards=["json"])


def test_rewards_survive_json_and_objects():
    spec = parse({**GOOD, "method": {"stage": "grpo", "rewards": ["json", "r.py:score"]}}, where="t")
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec
    assert parse({**GOOD, "method": spec.method}, where="t") == spec


@pytest.mark.parametrize(
    ("rewards", "says"),
    [
        (["mathanswer"], "did you mean 'math_answer'"),
        ([{"name": "regex"}], "'method.rewards.0.pattern' is missing"),
        ([{"name": "regex", "pattern": "("}], "no regular expression"),
        ([{"name": "length", "max_tokens": 10, "soft_tokens": 20}], "soft_tokens"),
        (["score.py"], "FILE.py:FUNCTION"),
    ],
)
def test_a_wrong_reward_is_named(rewards, says):
    with pytest.raises(SpecError) as caught:
        method(stage="grpo", rewards=rewards)
    assert says in str(caught.value)


@pytest.mark.parametrize(("stage", "field"), [("dpo", "num_generations"), ("sft", "rewards"), ("grpo", "gamma")])
def test_a_field_of_another_method_is_refused(stage, field):
    value = {"num_generations": 4, "rewards": ["json"], "gamma": 0.5}[field]
    with pytest.raises(SpecError, match=f"{field} means nothing to {stage}"):
        method(stage=stage, **{field: value})


def test_beta_zero_is_allowed_for_reinforcement_only():
    assert Method(stage="grpo", beta=0.0).beta == 0
    with pytest.raises(SpecError, match="beta must be more than 0"):
        method(stage="dpo", beta=0.0)


def test_the_table_of_fields_names_fields_and_methods():
    assert set(FIELD_STAGES) == set(Method.model_fields) - {"stage"}
    assert {stage for stages in FIELD_STAGES.values() for stage in stages} <= set(STAGES)
