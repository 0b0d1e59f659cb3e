"""Faults in running jobs whose trainer is a few lines of Python: what is done, what is refused, what follows."""

from __future__ import annotations

import json
import subprocess
import sys
from random import Random

import pytest
from click.testing import CliRunner

from ftsdk import contract
from ftsdk.backends.base import JobState
from ftsdk.backends.local import Local, LocalOptions
from ftsdk.cli import cli
from ftsdk.cli.chaos import KINDS as OFFERED
from ftsdk.errors import FtsdkError, SpecError, UnsupportedError
from ftsdk.facts import inspect
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from ftsdk.spec.loading import parse
from ftsdk.testing.faults import KINDS, inject, inject_repeatedly
from ftsdk.testing.faults.outages import refuse_shared_disk
from ftsdk.testing.faults.target import NoTargetError
from ftsdk.testing.programs import in_durable_folder, new_label

STEPS = 60
COUNTS = f"""
import json, os, pathlib, signal, time
send = lambda event: open(os.environ["FTSDK_EVENTS"], "w").write(json.dumps(event) + "\\n")
job = json.loads(pathlib.Path(os.environ["FTSDK_TRAIN"]).read_text())
output = pathlib.Path(job["output"])
wishes = []
signal.signal(signal.SIGTERM, lambda *_: wishes.append(True))

def say(event, **fields):
    send({{"event": event, **fields}})

first = int(job["resume"].rpartition("-")[2]) if job["resume"] else 0
for step in range(first + 1, {STEPS} + 1):
    time.sleep(0.05)
    say("metrics", step=step, total_steps={STEPS}, loss=1 / step)
    if step % 10 == 0 or wishes:
        folder = output / f"checkpoint-{{step}}"
        folder.mkdir()
        (folder / "optimizer.pt").write_text("state" * step)
        say("checkpoint", step=step, path=str(folder))
    if wishes:
        raise SystemExit(75)
(output / "weights.bin").write_text("all of it")
"""


@pytest.fixture
def started(spec_folder):
    """A job that counts to its end and can go on from where it was."""
    fields = {"name": new_label(), "model": "model", "dataset": "train.jsonl"}
    spec = parse(fields, where="test")
    backend = Local(LocalOptions())
    plan = in_durable_folder(backend.plan(spec, inspect(spec, folder=spec_folder)), COUNTS)
    job = submit(plan, backend, secrets={}, on_attach=lambda info: None)
    yield job
    job.cancel()
    job.wait(60)


def steps(job):
    return [point["step"] for point in job.metrics()]


def until_step(job, wanted):
    for event in job.events(follow=True):
        if event["event"] == contract.EVENT_METRICS and event["step"] >= wanted:
            return


def test_a_job_survives_several_faults(started):
    until_step(started, 1)  # a supervisor that has no handler yet dies of SIGTERM without a word
    done = list(inject_repeatedly(started, ["term", "kill"], seed=3, times=3, within_s=1.0))
    assert [one.attempt for one in done] == [1, 2, 3]
    assert {one.kind for one in done} <= {"term", "kill"}
    assert (done[0].kind, done[0].reason) in {("term", "preempted"), ("kill", "killed")}
    assert {one.state for one in done} == {"FAILED"}
    assert started.result(60).files["weights.bin"] == 9
    assert steps(started) == list(range(1, STEPS + 1))


def test_a_job_can_be_left_as_it_is(started):
    (done,) = inject_repeatedly(started, ["term"], seed=1, times=1, within_s=0.5, go_on=False)
    assert done.state == "FAILED"
    assert started.info().attempt == 1
    assert started.state is JobState.FAILED


def test_the_fault_damages_the_newest_checkpoint_of_a_killed_job(started):
    with pytest.raises(NoTargetError, match="no checkpoint"):
        inject(started, "damage", Random(1))
    until_step(started, 25)
    done = inject(started, "damage", Random(1))
    assert "then damaged checkpoint-000020" in done.what
    assert (done.state, done.reason) == ("FAILED", "killed")


def test_kill_worker_needs_a_trainer_with_registered_workers(started):
    with pytest.raises(NoTargetError, match="No trainer process"):
        inject(started, "kill-worker", Random(1))


def test_a_stopped_worker_is_detected_as_a_hang(spec_folder):
    registers = 'pathlib.Path(job["run"], "worker-0.pid").write_text(str(os.getpid()))'
    fields = {"name": new_label(), "model": "model", "dataset": "train.jsonl", "hang_minutes": 0.03}
    backend = Local(LocalOptions())
    plan = backend.plan(parse(fields, where="test"), inspect(parse(fields, where="test"), folder=spec_folder))
    plan = in_durable_folder(plan, COUNTS.replace("wishes = []", f"{registers}\nwishes = []"))
    job = submit(plan, backend, secrets={}, on_attach=lambda info: None)
    until_step(job, 1)
    done = inject(job, "stop-worker", Random(1))
    assert done.what == "SIGSTOP to trainer process 0"
    assert (done.state, done.reason) == ("FAILED", "hang")


def test_unsafe_and_impossible_faults_are_refused(started, tmp_path):
    with pytest.raises(UnsupportedError, match="of docker only"):
        inject(started, "network", Random(1))
    with pytest.raises(UnsupportedError, match="disk that others use"):
        inject(started, "fill-disk", Random(1))
    with pytest.raises(UnsupportedError, match="disk that others use"):
        refuse_shared_disk(tmp_path, free=1)
    with pytest.raises(SpecError, match="did you mean 'kill'"):
        inject(started, "kil", Random(1))
    with pytest.raises(UnsupportedError, match="this machine only"):
        inject(Job("sagemaker://us-west-2/some-job", Local()), "term", Random(1))


def test_a_job_that_has_ended_has_no_target(started):
    started.cancel()
    started.wait(60)
    with pytest.raises(NoTargetError, match="nothing to inject"):
        inject(started, "term", Random(1))
    with pytest.raises(FtsdkError, match="submit it"):
        list(inject_repeatedly(started, [], seed=1, times=1, within_s=0))


def test_the_command_says_what_it_did_and_with_which_seed(started):
    argv = ["chaos", started.uri, "--kind", "term", "--within", "0.5", "--json"]
    ended = subprocess.run(
        [sys.executable, "-c", "from ftsdk.cli import main; main()", *argv], capture_output=True, text=True, check=True
    )
    said = json.loads(ended.stdout)
    assert said["uri"] == started.uri
    assert isinstance(said["seed"], int)
    (done,) = said["faults"]
    assert (done["kind"], done["what"], done["state"]) == ("term", "SIGTERM to the supervisor", "FAILED")
    assert "SIGTERM to the supervisor; attempt 1 at step" in ended.stderr
    assert started.info().attempt == 2


def test_the_help_names_every_kind():
    text = CliRunner().invoke(cli, ["chaos", "--help"]).output
    assert set(OFFERED) == set(KINDS)
    for name in KINDS:
        assert f"  {name} " in text
