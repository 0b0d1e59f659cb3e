"""What a supervisor checks before anything is downloaded: the driver against torch, and the packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ftsdk import contract
from ftsdk.engines import sharding
from ftsdk.runtime.supervisor import machine_check
from ftsdk.spec import Sharding
from ftsdk.testing import tiny
from tests.runtime.harness import Supervised, script

DEEPSPEED = ("deepspeed==", "hjson==", "msgpack==", "ninja==", "py-cpuinfo==")


@pytest.mark.parametrize(
    ("driver", "says"),
    [
        ((13, 0), ""),
        ((14, 2), ""),
        ((12, 8), "runs CUDA 12.8, and the image's torch needs CUDA 13 (driver R580"),
        (None, "no driver"),
    ],
)
def test_an_old_driver_is_named_with_what_to_do(driver, says):
    problem = machine_check.driver_problem(13, driver)
    assert bool(says) == bool(problem)
    assert problem is None or (says in problem.message and problem.hint)


def test_a_package_that_is_missing_ends_the_job_in_its_first_seconds(tmp_path):
    trainer = script(tmp_path, "print('it trained all the same')")
    run = Supervised(tmp_path, trainer, config={"use_unsloth": True, "quantization_bit": 4})
    assert run.wait() == contract.EXIT_FAILED
    record = run.outcome()
    assert (record["state"], record["reason"]) == ("FAILED", "bad_config")
    assert "quantization_bit" not in record["message"] and "unsloth" in record["message"]
    assert "it trained" not in run.output()


def test_a_tracking_server_of_sagemaker_needs_its_plug_in():
    arn = "arn:aws:sagemaker:us-west-2:123456789012:mlflow-tracking-server/ours"
    assert "sagemaker-mlflow" in machine_check.package_problem("llamafactory", {}, mlflow_uri=arn).message
    assert machine_check.package_problem("llamafactory", {}, mlflow_uri="https://mlflow.example.com") is None


def test_a_package_beside_the_environment_counts(tmp_path):
    (tmp_path / "unsloth").mkdir()
    (tmp_path / "unsloth" / "__init__.py").write_text("")
    assert machine_check.package_problem("llamafactory", {"use_unsloth": True})
    assert machine_check.package_problem("llamafactory", {"use_unsloth": True}, str(tmp_path)) is None


CUDA = """
int cuDriverGetVersion(int *version) { *version = VERSION; return 0; }
int cuInit(unsigned flags) { return STATUS; }
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="a driver library of three lines needs a C compiler")
@pytest.mark.parametrize(("version", "status", "works"), [(13000, 0, True), (13000, 803, False), (12080, 0, False)])
def test_an_old_driver_runs_with_cuda_compat_where_that_works(tmp_path, monkeypatch, version, status, works):
    """The machine's driver runs CUDA 12.8; cuda-compat brings 13.0 and may refuse the device (804) or driver (803)."""
    for folder, number, answer in (("driver", 12080, 0), ("compat", version, status)):
        (tmp_path / folder).mkdir()
        flags = ["-shared", "-fPIC", f"-DVERSION={number}", f"-DSTATUS={answer}"]
        library = tmp_path / folder / "libcuda.so.1"
        subprocess.run(["cc", *flags, "-x", "c", "-", "-o", str(library)], input=CUDA, text=True, check=True)
    program = f"""
import pathlib
from ftsdk.runtime.supervisor import machine_check
machine_check.COMPAT = pathlib.Path({str(tmp_path / "compat")!r})
print(machine_check.compat_folder(13))
"""
    environ = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path / "driver")}
    command = [sys.executable, "-c", program]
    found = subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout.strip()
    assert found == (str(tmp_path / "compat") if works else "None")
    assert machine_check.compat_environment({"LD_LIBRARY_PATH": "/x"}) == {}  # no GPU here


@pytest.mark.long
@pytest.mark.trainer
@pytest.mark.parametrize(
    ("kind", "offload", "tuning"), [("zero2", False, "lora"), ("zero3", False, "full"), ("zero3", True, "full")]
)
def test_deepspeed_of_the_lock_trains_on_two_processes(tmp_path, kind, offload, tuning):
    """On a CPU, as far as it can be tried here: the lock's DeepSpeed, the plan's configuration, the real trainer."""
    lock = Path(__file__).parents[3] / "containers" / "locks" / "lf-cuda.txt"
    wanted = [line for line in lock.read_text().splitlines() if line.startswith(DEEPSPEED)]
    install = [tiny.TRAINER_PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "more")]
    subprocess.run([*install, *wanted], check=True)
    folder = tiny.make(tmp_path / "tiny")
    given = sharding.arguments(Sharding(type=kind, offload=offload))
    run = Supervised(
        tmp_path,
        "llamafactory",
        python=tiny.TRAINER_PYTHON,
        config=tiny.config(folder, finetuning_type=tuning, **given),
        dataset_info=tiny.dataset_info(folder),
        nproc_per_node=2,
        grace_s=60.0,
        env={"PYTHONPATH": str(tmp_path / "more"), "DS_ACCELERATOR": "cpu"},
    )
    assert run.wait() == contract.EXIT_SUCCEEDED, run.lines()[-5:]
    losses = [event["loss"] for event in run.events(contract.EVENT_METRICS) if "loss" in event]
    assert len(losses) == 12 and losses[-1] < losses[0]
    assert any((run.durable / "model").glob("*.safetensors"))
