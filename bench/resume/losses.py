"""The cost of an interruption: ftsdk and LLaMA-Factory with the same cadence, without and with HF's own last save."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from bench.resume.judge import weights
from bench.resume.plain import Plain
from bench.resume.setups import Setup
from ftsdk.contract import EVENT_METRICS, EVENT_PHASE
from ftsdk.jobs.job import Job
from ftsdk.testing.faults import inject
from ftsdk.testing.faults.injection import start_again

CADENCE_STEPS = 50
EARLIEST, LATEST = 60, 220
"""The step at which an interruption comes."""
STEPS = 600
"""Enough that HF's own last save, which waits three seconds first, does not come after the end."""
SETUP = Setup(
    name="losses",
    backend="local",
    kinds=("term", "kill"),
    hyperparameters={"max_steps": STEPS},
    cadence_steps=CADENCE_STEPS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One program under one kind of interruption."""

    who: str
    kind: str
    lost_steps: tuple[int, ...]
    exit_codes: tuple[int, ...]
    same_model: int
    """In how many of these rounds the model was the one of the training without interruption."""

    @property
    def row(self) -> str:
        """A line of the table."""
        codes = ", ".join(str(code) for code in sorted(set(self.exit_codes)))
        lost = f"{median(self.lost_steps):g} | {max(self.lost_steps)}"
        return f"| {self.who} | {self.kind} | {lost} | {codes} | {self.same_model} of {len(self.lost_steps)} |"


@dataclass(frozen=True, slots=True)
class Round:
    """The cost of one interruption."""

    lost_steps: int
    exit_code: int
    model: dict[str, str]


def measure(tiny: Path, folder: Path, rounds: int) -> Iterator[Loss]:
    """All programs with both kinds of interruption, at the same steps."""
    plans: dict[str, Callable[[str, str, int], Round]] = {
        "ftsdk": lambda label, kind, step: _ours(tiny, label, kind, step),
        "LLaMA-Factory": lambda label, kind, step: _theirs(tiny, folder / label, kind, step),
        "LLaMA-Factory, enable_jit_checkpoint": lambda label, kind, step: _theirs(
            tiny, folder / label, kind, step, enable_jit_checkpoint=True
        ),
    }
    baseline = _baseline(tiny, folder)
    for kind in ("term", "kill"):
        chance = Random(kind)
        steps = [chance.randint(EARLIEST, LATEST) for _ in range(rounds)]
        for number, (who, train) in enumerate(plans.items()):
            done = [train(f"{kind}-{number}-{step}", kind, step) for step in steps]
            yield Loss(
                who=who,
                kind={"term": "SIGTERM", "kill": "SIGKILL"}[kind],
                lost_steps=tuple(one.lost_steps for one in done),
                exit_codes=tuple(one.exit_code for one in done),
                same_model=sum(one.model == baseline for one in done),
            )


def _baseline(tiny: Path, folder: Path) -> dict[str, str]:
    """The model without an interruption, which is the same for ftsdk and LLaMA-Factory."""
    plain = Plain(_config(tiny, folder / "baseline"))
    plain.start()
    plain.wait()
    return plain.weights


def _ours(tiny: Path, label: str, kind: str, step: int) -> Round:
    job = SETUP.estimator(tiny, label).fit(wait=False)
    _reach(job, step)
    done = inject(job, kind, Random(step))
    exit_code = job.info().exit_code
    start_again(job)
    job.result()
    phases = [event for event in job.events() if event["event"] == EVENT_PHASE]
    resumed = [event["resume_step"] or 0 for event in phases if event["phase"] == "training"][-1]
    return Round(done.step - resumed, -signal.SIGKILL if exit_code is None else exit_code, weights(job))


def _reach(job: Job, step: int) -> None:
    for event in job.events(follow=True):
        if event["event"] == EVENT_METRICS and event["step"] >= step:
            return


def _theirs(tiny: Path, folder: Path, kind: str, step: int, **arguments: object) -> Round:
    plain = Plain({**_config(tiny, folder), **arguments})
    plain.start()
    code = plain.signal_at(step, signal.SIGTERM if kind == "term" else signal.SIGKILL)
    lost = len(plain.ends) - plain.saved_step
    plain.start()
    plain.wait()
    return Round(lost, code, plain.weights)


def _config(tiny: Path, folder: Path) -> dict[str, object]:
    """ftsdk's configuration of the same training, with LLaMA-Factory's own saving."""
    plan = SETUP.estimator(tiny, "losses").plan()
    dataset = folder / "data"
    dataset.mkdir(parents=True, exist_ok=True)
    (dataset / "dataset_info.json").write_text(json.dumps(plan.document["dataset_info"]))
    return {
        **plan.trainer_config,
        "output_dir": str(folder / "output"),
        "dataset_dir": str(dataset),
        "save_strategy": "steps",
        "save_steps": CADENCE_STEPS,
        "disable_tqdm": True,
        "include_num_input_tokens_seen": "non_padding",
    }
