"""What all tests share: a home of their own, and a small spec on disk."""

import json

import pytest


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """Every test has its own journal, caches and jobs."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("FTSDK_HOME", str(home))
    return home


@pytest.fixture
def spec_folder(tmp_path):
    """A folder with a model's config and a few rows: enough to plan with."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "qwen2"}')
    rows = [{"instruction": f"What is {i}?", "input": "", "output": f"It is {i}."} for i in range(5)]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path
