"""No trainer outlives its supervisor, and no attempt begins beside what is left of the one before."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

from ftsdk import contract
from ftsdk.runtime import worker_protocol
from tests.runtime.harness import Supervised, gone, living, script


def test_the_trainer_dies_with_supervisor_and_watchdog_at_once(tmp_path):
    mark = uuid.uuid4().hex
    trainer = script(tmp_path, f"mark = {mark!r}\nprint('begun', flush=True)\ntime.sleep(600)").rename(
        tmp_path / f"{mark}.py"
    )
    run = Supervised(tmp_path, trainer)
    run.wait_for("begun")
    children = Path(f"/proc/{run.process.pid}/task/{run.process.pid}/children").read_text().split()
    watchdog = [int(pid) for pid in children if mark not in Path(f"/proc/{pid}/cmdline").read_text()]
    for pid in (*watchdog, run.process.pid):
        os.kill(pid, signal.SIGKILL)
    run.wait()
    assert len(watchdog) == 1
    assert gone(mark)


def test_the_next_attempt_ends_processes_of_the_previous_one(tmp_path):
    """Such as a process that has left the trainer's tree by a session and an environment that differ."""
    mark = uuid.uuid4().hex
    escapes = (
        "import subprocess\n"
        f"subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', {mark!r}], start_new_session=True, "
        "env={'FTSDK_TRAIN': os.environ['FTSDK_TRAIN']}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "sys.exit(3)"
    )
    Supervised(tmp_path, script(tmp_path, escapes)).wait()
    assert len(living(mark)) == 1
    again = Supervised(tmp_path, script(tmp_path, "print('begun')"), attempt=2)
    assert again.wait() == contract.EXIT_SUCCEEDED
    assert any("1 processes of a previous attempt were still running" in line for line in again.lines())
    assert gone(mark)


def test_a_leftover_process_ends_once_another_start_has_the_lease(tmp_path):
    """Even one that cannot be found, because it has dropped its environment."""
    lease = worker_protocol.grant_lease(tmp_path)
    loop = (
        "import sys, time\n"
        "from ftsdk.runtime.programs import heartbeat\n"
        "heartbeat.SEND_EVERY_S = 0\n"
        "heartbeat.HEARTBEAT.hold(*sys.argv[1:])\n"
        "print('begun', flush=True)\n"
        "while True:\n"
        "    heartbeat.HEARTBEAT.enter(heartbeat.Phase.STEP)\n"
        "    time.sleep(0.02)\n"
    )
    program = [sys.executable, "-c", loop, str(tmp_path), lease]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n" and process.poll() is None
    worker_protocol.grant_lease(tmp_path)
    _, said = process.communicate(timeout=60)
    assert process.returncode == contract.EXIT_INTERRUPTED
    assert "another start of this training has begun" in said


def test_an_attempt_ends_once_the_next_one_is_claimed(tmp_path):
    """Such as on a machine that was believed to be lost."""
    trainer = script(tmp_path, "metrics(1)\ntime.sleep(600)")
    run = Supervised(tmp_path, trainer, grace_s=2.0)
    run.wait_for('"step": 1,')
    run.store.put(contract.claim_key(2), b"{}")
    assert run.wait() == contract.EXIT_INTERRUPTED
    assert run.ended() == ("INTERRUPTED", "preempted")
