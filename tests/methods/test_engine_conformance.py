"""Every engine through the conformance suite, with a tiny model."""

from __future__ import annotations

import pytest

from ftsdk.testing.engines import EngineCase, EngineConformance
from tests.methods.test_sampling import LORA, folder, job_data

pytestmark = pytest.mark.trainer
__all__ = ["folder"]


class TestLlamaFactory(EngineConformance):
    @pytest.fixture
    def case(self, tiny_folder):
        fields = {
            "model": "./model",
            "tuning": {"type": "lora", "rank": 4, "dropout": 0.1},
            "dataset": {"train": "train.json", "eval_fraction": 0.1},
            "hyperparameters": {
                "learning_rate": 1e-2,
                "max_steps": 60,
                "logging_steps": 1,
                "per_device_train_batch_size": 4,
                "gradient_accumulation_steps": 2,
                "cutoff_len": 64,
                "eval_on_start": True,
                "compute_accuracy": True,
            },
            "checkpoint": {"every_steps": 5},
        }
        return EngineCase(
            folder=tiny_folder, fields=fields, metric="eval_accuracy", gain=0.02, rises=True, faults=("term",)
        )


@pytest.mark.long
class TestTrl(EngineConformance):
    @pytest.fixture
    def case(self, folder):
        fields = job_data("grpo", LORA, {}, max_steps=40, eval_on_start=True)
        fields |= {"dataset": {"train": ["prompts.jsonl"], "eval_fraction": 0.25}, "checkpoint": {"every_steps": 4}}
        return EngineCase(folder=folder, fields=fields, metric="eval_reward", gain=0.02, rises=True)
