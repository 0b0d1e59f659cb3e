"""Options of the skypilot backend."""

from __future__ import annotations

from typing import Final, Literal, cast

from pydantic import Field, model_validator

from ftsdk.backends.options import Options, Words
from ftsdk.backends.passthrough import RequestFields
from ftsdk.contract.documents import Storage

IMAGE: Final = "hiyouga/llamafactory:0.9.5"
"""LLaMA-Factory's own image, which any cloud can pull."""


class SkyPilotOptions(Options):
    """Options of the skypilot backend. Which clouds there are, and with whose account, is SkyPilot's own business."""

    infra: Words = ()
    """Where it may run, e.g. `aws/us-west-2`, `k8s/CONTEXT`, `slurm/CLUSTER`; any that SkyPilot has if left out.
    Several, with commas, are tried in this order."""
    storage: str | None = None
    """Where jobs keep their results: a folder that this machine and every node see, or an address such as
    s3://bucket/prefix. The spec's `output` counts more."""
    storage_region: str | None = None
    """Region of a bucket in `storage`, where the environment of node and machine do not say it (AWS_REGION)."""
    storage_endpoint: str | None = None
    """URL of the service of a bucket in `storage`, if it is not the provider's own."""
    shared: Words = ()
    """Folders that every node sees under the same path as this machine: inputs in them are used in place, others are
    copied to the nodes."""
    accelerators: Words = ()
    """Accelerators that will do as well as `resources.accelerator`, e.g. `H100,A100-80GB`, in order of preference; by
    ftsdk's names, which are translated to SkyPilot's (whose `A100` has 40 GB)."""
    choose: Literal["ordered", "cheapest"] = "ordered"
    """Which of several infra and accelerators is taken: the first that is to be had, or the cheapest."""
    max_usd_per_hour: float | None = Field(default=None, gt=0)
    """What a machine may cost in an hour at most, in US dollars; SkyPilot takes none that is dearer."""
    cpus: str | None = None
    """CPUs of a node in SkyPilot's way, e.g. `16` or `8+`."""
    managed: bool | None = None
    """True lets SkyPilot's jobs controller run it and recover it after a preemption; spot does so if left out."""
    cluster: str | None = None
    """A SkyPilot cluster of yours that is up: the job runs there and leaves it as it is."""
    autostop_minutes: int = Field(default=0, ge=0)
    """Minutes that a cluster, made for a job that is not managed, stays up after it."""
    image: str | None = None
    """Image that holds the trainer; LLaMA-Factory's own if left out, where the infra runs containers."""
    image_auth: str | None = None
    """Environment variable with `user:password` of the registry of `image`, read when a job is submitted; on Kubernetes
    use pull secrets of the cluster instead."""
    setup: str | None = None
    """Shell lines that make a trainer on the node, where there is no image; a virtual environment if left out."""
    python: str | None = None
    """Interpreter that has the trainer, as seen on the node."""
    scratch: str = "/tmp"
    """Fast folder of a node, for inputs and what a training writes before it is saved."""
    grace_s: float = Field(default=25.0, ge=0)
    """Seconds that a cancelled or preempted job has for saving its state."""
    sky_python: str | None = None
    """Interpreter that has SkyPilot; ftsdk's own if left out."""
    request: RequestFields = Field(default={})
    """Fields of SkyPilot's task that have no option, e.g. `-o request.resources.disk_tier=high`."""

    @model_validator(mode="after")
    def _fit(self) -> SkyPilotOptions:
        if self.cluster and (self.managed or self.infra):
            raise ValueError("cluster names a cluster that is up, so leave infra and managed out")
        bare = {runs_bare(where) for where in self.infra}
        if len(bare) > 1:
            raise ValueError("infra that runs containers and Slurm cannot be mixed, the trainer comes another way")
        return self

    @property
    def reached(self) -> Storage:
        """How a bucket in `storage` is reached."""
        fields = {"region": self.storage_region, "endpoint": self.storage_endpoint}
        return cast("Storage", {name: value for name, value in fields.items() if value})

    @property
    def bare(self) -> bool:
        """Whether the job runs outside any container."""
        return self.image is None and (bool(self.cluster) or any(runs_bare(where) for where in self.infra))


def is_kubernetes(infra: str) -> bool:
    """Whether this infra is a Kubernetes cluster."""
    return infra.partition("/")[0].lower() in ("k8s", "kubernetes")


def runs_bare(infra: str) -> bool:
    """Whether this infra runs no containers without a plug-in that many clusters lack (Slurm's Pyxis)."""
    return infra.partition("/")[0].lower() == "slurm"
