"""Whether a crashed trainer is started again within its attempt, where no platform would do it."""

from __future__ import annotations

from ftsdk.contract import INFRA_REASONS
from ftsdk.contract.documents import JobDocument
from ftsdk.runtime.supervisor.outcome.exit_evidence import AttemptOutcome


class Restarts:
    """The restarts that the job document allows. One instance for all starts of a supervisor."""

    def __init__(self, document: JobDocument) -> None:
        self._limit, self._reasons = document["restarts"], frozenset(document["restart_on"])
        self._last: tuple[str, int | None] | None = None

    def allow(self, outcome: AttemptOutcome, *, starts: int, step: int | None) -> str:
        """The sentence that announces a restart, or an empty one if the attempt ends here.

        A crash that occurred at the same step before would occur again.
        """
        is_repeated = self._last == (outcome.reason, step) and outcome.reason not in INFRA_REASONS
        self._last = outcome.reason, step
        if outcome.state != "FAILED" or outcome.reason not in self._reasons or starts > self._limit or is_repeated:
            return ""
        return f"{outcome.message} The trainer is started again (restart {starts} of {self._limit})."
