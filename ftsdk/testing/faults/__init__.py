"""Fault injection into jobs of this machine, e.g. to try a spot reclaim before using spot capacity.

`KINDS` lists the faults, `inject` causes one, `inject_repeatedly` causes several at random moments and lets the job
continue after each.
"""

from __future__ import annotations

from ftsdk.testing.faults.injection import Fault, inject, inject_repeatedly
from ftsdk.testing.faults.kinds import KINDS

__all__ = ["KINDS", "Fault", "inject", "inject_repeatedly"]
