"""Every wrong spec ends in one sentence that names the field."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftsdk.errors import FtsdkError, SpecError
from ftsdk.spec import JobSpec, Lora, QLora
from ftsdk.spec.loading import parse

GOOD = {"model": "Qwen/Qwen3-8B", "dataset": "train.jsonl"}


def test_short_forms_mean_the_long_ones():
    short = parse({**GOOD, "method": "dpo", "tuning": {"rank": 16}}, where="t")
    long = parse(
        {
            **GOOD,
            "method": {"stage": "dpo"},
            "tuning": {"type": "lora", "rank": 16},
            "dataset": {"train": ["train.jsonl"]},
        },
        where="t",
    )
    assert short == long
    assert short.tuning == Lora(rank=16)
    assert short.name == "qwen3-8b-dpo"


def test_objects_are_as_good_as_data():
    assert parse({**GOOD, "tuning": QLora(bits=8)}, where="t").tuning.bits == 8


def test_json_round_trip():
    spec = parse({**GOOD, "hyperparameters": {"learning_rate": 1e-4, "dataloader_num_workers": 2}}, where="t")
    assert JobSpec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"modle": "x"}, "did you mean 'model'"),
        ({"lerning_rate": 1}, "'learning_rate' under hyperparameters"),
        ({"tuning": {"rnk": 3}}, "did you mean 'rank'"),
        ({"tuning": "lorra"}, "did you mean 'lora'"),
        ({"method": "dop"}, "method.stage"),
        ({"hyperparameters": {"learning_rate": "fast"}}, "hyperparameters.learning_rate"),
        ({"hyperparameters": {"num_train_epochs": -1}}, "greater than 0"),
        ({"checkpoint": {"every_minutes": 1, "every_steps": 1}}, "not both"),
        ({"checkpoint": {"auto": True, "every_steps": 1}}, "not both"),
        ({"secrets": ["HF_TOKEN=hf_abc"]}, "never their values"),
        ({"dataset": []}, "dataset.train"),
        ({"model": ""}, "model"),
    ],
)
def test_a_mistake_is_named(change, says):
    with pytest.raises(SpecError) as caught:
        parse({**GOOD, **change}, where="job.yaml")
    assert says in str(caught.value)
    assert str(caught.value).startswith("job.yaml: ")
    assert "\n" not in str(caught.value)


def test_a_secret_value_is_not_repeated_in_the_message():
    with pytest.raises(SpecError) as caught:
        parse({**GOOD, "secrets": ["hf_abc-123"]}, where="t")
    assert "hf_abc" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
fields = st.sampled_from([*JobSpec.model_fields, "modle", "stage", ""])


@settings(max_examples=3000, deadline=None)
@given(st.dictionaries(fields, json_values, max_size=6))
def test_a_broken_spec_raises_only_ftsdk_errors(changes):
    try:
        parse({**GOOD, **changes}, where="job.yaml")
    except FtsdkError as problem:
        assert "\n" not in str(problem).replace("\\n", "")
        assert len(str(problem)) < 4000


@pytest.mark.parametrize("given", ["hf_value", {"HF_TOKEN": "hf_value"}])
def test_a_secret_written_into_the_spec_is_not_repeated(given):
    with pytest.raises(SpecError, match=r"secrets: write a list, such as \[HF_TOKEN\]") as problem:
        parse({"model": "x/y", "dataset": "d", "secrets": given}, where="t")
    assert "hf_value" not in str(problem.value)
