"""Trainings that are interrupted at random moments end as the same ones without faults.

The seeds are fixed; what a moment hits depends on the machine all the same, which is the point.
"""

from __future__ import annotations

from random import Random

import pytest

from bench.resume import disks, judge
from bench.resume.campaign import run_baseline, run_with_faults
from bench.resume.long import outages, runs
from bench.resume.setups import BY_NAME, SETUPS
from ftsdk.backends.base import JobState
from ftsdk.testing import tiny
from ftsdk.testing.faults import damage, processes
from ftsdk.testing.faults.injection import start_again
from ftsdk.testing.faults.target import Target

pytestmark = pytest.mark.trainer
INTERRUPTIONS = 200


@pytest.fixture(autouse=True)
def with_trainer(monkeypatch):
    monkeypatch.setenv("FTSDK_LOCAL_PYTHON", tiny.TRAINER_PYTHON)


@pytest.mark.parametrize(
    ("name", "seed", "max_faults"),
    [
        pytest.param("local, LoRA, accumulation over 4, logs every 3", 11, 3, marks=pytest.mark.long),
        ("local, LoRA, 2 ranks, crashes restarted", 12, 2),
        pytest.param("local, LoRA, 2 ranks, hangs restarted", 14, 4, marks=pytest.mark.long),
        pytest.param("docker, LoRA with dropout", 13, 3, marks=[pytest.mark.docker, pytest.mark.long]),
    ],
)
def test_a_few_interruptions_give_the_same_model(name, seed, max_faults, tiny_folder):
    setup = BY_NAME[name]
    baseline = run_baseline(setup, tiny_folder, "baseline")
    run = run_with_faults(setup, tiny_folder, "faults", baseline, seed=seed, max_faults=max_faults)
    assert not run.violations
    assert run.faults


@pytest.mark.long
@pytest.mark.docker
def test_two_hundred_interruptions_give_the_same_models(tiny_folder):
    done = list(runs(tiny_folder, interruptions=INTERRUPTIONS, seed=1, setups=SETUPS))
    assert not [violation for one in done for violation in one.violations]
    assert sum(fault.is_interruption for one in done for fault in one.faults) >= INTERRUPTIONS


@pytest.mark.long
@pytest.mark.docker
@pytest.mark.skipif(not disks.can_be_made(), reason="engine missing: root, to mount a disk that can be frozen")
def test_a_store_that_is_away_for_two_minutes_has_no_effect(tiny_folder):
    done = list(outages(tiny_folder))
    assert len(done) == 2
    assert not [violation for one in done for violation in one.violations]


@pytest.mark.long
def test_the_model_is_the_same_after_every_kind_of_damage(tiny_folder):
    """Every way, one after the other, to one training."""
    setup = BY_NAME["local, LoRA with dropout"]
    baseline = run_baseline(setup, tiny_folder, "baseline")
    job = setup.estimator(tiny_folder, "damaged").fit(wait=False)
    target = Target(job=job, backend="local", chance=Random(1), lasting_s=0.0)
    met = []
    for way in damage.WAYS:
        if not _trains_on(job):
            break
        processes.kill(target)
        target.wait_until_ended()
        folder = damage.newest(target.durable)
        if folder is not None:
            damage.damage(folder, way, target.chance)
            met.append(way)
        start_again(job)
    assert job.wait(300).state is JobState.SUCCEEDED
    assert not list(judge.differences(baseline, job))
    assert set(met) == set(damage.WAYS)


def _trains_on(job):
    """Wait for one more checkpoint, of whatever step; False if the job ends first."""
    before = sum(event["event"] == "commit" for event in job.events())
    commits = (event for event in job.events(follow=True) if event["event"] == "commit")
    return any(number > before for number, _ in enumerate(commits, 1))
