"""`ftsdk doctor --probe`: one small job that measures what no document says, and what is kept of it for later plans."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from statistics import median
from threading import Thread
from typing import Final

from ftsdk import contract
from ftsdk.backends.base import Backend
from ftsdk.errors import UnavailableError
from ftsdk.facts import inspect, platforms
from ftsdk.facts.platforms import ProbeAnswers, StopAnswer
from ftsdk.home import home_dir
from ftsdk.jobs.job import Job
from ftsdk.jobs.submit import submit
from ftsdk.plan import Plan
from ftsdk.runtime.programs.probe import BEAT
from ftsdk.runtime.storage.base import Store
from ftsdk.spec import JobSpec
from ftsdk.spec.loading import parse
from ftsdk.storage import records

MINUTES: Final = 5
MAX_SIGNAL_S: Final = 150.0
"""So long a probe waits for its SIGKILL; longer graces are of no use to a training."""
UNKILLED: Final = ("local", "skypilot")
"""Backends whose jobs stop by themselves after a cancel: no platform kills them."""
UNKILLED_S: Final = 5.0
CHEAPEST: Final[Mapping[str, dict[str, str]]] = {
    "sagemaker": {"instance_type": "ml.m5.large"},
    "pai": {"ecs_spec": "ecs.g6.large"},
}
"""Backend -> options of its cheapest machine, for a probe without an accelerator."""
START_S: Final = 1800.0
"""Seconds to wait for a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeJob:
    """A probe's job, not yet started."""

    plan: Plan
    backend: Backend

    @property
    def max_cost_usd(self) -> float | None:
        """What it costs at most; None if the price is unknown."""
        return None if self.plan.usd_per_hour is None else self.plan.usd_per_hour * MINUTES / 60


def prepare(
    backend: Backend,
    *,
    accelerator: str | None = None,
    secrets: tuple[str, ...] = (),
    max_signal_s: float | None = None,
) -> ProbeJob:
    """Plan the job; creates nothing but a tiny model's folder in ftsdk's home.

    Args:
        backend: where to probe.
        accelerator: of the machine; the cheapest machine without one if left out.
        secrets: names of secrets that the job tries to read.
        max_signal_s: seconds after which a probe that is not killed ends by itself, at most MAX_SIGNAL_S.
    """
    spec = _spec(accelerator, secrets)
    plan = backend.plan(spec, inspect(spec, again=True))
    limit_s = UNKILLED_S if backend.name in UNKILLED else MAX_SIGNAL_S
    config = {"max_signal_s": max_signal_s or limit_s, "secrets": list(secrets)}
    document = plan.document.copy()
    document["trainer"], document["config"], document["dataset_info"] = "probe", config, {}
    document["grace_s"] = 2 * MAX_SIGNAL_S  # longer than any platform's: the supervisor must not be the one that kills
    return ProbeJob(plan=replace(plan, document=document, trainer_config=config), backend=backend)


def run(probe: ProbeJob, *, secrets: Mapping[str, str], on_step: Callable[[str], None]) -> ProbeAnswers:
    """Run the job, stop it and return the answers, which are kept for the plans of this backend and scope.

    `on_step` is called with a sentence at each step. Raises UnavailableError if the job ends without an answer.
    """
    began = time.time()
    job = submit(probe.plan, probe.backend, secrets=dict(secrets), on_attach=lambda info: None)
    on_step(f"{job.uri} is submitted")
    delays: list[float] = []
    follower = Thread(target=_follow, args=(job, delays), daemon=True)
    answers = _wait(job, job.store, on_step)
    started_s = time.time() - began
    follower.start()
    time.sleep(12)  # while the lines come that the delay of the log is measured by
    on_step("it has measured; now it is stopped, to count the seconds until it is killed")
    job.cancel()
    job.wait(START_S)
    signal: StopAnswer = records.read_json(job.store, contract.PROBE_SIGNAL_KEY) or StopAnswer()
    log = {"delay_s": round(median(delays), 2)} if delays else {}
    measured: ProbeAnswers = {
        **answers,
        "stop": signal,
        "log": log,
        "seconds_to_first_answer": round(started_s, 1),
    }
    platforms.keep(home_dir(), probe.backend.name, scope_of(probe.plan), probe=measured)
    return measured


def scope_of(plan: Plan) -> str:
    """The scope of a plan's URI: a region, a cluster; empty if the backend has none."""
    return plan.uri.partition("://")[2].rpartition("/")[0]


def as_fixture(answers: Mapping[str, object]) -> str:
    """The answers as JSON without account numbers and hosts, for an emulator's fixture."""
    text = json.dumps(answers, indent=1, sort_keys=True)
    return re.sub(r"\b\d{12,16}\b", "ACCOUNT", text) + "\n"


def _spec(accelerator: str | None, secrets: tuple[str, ...]) -> JobSpec:
    folder = home_dir() / "cache" / "probe"
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "config.json").write_text('{"model_type": "qwen2"}')
    (folder / "train.jsonl").write_text('{"instruction": "a", "output": "b"}\n')
    fields = {"model": str(folder / "model"), "dataset": str(folder / "train.jsonl"), "name": "probe",
              "secrets": secrets, "timeout_hours": MINUTES / 60,
              "resources": {"accelerator": accelerator} if accelerator else {}}  # fmt: skip
    return parse(fields, where="probe")


def _follow(job: Job, delays: list[float]) -> None:
    """Collect how late the probe's lines arrive; a clock that goes wrong there shows as a negative delay."""
    for line in Job(job.uri, type(job.backend)(job.backend.options)).logs(follow=True):
        word, _, stamp = line.text.partition(" ")
        if word == BEAT:
            delays.append(time.time() - float(stamp))


def _wait(job: Job, store: Store, on_step: Callable[[str], None]) -> ProbeAnswers:
    """The answers, once they are there. Raises UnavailableError if the job ends before."""
    state, ends = "", time.monotonic() + START_S
    while time.monotonic() < ends:
        answers: ProbeAnswers | None = records.read_json(store, contract.PROBE_KEY)
        if answers is not None:
            return answers
        info = job.info()
        if info.state.value != state:
            state = info.state.value
            on_step(f"{state} {info.message}".strip())
        if info.state.terminal:
            raise UnavailableError(f"The probe {job.uri} ended without an answer ({info.reason}): {info.message}")
        time.sleep(1)
    job.cancel()
    raise UnavailableError(f"The probe {job.uri} had no machine within {START_S / 60:.0f} minutes and was cancelled.")
