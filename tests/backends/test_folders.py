"""Jobs in folders of this machine: whose they are."""

from dataclasses import replace

import pytest

from ftsdk import Estimator, Job
from ftsdk.backends import folders
from ftsdk.backends.docker import Docker
from ftsdk.errors import BackendError, SpecError
from ftsdk.facts import inspect
from ftsdk.jobs import journal
from tests.python_jobs import plan


def planned_on_both(folder, **fields):
    estimator = Estimator(model="./model", dataset="train.jsonl", folder=folder, **fields)
    other = Docker().plan(estimator.spec, inspect(estimator.spec, folder=folder))
    return replace(plan(folder, "pass", **fields), name=other.name), other


def test_one_training_on_two_backends_is_two_jobs(spec_folder):
    for made in planned_on_both(spec_folder):
        folders.create(made)
        assert folders.find(made.backend, made.name).plan == made


def test_a_name_that_two_jobs_have_is_refused_with_their_uris(spec_folder):
    for made in planned_on_both(spec_folder):
        journal.intend(made)
    with pytest.raises(SpecError, match=r"2 jobs; give a URI: \w+://\S+, \w+://"):
        Job.attach(made.name)


def test_a_folder_with_another_backends_job_is_refused_untouched(spec_folder):
    first, second = planned_on_both(spec_folder, output="runs")
    folders.create(first)
    with pytest.raises(BackendError, match=r"output: .* run by the local backend: set `output` to another place"):
        folders.create(second)
    assert folders.find("local", first.name).plan == first
