"""What really trains: a tiny model and a few rows, made once by the trainer's Python."""

import pytest

from tests import tiny


@pytest.fixture(scope="session")
def tiny_fields(tmp_path_factory):
    folder = tiny.make(tmp_path_factory.mktemp("tiny"))
    return {
        "model": str(folder / "model"),
        "dataset": str(folder / "train.json"),
        "tuning": {"type": "lora", "rank": 4},
    }
