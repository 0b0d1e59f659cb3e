"""A job goes on at another place, from its checkpoint."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.local import Local, LocalOptions
from ftsdk.errors import BackendError, SpecError
from ftsdk.facts import inspect
from ftsdk.jobs import moving
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import in_durable_folder
from ftsdk.testing.recovery import ONE_STEP
from tests.conformance.shell_backend import Shell, ShellOptions
from tests.conformance.test_shell_backend import installed  # noqa: F401 - a backend beside the local one

STEP_BY_STEP = f"""
asked = []
import signal
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
{ONE_STEP}
while step == 1 and not asked: time.sleep(0.02)
if asked: sys.exit({contract.EXIT_INTERRUPTED})
"""
"""Saves step 1, waits to be stopped, and trains step 2 elsewhere."""


@pytest.fixture
def plans(spec_folder):
    """The same training on the local backend and on another one, with a few lines in the trainer's place."""
    spec = parse({"model": "model", "dataset": "train.jsonl", "max_steps": 3}, where="test")
    backends = Local(LocalOptions(grace_s=20.0)), Shell(ShellOptions(grace_s=20.0))
    facts = inspect(spec, folder=spec_folder)
    return [(backend, in_durable_folder(backend.plan(spec, facts), STEP_BY_STEP)) for backend in backends]


def begin(backend, plan):
    job = submit(plan, backend, secrets={}, on_attach=lambda info: None)
    for event in job.events(follow=True):
        if event["event"] == contract.EVENT_COMMIT:
            return job
    raise AssertionError("no checkpoint")


def test_a_running_job_is_moved_to_another_backend(plans):
    (local, here), (shell, there) = plans
    job = begin(local, here)
    spec, _ = moving.spec_of(job)
    assert spec.model_dump(mode="json") == here.spec
    stopped = []
    moved = moving.move(job, there, shell, secrets={}, on_stop=lambda: stopped.append(job.uri))
    assert moved.uri == there.uri and stopped == [job.uri]
    assert job.state is JobState.CANCELLED
    assert moved.wait(120).state is JobState.SUCCEEDED
    assert [record["step"] for record in moved.metrics()] == [2]
    assert any(line.text == f"ftsdk: Moved from {job.uri}: the training goes on from step 1." for line in moved.logs())
    with pytest.raises(SpecError, match="has succeeded"):
        moving.spec_of(moved)


def test_a_refused_move_leaves_the_job_running(plans):
    (local, here), (shell, there) = plans
    job = begin(local, here)
    with pytest.raises(SpecError, match="has changed since it was submitted"):
        moving.move(job, replace(there, digest="0" * 64), shell, secrets={})
    with pytest.raises(SpecError, match="is there already"):
        moving.move(job, here, local, secrets={})
    other = begin(shell, there)
    with pytest.raises(BackendError, match="exists already"):
        moving.move(job, there, shell, secrets={})
    assert not job.done() and not other.done()
    for each in (job, other):
        each.cancel()
        each.wait(60)
