"""The supervisor with real trainer processes that are small Python files."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ftsdk import contract
from tests.runtime.harness import Supervised, document, gone, living, script


def test_a_trainer_that_succeeds_leaves_its_model(tmp_path):
    trainer = script(
        tmp_path,
        "(output / 'weights.bin').write_text('w'); (output / 'training_args.bin').write_text('x'); save(3)\n"
        "metrics(3, loss=1.5); print('to stderr', file=sys.stderr)",
    )
    run = Supervised(tmp_path, trainer)
    assert run.wait() == contract.EXIT_SUCCEEDED
    record = run.outcome()
    assert (record["state"], record["exit_code"], record["step"]) == ("SUCCEEDED", 0, 3)
    assert {path.name for path in (tmp_path / "durable" / "model").iterdir()} == {
        "weights.bin",
        "manifest-n0.json",
        contract.COMMIT_FILE,
        contract.LINEAGE_FILE,
    }
    assert (tmp_path / "durable" / contract.checkpoint_key(3) / contract.COMMIT_FILE).is_file()
    assert "to stderr" in run.output()
    assert run.events(contract.EVENT_OUTCOME) == [{"event": "outcome", **record}]
    assert run.stdout.decode().split("\n")[:-1] == run.stamped()
    assert run.stderr == b""


def test_phases_and_stamps_come_in_order(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "print('hello')"), attempt=4)
    run.wait()
    assert [event["phase"] for event in run.events(contract.EVENT_PHASE)] == ["preparing", "training", "publishing"]
    stamps = [contract.split_line(line)[0] for line in run.stamped()]
    assert stamps == [contract.Stamp(4, 0, number) for number in range(len(stamps))]


@pytest.mark.parametrize(
    ("code", "reason", "exit_code"),
    [
        ("sys.exit(3)", "error", contract.EXIT_FAILED),
        ("raise OSError(28, 'No space left on device')", "disk_full", contract.EXIT_FAILED),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed", contract.EXIT_CRASHED),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed", contract.EXIT_CRASHED),
        ("sys.exit('RuntimeError: CUDA out of memory. Tried to allocate 2 GiB')", "oom", contract.EXIT_FAILED),
    ],
)
def test_failures_have_a_reason_and_a_sentence(tmp_path, code, reason, exit_code):
    run = Supervised(tmp_path, script(tmp_path, code))
    assert run.wait() == exit_code
    record = run.outcome()
    assert (record["state"], record["reason"]) == ("FAILED", reason)
    assert record["message"] and record["hint"] and "\n" not in record["message"]
    assert not (tmp_path / "durable" / "model").exists()


SLEEPS = """
for step in range(1, 1000):
    metrics(step); time.sleep(0.02)
"""
SAVES_WHEN_ASKED = """
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))
start = int(job["resume"].rpartition("-")[2]) if job["resume"] else 0
for step in range(start + 1, start + 500):
    metrics(step)
    time.sleep(0.02)
    if asked:
        save(step)
        sys.exit(75)
    if start and step == start + 5:
        break
