"""A trainer does not import what its job does not use; a user's own code imports what it likes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import util

import pytest

from ftsdk.runtime.programs import unused
from ftsdk.testing import tiny

LOADED = """
import json, sys
from ftsdk.runtime.programs import unused
from ftsdk.runtime.programs.session import session
with session({"config": json.loads(sys.argv[1])}):
    import llamafactory.train.tuner
    import transformers.trainer
    loaded = [name for name in ('wandb', 'nltk', 'matplotlib') if sys.modules.get(name)]
print(json.dumps(loaded))
"""


@pytest.mark.parametrize(
    ("config", "hidden"),
    [
        ({}, {"wandb", "nltk", "matplotlib"}),
        ({"report_to": ["tensorboard", "wandb"]}, {"nltk", "matplotlib"}),
        ({"arguments": {"report_to": "wandb"}}, {"nltk", "matplotlib"}),
        ({"report_to": "none", "predict_with_generate": True}, {"wandb", "matplotlib"}),
        ({"trust_remote_code": True}, set()),
        ({"rewards": [{"name": "length", "function": "mine.py:length"}]}, set()),
        ({"rewards": [{"name": "format"}]}, {"wandb", "nltk", "matplotlib"}),
    ],
)
def test_packages_that_a_configuration_uses_are_not_hidden(config, hidden):
    assert set(unused.packages(config)) == hidden


def test_hidden_packages_look_absent(monkeypatch):
    monkeypatch.setattr(unused, "packages", lambda config: ["colorsys"])
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    unused.hide({})
    assert util.find_spec("colorsys") is None
    with pytest.raises(ModuleNotFoundError):
        import colorsys  # noqa: F401
    del sys.modules["colorsys"]


@pytest.mark.trainer
def test_a_trainer_imports_none_that_its_job_does_not_use():
    argv = [tiny.TRAINER_PYTHON, "-c", LOADED, json.dumps({"report_to": "none"})]
    run = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout.splitlines()[-1]) == []
