"""Real trainings that hang in each of the usual ways are found, named and ended."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from ftsdk import contract
from tests.runtime.harness import gone
from tests.runtime.programs.test_training import STEPS, steps, train

pytestmark = pytest.mark.trainer

WHEN_IMPORTED = """
import atexit, os, sys, threading, time

def wait_for_ever(*args, **kwargs):
    time.sleep(3600)

def when(module, name, change):
    def poll():
        while not hasattr(sys.modules.get(module), name):
            time.sleep(0.01)
        change(sys.modules[module])
    threading.Thread(target=poll, daemon=True).start()

def in_the_fifth(original, also=lambda: True):
    calls = []
    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == 5 and also():
            wait_for_ever()
        return original(*args, **kwargs)
    return call

"""
"""The beginning of a `sitecustomize.py` that has a library hang."""


def hanging(root: Path, code: str) -> dict[str, dict[str, str]]:
    (root / "site").mkdir(parents=True)
    (root / "site" / "sitecustomize.py").write_text(WHEN_IMPORTED + code)
    return {"env": {"PYTHONPATH": str(root / "site")}}


def test_a_stopped_rank_is_named(tmp_path, tiny_folder):
    """The other rank waits in a collective."""
    run = train(tmp_path, tiny_folder, nproc_per_node=2, hang_s=2.0, config={"max_steps": 1000})
    run.wait_for('"event": "commit", "step": 5')
    stopped = int((tmp_path / "scratch" / "run" / "worker-1.pid").read_text())
    os.kill(stopped, signal.SIGSTOP)
    assert run.wait() == contract.EXIT_CRASHED, run.lines()[-5:]
    assert run.ended() == ("FAILED", "hang")
    assert "rank 1 is stopped by a signal" in run.outcome()["message"]
    assert "torch/" in (run.durable / contract.stacks_key(1, 0, 1)).read_text()
    assert gone(str(tmp_path / "scratch"))


LOADER_HANGS = """
def change(fetch):
    fetch._MapDatasetFetcher.fetch = in_the_fifth(fetch._MapDatasetFetcher.fetch)
when("torch.utils.data._utils.fetch", "_MapDatasetFetcher", change)
"""
COLLECTIVE_HANGS = """
def change(trainer):
    import torch.distributed as dist
    original, calls = trainer.Trainer.training_step, []
    def step(*args, **kwargs):
        calls.append(1)
        if len(calls) == 5 and os.environ["RANK"] == "1":
            dist.barrier()  # which rank 0 never enters
        return original(*args, **kwargs)
    trainer.Trainer.training_step = step
when("transformers.trainer", "Trainer", change)
"""
EVALUATION_HANGS = """
def change(trainer):
    trainer.Trainer.prediction_step = in_the_fifth(trainer.Trainer.prediction_step)
when("transformers.trainer", "Trainer", change)
"""
SAVE_HANGS = """
def change(trainer):
    trainer.Trainer._save_checkpoint = wait_for_ever
when("transformers.trainer", "Trainer", change)
"""
EXIT_HANGS = "atexit.register(lambda: os.environ.get('FTSDK_TRAIN') and wait_for_ever())"
HELD_OUT = {"val_size": 0.2, "eval_strategy": "steps", "eval_steps": 4, "per_device_eval_batch_size": 2}

CASES = {
    "data loader": (LOADER_HANGS, {"config": {"dataloader_num_workers": 1}}, "'step'", "of rank 0 is in wait_for_ever"),
    "data loader without processes": (LOADER_HANGS, {}, "'step'", "rank 0 is in wait_for_ever"),
    "collective": (COLLECTIVE_HANGS, {"nproc_per_node": 2}, "'step'", "waits for other ranks"),
    "evaluation": (EVALUATION_HANGS, {"config": HELD_OUT}, "'evaluation'", "rank 0 is in wait_for_ever"),
    "checkpoint": (SAVE_HANGS, {}, "'checkpoint'", "rank 0 is in wait_for_ever"),
}


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_a_hang_in_every_phase_is_detected_and_named(tmp_path, tiny_folder, case):
    code, options, phase, words = CASES[case]
    run = train(tmp_path, tiny_folder, hang_s=1.0, **hanging(tmp_path, code), **options)
    assert run.wait() == contract.EXIT_CRASHED, run.lines()[-5:]
    record = run.outcome()
    assert record["reason"] == "hang", record
    assert phase in record["message"] and words in record["message"]


@pytest.mark.long
def test_a_hub_that_never_answers(tmp_path, tiny_folder):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hub = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environ = {"HF_ENDPOINT": hub, "HF_HUB_DOWNLOAD_TIMEOUT": "600", "HF_HUB_ETAG_TIMEOUT": "600"}
        config = {"model_name_or_path": "org/model"}
        run = train(tmp_path, tiny_folder, hang_s=1.0, config=config, environ=environ)
        run.wait()
    assert run.ended() == ("FAILED", "hang")
    assert "'loading'" in run.outcome()["message"]


@pytest.mark.long
def test_a_training_that_has_ended_but_does_not_exit_is_a_success(tmp_path, tiny_folder):
    """Such as a library whose exit hook waits forever."""
    run = train(tmp_path, tiny_folder, hang_s=2.0, **hanging(tmp_path, EXIT_HANGS))
    assert run.wait() == contract.EXIT_SUCCEEDED, run.lines()[-5:]
    assert any("in the phase 'exit'" in line for line in run.lines())
    assert steps(run) == STEPS


@pytest.mark.long
def test_slow_phases_are_not_hung(tmp_path, tiny_folder):
    """The first step, evaluations and saves take longer than a step may."""
    slow = """
def change(trainer):
    for name in ("prediction_step", "_save_checkpoint"):
        def slow(*args, original=getattr(trainer.Trainer, name), **kwargs):
            end = time.monotonic() + 2
            while time.monotonic() < end: sum(range(1000))
            return original(*args, **kwargs)
        setattr(trainer.Trainer, name, slow)
when("transformers.trainer", "Trainer", change)
"""
    config = {**HELD_OUT, "eval_steps": 6, "per_device_eval_batch_size": 8}
    run = train(tmp_path, tiny_folder, hang_s=1.0, config=config, **hanging(tmp_path, slow))
    assert run.wait() == contract.EXIT_SUCCEEDED, run.lines()[-5:]
