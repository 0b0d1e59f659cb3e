"""Conformance tests of the programs for a model that exists: a part of `BackendConformance`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pytest

from ftsdk import contract
from ftsdk.backends.base import Backend
from ftsdk.facts import inspect
from ftsdk.jobs.submit import submit
from ftsdk.models.evaluation import FILE, Evaluation
from ftsdk.spec.loading import parse
from ftsdk.testing.programs import new_label

NUM_ROWS = 6
TIMEOUT_S = 360.0


class ProgramConformance:
    """A backend runs a program where it runs a training, with the same plan, log and folder."""

    @pytest.mark.trainer
    def test_real_evaluation(self, backend: Backend, trained: Mapping[str, Any]) -> None:
        """The trained spec's base model on some of its rows: an untrained model is about as good as chance."""
        fields = {
            "name": new_label(),
            "model": trained["model"],
            "dataset": {"train": trained["dataset"], "max_samples": NUM_ROWS},
            "program": {"type": "evaluate", "metrics": ["loss", "exact_match"], "max_new_tokens": 2},
            "env": {"OMP_NUM_THREADS": "1"},
        }
        spec = parse(fields, where="conformance")
        plan = backend.plan(spec, inspect(spec))
        made = submit(plan, backend, secrets={}, on_attach=lambda info: None).result(TIMEOUT_S)
        result = Evaluation.from_json(made.job_uri, json.loads(made.store.read(f"{contract.MODEL_DIR}/{FILE}")))
        assert result.num_rows == NUM_ROWS
        assert result.metrics["exact_match"].value == 0.0
        assert abs(result.metrics["loss"].value - math.log(512)) < 0.5
        assert len(result.samples) == NUM_ROWS
