"""What the other nodes of an attempt are doing. A training goes on together or not at all.

Each start of a supervisor has a generation: one more than its own last one, or that of a node that is ahead already.
Whoever sees a higher generation than its own knows that a peer has started again: its own trainer talks to the dead,
so it gives up and, started again, joins that generation.
"""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any, NamedTuple

from ftsdk import contract
from ftsdk.runtime.platforms.cluster import Cluster
from ftsdk.runtime.storage.durable import Durable

POLL_S = 3.0
RETRIED = (contract.EXIT_CRASHED, contract.EXIT_INTERRUPTED)


class Trouble(NamedTuple):
    """Why this node cannot go on."""

    state: str
    reason: str
    message: str
    hint: str


class Peers:
    """The other nodes' records in durable storage."""

    def __init__(self, durable: Durable, attempt: int, cluster: Cluster) -> None:
        self._durable, self._attempt, self._cluster = durable, attempt, cluster
        self._others = [node for node in range(cluster.num_nodes) if node != cluster.node_rank]
        self._started_at = time.time()
        self._next_look = -math.inf
        self._found: Trouble | None = None
        self._generation = self._announce() if self._others else 0

    def trouble(self) -> Trouble | None:
        """Whether a peer has failed or started again; looks every POLL_S seconds at most.

        Only the first look is waited for: a bucket may answer late, and the trainer's output must flow meanwhile.
        """
        if self._others and not self._found and time.monotonic() >= self._next_look:
            is_first, self._next_look = self._next_look == -math.inf, math.inf
            if is_first:
                self._look()
            else:
                threading.Thread(target=self._look, daemon=True).start()
        return self._found

    def _look(self) -> None:
        self._found = next((found for node in self._others if (found := self._trouble_of(node))), None)
        self._next_look = time.monotonic() + POLL_S

    def _announce(self) -> int:
        mine = self._cluster.node_rank
        ahead = max(self._generation_of(node) for node in self._others)
        generation = max(self._generation_of(mine) + 1, ahead)
        said = json.dumps({"generation": generation, "time": self._started_at}).encode()
        self._durable.put(contract.start_key(self._attempt, mine), said)
        return generation

    def _trouble_of(self, node: int) -> Trouble | None:
        ended = self._read(contract.outcome_key(self._attempt, node))
        if ended and ended["state"] != "SUCCEEDED" and self._concerns_us(ended):
            message = f"Node {node} ended first. {ended['message']}"
            return Trouble(ended["state"], ended["reason"], message, ended["hint"])
        if self._generation_of(node) > self._generation:
            hint = "This node starts again too, from the newest checkpoint."
            return Trouble("FAILED", "communication", f"Node {node} has started again.", hint)
        return None

    def _concerns_us(self, ended: dict[str, Any]) -> bool:
        """A failure that will be tried again may be the one that made us start again: only a later one counts."""
        return ended["exit_code"] not in RETRIED or bool(ended["ended_at"] > self._started_at)

    def _generation_of(self, node: int) -> int:
        said = self._read(contract.start_key(self._attempt, node))
        return int(said["generation"]) if said else 0

    def _read(self, key: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = json.loads(self._durable.read(key))
        except (OSError, ValueError):
            return None
        return found
