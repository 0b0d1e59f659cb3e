"""Whole supervised runs whose durable storage is a bucket, over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from ftsdk import contract
from ftsdk.models.model import open_model
from ftsdk.runtime.storage.durable import open_durable
from ftsdk.runtime.storage.spool import DurableBucket
from ftsdk.storage.records import read_lines
from tests.emulators.proxy import Network
from tests.runtime.harness import Supervised, document, script


def test_a_killed_run_goes_on_from_the_checkpoint_in_the_bucket(s3, tmp_path):
    first = script(tmp_path, "save(1); save(2); time.sleep(600)")
    run = Supervised(tmp_path, first, durable=s3.address)
    run.wait_for('"event": "commit", "step": 2')
    run.process.send_signal(signal.SIGKILL)
    run.process.communicate()
    second = Supervised(
        tmp_path / "elsewhere",
        script(tmp_path, "print('resume', job['resume']); (output / 'weights.bin').write_bytes(b'w' * 20_000_000)"),
        durable=s3.address,
        attempt=2,
    )
    assert second.wait() == contract.EXIT_SUCCEEDED
    assert second.output()[-1].endswith("checkpoint-2")
    assert second.stdout.decode().split("\n")[:-1] == second.stamped()
    model = open_model(second.store, "local://job", document(tmp_path, first))
    assert (model.download(tmp_path / "model") / "weights.bin").stat().st_size == 20_000_000
    assert model.uri == f"{s3.address}/model" and model.files["weights.bin"] == 20_000_000


def test_a_restarted_container_goes_on_behind_its_lines(s3, tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "print('one', flush=True); time.sleep(600)"), durable=s3.address)
    run.wait_for("one")
    run.process.send_signal(signal.SIGKILL)
    run.process.communicate()
    again = Supervised(tmp_path, script(tmp_path, "print('two')"), durable=s3.address)
    assert again.wait() == contract.EXIT_SUCCEEDED
    assert again.output() == ["one", "two"]
    numbers = [contract.split_line(line)[0].sequence for line in again.stamped()]
    second = numbers.index(DurableBucket.lines_apart)
    assert numbers == [
        *range(second),
        *range(DurableBucket.lines_apart, DurableBucket.lines_apart + len(numbers) - second),
    ]


def test_the_model_is_the_same_after_an_outage_of_storage(s3, tmp_path):
    network = Network(s3.url)
    trainer = script(
        tmp_path,
        "for number in range(1, 9):\n    print('line', number, flush=True); save(number); time.sleep(0.5)\n",
    )
    run = Supervised(tmp_path, trainer, durable=s3.address, storage={"endpoint": network.url})
    run.wait_for('"event": "commit"')
    network.down()
    time.sleep(2)
    network.up()
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert [line for line in run.output() if line.startswith("line")] == [f"line {n}" for n in range(1, 9)]
    assert run.events(contract.EVENT_COMMIT)[-1]["step"] == 8
    assert not any("warning" in line for line in run.lines())


def test_a_follower_gets_every_line_once(s3, tmp_path):
    trainer = script(tmp_path, "for number in range(30): print('line', number, flush=True); time.sleep(0.1)")
    run = Supervised(tmp_path, trainer, durable=s3.address)
    ended = lambda: run.process.poll() is not None  # noqa: E731
    followed = [line.text for line in read_lines(run.store, after=None, follow=True, ended=ended)]
    run.wait()
    assert followed == run.lines() and len(run.output()) == 30
    assert s3.count("PUT", "/logs/") <= 5


def test_a_sigterm_leaves_its_checkpoint_in_the_bucket(s3, tmp_path):
    trainer = script(
        tmp_path,
        "def stop(*_): save(7); sys.exit(75)\n"
        "signal.signal(signal.SIGTERM, stop)\nprint('ready', flush=True)\ntime.sleep(600)",
    )
    run = Supervised(tmp_path, trainer, durable=s3.address)
    run.wait_for("ready")
    assert run.terminate() == contract.EXIT_INTERRUPTED
    assert run.events(contract.EVENT_COMMIT)[-1]["step"] == 7


def test_credentials_may_come_as_secrets(s3, tmp_path, monkeypatch):
    secrets = tmp_path / "secrets.json"
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    secrets.write_text(json.dumps({name: os.environ[name] for name in names}))
    for name in names:
        monkeypatch.delenv(name)
    environ = {contract.ENV_SECRETS_FILE: str(secrets)}
    run = Supervised(tmp_path, script(tmp_path, "print('hello')"), durable=s3.address, environ=environ)
    assert run.wait() == contract.EXIT_SUCCEEDED


def test_an_image_without_the_library_reports_it(s3, tmp_path):
    poison = tmp_path / "poison" / "obstore"
    poison.mkdir(parents=True)
    (poison / "__init__.py").write_text("raise ModuleNotFoundError('No module named obstore', name='obstore')")
    environ = {"PYTHONPATH": str(poison.parent)}
    run = Supervised(tmp_path, script(tmp_path, ""), durable=s3.address, environ=environ)
    assert run.wait() == contract.EXIT_CONTRACT
    assert "obstore" in run.stderr.decode() and len(run.stderr.splitlines()) == 1


def test_wrong_credentials_end_the_start_in_one_sentence(s3, tmp_path):
    s3.answers += [(403, "InvalidAccessKeyId")] * 20
    run = Supervised(tmp_path, script(tmp_path, ""), durable=s3.address)
    assert run.wait() == contract.EXIT_CRASHED
    s3.answers.clear()
    assert "access was refused (403 InvalidAccessKeyId)" in run.stderr.decode()
    assert len(run.stderr.splitlines()) == 1


def test_a_folder_is_still_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_durable(document(tmp_path, ""), {}).read("nothing")


def test_files_of_reporters_are_uploaded_to_the_bucket(s3, tmp_path):
    trainer = script(
        tmp_path,
        "for name in ('TENSORBOARD_LOGGING_DIR', 'WANDB_DIR'):\n"
        "    folder = pathlib.Path(os.environ[name]); folder.mkdir(parents=True, exist_ok=True)\n"
        "    (folder / 'file').write_text(name)\n",
    )
    wandb = {"project": "p", "entity": None, "mode": "offline", "run_id": "job", "config": {}}
    run = Supervised(tmp_path, trainer, durable=s3.address, wandb=wandb)
    assert run.wait() == contract.EXIT_SUCCEEDED
    assert run.store.read("tensorboard/file") == b"TENSORBOARD_LOGGING_DIR"
    assert run.store.read("file") == b"WANDB_DIR"  # W&B makes `wandb/` in it
