"""Whether the hub answers, how long storage takes, and how wrong this node's clock is."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from ftsdk.contract.documents import NodeFinding
from ftsdk.runtime.storage.durable import Durable

HUB_VARIABLE, HUB, OFFLINE_VARIABLE = "HF_ENDPOINT", "https://huggingface.co", "HF_HUB_OFFLINE"
TIMEOUT_S = 10.0
MOST_SKEW_S = 60.0
"""Signed requests are refused at 15 minutes (Amazon S3); certificates and logs suffer earlier."""
SLOW_STORAGE_S = 5.0
UNLIKELY_KEY = "node-check"


def storage(durable: Durable) -> NodeFinding:
    """How long durable storage takes to say that an object is missing."""
    began = time.monotonic()
    with contextlib.suppress(FileNotFoundError):
        durable.read(UNLIKELY_KEY)
    seconds = time.monotonic() - began
    problem = f"storage takes {seconds:.1f} s for one request" if seconds > SLOW_STORAGE_S else ""
    return NodeFinding(check="storage", value=f"{seconds * 1000:.0f} ms", problem=problem, is_fatal=False)


def hub(environ: Mapping[str, str]) -> list[NodeFinding]:
    """Whether the Hugging Face hub answers, and the difference between its clock and this node's."""
    if environ.get(OFFLINE_VARIABLE, "0") not in ("", "0"):
        return []
    address = environ.get(HUB_VARIABLE) or HUB
    try:
        date = _date(address)
    except OSError as failure:
        problem = f"{address} does not answer ({failure})"
        return [NodeFinding(check="hub", value="", problem=problem, is_fatal=False)]
    findings = [NodeFinding(check="hub", value="answers", problem="", is_fatal=False)]
    return [*findings, clock(date)] if date else findings


def clock(reference_s: float) -> NodeFinding:
    """How far this node's clock is ahead of a reference, in seconds since the epoch."""
    skew_s = time.time() - reference_s
    problem = f"the clock is {skew_s:+.0f} s off" if abs(skew_s) > MOST_SKEW_S else ""
    return NodeFinding(check="clock", value=f"{skew_s:+.0f} s", problem=problem, is_fatal=False)


def _date(address: str) -> float | None:
    """The time of the server's answer, whatever its status; None without a Date. Raises OSError."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=TIMEOUT_S) as answer:
            date = answer.headers["Date"]
    except HTTPError as answer:
        date = answer.headers["Date"]
    return parsedate_to_datetime(date).timestamp() if date else None
