"""A mount that hangs does not stop the training, its log, or its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ftsdk import contract
from tests.runtime.harness import TIMEOUT_S, Supervised, script


def test_the_log_of_a_mount_that_hangs_is_complete_once_it_responds(tmp_path):
    """A named pipe without a reader hangs as a dead mount does."""
    segment = tmp_path / "durable" / contract.segment_key(1, 0, 0)
    segment.parent.mkdir(parents=True)
    os.mkfifo(segment)
    trained = tmp_path / "trained"
    trainer = (
        f"for step in range(1, 50):\n    metrics(step)\n    time.sleep(0.1)\npathlib.Path({str(trained)!r}).touch()"
    )
    run = Supervised(tmp_path, script(tmp_path, trainer))
    deadline = time.monotonic() + TIMEOUT_S
    while not trained.exists():
        assert time.monotonic() < deadline and run.process.poll() is None
        time.sleep(0.02)
    stored = segment.read_bytes().decode().splitlines()  # until the supervisor closes it
    assert run.wait() == contract.EXIT_SUCCEEDED
    stamps, lines = zip(*(contract.split_line(line) for line in stored), strict=True)
    assert [stamp.sequence for stamp in stamps] == list(range(len(stamps)))
    assert any("storage has not responded for" in line for line in lines)
    steps = [event["step"] for line in lines if (event := contract.parse_event(line)) and event["event"] == "metrics"]
    assert steps == list(range(1, 50))


@pytest.fixture
def disk(tmp_path):
    """A separate file system that can be frozen: everything that writes to it hangs and cannot be killed."""
    folder, image = tmp_path / "disk", tmp_path / "image"
    folder.mkdir()
    make = [
        ["truncate", "--size", "32M", str(image)],
        ["mkfs.ext4", "-q", str(image)],
        ["mount", "-o", "loop", str(image), str(folder)],
    ]
    try:
        for command in make:
            subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs root and loop devices")
    yield folder
    subprocess.run(["fsfreeze", "--unfreeze", str(folder)], check=False, capture_output=True)
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_job_whose_storage_is_frozen_ends_within_its_grace(tmp_path, disk):
    trainer = script(tmp_path, "for step in range(1, 5000):\n    metrics(step)\n    time.sleep(0.05)")
    run = Supervised(tmp_path, trainer, grace_s=4.0, durable=str(disk))
    run.wait_for('"step": 3,')
    subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
    run.process.send_signal(signal.SIGTERM)
    for line in run.process.stdout:  # its end comes while the storage hangs: only then is it thawed
        event = contract.parse_event(contract.split_line(line.decode())[1])
        if event and event["event"] == contract.EVENT_OUTCOME:
            break
    subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)
    assert event["state"] == "INTERRUPTED", json.dumps(event)
    run.wait()


@pytest.mark.long
def test_an_attempt_does_not_begin_beside_a_process_that_cannot_be_ended(tmp_path, disk):
    train_file = tmp_path / "scratch" / "run" / "train.json"
    write = f"print('begun', flush=True); input(); open({str(disk / 'file')!r}, 'w').write('x')"
    left = subprocess.Popen(
        [sys.executable, "-c", write],
        env={"FTSDK_TRAIN": str(train_file)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert left.stdout.readline() == "begun\n"
    subprocess.run(["fsfreeze", "--freeze", str(disk)], check=True)
    left.stdin.write("\n")
    left.stdin.flush()
    run = Supervised(tmp_path, script(tmp_path, "pass"))
    assert run.wait() == contract.EXIT_CRASHED
    assert f"Process {left.pid} of a previous attempt cannot be ended" in run.outcome()["message"]
    subprocess.run(["fsfreeze", "--unfreeze", str(disk)], check=True)
    left.wait()
