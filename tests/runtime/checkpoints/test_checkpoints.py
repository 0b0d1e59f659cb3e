"""A checkpoint exists when its COMMIT does, and is resumed only if every byte is what was written."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftsdk import contract
from ftsdk.runtime.checkpoints.checkpoints import DamagedCheckpointError, Identity, committed, publish, restore, retain
from ftsdk.runtime.storage.durable import DurableFolder
from tests.runtime.harness import Supervised, script
from tests.runtime.stores import check_objects_are_put_whole_and_once

ALONE = Identity(digest="d" * 64, attempt=1, num_nodes=1, node=0, world_size=1)


def checkpoint(folder, step, content=b"state"):
    """What a trainer leaves on scratch."""
    source = folder / "scratch" / f"checkpoint-{step}"
    (source / "deep").mkdir(parents=True)
    (source / "weights.bin").write_bytes(content * step)
    (source / "deep" / "optimizer.bin").write_bytes(b"o" * step)
    return source


def put(folder, step, identity=ALONE):
    durable = DurableFolder(folder / "durable")
    publish(durable, identity, step, checkpoint(folder, step), lambda: False)
    return durable


def steps(durable, digest=ALONE.digest):
    return [commit.step for commit in committed(durable, digest)]


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a/../../evil", "..\\evil", "a\x1b[2J"])
def test_a_manifest_names_nothing_outside(tmp_path, name):
    """A user who can write to a job's bucket can write manifests that match their COMMIT."""
    durable = put(tmp_path, 7)
    key = f"{contract.checkpoint_key(7)}/{contract.manifest_key(0)}"
    (tmp_path / "evil").write_bytes(b"x")
    durable.put(key, json.dumps({"attempt": 1, "files": {name: [1, hashlib.sha256(b"x").hexdigest()]}}).encode())
    commit = committed(durable, ALONE.digest)[0]
    commit.record["manifests"] = [hashlib.sha256(durable.read(key)).hexdigest()]
    with pytest.raises(DamagedCheckpointError, match="no training wrote"):
        restore(durable, commit, tmp_path / "back" / "checkpoint-7")
    assert not (tmp_path / "back" / "checkpoint-7").exists()
    assert list(tmp_path.rglob("evil")) == [tmp_path / "evil"]


@pytest.mark.parametrize(
    "content", [b"[]", b"{}", b'{"files": 1}', b'{"files": {"a": 1}}', b"\xff", b'{"files": [[1, 2]]}']
)
def test_a_manifest_of_any_form_is_damage(tmp_path, content):
    durable = put(tmp_path, 7)
    durable.put(f"{contract.checkpoint_key(7)}/{contract.manifest_key(0)}", content)
    commit = committed(durable, ALONE.digest)[0]
    commit.record["manifests"] = [hashlib.sha256(content).hexdigest()]
    with pytest.raises(DamagedCheckpointError):
        restore(durable, commit, tmp_path / "back")


