"""The kinds of faults, as data: what each does, and on which backends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ftsdk.errors import SpecError, UnsupportedError, did_you_mean
from ftsdk.testing.faults import damage, outages, processes
from ftsdk.testing.faults.target import BACKENDS, NoTargetError, Target


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultKind:
    """One kind of fault."""

    help: str
    do: Callable[[Target], str]
    """Does it and says what was done. Raises NoTargetError, or UnsupportedError where it is not safe."""
    backends: tuple[str, ...] = BACKENDS
    ends: bool = True
    """Whether the attempt, or one start of it, ends by this."""


def _kill_and_damage(target: Target) -> str:
    """Damage the newest checkpoint of a job that has just been killed, so that the next start finds it."""
    if damage.newest(target.durable) is None:
        raise NoTargetError(f"Job {target.job.uri} has no checkpoint yet that could be damaged.")
    killed = processes.kill(target)
    target.wait_until_ended()
    folder = damage.newest(target.durable)
    if folder is None:
        return killed
    way = target.chance.choice(sorted(damage.WAYS))
    damage.damage(folder, way, target.chance)
    return f"{killed}, then damaged {folder.name}: {way}"


ONLY_DOCKER = ("docker",)
KINDS: Mapping[str, FaultKind] = {
    "term": FaultKind(help="SIGTERM to the supervisor, as a spot reclaim begins", do=processes.terminate),
    "kill": FaultKind(help="SIGKILL to the supervisor, as if the machine had gone", do=processes.kill),
    "kill-worker": FaultKind(help="SIGKILL to one trainer process", do=processes.kill_worker),
    "stop-worker": FaultKind(help="SIGSTOP to one trainer process: it hangs", do=processes.stop_worker),
    "stop-container": FaultKind(help="docker stop of one container", do=processes.stop_container, backends=ONLY_DOCKER),
    "network": FaultKind(
        help="cut one container off its network for a while", do=outages.cut_network, backends=ONLY_DOCKER, ends=False
    ),
    "fill-disk": FaultKind(
        help="fill the disk of the job's folder for a while, if the disk is its own", do=outages.fill_disk, ends=False
    ),
    "damage": FaultKind(help="SIGKILL, then damage the newest checkpoint in one of many ways", do=_kill_and_damage),
}
GENTLE = ("term", "kill", "kill-worker")
"""Kinds that can be done to every job: what is chosen from by default."""


def fault_kind(name: str, backend: str) -> FaultKind:
    """The kind with a name. Raises SpecError for an unknown one, UnsupportedError where it cannot be done."""
    if name not in KINDS:
        raise SpecError(f"There is no kind of fault '{name}'{did_you_mean(name, KINDS)}: {', '.join(KINDS)}.")
    kind = KINDS[name]
    if backend not in kind.backends:
        raise UnsupportedError(
            f"{name} can be done to jobs of {', '.join(kind.backends)} only: a {backend} job has no such part."
        )
    return kind
