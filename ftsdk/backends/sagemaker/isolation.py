"""Requirements of a job without a network. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ftsdk.errors import UnsupportedError

if TYPE_CHECKING:
    from ftsdk.backends.sagemaker.options import SageMakerOptions
    from ftsdk.facts import Facts
    from ftsdk.spec import JobSpec


def refuse(spec: JobSpec, facts: Facts, options: SageMakerOptions) -> None:
    """Raise UnsupportedError if the job needs the network that its option takes away; all reasons at once."""
    if options.network_isolation and (reasons := list(_needs(spec, facts))):
        raise UnsupportedError(
            f"network_isolation leaves the job without a network, and it needs one: {'; '.join(reasons)}."
        )


def _needs(spec: JobSpec, facts: Facts) -> Iterator[str]:
    for name in ("wandb", "swanlab"):
        if (tracker := getattr(spec.tracking, name)) and tracker.mode != "offline":
            yield f"tracking.{name} (set its mode to offline)"
    yield from (f"tracking.{name} (leave it out)" for name in ("mlflow", "trackio") if getattr(spec.tracking, name))
    if facts.model.kind in ("hub", "modelscope"):
        yield f"model {facts.model.address} comes from a hub (give a folder or s3://)"
    elif not _base_is_given(facts):
        yield f"the adapter's base model {facts.model.base} comes from a hub (give it as a folder)"
    for source in (*facts.train, *facts.eval):
        if source.file is None and not source.address.startswith("s3://"):
            yield f"dataset {source.address} comes from a hub (give a file or s3://)"
    if spec.secrets:
        yield "secrets are fetched over it (leave them out)"
    if spec.resources.num_nodes > 1:
        yield "several nodes share their checkpoints in S3 (use one node with more accelerators)"


def _base_is_given(facts: Facts) -> bool:
    model = facts.model
    if model.base == model.address or model.base.startswith("s3://"):
        return True
    return any(file.path.startswith((f"{model.base}/", f"{model.base}\\")) for file in model.files)