"""


def test_a_signal_saves_and_the_next_attempt_resumes(tmp_path):
    trainer = script(tmp_path, SAVES_WHEN_ASKED)
    first = Supervised(tmp_path, trainer)
    first.wait_for('"step": 3,')
    assert first.terminate() == contract.EXIT_INTERRUPTED
    assert first.ended() == ("INTERRUPTED", "preempted")
    saved = first.events(contract.EVENT_COMMIT)[-1]["step"]
    assert f"step {saved} is saved" in first.outcome()["message"]
    second = Supervised(tmp_path, trainer, attempt=2)
    assert second.wait() == contract.EXIT_SUCCEEDED
    assert [event["step"] for event in second.events(contract.EVENT_METRICS)] == list(range(saved + 1, saved + 6))
    assert second.events(contract.EVENT_PHASE)[1]["resume_step"] == saved


def test_with_after_save_park_the_supervisor_waits_to_be_killed(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, SAVES_WHEN_ASKED), after_save="park")
    run.wait_for('"step": 3,')
    run.process.send_signal(signal.SIGTERM)
    run.wait_for('"event": "outcome"')
    deadline = time.monotonic() + 60
    while not (tmp_path / "durable" / contract.outcome_key(1, 0)).is_file():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert run.ended() == ("INTERRUPTED", "preempted")
    assert run.events(contract.EVENT_COMMIT)
    assert run.process.poll() is None
    run.process.kill()
    assert run.wait() == -signal.SIGKILL


def test_a_trainer_that_ignores_the_signal_is_killed_within_the_grace(tmp_path):
    trainer = script(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)" + SLEEPS)
    run = Supervised(tmp_path, trainer, grace_s=1.0)
    run.wait_for('"step": 2,')
    assert run.terminate() == contract.EXIT_INTERRUPTED
    assert "Nothing was saved yet" in run.outcome()["message"]
    assert gone(str(trainer))


def test_a_cancel_is_not_a_preemption(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, SAVES_WHEN_ASKED))
    run.wait_for('"step": 1,')
    note = tmp_path / "durable" / contract.cancel_key(1)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("{}")
    assert run.terminate() == contract.EXIT_FAILED
    assert run.ended() == ("CANCELLED", "cancelled")
    assert run.events(contract.EVENT_COMMIT)


def test_the_time_limit_saves_and_reports_it(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, SAVES_WHEN_ASKED), timeout_s=0.5)
    assert run.wait() == contract.EXIT_FAILED
    assert run.ended() == ("FAILED", "timeout")
    assert run.events(contract.EVENT_COMMIT)


def test_a_signal_before_the_trainer_is_ready_interrupts(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, SLEEPS))
    run.wait_for('"phase": "training"')
    assert run.terminate() == contract.EXIT_INTERRUPTED


FAMILY = """
import subprocess
child = '''
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", sys.argv[1]])
time.sleep(600)
'''
subprocess.Popen([sys.executable, "-c", child, MARK])
subprocess.Popen([sys.executable, "-c", child, MARK], start_new_session=True)
time.sleep(0.3)
print("family is complete", flush=True)
"""


def family(tmp_path, then):
    mark = f"mark-{os.urandom(6).hex()}"
    trainer = script(tmp_path, f"MARK = {mark!r}\n{FAMILY}\n{then}")
    run = Supervised(tmp_path, trainer, grace_s=1.0)
    run.wait_for("family is complete")
    return run, mark


def test_no_process_of_the_tree_is_left_after_the_trainer_ends(tmp_path):
    run, mark = family(tmp_path, "sys.exit(0)")
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert not living(mark)


def test_no_process_of_the_tree_is_left_after_a_stop(tmp_path):
    run, mark = family(tmp_path, "time.sleep(600)")
    assert run.terminate() == contract.EXIT_INTERRUPTED
    assert not living(mark)


def test_no_process_of_the_tree_is_left_after_the_supervisor_is_killed(tmp_path):
    run, mark = family(tmp_path, "time.sleep(600)")
    assert living(mark)
    run.process.kill()
    run.wait()
    assert gone(mark)
    assert gone(str(tmp_path / "trainer_file.py"))


def test_no_process_of_the_tree_is_left_after_the_trainer_is_killed(tmp_path):
    run, mark = family(tmp_path, "time.sleep(600)")
    for pid in living(str(tmp_path / "trainer_file.py")):
        os.kill(pid, signal.SIGKILL)
    assert run.wait() == contract.EXIT_CRASHED
    assert run.ended() == ("FAILED", "killed")
    assert not living(mark)


def test_the_process_tree_does_not_inherit_the_launchers_descriptors(tmp_path):
    read, write = os.pipe()
    os.set_inheritable(write, True)
    trainer = script(tmp_path, "print('open:', sorted(os.listdir('/proc/self/fd')), flush=True)")
    job = tmp_path / "job.json"
    job.write_text(json.dumps(document(tmp_path, trainer)))
    archive = Supervised(tmp_path, trainer)
    archive.wait()
    assert archive.process.args[2] == "supervise"
    os.spawnve(
        os.P_WAIT,
        sys.executable,
        [sys.executable, archive.process.args[1], "supervise"],
        {**os.environ, contract.ENV_JOB: str(job), contract.ENV_NATIVE_NAME: "job-a2"},
    )
    os.close(write)
    os.close(read)
    lines = (tmp_path / "durable" / contract.segment_key(1, 0, 0)).read_text()
    assert f"'{write}'" not in lines.split("open:")[1].split("\n")[0]


def test_a_restart_of_an_ended_attempt_has_no_effect(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "sys.exit(3)"))
    assert run.wait() == contract.EXIT_FAILED
    record, lines = run.outcome(), run.stamped()
    again = Supervised(tmp_path, script(tmp_path, "print('never')"))
    assert again.wait() == contract.EXIT_FAILED
    assert (again.outcome(), again.stamped()) == (record, lines)


def test_a_restart_after_a_crash_goes_on_in_the_same_log(tmp_path):
    trainer = script(
        tmp_path,
        "start = int(job['resume'].rpartition('-')[2]) if job['resume'] else 0\n"
        "for step in range(start + 1, 7):\n"
        "    metrics(step, loss=step / 2)\n"
        "    if step in (2, 4): save(step); time.sleep(1)\n"
        "    if step == 5 and not start: os.kill(os.getpid(), signal.SIGKILL)\n",
    )
    first = Supervised(tmp_path, trainer)
    assert first.wait() == contract.EXIT_CRASHED
    before = first.stamped()
    second = Supervised(tmp_path, trainer)
    assert second.wait() == contract.EXIT_SUCCEEDED
    assert second.stamped()[: len(before)] == before
    sequences = [contract.split_line(line)[0].sequence for line in second.stamped()]
    assert sequences == list(range(len(sequences)))
    assert [event["step"] for event in second.events(contract.EVENT_METRICS)] == [1, 2, 3, 4, 5, 6]


def test_a_model_that_is_published_is_not_trained_again(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "pass"))
    run.wait()
    (tmp_path / "durable" / contract.outcome_key(1, 0)).unlink()
    again = Supervised(tmp_path, script(tmp_path, "sys.exit(1)"))
    assert again.wait() == contract.EXIT_SUCCEEDED
    assert again.ended() == ("SUCCEEDED", "")


def test_only_the_trainer_gets_secrets(tmp_path):
    folder = tmp_path / "ftsdk-secrets"
    folder.mkdir()
    secrets = folder / "secrets.json"
    secrets.write_text(json.dumps({"HF_TOKEN": "hf_secret_value"}))
    trainer = script(
        tmp_path, "print('token', os.environ['HF_TOKEN']); sys.exit('failed with ' + os.environ['HF_TOKEN'])"
    )
    run = Supervised(tmp_path, trainer, environ={contract.ENV_SECRETS_FILE: str(secrets)})
    assert run.wait() == contract.EXIT_FAILED
    assert not folder.exists()
    assert "token ***" in run.output()
    assert "***" in run.outcome()["message"]
    written = [path for path in tmp_path.rglob("*") if path.is_file() and b"hf_secret_value" in path.read_bytes()]
    assert written == []


def test_secrets_that_the_platform_gives_are_masked_too(tmp_path):
    trainer = script(tmp_path, "print('token', os.environ['HF_TOKEN'])")
    run = Supervised(tmp_path, trainer, environ={contract.ENV_SECRETS: "HF_TOKEN", "HF_TOKEN": "hf_secret_value"})
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert "token ***" in run.output()


def test_a_cancel_note_is_enough_to_cancel(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "print('begun', flush=True); time.sleep(60)"))
    run.wait_for("begun")
    run.store.put(contract.cancel_key(1), b"{}")
    run.wait()
    assert run.outcome()["state"] == "CANCELLED"
    assert b"hf_secret_value" not in run.stdout + run.stderr


@pytest.mark.parametrize(
    ("now", "said"),
    [(None, "cannot be read"), ("longer than it was", "bytes now"), ("otherx", "its content differs")],
)
def test_inputs_that_changed_since_the_plan_are_refused(tmp_path, now, said):
    data = tmp_path / "train.json"
    planned = {"path": str(data), "bytes": 6, "sha256": hashlib.sha256(b"planned").hexdigest()}
    if now is not None:
        data.write_text(now)
    run = Supervised(tmp_path, script(tmp_path, "print('never')"), inputs=[planned])
    assert run.wait() == contract.EXIT_FAILED
    assert run.ended() == ("FAILED", "bad_data")
    assert str(data) in run.outcome()["message"] and said in run.outcome()["message"]
    assert "never" not in run.output()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"contract": 99}', "contract version 99"),
        ("{", "cannot be read"),
        ('{"contract": 1}', "lacks"),
    ],
)
def test_a_document_that_cannot_be_used_is_reported_in_one_sentence(tmp_path, content, said):
    job = tmp_path / "broken.json"
    job.write_text(content)
    run = Supervised(tmp_path, "x.py", environ={contract.ENV_JOB: str(job)})
    assert run.wait() == contract.EXIT_CONTRACT
    assert said in run.stderr.decode() and run.stderr.count(b"\n") == 1


def test_storage_that_cannot_be_written_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    run = Supervised(tmp_path, script(tmp_path, "pass"), durable=str(tmp_path / "file" / "durable"))
    assert run.wait() == contract.EXIT_CRASHED
    assert run.stderr.count(b"\n") == 1 and b"storage does not work" in run.stderr


MANY = 100_000


@pytest.mark.parametrize("count", [MANY, pytest.param(1_000_000, marks=pytest.mark.long)])
def test_every_line_of_many_arrives(tmp_path, count):
    run = Supervised(tmp_path, script(tmp_path, f"for number in range({count}): print('line', number)"))
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert run.output() == [f"line {number}" for number in range(count)]
    assert run.stdout.decode().split("\n")[:-1] == run.stamped()


def test_a_stalled_reader_of_stdout_does_not_stop_the_trainer(tmp_path):
    trainer = script(tmp_path, "for number in range(20000): print('line', number)\n(output / 'done').write_text('')")
    run = Supervised(tmp_path, trainer)
    deadline = time.monotonic() + 60
    while run.process.poll() is None and time.monotonic() < deadline:  # nobody reads
        time.sleep(0.1)
    assert run.process.returncode == contract.EXIT_SUCCEEDED
    run.wait()
    assert [line for line in run.output() if line.startswith("line ")] == [f"line {n}" for n in range(20000)]
    assert any("lines are missing in stdout" in line for line in run.lines())


POOL = """
import os, signal, sys, time
from ftsdk.runtime.programs.interruption import StopRequest
run, stop = sys.argv[1], None
stop = StopRequest(run, 0)
stop.training = True
child = os.fork()
if not child:
    time.sleep(600)
time.sleep(0.2)
os.kill(child, signal.SIGTERM)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), stop.received, os.listdir(run))
"""


def test_a_fork_of_the_trainer_dies_of_the_signal(tmp_path):
    said = subprocess.run([sys.executable, "-c", POOL, str(tmp_path)], capture_output=True, check=True, text=True)
    assert said.stdout.strip() == "-15 False []"
