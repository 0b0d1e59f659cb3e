"""`program`: what a job does besides training."""

import pytest

from ftsdk import Estimator, JobSpec
from ftsdk.errors import SpecError
from ftsdk.spec import Merge, Train
from ftsdk.spec.loading import parse


def test_a_training_is_written_without_its_program():
    spec = JobSpec(model="a/b", dataset="rows.jsonl")
    assert spec.program == Train()
    assert "program" not in spec.model_dump(mode="json")


def test_a_program_has_a_short_form_and_its_own_label():
    spec = JobSpec(model="a/b", program="merge")
    assert (spec.program, spec.name) == (Merge(), "b-merge")


def test_a_merge_needs_no_dataset_and_survives_being_written():
    spec = JobSpec(model="a/b", program={"type": "merge", "dtype": "float16"})
    data = spec.model_dump(mode="json")
    assert "dataset" not in data
    assert JobSpec.model_validate(data) == spec
    assert Estimator(spec, name="other").spec.program == spec.program


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"dataset": []}, "f: dataset.train: name at least one."),
        ({"program": {"type": "merge", "dtyp": 1}}, "f: unknown key 'program.dtyp' (did you mean 'dtype'?)."),
        (
            {"program": {"type": "export", "quant": ["q4_k"]}},
            "f: program.quant.0: input should be 'f32', 'f16', 'bf16', 'q8_0', 'q6_k', 'q5_k_m', 'q5_k_s', 'q4_k_m', "
            "'q4_k_s', 'q3_k_m' or 'q2_k', not 'q4_k' (did you mean 'q4_k_s'?).",
        ),
        ({"program": {"type": "train"}}, "f: 'dataset' is missing."),
    ],
)
def test_mistakes_are_reported_in_one_sentence(fields, sentence):
    with pytest.raises(SpecError) as refused:
        parse({"model": "a/b", "program": "merge", **fields}, where="f")
    assert str(refused.value) == sentence
