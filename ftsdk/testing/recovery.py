"""What every backend must do about resuming: after a preemption, a killed trainer and a used budget.

    class TestMyBackend(RecoveryConformance):
        ...  # as with BackendConformance, whose tests it contains

The trainers are a few lines of Python that save a step at a time. Needs pytest.
"""

from __future__ import annotations

import json
from dataclasses import replace

from ftsdk import contract
from ftsdk.backends.base import Backend, JobState
from ftsdk.jobs import watching
from ftsdk.jobs.job import Job
from ftsdk.plan import Plan
from ftsdk.testing.conformance import PATIENCE_S, BackendConformance

ONE_STEP = """
import json, os, pathlib, signal, sys, time
send = lambda event: open(os.environ["FTSDK_EVENTS"], "w").write(json.dumps(event) + "\\n")
job = json.load(open(os.environ["FTSDK_TRAIN"]))
step = 1 + (int(job["resume"].rpartition("-")[2]) if job["resume"] else 0)
folder = pathlib.Path(job["output"], f"checkpoint-{step}")

def say(kind, **fields):
    send({"event": kind, "step": step, **fields})

folder.mkdir()
(folder / "state.txt").write_text(str(step))
say("metrics", total_steps=3, time=time.time(), loss=1 / step)
say("checkpoint", path=str(folder))
"""
"""Trains the step after the checkpoint's and saves it."""
STOPPED = f"{ONE_STEP}\nif step < 3: sys.exit({contract.EXIT_INTERRUPTED})"
KILLED = f"{ONE_STEP}\ntime.sleep(2)\nif step < 3: os.kill(os.getpid(), signal.SIGKILL)"
"""Killed once the publisher has had time for the COMMIT."""
SLEEPS = f"{ONE_STEP}\ntime.sleep(600 if step == 1 else 0)"


class RecoveryConformance(BackendConformance):
    """Subclass it instead of BackendConformance."""

    def test_what_is_stopped_from_outside_goes_on(self, backend: Backend, plan: Plan) -> None:
        job = self.start(plan, backend, STOPPED)
        assert watching.wait(job, PATIENCE_S).state is JobState.SUCCEEDED
        assert [record["step"] for record in job.metrics()] == [1, 2, 3]
        assert [claim["retry"] for claim in claims(job)] == list(range(len(claims(job))))

    def test_a_killed_trainer_goes_on(self, backend: Backend, plan: Plan) -> None:
        policy = {**plan.spec["retry"], "on": "infra"}
        job = self.start(replace(plan, spec={**plan.spec, "retry": policy}), backend, KILLED)
        assert watching.wait(job, PATIENCE_S).state is JobState.SUCCEEDED
        assert [record["step"] for record in job.metrics()] == [1, 2, 3]

    def test_a_used_budget_stops_and_a_higher_one_goes_on(self, backend: Backend, plan: Plan) -> None:
        limited = replace(plan, document={**plan.document, "budget_s": 3.0})
        job = self.start(limited, backend, SLEEPS)
        info = watching.wait(job, PATIENCE_S)
        assert (info.state, info.reason) == (JobState.FAILED, "budget")
        again = self.start(plan, backend, SLEEPS)
        assert again.wait(PATIENCE_S).state is JobState.SUCCEEDED
        assert [record["step"] for record in job.metrics()] == [1, 2]


def claims(job: Job) -> list[dict[str, object]]:
    """The claims of all attempts, oldest first."""
    numbers = range(1, job.info().attempt + 1)
    return [json.loads(job.store.read(contract.claim_key(number))) for number in numbers]
