"""Runs the checks of a node side by side, for at most `TIMEOUT_S`, and records them."""

from __future__ import annotations

import contextlib
import json
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from ftsdk import contract
from ftsdk.contract.documents import JobDocument, NodeCheck, NodeFinding
from ftsdk.runtime.logs.lines import Log
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.waiting import BackgroundCall
from ftsdk.runtime.supervisor.node_checks import gpus, machine, network
from ftsdk.runtime.supervisor.outcome.exit_evidence import AttemptOutcome

TIMEOUT_S = 20.0


class NodeChecks:
    """The checks of one start. All but those of the GPUs run while inputs are verified and the trainer loads."""

    def __init__(self, document: JobDocument, durable: Durable, attempt: int, node: int) -> None:
        self._document, self._durable, self._attempt, self._node = document, durable, attempt, node
        self._gpus: list[NodeFinding] = []
        self._background: BackgroundCall[list[NodeFinding]] | None = None

    def start(self, environ: Mapping[str, str]) -> AttemptOutcome | None:
        """Check the GPUs and start the other checks; returns the outcome on a node that is not fit for training."""
        if not self._document["config"].get("use_cpu"):
            self._gpus = gpus.findings(self._document["nproc_per_node"])
        self._background = BackgroundCall(lambda: self._others(environ))
        fatal = [finding["problem"] for finding in self._gpus if finding["is_fatal"]]
        if not fatal:
            return None
        self._store(self._gpus)
        message = f"Node {self._node} ({platform.node()}) is not fit for training: {'; '.join(fatal)}."
        return AttemptOutcome(
            "FAILED", "bad_node", message, "Another attempt gets another machine where the platform can."
        )

    def log(self, log: Log) -> None:
        """Write what was found, once, as soon as all checks have ended: an event, and a warning for each problem."""
        if self._background is None or not self._background.wait(0):
            return
        findings, self._background = [*self._gpus, *self._background.result()], None
        BackgroundCall(lambda: self._store(findings))
        log.event(contract.EVENT_NODE_CHECK, node=self._node, **{item["check"]: item["value"] for item in findings})
        for problem in filter(None, (item["problem"] for item in findings)):
            log.say(f"ftsdk: warning: node {self._node}: {problem}.")

    def _others(self, environ: Mapping[str, str]) -> list[NodeFinding]:
        model = str(self._document["config"].get("model_name_or_path", ""))
        checks: dict[str, Callable[[], list[NodeFinding]]] = {
            "memory": lambda: [machine.memory()],
            "disk": lambda: [machine.disk(Path(self._document["scratch"]))],
            "storage": lambda: [network.storage(self._durable)],
        }
        if model and not Path(model).exists():
            checks["hub"] = lambda: network.hub({**environ, **self._document["env"]})
        deadline = time.monotonic() + TIMEOUT_S
        running = {name: BackgroundCall(check) for name, check in checks.items()}
        return [finding for name, call in running.items() for finding in _findings(name, call, deadline)]

    def _store(self, findings: list[NodeFinding]) -> None:
        record = NodeCheck(host=platform.node(), time=time.time(), findings=findings)
        with contextlib.suppress(OSError):
            self._durable.put(contract.node_check_key(self._attempt, self._node), json.dumps(record).encode())


def _findings(name: str, call: BackgroundCall[list[NodeFinding]], deadline: float) -> list[NodeFinding]:
    """A check that fails or does not end is a problem of the node, too."""
    call.wait(deadline - time.monotonic())
    try:
        return call.result()
    except TimeoutError:
        problem = f"the check of {name} has not ended within {TIMEOUT_S:.0f} s"
    except (OSError, KeyError, ValueError) as failure:
        problem = f"{name} cannot be checked ({failure})"
    return [NodeFinding(check=name, value="", problem=problem, is_fatal=False)]
