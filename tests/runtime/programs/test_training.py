"""LLaMA-Factory through the archive: trains, is interrupted, resumes and fails under the supervisor."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from itertools import pairwise

import pytest

from ftsdk import contract
from ftsdk.testing import tiny
from tests.runtime.harness import Supervised, gone
from tests.runtime.programs import wandb_file

pytestmark = pytest.mark.trainer

EVERY_5 = {"every_minutes": None, "every_steps": 5, "mtbf_hours": None, "keep": 2}
STEPS = list(range(1, 13))
RUN = {
    "project": "project",
    "entity": None,
    "mode": "auto",
    "run_id": "job-run",
    "config": {"spec": {"name": "job"}, "trainer": {"learning_rate": 1e-3}},
}


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return tiny.make(tmp_path_factory.mktemp("tiny"))


def train(root, tiny_folder, *, attempt=1, config=None, data="train.json", **options):
    root.mkdir(exist_ok=True)
    given = {
        "python": tiny.TRAINER_PYTHON,
        "config": tiny.config(tiny_folder, **(config or {})),
        "dataset_info": tiny.dataset_info(tiny_folder, data),
        "checkpoint": EVERY_5,
        "grace_s": 60.0,
        **options,
    }
    return Supervised(root, "llamafactory", attempt=attempt, **given)


def weights(root):
    return (root / "durable" / "model" / "adapter_model.safetensors").read_bytes()


def losses(*runs):
    events = (event for run in runs for event in run.events(contract.EVENT_METRICS))
    return {event["step"]: event["loss"] for event in events if "loss" in event}


def steps(*runs):
    events = (event for run in runs for event in run.events(contract.EVENT_METRICS))
    return [event["step"] for event in events if "loss" in event]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_folder):
    root = tmp_path_factory.mktemp("uninterrupted")
    run = train(root, tiny_folder)
    assert run.wait() == contract.EXIT_SUCCEEDED, run.lines()[-5:]
    return run


def test_a_training_reports_every_step_and_leaves_a_model(uninterrupted):
    assert uninterrupted.ended() == ("SUCCEEDED", "")
    assert steps(uninterrupted) == STEPS
    first = uninterrupted.events(contract.EVENT_METRICS)[0]
    assert {"loss", "grad_norm", "learning_rate", "tokens_per_s", "eta_s", "epoch", "time"} <= first.keys()
    assert first["total_steps"] == 12
    model = {path.name for path in (uninterrupted.durable / "model").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", contract.COMMIT_FILE} <= model
    assert not {"training_args.bin", "optimizer.pt", "checkpoint-10"} & model
    assert [event["step"] for event in uninterrupted.events(contract.EVENT_COMMIT)] == [5, 10]
    assert not [line for line in uninterrupted.lines() if "it/s]" in line], "a progress bar in the log"


@pytest.fixture(scope="module")
def interrupted(tmp_path_factory, tiny_folder):
    """Two attempts, W&B and TensorBoard on, no key."""
    root = tmp_path_factory.mktemp("interrupted")
    options = {"wandb": RUN, "config": {"report_to": ["wandb", "tensorboard"]}, "environ": {"WANDB_API_KEY": ""}}
    first = train(root, tiny_folder, **options)
    first.wait_for('"step": 7,')
    assert first.terminate() == contract.EXIT_INTERRUPTED, first.lines()[-5:]
    second = train(root, tiny_folder, attempt=2, **options)
    assert second.wait() == contract.EXIT_SUCCEEDED, second.lines()[-5:]
    return first, second


def test_an_interrupted_training_ends_with_the_same_model(interrupted, uninterrupted):
    first, second = interrupted
    assert first.ended() == ("INTERRUPTED", "preempted")
    saved = first.events(contract.EVENT_COMMIT)[-1]["step"]
    assert saved >= 7 and first.outcome()["step"] == saved
    assert steps(first, second) == STEPS
    assert losses(first, second) == losses(uninterrupted)
    assert weights(second.root) == weights(uninterrupted.root)


def test_speed_counts_the_tokens_of_this_attempt_only(interrupted):
    events = [event for event in interrupted[1].events(contract.EVENT_METRICS) if "loss" in event]
    most = 2 * 64  # rows in a batch, tokens in a row
    for before, after in pairwise(events):
        assert 0 < after["tokens_per_s"] * (after["time"] - before["time"]) < most * 1.1


def test_offline_wandb_files_are_one_run_in_order(interrupted):
    files = sorted((interrupted[1].durable / "wandb").glob("offline-run-*/*.wandb"))
    read = [_read_wandb(file) for file in files]
    assert [file["run"]["id"] for file in read] == ["job-run", "job-run"]
    assert read[0]["run"]["started"] < read[1]["run"]["started"]  # `wandb sync` takes the files of a run in this order
    assert [file["config"]["ftsdk"] for file in read] == [RUN["config"]] * 2
    seen = [row["train/global_step"] for file in read for row in file["history"] if "train/loss" in row]
    assert seen == STEPS
    assert [file["exit_code"] for file in read] == [contract.EXIT_INTERRUPTED, 0]
    assert [file["preempting"] for file in read] == [True, False]
    assert len(list((interrupted[1].durable / "tensorboard").iterdir())) == 2


def _read_wandb(file):
    program = [tiny.TRAINER_PYTHON, wandb_file.__file__, str(file)]
    return json.loads(subprocess.run(program, capture_output=True, check=True).stdout)


def test_two_processes_stop_at_the_same_step_and_resume(tmp_path, tiny_folder):
    often = {"every_minutes": 1e-5, "every_steps": None, "mtbf_hours": None, "keep": 2}
    first = train(tmp_path, tiny_folder, nproc_per_node=2, checkpoint=often)
    first.wait_for('"step": 6,')
    assert first.terminate() == contract.EXIT_INTERRUPTED, first.lines()[-5:]
    assert len(first.events(contract.EVENT_CHECKPOINT)) > 1, "the clock asked for none"
    assert any(event.get("all_reduce_gb_s", 0) > 0 for event in first.events(contract.EVENT_NODE_CHECK))
    saved = first.events(contract.EVENT_COMMIT)[-1]["step"]
    assert saved >= 6
    ranks = {path.name for path in (tmp_path / "durable" / contract.checkpoint_key(saved)).glob("rng_state*")}
    assert ranks == {"rng_state_0.pth", "rng_state_1.pth"}
    second = train(tmp_path, tiny_folder, attempt=2, nproc_per_node=2)
    assert second.wait() == contract.EXIT_SUCCEEDED, second.lines()[-5:]
    assert steps(first, second) == STEPS


@pytest.mark.long
def test_two_interrupted_processes_end_with_the_same_model(tmp_path, tiny_folder):
    whole = train(tmp_path / "whole", tiny_folder, nproc_per_node=2)
    assert whole.wait() == contract.EXIT_SUCCEEDED
    first = train(tmp_path / "parts", tiny_folder, nproc_per_node=2)
    first.wait_for('"step": 7,')
    first.terminate()
    second = train(tmp_path / "parts", tiny_folder, attempt=2, nproc_per_node=2)
    assert second.wait() == contract.EXIT_SUCCEEDED
    assert losses(first, second) == losses(whole)
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


@pytest.mark.long
def test_a_signal_to_one_of_two_nodes_saves_on_both(tmp_path, tiny_folder):
    nodes = _two_nodes(tmp_path, tiny_folder, attempt=1, port="29611")
    nodes[0].wait_for('"step": 6,')
    assert nodes[1].terminate() == contract.EXIT_INTERRUPTED
    assert nodes[0].wait() == contract.EXIT_INTERRUPTED
    assert nodes[0].events(contract.EVENT_COMMIT)[-1]["step"] >= 6
    again = _two_nodes(tmp_path, tiny_folder, attempt=2, port="29612")
    assert [node.wait() for node in again] == [contract.EXIT_SUCCEEDED] * 2
    assert steps(nodes[0], again[0]) == STEPS


def _two_nodes(root, tiny_folder, *, attempt, port):
    """Two supervisors that share the durable folder, as two containers do."""
    nodes = []
    for rank in (0, 1):
        environ = {
            contract.ENV_NUM_NODES: "2",
            contract.ENV_NODE_RANK: str(rank),
            contract.ENV_MASTER_ADDR: "127.0.0.1",
            contract.ENV_MASTER_PORT: port,
        }
        node = train(
            root / f"node{rank}",
            tiny_folder,
            attempt=attempt,
            num_nodes=2,
            durable=str(root / "durable"),
            environ=environ,
        )
        node.durable = root / "durable"
        nodes.append(node)
    return nodes


def _cut(path):
    path.write_bytes(path.read_bytes()[:-9])


@pytest.mark.parametrize("harm", [_cut, os.unlink])
def test_a_damaged_checkpoint_ends_in_the_same_model(tmp_path, tiny_folder, uninterrupted, harm):
    kept = tmp_path / "durable" / contract.CHECKPOINTS_DIR
    shutil.copytree(uninterrupted.durable / contract.CHECKPOINTS_DIR, kept)
    harm(tmp_path / "durable" / contract.checkpoint_key(10) / "optimizer.pt")
    again = train(tmp_path, tiny_folder, attempt=2)
    assert again.wait() == contract.EXIT_SUCCEEDED
    assert any("checkpoint 10 is damaged (optimizer.pt" in line for line in again.lines())
    assert steps(again) == STEPS[5:]
    assert losses(again) == {step: loss for step, loss in losses(uninterrupted).items() if step > 5}
    assert weights(tmp_path) == weights(uninterrupted.root)


def test_a_killed_supervisor_takes_all_ranks_with_it(tmp_path, tiny_folder):
    run = train(tmp_path, tiny_folder, nproc_per_node=2, config={"max_steps": 500})
    run.wait_for('"step": 2,')
    run.process.kill()
    run.wait()
    assert gone(str(tmp_path))
    assert not (tmp_path / "durable" / contract.outcome_key(1, 0)).exists()


def test_a_loss_that_is_no_number_ends_at_once(tmp_path, tiny_folder):
    wild = {"learning_rate": 1e12, "max_grad_norm": 0.0, "finetuning_type": "full", "lr_scheduler_type": "constant"}
    run = train(tmp_path, tiny_folder, config=wild)
    assert run.wait() == contract.EXIT_FAILED
    assert run.ended() == ("FAILED", "nan_loss")
    assert run.outcome()["step"] < 12
    assert run.events(contract.EVENT_METRICS)[-1]["loss"] in ("nan", "inf")


def test_data_that_cannot_be_read_is_named(tmp_path, tiny_folder):
    (tiny_folder / "broken.json").write_text('[{"instruction": "a", "output": }]')
    run = train(tmp_path, tiny_folder, data="broken.json")
    assert run.wait() == contract.EXIT_FAILED
    assert run.ended() == ("FAILED", "bad_data")


@pytest.mark.parametrize("notice", [False, pytest.param(True, marks=pytest.mark.long)])
def test_the_other_ranks_end_after_one_is_killed(tmp_path, tiny_folder, notice):
    run = train(tmp_path, tiny_folder, nproc_per_node=2, config={"max_steps": 500}, restarts=0)
    run.wait_for('"step": 6,')
    workers = sorted((tmp_path / "scratch" / "run").glob("worker-*.pid"))
    os.kill(int(workers[1].read_text()), 9)
    if notice:
        assert run.terminate() == contract.EXIT_INTERRUPTED
    else:
        assert run.wait() == contract.EXIT_CRASHED
        assert run.ended()[1] in ("killed", "communication")
    assert run.events(contract.EVENT_COMMIT)[-1]["step"] == 5
    assert gone(str(tmp_path))


@pytest.mark.long
def test_the_best_model_is_loaded_after_attempts_that_did_not_make_it(tmp_path, tiny_folder):
    """The first evaluation stays the best; retention keeps its checkpoint, and the last attempt restores it."""
    best = {
        "val_size": 0.2,
        "eval_strategy": "steps",
        "eval_steps": 2,
        "save_strategy": "steps",
        "save_steps": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "loss",
        "greater_is_better": True,
    }
    whole = train(tmp_path / "whole", tiny_folder, config=best)
    assert whole.wait() == contract.EXIT_SUCCEEDED
    first = train(tmp_path / "parts", tiny_folder, config=best)
    first.wait_for('"step": 7,')
    first.process.kill()
    first.wait()
    assert gone(str(tmp_path / "parts"))
    second = train(tmp_path / "parts", tiny_folder, attempt=2, config=best)
    assert second.wait() == contract.EXIT_SUCCEEDED
    kept = sorted(path.name for path in (tmp_path / "parts" / "durable" / contract.CHECKPOINTS_DIR).iterdir())
    assert kept == ["checkpoint-000002", "checkpoint-000010", "checkpoint-000012"]
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")
