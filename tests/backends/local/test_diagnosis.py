"""`ftsdk doctor`: what a local training needs."""

import os
import stat
import sys

import pytest

from ftsdk.backends.local import Local, LocalOptions
from ftsdk.backends.local.doctor import checks


def failed(python):
    return {check.what: check for check in checks(str(python)) if not check.ok}


@pytest.mark.trainer
def test_the_environment_that_setup_makes_is_whole():
    python = os.environ.get("FTSDK_TEST_TRAINER_PYTHON", sys.executable)
    assert failed(python) == {}
    details = {check.what: check.detail for check in checks(python)}
    assert details["methods that sample answers"].startswith("TRL 1.")


def test_an_interpreter_that_is_not_there():
    (check,) = checks("/nowhere/python")
    assert not check.ok
    assert "option 'python'" in check.remedy


def test_every_failed_check_says_what_to_do(tmp_path):
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    bare.chmod(bare.stat().st_mode | stat.S_IXUSR)
    missing = failed(bare)
    assert {"torch", "transformers", "llamafactory"} <= set(missing)
    assert all(check.remedy for check in missing.values())


@pytest.mark.trainer
def test_a_cuda_torchvision_beside_a_cpu_torch_is_recognised(tmp_path, monkeypatch):
    """What a plain pip install on a CPU machine ends in: torchvision's operators are not in torch."""
    package = tmp_path / "torchvision"
    package.mkdir()
    (package / "__init__.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")\n')
    about = tmp_path / "torchvision-0.28.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: torchvision\nVersion: 0.28.0\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    monkeypatch.setenv("PYTHONPATH", path)
    found = failed(os.environ.get("FTSDK_TEST_TRAINER_PYTHON", sys.executable))
    assert "pip uninstall torchvision" in found["torchvision works"].remedy


def test_the_backend_offers_it():
    assert next(iter(Local(LocalOptions(python="/nowhere/python")).doctor())).what == "python"
