"""A training that hangs is found, its stacks are kept, and it ends with the reason `hang`; a slow one goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.runtime.supervisor.hangs.culprit import describe
from ftsdk.runtime.supervisor.hangs.limits import LIMITS, silent_limit_s
from ftsdk.runtime.supervisor.hangs.stacks import Frame, ProcessStack
from ftsdk.runtime.supervisor.hangs.watch import HangWatch
from ftsdk.runtime.supervisor.trainer.process_tree import ProcessTree
from ftsdk.runtime.worker_protocol import Phase
from tests.runtime.harness import Supervised, gone, script

BEATS = """
import faulthandler
stacks = open(pathlib.Path(job["run"], "stacks-0.txt"), "ab", buffering=0)
faulthandler.register(signal.SIGUSR2, file=stacks)
pathlib.Path(job["run"], "worker-0.pid").write_text(str(os.getpid()))

def beat(phase, slowest=0.0):
    send({"event": "heartbeat", "rank": 0, "phase": phase, "slowest_step_s": slowest})

def endless_reward():
    while True:
        pass

"""
"""What a worker of ours does, without its libraries."""


def test_an_endless_loop_is_detected_named_and_ended(tmp_path):
    trainer = script(tmp_path, BEATS + "save(3)\nbeat('step')\nendless_reward()")
    run = Supervised(tmp_path, trainer, hang_s=1.0)
    assert run.wait() == contract.EXIT_CRASHED
    record = run.outcome()
    assert (record["state"], record["reason"]) == ("FAILED", "hang")
    assert "in the phase 'step': rank 0 is in endless_reward (" in record["message"]
    assert "step 3 is saved" in record["message"]
    stacks = (tmp_path / "durable" / contract.stacks_key(1, 0, 1)).read_text()
    assert "in endless_reward" in stacks and "rank 0, state R" in stacks
    assert any("in endless_reward" in line for line in run.output())
    assert not any("heartbeat" in line for line in run.lines())
    assert gone(str(trainer))


def test_a_stopped_process_is_detected_before_its_first_heartbeat(tmp_path):
    trainer = script(tmp_path, "print('begun', flush=True)\nos.kill(os.getpid(), signal.SIGSTOP)")
    run = Supervised(tmp_path, trainer, hang_s=1.0)
    run.wait()
    assert run.ended() == ("FAILED", "hang")
    assert "is stopped by a signal (SIGSTOP or SIGTSTP)" in run.outcome()["message"]


def test_an_idle_phase_has_a_shorter_limit_than_slow_work(tmp_path):
    trainer = script(tmp_path, BEATS + "beat('loading')\ntime.sleep(600)")
    run = Supervised(tmp_path, trainer, hang_s=0.5)
    run.wait()
    assert "in the phase 'loading': rank 0 is in <module> (" in run.outcome()["message"]
    work = "ends = time.monotonic() + 5\nwhile time.monotonic() < ends: sum(range(10000))\n"
    slow = Supervised(tmp_path / "slow", script(tmp_path, BEATS + "beat('loading')\n" + work), hang_s=0.5)
    slow.wait()
    assert slow.ended() == ("SUCCEEDED", "")


def test_a_hang_is_retried_by_the_policy_and_not_twice_at_one_step(tmp_path):
    trainer = script(tmp_path, BEATS + "metrics(2)\nbeat('step')\ntime.sleep(600)")
    run = Supervised(tmp_path, trainer, hang_s=1.0, restarts=5, restart_on=["hang"])
    assert run.wait() == contract.EXIT_CRASHED
    starts = [event for event in run.events(contract.EVENT_PHASE) if event["phase"] == "training"]
    assert len(starts) == 2


def test_a_pause_of_the_supervisor_itself_is_no_hang(tmp_path):
    """As after `docker pause`, or on a machine that slept."""
    trainer = script(
        tmp_path, BEATS + "for step in range(60):\n    metrics(step)\n    beat('step')\n    time.sleep(0.1)"
    )
    run = Supervised(tmp_path, trainer, hang_s=2.0)
    run.wait_for('"step": 3')
    os.kill(run.process.pid, signal.SIGSTOP)
    time.sleep(4)  # longer than the limit
    os.kill(run.process.pid, signal.SIGCONT)
    run.wait()
    assert run.ended() == ("SUCCEEDED", "")


def test_nccls_flight_record_is_stored_beside_the_stacks(tmp_path):
    """The script answers the pipe as torch does: no test machine has two GPUs."""
    recorder = """
import threading
os.mkfifo(pathlib.Path(job["run"], "nccl-pipe-0.pipe"))
def record():
    open(pathlib.Path(job["run"], "nccl-pipe-0.pipe")).readline()
    pathlib.Path(job["run"], "nccl-trace-0").write_text("collectives")
