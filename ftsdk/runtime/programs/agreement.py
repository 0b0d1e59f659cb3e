"""Lets all ranks act at the same step, although the request may reach only one of them, without a barrier.

A rank with a request writes a step number to the process group's store; every rank reads it once a step (a round trip
to the store, no work on the accelerator). The number is far enough ahead that no rank can be past it when it reads:

- On the CPU a rank that has ended step s+1 has reduced gradients with all others, so all of them have ended step s.
  The request was stored before its rank continued from s: every rank reads it at s+1 at the latest.
- On CUDA the host runs ahead of the device. It is limited to one step ahead (see `end_of_step`), hence s+2.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

    from torch.cuda import Event
    from torch.distributed import Store

MEASURED_BYTES = 16 << 20


class Agreement:
    """The store of all ranks; with a single rank a request is due at once."""

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        self._store: Store | None = None
        self._steps: dict[str, int] = {}
        self._cuda: ModuleType | None = None
        self._previous: Event | None = None
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            from torch.distributed.distributed_c10d import _get_default_store

            self._store = dist.PrefixStore("ftsdk", _get_default_store())
            self._cuda = torch.cuda if torch.cuda.is_available() else None

    def all_reduce_gb_s(self) -> float | None:
        """Measured speed of an all-reduce over all ranks, in GB of one rank's data per second; None with one rank."""
        if self._store is None:
            return None
        import torch
        import torch.distributed as dist

        block = torch.zeros(MEASURED_BYTES // 4, device="cuda" if self._cuda else "cpu")
        dist.all_reduce(block)  # connects
        dist.barrier()
        began = time.monotonic()
        dist.all_reduce(block)
        if self._cuda:
            self._cuda.synchronize()
        return MEASURED_BYTES / 1e9 / max(time.monotonic() - began, 1e-9)

    def is_due(self, action: str, requested: bool, step: int) -> bool:
        """Whether all ranks perform `action` at the end of this step. All ranks must call it at the end of a step."""
        if self._store is None:
            return requested
        if action not in self._steps:
            if requested:
                self._store.compare_set(action, "", str(step + (2 if self._cuda else 1)))
            if self._store.check([action]):
                self._steps[action] = int(self._store.get(action))
        return self._steps.get(action) == step

    def end_of_step(self) -> None:
        """Keep the host at most one step ahead of the device, which itself never waits for this."""
        if self._cuda is not None:
            event = self._cuda.Event()
            event.record()
            if self._previous is not None:
                self._previous.synchronize()
            self._previous = event

    def barrier(self) -> None:
        """Wait until all ranks have reached this point."""
        if self._store is not None:
            import torch.distributed as dist

            dist.barrier()
