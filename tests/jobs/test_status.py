"""What `ftsdk status` knows: progress from the log's end, time and cost to the end, attempts, budget."""

import json
import time

import pytest

from ftsdk import contract
from ftsdk.backends.base import JobInfo, JobState
from ftsdk.jobs import watching
from ftsdk.jobs.history import cost_usd, history, hours
from ftsdk.jobs.status import Status
from ftsdk.runtime.storage.folder import FolderStore
from ftsdk.storage import records
from tests.python_jobs import PREEMPTED_EACH_STEP, started
from tests.storage.test_records import write_segment

PATIENCE_S = 120


def event(step, **fields):
    return contract.event_line(contract.EVENT_METRICS, step=step, total_steps=100, **fields)


class CountingStore(FolderStore):
    """A folder that counts the bytes that are read from it."""

    taken = 0

    def read(self, key, start=0, length=None):
        data = super().read(key, start, length)
        self.taken += len(data)
        return data


def long_log(store, *, lines, every):
    """Two segments, a metric event every so many lines."""
    half = lines // 2
    for number, numbers in enumerate((range(half), range(half, lines))):
        texts = ((i, event(i // every, loss=float(i)) if i % every == 0 else "x" * 90) for i in numbers)
        write_segment(store, 1, 0, number, texts)


@pytest.mark.parametrize("every", [7, 1000, 20_000])
def test_the_last_metrics_are_those_at_the_logs_end_whatever_lies_between(tmp_path, every):
    store = FolderStore(tmp_path)
    long_log(store, lines=60_000, every=every)
    steps = [record["step"] for record in records.last_metrics(store, 1)]
    last = (60_000 - 1) // every
    assert steps == list(range(last + 1))[-len(steps) :]
    assert len(steps) == min(records.MOST_METRICS, last + 1)


def test_a_long_log_is_not_read_whole(tmp_path):
    store = CountingStore(tmp_path)
    long_log(store, lines=300_000, every=100)
    assert len(records.last_metrics(store, 1)) == records.MOST_METRICS
    assert store.taken < 2 * 2**20
    assert sum(item.bytes for item in store.list("logs/")) > 25 * 2**20


def test_metrics_are_read_behind_long_and_torn_lines(tmp_path):
    store = FolderStore(tmp_path)
    long_line = "y" * (3 * records.TAIL_PIECE_BYTES)
    write_segment(store, 1, 0, 0, [(0, event(1, loss=1.0)), (1, long_line), (2, event(2, loss=2.0))])
    with store.path(contract.segment_key(1, 0, 0)).open("a") as file:
        file.write("1.0.3|" + event(3, loss=3.0)[:30])
    assert [record["step"] for record in records.last_metrics(store, 1)] == [1, 2]
    assert records.last_metrics(store, 2) == []


def put(store, key, **data):
    store.put(key, json.dumps(data).encode())


def test_history_joins_claims_clocks_and_outcomes(tmp_path):
    store = FolderStore(tmp_path)
    before = {"state": "FAILED", "reason": "killed", "message": "Gone.", "ended_at": 60.0}
    put(
        store,
        contract.claim_key(1),
        time=0.0,
        by="a",
        retry=0,
        why="",
        spot=True,
        usd_per_hour=2.0,
        changed={},
        before={},
    )
    put(store, contract.clock_key(1, 0), starts=2, ran_s=1800.0, started_at=10.0, alive_at=1810.0)
    put(store, contract.claim_key(2), time=70.0, by="b", retry=1, why="Again.", spot=False, usd_per_hour=8.0,
        changed={"x": 1}, before=before)  # fmt: skip
    put(store, contract.clock_key(2, 0), starts=1, ran_s=0.0, started_at=100.0, alive_at=980.0)
    write_segment(store, 1, 0, 0, [(0, event(6, loss=1.0)), (1, event(7, loss=1.0))])
    write_segment(store, 2, 0, 0, [(0, event(8, loss=1.0))])
    info = JobInfo(name="n", state=JobState.RUNNING, attempt=2)
    first, second = history(store, info, num_nodes=1, now=100.0 + 900.0)
    assert (first.reason, first.seconds, first.starts, first.cost_usd) == ("killed", 3600.0, 2, 2.0)
    assert (first.step, second.step) == (7, None)
    assert (second.state, second.seconds, second.cost_usd, second.why) == ("RUNNING", 900.0, 2.0, "Again.")
    assert (hours((first, second)), cost_usd((first, second))) == (1.25, 4.0)
    silent = history(store, info, num_nodes=1, now=980.0 + 3600.0)[1]
    assert (second.waiting, silent.waiting, silent.seconds) == (False, True, 880.0)
    assert second.to_json()["changed"] == {"x": 1}


def test_a_price_that_is_unknown_makes_the_cost_unknown(tmp_path):
    store = FolderStore(tmp_path)
    put(store, contract.claim_key(1), time=0.0)
    info = JobInfo(name="n", state=JobState.PENDING, attempt=1)
    (only,) = history(store, info, num_nodes=1, now=50.0)
    assert (only.seconds, only.cost_usd, cost_usd((only,))) == (0.0, None, None)


def test_a_running_job_tells_the_time_and_cost_that_it_measured(spec_folder):
    source = "for step in range(1, 10**6):\n    metrics(step, loss=1.0); time.sleep(0.01)\n"
    options = {"price_usd_per_hour": 36.0}
    job = started(spec_folder, source, name="running", options=options, budget={"max_hours": 2.0})
    deadline = time.monotonic() + PATIENCE_S
    while (look := Status.of(job)).remaining is None and time.monotonic() < deadline:
        time.sleep(0.05)
    job.cancel()
    left = look.remaining
    assert left is not None
    assert left.cost_usd == pytest.approx(36.0 * left.hours)
    assert look.latest["loss"] == 1.0
    assert 1.9 < look.budget_left()["hours"] < 2.0
    assert look.cost_usd == pytest.approx(0.01 * look.attempts[0].seconds)
    assert json.loads(json.dumps(look.to_json(), default=str))["usd_per_hour"] == 36.0
    job.wait(PATIENCE_S)
    assert Status.of(job).remaining is None


def test_all_attempts_are_listed_with_their_reasons(spec_folder):
    job = started(spec_folder, PREEMPTED_EACH_STEP.replace("TOTAL", "3"), name="listed")
    watching.wait(job, PATIENCE_S)
    found = Status.of(job)
    assert [(a.number, a.state, a.reason, a.step) for a in found.attempts] == [
        (1, "FAILED", "preempted", 1),
        (2, "FAILED", "preempted", 2),
        (3, "SUCCEEDED", "", 3),
    ]
    assert all(attempt.seconds > 0 for attempt in found.attempts)
