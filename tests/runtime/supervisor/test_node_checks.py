"""Every node is checked before the training; one that is not fit is named."""

from __future__ import annotations

import json
import os
import time

import pytest

from ftsdk import contract
from ftsdk.runtime.supervisor.node_checks import gpus, machine, network
from tests.runtime.harness import Supervised, script

GOOD = "0, NVIDIA H100 80GB HBM3, 4, 0, Not Active"


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """A program in front of PATH that prints what nvidia-smi would."""

    def make(*rows: str, exit_code: int = 0) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / "nvidia-smi"
        program.write_text("#!/bin/sh\ncat <<'END'\n" + "\n".join(rows) + f"\nEND\nexit {exit_code}\n")
        program.chmod(0o755)
        path = os.pathsep.join([str(folder), os.environ["PATH"]])
        monkeypatch.setenv("PATH", path)
        return {"PATH": path}

    return make


@pytest.mark.parametrize(
    ("rows", "exit_code", "problem", "is_fatal"),
    [
        ([GOOD], 0, "", False),
        ([], 0, "it has 0 of 1 GPUs", True),
        (["0, NVIDIA A100, 4, 3, Not Active"], 0, "GPU 0 has 3 uncorrected memory errors (ECC)", True),
        (["0, NVIDIA A10G, 4, [N/A], Active"], 0, "GPU 0 is slowed down by its hardware (heat or power)", False),
        (["0, NVIDIA L4, 9000, 0, Not Active"], 0, "9000 MiB of GPU 0 are in use before the training", False),
        (["Unable to determine the device handle for GPU0: Unknown Error"], 15, "nvidia-smi fails: Unable to", True),
    ],
)
def test_gpus(nvidia_smi, rows, exit_code, problem, is_fatal):
    nvidia_smi(*rows, exit_code=exit_code)
    worst = gpus.findings(1)[-1] if problem and not is_fatal else gpus.findings(1)[0]
    if is_fatal:
        worst = next(finding for finding in gpus.findings(1) if finding["is_fatal"])
    assert worst["problem"].startswith(problem) and bool(worst["problem"]) == bool(problem)
    assert worst["is_fatal"] is is_fatal


def test_a_node_without_a_gpu_ends_before_it_costs_and_is_named(tmp_path, nvidia_smi):
    environ = nvidia_smi(GOOD)
    run = Supervised(tmp_path, script(tmp_path, "print('trained')"), nproc_per_node=2, environ=environ)
    assert run.wait() == contract.EXIT_CRASHED
    record = run.outcome()
    assert record["reason"] == "bad_node"
    assert (
        record["message"].startswith(f"Node 0 ({os.uname().nodename}) is not fit")
        and "1 of 2 GPUs" in record["message"]
    )
    assert "trained" not in run.output()


def test_a_healthy_node_is_recorded(tmp_path):
    run = Supervised(tmp_path, script(tmp_path, "time.sleep(3)"))
    assert run.wait() == contract.EXIT_SUCCEEDED
    (event,) = run.events(contract.EVENT_NODE_CHECK)
    assert {"memory", "disk", "storage"} <= event.keys() and "hub" not in event
    record = json.loads(run.store.read(contract.node_check_key(1, 0)))
    assert {finding["check"]: finding["value"] for finding in record["findings"]}["disk"] == event["disk"]
    assert not list((tmp_path / "scratch").glob("node-check*"))


def test_memory_disk_and_clock_are_measured(tmp_path):
    assert machine.memory()["value"].endswith(" GB free")
    assert machine.disk(tmp_path)["value"].endswith(" MB/s") and not list(tmp_path.iterdir())
    assert network.clock(time.time())["problem"] == ""
    assert network.clock(time.time() - 3600)["problem"] == "the clock is +3600 s off"


def test_a_hub_that_does_not_answer_is_a_warning(s3_server):
    assert [finding["check"] for finding in network.hub({"HF_ENDPOINT": s3_server.url})] == ["hub", "clock"]
    (finding,) = network.hub({"HF_ENDPOINT": "http://127.0.0.1:1"})
    assert "does not answer" in finding["problem"] and not finding["is_fatal"]
    assert network.hub({"HF_HUB_OFFLINE": "1"}) == []
