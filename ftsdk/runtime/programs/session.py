"""The context of every training: one visible device per process, checkpoints that load, and its runs in trackers."""

from __future__ import annotations

import os
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from ftsdk import contract
from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.programs import trackers, unused
from ftsdk.runtime.programs.interruption import InterruptedTraining


@contextmanager
def session(document: JobDocument | None = None) -> Iterator[None]:
    """Enter before the trainer's library is imported: torch reads the visible devices once.

    A training's `document` says which runs of trackers are continued, and which packages are not needed.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        limit_to_one_device(os.environ)
    _let_torch_load_on_numbered_cpus()
    if document:
        trackers.continue_runs(document.get("trackers", {}), os.environ)
        unused.hide(document["config"])
    exit_code = contract.EXIT_FAILED
    try:
        yield
        exit_code = contract.EXIT_SUCCEEDED
    except InterruptedTraining:
        exit_code = contract.EXIT_INTERRUPTED
        raise
    finally:
        trackers.finish(exit_code)


def limit_to_one_device(environ: MutableMapping[str, str]) -> None:
    """With one process and several devices the Trainer would use DataParallel, which LLaMA-Factory refuses."""
    environ["CUDA_VISIBLE_DEVICES"] = environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]


def _let_torch_load_on_numbered_cpus() -> None:
    """Register `cpu:0`, to which the Trainer restores optimizer state under DDP: torch.load only knows `cpu`."""
    import torch

    torch.serialization.register_package(
        1, lambda storage: None, lambda storage, location: storage if location.startswith("cpu:") else None
    )
