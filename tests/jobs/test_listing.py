"""Lists of jobs: the newest of all backends, without a look at the others."""

import json
import os
from dataclasses import replace

import pytest

from ftsdk import contract
from ftsdk.errors import BackendError
from ftsdk.jobs import journal
from ftsdk.jobs.listing import list_jobs
from ftsdk.storage.store import open_store
from tests.cli.test_cli import ftsdk
from tests.golden.plans import PLANS

COUNT = 5


@pytest.fixture
def names(own_home):
    """Local jobs that were killed before their end, oldest first."""
    plan = PLANS["local"]()
    made = []
    for number in range(COUNT):
        name = f"list-{number:08x}"
        folder = own_home / "jobs" / "local" / name
        job = replace(plan, name=name, uri=f"local://{name}", request={**plan.request, "folder": str(folder)})
        journal.intend(job)
        store = open_store(str(folder))
        store.put("plan.json", json.dumps(job.to_json()).encode())
        store.put(contract.claim_key(1), json.dumps({**json.loads(job.claim()), "time": 1000.0 + number}).encode())
        os.utime(folder / "plan.json", (1000 + number, 1000 + number))
        made.append(name)
    return made


def test_the_newest_come_first(names):
    assert [job.info.name for job in list_jobs("local")] == names[::-1]
    assert [job.info.name for job in list_jobs("local", limit=2)] == names[:-3:-1]
    assert [job.info.name for job in list_jobs("local", limit=99)] == names[::-1]


def test_a_limited_list_does_not_read_older_jobs(names, own_home):
    for name in names[:-2]:
        (own_home / "jobs" / "local" / name / contract.claim_key(1)).write_text("not JSON")
    assert [job.info.name for job in list_jobs("local", limit=2)] == names[:-3:-1]
    with pytest.raises((BackendError, ValueError)):
        list(list_jobs("local"))


def test_a_limited_list_keeps_entries_of_older_jobs(names):
    gone = replace(PLANS["local"](), name="gone-00000000", uri="local://gone-00000000")
    journal.intend(gone)
    assert [job.info.reason for job in list_jobs("local", limit=2)] == ["killed", "killed"]
    everything = {job.info.name: job.info.reason for job in list_jobs("local")}
    assert everything["gone-00000000"] == "lost"


def test_the_command_takes_a_limit(names):
    listed = json.loads(ftsdk("jobs", "-b", "local", "--limit", "1", "--json").stdout)
    assert [row["uri"] for row in listed] == [f"local://{names[-1]}"]
    assert ftsdk("jobs", "--limit", "0").returncode != 0
