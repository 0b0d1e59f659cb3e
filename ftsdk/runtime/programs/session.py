"""What every trainer needs around its training: one card seen, checkpoints that load, W&B told how it ended."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager

from ftsdk import contract
from ftsdk.runtime.programs.worker import InterruptedTraining


@contextmanager
def session() -> Iterator[None]:
    """Enter before the trainer's library is imported: torch reads the visible cards once."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        see_one_card(os.environ)
    _let_torch_load_on_numbered_cpus()
    exit_code = contract.EXIT_FAILED
    try:
        yield
        exit_code = contract.EXIT_SUCCEEDED
    except InterruptedTraining:
        exit_code = contract.EXIT_INTERRUPTED
        raise
    finally:
        _finish_wandb(exit_code)


def see_one_card(environ: MutableMapping[str, str]) -> None:
    """One process and several cards: the Trainer would pick DataParallel, which LLaMA-Factory refuses."""
    environ["CUDA_VISIBLE_DEVICES"] = environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]


def _let_torch_load_on_numbered_cpus() -> None:
    """The Trainer restores optimizer state to `cpu:0` under DDP, a location that torch.load knows only as `cpu`."""
    import torch

    torch.serialization.register_package(
        1, lambda storage: None, lambda storage, location: storage if location.startswith("cpu:") else None
    )


def _finish_wandb(exit_code: int) -> None:
    """Tell W&B how it ended: it asks at exit only, and our process exits without an exception."""
    wandb = sys.modules.get("wandb")
    if wandb is not None and wandb.run is not None:
        if exit_code == contract.EXIT_INTERRUPTED:
            wandb.run.mark_preempting()
        wandb.finish(exit_code=exit_code)
