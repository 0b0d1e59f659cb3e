"""Conformance tests of the engine protocol (`ftsdk.engines.base`): a real training, interrupted and gone on with.

    class TestMyEngine(EngineConformance):
        @pytest.fixture
        def case(self, tmp_path):
            return EngineCase(folder=tmp_path, fields={"engine": "mine", "model": "./model", ...}, ...)

A case's training logs every step, evaluates once before its first step and after its last, and lasts several seconds.
It runs on the backend `local` with FTSDK_TEST_TRAINER_PYTHON, or this interpreter. Needs pytest.
"""

from __future__ import annotations

import json
import random
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from ftsdk import Estimator, contract, engines
from ftsdk.backends.base import JobState
from ftsdk.jobs.job import Job
from ftsdk.testing import tiny
from ftsdk.testing.faults.injection import inject, start_again
from ftsdk.testing.purity import sealed

PATIENCE_S = 240.0
POLL_S = 0.05
OF_THE_CLOCK = ("time", "tokens_per_s", "eta_s")
LOADED = """
import json, pathlib, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
base, folder = sys.argv[1:]
tokens = AutoTokenizer.from_pretrained(folder)("one two three", return_tensors="pt")
model = AutoModelForCausalLM.from_pretrained(base).eval()
before = model(input_ids=tokens["input_ids"]).logits[0, -1]
if pathlib.Path(folder, "adapter_config.json").is_file():
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, folder).eval()
else:
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
after = model(input_ids=tokens["input_ids"]).logits[0, -1]
print(json.dumps({"finite": bool(torch.isfinite(after).all()), "moved": float((after - before).abs().max())}))
"""
"""Loads a finished model with plain transformers and peft, and compares its prediction with its base model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCase:
    """A training that an engine must be able to do."""

    folder: Path
    """Paths in `fields` are relative to it."""
    fields: Mapping[str, object]
    """Fields of the spec, but for its name; with `max_steps` and held-out rows."""
    metric: str
    """Name of the held-out figure, e.g. `eval_loss`."""
    gain: float
    """By how much it must be better after the last step than before the first, where nothing was trained yet."""
    rises: bool = False
    """Whether more is better."""
    faults: tuple[str, ...] = ("term", "kill")
    """Kinds of `ftsdk chaos` that interrupt it, one after the other: a stop with notice, and one without."""


class EngineConformance:
    """Subclass it as `Test…` and override the fixture `case`."""

    @pytest.fixture
    def case(self) -> EngineCase:
        """A training of the engine."""
        raise NotImplementedError

    @pytest.fixture(autouse=True)
    def own_home(self, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
        """Jobs and caches of one test, whose trainers have a thread each."""
        monkeypatch.setenv("FTSDK_HOME", str(tmp_path_factory.mktemp("home")))
        monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def test_a_plan_is_pure_and_promises_what_the_table_says(self, case: EngineCase) -> None:
        estimator = _estimator(case, "planned")
        facts = estimator.inspect()
        plan = estimator.plan(facts)  # the tables of arguments are read once
        with sealed():
            assert estimator.plan(facts) == plan
        assert _row(estimator).engine == engines.chosen(estimator.spec).NAME

    def test_an_interrupted_training_learns_and_goes_on_as_promised(self, case: EngineCase) -> None:
        """Two equal trainings, one of which is stopped and killed at random steps."""
        whole, parts = (_estimator(case, name).fit(wait=False, progress=False) for name in ("whole", "parts"))
        for kind in case.faults:
            _interrupt(parts, kind, random.Random(kind))
        for job in (parts, whole):
            assert job.wait(PATIENCE_S).state is JobState.SUCCEEDED, job.info()
        assert len(_attempts(parts)) == 1 + len(case.faults)
        assert _gain(case, whole) >= case.gain
        if _row(_estimator(case, "parts")).resume == "exact":
            assert _figures(parts) == _figures(whole)
            assert _weights(parts) == _weights(whole)
        assert _gain(case, parts) >= case.gain
        loaded = _loaded(parts)
        assert loaded["finite"]
        assert loaded["moved"] > 0


def _estimator(case: EngineCase, name: str) -> Estimator:
    return Estimator(
        **case.fields,  # type: ignore[arg-type]
        name=name,
        backend="local",
        options={"python": tiny.TRAINER_PYTHON},
        folder=case.folder,
    )


def _row(estimator: Estimator) -> engines.Capability:
    key = (estimator.spec.method.stage, estimator.spec.tuning.type, "text")
    engine = engines.chosen(estimator.spec)
    return next(row for row in engine.CAPABILITIES if (row.method, row.tuning, row.modality) == key)


def _interrupt(job: Job, kind: str, chance: random.Random) -> None:
    """Inject a fault a random number of steps after the newest one, and start the job again."""
    before = max(_steps(job), default=0)
    begun, at = len(_attempts(job)), before + chance.randint(2, 9)
    deadline = time.monotonic() + PATIENCE_S
    while max(_steps(job), default=0) < at:
        assert not job.done(), job.info()
        assert time.monotonic() < deadline, f"no step {at} within {PATIENCE_S} s"
        time.sleep(POLL_S)
    inject(job, kind, chance)
    start_again(job)
    assert len(_attempts(job)) == begun + 1


def _steps(job: Job) -> Iterator[int]:
    return (event["step"] for event in job.events() if event["event"] == contract.EVENT_METRICS)


def _attempts(job: Job) -> list[str]:
    """Keys of the claims."""
    return [contract.claim_key(number) for number in range(1, job.info().attempt + 1)]


def _figures(job: Job) -> list[dict[str, object]]:
    """Every figure that the training logged but those of the clock."""
    return [{name: value for name, value in row.items() if name not in OF_THE_CLOCK} for row in job.metrics()]


def _gain(case: EngineCase, job: Job) -> float:
    """By how much the held-out figure is better than that of the untrained model, on the same rows."""
    values = [float(str(row[case.metric])) for row in job.metrics().to_json() if case.metric in row]
    return values[-1] - values[0] if case.rises else values[0] - values[-1]


def _weights(job: Job) -> dict[str, bytes]:
    model = job.model()
    return {name: model.store.read(f"{contract.MODEL_DIR}/{name}") for name in model.files if "safetensors" in name}


def _loaded(job: Job) -> dict[str, float]:
    """What plain transformers and peft make of the finished model."""
    model = job.model()
    argv = [tiny.TRAINER_PYTHON, "-c", LOADED, model.base_model, str(model.path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    loaded: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return loaded