@pytest.mark.parametrize("links", [True, False])
def test_a_published_checkpoint_is_restored_byte_by_byte(tmp_path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", _refuse)
    durable = put(tmp_path, 7)
    restore(durable, committed(durable, ALONE.digest)[0], tmp_path / "back")
    assert (tmp_path / "back" / "weights.bin").read_bytes() == b"state" * 7
    assert (tmp_path / "back" / "deep" / "optimizer.bin").read_bytes() == b"o" * 7
    written = tmp_path / "scratch" / "checkpoint-7" / "weights.bin"
    assert written.samefile(tmp_path / "back" / "weights.bin") is links


def _refuse(self, target):
    raise PermissionError(1, "no hard links here")


def test_a_checkpoint_without_commit_is_ignored(tmp_path):
    durable = put(tmp_path, 7)
    (tmp_path / "durable" / contract.checkpoint_key(7) / contract.COMMIT_FILE).unlink()
    assert steps(durable) == []


def test_a_checkpoint_with_another_digest_is_ignored(tmp_path):
    durable = put(tmp_path, 7)
    assert steps(durable, "e" * 64) == []


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [_truncate, _flip, os.unlink, lambda path: path.write_bytes(b"")])
@pytest.mark.parametrize("name", ["weights.bin", "deep/optimizer.bin", "manifest-n0.json"])
def test_every_kind_of_damage_is_detected(tmp_path, name, harm):
    durable = put(tmp_path, 7)
    path = tmp_path / "durable" / contract.checkpoint_key(7) / name
    copy = path.read_bytes()
    path.unlink()
    path.write_bytes(copy)  # its own file, no link to scratch
    harm(path)
    with pytest.raises(DamagedCheckpointError):
        restore(durable, committed(durable, ALONE.digest)[0], tmp_path / "back")
    assert not (tmp_path / "back").exists()


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=60))
def test_a_torn_commit_is_no_commit(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("torn")
    durable = put(folder, 7)
    (folder / "durable" / contract.checkpoint_key(7) / contract.COMMIT_FILE).write_bytes(content)
    assert steps(durable) == []


def test_retention_keeps_the_newest_and_what_is_being_written(tmp_path):
    durable = DurableFolder(tmp_path / "durable")
    for step in (5, 999_999, 10, 1_000_000):
        put(tmp_path, step)
    (tmp_path / "durable" / contract.checkpoint_key(10) / contract.COMMIT_FILE).unlink()  # never finished
    (tmp_path / "durable" / contract.checkpoint_key(1_000_001)).mkdir()
    (tmp_path / "durable" / contract.checkpoint_key(1_000_001) / "weights.bin").write_bytes(b"half")
    retain(durable, ALONE.digest, 1)
    assert steps(durable) == [1_000_000, 999_999]
    left = {path.name for path in (tmp_path / "durable" / contract.CHECKPOINTS_DIR).iterdir()}
    assert left == {"checkpoint-1000000", "checkpoint-999999", "checkpoint-1000001"}
    restore(durable, committed(durable, ALONE.digest)[0], tmp_path / "back")


def test_several_nodes_commit_when_all_parts_are_there(tmp_path):
    durable = DurableFolder(tmp_path / "durable")
    first = ALONE._replace(num_nodes=2)
    source = checkpoint(tmp_path, 7)
    assert publish(durable, first, 7, source, lambda: False) is None
    assert steps(durable) == []
    other = tmp_path / "other" / "checkpoint-7"
    other.mkdir(parents=True)
    (other / "rng_state_1.pth").write_bytes(b"rng")
    publish(durable, first._replace(node=1), 7, other, lambda: False)
    assert publish(durable, first, 7, source, lambda: False)
    restore(durable, committed(durable, ALONE.digest)[0], tmp_path / "back")
    assert (tmp_path / "back" / "rng_state_1.pth").read_bytes() == b"rng"


def test_a_part_of_an_earlier_attempt_does_not_count(tmp_path):
    durable = DurableFolder(tmp_path / "durable")
    second = ALONE._replace(num_nodes=2, node=1)
    publish(durable, second, 7, checkpoint(tmp_path, 7), lambda: False)
    later = ALONE._replace(num_nodes=2, attempt=2)
    assert publish(durable, later, 7, tmp_path / "scratch" / "checkpoint-7", lambda: False) is None


def test_the_checkpoint_before_a_damaged_one_is_resumed(tmp_path):
    trainer = script(tmp_path, "for step in (2, 4): save(step); time.sleep(1)\nos.kill(os.getpid(), signal.SIGKILL)")
    Supervised(tmp_path, trainer).wait()
    damaged = tmp_path / "durable" / contract.checkpoint_key(4) / "state.txt"
    _truncate(damaged)
    second = Supervised(tmp_path, script(tmp_path, "print('resume', job['resume'])"), attempt=2)
    assert second.wait() == contract.EXIT_SUCCEEDED
    assert second.output()[-1].endswith("checkpoint-2")
    assert any("checkpoint 4 is damaged" in line and "state.txt" in line for line in second.lines())


def test_objects_are_put_whole_and_once(tmp_path):
    check_objects_are_put_whole_and_once(DurableFolder(tmp_path / "durable"), tmp_path)


def test_a_publish_that_fails_leaves_nothing_and_training_goes_on(tmp_path):
    trainer = script(
        tmp_path,
        "blocked = pathlib.Path(job['document']['durable'], 'checkpoints')\n"
        "blocked.write_text('in the way')\nsave(1); time.sleep(0.5); blocked.unlink()\nsave(2); time.sleep(0.5)\n",
    )
    run = Supervised(tmp_path, trainer)
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert [event["step"] for event in run.events(contract.EVENT_COMMIT)] == [2]
    assert any("checkpoint 1 could not be published" in line for line in run.lines())
    manifest = json.loads(DurableFolder(tmp_path / "durable").read(f"{contract.checkpoint_key(2)}/manifest-n0.json"))
    assert list(manifest["files"]) == ["state.txt"]
