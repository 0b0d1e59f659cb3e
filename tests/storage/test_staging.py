"""Uploads of a plan: sent once, gone on with after a kill, and a store in a bucket as the launcher sees it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from ftsdk.errors import AuthError, BackendError, DataError, SpecError, UnavailableError, UnsupportedError
from ftsdk.plan import Upload
from ftsdk.runtime.storage.base import ObjectInfo
from ftsdk.storage import fingerprints
from ftsdk.storage import objects as objects_module
from ftsdk.storage.staging import stage, staged_address
from ftsdk.storage.store import download, open_store


class Bar:
    """Counts what a progress bar would show."""

    def __init__(self):
        self.total = self.done = 0

    @contextlib.contextmanager
    def __call__(self, label, total):
        self.total = total
        yield self.advance

    def advance(self, done):
        self.done += done


def upload(address, path, content):
    path.write_bytes(content)
    found = fingerprints.of(path)
    target = staged_address(address, found.sha256, path.name)
    return Upload(source=str(path), target=target, bytes=found.bytes, sha256=found.sha256)


def test_the_second_time_nothing_is_sent(s3, tmp_path):
    uploads = [upload(s3.address, tmp_path / f"file-{n}", os.urandom(1_000_000 * n)) for n in (1, 2, 20)]
    first, second = Bar(), Bar()
    assert stage(uploads, {}, first) == first.total == first.done == 23_000_000
    assert stage(uploads, {}, second) == 0
    assert s3.count("PUT", "file-1$") == 1
    store = open_store(s3.address)
    for sent in uploads:
        key = sent.target.removeprefix(f"{s3.address}/")
        download(store, key, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == Path(sent.source).read_bytes()


def test_a_file_that_changed_since_the_plan_is_not_there(s3, tmp_path):
    changed = upload(s3.address, tmp_path / "file", b"planned")
    Path(changed.source).write_bytes(b"another")
    with pytest.raises(DataError, match="file has changed since the plan was made"):
        stage([changed], {}, Bar())
    assert list(open_store(s3.address).list()) == []
    Path(changed.source).unlink()
    with pytest.raises(SpecError, match="cannot be read"):
        stage([changed], {}, Bar())


def test_a_file_that_changes_while_it_is_sent_is_not_there(s3, tmp_path):
    changed = upload(s3.address, tmp_path / "file", os.urandom(20_000_000))

    @contextlib.contextmanager
    def bar(label, total):
        yield lambda done: Path(changed.source).write_bytes(b"x" * total)  # its size stays

    with pytest.raises(DataError, match="file has changed since the plan was made"):
        stage([changed], {}, bar)
    assert list(open_store(s3.address).list()) == []


def test_no_thread_hashes_a_file_again(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(2_000_000))
    known, status = fingerprints.of(path), path.stat()
    path.write_bytes(b"x" * 2_000_000)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # who looks by size and time sees what it was
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(fingerprints.of, path).result() == known


PROGRAM = """
import contextlib, json, sys
from ftsdk.plan import Upload
from ftsdk.storage.staging import stage

@contextlib.contextmanager
def bar(label, total):
    print(total, flush=True)
    yield lambda done: None

stage([Upload(**said) for said in json.loads(sys.argv[1])], {}, bar)
"""


def test_an_upload_continues_after_a_kill(s3, tmp_path):
    uploads = [upload(s3.address, tmp_path / f"file-{n:02}", os.urandom(4_000_000)) for n in range(12)]
    argv = [sys.executable, "-c", PROGRAM, json.dumps([asdict(one) for one in uploads])]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    store = open_store(s3.address)
    deadline = time.monotonic() + 60
    while not (there := list(store.list())) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert len(there) > 0
    again = Bar()
    left = sum(one.bytes for one in uploads) - sum(item.bytes for item in store.list())
    assert stage(uploads, {}, again) == again.total <= left  # what had been sent at the kill may come through after it
    assert {item.bytes for item in store.list()} == {4_000_000} and len(list(store.list())) == 12


def test_a_failed_upload_ends_the_others(s3, tmp_path):
    uploads = [upload(s3.address, tmp_path / f"file-{n}", os.urandom(1000)) for n in range(20)]
    s3.answers += [(404, "NoSuchKey")] * 20 + [(403, "AccessDenied")] * 20
    with pytest.raises(AuthError, match="access was refused"):
        stage(uploads, {}, Bar())
    s3.answers.clear()
    assert s3.count("PUT") <= 8


# --- the store ----------------------------------------------------------------------------------------------
def test_a_bucket_is_a_store(s3, tmp_path):
    store = open_store(s3.address)
    store.put("logs/a", b"0123456789")
    store.put("logs/ab", b"1")
    store.put("other", b"")
    assert list(store.list("logs/a")) == [ObjectInfo("logs/a", 10), ObjectInfo("logs/ab", 1)]
    assert [item.key for item in store.list()] == ["logs/a", "logs/ab", "other"]
    assert [store.read("logs/a", 8), store.read("logs/a", 2, 3), store.read("logs/a", 10, 5)] == [b"89", b"234", b""]
    assert store.put_if_absent("claim", b"1") and not store.put_if_absent("claim", b"2")
    for act in (lambda: store.read("no"), lambda: download(store, "no", tmp_path / "no")):
        with pytest.raises(FileNotFoundError):
            act()
    assert not list(tmp_path.iterdir())


def test_errors_of_a_store_become_ftsdk_errors(s3, monkeypatch):
    monkeypatch.setattr(objects_module, "RETRY_S", 0.5)
    s3.answers.append((403, "AccessDenied"))
    with pytest.raises(AuthError, match="check the credentials"):
        open_store(s3.address).read("key")
    with pytest.raises(BackendError, match="does not exist"):
        open_store("s3://no-such-bucket/x").put("key", b"")
    with pytest.raises(UnavailableError, match="check the network"):
        open_store("s3://bucket", {"endpoint": "http://127.0.0.1:9"}).put("key", b"")
    with pytest.raises(SpecError, match="region"):
        open_store("oss://bucket")
    with pytest.raises(UnsupportedError, match="ftp://"):
        open_store("ftp://bucket")


def test_a_download_that_is_cut_leaves_nothing(s3, tmp_path):
    store = open_store(s3.address)
    store.put("key", b"x" * 1000)

    def stop(done):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(store, "key", tmp_path / "key", stop)
    assert not list(tmp_path.iterdir())
