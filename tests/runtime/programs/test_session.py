"""One training process sees one card, and loads data only."""

import pickle
import subprocess
import sys

import pytest

from ftsdk.runtime.platforms.cluster import Cluster
from ftsdk.runtime.programs.session import limit_to_one_device
from ftsdk.runtime.supervisor.start import StartConfiguration
from ftsdk.runtime.supervisor.trainer import command
from tests.runtime.harness import document


@pytest.mark.parametrize(("given", "seen"), [(None, "0"), ("", ""), ("3", "3"), ("2,3", "2"), ("GPU-a,GPU-b", "GPU-a")])
def test_one_process_sees_the_first_visible_card(given, seen):
    environ = {} if given is None else {"CUDA_VISIBLE_DEVICES": given}
    limit_to_one_device(environ)
    assert environ == {"CUDA_VISIBLE_DEVICES": seen}


class Code:
    """What a pickle from a shared bucket can be."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.trainer
@pytest.mark.parametrize(
    ("trainer", "config", "runs"),
    [("llamafactory", {}, False), ("own.py", {}, True), ("llamafactory", {"deepspeed": 1}, True)],
)
def test_torch_load_does_not_execute_code(tmp_path, trainer, config, runs):
    """Even where a library asks torch for it."""
    start = StartConfiguration(document(tmp_path, trainer, config=config), 1, Cluster(), {}, ())
    environ = command.environment(start, {"PATH": "/usr/bin:/bin"}, tmp_path / "train.json")
    (tmp_path / "optimizer.pt").write_bytes(pickle.dumps(Code(tmp_path / "ran")))
    load = f"import torch; torch.load({str(tmp_path / 'optimizer.pt')!r}, weights_only=False)"
    done = subprocess.run([sys.executable, "-c", load], env=environ, capture_output=True, text=True)
    assert (tmp_path / "ran").exists() is runs
    assert runs or "Weights only load failed" in done.stderr
