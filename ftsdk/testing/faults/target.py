"""The parts of a running job in which faults are injected: its processes or containers and its folder."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from random import Random

from ftsdk import contract
from ftsdk.backends import folders
from ftsdk.backends.docker import nodes
from ftsdk.backends.folders import FolderJob
from ftsdk.contract.documents import ProcessRecord
from ftsdk.errors import FtsdkError, UnsupportedError
from ftsdk.jobs.job import Job
from ftsdk.storage import records

BACKENDS = ("local", "docker")
POLL_S = 0.02
GONE_WITHIN_S = 60.0


class NoTargetError(FtsdkError):
    """The job has ended, or the part that the fault affects does not exist (yet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A running attempt of a job on this machine."""

    job: Job
    backend: str
    chance: Random
    lasting_s: float
    """Duration of a fault that does not end by itself: a cut network, a full disk."""

    @property
    def folder(self) -> FolderJob:
        """The job's plan and durable folder."""
        return folders.find(self.backend, self.job.name)

    @property
    def durable(self) -> Path:
        """The durable folder."""
        return self.folder.store.root

    @property
    def program(self) -> str:
        """The docker command."""
        return str(self.folder.plan.options["program"])

    def supervisor(self) -> int:
        """Process id of a local job's supervisor. Raises NoTargetError if there is none."""
        job = self.folder
        process: ProcessRecord | None = records.read_json(job.store, contract.process_key(job.attempt))
        if process is None or self.job.info().state.terminal:
            raise ended(self.job)
        return int(process["pid"])

    def containers(self) -> list[str]:
        """Names of a docker job's containers, by node."""
        return nodes.names(self.folder)

    def one_container(self) -> str:
        """One of them, by chance."""
        return self.chance.choice(self.containers())

    def wait_until_ended(self) -> None:
        """Until the job, having been killed, is seen to have ended; its processes have ended then."""
        deadline = time.monotonic() + GONE_WITHIN_S
        while not self.job.info().state.terminal:
            if time.monotonic() > deadline:
                raise NoTargetError(f"Job {self.job.uri} still runs {GONE_WITHIN_S:g} s after it was killed.")
            time.sleep(POLL_S)


def backend_of(job: Job) -> str:
    """`local` or `docker`. Raises UnsupportedError for a job that runs elsewhere."""
    name = job.uri.partition("://")[0]
    if name not in BACKENDS:
        raise UnsupportedError(
            f"{job.uri}: faults are injected into jobs of this machine only ({', '.join(BACKENDS)}): run the same spec "
            f"on one of these first."
        )
    return name


def ended(job: Job) -> NoTargetError:
    """The error for a job that has ended."""
    return NoTargetError(f"Job {job.uri} does not run: there is nothing to inject; submit it first.")
