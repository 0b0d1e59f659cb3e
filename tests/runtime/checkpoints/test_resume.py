"""Which checkpoint an attempt goes on from: every damage is found, and what does not fit is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.runtime.checkpoints.checkpoints import Identity, committed, publish, retain
from ftsdk.runtime.checkpoints.resume import UnusableCheckpointError, global_batch, restore_newest
from ftsdk.runtime.storage.durable import DurableFolder

ALONE = Identity(digest="d" * 64, attempt=1, num_nodes=1, node=0, world_size=1, global_batch=8, versions={"torch": "1"})
FILES = (
    "adapter_model.safetensors",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
    "ftsdk_rank_0.pt",
)
OLDER, NEWER = contract.checkpoint_key(5), contract.checkpoint_key(10)
MANIFEST, COMMIT = contract.manifest_key(0), contract.COMMIT_FILE


def put(root: Path, step: int, identity: Identity = ALONE, best: int | None = None) -> None:
    source = root / f"scratch-{step}"
    source.mkdir(parents=True)
    for name in FILES:
        (source / name).write_bytes(f"{name} of {step} ".encode() * 50)
    publish(DurableFolder(root / "durable"), identity, step, source, lambda: False, best)
    shutil.rmtree(source)  # its inodes are the published files'


@pytest.fixture
def durable(tmp_path):
    put(tmp_path, 5)
    put(tmp_path, 10)
    return tmp_path / "durable"


def taken(durable: Path, identity: Identity = ALONE, config: dict | None = None):
    """(step, files, warnings) of what an attempt would go on from."""
    output, said = durable.parent / "output", []
    commit = restore_newest(DurableFolder(durable), identity, output, config or {}, said.append)
    folders = {path.name for path in output.iterdir()} if output.exists() else set()
    return commit and commit.step, folders, said


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("harm", [_cut, _half, _flip, _empty, _zeros, Path.unlink])
@pytest.mark.parametrize("name", [*FILES, MANIFEST, COMMIT])
def test_a_checkpoint_with_a_damaged_file_is_discarded(durable, name, harm):
    harm(durable / NEWER / name)
    step, folders, said = taken(durable)
    assert (step, folders) == (5, {"checkpoint-5"})
    assert name == COMMIT or any("checkpoint 10 is damaged" in line and name in line for line in said)


def _edit(path: Path, change) -> None:
    record = json.loads(path.read_bytes())
    change(record)
    path.write_text(json.dumps(record))


def _only_weights(folder: Path) -> None:
    for name in (*FILES[1:], MANIFEST):
        (folder / name).unlink()


def _emptied(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()


def _manifest_without_optimizer(folder: Path) -> None:
    (folder / "optimizer.pt").unlink()
    _edit(folder / MANIFEST, lambda manifest: manifest["files"].pop("optimizer.pt"))


def _manifest_that_fits_the_damage(folder: Path) -> None:
    _cut(folder / "optimizer.pt")
    size = (folder / "optimizer.pt").stat().st_size
    _edit(folder / MANIFEST, lambda manifest: manifest["files"].update({"optimizer.pt": [size, "0" * 64]}))


def _commit_of_the_other(folder: Path) -> None:
    shutil.copy(folder.parent.parent / OLDER / COMMIT, folder / COMMIT)


def _commit_of_another_world(folder: Path) -> None:
    _edit(folder / COMMIT, lambda record: record.update(world_size=2))


def _commit_of_another_job(folder: Path) -> None:
    _edit(folder / COMMIT, lambda record: record.update(digest="e" * 64))


def _files_of_the_other(folder: Path) -> None:
    for name in FILES:
        shutil.copy(folder.parent.parent / OLDER / name, folder / name)


@pytest.mark.parametrize(
    "harm",
    [
        _only_weights,
        _emptied,
        shutil.rmtree,
        _manifest_without_optimizer,
        _manifest_that_fits_the_damage,
        _commit_of_the_other,
        _commit_of_another_world,
        _commit_of_another_job,
        _files_of_the_other,
    ],
)
def test_a_checkpoint_with_a_damaged_folder_is_discarded(durable, harm):
    harm(durable / NEWER)
    assert taken(durable)[:2] == (5, {"checkpoint-5"})


@pytest.mark.parametrize("name", ["checkpoint-is-incomplete.txt", "optimizer.pt.tmp", "notes/readme.md"])
def test_files_that_no_manifest_names_are_not_restored(durable, name):
    extra = durable / NEWER / name
    extra.parent.mkdir(exist_ok=True)
    extra.write_text("left by somebody")
    assert taken(durable)[:2] == (10, {"checkpoint-10"})
    restored = durable.parent / "output" / "checkpoint-10"
    assert {path.name for path in restored.iterdir()} == set(FILES)


def test_without_a_complete_checkpoint_the_training_starts_over_with_a_note(durable):
    _flip(durable / NEWER / "optimizer.pt")
    _flip(durable / OLDER / "optimizer.pt")
    step, folders, said = taken(durable)
    assert (step, folders) == (None, set())
    assert said[-1] == "no checkpoint is valid: training begins anew."


# --- the best one -------------------------------------------------------------------------------------------
def test_the_best_checkpoint_is_kept_and_restored(tmp_path):
    for step in (2, 4, 6, 8, 10):
        put(tmp_path, step, best=4)
    durable = DurableFolder(tmp_path / "durable")
    retain(durable, ALONE.digest, 2)
    assert [commit.step for commit in committed(durable, ALONE.digest)] == [10, 8, 4]
    assert taken(tmp_path / "durable")[:2] == (10, {"checkpoint-10", "checkpoint-4"})


def test_without_its_best_one_a_checkpoint_is_not_whole(tmp_path):
    put(tmp_path, 4, best=4)
    put(tmp_path, 6, best=6)
    put(tmp_path, 8, best=6)
    _flip(tmp_path / "durable" / contract.checkpoint_key(6) / "optimizer.pt")
    assert taken(tmp_path / "durable")[:2] == (4, {"checkpoint-4"})
    shutil.rmtree(tmp_path / "durable" / contract.checkpoint_key(6))
    shutil.rmtree(tmp_path / "output")
    step, _, said = taken(tmp_path / "durable")
    assert step == 4 and "checkpoint 6, is missing" in said[0]


# --- what must be the same ----------------------------------------------------------------------------------
def test_another_global_batch_is_refused(durable):
    with pytest.raises(UnusableCheckpointError, match="8 rows in a step, now there are 16"):
        taken(durable, ALONE._replace(world_size=2, global_batch=16))


def test_more_processes_with_the_same_global_batch_are_taken_with_a_warning(durable):
    step, _, [said] = taken(durable, ALONE._replace(world_size=2))
    assert step == 10 and "saved by 1 processes, now there are 2" in said


@pytest.mark.parametrize("sharded", ["deepspeed", "fsdp"])
def test_sharded_state_needs_as_many_processes(durable, sharded):
    with pytest.raises(UnusableCheckpointError, match="in parts for 1 processes"):
        taken(durable, ALONE._replace(world_size=2), {sharded: "settings"})


def test_other_package_versions_give_a_warning(durable):
    step, _, [said] = taken(durable, ALONE._replace(versions={"torch": "2"}))
    assert step == 10 and "torch 1 (now 2)" in said


def test_a_checkpoint_of_another_digest_is_not_taken(durable):
    assert taken(durable, ALONE._replace(digest="e" * 64)) == (None, set(), [])


def test_the_global_batch_counts_all_processes():
    config = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    assert global_batch({"config": config}, 2) == 16
    assert global_batch({"config": {}}, 2) is None
