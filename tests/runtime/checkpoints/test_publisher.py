"""Publishing off the training path: one at a time, the newest first, and again while storage fails."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

from ftsdk import contract
from ftsdk.runtime.checkpoints.checkpoints import Identity, committed
from ftsdk.runtime.checkpoints.publisher import LocalCheckpoint, Publisher
from ftsdk.runtime.storage.durable import DurableFolder
from tests.runtime.harness import Supervised, script

ALONE = Identity(digest="d" * 64, attempt=1, num_nodes=1, node=0, world_size=1)
TIMEOUT_S = 60.0


class Faulty(DurableFolder):
    """A mount whose disk is full, missing or slow, for a given time."""

    problem = 0
    held: threading.Event | None = None

    def put_file(self, key, source):
        if self.held:
            self.held.wait(TIMEOUT_S)
        if self.problem:
            raise OSError(self.problem, "as told")
        return super().put_file(key, source)


def checkpoint(root: Path, step: int, best: str = "") -> LocalCheckpoint:
    source = root / "scratch" / f"checkpoint-{step}"
    source.mkdir(parents=True)
    (source / "weights").write_bytes(b"w" * step)
    return LocalCheckpoint(step, source, best)


def started(root: Path, **fault) -> tuple[Faulty, Publisher]:
    durable = Faulty(root / "durable")
    for name, value in fault.items():
        setattr(durable, name, value)
    return durable, Publisher(durable, ALONE, 2, lambda: None)


def until(condition) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def steps(durable) -> list[int]:
    return [commit.step for commit in committed(durable, ALONE.digest)]


def test_publishing_is_retried_until_storage_is_back(tmp_path):
    durable, publisher = started(tmp_path, problem=errno.EIO)
    publisher.offer(checkpoint(tmp_path, 1))
    until(lambda: any(report.problem for report in publisher.reports()))
    assert steps(durable) == [] and not publisher.idle
    durable.problem = 0
    until(lambda: publisher.idle)
    assert steps(durable) == [1]
    assert publisher.reports()[-1].problem == ""


def test_publishing_to_a_full_disk_leaves_nothing_and_stops_on_request(tmp_path):
    durable, publisher = started(tmp_path, problem=errno.ENOSPC)
    publisher.offer(checkpoint(tmp_path, 1))
    until(lambda: any("as told" in report.problem for report in publisher.reports()))
    publisher.give_up()
    until(lambda: publisher.idle)
    assert list(durable.list(contract.CHECKPOINTS_DIR)) == []


def test_a_newer_checkpoint_replaces_one_that_fails_to_publish(tmp_path):
    durable, publisher = started(tmp_path, problem=errno.EIO)
    publisher.offer(checkpoint(tmp_path, 1))
    until(lambda: any(report.problem for report in publisher.reports()))
    durable.problem = 0
    publisher.offer(checkpoint(tmp_path, 2))
    until(lambda: publisher.idle)
    assert steps(durable)[0] == 2


def test_a_best_one_that_was_overtaken_in_the_queue_is_published_first(tmp_path):
    durable, publisher = started(tmp_path, held=threading.Event())
    publisher.offer(checkpoint(tmp_path, 1))
    until(lambda: not publisher.idle and publisher._waiting is None)
    publisher.offer(checkpoint(tmp_path, 2, best="checkpoint-2"))
    publisher.offer(checkpoint(tmp_path, 3, best="checkpoint-2"))
    durable.held.set()
    until(lambda: publisher.idle)
    assert steps(durable) == [3, 2]
    assert [commit.best for commit in committed(durable, ALONE.digest)] == [2, 2]
    assert {path.name for path in (tmp_path / "scratch").iterdir()} == {"checkpoint-3", "checkpoint-2"}


AWAY = """
durable = pathlib.Path(job["document"]["durable"])
away = durable.with_name("away")
metrics(1); save(1); time.sleep(1)
durable.rename(away)
durable.symlink_to("/proc/self/no/such")
for step in range(2, 30):
    metrics(step); time.sleep(0.05)
    if step == 5: save(5)
time.sleep(1)
durable.unlink(); away.rename(durable)
for step in range(30, 40):
    metrics(step); time.sleep(0.1)
(output / "model.bin").write_text("m")
"""


def test_training_goes_on_while_the_durable_folder_is_away(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, AWAY))
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert [event["step"] for event in run.events(contract.EVENT_COMMIT)] == [1, 5]
    assert [event["step"] for event in run.events(contract.EVENT_METRICS)] == list(range(1, 40))
    assert any("checkpoint 5 could not be published" in line for line in run.lines())
