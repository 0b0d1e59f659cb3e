"""Estimator: the face for Python users. It describes a training; `fit` runs it."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Unpack

from ftsdk import backends
from ftsdk.backends.base import Backend, JobInfo, bucket_access
from ftsdk.facts import Facts, inspect
from ftsdk.facts.model import refuse_incomplete
from ftsdk.jobs import checks, continuing, live, watching
from ftsdk.jobs.job import Job
from ftsdk.jobs.starting import no_bar, read_secrets
from ftsdk.jobs.submit import submit
from ftsdk.plan import Plan, budgets, build
from ftsdk.preview import Preview, preview
from ftsdk.sizing.speedup import Speedup, speedups
from ftsdk.spec import JobSpec, PythonFile, Serve
from ftsdk.spec.fields import SpecFields
from ftsdk.spec.loading import name_notes, normalized, parse
from ftsdk.spec.program import other_model
from ftsdk.storage import copying
from ftsdk.terminal.progress import byte_bar


class Estimator:
    """A fine-tuning and the place where it runs.

        job = Estimator(model="Qwen/Qwen3-8B", dataset="train.jsonl", method="sft", tuning=Lora(rank=16)).fit()
        print(job.model().uri)

    Args:
        spec: a JobSpec; or leave it out and give its fields as keyword arguments.
        backend: a registry name such as "docker", or a backend object such as `Local(...)`.
        options: the backend's options, where `backend` is a name.
        folder: relative paths in the spec are taken from here.
        fields: the fields of JobSpec, in the short forms that YAML allows too. `dataset`, and its `train` and `eval`,
            may also be rows in memory: a list of dictionaries, a pandas DataFrame, a `datasets.Dataset`.

    Raises SpecError for a wrong field and NotInstalledError for a backend that is not installed.
    """

    def __init__(
        self,
        spec: JobSpec | None = None,
        *,
        backend: str | Backend = "local",
        options: Mapping[str, object] | None = None,
        folder: Path | str = ".",
        **fields: Unpack[SpecFields],
    ) -> None:
        if spec is None or fields:
            given: dict[str, object] = {**fields}
            if "dataset" in given:
                from ftsdk.data.in_memory import as_files

                given["dataset"] = as_files(given["dataset"])
            data, notes = normalized(given, over=spec)
            spec = parse(data, where="Estimator")
            for note in (*notes, *name_notes(fields.get("name"), spec)):
                warnings.warn(note, stacklevel=2)
        self.spec = spec
        self.backend = backends.get(backend, options) if isinstance(backend, str) else backend
        self.folder = Path(folder)

    def inspect(self, *, again: bool = False) -> Facts:
        """What the spec's files, model and this machine look like."""
        access = bucket_access(self.backend)
        return inspect(_with_model_of_job(self.spec), folder=self.folder, again=again, access=access)

    def plan(self, facts: Facts | None = None) -> Plan:
        """The exact request that `fit` would send. Creates nothing."""
        return self.backend.plan(self.spec, facts or self.inspect())

    def speedups(self, facts: Facts | None = None) -> tuple[Speedup, ...]:
        """Hyperparameters with which the same training takes less time by the estimate: the best that keep the batches,
        then the best with packing if that gains more. None where the accelerator or the data's lengths are unknown."""
        known = facts or self.inspect()
        return speedups(self.spec, lambda changed: build.estimate_of(changed, known))

    def preview(self, *, first: int | None = 3, only: int | None = None) -> Preview:
        """The first training rows, or only one (1 = first), as the trainer sees them; all rows for `first=None`.

        Raises NotInstalledError without the trainer, and DataError if it cannot read the rows.
        """
        return preview(self.spec, self.inspect(), first=first, only=only)

    def fit(
        self,
        *,
        wait: bool = True,
        again: bool = False,
        continue_: bool | str = False,
        size_check: bool = True,
        data_check: bool = True,
        copy: bool = False,
        progress: bool = True,
        on_attach: Callable[[JobInfo], None] = lambda info: None,
        on_decision: watching.OnDecision = watching.ignore_decision,
        on_warning: Callable[[str], None] = warnings.warn,
    ) -> Job:
        """Run the training; the same spec and data attach to the existing job.

        Args:
            wait: wait for the end, start again what `retry` says, and raise JobFailedError if there is no model; False
                returns at once.
            again: start one more job although an equal one runs or has succeeded.
            continue_: go on from the last checkpoint of a finished job with this URI; True takes this machine's newest
                that differs in `num_train_epochs` or `max_steps` only.
            size_check: refuse, with UnsupportedError, a training that cannot fit into the accelerator's memory
                or into its budget.
            data_check: refuse, with DataError, training data with errors (see `ftsdk data check`).
            copy: copy models and data from another cloud, which costs egress; without it such a plan is refused.
            on_attach: called with the state of an equal job that exists already.
            progress: while waiting, show progress on standard error if that is a terminal or a notebook.
            on_decision: called with what follows an attempt that has ended, while waiting.
            on_warning: called with each warning of the plan; by default Python's own.
        """
        if continue_:
            return self._continuing(continue_).fit(
                wait=wait, again=again, size_check=size_check, data_check=data_check, copy=copy, progress=progress,
                on_attach=on_attach, on_decision=on_decision, on_warning=on_warning,
            )  # fmt: skip
        facts = self.inspect(again=again)
        plan = self.plan(facts)
        for sentence in plan.warnings:
            on_warning(sentence)
        self.check(facts, plan, size_check=size_check, data_check=data_check, copy=copy)
        shows = progress and live.can_show(sys.stderr)
        bar = byte_bar if shows else no_bar
        secrets = read_secrets(plan)
        job = submit(plan, self.backend, secrets=secrets, on_attach=on_attach, bar=bar)
        if not wait:
            return job
        with live.interruptible(job, sys.stderr):
            if shows:
                live.show(job, sys.stderr, on_decision=on_decision)
            else:
                job.wait(on_decision=on_decision)
        job.model()
        return job

    def check(
        self, facts: Facts, plan: Plan, *, size_check: bool = True, data_check: bool = True, copy: bool = False
    ) -> None:
        """Raise what `fit` raises before it creates anything; its arguments have the same meaning here."""
        if size_check:
            checks.refuse_what_cannot_fit(plan)
            budgets.refuse_what_costs_more(self.spec.budget, plan.estimate, plan.usd_per_hour, now=time.time())
        if data_check:
            checks.refuse_bad_data(self.spec, facts)
        if not copy:
            copying.refuse(plan.copies)
        if not isinstance(self.spec.program, PythonFile):  # which reads what it likes
            refuse_incomplete(facts.model, needs_weights=not plan.trainer_config.get("train_from_scratch"))

    def _continuing(self, job: bool | str) -> Estimator:
        uri = job if isinstance(job, str) else continuing.job_to_continue(self.spec, self.backend.name)
        checkpoint = self.spec.checkpoint.model_copy(update={"start_from": uri})
        spec = self.spec.model_copy(update={"checkpoint": checkpoint})
        return Estimator(spec, backend=self.backend, folder=self.folder)


def _with_model_of_job(spec: JobSpec) -> JobSpec:
    """A finished job's URI as a model means the model that it made. Raises JobFailedError if it made none."""
    judge = spec.method.reward_model
    method = spec.method.model_copy(update={"reward_model": _model_of(judge)}) if judge else spec.method
    program, other = spec.program, other_model(spec.program)
    if other:
        name = "beside" if isinstance(program, Serve) else "against"
        program = program.model_copy(update={name: _model_of(other)})
    start = spec.checkpoint.start_from or ""
    checkpoint = spec.checkpoint
    if start.partition("://")[0] in backends.names():
        checkpoint = checkpoint.model_copy(update={"start_from": str(continuing.newest_checkpoint(start))})
    parts = {"method": method, "program": program, "checkpoint": checkpoint}
    return spec.model_copy(update={"model": _model_of(spec.model), **parts})


def _model_of(address: str) -> str:
    scheme, mark, _ = address.partition("://")
    return Job.attach(address).model().uri if mark and scheme in backends.names() else address
