"""Harm on purpose to a job of this machine: a dress rehearsal of a spot reclaim, before anybody pays for one.

`KINDS` says what there is, `strike` does one of them, `rehearse` does many at random moments and lets the job go on.
"""

from __future__ import annotations

from ftsdk.testing.faults.kinds import KINDS
from ftsdk.testing.faults.rehearsal import Strike, rehearse, strike

__all__ = ["KINDS", "Strike", "rehearse", "strike"]
