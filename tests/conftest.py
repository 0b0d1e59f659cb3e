"""What all tests share: a separate home, a small spec on disk, and what happens if an engine is missing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.request import urlopen

import pytest

from ftsdk.testing import tiny
from tests import slurm
from tests.setup import engines


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


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    """A tiny model in `model/` and rows in `train.json`, made once by the trainer's Python."""
    return tiny.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def s3_server():
    """An S3 server on loopback."""
    from tests.emulators.buckets import Buckets

    server = Buckets()
    yield server
    server.close()


@pytest.fixture
def s3(s3_server, tmp_path_factory, monkeypatch):
    """The server, the environment that reaches it, and `address`: a place in it of the test's own."""
    from tests.emulators.buckets import KEY, SECRET

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    s3_server.make_bucket()  # again: whoever resets moto resets it for the whole process
    s3_server.requests.clear()
    s3_server.address = f"s3://bucket/{tmp_path_factory.mktemp('s3').name}"
    return s3_server


@cache
def docker_answers() -> bool:
    """True if a Docker daemon is there to run containers."""
    try:
        return subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


@cache
def skypilot_answers() -> bool:
    """True if SkyPilot's API server and the Slurm cluster of tests/setup/slurm.sh are up."""
    try:
        with urlopen(f"{slurm.API_SERVER}/api/health", timeout=5):
            return slurm.nodes_up()
    except OSError:
        return False


@cache
def browser_answers() -> bool:
    """True if Chromium is installed."""
    return shutil.which("chromium") is not None


ENGINES: dict[str, Callable[[], bool]] = {
    "docker": docker_answers,
    "skypilot": skypilot_answers,
    "browser": browser_answers,
}
"""Marker -> whether the engine that such a test needs is installed."""


HEAVY = ("skypilot", "docker", "trainer")
"""Markers of tests that take long, the longest first."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Of two workers (`-n 2`) each takes a file at a time, and one takes all that use the Slurm cluster."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "skypilot" if "skypilot" in file else file

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that both workers end at about the same time."""
    items.sort(key=lambda item: next((i for i, name in enumerate(HEAVY) if item.get_closest_marker(name)), len(HEAVY)))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Run, skip or fail a test by the state of the engine that it needs (see tests/setup/engines.py)."""
    in_ci = os.environ.get("CI") == "true"
    for engine, present in ENGINES.items():
        if item.get_closest_marker(engine):
            decision = engines.decide(engine, answers=present(), in_ci=in_ci)
            if decision.action == "fail":
                pytest.fail(decision.message, pytrace=False)
            elif decision.action == "skip":
                pytest.skip(decision.message)
