"""Secrets of local jobs are in no file: nothing stays behind, however a start ends."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ftsdk import backends
from ftsdk.backends.base import JobState
from ftsdk.jobs.submit import submit
from tests.python_jobs import plan

VALUE = "canary-2718281828"
READS = """
held = [os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")]
print("has", os.environ["A_SECRET"] == "canary-" + "2718281828", "holds", any("secret" in target for target in held))
"""  # noqa: E501


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="folders in memory are Linux's")
@pytest.mark.parametrize("python", [None, "/bin/false"])
def test_no_secrets_file_is_left_after_the_job(spec_folder, own_home, monkeypatch, python):
    monkeypatch.setenv("A_SECRET", VALUE)  # a retry reads it again
    options = {"python": python} if python else {}
    made = plan(spec_folder, READS, options=options, secrets=["A_SECRET"])
    before = set(Path("/dev/shm").glob("ftsdk-*"))
    job = submit(made, backends.get("local", options), secrets={"A_SECRET": VALUE}, on_attach=lambda info: None)
    state = job.wait(60).state
    assert state is (JobState.FAILED if python else JobState.SUCCEEDED)
    assert set(Path("/dev/shm").glob("ftsdk-*")) <= before
    if not python:
        assert "has True holds False" in [line.text for line in job.logs()]
    kept = [path for folder in (own_home, spec_folder) for path in folder.rglob("*") if path.is_file()]
    assert kept and not any(VALUE.encode() in path.read_bytes() for path in kept)


def test_a_program_that_is_not_there_leaves_nothing_open(spec_folder):
    made = plan(spec_folder, READS, secrets=["A_SECRET"])
    broken = replace(made, request={**made.request, "argv": ["/no/such/python", *made.request["argv"][1:]]})
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(Exception, match="cannot be started"):
        submit(broken, backends.get("local", None), secrets={"A_SECRET": VALUE}, on_attach=lambda info: None)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1
