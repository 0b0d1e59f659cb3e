"""A job that starts from another training's checkpoint: what must fit, and the warnings. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ftsdk.contract.documents import StartCheckpoint
from ftsdk.engines.base import Layout
from ftsdk.errors import SpecError, UnsupportedError
from ftsdk.facts import Facts
from ftsdk.facts.start import FIELD, StartFacts
from ftsdk.spec import Full, JobSpec, Lora
from ftsdk.spec.peft_family import BitFit
from ftsdk.spec.program import Train


def start_of(spec: JobSpec, facts: Facts, layout: Layout) -> StartCheckpoint | None:
    """The part of the job document. Raises SpecError and UnsupportedError for what does not fit the spec."""
    start = facts.start
    if start is None:
        return None
    if not isinstance(spec.program, Train) or spec.method.stage == "ppo":
        what = spec.method.stage if isinstance(spec.program, Train) else spec.program.type
        raise UnsupportedError(f"{FIELD}: {what} does not resume from a checkpoint; leave it out.")
    _refuse_other_model(spec, facts, start)
    _refuse_finished(spec, start)
    return StartCheckpoint(path=layout.inside(start.path), step=start.step)


def notes(facts: Facts) -> Iterator[str]:
    """What is taken over, a sentence each."""
    start = facts.start
    if start is None:
        return
    yield (
        f"training goes on from {start.path}, step {start.step:,} of {start.max_steps:,} (epoch {start.epoch:g}): "
        f"its {len(start.files)} files are copied into the job and verified by size and hash."
    )
    yield (
        "weights, optimizer, its learning rate and weight decay, and random state are the checkpoint's; the schedule "
        "(warm-up, decay) is computed for this job's steps, so the learning rate may jump at the start."
    )
    exact = "" if start.is_own else " It was not saved by ftsdk: losses that it had not logged yet are left out."
    yield f"the rows that its epoch has used are skipped by number, so data, batch and seed should be the same.{exact}"


def _refuse_other_model(spec: JobSpec, facts: Facts, start: StartFacts) -> None:
    if (start.adapter is None) is not isinstance(spec.tuning, Full | BitFit):
        kind = "all weights" if start.adapter is None else "an adapter"
        raise SpecError(f"{FIELD}: the checkpoint holds {kind}, and tuning is {spec.tuning.type}; make them the same.")
    if facts.model.base != facts.model.address:
        raise SpecError(f"{FIELD}: give the base model as `model`; the adapter is in the checkpoint.")
    if spec.method.stage == "rm" and not start.has_value_head:
        raise SpecError(f"{FIELD}: the checkpoint of a reward model has no value_head.safetensors; leave it out.")
    rank = (start.adapter or {}).get("r")
    if isinstance(spec.tuning, Lora) and rank != spec.tuning.rank:
        raise SpecError(f"{FIELD}: the checkpoint's adapter has rank {rank}; set tuning.rank to it.")


def _refuse_finished(spec: JobSpec, start: StartFacts) -> None:
    """Nothing would be trained."""
    given = spec.hyperparameters
    if given.max_steps is not None and given.max_steps <= start.step:
        raise SpecError(
            f"{FIELD}: the checkpoint is at step {start.step} and max_steps is {given.max_steps}; raise it."
        )
    epochs = given.num_train_epochs
    if given.max_steps is None and isinstance(epochs, int | float) and epochs <= start.epoch:
        raise SpecError(
            f"{FIELD}: the checkpoint is at epoch {start.epoch:g}, and num_train_epochs is {epochs:g}; raise it."
        )
