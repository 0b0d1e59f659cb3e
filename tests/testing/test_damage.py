"""A damaged checkpoint is never resumed from, in whatever way it is damaged."""

from __future__ import annotations

from random import Random

import pytest

from ftsdk import contract
from ftsdk.testing.faults import damage
from tests.runtime.harness import Supervised, script

FILES = ("adapter_model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")
SAVES_TWICE = f"""
durable = pathlib.Path(job["document"]["durable"])
for step in (5, 10):
    folder = output / f"checkpoint-{{step}}"
    folder.mkdir()
    for name in {FILES}:
        (folder / name).write_text(f"{{step}} {{name}}" * 100)
    send({{"event": "checkpoint", "step": step, "path": str(folder)}})
    while not (durable / "checkpoints" / f"checkpoint-{{step:06d}}" / "COMMIT").is_file():
        time.sleep(0.01)
os.kill(os.getpid(), 9)
"""
SAYS_WHERE_FROM = "print('from', job['resume'] and job['resume'].rpartition('-')[2])"


@pytest.fixture
def saved(tmp_path):
    """A durable folder with two committed checkpoints."""
    run = Supervised(tmp_path, script(tmp_path, SAVES_TWICE))
    run.wait()
    assert [event["step"] for event in run.events(contract.EVENT_COMMIT)] == [5, 10]
    return tmp_path


@pytest.mark.parametrize("way", damage.WAYS)
def test_the_checkpoint_before_it_is_used(way, saved):
    folder = damage.newest(saved / "durable")
    assert folder.name == "checkpoint-000010"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage.damage(folder, way, Random(way))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} != before
    again = Supervised(saved, script(saved, SAYS_WHERE_FROM), attempt=2)
    assert again.wait() == contract.EXIT_SUCCEEDED
    assert "from 5" in again.output()


def test_kinds_of_damage_cover_what_breaks_the_trainers_own_resume():
    theirs = {
        "truncated-optimizer", "truncated-weights", "no-trainer-state", "no-optimizer", "no-random-state",
        "no-scheduler", "empty-folder", "only-weights",
    }  # fmt: skip
    assert theirs < set(damage.WAYS)


def test_without_a_checkpoint_there_is_nothing_to_damage(tmp_path):
    assert damage.newest(tmp_path) is None
