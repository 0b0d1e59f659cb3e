"""What really trains: a tiny model and a few rows."""

import pytest


@pytest.fixture(scope="session")
def tiny_fields(tiny_folder):
    return {
        "model": str(tiny_folder / "model"),
        "dataset": str(tiny_folder / "train.json"),
        "tuning": {"type": "lora", "rank": 4},
    }