threading.Thread(target=record, daemon=True).start()
beat("step")
time.sleep(600)
"""
    run = Supervised(tmp_path, script(tmp_path, BEATS + recorder), hang_s=1.0)
    run.wait()
    key = contract.stacks_key(1, 0, 1).removesuffix(".txt") + "-nccl-trace-0"
    assert run.store.read(key) == b"collectives"


def test_a_rank_may_wait_for_one_that_writes_a_checkpoint(tmp_path):
    watch = HangWatch(ProcessTree(), tmp_path, 0.3, num_nodes=2)
    beats = [
        {"event": "heartbeat", "rank": rank, "phase": phase, "slowest_step_s": 0.0}
        for rank, phase in enumerate(("checkpoint", "step"))
    ]
    for beat in beats:
        watch.heartbeat(beat)
    ends = time.monotonic() + 1.5
    while time.monotonic() < ends:
        assert watch.check() is None
        time.sleep(0.02)
    watch.heartbeat({**beats[0], "phase": "step"})
    hang = None
    while hang is None:
        hang = watch.check()
        time.sleep(0.02)
    assert hang.message.startswith("The training has made no progress for ")


def test_a_rank_without_a_process_is_no_hang(tmp_path):
    """Its launcher needs a while to end the others, and the reason is why it ended."""
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    (tmp_path / "worker-0.pid").write_text(str(ended.pid))
    watch = HangWatch(ProcessTree(), tmp_path, 0.3, num_nodes=2)
    watch.heartbeat({"event": "heartbeat", "rank": 0, "phase": "step", "slowest_step_s": 0.0})
    ends = time.monotonic() + 0.9  # three times the limit of a step, and less than that of an exit
    while time.monotonic() < ends:
        assert watch.check() is None
        time.sleep(0.02)


# --- limits and culprits -------------------------------------------------------------------------------------------
def test_a_step_may_take_three_times_the_slowest_step():
    assert silent_limit_s(Phase.STEP, 60.0, 5.0) == 60.0
    assert silent_limit_s(Phase.STEP, 60.0, 100.0) == 300.0
    assert silent_limit_s(Phase.EVALUATION, 60.0, 100.0) == 60.0 * LIMITS[Phase.EVALUATION].silent


def test_every_phase_has_limits_and_idle_ones_are_shorter():
    assert set(LIMITS) == set(Phase)
    assert all(limit.idle is None or limit.idle < limit.silent for limit in LIMITS.values())


def test_the_page_has_the_limits():
    page = Path(__file__).parents[3] / "docs" / "hangs.md"
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.read_text().splitlines() if "|" in line
    ]
    number = {"-": None}
    shown = {row[0]: tuple(number.get(cell, cell) for cell in row[2:]) for row in rows if row[0] in LIMITS}
    expected = {
        phase: tuple(None if limit is None else str(limit) for limit in limits) for phase, limits in LIMITS.items()
    }
    assert shown == expected


COLLECTIVE = Frame("all_reduce", "/x/torch/distributed/distributed_c10d.py", 1)
BACKWARD = Frame("_engine_run_backward", "/x/site-packages/torch/autograd/graph.py", 841)
OWN = Frame("score", "/job/rewards.py", 12)
LOADER = Frame("_next_data", "/x/site-packages/torch/utils/data/dataloader.py", 1500)
LOOP = Frame("_worker_loop", "/x/site-packages/torch/utils/data/_utils/worker.py", 50)


def process(rank, *frames, pid=0, is_worker=True, state="S"):
    return ProcessStack(pid, rank, is_worker, state, frames, "")


@pytest.mark.parametrize(
    ("stacks", "rank", "sentence"),
    [
        ([process(0, BACKWARD), process(1, OWN)], 1, "rank 1 is in score (/job/rewards.py:12), and the other ranks"),
        ([process(0, COLLECTIVE), process(1, state="T")], 1, "rank 1 is stopped by a signal"),
        ([process(0, COLLECTIVE), process(1, BACKWARD)], 0, "rank 0 is in all_reduce"),
        ([process(0), process(1, BACKWARD)], 0, "rank 0 does not answer (state S)"),
        ([process(0, state="D")], 0, "rank 0 waits for a device or a mount (state D)"),
        (
            [process(0, LOADER), process(0, OWN, LOOP, LOADER, pid=7, is_worker=False)],
            0,
            "process 7 of rank 0 is in score",
        ),
        ([process(0, LOADER), process(0, LOOP, LOADER, pid=7, is_worker=False)], 0, "rank 0 is in _next_data"),
        ([process(None, is_worker=False)], None, "no trainer process answers"),
    ],
)
def test_the_rank_that_others_wait_for_is_named(stacks, rank, sentence):
    found, words = describe(stacks, {0: 9.0, 1: 8.0})
    assert found == rank and words.startswith(sentence)
    assert words.count("where it waits for other ranks") == (sentence == "rank 0 is in all_reduce")
