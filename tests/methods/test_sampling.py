"""The methods that sample answers, end to end: through `submit` on this machine, with a tiny model and a toy reward.

The reward is the share of the letter e in an answer, which a model of a few hundred thousand weights learns in seconds.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ftsdk import Estimator, contract
from ftsdk.backends.base import JobState
from ftsdk.engines import render
from ftsdk.engines.base import Layout
from ftsdk.facts import inspect, runtime_archive
from ftsdk.spec.loading import parse
from ftsdk.testing import tiny
from tests.runtime.harness import Supervised

pytestmark = pytest.mark.trainer

REWARD = """
def share(prompts, completions, letter="e", **columns):
    return [text.count(letter) / max(1, len(text)) for text in completions]


def breaks(prompts, completions, number, **columns):
    return [1 / (n - 3) for n in number]


def endless(prompts, completions, **columns):
    while True:
        pass
"""
FULL, LORA, OFT = "full", {"type": "lora", "rank": 8}, {"type": "oft", "block_size": 8}
RATES = {"full": 1e-2, "lora": 3e-2, "oft": 3e-2}
STRONG = {"rewards": [{"function": "reward.py:share", "weight": 10.0}]}
"""For methods whose pull towards the reference model is on."""
HELD_OUT = {"train": ["prompts.jsonl"], "eval_fraction": 0.25}
CELLS = {
    "grpo-full": ("grpo", FULL, {}),
    "dapo-lora": ("dapo", LORA, {"mask_truncated": False}),  # every answer of this model is truncated
    "gspo-full": ("gspo", FULL, {}),
    "dr_grpo-lora": ("dr_grpo", LORA, {}),
    "rloo-lora": ("rloo", LORA, STRONG),
    "ppo-full": ("ppo", FULL, {**STRONG, "num_iterations": 2}),
}
MORE_CELLS = {
    "grpo-lora": ("grpo", LORA, {}),
    "grpo-kl": ("grpo", FULL, {**STRONG, "beta": 0.04}),
    "grpo-oft": ("grpo", OFT, {}),
    "grpo-reused": ("grpo", FULL, {"num_iterations": 2}),
    "dapo-full": ("dapo", FULL, {"mask_truncated": False}),
    "gspo-lora": ("gspo", LORA, {}),
    "dr_grpo-full": ("dr_grpo", FULL, {}),
    "cispo-lora": ("cispo", LORA, {}),
    "sapo-full": ("sapo", FULL, {}),
    "rloo-full": ("rloo", FULL, STRONG),
    "ppo-lora": ("ppo", LORA, {**STRONG, "num_iterations": 2}),
}
LOADED = """
import json, sys
sys.path.insert(0, sys.argv[1])
import answer
print(json.dumps([answer.answer(folder, "the quick brown fox") for folder in sys.argv[2:]]))
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory, tiny_folder):
    """Model, prompts and reward functions. The model's last layer is made louder: adapters cannot move a faint one."""
    from safetensors.numpy import load_file, save_file

    made = tmp_path_factory.mktemp("sampling")
    shutil.copytree(tiny_folder / "model", made / "model")
    weights = load_file(made / "model" / "model.safetensors")
    weights["lm_head.weight"] *= 8
    save_file(weights, made / "model" / "model.safetensors", metadata={"format": "pt"})
    rows = [{"prompt": f"the quick brown fox {n}", "answer": str(n), "number": n} for n in range(32)]
    (made / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (made / "reward.py").write_text(REWARD)
    return made


def job_data(stage, tuning, method, **hyperparameters):
    kind = tuning if isinstance(tuning, str) else tuning["type"]
    rate = RATES[kind] / (4 if stage == "ppo" else 1)
    return {
        "model": "./model",
        "method": {"stage": stage, "rewards": ["reward.py:share"], "max_completion_length": 8, **method},
        "tuning": tuning,
        "dataset": HELD_OUT if stage == "gspo" else "prompts.jsonl",
        "hyperparameters": {
            "learning_rate": rate,
            "lr_scheduler_type": "constant",
            "warmup_steps": 0,
            "max_steps": 30,
            "logging_steps": 1,
            "per_device_train_batch_size": 16 if stage == "ppo" else 32,
            "gradient_accumulation_steps": 1,
            "gradient_checkpointing": False,
            **hyperparameters,
        },
    }


@pytest.fixture
def submitted(folder, monkeypatch):
    """Several jobs at once, each with one thread; name -> finished job."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("FTSDK_LOCAL_PYTHON", tiny.TRAINER_PYTHON)

    def submit(cells):
        jobs = {
            name: Estimator(**job_data(*cell), name=name, folder=folder, backend="local").fit(wait=False)
            for name, cell in cells.items()
        }
        return {name: job.wait() and job for name, job in jobs.items()}

    return submit


def stepwise(job):
    return [event for event in job.metrics() if "reward" in event]


def rewards(job):
    return [event["reward"] for event in stepwise(job)]


def judged(jobs):
    """Each job learnt, and its model answers."""
    import ftsdk.demo

    folders = []
    for name, job in jobs.items():
        assert job.state is JobState.SUCCEEDED, (name, job.info())
        earned = rewards(job)
        assert len(earned) == (15 if "reused" in name else 30), name  # once a sampling
        first, last = sum(earned[:6]) / 6, sum(earned[-6:]) / 6
        assert last > 1.5 * first > 0, (name, first, last)
        folders.append(str(job.model().path))
        assert job.model().adapter == ("full" not in name and "kl" not in name and "reused" not in name), name
    program = [tiny.TRAINER_PYTHON, "-c", LOADED, Path(ftsdk.demo.__file__).parent, *folders]
    done = subprocess.run(program, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    assert all(answers), answers
    return answers


def test_every_method_raises_its_reward_and_gives_a_model(submitted):
    jobs = submitted(CELLS)
    judged(jobs)
    measured = {"reward", "reward_std", "kl", "entropy", "completion_length", "loss", "tokens_per_s"}
    assert measured <= stepwise(jobs["rloo-lora"])[-1].keys()
    assert any("eval_reward" in record for record in jobs["gspo-full"].metrics())
    assert {"reward", "kl", "entropy", "loss"} <= stepwise(jobs["ppo-full"])[-1].keys()


@pytest.mark.long
def test_every_other_combination_raises_its_reward_too(submitted):
    judged(submitted(MORE_CELLS))


def test_a_broken_reward_function_ends_the_job_with_its_name_and_row(submitted):
    [job] = submitted({"broken": ("grpo", FULL, {"rewards": ["reward.py:breaks"]})}).values()
    info = job.info()
    assert (info.state, info.reason) == (JobState.FAILED, "bad_config")
    assert "reward.py:breaks failed on row 4 of prompts: ZeroDivisionError" in info.message


@pytest.mark.long
def test_a_reward_that_never_returns_is_reported_as_a_hang(folder, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("FTSDK_LOCAL_PYTHON", tiny.TRAINER_PYTHON)
    data = job_data("grpo", FULL, {"rewards": ["reward.py:endless"]}) | {"hang_minutes": 0.05, "retry": {"retries": 0}}
    info = Estimator(**data, name="endless", folder=folder, backend="local").fit(wait=False).wait()
    assert (info.state, info.reason) == (JobState.FAILED, "hang")
    assert "in the phase 'reward': rank 0 is in endless (" in info.message


# --- interruption -------------------------------------------------------------------------------------------
def supervised(root, folder, *, attempt=1, every=4, processes=1, **changed):
    """A job of 16 steps over two epochs; each sampling serves four of them."""
    root.mkdir(exist_ok=True)
    method = {"num_generations": 4, "steps_per_generation": 2, "num_iterations": 2, **changed.pop("method", {})}
    small = {"max_steps": 16, "per_device_train_batch_size": 8 // processes, **changed}
    data = job_data("grpo", {"type": "lora", "dropout": 0.1}, method, **small)
    data["resources"] = {"accelerators_per_node": processes}
    data["dataset"] = {"train": "prompts.jsonl", "max_samples": 8}
    spec = parse(data, where="test")
    layout = Layout(durable=str(root / "durable"), scratch=str(root / "scratch"), inputs={})
    rendered = render(spec, inspect(spec, folder=folder), layout)
    return Supervised(
        root,
        rendered.trainer,
        attempt=attempt,
        python=tiny.TRAINER_PYTHON,
        config=rendered.config,
        dataset_info=rendered.dataset_info,
        checkpoint={"every_minutes": None, "every_steps": every, "mtbf_hours": None, "keep": 2},
        grace_s=60.0,
        nproc_per_node=processes,
        environ={"OMP_NUM_THREADS": "1"},
    )


def curve(*runs):
    events = [event for run in runs for event in run.events(contract.EVENT_METRICS) if "loss" in event]
    return {event["step"]: (event["loss"], event["grad_norm"], event.get("reward")) for event in events}


def weights(run):
    return (run.durable / "model" / "adapter_model.safetensors").read_bytes()


def test_an_interrupted_training_goes_on_between_two_samplings_to_the_same_model(tmp_path, folder):
    runtime_archive.build(tmp_path / "whole" / "cache")
    whole = supervised(tmp_path / "whole", folder)
    first = supervised(tmp_path / "parts", folder)
    first.wait_for('"step": 9,')
    assert first.terminate() == contract.EXIT_INTERRUPTED, first.lines()[-5:]
    saved = [event["step"] for event in first.events(contract.EVENT_COMMIT)]
    assert saved[-1] in (12, 16) and all(step % 4 == 0 for step in saved)
    second = supervised(tmp_path / "parts", folder, attempt=2)
    assert second.wait() == contract.EXIT_SUCCEEDED, second.lines()[-5:]
    assert whole.wait() == contract.EXIT_SUCCEEDED, whole.lines()[-5:]
    assert list(curve(first, second)) == list(range(1, 17))
    assert curve(first, second) == curve(whole)
    assert weights(second) == weights(whole)


@pytest.mark.long
def test_a_killed_training_loses_no_more_than_since_its_checkpoint(tmp_path, folder):
    """Checkpoints are due at every third step and made between samplings: at 4, 8, 12."""
    whole = supervised(tmp_path / "whole", folder, every=3)
    assert whole.wait() == contract.EXIT_SUCCEEDED, whole.lines()[-5:]
    assert [event["step"] for event in whole.events(contract.EVENT_COMMIT)] == [4, 8, 12, 16]


@pytest.mark.long
def test_two_processes_resume_between_samplings_to_the_same_model(tmp_path, folder):
    whole = supervised(tmp_path / "whole", folder, processes=2)
    assert whole.wait() == contract.EXIT_SUCCEEDED, whole.lines()[-5:]
    first = supervised(tmp_path / "parts", folder, processes=2)
    first.wait_for('"step": 6,')
    assert first.terminate() == contract.EXIT_INTERRUPTED, first.lines()[-5:]
    assert first.events(contract.EVENT_COMMIT)[-1]["step"] % 4 == 0
    second = supervised(tmp_path / "parts", folder, attempt=2, processes=2)
    assert second.wait() == contract.EXIT_SUCCEEDED, second.lines()[-5:]
    assert curve(first, second) == curve(whole)
    assert weights(second) == weights(whole)


# --- chains -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "tuning", [pytest.param(FULL, id="full", marks=pytest.mark.long), pytest.param(LORA, id="lora")]
)
def test_ppo_trains_with_a_reward_model_of_the_rm_stage(folder, monkeypatch, tuning):
    """The `rm` stage prefers answers with many e's; PPO against it gives more of them."""
    monkeypatch.setenv("FTSDK_LOCAL_PYTHON", tiny.TRAINER_PYTHON)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    pairs = [{"prompt": f"fox {n}", "chosen": "e e e e e e", "rejected": "sun moon one"} for n in range(32)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    rate = 3e-3 if tuning == FULL else 2e-2
    judge = job_data("rm", tuning, {}, max_steps=30, per_device_train_batch_size=8, cutoff_len=64, learning_rate=rate)
    judge |= {"method": "rm", "dataset": "pairs.jsonl"}
    reward_model = Estimator(**judge, name="judge", folder=folder, backend="local").fit().model()
    assert "value_head.safetensors" in reward_model.files
    data = job_data("ppo", tuning, {"rewards": [], "reward_model": reward_model.uri, "beta": 0.01, "num_iterations": 2})
    job = Estimator(**data, name="judged", folder=folder, backend="local").fit()
    earned = rewards(job)
    assert sum(earned[-6:]) / 6 > sum(earned[:6]) / 6
