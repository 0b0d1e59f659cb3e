"""Watchers: any number of them starts each attempt once, and the log has no gaps or duplicates."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from ftsdk import contract
from ftsdk.backends.base import Capabilities, JobState
from ftsdk.backends.local import Local, LocalOptions
from ftsdk.errors import JobFailedError, WaitTimeoutError
from ftsdk.jobs import watching
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from tests.python_jobs import PREEMPTED_EACH_STEP, claims, plan, started

WATCH = [sys.executable, "-c", "from ftsdk.cli import main; main()", "watch", "--every-s", "0.05", "--json"]
PATIENCE_S = 120


def test_a_preempted_job_is_started_again_until_it_is_done(spec_folder):
    job = started(spec_folder, PREEMPTED_EACH_STEP.replace("TOTAL", "4"), name="again")
    heard = []
    info = watching.wait(
        job, PATIENCE_S, on_decision=lambda decision, info: heard.append((info.attempt, decision.action))
    )
    assert (info.state, info.attempt) == ("SUCCEEDED", 4)
    assert [pair for pair in heard if pair[1] == "start"] == [(1, "start"), (2, "start"), (3, "start")]
    assert [claim["retry"] for claim in claims(job)] == [0, 1, 2, 3]
    assert [claim["before"].get("reason") for claim in claims(job)] == [None, "preempted", "preempted", "preempted"]
    assert list(job.model().files) == [contract.LINEAGE_FILE]


def test_two_concurrent_watchers_start_every_attempt_once(spec_folder):
    steps = 15
    job = started(spec_folder, f"TOTAL = {steps}\n" + PREEMPTED_EACH_STEP, name="race")
    watchers = [subprocess.Popen([*WATCH, job.uri], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [
        [json.loads(line) for line in watcher.communicate(timeout=PATIENCE_S)[0].splitlines()] for watcher in watchers
    ]
    assert job.info().state == "SUCCEEDED"
    assert job.info().attempt == steps
    starts = sorted(line["attempt"] for lines in said for line in lines if line["action"] == "start")
    assert starts == list(range(1, steps))
    assert [claim["retry"] for claim in claims(job)] == list(range(steps))
    assert [record["step"] for record in job.metrics()] == list(range(1, steps + 1))


def test_lines_go_on_over_attempts_without_gap_or_double(spec_folder):
    source = "for number in range(50): print(f'line {start} {number}', flush=True)\n" + PREEMPTED_EACH_STEP
    job = started(spec_folder, source.replace("TOTAL", "4"), name="lines")
    followed = list(watching.follow(job))
    assert [line.text for line in followed] == [line.text for line in job.logs()]
    own = [line.text for line in followed if line.text.startswith("line ")]
    assert own == [f"line {start} {number}" for start in range(4) for number in range(50)]
    assert len({line.cursor for line in followed}) == len(followed)


def test_a_watcher_that_is_killed_and_started_again_goes_on(spec_folder):
    job = started(spec_folder, PREEMPTED_EACH_STEP.replace("TOTAL", "8"), name="resident")
    while job.info().state != "SUCCEEDED":
        watcher = subprocess.Popen([*WATCH, job.uri], stdout=subprocess.DEVNULL)
        process = contract.process_key(job.info().attempt + 1)  # between claim and start another would follow
        while not list(job.store.list(process)) and watcher.poll() is None:
            time.sleep(0.02)
        watcher.kill()
        watcher.wait()
    assert [claim["retry"] for claim in claims(job)] == list(range(8))


def test_an_attempt_that_was_claimed_and_never_started_is_not_the_end(spec_folder):
    job = started(spec_folder, PREEMPTED_EACH_STEP.replace("TOTAL", "2"), name="claimed")
    watching.wait_for_attempt(job, PATIENCE_S)
    job.store.put_if_absent(contract.claim_key(2), replace(job.plan.for_attempt(2), retry=1).claim())
    info = job.wait(PATIENCE_S)
    assert (info.state, info.attempt) == ("SUCCEEDED", 3)


def test_watch_once_takes_one_step_for_every_unfinished_job(spec_folder):
    jobs = [started(spec_folder, PREEMPTED_EACH_STEP.replace("TOTAL", "2"), name=name) for name in ("one", "two")]
    for job in jobs:
        watching.wait_for_attempt(job, PATIENCE_S)
    while any(job.info().attempt == 1 for job in jobs):  # the place of attempt 1 is free a moment after its end
        subprocess.run([*WATCH, "--once"], check=True, stdout=subprocess.DEVNULL)
    for job in jobs:
        assert watching.wait_for_attempt(job, PATIENCE_S).state == "SUCCEEDED"
    said = subprocess.run([*WATCH, "--once"], check=True, capture_output=True, text=True).stdout
    assert {json.loads(line)["action"] for line in said.splitlines()} == {"done"}
    assert subprocess.run([*WATCH, "--once"], check=True, capture_output=True, text=True).stdout == ""


def test_a_failure_that_would_come_again_is_not_retried(spec_folder):
    job = started(spec_folder, "raise OSError(28, 'No space left on device')", name="full", retry={"on": "any"})
    heard = []
    info = job.wait(PATIENCE_S, on_decision=lambda decision, info: heard.append(decision))
    assert (info.reason, info.attempt) == ("disk_full", 1)
    assert [(one.action, "come again" in one.why) for one in heard] == [("give_up", True)]
    with pytest.raises(JobFailedError, match="disk"):
        job.model()


def test_a_cancel_between_two_attempts_ends_the_job(spec_folder):
    job = started(spec_folder, "sys.exit(75)", name="wanted")
    assert watching.wait_for_attempt(job, PATIENCE_S).reason == "preempted"
    decision, _ = watching.reconcile(job)
    assert (decision.action, decision.not_before > time.time()) == ("wait", True)  # it came no further: a pause
    job.cancel()
    decision, info = watching.reconcile(job)
    assert (decision.action, info.attempt) == ("done", 1)


def test_a_signal_to_the_supervisor_is_a_preemption_that_is_retried(spec_folder):
    job = started(
        spec_folder,
        "asked = []\nsignal.signal(signal.SIGTERM, lambda *_: asked.append(1))\n"
        "step = start\nwhile not asked and step < start + (5 if start else 10**6):\n"
        "    step += 1; metrics(step); time.sleep(0.01)\nsave(step)\nsys.exit(75 if asked else 0)",
        name="spot",
    )
    for line in job.logs(follow=True):
        if '"step": 3,' in line.text:
            process = json.loads(job.store.read(contract.process_key(1)))["pid"]
            os.kill(process, signal.SIGTERM)
            break
    info = job.wait(PATIENCE_S)
    assert (info.state, info.attempt) == ("SUCCEEDED", 2)
    steps = [record["step"] for record in job.metrics()]
    assert steps == list(range(1, len(steps) + 1))


def test_out_of_memory_goes_on_with_half_the_micro_batch(spec_folder):
    source = (
        "micro, accumulation = config['per_device_train_batch_size'], config['gradient_accumulation_steps']\n"
        "assert micro * accumulation == 8\n"
        "metrics(start + 1)\n"
        "if micro > 1: sys.exit('torch.OutOfMemoryError: CUDA out of memory.')\n"
        "(output / 'weights.bin').write_text(f'{micro} x {accumulation}')"
    )
    fields = {"hyperparameters": {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}}
    job = started(spec_folder, source, name="small", retry={"shrink_micro_batch": True}, **fields)
    info = job.wait(PATIENCE_S)
    assert (info.state, info.attempt) == ("SUCCEEDED", 3)
    assert job.store.read("model/weights.bin") == b"1 x 8"
    assert claims(job)[-1]["changed"] == {"per_device_train_batch_size": 1, "gradient_accumulation_steps": 8}
    assert any("micro-batch 2 instead of 4" in line.text for line in job.logs())
    assert Job.attach(job.uri).document["digest"] == job.plan.digest


class SpotMachine(Local):
    """This machine as a platform with spot capacity: on demand, the job sees it in its environment."""

    capabilities = Capabilities(spot=True)
    capacity = True

    def describe(self, job_id):
        info = super().describe(job_id)
        claim = json.loads(self.artifacts(job_id).read(contract.claim_key(info.attempt)))
        waits = info.state is JobState.RUNNING and claim["spot"] and not self.capacity
        return replace(info, state=JobState.PENDING) if waits else info

    def on_demand(self, plan):
        environment = {**plan.request["env"], "ON_DEMAND": "1"}
        return replace(plan, request={**plan.request, "env": environment}, usd_per_hour=3 * plan.usd_per_hour)


def on_spot(folder, backend, source, **fields):
    options = {"price_usd_per_hour": 1.0}
    made = plan(folder, source, backend=SpotMachine(LocalOptions(**options)), resources={"spot": True}, **fields)
    made = replace(made, estimate=replace(made.estimate, hours=5.0))
    return submit(made, backend, secrets={}, on_attach=lambda info: None)


def test_after_on_demand_after_preemptions_the_job_runs_on_demand(spec_folder):
    source = "if 'ON_DEMAND' in os.environ: sys.exit(0)\n" + PREEMPTED_EACH_STEP
    job = on_spot(spec_folder, SpotMachine(), source, retry={"on_demand_after": 2})
    info = job.wait(PATIENCE_S)
    assert (info.state, info.attempt) == ("SUCCEEDED", 3)
    assert [(claim["spot"], claim["usd_per_hour"]) for claim in claims(job)] == [(True, 1.0), (True, 1.0), (False, 3.0)]
    assert "on demand, since it was preempted 2 times" in claims(job)[-1]["why"]


def test_a_job_that_waits_for_spot_too_long_is_stopped_and_goes_on_on_demand(spec_folder):
    backend = SpotMachine()
    backend.capacity = False
    source = "if 'ON_DEMAND' in os.environ: sys.exit(0)\nmetrics(1); time.sleep(600)"
    soon = datetime.now(UTC) + timedelta(hours=5.2)
    job = on_spot(spec_folder, backend, source, budget={"finish_by": soon})
    heard = []
    deadline = time.monotonic() + PATIENCE_S
    while (info := job.info()).state is not JobState.SUCCEEDED and time.monotonic() < deadline:
        decision, info = watching.reconcile(job)
        heard.append(decision.why)
        time.sleep(0.05)
    assert (info.state, info.attempt) == ("SUCCEEDED", 2)
    assert any("5.0 h of work are left and 5.2 h until finish_by" in why for why in heard)
    assert [claim["spot"] for claim in claims(job)] == [True, False]


def test_a_job_with_time_enough_waits_for_spot(spec_folder):
    backend = SpotMachine()
    backend.capacity = False
    late = datetime.now(UTC) + timedelta(hours=50)
    job = on_spot(spec_folder, backend, "metrics(1); time.sleep(600)", budget={"finish_by": late})
    assert watching.reconcile(job)[0].action == "wait"
    job.cancel()
    assert job.wait(PATIENCE_S).state == "CANCELLED"
    assert watching.reconcile(job)[0].action == "done"


def test_an_old_failure_is_retried_only_if_the_job_is_named(spec_folder):
    job = started(spec_folder, PREEMPTED_EACH_STEP.replace("TOTAL", "2"), name="old")
    watching.wait_for_attempt(job, PATIENCE_S)
    decision, _ = watching.reconcile(job, fresh_s=-1.0)
    assert (decision.action, "name it" in decision.why) == ("give_up", True)
    assert job.info().attempt == 1
    assert job.wait(PATIENCE_S).state == "SUCCEEDED"


def test_a_wait_that_takes_too_long_reports_it_and_leaves_the_job_alone(spec_folder):
    job = started(spec_folder, "metrics(1); time.sleep(600)", name="slow")
    with pytest.raises(WaitTimeoutError, match=r"after 0\.2 s"):
        job.wait(0.2)
    assert job.info().state == "RUNNING"
    job.cancel()
    job.wait(PATIENCE_S)
