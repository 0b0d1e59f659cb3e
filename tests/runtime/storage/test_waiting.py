"""Storage that hangs instead of failing blocks nothing. A named pipe without a reader hangs as a dead mount does."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from ftsdk.runtime.storage import spool, waiting
from ftsdk.runtime.storage.durable import DurableFolder
from ftsdk.runtime.storage.spool import DurableBucket
from ftsdk.runtime.storage.waiting import AppendQueue, within


def test_a_call_that_hangs_raises_timeout_error():
    with pytest.raises(TimeoutError):
        within(0.05, lambda: threading.Event().wait())
    assert within(60, lambda: 5) == 5
    with pytest.raises(FileNotFoundError):
        within(60, lambda: Path("/nowhere").read_bytes())


def test_lines_are_spooled_while_a_mount_hangs_and_stored_in_order(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "STALL_S", 0.05)
    os.mkfifo(tmp_path / "a")
    queue = AppendQueue()
    lines = [b"line %d\n" % number for number in range(500)]
    for line in lines:
        assert queue.append(tmp_path / "a", line) == len(line)
    assert queue.append(tmp_path / "b", b"behind it") == 9
    assert queue.stalled_s() > 0 and not (tmp_path / "b").exists()
    queue.settle(0.05)
    read = os.open(tmp_path / "a", os.O_RDONLY)
    queue.settle(60)
    assert os.read(read, 1 << 20) == b"".join(lines)
    assert (tmp_path / "b").read_bytes() == b"behind it" and queue.stalled_s() == 0
    assert queue.append(tmp_path / "b", b" and on") == 7
    queue.settle(60)
    assert (tmp_path / "b").read_bytes() == b"behind it and on"


def test_the_spool_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(waiting, "STALL_S", 0.05)
    monkeypatch.setattr(waiting, "MAX_SPOOL_BYTES", 100)
    os.mkfifo(tmp_path / "a")
    queue = AppendQueue()
    assert [queue.append(tmp_path / "a", b"x" * 60) for _ in range(2)] == [60, 60]
    with pytest.raises(TimeoutError, match="does not respond"):
        queue.append(tmp_path / "a", b"x" * 60)


def test_a_failing_append_raises_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileExistsError):
        AppendQueue().append(tmp_path / "file" / "a", b"x")


def test_a_folder_that_hangs_raises_like_a_missing_one(tmp_path, monkeypatch):
    monkeypatch.setattr("ftsdk.runtime.storage.durable.CALL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(waiting, "FILE_TIMEOUT_S", 0.05)
    monkeypatch.setattr(waiting, "POLL_S", 0.05)
    os.mkfifo(tmp_path / "pipe")
    folder = DurableFolder(tmp_path)
    with pytest.raises(TimeoutError):
        folder.read("pipe")
    with pytest.raises(TimeoutError):
        folder.fetch("pipe", tmp_path / "target")


def test_a_bucket_that_never_answers_is_not_awaited(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "SLOW_S", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        storage = {"endpoint": f"http://127.0.0.1:{silent.getsockname()[1]}", "region": "x"}
        keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
        bucket = DurableBucket("s3://bucket/job", storage, keys, tmp_path / "spool")
        bucket.appender("logs/a").write(b"line\n")
        bucket.settle(0.2)
        deadline = time.monotonic() + 60
        while not bucket.stalled_s() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert bucket.stalled_s() > 0
