"""Estimator: a training that cannot fit is refused before anything starts."""

from dataclasses import replace

import pytest

from ftsdk import Estimator
from ftsdk.errors import AuthError, DataError, SpecError, UnsupportedError
from ftsdk.jobs.checks import refuse_what_cannot_fit
from ftsdk.jobs.starting import read_secrets
from ftsdk.sizing import estimate_job
from ftsdk.spec.loading import parse


def planned(spec_folder, **fields):
    return Estimator(model="./model", dataset="train.jsonl", folder=spec_folder, **fields).plan()


def sized(spec_folder, tuning, card):
    spec = parse(
        {"model": "Qwen/Qwen3-8B", "dataset": "d", "tuning": tuning, "resources": {"accelerator": card}}, where="t"
    )
    return replace(planned(spec_folder), estimate=estimate_job(spec))


def test_a_job_that_cannot_fit_is_refused_with_advice(spec_folder):
    with pytest.raises(UnsupportedError) as caught:
        refuse_what_cannot_fit(sized(spec_folder, "full", "L4"))
    assert "L4 has 22.4" in str(caught.value)
    assert "tuning: lora" in str(caught.value)


def test_a_job_that_fits_or_is_unknown_is_not_refused(spec_folder):
    refuse_what_cannot_fit(sized(spec_folder, "lora", "A100-80GB"))
    refuse_what_cannot_fit(planned(spec_folder))


def test_a_missing_secret_is_named_and_nothing_starts(spec_folder, own_home, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(AuthError, match="HF_TOKEN"):
        Estimator(model="org/private", dataset="train.jsonl", folder=spec_folder, secrets=["HF_TOKEN"]).fit(
            size_check=False
        )
    assert not (own_home / "jobs").exists()


def test_secrets_come_from_the_environment_and_stay_out_of_the_plan(spec_folder, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_very_secret")
    plan = planned(spec_folder, secrets=["HF_TOKEN"])
    assert read_secrets(plan) == {"HF_TOKEN": "hf_very_secret"}
    assert "hf_very_secret" not in repr(plan)


def test_a_wrong_field_is_reported_in_one_sentence():
    with pytest.raises(SpecError, match="did you mean 'dataset'"):
        Estimator(model="a/b", dataset="x", datset="y")


def test_data_with_errors_is_refused_before_anything_starts(spec_folder, own_home):
    with (spec_folder / "train.jsonl").open("a") as file:
        file.write('{"instruction": "What is left?", "input": ""}\n')
    estimator = Estimator(model="./model", dataset="train.jsonl", folder=spec_folder)
    with pytest.raises(DataError, match=r"train\.jsonl, line 6.*--no-data-check"):
        estimator.fit()
    assert not (own_home / "jobs").exists()


def test_lengths_of_the_data_make_the_time_known(spec_folder):
    estimator = Estimator(model="Qwen/Qwen3-8B", dataset="train.jsonl", folder=spec_folder)
    assert estimator.inspect().lengths.num_rows == 5
    assert estimator.plan().estimate.tokens.rows == 5
