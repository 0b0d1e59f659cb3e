"""What a search has done, in order: whoever repeats it with Optuna is in the same state.

studies/NAME/search/000001.json   operations; a file is created once, so all watchers see one order
"""

from __future__ import annotations

import json
from typing import Literal, TypedDict

from ftsdk.runtime.storage.base import Store
from ftsdk.storage.records import read_json

TrialEnd = Literal["complete", "pruned", "fail"]


class SearchOperation(TypedDict, total=False):
    """One of three: a job was chosen, it has reported a value, or it has ended."""

    kind: Literal["ask", "report", "tell"]
    number: int
    """Of the job, 1-based."""
    trial: dict[str, object]
    """ask: the job as the study's document would have it (`TrialDocument`)."""
    step: int
    value: float
    """report, and tell of a complete job."""
    end: TrialEnd
    """tell"""


class OperationLog:
    """The operations of one search; keeps what it has read."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.operations: list[SearchOperation] = []
        self._files = 0

    def read(self) -> list[SearchOperation]:
        """Read what is new and return it."""
        new: list[SearchOperation] = []
        while (batch := read_json(self._store, _key(self._files + 1))) is not None:
            self._files += 1
            new += batch
        self.operations += new
        return new

    def append(self, operations: list[SearchOperation]) -> bool:
        """Write operations behind all that were read; False if somebody else was first, whose must be read before."""
        data = json.dumps(operations).encode()
        if not self._store.put_if_absent(_key(self._files + 1), data):
            return False
        self._files += 1
        self.operations += operations
        return True

    def jobs(self) -> list[dict[str, object]]:
        """The jobs that were chosen, in their order."""
        return [operation["trial"] for operation in self.operations if operation["kind"] == "ask"]


def _key(number: int) -> str:
    return f"search/{number:06d}.json"
