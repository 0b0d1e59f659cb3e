"""A home that release 0.1.0 wrote before its code was reorganised is still read: `before/` holds one, packed."""

import json
import sqlite3
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from ftsdk import Job, JobFailedError, JobState, Reason, list_jobs
from ftsdk.jobs import journal
from ftsdk.plan import Plan

PACKED = Path(__file__).parent / "before" / "home-0.1.0.tar.xz"
SUCCEEDED, CANCELLED = "local://house-of-before-744d888d", "local://cancelled-before-ecd730fd"


@pytest.fixture
def home(own_home, tmp_path):
    """The old home, with the paths in its files and its journal changed to its present folder."""
    with tarfile.open(PACKED) as packed:
        packed.extractall(own_home, filter="data")
    moves = {"/before/home": str(own_home), "/before/project": str(tmp_path)}
    for path in own_home.rglob("*.json"):
        text = path.read_text("utf-8")
        for old, new in moves.items():
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
    with sqlite3.connect(own_home / "journal.db") as database:
        for old, new in moves.items():
            database.execute("UPDATE job SET plan = replace(plan, ?, ?)", (old, new))
    database.close()
    return own_home


def test_jobs_of_an_earlier_release_are_listed(home):
    assert {job.uri: job.info.state for job in list_jobs("local")} == {
        SUCCEEDED: JobState.SUCCEEDED,
        CANCELLED: JobState.CANCELLED,
    }
    assert {entry.uri for entry in journal.entries()} == {SUCCEEDED, CANCELLED}


def test_a_succeeded_job_of_an_earlier_release_is_read(home):
    job = Job.attach("house-of-before-744d888d")
    assert job.wait(10).state is JobState.SUCCEEDED
    assert job.info().reason is Reason.NONE
    model = job.model()
    assert (model.adapter, model.path) == (True, home / "jobs" / "local" / job.name / "model")
    assert model.files["adapter_model.safetensors"] == (model.path / "adapter_model.safetensors").stat().st_size
    losses = {record["step"]: record["loss"] for record in job.metrics() if "loss" in record}
    assert sorted(losses) == list(range(1, 7))
    assert losses[6] == pytest.approx(6.285, abs=1e-3)
    lines = list(job.logs())
    assert len(lines) > 300
    assert list(job.logs(after=lines[299].cursor)) == lines[300:]
    status = job.status()
    assert [(a.number, a.state, a.step) for a in status.attempts] == [(1, JobState.SUCCEEDED, 6)]
    assert 0 < status.hours < 1
    assert json.loads(json.dumps(status.to_json(), default=str))["latest"]["step"] == 6


def test_jobs_of_an_earlier_release_have_notebook_views(home):
    job = Job.attach(SUCCEEDED)
    assert "<td>SUCCEEDED</td>" in job._repr_html_()
    assert "<td>adapter</td>" in job.model()._repr_html_()
    assert f"<caption>{SUCCEEDED}</caption>" in job.plan._repr_html_()


def test_a_cancelled_job_of_an_earlier_release_is_read(home):
    job = Job.attach(CANCELLED)
    info = job.info()
    assert (info.state, info.reason) == (JobState.CANCELLED, Reason.CANCELLED)
    assert list(job.metrics()) == []
    assert [attempt.state for attempt in job.status().attempts] == [JobState.CANCELLED]
    assert any("cancel" in line.text.lower() for line in job.logs())
    with pytest.raises(JobFailedError, match="CANCELLED"):
        job.model()


def test_a_new_attempt_of_it_can_be_written_down(home):
    plan = Job.attach(CANCELLED).plan
    assert isinstance(plan, Plan)
    journal.intend(plan.for_attempt(2))
    journal.complete(plan.for_attempt(2))
    assert next(entry for entry in journal.entries(CANCELLED)).attempt == 2


@pytest.mark.parametrize("verb", ["status", "logs", "metrics", "model"])
def test_the_command_line_reads_it(home, verb):
    done = subprocess.run(
        [sys.executable, "-m", "ftsdk", verb, SUCCEEDED, "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
