"""A crash inside an attempt is started again by the supervisor where the document says so."""

from __future__ import annotations

import json

import pytest

from ftsdk import contract
from tests.runtime.harness import Supervised, gone, script

DIES_TWICE = """
start = int(job["resume"].rpartition("-")[2]) if job["resume"] else 0
metrics(start + 1); save(start + 1)
durable = pathlib.Path(job["document"]["durable"])
while not (durable / "checkpoints" / f"checkpoint-{start + 1:06d}" / "COMMIT").is_file():
    time.sleep(0.01)
if start < 2:
    os.kill(os.getpid(), signal.SIGKILL)
(output / "weights.bin").write_text(str(start + 1))
"""
AGAIN = {"restarts": 5, "restart_on": ["crashed", "error", "killed"]}


def clock(run):
    return json.loads((run.durable / contract.clock_key(run.attempt, 0)).read_bytes())


def test_a_killed_trainer_goes_on_within_its_attempt(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, DIES_TWICE), **AGAIN)
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert (run.durable / "model" / "weights.bin").read_text() == "3"
    assert clock(run)["starts"] == 3
    assert [event["step"] for event in run.events(contract.EVENT_METRICS)] == [1, 2, 3]
    assert [event["state"] for event in run.events(contract.EVENT_OUTCOME)] == ["SUCCEEDED"]
    stamps = [contract.split_line(line)[0] for line in run.stamped()]
    assert stamps == [contract.Stamp(1, 0, number) for number in range(len(stamps))]
    assert any("restart 2 of 5" in line for line in run.lines())
    assert run.stderr == b""


def test_restarts_end(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, DIES_TWICE), **{**AGAIN, "restarts": 1})
    assert run.wait() == contract.EXIT_CRASHED
    assert run.ended() == ("FAILED", "killed")
    assert clock(run)["starts"] == 2


def test_a_crash_at_the_same_step_ends_the_attempt(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "metrics(3)\nraise RuntimeError('as ever')"), **AGAIN)
    assert run.wait() == contract.EXIT_FAILED
    assert run.ended() == ("FAILED", "error")
    assert clock(run)["starts"] == 2


@pytest.mark.parametrize("code", ["raise OSError(28, 'No space left on device')", "sys.exit(75)"])
def test_repeating_failures_and_requested_ends_are_not_restarted(tmp_path, code):
    run = Supervised(tmp_path, script(tmp_path, code), **AGAIN)
    run.wait()
    assert clock(run)["starts"] == 1


def test_a_limit_holds_over_all_starts(tmp_path):
    source = "metrics(int(time.time() * 100)); time.sleep(0.7)\nos.kill(os.getpid(), signal.SIGKILL)"
    run = Supervised(tmp_path, script(tmp_path, source), budget_s=3.0, restarts=50, restart_on=["killed"])
    assert run.wait() == contract.EXIT_FAILED
    assert run.ended() == ("FAILED", "budget")
    assert 2 <= clock(run)["starts"] <= 5


def test_a_killed_supervisors_second_trainer_is_ended_too(tmp_path):
    source = "marks = sorted(pathlib.Path('.').glob('*.mark'))\n"
    source += "mark = pathlib.Path(job['document']['durable'], 'seen')\n"
    source += "if not mark.exists(): mark.touch(); os.kill(os.getpid(), signal.SIGKILL)\nmetrics(9); time.sleep(600)"
    trainer = script(tmp_path, source)
    run = Supervised(tmp_path, trainer, **AGAIN)
    run.wait_for('"step": 9,')
    run.process.kill()
    run.wait()
    assert gone(str(trainer))


def test_notes_of_the_launcher_begin_the_log(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "print('hello')"), notes=["The micro-batch is smaller."])
    run.wait()
    assert run.lines()[0] == "ftsdk: The micro-batch is smaller."
