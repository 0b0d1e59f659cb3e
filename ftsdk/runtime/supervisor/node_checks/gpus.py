"""Number and health of the GPUs, as nvidia-smi reports them."""

from __future__ import annotations

import shutil
import subprocess

from ftsdk.contract.documents import NodeFinding

FIELDS = (
    "index",
    "name",
    "memory.used",
    "ecc.errors.uncorrected.volatile.total",
    "clocks_throttle_reasons.hw_slowdown",
)
TIMEOUT_S = 15.0
USED_MIB = 1024
"""More than this in use before the training begins belongs to another process."""


def findings(needed: int) -> list[NodeFinding]:
    """What nvidia-smi reports; empty where there is none.

    Args:
        needed: processes on this node, each with a GPU of its own.
    """
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    query = [program, f"--query-gpu={','.join(FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return [_fatal("", f"nvidia-smi does not answer within {TIMEOUT_S:.0f} s")]
    if done.returncode:  # such as for a GPU that has fallen off the bus (Xid 79)
        return [_fatal("", f"nvidia-smi fails: {' '.join((done.stdout + done.stderr).split())[:300]}")]
    rows = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
    problems = [finding for row in rows if len(row) == len(FIELDS) for finding in _of_gpu(*row)]
    names = f"{len(rows)} × {rows[0][1]}" if rows else "0"
    if len(rows) < needed:
        return [_fatal(names, f"it has {len(rows)} of {needed} GPUs"), *problems]
    return [NodeFinding(check="GPUs", value=names, problem="", is_fatal=False), *problems]


def count() -> int | None:
    """Number of GPUs that answer; None where nvidia-smi is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    try:
        command = [program, "--query-gpu=index", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return len(done.stdout.splitlines())


def _of_gpu(index: str, _name: str, used_mib: str, uncorrected: str, slowdown: str) -> list[NodeFinding]:
    problems = []
    if uncorrected.isdecimal() and int(uncorrected):
        problems.append(_fatal(uncorrected, f"GPU {index} has {uncorrected} uncorrected memory errors (ECC)"))
    if slowdown == "Active":
        problem = f"GPU {index} is slowed down by its hardware (heat or power)"
        problems.append(NodeFinding(check="GPU clocks", value=slowdown, problem=problem, is_fatal=False))
    if used_mib.isdecimal() and int(used_mib) > USED_MIB:
        problem = f"{used_mib} MiB of GPU {index} are in use before the training"
        problems.append(NodeFinding(check="GPU memory", value=used_mib, problem=problem, is_fatal=False))
    return problems


def _fatal(value: str, problem: str) -> NodeFinding:
    return NodeFinding(check="GPUs", value=value, problem=problem, is_fatal=True)
