"""Whether this machine has room for a further job of the backends that run on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache

from ftsdk.errors import BackendError, JobNotFoundError
from ftsdk.facts import MachineFacts
from ftsdk.facts.machine import inspect_machine
from ftsdk.jobs import journal
from ftsdk.jobs.reference import JobReference
from ftsdk.plan import Plan

ON_THIS_MACHINE = ("local", "docker")


def why_no_room(plan: Plan) -> str:
    """Why a job has to wait for others on this machine; empty if it may start, or runs elsewhere."""
    if plan.backend not in ON_THIS_MACHINE:
        return ""
    return held_against(plan, [other for other in _running() if other.uri != plan.uri], _machine())


def held_against(plan: Plan, running: Sequence[Plan], machine: MachineFacts) -> str:
    """The same for the plans of the jobs that run. Pure.

    GPUs are counted where the machine has any, else main memory by the estimates. A job with no other beside it always
    starts: whether it fits at all is the size check's matter.
    """
    if not running:
        return ""
    beside = f"{len(running)} other job{'s' if len(running) > 1 else ''}"
    gpus, used = len(machine.accelerators), sum(map(_gpus, running))
    if gpus:
        full = used + _gpus(plan) > gpus
        return (
            f"{used} of this machine's {gpus} GPUs are taken by {beside}, and it takes {_gpus(plan)}." if full else ""
        )
    memory, needed = sum(map(_gib, running)), _gib(plan)
    if machine.memory_gib is None or memory + needed <= machine.memory_gib:
        return ""
    return (
        f"this machine has {machine.memory_gib:.3g} GiB of memory, {beside} may take {memory:.3g} and it may take "
        f"{needed:.3g}."
    )


@cache
def _machine() -> MachineFacts:
    return inspect_machine()


def _gpus(plan: Plan) -> int:
    return plan.document["nproc_per_node"] * plan.document["num_nodes"]


def _gib(plan: Plan) -> float:
    """Memory by the estimate; 0 if that is not known."""
    return plan.estimate.memory.total_gib if plan.estimate.memory else 0.0


def _running() -> Iterator[Plan]:
    """The plans of the jobs that this machine has started and that run on it now."""
    for uri in journal.unfinished():
        if uri.partition("://")[0] in ON_THIS_MACHINE:
            with suppress(JobNotFoundError, BackendError):  # removed since, or Docker does not answer
                job = JobReference.unchecked(uri)
                if not job.info().state.terminal and (plan := job.plan):
                    yield plan
