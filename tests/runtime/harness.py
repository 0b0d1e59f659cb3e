"""Starts real supervisors from the real archive, and reads what they leave."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ftsdk import contract
from ftsdk.facts import runtime_archive
from ftsdk.storage.store import open_store

TIMEOUT_S = 120.0


def document(root: Path, trainer: Path | str, **changed: Any) -> dict[str, Any]:
    """A job document for a folder."""
    return {
        "contract": contract.VERSION,
        "name": "job",
        "digest": "d" * 64,
        "backend": "local",
        "base_model": "tiny",
        "trainer": str(trainer),
        "config": {},
        "dataset_info": {},
        "inputs": [],
        "durable": str(root / "durable"),
        "storage": {},
        "scratch": str(root / "scratch"),
        "nproc_per_node": 1,
        "num_nodes": 1,
        "checkpoint": {"every_minutes": None, "every_steps": None, "mtbf_hours": None, "keep": 2},
        "wandb": None,
        "cloudwatch": None,
        "env": {},
        "grace_s": 20.0,
        "after_save": "exit",
        "timeout_s": None,
        "budget_s": None,
        "restarts": 0,
        "restart_on": [],
        "notes": [],
        **changed,
    }


class Supervised:
    """One supervisor process of a job in a folder."""

    def __init__(self, root: Path, trainer: Path | str, *, attempt: int = 1, **options: Any) -> None:
        python = options.pop("python", sys.executable)
        environ = options.pop("environ", {})
        root.mkdir(exist_ok=True)
        self.root, self.attempt = root, attempt
        self.durable = root / "durable"
        self.store = open_store(options.get("durable", str(self.durable)), options.get("storage"))
        job = root / contract.JOB_FILE
        job.write_text(json.dumps(document(root, trainer, **options)))
        started = {contract.ENV_JOB: str(job), contract.ENV_NATIVE_NAME: f"job-a{attempt}"}
        self.process = subprocess.Popen(
            [python, runtime_archive.build(root / "cache").path, "supervise"],
            env={**os.environ, **started, **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.stdout = self.stderr = b""

    def wait(self) -> int:
        """Its exit code, once it has ended by itself."""
        self.stdout, self.stderr = self.process.communicate(timeout=TIMEOUT_S)
        return self.process.returncode

    def wait_for(self, text: str) -> None:
        """Until the log has this text."""
        deadline = time.monotonic() + TIMEOUT_S
        while text not in "\n".join(self.lines()):
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.lines()[-5:]}"
            assert self.process.poll() is None, f"ended before {text!r} came: {self.lines()[-5:]}"
            time.sleep(0.02)

    def terminate(self) -> int:
        """SIGTERM, then its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def stamped(self, node: int = 0) -> list[str]:
        """Lines of this attempt in the segments."""
        items = self.store.list(contract.segment_key(self.attempt, node, 0).removesuffix("000000.log"))
        return b"".join(self.store.read(item.key) for item in items).decode("utf-8", "replace").split("\n")[:-1]

    def lines(self, node: int = 0) -> list[str]:
        """The same without stamps."""
        return [contract.split_line(line)[1] for line in self.stamped(node)]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Events of a kind, in their order."""
        found = (contract.parse_event(line) for line in self.lines())
        return [event for event in found if event and event["event"] == kind]

    def output(self) -> list[str]:
        """What the trainer wrote: all lines but the supervisor's own."""
        return [line for line in self.lines() if not line.startswith(contract.EVENT_MARK)]

    def outcome(self, node: int = 0) -> dict[str, Any]:
        """The outcome record."""
        return json.loads(self.store.read(contract.outcome_key(self.attempt, node)))

    def ended(self) -> tuple[str, str]:
        """(state, reason) of the outcome record."""
        record = self.outcome()
        return record["state"], record["reason"]


def script(root: Path, text: str) -> Path:
    """A trainer that is a Python file."""
    path = root / "trainer_file.py"
    path.write_text(PREAMBLE + text)
    return path


PREAMBLE = """
import json, os, pathlib, signal, sys, time
send = lambda event: open(os.environ["FTSDK_EVENTS"], "w").write(json.dumps(event) + "\\n")
job = json.loads(pathlib.Path(os.environ["FTSDK_TRAIN"]).read_text())
output = pathlib.Path(job["output"])

def save(step):
    folder = output / f"checkpoint-{step}"
    folder.mkdir()
    (folder / "state.txt").write_text(str(step) * 1000)
    send({"event": "checkpoint", "step": step, "path": str(folder)})

def metrics(step, **fields):
    send({"event": "metrics", "step": step, "total_steps": 10, **fields})
"""


def living(mark: str) -> list[int]:
    """Processes whose command line holds a mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def gone(mark: str) -> bool:
    """True as soon as no process with the mark runs; False if some still do after a while."""
    deadline = time.monotonic() + TIMEOUT_S
    while living(mark):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
