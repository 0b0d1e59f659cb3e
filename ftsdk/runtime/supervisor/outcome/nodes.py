"""The other nodes of an attempt. If one of them fails or starts again, so does the training on this one.

Each start of a supervisor has a generation: one more than its own last one, or that of a node that is further ahead.
A node that reads a higher generation than its own knows that another node has started again, so that its trainer is
connected to processes that have ended: it stops the trainer and, once started again, joins that generation.
"""

from __future__ import annotations

import json
import math
import threading
import time
from typing import Any, NamedTuple

from ftsdk import contract
from ftsdk.contract.documents import Outcome
from ftsdk.runtime.platforms.cluster import Cluster
from ftsdk.runtime.storage.durable import Durable

POLL_S = 3.0
RETRIED = (contract.EXIT_CRASHED, contract.EXIT_INTERRUPTED)


class NodeFailure(NamedTuple):
    """Why this node cannot continue: the fields of its outcome record."""

    state: str
    reason: str
    message: str
    hint: str


class Nodes:
    """The other nodes' records in durable storage."""

    def __init__(self, durable: Durable, attempt: int, cluster: Cluster) -> None:
        self._durable, self._attempt, self._cluster = durable, attempt, cluster
        self._others = [node for node in range(cluster.num_nodes) if node != cluster.node_rank]
        self._started_at = time.time()
        self._next_poll = -math.inf
        self._failure: NodeFailure | None = None
        self._generation = self._announce() if self._others else 0

    def failure(self) -> NodeFailure | None:
        """The failure or restart of another node, if there is one; polls every POLL_S seconds at most.

        Only the first poll blocks: a bucket may be slow to respond, and the trainer's output must not wait for it.
        """
        if self._others and not self._failure and time.monotonic() >= self._next_poll:
            is_first, self._next_poll = self._next_poll == -math.inf, math.inf
            if is_first:
                self._poll()
            else:
                threading.Thread(target=self._poll, daemon=True).start()
        return self._failure

    def _poll(self) -> None:
        self._failure = next((failure for node in self._others if (failure := self._failure_of(node))), None)
        self._next_poll = time.monotonic() + POLL_S

    def _announce(self) -> int:
        own = self._cluster.node_rank
        ahead = max(self._generation_of(node) for node in self._others)
        generation = max(self._generation_of(own) + 1, ahead)
        record = json.dumps({"generation": generation, "time": self._started_at}).encode()
        self._durable.put(contract.start_key(self._attempt, own), record)
        return generation

    def _failure_of(self, node: int) -> NodeFailure | None:
        outcome: Outcome | None = self._read(contract.outcome_key(self._attempt, node))
        if outcome and outcome["state"] != "SUCCEEDED" and self._is_current(outcome):
            message = f"Node {node} ended first. {outcome['message']}"
            return NodeFailure(outcome["state"], outcome["reason"], message, outcome["hint"])
        if self._generation_of(node) > self._generation:
            hint = "This node starts again too, from the newest checkpoint."
            return NodeFailure("FAILED", "communication", f"Node {node} has started again.", hint)
        return None

    def _is_current(self, outcome: Outcome) -> bool:
        """A failure that is retried may be the one that caused this start: only a later one counts."""
        return outcome["exit_code"] not in RETRIED or bool(outcome["ended_at"] > self._started_at)

    def _generation_of(self, node: int) -> int:
        record = self._read(contract.start_key(self._attempt, node))
        return int(record["generation"]) if record else 0

    def _read(self, key: str) -> Any | None:
        try:
            return json.loads(self._durable.read(key))
        except (OSError, ValueError):
            return None
