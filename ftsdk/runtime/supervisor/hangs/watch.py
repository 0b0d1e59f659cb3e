"""Watches the heartbeats of this node's ranks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from ftsdk.contract import Event
from ftsdk.runtime import worker_protocol
from ftsdk.runtime.logs.masking import Mask
from ftsdk.runtime.storage.durable import Durable
from ftsdk.runtime.storage.waiting import within
from ftsdk.runtime.supervisor.hangs import culprit, flight_recorder, limits, stacks
from ftsdk.runtime.supervisor.hangs.proc import STOPPED, Activity, process_state
from ftsdk.runtime.supervisor.trainer.process_tree import PROC, ProcessTree
from ftsdk.runtime.worker_protocol import Phase

LONGEST_ROUND_S, CHECK_EVERY_S = 1.5, 5.0
"""A supervisor that was stopped itself, or whose machine slept, does not count that time as the trainer's."""
CHECKS_PER_LIMIT = 12


class Hang(NamedTuple):
    """A training that hangs."""

    message: str
    stacks: str
    traces: Sequence[Path]
    """Files of NCCL's flight recorder."""

    def store(self, durable: Durable, key: str, mask: Mask, timeout_s: float) -> None:
        """Store what is known, as far as storage responds: the log has the stacks too."""
        text = mask.text(self.stacks).encode("utf-8", "replace")

        def put() -> None:
            durable.put(key, text)
            for trace in self.traces:
                durable.put_file(f"{key.removesuffix('.txt')}-{trace.name}", trace)

        with contextlib.suppress(OSError):
            within(timeout_s, put)


@dataclass(slots=True)
class RankProgress:
    """The newest heartbeat of a rank."""

    phase: str
    alive_at: float
    slowest_step_s: float


class HangWatch:
    """Finds out whether the trainer hangs. One instance for one start of the trainer."""

    def __init__(self, process_tree: ProcessTree, run: Path, hang_s: float | None, *, num_nodes: int) -> None:
        self._process_tree, self._run, self._hang_s = process_tree, run, hang_s or 0.0
        self._is_single_node = num_nodes == 1
        self._now = self._checked_at = self._busy_at = 0.0
        self._round_at = time.monotonic()
        self._ranks: dict[int, RankProgress] = {}
        self._stopped_since: dict[int, float] = {}
        self._activity = Activity()

    def heartbeat(self, event: Event) -> None:
        """Called with every heartbeat event."""
        if event["phase"] in limits.LIMITS:
            self._ranks[event["rank"]] = RankProgress(event["phase"], self._now, float(event["slowest_step_s"]))

    def check(self) -> Hang | None:
        """The hang, if there is one; looks for it a few times in the shortest limit."""
        now = time.monotonic()
        self._now += min(now - self._round_at, LONGEST_ROUND_S)
        self._round_at = now
        if not self._hang_s or self._now - self._checked_at < min(self._hang_s / CHECKS_PER_LIMIT, CHECK_EVERY_S):
            return None
        self._checked_at = self._now
        members = self._process_tree.members()
        self._note_ended()
        seconds = self._stopped_s(members) or self._silent_s() or self._idle_s(members)
        return self._hang(members, seconds) if seconds else None

    def _note_ended(self) -> None:
        """A rank whose process has ended does not hang: its launcher is about to end the others."""
        for number, pid in worker_protocol.registered(self._run).items() if PROC else ():
            if number in self._ranks and process_state(pid) is None:
                self._ranks[number].phase = Phase.EXIT

    # --- the three signs: since when there is a hang, in seconds; 0 if there is none -------------------------------
    def _stopped_s(self, members: Sequence[int]) -> float:
        stopped = [pid for pid in members if (state := process_state(pid)) and state.state == STOPPED]
        self._stopped_since = {pid: self._stopped_since.get(pid, self._now) for pid in stopped}
        longest_s = max((self._now - since for since in self._stopped_since.values()), default=0.0)
        return longest_s if longest_s > self._hang_s * limits.STOPPED else 0.0

    def _silent_s(self) -> float:
        """A rank may wait for another one that is in a longer phase, such as one that writes a checkpoint."""
        ranks = [(silent_s, self._limit_s(rank)) for silent_s, rank in self._by_silence()]
        longest_s = max((limit_s for silent_s, limit_s in ranks if silent_s <= limit_s), default=0.0)
        return next((silent_s for silent_s, limit_s in ranks if silent_s > max(limit_s, longest_s)), 0.0)

    def _limit_s(self, rank: RankProgress) -> float:
        return limits.silent_limit_s(rank.phase, self._hang_s, rank.slowest_step_s)

    def _idle_s(self, members: Sequence[int]) -> float:
        """No rank sends heartbeats, and no process computes, reads or writes."""
        ranks = self._by_silence()
        if not ranks or not self._is_single_node or self._activity.is_busy(members, self._now):
            self._busy_at = self._now
            return 0.0
        idle = limits.LIMITS[ranks[0][1].phase].idle
        idle_s = self._now - max(self._busy_at, *(rank.alive_at for _, rank in ranks))
        return idle_s if idle is not None and idle_s > self._hang_s * idle else 0.0

    def _by_silence(self) -> list[tuple[float, RankProgress]]:
        """(seconds since the last heartbeat, rank), the longest first; ended ranks only if all have ended."""
        all_ended = all(rank.phase == Phase.EXIT for rank in self._ranks.values())
        ranks = [rank for rank in self._ranks.values() if all_ended or rank.phase != Phase.EXIT]
        return sorted(((self._now - rank.alive_at, rank) for rank in ranks), key=lambda pair: -pair[0])

    def _hang(self, members: Sequence[int], seconds: float) -> Hang:
        collected = stacks.collect(self._run, worker_protocol.registered(self._run), members)
        silent_s = {number: self._now - rank.alive_at for number, rank in self._ranks.items()}
        number, place = culprit.describe(collected, silent_s)
        rank = self._ranks.get(number) if number is not None else None
        phase = f" in the phase '{rank.phase}'" if rank else ""
        message = f"The training has made no progress for {seconds:.0f} s{phase}: {place}."
        return Hang(message, stacks.report(collected), flight_recorder.traces(self._run))
