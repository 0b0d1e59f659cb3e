"""All ranks act at the same step, though only one of them may know why, and without waiting for each other.

Whoever has a wish writes a step number into the process group's store; everybody looks there once a step (a round
trip to the store, nothing on the accelerator). The number lies so far ahead that nobody can be past it unseen:

- On the CPU a rank that ended step s+1 has reduced gradients with all others, so they had all ended step s. The wish
  was stored before its rank went on from s: everyone sees it at s+1 at the latest.
- On CUDA the host runs ahead of the card. It is held to one step ahead (see `end_of_step`), which makes it s+2.
"""

from __future__ import annotations

from typing import Any


class Agreement:
    """One store for all ranks; alone, a wish is fulfilled at once."""

    def __init__(self) -> None:
        import torch
        import torch.distributed as dist

        self._store: Any = None
        self._steps: dict[str, int] = {}
        self._cuda: Any = None
        self._previous: Any = None
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            from torch.distributed.distributed_c10d import _get_default_store

            self._store = dist.PrefixStore("ftsdk", _get_default_store())
            self._cuda = torch.cuda if torch.cuda.is_available() else None

    def is_due(self, what: str, wished: bool, step: int) -> bool:
        """Whether all ranks do `what` at the end of this step. To be asked by every rank at the end of every step."""
        if self._store is None:
            return wished
        if what not in self._steps:
            if wished:
                self._store.compare_set(what, "", str(step + (2 if self._cuda else 1)))
            if self._store.check([what]):
                self._steps[what] = int(self._store.get(what))
        return self._steps.get(what) == step

    def end_of_step(self) -> None:
        """Keep the host at most one step ahead of the card; the card itself never waits for this."""
        if self._cuda is not None:
            event = self._cuda.Event()
            event.record()
            if self._previous is not None:
                self._previous.synchronize()
            self._previous = event

    def everyone_is_here(self) -> None:
        """Wait until all ranks have come to this point."""
        if self._store is not None:
            import torch.distributed as dist

            dist.barrier()
